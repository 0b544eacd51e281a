"""Sends what the outbox holds: in order per room, at the homeserver's pace, each transaction id with one content."""

from __future__ import annotations

import asyncio
import html
import io
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from nio import LocalProtocolError, RoomRedactResponse, RoomSendResponse, UploadResponse

from chatrixcd_threads.journal import outbox
from chatrixcd_threads.journal.db import Journal, get_meta
from chatrixcd_threads.journal.outbox import Sending
from chatrixcd_threads.matrix import content
from chatrixcd_threads.matrix.client import CRYPTO_TROUBLE, GATEWAY, GuardedClient
from chatrixcd_threads.matrix.login import LoggedOut
from chatrixcd_threads.matrix.patience import Backoff, Retry, RoomTrouble
from chatrixcd_threads.matrix.pulse import Pulse

log = logging.getLogger("chatrixcd.outbound")

AT_ONCE: Final = 8  # rooms in parallel
AT_ONCE_LIMITED: Final = 1  # while the homeserver slows us down: more would only be refused
LIMITED_FOR: Final = 60.0  # seconds after the last 429
LEAST_WAIT_MS: Final = 100
UNTOLD_WAIT_MS: Final = 5_000  # when a 429 names no time

# Statuses of 4xx that a repeat may change; the others, with an error code of Matrix, are final.
PASSING: Final = frozenset({401, 408, 425, 429})
# They are about the bot's account or the whole homeserver, and an admin of it can end them.
ACCOUNT: Final = frozenset({"M_RESOURCE_LIMIT_EXCEEDED", "M_USER_SUSPENDED", "M_USER_LOCKED", "M_CONSENT_NOT_GIVEN"})
UNRELATED: Final = 400  # among others for a relation to an event that it does not know, or that begins no thread
TOO_LARGE: Final = 413
TROUBLE: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Sender:
    """Owner: the sync thread's loop. `wake` may be called from any thread through call_soon_threadsafe."""

    def __init__(
        self, client: GuardedClient, journal: Journal, clock: Callable[[], float], pulse: Pulse | None = None
    ) -> None:
        self._client, self._journal, self._clock = client, journal, clock
        self._pulse = pulse or Pulse()
        self._id = get_meta(journal.read(), "journal") or ""
        self._life = secrets.token_hex(4)
        self._due = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._not_before = 0.0
        self._limited_until = 0.0
        self._backoff = Backoff()
        self._turns: dict[str, int] = {}  # room -> the number of its last sending
        self._paused: set[str] = set()  # rooms whose own trouble concerns no other room
        self._room_backoff: dict[str, Backoff] = {}

    def wake(self) -> None:
        """There may be something to send. Called on the loop."""
        self._due.set()

    async def run(self) -> None:
        """Sends for ever. Raises LoggedOut; every other trouble of one sending is dealt with here."""
        while True:
            self._due.clear()
            await self._pause()
            if not self._start_one():
                await self._due.wait()
            for room_id in [room for room, task in self._busy.items() if task.done()]:
                self._busy.pop(room_id).result()  # raises LoggedOut and programming errors

    async def drained(self) -> None:
        """Returns once nothing is owed; for an ordered stop."""
        while outbox.owed(self._journal.read()):
            await asyncio.sleep(0.02)

    async def cancel(self) -> None:
        """Ends sendings under way; their transaction ids make a later repeat harmless."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _pause(self) -> None:
        while (wait := self._not_before - self._clock()) > 0:
            await asyncio.sleep(wait)

    def _start_one(self) -> bool:
        limit = AT_ONCE_LIMITED if self._clock() < self._limited_until else AT_ONCE
        if len(self._busy) >= limit:
            return False
        row_id = outbox.next_due(self._journal.read(), self._paused.union(self._busy), self._turns)
        if row_id is None:
            return False
        with self._journal.write() as tx:
            sending = outbox.begin(tx, row_id, self._life)
        self._turns[sending.room_id] = max(self._turns.values(), default=0) + 1
        task = asyncio.get_running_loop().create_task(self._send(sending))
        task.add_done_callback(lambda _: self._due.set())
        self._busy[sending.room_id] = task
        return True

    async def _send(self, sending: Sending) -> None:
        if sending.room_id not in self._client.rooms:
            self._fail(sending, "the bot is not in this room")
            return
        try:
            response = await self._put(sending)
        except LocalProtocolError as error:
            if not self._client.logged_in:
                raise LoggedOut from error  # a soft logout came while this was under way
            if sending.room_id not in self._client.rooms:
                self._fail(sending, "the bot is not in this room")
            else:
                self._later(str(error))  # members not known yet and the like
            return
        except (RoomTrouble, *CRYPTO_TROUBLE) as error:
            self._later_here(sending.room_id, str(error) or type(error).__name__)
            return
        except (Retry, *TROUBLE) as error:
            self._later(str(error) or type(error).__name__, error.after if isinstance(error, Retry) else 0.0)
            return
        if isinstance(response, RoomSendResponse | RoomRedactResponse):
            with self._journal.write() as tx:
                outbox.sent(tx, sending, response.event_id)
            self._pulse.sent()
            self._backoff.worked()
            self._room_backoff.pop(sending.room_id, None)
            return
        self._refused(sending, response)

    async def _put(self, sending: Sending) -> Any:
        row: dict[str, Any] = sending.content
        if "redacts" in row:
            txn = outbox.txn_id(self._id, sending.id, sending.version, sending.life)
            return await self._client.room_redact(sending.room_id, row["redacts"], row["reason"], txn)
        if sending.file is not None:  # a file cannot be edited: a newer one is a message of its own
            room = self._client.rooms[sending.room_id]
            data = sending.file
            answer, keys = await self._client.upload(
                lambda *_: io.BytesIO(data), "text/plain", row["file_name"], encrypt=room.encrypted, filesize=len(data)
            )
            if not isinstance(answer, UploadResponse):
                return answer
            body = content.file(row, answer.content_uri, keys)
        else:
            body = content.message(row, sending.edits)
        await self._client.ready_to_encrypt(sending.room_id)
        txn = outbox.txn_id(self._id, sending.id, sending.version, sending.life)
        return await self._client.room_send(
            sending.room_id, "m.room.message", body, txn, ignore_unverified_devices=True
        )

    def _refused(self, sending: Sending, response: Any) -> None:
        code = response.status_code or ""
        if code == "M_LIMIT_EXCEEDED":
            wait = max(_told_ms(response), LEAST_WAIT_MS) / 1000
            self._not_before = self._clock() + wait
            self._limited_until = self._not_before + LIMITED_FOR
            self._pulse.slow_down(wait)
            log.info("the homeserver slows us down: the next message goes out in %.1f s", wait)
        elif code in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"):
            raise LoggedOut
        elif code in ACCOUNT:
            self._later(f"{code}: {response.message}")
        elif _status(response) == TOO_LARGE:  # often said by a proxy, without a code of Matrix
            self._too_large(sending)
        elif _status(response) == UNRELATED and self._stands_alone(sending):
            log.warning("a message for %s goes out without its relation: %s", sending.room_id, response.message)
        elif code and 400 <= _status(response) < 500 and _status(response) not in PASSING:
            self._fail(sending, f"{code}: {response.message}")
        elif code and _status(response) not in GATEWAY:
            self._later_here(sending.room_id, f"{code}: {response.message}")
        else:
            self._later(str(response))

    def _too_large(self, sending: Sending) -> None:
        """No repeat makes it smaller. Of a file that cannot be had the room hears."""
        log.error("a message for %s is larger than its homeserver takes and was given up", sending.room_id)
        with self._journal.write() as tx:
            outbox.fail(tx, sending.id, "larger than the homeserver takes (413)")
            if sending.file is not None:
                row, size = sending.content, f"{len(sending.file):,} bytes"
                said = (
                    f"⚠ The file {row['file_name']} ({size}) did not come through: the homeserver takes none so large."
                )
                content = {
                    "plain": said,
                    "html": html.escape(said),
                    "mention": [],
                    "thread": row.get("thread"),
                    "reply_to": row.get("reply_to"),
                }
                outbox.put(tx, f"{sending.slot}/lost", sending.room_id, content, outbox.Priority.ANSWER)
        self._due.set()

    def _stands_alone(self, sending: Sending) -> bool:
        if "redacts" in sending.content:
            return False
        with self._journal.write() as tx:
            return outbox.stand_alone(tx, sending)

    def _later(self, reason: str, asked: float = 0.0) -> None:
        wait = self._backoff.pause(asked)
        self._not_before = max(self._not_before, self._clock() + wait)
        log.warning("the homeserver did not take a message (%s); the next try is in %.1f s", reason, wait)

    def _later_here(self, room_id: str, reason: str) -> None:
        """The homeserver itself has answered, so it is there: only this room waits."""
        wait = self._room_backoff.setdefault(room_id, Backoff()).pause()
        self._paused.add(room_id)
        asyncio.get_running_loop().call_later(wait, self._resume, room_id)
        log.warning("a message for %s was not taken (%s); the next try is in %.1f s", room_id, reason, wait)

    def _resume(self, room_id: str) -> None:
        self._paused.discard(room_id)
        self._due.set()

    def _fail(self, sending: Sending, reason: str) -> None:
        log.error("a message for %s cannot be sent and was given up: %s", sending.room_id, reason)
        with self._journal.write() as tx:
            outbox.fail(tx, sending.id, reason)


def _status(response: Any) -> int:
    return int(response.transport_response.status) if response.transport_response else 0


def _told_ms(response: Any) -> int:
    """How long the homeserver wants us to wait; Synapse says 0 when the time has come while it was refusing."""
    if response.retry_after_ms is not None:
        return int(response.retry_after_ms)
    value = response.transport_response.headers.get("Retry-After", "") if response.transport_response else ""
    return int(value) * 1000 if value.isdigit() else UNTOLD_WAIT_MS
