"""When Semaphore answered last, and how often it did not answer in time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

KEPT: Final = 100


class Pulse:
    """Any thread: each value is one reference or one append; nobody takes a decision from it."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.answered_at = 0.0  # seconds since the epoch; 0: not yet
        self._now = now
        self._timeouts: deque[float] = deque(maxlen=KEPT)

    def answered(self) -> None:
        """Semaphore gave the answer that was expected."""
        self.answered_at = self._now()

    def timed_out(self) -> None:
        """The time for a whole call was used up."""
        self._timeouts.append(self._now())

    def timeouts(self, seconds: float) -> int:
        """How often in the last so many seconds, as far as is kept."""
        since = self._now() - seconds
        return sum(each > since for each in tuple(self._timeouts))
