"""The log writer: frames go out at once, records are stored by one writer of limited speed (API.md section 11)."""

import asyncio
from collections import deque
from collections.abc import Callable

from chatrixcd_threads.demo.semaphore import clock
from chatrixcd_threads.demo.semaphore.profile import Profile
from chatrixcd_threads.demo.semaphore.store import Record, Row, Store

PAUSE = 0.02
BURST_SECONDS = 0.25

Send = Callable[[frozenset[int], Row], None]


def _readable(raw: bytes) -> tuple[str, bool]:
    """The text of a line, and whether PostgreSQL would take it."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), False
    return text, "\0" not in text


class Writer:
    """Takes the lines of all tasks of one server."""

    def __init__(self, store: Store, send: Send, stamp: Callable[[int], str | None]) -> None:
        self._store = store
        self._profile: Profile = store.profile
        self._send = send
        self._stamp = stamp
        self._pending: deque[tuple[float, int, Record]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._credit = self._profile.flush_rate * BURST_SECONDS
        self._credited = 0.0
        self._frozen = False

    @property
    def overfull(self) -> bool:
        """Is the buffer of the records that are not stored yet full?"""
        return 0 < self._profile.log_buffer <= len(self._pending)

    async def room(self) -> None:
        """Returns once the buffer takes another record: whoever prints waits for that."""
        while self.overfull:
            await asyncio.sleep(PAUSE)

    def freeze(self) -> None:
        """Store nothing more, until `forget`."""
        self._frozen = True

    def forget(self) -> None:
        """The server died: what was not stored is lost."""
        self._pending.clear()
        self._frozen = False

    def line(self, task: Row, audience: frozenset[int], raw: bytes) -> None:
        """One line of a task: to the websockets, then to the store."""
        text, storable = _readable(raw)
        moment = clock.now()
        frame = {
            "type": "log",
            "output": text,
            "project_id": task["project_id"],
            "task_id": task["id"],
            "time": self._stamp(moment),
        }
        self._send(audience, frame)
        if storable or not self._profile.drop_bad_bytes:
            self._keep(task["id"], Record(moment, text))

    def _keep(self, task_id: int, record: Record) -> None:
        if not self._pending and not self._profile.slow_flush and self._spend():
            self._store.output[task_id].append(record)
            return
        due = asyncio.get_running_loop().time() + self._profile.slow_flush
        self._pending.append((due, task_id, record))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._flush())

    def _spend(self) -> bool:
        """May one more record be stored now?"""
        rate = self._profile.flush_rate
        if rate <= 0:
            return True
        now = asyncio.get_running_loop().time()
        earned = (now - self._credited) * rate if self._credited else 0.0
        self._credit = min(rate * BURST_SECONDS, self._credit + earned)
        self._credited = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            while self._pending and not self._frozen and self._pending[0][0] <= loop.time() and self._spend():
                _, task_id, record = self._pending.popleft()
                self._store.output[task_id].append(record)
            await asyncio.sleep(PAUSE)

    def stop(self) -> None:
        """End the writer's task."""
        if self._task is not None:
            self._task.cancel()
