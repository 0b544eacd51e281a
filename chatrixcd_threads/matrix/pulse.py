"""When the homeserver was heard and answered last, and how often it has slowed the bot down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

KEPT: Final = 1_000


class Pulse:
    """Owner: the sync thread. Others read single values. Times are seconds since the epoch, 0: not yet."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.synced_at = 0.0
        self.sent_at = 0.0
        self.slowed_until = 0.0
        self._now = now
        self._slowed: deque[float] = deque(maxlen=KEPT)

    def synced(self) -> None:
        """A sync was handled."""
        self.synced_at = self._now()

    def sent(self) -> None:
        """The homeserver has taken a message."""
        self.sent_at = self._now()

    def slow_down(self, seconds: float) -> None:
        """The homeserver wants the bot to wait."""
        self._slowed.append(self._now())
        self.slowed_until = self._now() + seconds

    def slowed(self, seconds: float) -> int:
        """How often in the last so many seconds, as far as is kept."""
        since = self._now() - seconds
        return sum(each > since for each in tuple(self._slowed))
