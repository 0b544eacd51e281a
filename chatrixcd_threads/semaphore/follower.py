"""The follower: one thread that watches every followed task and reports new states.

It only reads statuses; telling the room (and reading the output for it) is a worker's job, so one slow answer does not
hold up the others for longer than one call's total deadline.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from chatrixcd_threads.events import OutputDue, TaskSeen, TaskStill
from chatrixcd_threads.journal import launches, stills
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing, SemaphoreError, TimedOut, Unreachable
from chatrixcd_threads.semaphore.models import NOT_YET_RUN
from chatrixcd_threads.semaphore.suspects import Suspects
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.follower")

LONGEST_PAUSE = 60.0
WATCHED_PAUSE = (
    3.0  # while an output is held against what was asked: a contradiction must not go on for longer than 5 s
)
BELIEVED_AFTER = 3  # rounds: a membership or a proxy may be wrong for a moment
GONE = "gone"  # our word for a task that Semaphore does not know any more


class Follower(Service):
    """Owner: the follower thread. `look_now` may be called from anywhere."""

    name = "follower"
    patience = 120.0  # one round may take several calls, each with its own deadline

    def __init__(
        self,
        journal: Journal,
        semaphore: Callable[[], Semaphore],
        poll_seconds: Callable[[], float],
        seen: Callable[[TaskSeen | OutputDue | TaskStill], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._semaphore, self._poll = journal, semaphore, poll_seconds
        self._seen, self._now = seen, now
        self._wake = threading.Event()
        self._again: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._reported: dict[int, str] = {}
        self._absent: dict[int, int] = {}  # follow id -> rounds in a row in which Semaphore did not know the task
        self._failures = 0
        self._watched = False  # the output of a task is still held against what was asked
        self._suspects = Suspects()
        self._going: dict[int, str] = {}  # follow id -> status, of what this round has read and is not over
        self._silent = 0  # tasks of this round for which Semaphore gave no answer at all

    def look_now(self) -> None:
        """There is a new task to follow."""
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._reported.clear()
        self._suspects.recall(stills.suspected(self._journal.read()))
        while not stop.is_set():
            beat()
            busy = self.look(stop, beat)
            self._wake.wait(self._pause() if busy else 10.0)
            self._wake.clear()

    def look(self, stop: threading.Event, beat: Callable[[], None]) -> bool:
        """One round over all followed tasks. False when there are none."""
        while not self._again.empty():
            self._reported.pop(self._again.get(), None)
        follows = launches.followed(self._journal.read())
        answers: list[bool] = []
        self._going, self._silent = {}, 0
        for follow in follows:
            if stop.is_set():
                break
            beat()
            answers.append(self._check(follow))
        self._watched = any(not follow.judged for follow in follows)
        self._failures = self._failures + 1 if answers and not any(answers) else 0
        if any(answers):
            for still in self._suspects.answered(follows, self._going, self._now()):
                self._seen(still)
        elif answers and self._silent == len(answers):
            self._suspects.silent(follows, self._now())
        self._reported = {each.id: self._reported[each.id] for each in follows if each.id in self._reported}
        return bool(follows)

    def again(self, follow_id: int) -> None:
        """A report could not be finished: the next round makes it once more. From any thread."""
        self._again.put(follow_id)

    def _check(self, follow: Follow) -> bool:
        """Looks at one task. False when Semaphore could not be asked."""
        try:
            task = self._semaphore().task(follow.project_id, follow.task_id)
            status, over = task.status, task.finished
            self._absent.pop(follow.id, None)
        except Missing:  # a 403 is never Semaphore's answer to a reading member: a proxy says it, for a while
            self._absent[follow.id] = self._absent.get(follow.id, 0) + 1
            if self._absent[follow.id] < BELIEVED_AFTER:
                return True
            status, over = GONE, True
        except SemaphoreError as error:
            log.warning("task %d of project %d cannot be read: %s", follow.task_id, follow.project_id, error.kind)
            self._silent += isinstance(error, (Unreachable, TimedOut))
            return False
        if not over:
            self._going[follow.id] = status
        wrong = follow.evidence.startswith("⛔")  # known to be, and not stopped yet: best before it runs
        if not (over or follow.judged or (status in NOT_YET_RUN and not wrong)):
            self._seen(OutputDue(follow.id, follow.task_id))
        state = f"{status}/{over}/{follow.stopper}"
        if self._reported.get(follow.id) != state and (over or status != follow.status):
            self._reported[follow.id] = state
            self._seen(TaskSeen(follow.id, follow.project_id, follow.task_id, status, over))
        return True

    def _pause(self) -> float:
        longest = WATCHED_PAUSE if self._watched else LONGEST_PAUSE
        return float(min(longest, self._poll() * 2 ** min(self._failures, 5)))
