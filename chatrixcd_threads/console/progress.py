"""How far followed tasks are: since when they run, how long their template usually takes, what they wait for.

Only Semaphore knows, so it is asked in a worker, a few tasks at a time, and only while somebody looks at the board.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.models import NOT_YET_RUN, Task
from chatrixcd_threads.threads.lanes import Job, Lanes

AT_ONCE: Final = 5  # tasks in one job
AGAIN_SECONDS: Final = 5.0  # for a task that waits, or of which nothing is known yet
USUAL_SECONDS: Final = 300.0  # how long a template's usual time counts
NEWEST: Final = 50  # earlier tasks of a template that are looked at
RUNS: Final = 10  # successful ones of them that count

Key = tuple[int, int]
"""Project and task."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a task, as `TaskLine` has it; `status` and `at` say when that was."""

    started: float = 0.0
    usual: float = 0.0
    earlier: int = -1
    waits_for: str = ""
    status: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Usual:
    seconds: float
    runs: int
    at: float


NOTHING: Final = Facts()


class Progress:
    """Owner: the ui thread, which asks; one job at a time replaces single entries, and nobody else does."""

    def __init__(
        self,
        semaphore: Callable[[], Semaphore],
        lanes: Lanes,
        poke: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._semaphore, self._lanes, self._poke, self._now = semaphore, lanes, poke, now
        self._facts: dict[Key, Facts] = {}
        self._usual: dict[Key, _Usual] = {}  # by project and template; only the job touches it
        self._busy = False

    def of(self, key: Key) -> Facts:
        """What is known by now."""
        return self._facts.get(key, NOTHING)

    def want(self, tasks: Iterable[tuple[Key, str]]) -> None:
        """These tasks (with their statuses) are on the board: has looked up what is missing or old."""
        wanted = dict(tasks)
        for key in [each for each in self._facts if each not in wanted]:
            self._facts.pop(key, None)
        due = [key for key, status in wanted.items() if self._is_due(key, status)][:AT_ONCE]
        if not due or self._busy:
            return
        statuses = {key: wanted[key] for key in due}
        self._busy = True  # first: the job may have ended before `submit` returns
        if not self._lanes.submit(Job(("console", "progress"), "progress of tasks", lambda: self._look(statuses))):
            self._busy = False

    def _is_due(self, key: Key, status: str) -> bool:
        known = self._facts.get(key)
        if known is None or known.status != status:
            return True
        return (known.started == 0.0 or known.earlier < 0) and self._now() - known.at >= AGAIN_SECONDS

    def _look(self, statuses: dict[Key, str]) -> None:
        before = {key: self._facts.get(key) for key in statuses}
        try:
            for key, status in statuses.items():
                self._facts[key] = self._facts_of(key, status)
        except SemaphoreError:  # the others are looked at another time too: it would take as long for each
            for key, status in statuses.items():
                known = self._facts.get(key, NOTHING)
                self._facts[key] = Facts(
                    known.started, known.usual, known.earlier, known.waits_for, status, self._now()
                )
        finally:
            self._busy = False
        if any(_said(self._facts.get(key)) != _said(known) for key, known in before.items()):
            self._poke()

    def _facts_of(self, key: Key, status: str) -> Facts:
        project, number = key
        semaphore = self._semaphore()
        task = semaphore.task(project, number)
        waits = task.status in NOT_YET_RUN
        usual = self._usual.get((project, task.template_id))
        others: list[Task] = []
        if waits or usual is None or self._now() - usual.at >= USUAL_SECONDS:
            others = [each for each in semaphore.template_tasks(project, task.template_id, NEWEST) if each.id != number]
            usual = self._usual[project, task.template_id] = _usual_of(others, self._now())
        waits_for = self._reason(semaphore, project, task, others) if task.status == "waiting" else ""
        started = task.start.timestamp() if task.start is not None and not waits else 0.0
        return Facts(started, usual.seconds, usual.runs, waits_for, status, self._now())

    def _reason(self, semaphore: Semaphore, project: int, task: Task, others: list[Task]) -> str:
        """Why it does not begin, by Semaphore's rules (API.md 5.4); empty where none of them explains it."""
        running = [each for each in others if _holds_a_place(each)]
        if running and not semaphore.template(project, task.template_id).allow_parallel_tasks:
            return f"#{running[0].id}, of the same template"
        most = semaphore.project(project).max_parallel_tasks
        if most > 0:
            taken = sum(map(_holds_a_place, semaphore.tasks(project, NEWEST)))
            if taken >= most:
                return f"a place: {taken} of {most} tasks of the project run"
        return ""


def _said(known: Facts | None) -> Facts | None:
    """What is drawn of it: when it was read is not."""
    return None if known is None else replace(known, at=0.0)


def _holds_a_place(task: Task) -> bool:
    return not task.finished and task.status not in NOT_YET_RUN


def _usual_of(tasks: list[Task], now: float) -> _Usual:
    """The median of the newest successful runs."""
    took = [
        (each.end - each.start).total_seconds()
        for each in tasks
        if each.status == "success" and each.start is not None and each.end is not None and each.end >= each.start
    ][:RUNS]
    return _Usual(statistics.median(took) if took else 0.0, len(took), now)
