"""Starts the tasks of active schedules (API.md section 13). A minute may be shorter than sixty seconds."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta

from chatrixcd_threads.demo.semaphore import cron
from chatrixcd_threads.demo.semaphore.pool import Pool, PostFailedError
from chatrixcd_threads.demo.semaphore.store import Row, Store

STEP = 0.25


class Scheduler:
    """One loop over all schedules."""

    def __init__(self, store: Store, pool: Pool) -> None:
        self._store = store
        self._pool = pool
        self._speed = 60.0 / store.profile.minute
        self._begin = datetime.now(UTC)
        self._origin = time.monotonic()
        self._minute = self._begin.replace(second=0, microsecond=0)
        self._due: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    def _now(self) -> datetime:
        return self._begin + timedelta(seconds=(time.monotonic() - self._origin) * self._speed)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(STEP / self._speed if self._speed > 1 else STEP)
            now = self._now()
            new_minute = now.replace(second=0, microsecond=0) > self._minute
            if new_minute:
                self._minute = now.replace(second=0, microsecond=0)
            for row in self._store.objects["schedules"]:
                if row["active"] and self._is_due(row, now, new_minute=new_minute):
                    self._fire(row)

    def _is_due(self, row: Row, now: datetime, *, new_minute: bool) -> bool:
        seconds = cron.every(row["cron_format"])
        if seconds is None:
            return new_minute and cron.fires(row["cron_format"], now)
        due = self._due.setdefault(id(row), now + timedelta(seconds=seconds))
        if now < due:
            return False
        self._due[id(row)] = due + timedelta(seconds=seconds)
        return True

    def _fire(self, row: Row) -> None:
        task: Row = {"project_id": row["project_id"], "template_id": row["template_id"]}
        if self._store.profile.schedule_id_shown:
            task["schedule_id"] = row["id"]
        with contextlib.suppress(PostFailedError):
            self._pool.add(task, None)
