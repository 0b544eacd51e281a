"""One turn of our own sync loop: ask, fill gaps, commit commands and token together, hand over, look after the keys."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from nio import LocalProtocolError, SyncResponse

from chatrixcd_threads.events import Incoming
from chatrixcd_threads.journal import intake, opened, questions
from chatrixcd_threads.journal.db import Journal, Tx, get_meta, set_meta
from chatrixcd_threads.journal.intake import Heard
from chatrixcd_threads.matrix import gaps, inbound
from chatrixcd_threads.matrix.client import CRYPTO_TROUBLE, GuardedClient
from chatrixcd_threads.matrix.login import LoggedOut
from chatrixcd_threads.matrix.patience import Retry

log = logging.getLogger("chatrixcd.sync")

POLL_MS: Final = 30_000
GAP_TRIES: Final = 8  # with the pauses between them some 45 s
TOKEN_TRIES: Final = 5
FIRST_SYNC_SECONDS: Final = 180.0  # with full_state nio sets no time limit of its own
TROUBLE: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError, LocalProtocolError)

# `m.room.encryption` must be in the timeline filter: without it the bot would go on in clear when it is switched on.
STATE: Final = [
    "m.room.create",
    "m.room.encryption",
    "m.room.member",
    "m.room.name",
    "m.room.canonical_alias",
    "m.room.tombstone",
    "m.room.power_levels",
]
FILTER: Final[dict[str, Any]] = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "timeline": {
            "limit": 50,
            "lazy_load_members": True,
            "types": [
                *STATE,
                "m.room.message",
                "m.room.encrypted",
                "m.reaction",
                "m.room.redaction",
                "m.key.verification.*",
            ],
        },
        "state": {"lazy_load_members": True, "types": STATE},
        "ephemeral": {"types": []},
        "account_data": {"types": []},
    },
}


async def tend_keys(client: GuardedClient) -> None:
    """What nio wants to send after a sync: to-device messages, one-time keys, questions about devices."""
    try:
        await client.send_to_device_messages()
        if client.should_upload_keys:
            await client.keys_upload()
        if client.should_query_keys:
            await client.keys_query()
        if client.should_claim_keys:
            await client.keys_claim(client.get_users_for_key_claiming())
    except (Retry, *CRYPTO_TROUBLE, *TROUBLE) as error:
        log.warning("keys could not be looked after now: %s", str(error) or type(error).__name__)


class Syncer:
    """Owner: the sync thread's loop. The token is the journal's; nio's own is overwritten before each turn."""

    def __init__(
        self,
        client: GuardedClient,
        journal: Journal,
        prefix: Callable[[], str],
        keep: Callable[[str, str], None] = lambda event_id, words: None,
        also: Callable[[Tx, SyncResponse], None] = lambda tx, response: None,
    ) -> None:
        self._client, self._journal, self._prefix, self._keep = client, journal, prefix, keep
        self._also = also  # what else of a sync must not be lost
        self._refusals = 0  # of the token, one after the other
        self._gap_tries: dict[str, int] = {}  # since the last sync that was taken over
        self._filter: str | dict[str, Any] = FILTER
        self._first = True
        self._token_key = intake.token_key(client.user_id, client.homeserver)

    async def turn(self) -> tuple[list[Incoming], SyncResponse]:
        """Returns the newly accepted events (already in the journal) and the response. Raises Retry or LoggedOut."""
        since = get_meta(self._journal.read(), self._token_key) or ""
        response = await self._ask(since)
        heard: list[Heard] = []
        clock = inbound.clock_of(time.time(), _date(response))
        if since:  # without a token this is the first start: everything in it is history
            heard = await self._heard(response, since, clock)
        with self._journal.write() as tx:
            fresh = intake.commit(tx, heard, self._token_key, response.next_batch, self._keep)
            self._also(tx, response)
            if self._first:
                opened.fold(tx)
        self._gap_tries.clear()
        self._client.refused.clear()
        self._first = False
        return fresh, response

    async def keys(self) -> None:
        """What nio wants to send after a sync."""
        await tend_keys(self._client)

    async def _ask(self, since: str) -> SyncResponse:
        client = self._client
        client.next_batch = (
            ""  # nio ignores a response with the token it knows, also the full state after a quiet restart
        )
        try:
            response = await asyncio.wait_for(
                client.sync(0 if self._first else POLL_MS, self._filter, since or None, full_state=self._first),
                FIRST_SYNC_SECONDS,
            )
        except TROUBLE as error:
            raise Retry(f"sync: {type(error).__name__}") from error
        except Exception as error:  # nio raises anything when an answer is not what it expects
            log.exception("the homeserver's answer could not be handled")
            raise Retry(f"sync: {type(error).__name__}") from error
        if isinstance(response, SyncResponse):
            self._refusals = 0
            return response
        status = response.transport_response.status if response.transport_response else 0
        if since and status == 400 and response.status_code:
            self._refused(response)
        if response.status_code in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN") or not client.logged_in:
            raise LoggedOut
        raise Retry(f"sync: {response.status_code or response.message}", (response.retry_after_ms or 0) / 1000)

    async def _heard(self, response: SyncResponse, since: str, clock: inbound.Clock) -> list[Heard]:
        heard: list[Heard] = []
        withheld: gaps.Withheld | None = None
        for room_id, info in response.rooms.join.items():
            if not room_id.startswith("!"):
                continue  # no room has such an id; the console's must not be spoken in from outside
            try:
                heard += await self._room(room_id, info.timeline, since, clock)
            except gaps.Withheld as trouble:
                withheld = trouble  # the others are asked all the same: many such rooms take no longer than one
        if withheld is not None:
            raise withheld
        return heard

    def _refused(self, response: Any) -> None:
        """A homeserver that was put back from a backup, or is another program now, may not know the token any more, and
        would never again: after some tries it is forgotten, as at the first start."""
        self._refusals += 1
        if self._refusals < TOKEN_TRIES:
            return
        log.error(
            "the homeserver does not know where the last sync ended (%s): what was said since then is not looked at",
            response.message,
        )
        self._refusals, self._first = 0, True
        with self._journal.write() as tx:
            set_meta(tx, self._token_key, "")

    async def _missed(self, room_id: str, prev_batch: str, since: str) -> list[Any]:
        """What came between. One room whose history the homeserver does not give must not make the bot deaf in all others."""
        try:
            return await gaps.fill(self._client, room_id, prev_batch, since)
        except gaps.Withheld as trouble:
            tries = self._gap_tries[room_id] = self._gap_tries.get(room_id, 0) + 1
            if tries < GAP_TRIES:
                raise
            log.error("%s, %d times: what was said there meanwhile is not looked at", trouble, tries)
            return []

    async def _room(self, room_id: str, timeline: Any, since: str, clock: inbound.Clock) -> list[Heard]:
        events = list(timeline.events)
        try:
            if timeline.limited and timeline.prev_batch:
                events[:0] = await self._missed(room_id, timeline.prev_batch, since)
            asked = questions.asked_for_secrets(self._journal.read(), room_id)
            return await inbound.heard(self._client, room_id, events, self._prefix(), clock=clock, asked=asked)
        except TROUBLE as error:
            raise Retry(f"{room_id}: {type(error).__name__}") from error


def _date(response: SyncResponse) -> str:
    transport = response.transport_response
    return str(transport.headers.get("Date", "")) if transport is not None else ""
