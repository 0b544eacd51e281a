"""The other side of a verification by emoji, written from the specification and not from the bot's code."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import vodozemac

SAS = "m.sas.v1"
Message = tuple[str, dict[str, Any]]


def unpadded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def canonical(thing: Mapping[str, Any]) -> str:
    return json.dumps(thing, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class Peer:
    """Somebody's device. `hear` gives what such a client says by itself; the person says `match` or `cancel`."""

    def __init__(self, user: str, device: str, keys: Mapping[str, str], bot: tuple[str, str]) -> None:
        self.user, self.device, self.keys, self.bot = user, device, dict(keys), bot
        self.txn = ""
        self.frame: dict[str, Any] = {}
        self.sas = vodozemac.Sas()
        self.public = self.sas.public_key.to_base64()
        self.start_content: dict[str, Any] = {}
        self.started_by_me = False
        self.commitment = ""
        self.indices: list[int] = []
        self.decimals: tuple[int, ...] = ()
        self.bot_keys: dict[str, str] = {}  # as the homeserver shows them
        self.vouched: set[str] = set()  # of the bot's keys
        self.cancelled = ""
        self.done = False
        self._shared: Any = None

    def by_message(self, txn: str) -> None:
        self.txn, self.frame = txn, {"transaction_id": txn}

    def in_room(self, event_id: str) -> None:
        self.txn = event_id
        self.frame = {"m.relates_to": {"rel_type": "m.reference", "event_id": event_id}}

    def request(self, now: float) -> Message:
        return "request", {"from_device": self.device, "methods": [SAS], "timestamp": int(now * 1000), **self.frame}

    def ready(self) -> Message:
        return "ready", {"from_device": self.device, "methods": [SAS, "m.qr_code.show.v1"], **self.frame}

    def start(self) -> Message:
        self.started_by_me = True
        self.start_content = {
            "from_device": self.device,
            "method": SAS,
            "key_agreement_protocols": ["curve25519-hkdf-sha256"],
            "hashes": ["sha256"],
            "message_authentication_codes": ["hkdf-hmac-sha256.v2", "org.matrix.msc3783.hkdf-hmac-sha256"],
            "short_authentication_string": ["decimal", "emoji"],
            **self.frame,
        }
        return "start", self.start_content

    def match(self) -> Message:
        info = f"MATRIX_KEY_VERIFICATION_MAC{self.user}{self.device}{self.bot[0]}{self.bot[1]}{self.txn}"
        macs = {name: self._shared.calculate_mac(key, info + name) for name, key in self.keys.items()}
        ids = self._shared.calculate_mac(",".join(sorted(macs)), info + "KEY_IDS")
        return "mac", {"mac": macs, "keys": ids, **self.frame}

    def cancel(self, code: str = "m.user") -> Message:
        return "cancel", {"code": code, "reason": "I do not want to", **self.frame}

    def hear(self, kind: str, content: dict[str, Any]) -> list[Message]:
        match kind:
            case "start":
                self.start_content = content
                chosen = {
                    "method": SAS,
                    "key_agreement_protocol": "curve25519-hkdf-sha256",
                    "hash": "sha256",
                    "message_authentication_code": "hkdf-hmac-sha256.v2",
                    "short_authentication_string": ["decimal", "emoji"],
                    "commitment": unpadded(hashlib.sha256((self.public + canonical(content)).encode()).digest()),
                }
                return [("accept", chosen | self.frame)]
            case "accept":
                self.commitment = content["commitment"]
                return [("key", {"key": self.public, **self.frame})]
            case "key":
                return self._agree(content["key"])
            case "mac":
                self._check(content)
            case "done":
                self.done = True
                return [("done", dict(self.frame))]
            case "cancel":
                self.cancelled = content["code"]
        return []

    def _agree(self, key: str) -> list[Message]:
        if self.started_by_me:
            committed = unpadded(hashlib.sha256((key + canonical(self.start_content)).encode()).digest())
            assert committed == self.commitment
        self._shared = self.sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_base64(key))
        mine, theirs = f"{self.user}|{self.device}|{self.public}", f"{self.bot[0]}|{self.bot[1]}|{key}"
        both = f"{mine}|{theirs}" if self.started_by_me else f"{theirs}|{mine}"
        short = self._shared.bytes(f"MATRIX_KEY_VERIFICATION_SAS|{both}|{self.txn}")
        self.indices, self.decimals = list(short.emoji_indices), tuple(short.decimals)
        return [] if self.started_by_me else [("key", {"key": self.public, **self.frame})]

    def _check(self, content: dict[str, Any]) -> None:
        info = f"MATRIX_KEY_VERIFICATION_MAC{self.bot[0]}{self.bot[1]}{self.user}{self.device}{self.txn}"
        assert content["keys"] == self._shared.calculate_mac(",".join(sorted(content["mac"])), info + "KEY_IDS")
        for name, tag in content["mac"].items():
            if self._shared.calculate_mac(self.bot_keys.get(name, ""), info + name) == tag:
                self.vouched.add(name)
