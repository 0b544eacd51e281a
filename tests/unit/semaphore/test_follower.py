"""The follower: reports each new state of each followed task once, and asks less often while Semaphore is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from chatrixcd_threads.events import OutputDue, TaskSeen, TaskStill
from chatrixcd_threads.journal import launches, stills
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.stills import Still
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import BadToken, Forbidden, Missing, Unreachable
from chatrixcd_threads.semaphore.follower import BELIEVED_AFTER, GONE, WATCHED_PAUSE, Follower
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.semaphore.suspects import LOOK_SECONDS, WAITS_SECONDS

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 30.0
AWAY = Unreachable("no connection")
NO_TASK = Missing("not found (400)", sent=True, status=400)


class Watched:
    """Semaphore's tasks and what the follower reports of them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tasks: dict[int, Task | Exception] = {}
        self.asked: list[int] = []
        self.told: list[TaskSeen | OutputDue | TaskStill] = []
        self.beats = 0
        self.now = 1_000.0
        self.follower = self.new_follower()

    def new_follower(self) -> Follower:
        """As after a restart of the bot."""
        semaphore = cast(Semaphore, self)
        return Follower(self.journal, lambda: semaphore, lambda: 2.0, self.told.append, lambda: self.now)

    def task(self, project_id: int, task_id: int) -> Task:
        self.asked.append(task_id)
        found = self.tasks[task_id]
        if isinstance(found, Exception):
            raise found
        return found

    def follow(self, task_id: int, expected: str = "", **facts: Any) -> None:
        self.show(task_id, **facts)
        with self.journal.write() as tx:
            launches.confirm(
                tx,
                token=f"t{task_id}",
                slot=f"answer:${task_id}",
                room_id="!r",
                thread=None,
                sender="@a",
                project_id=1,
                template_id=2,
                template_name="Deploy",
                body={},
                now=0.0,
                expected=expected,
            )
            launch = launches.by_token(tx, f"t{task_id}")
            assert launch is not None
            launches.follow(tx, launch, task_id)

    def show(self, task_id: int, status: str = "running", **facts: Any) -> None:
        self.tasks[task_id] = Task(id=task_id, status=status, **({"start": BEGIN} | facts))

    @property
    def seen(self) -> list[TaskSeen]:
        return [each for each in self.told if isinstance(each, TaskSeen)]

    def round(self) -> list[tuple[int, str, bool]]:
        """One look; what was reported in it."""
        before = len(self.seen)
        self.follower.look(threading.Event(), self._beat)
        return [(each.task_id, each.status, each.over) for each in self.seen[before:]]

    def close_looks(self, seconds: float = 0.0) -> list[TaskStill]:
        """Which tasks are to be looked at closely after a round, so many seconds later."""
        self.now += seconds
        before = len(self.told)
        self.follower.look(threading.Event(), self._beat)
        return [each for each in self.told[before:] if isinstance(each, TaskStill)]

    def _beat(self) -> None:
        self.beats += 1

    def tell(self, task_id: int) -> None:
        follow = next(each for each in launches.followed(self.journal.read()) if each.task_id == task_id)
        with self.journal.write() as tx:
            launches.told(tx, follow.id, "success")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    journal = Journal(tmp_path / "journal.sqlite3")
    yield Watched(journal)
    journal.close()


def test_nothing_to_follow(watched: Watched) -> None:
    assert watched.follower.look(threading.Event(), lambda: None) is False


def test_each_new_state_is_reported_once(watched: Watched) -> None:
    watched.follow(42, status="waiting", start=None)
    assert watched.round() == [(42, "waiting", False)]
    assert watched.round() == []
    watched.show(42, "running")
    assert watched.round() == [(42, "running", False)]
    watched.show(42, "success", end=BEGIN)
    assert watched.round() == [(42, "success", True)]
    assert watched.round() == []


@pytest.mark.parametrize("status", ["success", "error", "stopped"])
def test_final_states(watched: Watched, status: str) -> None:
    watched.follow(42, status=status)
    assert watched.round() == [(42, status, True)]


