"""How late the sync thread's loop is: what was due at a moment, and when it got its turn."""

from __future__ import annotations

import asyncio
from typing import Final

STEP_SECONDS: Final = 1.0  # each wake-up costs 0.15 ms of CPU, and the idle bot has little to give
KEPT: Final = 240  # four minutes


class LoopLag:
    """Owner: the sync thread. `figures` may be called from any thread: it copies a list that never changes its size."""

    def __init__(self) -> None:
        self._late = [0.0] * KEPT
        self._count = 0
        self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to measure on this loop."""
        self.stop()
        self._loop = loop
        self._arm(loop)

    def stop(self) -> None:
        """Measures no more; what was measured stays."""
        if self._handle is not None:
            self._handle.cancel()
        self._loop = self._handle = None

    def figures(self) -> tuple[float, float, int]:
        """Median and 99th of 100 of the last measurements, in seconds, and how many these are."""
        count = self._count
        late = sorted(self._late[: min(count, KEPT)])
        if not late:
            return 0.0, 0.0, 0
        last = len(late) - 1
        return late[last // 2], late[round(last * 0.99)], len(late)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + STEP_SECONDS
        self._handle = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._late[self._count % KEPT] = max(0.0, loop.time() - self._due)
        self._count += 1
        self._arm(loop)
