"""matrix-nio behind guards: junk from strangers ends nothing, forged state is not believed, keys survive a crash.

Each guard closes a hole that was seen in nio 0.26; the tests in tests/faults send the real junk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from nio import (
    Api,
    AsyncClient,
    AsyncClientConfig,
    KeysUploadResponse,
    KeyVerificationEvent,
    MegolmEvent,
    RoomMessagesResponse,
    SyncResponse,
)

log = logging.getLogger("chatrixcd.matrix")

Result = TypeVar("Result")

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
            kind, payload = decrypted.source.get("type"), decrypted.source
        except Exception as error:  # noqa: BLE001 - see _guarded; here the event must be remembered as junk
            log.warning("the payload of %s is junk (%s)", event.event_id, type(error).__name__)
            self.refused.add(event.event_id)
            return None
        if "state_key" in payload or not (kind in IN_PAYLOAD or str(kind).startswith("m.key.verification.")):
            log.warning(
                "%s hides a %s of %s in an encrypted payload; it is refused", event.event_id, kind, event.sender
            )
            self.refused.add(event.event_id)
            return None
        return decrypted

    def _handle_olm_events(self, response: SyncResponse) -> None:
        super()._handle_olm_events(response)
        count = response.device_key_count.signed_curve25519
        if count is not None and self.olm:
            self.olm.uploaded_key_count = count  # nio overlooks a count of zero and then never uploads again

    async def keys_upload(self) -> Any:
        """Saves the account before the POST: a repeat after a crash is then the same upload, and accepted."""
        keys = self.olm.share_keys()
        self.olm.save_account()
        method, path, data = Api.keys_upload(self.access_token, keys)
        return await self._send(KeysUploadResponse, method, path, data)

    async def share_group_session(self, room_id: str, ignore_unverified_devices: bool = False) -> Any:
        """Leaves no room behind that waits for ever for a sharing that failed."""
        try:
            return await super().share_group_session(room_id, ignore_unverified_devices)
        except BaseException:
            waiting = self.sharing_session.pop(room_id, None)
            if waiting is not None:
                waiting.set()
            raise

    async def owns(self, sender: str, sender_key: str) -> bool:
        """Whether the key that encrypted a message belongs to a device of its sender; nio never looks."""
        if self.device_store.device_from_sender_key(sender, sender_key) is not None:
            return True
        if sender == self.user_id:
            return bool(sender_key == self.olm.account.identity_keys["curve25519"])
        self.olm.users_for_key_query.add(sender)
        await self.keys_query()
        return self.device_store.device_from_sender_key(sender, sender_key) is not None

    async def aclose(self) -> None:
        """Closes the HTTP session and the key store."""
        await self.close()
        if self.store is not None:
            self.store.database.close()
        await asyncio.sleep(0)  # lets aiohttp's connections end before the loop does
