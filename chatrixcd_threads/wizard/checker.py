"""Tries answers in a thread of its own, so that whoever shows the questions never waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.threads.service import Service
from chatrixcd_threads.wizard.doors import Doors, Stopped
from chatrixcd_threads.wizard.engine import Attempt
from chatrixcd_threads.wizard.steps import Found

BROKEN: Final = "The check has failed by a mistake in this program. Its report is shown when you leave with Ctrl-C."


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of an attempt: what it found, or the sentence of the problem (empty when the person stopped it)."""

    attempt: Attempt
    found: Found | None
    problem: str = ""


class Checker(Service):
    """Owner: the check thread. `try_` and `give_up` may be called from any thread; `news` is read by the face."""

    name = "check"

    def __init__(self, doors: Doors, heard: Callable[[], None]) -> None:
        self._doors, self._heard = doors, heard
        self._todo: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self.news: queue.SimpleQueue[str | Tried] = queue.SimpleQueue()

    def try_(self, attempt: Attempt) -> None:
        """Begins with it; lines and the outcome come as news."""
        self._todo.put(attempt)

    def give_up(self) -> None:
        """Ends a check that waits for the homeserver. Semaphore's answers have a short time limit of their own."""
        self._doors.matrix.cancel()

    def wake(self) -> None:
        """Ends `run` after its stop event was set."""
        self._todo.put(None)
        self.give_up()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """One attempt after the other."""
        while (attempt := self._todo.get()) is not None and not stop.is_set():
            outcome = Tried(attempt, None, BROKEN)
            try:
                outcome = self._tried(attempt)
            finally:
                self._tell(outcome)

    def _tried(self, attempt: Attempt) -> Tried:
        try:
            return Tried(attempt, attempt.run(self._doors, self._tell))
        except Stopped:
            return Tried(attempt, None)
        except UserError as error:
            return Tried(attempt, None, error.sentence)

    def _tell(self, news: str | Tried) -> None:
        self.news.put(news)
        self._heard()
