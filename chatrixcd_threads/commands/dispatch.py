"""The dispatch thread: takes events from the inbox queue and gives each to its lane."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.notices import Notices
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.witness import Witness
from chatrixcd_threads.events import FileNotice, InboxItem, Incoming, LaneFree, OutputDue, Stop, TaskSeen, TaskStill
from chatrixcd_threads.journal import inbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.threads.lanes import Job, Lanes
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.dispatch")

REFILL = 50  # events that are taken from the journal at a time
AGAIN_SECONDS = 5.0  # until what the journal would not take is tried again
LONGEST_WAIT = 5.0  # seconds between two beats


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
        notices: Notices,
        witness: Witness,
        report_again: Callable[[int], None],
        now: Callable[[], float] = time.time,
        look_closely: Callable[[TaskStill], None] = lambda item: None,
    ) -> None:
        self._queue, self._journal, self._lanes = inbox_queue, journal, lanes
        self._desk, self._reporter, self._notices, self._witness = desk, reporter, notices, witness
        self._report_again, self._now, self._look_closely = report_again, now, look_closely
        self._left: dict[tuple[str, str], int] = {}  # lane -> the last seq that was handed to it before it was full
        self._handed = 0  # the last seq that came by; all events up to it were handed over or are in `_left`
        self._untold: deque[tuple[float, Job]] = deque()  # from when on: what has to be done, or told, once more
        self._freed: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._catch_up()
        while not stop.is_set():
            beat()
            self._expire()
            self._once_more()
            while not self._freed.empty():
                self._refill(self._freed.get())
            try:
                item = self._queue.get(timeout=self._wait())
            except queue.Empty:
                self._catch_up()
                continue
            self._take(item)

    def wake(self) -> None:
        self._rouse(Stop())

    def failed(self, job: Job, error: BaseException) -> None:
        """A job ended with an error that no command knows. Called in its worker thread."""
        if isinstance(job.about, Incoming):
            try:
                self._desk.failed(job.about, error)
            except sqlite3.Error:
                log.exception("the failure of %s could not be told; it is handled again in a while", job.name)
                self._later(job.about, job.call)
        elif isinstance(job.about, TaskSeen):
            level = logging.WARNING if isinstance(error, SemaphoreError) else logging.ERROR
            log.log(level, "the report of task %d is tried again", job.about.task_id, exc_info=error)
            self._report_again(job.about.follow_id)
        elif isinstance(job.about, OutputDue) and isinstance(error, SemaphoreError):
            log.warning("the output of task %d is read again later: %s", job.about.task_id, error.kind)
        elif isinstance(job.about, TaskStill) and isinstance(error, SemaphoreError):
            log.warning("task %d is looked at again later: %s", job.about.task_id, error.kind)
        else:
            log.error("%s failed", job.name, exc_info=error)

    def freed(self, key: Hashable) -> None:
        """A lane that was full has room. Called in a worker thread or the main thread."""
        room_id, sender = key if isinstance(key, tuple) else ("", "")
        self._freed.put((room_id, sender))
        self._rouse(LaneFree((room_id, sender)))

    def overdue(self, now: float, soft: float, hard: float) -> None:
        """Tells about slow jobs and gives stuck ones up. Called by the main thread; times of the lanes' clock."""
        slow, lost = self._lanes.overdue(now, soft, hard)
        for job in slow:
            if isinstance(job.about, Incoming):
                try:
                    self._desk.slow(job.about)
                except sqlite3.Error:
                    log.exception("nobody was told that %s is slow", job.name)
        for job in lost:
            if isinstance(job.about, Incoming):
                try:
                    self._desk.lost(job.about)
                except sqlite3.Error:  # told again, and not handled: its thread may go on
                    log.exception("the giving up of %s could not be told; it is told in a while", job.name)
                    self._later(job.about, partial(self._desk.lost, job.about))
            elif isinstance(job.about, TaskSeen):
                self._report_again(job.about.follow_id)

    def _take(self, item: InboxItem) -> None:
        match item:
            case Incoming() if item.seq > self._handed + 1:
                self._catch_up()  # the console and the sync thread may pass each other on the way into the queue
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
            case OutputDue():
                name = f"output of task {item.task_id}"
                if not self._lanes.busy(("output", item.follow_id)):  # a slow reading is not followed by another
                    self._lanes.submit(Job(("output", item.follow_id), name, lambda: self._witness.look(item), item))
            case TaskStill():
                name = f"close look at task {item.task_id}"
                if not self._lanes.busy(("still", item.follow_id)):
                    self._lanes.submit(Job(("still", item.follow_id), name, lambda: self._look_closely(item), item))
            case FileNotice():
                self._lanes.submit(
                    Job(("files", item.file), f"notice of {item.file}", lambda: self._notices.tell(item), item)
                )
            case _:
                return  # Stop, LaneFree (they only end a wait), or an event that was already found in the journal

    def _rouse(self, item: Stop | LaneFree) -> None:
        """Ends the wait for the queue. A full one needs no more items, and nobody may be held up here."""
        with suppress(queue.Full):
            self._queue.put_nowait(item)

    def _catch_up(self) -> None:
        """What was accepted and did not come by: from an earlier life, or from a session that ended before it queued it."""
        for event in inbox.unanswered(self._journal.read(), after=self._handed):
            self._give(event)

    def _give(self, event: Incoming, *, again: bool = False) -> None:
        self._handed = max(self._handed, event.seq)
        key = (event.room_id, event.sender)
        if key in self._left:
            return
        if not self._lanes.submit(_job(event, lambda: self._desk.handle(event))):
            self._left[key] = event.seq - 1
            if not again:
                self._desk.flooded(event)
            log.warning("%s is faster than I am in %s: the rest waits in the journal", event.sender, event.room_id)

    def _once_more(self) -> None:
        """What could neither be handled nor be told to have failed, because the journal could not be written."""
        while self._untold and self._untold[0][0] <= self._now():
            _, job = self._untold.popleft()
            if not self._lanes.submit(job):
                self._untold.append((self._now() + AGAIN_SECONDS, job))

    def _later(self, event: Incoming, call: Callable[[], None]) -> None:
        self._untold.append((self._now() + AGAIN_SECONDS, _job(event, call)))

    def _refill(self, key: tuple[str, str]) -> None:
        if key not in self._left:
            return
        waiting = inbox.unanswered(self._journal.read(), after=self._left[key], lane=key, most=REFILL)
        del self._left[key]
        for event in waiting:
            if event.seq > self._handed:
                break  # it is still in the queue, behind events of others that must not be passed over
            self._give(event, again=True)
        else:
            if len(waiting) == REFILL and key not in self._left:
                self._left[key] = waiting[-1].seq  # there may be more, and the lane still has room
                self._freed.put(key)

    def _expire(self) -> None:
        for question in questions.expired(self._journal.read(), self._now()):
            self._desk.expire(question)

    def _wait(self) -> float:
        due = questions.next_expiry(self._journal.read())
        return LONGEST_WAIT if due is None else min(LONGEST_WAIT, max(0.01, due - self._now()))


def _job(event: Incoming, call: Callable[[], None]) -> Job:
    """In the lane of who said it, where it was said."""
    return Job((event.room_id, event.sender), f"{event.kind} {event.event_id}", call, event)