@pytest.mark.parametrize("status", ["stopping", "running", "waiting_confirmation", "rejected", "something new"])
def test_a_state_that_stays_for_ever_is_over_when_the_end_is_set(watched: Watched, status: str) -> None:
    watched.follow(42, status=status, end=BEGIN + timedelta(seconds=1))
    assert watched.round() == [(42, status, True)]


@pytest.mark.parametrize("status", ["waiting", "starting"])
def test_an_end_that_whoever_started_it_sent_along_is_none(watched: Watched, status: str) -> None:
    watched.follow(42, status=status, start=None, end=BEGIN)
    assert watched.round() == [(42, status, False)]


def test_what_was_told_is_not_asked_for_any_more(watched: Watched) -> None:
    watched.follow(42, status="success")
    watched.round()
    watched.tell(42)
    watched.asked.clear()
    assert watched.round() == []
    assert watched.asked == []


def test_a_report_that_could_not_be_finished_is_made_again(watched: Watched) -> None:
    watched.follow(42, status="success")
    watched.round()
    watched.follower.again(watched.seen[0].follow_id)
    assert watched.round() == [(42, "success", True)]
    assert watched.round() == []


def test_a_report_that_fails_while_others_are_looked_at_is_not_forgotten(watched: Watched) -> None:
    """The worker can be faster than the round that it belongs to."""
    watched.follow(42, status="success")
    watched.follow(43)

    def report(event: TaskSeen | OutputDue | TaskStill) -> None:
        watched.told.append(event)
        if len(watched.seen) == 1 and isinstance(event, TaskSeen):
            watched.follower.again(event.follow_id)

    watched.follower = Follower(watched.journal, lambda: cast(Semaphore, watched), lambda: 2.0, report)
    assert watched.round() == [(42, "success", True), (43, "running", False)]
    assert watched.round() == [(42, "success", True)]


def test_after_a_restart_the_end_is_reported_and_a_known_state_is_not(watched: Watched) -> None:
    watched.follow(42)
    watched.follow(43, status="success")
    watched.round()
    with watched.journal.write() as tx:
        launches.saw(tx, 1, "running")
    watched.follower = watched.new_follower()
    assert watched.round() == [(43, "success", True)]


def test_a_task_is_gone_only_when_it_was_missing_several_times(watched: Watched) -> None:
    watched.follow(42)
    watched.round()
    watched.tasks[42] = NO_TASK
    for _ in range(BELIEVED_AFTER - 1):
        assert watched.round() == []
    watched.show(42)
    assert watched.round() == []
    watched.tasks[42] = NO_TASK
    rounds = [watched.round() for _ in range(BELIEVED_AFTER + 1)]
    assert rounds == [[]] * (BELIEVED_AFTER - 1) + [[(42, GONE, True)], []]


def test_away_and_back(watched: Watched) -> None:
    watched.follow(42)
    watched.follow(43)
    watched.round()
    watched.tasks = {42: AWAY, 43: AWAY}
    for _ in range(10):
        assert watched.round() == []
    watched.show(42, "success", end=BEGIN)
    watched.show(43, "error", end=BEGIN)
    assert watched.round() == [(42, "success", True), (43, "error", True)]


def test_one_task_that_cannot_be_read_does_not_hold_up_the_others(watched: Watched) -> None:
    watched.follow(42)
    watched.follow(43)
    watched.tasks[42] = AWAY
    assert watched.round() == [(43, "running", False)]


def test_the_pause_grows_while_semaphore_is_away_and_is_forgotten_when_it_is_back(watched: Watched) -> None:
    watched.follow(42)
    assert watched.follower._pause() == 2.0
    watched.tasks[42] = AWAY
    pauses = []
    for _ in range(8):
        watched.round()
        pauses.append(watched.follower._pause())
    assert pauses == sorted(pauses)
    assert pauses[0] > 2.0
    assert pauses[-1] == 60.0
    watched.show(42)
    watched.round()
    assert watched.follower._pause() == 2.0


