"""Verification by emoji, as the specification describes it: one dialogue between two devices, without network or clock.

nio's own is not used: its commitment, its method's name and its emoji are not those of other clients.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from nio import Api
from nio.crypto import Sas as NioSas
from vodozemac import Curve25519PublicKey, EstablishedSas, SasException
from vodozemac import Sas as KeyPair

from chatrixcd_threads.events import Stage

METHOD: Final = "m.sas.v1"
PREFIX: Final = "m.key.verification."
_AGREEMENT: Final = "curve25519-hkdf-sha256"
_HASH: Final = "sha256"
_MAC: Final = "hkdf-hmac-sha256.v2"
_SHORT: Final = ("decimal", "emoji")
_RENAMED: Final = {
    "Wrench": "Spanner",
    "Airplane": "Aeroplane",
    "Thumbs up": "Thumbs Up",
}  # nio's -> the specification's
EMOJI: Final = tuple((symbol, _RENAMED.get(name, name)) for symbol, name in NioSas.emoji)
LONGEST_REASON: Final = 200

Message = tuple[str, dict[str, Any]]
"""The kind of an event, without the prefix, and its content."""


class Ready(msgspec.Struct):
    from_device: str
    methods: list[str]


class Start(msgspec.Struct):
    from_device: str
    method: str
    key_agreement_protocols: list[str]
    hashes: list[str]
    message_authentication_codes: list[str]
    short_authentication_string: list[str]


class Accept(msgspec.Struct):
    key_agreement_protocol: str
    hash: str
    message_authentication_code: str
    short_authentication_string: list[str]
    commitment: str


class Key(msgspec.Struct):
    key: str


class Mac(msgspec.Struct):
    mac: dict[str, str]
    keys: str


class Done(msgspec.Struct):
    """Says nothing but its name."""


class Cancel(msgspec.Struct):
    code: str = ""
    reason: str = ""


_SHAPES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "ready": Ready,
    "start": Start,
    "accept": Accept,
    "key": Key,
    "mac": Mac,
    "done": Done,
    "cancel": Cancel,
}


@dataclass(frozen=True, slots=True)
class Party:
    """One side. `keys` are its Ed25519 keys by id: that of the device, and the master key where there is one."""

    user_id: str
    device_id: str
    keys: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """What came ends the dialogue, with a code of the specification."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Dialogue:
    """Owner: the sync thread's loop. Each call returns what is to be sent; whatever comes in the wrong form or order
    ends the dialogue with a cancel and nothing else.

    `frame` is what ties every content to this dialogue: a transaction id, or the relation to the request in a room.
    """

    def __init__(self, mine: Party, theirs: Party, txn: str, frame: Mapping[str, Any], *, asked: bool) -> None:
        self.mine, self.theirs, self.txn = mine, theirs, txn
        self.stage = Stage.ASKED if asked else Stage.ASKING
        self.note = ""
        self.emoji: tuple[tuple[str, str], ...] = ()
        self.decimals: tuple[int, ...] = ()
        self.proven: frozenset[str] = frozenset()  # ids of their keys that the other device has vouched for
        self._frame = dict(frame)
        self._pair = KeyPair()
        self._public = self._pair.public_key.to_base64()
        self._start: dict[str, Any] = {}
        self._starter = False
        self._awaited = ""  # of accept, key, mac: the one that must come next
        self._commitment = ""
        self._short: tuple[str, ...] = ()
        self._shared: EstablishedSas | None = None
        self._steps: Mapping[str, Callable[[Any, dict[str, Any]], list[Message]]] = {
            "ready": self._on_ready,
            "start": self._on_start,
            "accept": self._on_accept,
            "key": self._on_key,
            "mac": self._on_mac,
            "done": self._on_done,
            "cancel": self._on_cancel,
        }

    @property
    def over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.stage in (Stage.DONE, Stage.ENDED)

    # --- what people here want --------------------------------------------------------------------------------------

    def ready(self) -> list[Message]:
        """Agrees to what the other side asked for."""
        if self.stage is not Stage.ASKED:
            return []
        self.stage = Stage.READY
        return [self._message("ready", {"from_device": self.mine.device_id, "methods": [METHOD]})]

    def start(self) -> list[Message]:
        """Begins the exchange of keys; either side may, once both are ready."""
        if self.stage is not Stage.READY:
            return []
        message = self._message(
            "start",
            {
                "from_device": self.mine.device_id,
                "method": METHOD,
                "key_agreement_protocols": [_AGREEMENT],
                "hashes": [_HASH],
                "message_authentication_codes": [_MAC],
                "short_authentication_string": list(_SHORT),
            },
        )
        self._start, self._starter, self._awaited = message[1], True, "accept"
        self.stage = Stage.STARTED
        return [message]

    def match(self) -> list[Message]:
        """Somebody has compared, and it is the same on both sides."""
        if self.stage is not Stage.COMPARE or self._shared is None:
            return []
        self.stage = Stage.MATCHED
        info = self._mac_info(self.mine, self.theirs)
        macs = {name: self._shared.calculate_mac(key, info + name) for name, key in self.mine.keys.items()}
        keys = self._shared.calculate_mac(",".join(sorted(macs)), info + "KEY_IDS")
        return [self._message("mac", {"mac": macs, "keys": keys}), *self._finish()]

    def cancel(self, code: str, reason: str) -> list[Message]:
        """Ends it, and tells the other side."""
        if self.over:
            return []
        self.stage, self.note = Stage.ENDED, reason
        return [self._message("cancel", {"code": code, "reason": reason})]

    # --- what the other side says -----------------------------------------------------------------------------------

    def hear(self, kind: str, content: dict[str, Any]) -> list[Message]:
        """One event of the other side, from whoever that may be."""
        if self.over or kind not in _SHAPES:
            return []
        try:
            return self._steps[kind](msgspec.convert(content, _SHAPES[kind]), content)
        except Refusal as refusal:
            return self.cancel(refusal.code, refusal.reason)
        except ValueError:  # msgspec's and vodozemac's errors, and half a surrogate pair
            return self.cancel("m.invalid_message", f"the other side sent a {kind} that cannot be used")

    def _on_ready(self, ready: Ready, _: dict[str, Any]) -> list[Message]:
        self._must(self.stage is Stage.ASKING, "ready")
        if METHOD not in ready.methods:
            raise Refusal("m.unknown_method", "the other side cannot compare emoji")
        self._is_from(ready.from_device)
        self.stage = Stage.READY
        return self.start()

    def _on_start(self, start: Start, content: dict[str, Any]) -> list[Message]:
        both = self.stage is Stage.STARTED and self._starter and self._awaited == "accept"
        self._must(self.stage is Stage.READY or both, "start")
        self._is_from(start.from_device)
        if both and (self.mine.user_id, self.mine.device_id) < (self.theirs.user_id, self.theirs.device_id):
            return []  # both have started at once: the smaller name goes on
        self._short = tuple(each for each in _SHORT if each in start.short_authentication_string)
        known = (
            start.method == METHOD
            and _AGREEMENT in start.key_agreement_protocols
            and _HASH in start.hashes
            and _MAC in start.message_authentication_codes
            and "decimal" in self._short
        )
        if not known:
            raise Refusal("m.unknown_method", "the other side knows only methods that I do not")
        self._start, self._starter, self._awaited = content, False, "key"
        self.stage = Stage.STARTED
        chosen = {
            "method": METHOD,
            "key_agreement_protocol": _AGREEMENT,
            "hash": _HASH,
            "message_authentication_code": _MAC,
            "short_authentication_string": list(self._short),
            "commitment": self._commit(self._public),
        }
        return [self._message("accept", chosen)]

    def _on_accept(self, accept: Accept, _: dict[str, Any]) -> list[Message]:
        self._must(self._awaited == "accept", "accept")
        self._short = tuple(each for each in _SHORT if each in accept.short_authentication_string)
        chosen = (accept.key_agreement_protocol, accept.hash, accept.message_authentication_code)
        if chosen != (_AGREEMENT, _HASH, _MAC) or "decimal" not in self._short:
            raise Refusal("m.unknown_method", "the other side chose a method that was not offered")
        self._commitment, self._awaited = accept.commitment, "key"
        return [self._message("key", {"key": self._public})]

    def _on_key(self, key: Key, _: dict[str, Any]) -> list[Message]:
        self._must(self._awaited == "key", "key")
        if self._starter and self._commit(key.key) != self._commitment:
            raise Refusal("m.mismatched_commitment", "the key is not the one that the other side had committed to")
        self._shared = self._pair.diffie_hellman(Curve25519PublicKey.from_base64(key.key))
        self._awaited = "mac"
        self.stage = Stage.COMPARE
        mine, theirs = (self.mine, self._public), (self.theirs, key.key)
        sides = (mine, theirs) if self._starter else (theirs, mine)
        named = "|".join(f"{side.user_id}|{side.device_id}|{public}" for side, public in sides)
        short = self._shared.bytes(f"MATRIX_KEY_VERIFICATION_SAS|{named}|{self.txn}")
        self.decimals = tuple(short.decimals)
        if "emoji" in self._short:
            self.emoji = tuple(EMOJI[index] for index in short.emoji_indices)
        return [] if self._starter else [self._message("key", {"key": self._public})]

    def _on_mac(self, mac: Mac, _: dict[str, Any]) -> list[Message]:
        self._must(self._awaited == "mac" and self._shared is not None, "mac")
        self._awaited = ""
        self.proven = self._checked(mac)
        return self._finish()

    def _on_done(self, _: Done, __: dict[str, Any]) -> list[Message]:
        self._must(self.stage is Stage.MATCHED, "done")
        return []

    def _on_cancel(self, cancel: Cancel, _: dict[str, Any]) -> list[Message]:
        said = (cancel.reason or cancel.code)[:LONGEST_REASON].encode("utf-8", "replace").decode()
        self.stage, self.note = Stage.ENDED, f"the other side ended it: {said}" if said else "the other side ended it"
        return []

    # --- the mathematics --------------------------------------------------------------------------------------------

    def _finish(self) -> list[Message]:
        """The last message, once both sides have said that they see the same."""
        if self.stage is not Stage.MATCHED or not self.proven:
            return []
        self.stage = Stage.DONE
        return [self._message("done", {})]

    def _checked(self, mac: Mac) -> frozenset[str]:
        assert self._shared is not None
        info = self._mac_info(self.theirs, self.mine)
        known = {name: self.theirs.keys[name] for name in mac.mac if name in self.theirs.keys}
        try:
            self._shared.verify_mac(",".join(sorted(mac.mac)), info + "KEY_IDS", mac.keys)
            for name, key in known.items():
                self._shared.verify_mac(key, info + name, mac.mac[name])
        except SasException as error:
            raise Refusal("m.key_mismatch", "the keys of the other side are not those that I know") from error
        if f"ed25519:{self.theirs.device_id}" not in known:
            raise Refusal("m.key_mismatch", "the other side did not vouch for the key of its device")
        return frozenset(known)

    def _commit(self, public: str) -> str:
        data = public + Api.to_canonical_json(self._start)
        return base64.b64encode(hashlib.sha256(data.encode()).digest()).decode().rstrip("=")

    def _mac_info(self, sender: Party, receiver: Party) -> str:
        sides = f"{sender.user_id}{sender.device_id}{receiver.user_id}{receiver.device_id}"
        return f"MATRIX_KEY_VERIFICATION_MAC{sides}{self.txn}"

    def _is_from(self, device_id: str) -> None:
        if device_id != self.theirs.device_id:
            raise Refusal("m.invalid_message", "another device of that person has answered")

    def _must(self, fits: bool, kind: str) -> None:
        if not fits:
            raise Refusal("m.unexpected_message", f"the other side sent a {kind} out of turn")

    def _message(self, kind: str, content: dict[str, Any]) -> Message:
        return kind, content | self._frame
