"""From a confirmed launch to a known task: posted once, and looked for instead of posted again.

The launch's token stands in the task's `message`. After a lost answer, an error of the server or a crash in `sending`,
the newest tasks of the template are searched for the token. Nothing is ever posted twice by itself; when it cannot be
told whether a task was started, the room is told exactly that (API.md 20.4).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.gates import differences
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.semaphore.stopping import doubt_of, stop_when_started

log = logging.getLogger("chatrixcd.launch")

LOOKS = 3
PAUSE = 1.0  # seconds between two looks for a task whose POST was not answered
NEWEST = 50
OVER = "It was over before I could stop it."
NOT_STARTED = frozenset({400, 401, 403, 404})  # answers after which there is no task


@dataclass(frozen=True, slots=True)
class Started:
    """The task of a launch. `found` is true when it was found by its token after an unclear answer."""

    task_id: int
    found: bool


class Mismatch(UserError):
    """Semaphore made another task than the one that was asked for; it was asked to stop it at once."""


class InDoubt(UserError):
    """Nobody can say whether the task was started; what was looked at is in the sentence."""


class Launcher:
    """Any worker thread; all state is in the journal."""

    def __init__(
        self,
        journal: Journal,
        semaphore: Semaphore,
        now: Callable[[], float],
        started: Callable[[], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._journal, self._semaphore, self._now = journal, semaphore, now
        self._started, self._pause = started, pause

    def launch(self, token: str) -> Started:
        """Carries a confirmed launch on from wherever it stands. Raises UserError when there is no task to follow."""
        launch = launches.by_token(self._journal.read(), token)
        if launch is None:
            raise InDoubt("I lost the record of this launch, so I did nothing. Please ask again.")
        match launch.state:
            case "started" if launch.task_id is not None:
                return Started(launch.task_id, found=False)
            case "mismatch" if launch.task_id is not None:
                raise self._stopped(launch, self._semaphore.task(launch.project_id, launch.task_id))
            case "confirmed":
                return self._post(launch)
            case "sending":
                return self._look(launch, "I was interrupted while I sent the launch to Semaphore.")
            case _:
                raise InDoubt(
                    f"This launch of {launch.template_name} has already ended as “{launch.state}”. Please ask again."
                )

    def _post(self, launch: Launch) -> Started:
        self._move(launch, "sending")
        try:
            task = self._semaphore.start(launch.project_id, launch.body)
        except SemaphoreError as error:
            log.warning("launch %s: %s", launch.token, error.kind)
            if not error.sent:
                self._move(launch, "failed")
                raise
            return self._look(launch, error.sentence, refused=error)
        return self._note(launch, task, found=False)

    def _look(self, launch: Launch, why: str, refused: SemaphoreError | None = None) -> Started:
        looked = 0
        ended = refused is not None and refused.status in NOT_STARTED
        for turn in range(1 if ended else LOOKS):
            if turn:
                self._pause(PAUSE)
            try:
                tasks = self._semaphore.template_tasks(launch.project_id, launch.template_id, NEWEST)
            except SemaphoreError:
                continue
            looked += 1
            found = [task for task in tasks if f"[{launch.token}]" in task.message]
            if found:
                return self._note(launch, found[0], found=True)
        if refused is not None and ended:
            self._move(launch, "failed")
            raise refused
        self._move(launch, "doubt")
        saw = (
            f"I looked {looked} times among its newest tasks and did not find it."
            if looked
            else "I cannot read its tasks either."
        )
        raise InDoubt(
            f"I do not know whether {launch.template_name} was started. {why} {saw} "
            f"Look in Semaphore for a task whose message contains {launch.token} before you run it again."
        )

    def _note(self, launch: Launch, task: Task, *, found: bool) -> Started:
        other = differences(launch.body, task)
        over = f" {OVER}" if task.finished else ""
        with self._journal.write() as tx:
            launches.move(tx, launch.id, "mismatch" if other else "started", self._now(), task.id)
            launches.follow(tx, launch, task.id, f"⛔ {'; '.join(other)}.{over}" if other else "")
        self._started()
        if other:
            raise self._stopped(launch, task)
        return Started(task.id, found)

    def _stopped(self, launch: Launch, task: Task) -> Mismatch:
        """Stops a task that is not the one asked for. Once: a finished one is left as it ended."""
        other = "; ".join(differences(launch.body, task)) or "another one than was asked for"
        done = OVER
        if not task.finished:
            try:
                known = msgspec.structs.replace(task, project_id=launch.project_id)
                task = stop_when_started(self._semaphore, known, pause=self._pause)
                asked = "I asked Semaphore to stop it at once, and say here when it has stopped."
                done = OVER if task.finished else " ".join(filter(None, (asked, doubt_of(task))))
            except SemaphoreError as error:
                done = f"I could not stop it: {error.sentence} Stop it in Semaphore."
        log.error("launch %s: task %d is not what was asked for: %s", launch.token, task.id, other)
        return Mismatch(
            f"⛔ Task #{task.id} ({launch.template_name}) is not what was asked for. {other}. {done} "
            "What it has started on its hosts may go on."
        )

    def _move(self, launch: Launch, state: str) -> None:
        with self._journal.write() as tx:
            launches.move(tx, launch.id, state, self._now())
