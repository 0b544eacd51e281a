"""Dispatch: every accepted event reaches its lane, in order, also through floods, restarts and full queues."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.dispatch import Dispatch
from chatrixcd_threads.commands.notices import Notices
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.witness import Witness
from chatrixcd_threads.events import InboxItem, Incoming, Kind, TaskSeen, TaskStill
from chatrixcd_threads.journal import inbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.semaphore.errors import Unreachable
from chatrixcd_threads.threads.lanes import Job, Lanes

LIMIT = 30.0


class FakeDesk:
    """Handles by writing down, at most when the gate is open."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.gate = threading.Event()
        self.gate.set()
        self.flood_gate = threading.Event()
        self.flood_gate.set()
        self.handled: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.breaks: BaseException | None = None
        self.mute: BaseException | None = None

    def handle(self, event: Incoming) -> None:
        assert self.gate.wait(LIMIT)
        if self.breaks is not None:
            raise self.breaks
        with self.journal.write() as tx:
            inbox.finish(tx, event.seq)
        self.handled.append(event.event_id)

    def failed(self, event: Incoming, error: BaseException) -> None:
        self.told.append(("failed", event.event_id))
        raise sqlite3.OperationalError("database or disk is full")

    def flooded(self, event: Incoming) -> None:
        self.told.append(("flooded", event.event_id))
        assert self.flood_gate.wait(LIMIT)

    def slow(self, event: Incoming) -> None:
        if self.mute is not None:
            raise self.mute
        self.told.append(("slow", event.event_id))

    def lost(self, event: Incoming) -> None:
        if self.mute is not None:
            raise self.mute
        self.told.append(("lost", event.event_id))

    def expire(self, question: Question) -> None:
        with self.journal.write() as tx:
            questions.settle(tx, question.id, "expired")
        self.told.append(("expired", question.slot))


class FakeReporter:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.breaks = False

    def report(self, seen: TaskSeen) -> None:
        self.seen.append(seen.task_id)
        if self.breaks:
            raise Unreachable("away")


class Office:
    """A dispatch with real lanes and a real journal; its `run` goes in a thread only when a test starts it."""

    def __init__(self, folder: Path, per_lane: int, size: int) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.desk, self.reporter = FakeDesk(self.journal), FakeReporter()
        self.queue: queue.Queue[InboxItem] = queue.Queue(size)
        self.again: list[int] = []
        self.looked: list[int] = []
        self.now = 1_000.0
        self.lanes = Lanes(
            4,
            per_lane=per_lane,
            failed=lambda job, error: self.dispatch.failed(job, error),
            freed=lambda key: self.dispatch.freed(key),
        )
        self.dispatch = Dispatch(
            self.queue,
            self.journal,
            self.lanes,
            cast(Desk, self.desk),
            cast(Reporter, self.reporter),
            cast(Notices, None),
            cast(Witness, None),
            report_again=self.again.append,
            now=lambda: self.now,
            look_closely=self._look_closely,
        )
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _look_closely(self, item: TaskStill) -> None:
        self.looked.append(item.task_id)
        if self.reporter.breaks:
            raise Unreachable("away")

    def accept(self, *names: str, room: str = "!a", sender: str = "@p", queued: bool = True) -> list[Incoming]:
        events = [Incoming(0, name, room, sender, Kind.COMMAND, "help") for name in names]
        with self.journal.write() as tx:
            fresh = inbox.accept(tx, events)
        for each in fresh if queued else []:
            self.queue.put_nowait(each)
        return fresh

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self.dispatch.run, args=(self._stop, lambda: None), name="dispatch")
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self.dispatch.wake()
            self._thread.join(LIMIT)
            assert not self._thread.is_alive()
            self._thread = None

    def close(self) -> None:
        self.desk.gate.set()
        self.stop()
        self.lanes.close()
        until(lambda: self.lanes.wait_idle(time.monotonic() + 0.1) == [])
        self.journal.close()

    def handled(self, *names: str) -> bool:
        until(lambda: len(self.desk.handled) >= len(names))
        return self.desk.handled == list(names)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.001)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def make(per_lane: int = 100, size: int = 100) -> Office:
        made.append(Office(tmp_path / str(len(made)), per_lane, size))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_what_comes_through_the_queue_is_handled_in_order(office: Callable[..., Office]) -> None:
    here = office()
    here.accept("$1", "$2", "$3")
    here.start()
    assert here.handled("$1", "$2", "$3")


