"""The dispatch thread: takes events from the inbox queue and gives each to its lane."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.events import InboxItem, Incoming, LaneFree, Stop, TaskSeen
from chatrixcd_threads.journal import inbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.threads.lanes import Job, Lanes
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.dispatch")

LONGEST_WAIT = 5.0  # seconds between two beats
REFILL = 50


class Dispatch(Service):
    """Owner: the dispatch thread; lanes call `failed` and `freed` back from worker threads.

    What does not fit into a person's lane stays in the journal, and everything behind it too, so that order is kept;
    the lane asks for more when it has room. Nobody else notices.
    """

    name = "dispatch"

    def __init__(
        self,
        inbox_queue: queue.Queue[InboxItem],
        journal: Journal,
        lanes: Lanes,
        desk: Desk,
        reporter: Reporter,
        report_again: Callable[[int], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._queue, self._journal, self._lanes = inbox_queue, journal, lanes
        self._desk, self._reporter, self._report_again, self._now = desk, reporter, report_again, now
        self._left: dict[tuple[str, str], int] = {}  # lane -> the last seq that was handed to it before it was full
        self._handed = 0

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        for event in inbox.unanswered(self._journal.read(), after=self._handed):
            self._give(event)  # what an earlier life accepted and did not finish
        while not stop.is_set():
            beat()
            self._expire()
            try:
                item = self._queue.get(timeout=self._wait())
            except queue.Empty:
                continue
            self._take(item)

    def wake(self) -> None:
        self._queue.put(Stop())

    def failed(self, job: Job, error: BaseException) -> None:
        """A job ended with an error that no command knows. Called in its worker thread."""
        if isinstance(job.about, Incoming):
            self._desk.failed(job.about, error)
        elif isinstance(job.about, TaskSeen):
            level = logging.WARNING if isinstance(error, SemaphoreError) else logging.ERROR
            log.log(level, "the report of task %d is tried again", job.about.task_id, exc_info=error)
            self._report_again(job.about.follow_id)

    def freed(self, key: Hashable) -> None:
        """A lane that was full has room. Called in a worker thread."""
        room_id, sender = key if isinstance(key, tuple) else ("", "")
        self._queue.put(LaneFree((room_id, sender)))

    def overdue(self, now: float, soft: float, hard: float) -> None:
        """Tells about slow jobs and gives stuck ones up. Called by the main thread; times of the lanes' clock."""
        slow, lost = self._lanes.overdue(now, soft, hard)
        for job in slow:
            if isinstance(job.about, Incoming):
                self._desk.slow(job.about)
        for job in lost:
            if isinstance(job.about, Incoming):
                self._desk.lost(job.about)
            elif isinstance(job.about, TaskSeen):
                self._report_again(job.about.follow_id)

    def _take(self, item: InboxItem) -> None:
        match item:
            case Incoming() if item.seq > self._handed:
                self._give(item)
            case TaskSeen():
                self._lanes.submit(
                    Job(
                        ("task", item.follow_id),
                        f"report of task {item.task_id}",
                        lambda: self._reporter.report(item),
                        item,
                    )
                ) or self._report_again(item.follow_id)
            case LaneFree():
                self._refill(item.key)
            case _:
                return  # Stop, or an event that start-up already found in the journal

    def _give(self, event: Incoming, *, again: bool = False) -> None:
        self._handed = max(self._handed, event.seq)
        key = (event.room_id, event.sender)
        if key in self._left:
            return
        if not self._lanes.submit(Job(key, f"{event.kind} {event.event_id}", lambda: self._desk.handle(event), event)):
            self._left[key] = event.seq - 1
            if not again:
                self._desk.flooded(event)
            log.warning("%s is faster than I am in %s: the rest waits in the journal", event.sender, event.room_id)

    def _refill(self, key: tuple[str, str]) -> None:
        after = self._left.pop(key, None)
        if after is None:
            return
        for event in inbox.unanswered(self._journal.read(), after=after, lane=key):
            self._give(event, again=True)

    def _expire(self) -> None:
        for question in questions.expired(self._journal.read(), self._now()):
            self._desk.expire(question)

    def _wait(self) -> float:
        due = questions.next_expiry(self._journal.read())
        return LONGEST_WAIT if due is None else min(LONGEST_WAIT, max(0.01, due - self._now()))
