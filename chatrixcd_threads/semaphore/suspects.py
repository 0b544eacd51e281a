"""Which followed tasks have to be looked at closely, and when: those that wait for long, and those that were left
behind when Semaphore did not answer for a while (API.md 5.4: a restart forgets its tasks and leaves their rows)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from chatrixcd_threads.events import TaskStill
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.journal.stills import Still

LOOK_SECONDS: Final = 30.0  # between two looks at one task
WAITS_SECONDS: Final = 30.0  # a task that waits is looked at for the first time after so long
QUEUED: Final = "waiting"


class Suspects:
    """Owner: the follower thread. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._away = 0.0  # since when Semaphore does not answer; 0: it does
        self._left: set[int] = set()  # follow ids of tasks that could not be read while it did not
        self._gaps: dict[int, tuple[float, float]] = {}
        self._waits: dict[int, float] = {}
        self._due: dict[int, float] = {}

    def recall(self, known: Iterable[Still]) -> None:
        """What an earlier life suspected."""
        self._gaps = {each.follow_id: (each.away, each.back) for each in known}

    def silent(self, follows: Iterable[Follow], now: float) -> None:
        """A whole round brought no answer."""
        self._away = self._away or now
        self._left.update(each.id for each in follows)

    def answered(self, follows: Iterable[Follow], going: Mapping[int, str], now: float) -> Iterator[TaskStill]:
        """A round with answers: `going` are the tasks that were read and are not over, with their statuses."""
        if self._away:
            self._gaps.update(dict.fromkeys(self._left, (self._away, now)))
            for each in self._left:
                self._due.pop(each, None)
            self._away, self._left = 0.0, set()
        known = {each.id: each for each in follows}
        for kept in (self._gaps, self._waits, self._due):
            for gone in kept.keys() - known.keys():
                del kept[gone]
        for follow_id, status in going.items():
            yield from self._looked_at(known[follow_id], status, now)

    def _looked_at(self, follow: Follow, status: str, now: float) -> Iterator[TaskStill]:
        waits = self._waits.setdefault(follow.id, now) if status == QUEUED else 0.0
        if not waits:
            self._waits.pop(follow.id, None)
        away, back = self._gaps.get(follow.id, (0.0, 0.0))
        if not back and (not waits or now - waits < WAITS_SECONDS):
            return
        if now >= self._due.get(follow.id, 0.0):
            self._due[follow.id] = now + LOOK_SECONDS
            yield TaskStill(follow.id, follow.project_id, follow.task_id, away, back, waits)