def test_what_an_earlier_life_left_is_handled_first_and_once(office: Callable[..., Office]) -> None:
    here = office()
    here.accept("$1", "$2", queued=False)
    here.accept("$3")  # also in the journal: start-up finds it there, and the queue brings it again
    here.start()
    assert here.handled("$1", "$2", "$3")
    here.accept("$4")
    assert here.handled("$1", "$2", "$3", "$4")


def test_what_was_accepted_but_never_queued_is_found(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync thread's session can end between its commit and the queue (logged out while the inbox was full)."""
    monkeypatch.setattr("chatrixcd_threads.commands.dispatch.LONGEST_WAIT", 0.05)
    here = office()
    here.start()
    here.accept("$1")
    assert here.handled("$1")
    here.accept("$2", queued=False)
    assert here.handled("$1", "$2")


def test_what_is_overtaken_in_the_queue_is_handled_first(office: Callable[..., Office]) -> None:
    """The operator's console queues its command while the sync thread is still queueing what it has accepted before."""
    here = office()
    late = here.accept("$1", "$2", queued=False)
    here.accept("$typed", room="console", sender="@console")
    for each in late:
        here.queue.put_nowait(each)
    here.accept("$3")
    while not here.queue.empty():
        here.dispatch._take(here.queue.get())
    until(lambda: len(here.desk.handled) >= 4)
    assert [name for name in here.desk.handled if name != "$typed"] == ["$1", "$2", "$3"]
    assert inbox.unanswered(here.journal.read()) == []


def test_a_flood_is_told_once_and_all_of_it_is_handled_in_order(office: Callable[..., Office]) -> None:
    here = office(per_lane=4, size=1_000)
    here.desk.gate.clear()
    names = [f"${number}" for number in range(200)]
    here.accept(*names)
    here.start()
    until(lambda: here.desk.told == [("flooded", "$4")])
    here.accept("$other", room="!b")
    here.desk.gate.set()
    until(lambda: len(here.desk.handled) == 201)
    assert [name for name in here.desk.handled if name != "$other"] == names
    assert here.desk.told == [("flooded", "$4")]
    assert inbox.unanswered(here.journal.read()) == []


def test_a_lane_that_is_filled_up_again_overtakes_nobody(office: Callable[..., Office]) -> None:
    """Lane a is refilled from the journal while events of others still wait in the queue with smaller numbers."""
    here = office(per_lane=1)
    here.desk.gate.clear()
    here.desk.flood_gate.clear()  # holds the dispatch thread
    here.start()
    here.accept("$a1", "$a2", room="!a")
    until(lambda: here.desk.told == [("flooded", "$a2")])
    here.desk.gate.set()
    until(lambda: not here.dispatch._freed.empty())  # the lane has room again
    here.accept("$b1", room="!b")
    here.accept("$a3", room="!a")
    here.desk.flood_gate.set()
    until(lambda: len(here.desk.handled) == 4)
    assert sorted(here.desk.handled) == ["$a1", "$a2", "$a3", "$b1"]
    assert [name for name in here.desk.handled if name != "$b1"] == ["$a1", "$a2", "$a3"]


def test_a_full_queue_holds_up_neither_the_main_thread_nor_a_worker(office: Callable[..., Office]) -> None:
    here = office(size=1)
    here.accept("$1")
    done = threading.Event()

    def call_back() -> None:
        here.dispatch.wake()
        here.dispatch.freed(("!a", "@p"))
        done.set()

    thread = threading.Thread(target=call_back, daemon=True)
    thread.start()
    held_up = not done.wait(1.0)
    while held_up and thread.is_alive():
        here.queue.get(timeout=LIMIT)
        thread.join(0.1)
    thread.join(LIMIT)
    assert not held_up


def test_a_failure_that_cannot_be_told_is_logged(
    office: Callable[..., Office], caplog: pytest.LogCaptureFixture
) -> None:
    here = office()
    here.desk.breaks = RuntimeError("no")
    here.accept("$1")
    here.start()
    until(lambda: "disk is full" in caplog.text)
    until(lambda: here.lanes.counts().lanes == 0)
    assert here.desk.told == [("failed", "$1")]


def test_reports_have_lanes_and_failed_ones_are_made_again(office: Callable[..., Office]) -> None:
    here = office()
    here.reporter.breaks = True
    here.queue.put(TaskSeen(7, 1, 42, "success", True))
    here.start()
    until(lambda: here.again == [7])
    assert here.reporter.seen == [42]


def test_a_close_look_that_fails_is_left_to_the_next_one(office: Callable[..., Office]) -> None:
    here = office()
    here.reporter.breaks = True
    here.start()
    here.queue.put(TaskStill(7, 1, 42, waits=900.0))
    until(lambda: here.looked == [42] and here.lanes.counts().lanes == 0)
    here.queue.put(TaskStill(7, 1, 42, waits=900.0))
    until(lambda: here.looked == [42, 42])
    assert (here.again, here.desk.told) == ([], [])


def test_limits_are_told_to_the_desk(office: Callable[..., Office]) -> None:
    here = office()
    here.desk.gate.clear()
    here.accept("$1")
    here.queue.put(TaskSeen(7, 1, 42, "success", True))
    here.start()
    until(lambda: here.lanes.counts().running == 1)
    now = time.monotonic()
    here.dispatch.overdue(now + 10, 5, 90)
    here.dispatch.overdue(now + 100, 5, 90)
    assert here.desk.told == [("slow", "$1"), ("lost", "$1")]


def test_a_given_up_report_is_made_again(office: Callable[..., Office]) -> None:
    here = office()
    begun, gate = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        gate.wait(LIMIT)

    here.lanes.submit(Job(("task", 7), "report", stuck, TaskSeen(7, 1, 42, "success", True)))
    assert begun.wait(LIMIT)
    here.dispatch.overdue(time.monotonic() + 100, 5, 90)
    gate.set()
    assert here.again == [7]


def test_questions_expire_when_their_time_is_over(office: Callable[..., Office]) -> None:
    here = office()
    with here.journal.write() as tx:
        questions.ask(
            tx,
            slot="answer:$1",
            room_id="!a",
            thread=None,
            asker="@p",
            action="run",
            payload={},
            command_event="$1",
            now=here.now,
            seconds=0.05,
        )
    here.start()
    here.now += 0.01
    assert here.desk.told == []
    here.now += 1
    until(lambda: here.desk.told == [("expired", "answer:$1")])


def test_what_the_journal_would_not_take_is_handled_when_it_does(office: Callable[..., Office]) -> None:
    here = office()
    here.desk.breaks = sqlite3.OperationalError("database is locked")
    here.accept("$1")
    here.start()
    until(lambda: here.desk.told == [("failed", "$1")] and here.lanes.counts().lanes == 0)
    here.desk.breaks = None  # whoever held the journal has let it go
    here.accept("$2")
    here.now += 60
    until(lambda: "$2" in here.desk.handled)
    here.accept("$3")
    until(lambda: "$3" in here.desk.handled and "$1" in here.desk.handled)


def test_a_giving_up_that_the_journal_would_not_take_is_told_later_and_nothing_is_done_twice(
    office: Callable[..., Office],
) -> None:
    here = office()
    here.desk.gate.clear()
    here.desk.mute = sqlite3.OperationalError("database is locked")
    here.accept("$1", room="!a")
    here.accept("$2", room="!b")
    here.start()
    until(lambda: here.lanes.counts().running == 2)
    here.dispatch.overdue(time.monotonic() + 100, 10, 1_000)  # slow
    here.dispatch.overdue(time.monotonic() + 1_000, 10, 100)  # given up
    here.desk.mute = None
    here.now += 60
    here.accept("$3", room="!c")  # wakes the dispatch
    until(lambda: sorted(here.desk.told) == [("lost", "$1"), ("lost", "$2")])
    assert here.lanes.counts().given_up == 2
    assert here.desk.handled == []
