"""matrix-nio behind guards: junk from strangers ends nothing, forged state is not believed, keys survive a crash.

Each guard closes a hole that was seen in nio 0.26; the tests in tests/faults send the real junk.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from nio import (
    Api,
    AsyncClient,
    AsyncClientConfig,
    EncryptionError,
    GroupEncryptionError,
    JoinedMembersResponse,
    KeysClaimResponse,
    KeysQueryResponse,
    KeysUploadResponse,
    KeyVerificationEvent,
    LocalProtocolError,
    MegolmEvent,
    OlmTrustError,
    RoomKeyRequest,
    RoomKeyRequestCancellation,
    RoomMessagesResponse,
    ShareGroupSessionResponse,
    SyncResponse,
)

from chatrixcd_threads.matrix.patience import Retry, RoomTrouble
from chatrixcd_threads.matrix.trust import Owner, master_key, owner
from chatrixcd_threads.matrix.vetting import vetted, whole_characters

log = logging.getLogger("chatrixcd.matrix")

Result = TypeVar("Result")

# What concerns every room alike: no answer of a homeserver at all, or one about the account.
PASSING: Final = frozenset({None, "M_LIMIT_EXCEEDED", "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"})
GATEWAY: Final = frozenset({502, 503, 504})  # said in front of a homeserver that is not there
CRYPTO_TROUBLE: Final = (EncryptionError, GroupEncryptionError, OlmTrustError)

# What an encrypted payload may hold. State inside a payload would be believed by nio, although no server checked it.
IN_PAYLOAD: Final = frozenset({"m.room.message", "m.reaction", "m.sticker"})

CONFIG: Final = AsyncClientConfig(
    max_limit_exceeded=0,  # a 429 comes back to us; nio's own retry has no end and keeps no order
    max_timeouts=0,
    store_sync_tokens=False,  # nio saves the token before anybody handled the events
    encryption_enabled=True,
    pickle_key="chatrixcd",
    request_timeout=60,
)


class GuardedClient(AsyncClient):  # type: ignore[misc] # nio is not typed
    """Owner: the sync thread. `refused` are ids of events whose payload was junk; they are never shown to anybody."""

    def __init__(self, homeserver: str, user_id: str, device_id: str, store: Path) -> None:
        super().__init__(homeserver, user_id, device_id, store_path=str(store), config=CONFIG)
        self.refused: set[str] = set()
        self.lacks_fallback_key = False
        self.masters: dict[str, str | None] = {}  # people whose devices were just told, and their master keys
        self.owners: dict[str, Owner] = {}  # the same for everybody who was ever told, with the devices they vouch for
        self.pinned: Callable[[str], bool] = lambda user: False  # whether somebody was ever seen with a master key
        self._unshared: set[str] = set()  # rooms in which some device did not get its key
        self._silent: set[str] = set()  # people whose homeserver does not tell their devices
        self._disowned: set[tuple[str, str]] = set()  # people and keys that are not theirs, asked since the last sync

    def _guarded(self, what: str, call: Callable[..., Result], *args: object) -> Result | None:
        """Runs a piece of nio that handles foreign data. One of the three places that catch everything."""
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001 - nio lets vodozemac's, json's and its own errors through
            log.warning("%s could not be handled and was left out: %s", what, type(error).__name__)
            return None

    def _handle_decrypt_to_device(self, to_device_event: Any) -> Any:
        if isinstance(to_device_event, KeyVerificationEvent):
            return None  # nio would answer, and wrongly
        if isinstance(to_device_event, RoomKeyRequest | RoomKeyRequestCancellation):
            return None  # nobody gets keys on request, and nio would keep the requests of strangers for ever
        decrypted = self._guarded("a to-device event", super()._handle_decrypt_to_device, to_device_event)
        if decrypted is not None and self.olm:
            self.olm.save_account()  # nio saves before the one-time key is taken out
        return decrypted

    def _handle_timeline_event(self, event: Any, room_id: str, room: Any, encrypted_rooms: set[str]) -> Any:
        if isinstance(event, MegolmEvent):
            event.room_id = room_id
            return self._opened(event)  # what comes out of a payload is never applied to the room's state
        return self._guarded("a room event", super()._handle_timeline_event, event, room_id, room, encrypted_rooms)

    def _handle_messages_response(self, response: RoomMessagesResponse) -> None:
        for index, event in enumerate(response.chunk):
            if isinstance(event, MegolmEvent):
                event.room_id = event.room_id or response.room_id
                response.chunk[index] = self._opened(event) or event

    def _opened(self, event: Any) -> Any:
        """The decrypted event; None when it cannot be decrypted. Junk is noted in `refused`."""
        if not self.olm:
            return None
        try:
            decrypted = self.olm._decrypt_megolm_no_error(event)
            if decrypted is None:
                return None
            kind, payload = str(decrypted.source.get("type")), decrypted.source
            decrypted.message_number = self._number(event)
            decrypted.outside = event.source.get("unsigned")  # by the homeserver; what stands inside is the sender's
        except Exception as error:  # noqa: BLE001 - see _guarded; here the event must be remembered as junk
            log.warning("the payload of %s is junk (%s)", event.event_id, type(error).__name__)
            self.refused.add(event.event_id)
            return None
        if "state_key" in payload or not (kind in IN_PAYLOAD or kind.startswith("m.key.verification.")):
            log.warning("%s of %s hides a %.60r in its payload; it is refused", event.event_id, event.sender, kind)
            self.refused.add(event.event_id)
            return None
        return decrypted

    def _number(self, event: Any) -> int:
        """Which message of its session this is; nio keeps that to itself, so what could be decrypted is decrypted again."""
        session = self.olm.inbound_group_store.get(event.room_id, event.sender_key, event.session_id)
        return int(session.decrypt(event.ciphertext)[1])

    async def ask(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A request that nio does not know: the status and the object that came back."""
        headers = {"Authorization": f"Bearer {self.access_token}", "Content-Type": "application/json"}
        answer = await self.send(method, f"/_matrix/client/v3/{path}", json.dumps(body), headers)
        return answer.status, await self.parse_body(answer)

    async def parse_body(self, transport_response: Any) -> dict[str, Any]:
        """What came back as an object. For nio an empty one is success where there is nothing to be said, so that
        it would take the page of a broken proxy for a yes; such an answer becomes an error here."""
        status = transport_response.status
        try:
            body = whole_characters(await transport_response.read())
        except ValueError:
            body = None
        if not isinstance(body, dict) or (not body and status >= 300):
            return {"error": f"status {status} and no answer of a homeserver"}
        body = vetted(body)
        if body.get("errcode") == "M_USER_LOCKED":
            body.pop("soft_logout", None)  # an unlocked account goes on with its token; nio would throw that away
        if isinstance(body.get("device_keys"), dict):
            self.masters |= {user: master_key(body, user) for user in body["device_keys"]}
            self.owners |= {user: owner(body, user) for user in body["device_keys"]}
        unused = body.get("device_unused_fallback_key_types")  # nio does not know of fallback keys
        if unused is not None:
            self.lacks_fallback_key = "signed_curve25519" not in unused
        return body

    def _handle_olm_events(self, response: SyncResponse) -> None:
        super()._handle_olm_events(response)
        self._disowned.clear()
        if self.olm:
            # nio leaves out whom it sees in no encrypted room now: they are asked for again when they are met in one.
            self.olm.tracked_users.difference_update(response.device_list.changed, response.device_list.left)
        count = response.device_key_count.signed_curve25519
        if count is not None and self.olm:
            self.olm.uploaded_key_count = count  # nio overlooks a count of zero and then never uploads again

    @property
    def should_upload_keys(self) -> bool:
        return bool(super().should_upload_keys or (self.olm and self.lacks_fallback_key))

    async def keys_upload(self) -> Any:
        """Saves the account before the POST: a repeat after a crash is then the same upload, and accepted."""
        keys = self._keys_due()
        self.olm.save_account()
        method, path, data = Api.keys_upload(self.access_token, keys)
        response = await self._send(KeysUploadResponse, method, path, data)
        if isinstance(response, KeysUploadResponse):
            self.lacks_fallback_key = False
        elif "already exists" in str(response.message):
            # An older copy of the store counts on from where it was: others have those names. The next ones may be free.
            log.warning(
                "the homeserver has other one-time keys under the same names; new ones are made: is the store a copy?"
            )
            self.olm.account.mark_keys_as_published()
            self.olm.save_account()
        else:
            log.warning("keys were not taken: %s", response.status_code or response.message)
        return response

    def _keys_due(self) -> dict[str, Any]:
        """What the server lacks. Keys that were made for an upload that failed are offered again, not multiplied."""
        account, raw = self.olm.account, self.olm.account._account
        due: dict[str, Any] = {}
        if not account.shared:
            due["device_keys"] = self._signed(self._device_keys())
        there = (self.olm.uploaded_key_count or 0) if account.shared else 0
        wanted = account.max_one_time_keys - there - len(raw.one_time_keys)
        if wanted > 0:
            account.generate_one_time_keys(wanted)
        if raw.one_time_keys:
            due["one_time_keys"] = {
                f"signed_curve25519:{name}": self._signed({"key": key.to_base64()})
                for name, key in raw.one_time_keys.items()
            }
        if self.lacks_fallback_key:
            if not raw.fallback_key:
                raw.generate_fallback_key()
            due["fallback_keys"] = {
                f"signed_curve25519:{name}": self._signed({"key": key.to_base64(), "fallback": True})
                for name, key in raw.fallback_key.items()
            }
        return due

    def _device_keys(self) -> dict[str, Any]:
        keys = self.olm.account.identity_keys
        return {
            "algorithms": self.olm._algorithms,
            "device_id": self.device_id,
            "user_id": self.user_id,
            "keys": {f"{kind}:{self.device_id}": keys[kind] for kind in ("curve25519", "ed25519")},
        }

    def _signed(self, thing: dict[str, Any]) -> dict[str, Any]:
        return thing | {"signatures": {self.user_id: {f"ed25519:{self.device_id}": self.olm.sign_json(thing)}}}

    async def ready_to_encrypt(self, room_id: str) -> None:
        """Knows members and their devices before something is encrypted for them; nio goes on without. Raises Retry."""
        room = self.rooms.get(room_id)
        if room is None:
            raise LocalProtocolError(f"not in {room_id} any more")
        if not room.encrypted:
            return
        if not room.members_synced:
            answer = await self.joined_members(room_id)
            if not isinstance(answer, JoinedMembersResponse):
                raise trouble(f"members of {room_id}", answer, RoomTrouble)
        if (self.olm.users_for_key_query & set(room.users)) - self._silent:
            await self._devices_known()

    async def keys_query(self) -> Any:
        """Remembers whose homeserver said nothing: no sending waits for those again; the next sync asks once more."""
        asked = set(self.olm.users_for_key_query)
        answer = await super().keys_query()
        if isinstance(answer, KeysQueryResponse):
            self._silent = asked & self.olm.users_for_key_query
            self._bring_back(answer)
        return answer

    def _bring_back(self, answer: KeysQueryResponse) -> None:
        """A device that was deleted and is there again with its old keys counts; for nio it is gone for ever."""
        for user_id, devices in answer.device_keys.items():
            known = self.device_store[user_id]
            back = {name: known[name] for name in devices if name in known and known[name].deleted}
            for device in back.values():
                device.deleted = device.curve25519 != devices[device.id]["keys"][f"curve25519:{device.id}"]
            if back:
                self.store.save_device_keys({user_id: back})

    async def learn(self, *users: str) -> None:
        """Asks for the devices of these people now, whatever is known of them. Raises Retry."""
        self.olm.users_for_key_query.update(users)
        await self._devices_known()

    async def _devices_known(self) -> None:
        answer = await self.keys_query()
        if not isinstance(answer, KeysQueryResponse):
            raise Retry(f"keys/query: {answer.status_code or answer.message}")

    async def share_group_session(self, room_id: str, ignore_unverified_devices: bool = False) -> Any:
        """Leaves no room behind that waits for ever for a sharing that failed, nor one that believes it worked."""
        self._unshared.discard(room_id)
        try:
            shared = await super().share_group_session(room_id, ignore_unverified_devices)
        except BaseException as error:
            waiting = self.sharing_session.pop(room_id, None)
            if waiting is not None:
                waiting.set()
            if isinstance(error, KeyError) and room_id not in self.olm.outbound_group_sessions:
                # nio takes a key away when it has just been shared and somebody leaves, and then looks for it.
                raise RoomTrouble(f"the members of {room_id} changed while its key was shared") from error
            raise
        if room_id in self._unshared:
            session = self.olm.outbound_group_sessions.get(room_id)
            if session is not None:
                session.shared = False  # the next try goes to those who are left
            raise RoomTrouble(f"the key of {room_id} did not reach every device")
        return shared

    async def keys_claim(self, user_set: Any) -> Any:
        """Raises Retry when the homeserver gives no answer; nio would leave those devices without the room's key."""
        answer = await super().keys_claim(user_set)
        if not isinstance(answer, KeysClaimResponse):
            raise trouble("keys/claim", answer, RoomTrouble)
        return answer

    async def _send(self, response_class: type, *args: Any, **more: Any) -> Any:
        """Notes which room keys did not arrive: nio throws those failures away."""
        if response_class is not ShareGroupSessionResponse:
            return await super()._send(response_class, *args, **more)
        room_id = (args[3] if len(args) > 3 else more["response_data"])[0]
        arrived = False
        try:
            response = await super()._send(response_class, *args, **more)
            arrived = isinstance(response, ShareGroupSessionResponse)
        finally:
            if not arrived:
                self._unshared.add(room_id)
        return response

    async def owns(self, sender: str, sender_key: str) -> bool:
        """Whether the key that encrypted a message belongs to a device of its sender; nio never looks. Raises Retry.

        Who has cross-signing keys says with them which devices are theirs: one that only the homeserver tells of is none.
        """
        if sender == self.user_id and sender_key == self.olm.account.identity_keys["curve25519"]:
            return True
        if self._vouched(sender, sender_key) and (sender in self.owners or sender in self._silent):
            return True
        if sender == self.user_id and self.device_store.device_from_sender_key(sender, sender_key) is None:
            return False
        if (sender, sender_key) in self._disowned:  # a flood of one session is one question for each sync
            return False
        self.olm.users_for_key_query.add(sender)
        await self._devices_known()
        if self._vouched(sender, sender_key):
            return True
        self._disowned.add((sender, sender_key))
        return False

    def _vouched(self, sender: str, sender_key: str) -> bool:
        """Whether this is the key of a device of theirs, as far as is known now."""
        device = self.device_store.device_from_sender_key(sender, sender_key)
        if device is None or device.blacklisted:
            return False
        said = self.owners.get(sender)
        if said is None:  # a homeserver that says nothing at all must not get further than with the truth
            return bool(device.verified or not self.pinned(sender))
        return bool(device.verified or said.master is None or sender_key in said.keys)

    async def aclose(self) -> None:
        """Closes the HTTP session and the key store."""
        await self.close()
        if self.store is not None:
            self.store.database.close()
        await asyncio.sleep(0)  # lets aiohttp's connections end before the loop does


def trouble(what: str, answer: Any, own: type[Retry]) -> Retry:
    """What a refusal means for other rooms: nothing, when the homeserver itself has said no to this one (`own`)."""
    status = answer.transport_response.status if answer.transport_response else 0
    said_by_it = answer.status_code not in PASSING and status not in GATEWAY
    return (own if said_by_it else Retry)(
        f"{what}: {answer.status_code or answer.message}", (answer.retry_after_ms or 0) / 1000
    )