def test_one_bad_round_is_one_failure_however_many_tasks_are_followed(watched: Watched) -> None:
    for task_id in range(20):
        watched.follow(task_id)
        watched.tasks[task_id] = AWAY
    watched.round()
    assert watched.follower._pause() <= 4.0


def test_who_stopped_it_meanwhile_is_reported_with_the_end(watched: Watched) -> None:
    watched.follow(42, status="success")
    assert watched.round() == [(42, "success", True)]
    with watched.journal.write() as tx:
        launches.follow_stop(
            tx,
            project_id=1,
            task_id=42,
            template_name="Deploy",
            room_id="!r",
            thread=None,
            person="@b",
            slot="answer:$s",
        )
    assert watched.round() == [(42, "success", True)]


def test_it_beats_for_every_task_and_stops_between_two(watched: Watched) -> None:
    for task_id in range(5):
        watched.follow(task_id)
    watched.round()
    assert watched.beats == 5
    stop = threading.Event()
    watched.asked.clear()
    watched.follower.look(stop, lambda: stop.set() if len(watched.asked) == 2 else None)
    assert len(watched.asked) <= 3


def test_it_lives_until_it_is_stopped_and_wakes_for_new_tasks(watched: Watched) -> None:
    stop, looked, reported = threading.Event(), threading.Event(), threading.Event()
    report: Callable[[TaskSeen | OutputDue | TaskStill], None] = lambda seen: reported.set()  # noqa: E731
    follower = Follower(watched.journal, lambda: cast(Semaphore, watched), lambda: 2.0, report)
    thread = threading.Thread(target=follower.run, args=(stop, looked.set))
    thread.start()
    assert looked.wait(LIMIT)
    watched.follow(42)
    follower.look_now()
    assert reported.wait(LIMIT)
    stop.set()
    follower.wake()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_the_output_is_due_while_a_task_runs_and_nothing_is_settled(watched: Watched) -> None:
    watched.follow(42, expected='{"check":true}', status="waiting", start=None)
    watched.follow(43)  # nothing special was asked
    watched.round()
    assert watched.told[-1] == watched.seen[-1]
    watched.show(42)
    watched.round()
    watched.round()
    due = [each for each in watched.told if isinstance(each, OutputDue)]
    assert [each.task_id for each in due] == [42, 42]
    with watched.journal.write() as tx:
        assert launches.judged(tx, due[0].follow_id, "shown", settled=True)
        assert not launches.judged(tx, due[0].follow_id, "again", settled=True)
    watched.round()
    assert len([each for each in watched.told if isinstance(each, OutputDue)]) == 2


def test_an_output_that_may_still_contradict_is_looked_at_at_least_every_three_seconds(watched: Watched) -> None:
    """However seldom the settings say, and also right after Semaphore was away."""
    seldom = Follower(watched.journal, lambda: cast(Semaphore, watched), lambda: 60.0, watched.told.append)
    watched.follow(42, expected='{"check":true}')
    seldom.look(threading.Event(), lambda: None)
    assert seldom._pause() == WATCHED_PAUSE
    watched.tasks[42] = AWAY
    for _ in range(6):
        seldom.look(threading.Event(), lambda: None)
    assert seldom._pause() == WATCHED_PAUSE
    watched.tell(42)
    watched.follow(43)  # nothing special was asked
    seldom.look(threading.Event(), lambda: None)
    assert seldom._pause() == 60.0


def test_the_output_of_a_task_that_is_only_being_stopped_is_not_read(watched: Watched) -> None:
    """Nothing was asked of it that the output could show: it is somebody else's, or from before there was a witness."""
    watched.show(42, "stopping")
    with watched.journal.write() as tx:
        launches.follow_stop(
            tx,
            project_id=1,
            task_id=42,
            template_name="Deploy",
            room_id="!r",
            thread=None,
            person="@a",
            slot="answer:$stop",
        )
    watched.follower.look(threading.Event(), lambda: None)
    assert [each for each in watched.told if isinstance(each, OutputDue)] == []


