"""How long to wait before the next try."""

from __future__ import annotations

import random

LONGEST = 30.0
FIRST = 0.5


class Retry(Exception):
    """It did not work now and may work later. `after` is what the server asked for, in seconds."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class RoomTrouble(Retry):
    """The homeserver is there, and what did not work concerns one room alone."""


class Backoff:
    """Doubling pauses with jitter, so that many clients do not come back at the same moment."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._failures = 0

    def worked(self) -> None:
        """The next failure starts from the shortest pause again."""
        self._failures = 0

    def pause(self, asked: float = 0.0) -> float:
        """Seconds to wait after one more failure; never less than the server asked for."""
        self._failures += 1
        bound = min(LONGEST, FIRST * 2 ** min(self._failures - 1, 10))
        return max(asked, float(bound * self._rng.uniform(0.5, 1.0)))