def test_what_was_going_on_when_semaphore_did_not_answer_is_looked_at_again_and_again(watched: Watched) -> None:
    watched.follow(42)
    watched.follow(43, status="waiting", start=None)
    assert watched.close_looks() == []
    watched.tasks = {42: AWAY, 43: AWAY}
    assert watched.close_looks(5) == []
    assert watched.close_looks(20) == []
    watched.show(42)
    watched.show(43, "waiting", start=None)
    looks = watched.close_looks(10)
    assert [(each.task_id, each.away, each.back) for each in looks] == [(42, 1_005.0, 1_035.0), (43, 1_005.0, 1_035.0)]
    assert watched.close_looks(LOOK_SECONDS - 1) == []
    assert [each.task_id for each in watched.close_looks(1)] == [42, 43]
    watched.show(42, "success", end=BEGIN)
    assert [each.task_id for each in watched.close_looks(LOOK_SECONDS)] == [43]


def test_a_task_that_came_after_the_silence_is_none_of_its_victims(watched: Watched) -> None:
    watched.follow(42)
    watched.tasks[42] = AWAY
    watched.close_looks()
    watched.show(42)
    watched.follow(43)
    assert [each.task_id for each in watched.close_looks(5)] == [42]


@pytest.mark.parametrize("error", [NO_TASK, BadToken("no such token (401)", sent=True, status=401)], ids=repr)
def test_an_answer_that_says_no_is_no_silence(watched: Watched, error: Exception) -> None:
    watched.follow(42)
    watched.tasks[42] = error
    watched.close_looks()
    watched.show(42)
    assert watched.close_looks(5) == []


def test_one_that_answers_is_enough(watched: Watched) -> None:
    watched.follow(42)
    watched.follow(43)
    watched.tasks[42] = AWAY
    watched.close_looks()
    watched.show(42)
    assert watched.close_looks(5) == []


def test_a_task_that_waits_for_long_is_looked_at(watched: Watched) -> None:
    watched.follow(42, status="waiting", start=None)
    assert watched.close_looks() == []
    assert watched.close_looks(WAITS_SECONDS - 1) == []
    assert [(each.task_id, each.waits, each.back) for each in watched.close_looks(1)] == [(42, 1_000.0, 0.0)]
    watched.show(42, "running")
    assert watched.close_looks(LOOK_SECONDS) == []


def test_a_suspicion_outlives_the_bot(watched: Watched) -> None:
    watched.follow(42)
    with watched.journal.write() as tx:
        stills.keep(tx, Still(1, 900.0, 950.0, "running", 3, 950.0, told=True))
    stop = threading.Event()
    stop.set()
    watched.follower.run(stop, lambda: None)
    assert [(each.task_id, each.away, each.back) for each in watched.close_looks()] == [(42, 900.0, 950.0)]


def test_a_proxy_that_forbids_for_a_while_ends_nothing(watched: Watched) -> None:
    watched.follow(42)
    watched.round()
    watched.tasks[42] = Forbidden("forbids it (403), with a web page", sent=True, status=403)
    assert [watched.round() for _ in range(BELIEVED_AFTER + 2)] == [[]] * (BELIEVED_AFTER + 2)
    watched.show(42, "error", end=BEGIN)
    assert watched.round() == [(42, "error", True)]


def test_another_task_than_asked_for_that_could_not_be_stopped_is_tried_again_before_it_runs(watched: Watched) -> None:
    watched.follow(42, status="waiting", start=None)
    watched.follow(43, "{}", status="waiting", start=None)
    with watched.journal.write() as tx:
        tx.execute("UPDATE follows SET evidence = '⛔ the limit is db1.' WHERE task_id = 42")
        launches.unstopped(tx, 1, 42)
    watched.round()
    assert [each.task_id for each in watched.told if isinstance(each, OutputDue)] == [42]
