"""The supervisor: states, back-off, beats, stops. Time is an argument; services wait on gates."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.threads.service import Service, State, ThreadInfo
from chatrixcd_threads.threads.supervisor import FIRST_PAUSE, FORGIVEN_AFTER, LONGEST_PAUSE, PROVEN_AFTER, Supervisor

LIMIT = 30.0


class Clock:
    """Time that only moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Worker(Service):
    """Lives until it is told how to end: `end(None)` returns, `end(error)` raises it."""

    name = "worker"
    patience = 15.0

    def __init__(self) -> None:
        self.lives = 0
        self.begun = threading.Semaphore(0)
        self.beat: Callable[[], None] = lambda: None
        self.deaf = False
        self._gate = threading.Event()
        self._error: BaseException | None = None

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        self.lives += 1
        self.beat = beat
        self._gate.clear()
        self.begun.release()
        assert self._gate.wait(LIMIT)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wake(self) -> None:
        if not self.deaf:
            self._gate.set()

    def end(self, error: BaseException | None = None) -> None:
        self._error = error
        self._gate.set()


class Stage:
    """A supervisor with one worker, and the steps that tests are made of."""

    def __init__(self) -> None:
        self.clock, self.worker = Clock(), Worker()
        self.supervisor = Supervisor([self.worker], clock=self.clock)

    @property
    def info(self) -> ThreadInfo:
        (info,) = self.supervisor.snapshot()
        return info

    def is_(self, *states: State) -> bool:
        return self.info.state in states

    def start(self) -> None:
        self.supervisor.start()
        assert self.worker.begun.acquire(timeout=LIMIT)

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        self.worker.beat()
        self.supervisor.tick(self.clock.now)

    def dies(self, error: BaseException | None = None) -> None:
        """The worker ends, and the main thread has looked."""
        self.supervisor.changed.clear()
        self.worker.end(error)
        assert self.supervisor.changed.wait(LIMIT)
        self.supervisor.tick(self.clock.now)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.worker.deaf = False
    made.worker.end()
    made.supervisor.stop("worker", made.clock.now + LIMIT)


def test_a_service_starts_is_proven_and_stops(stage: Stage) -> None:
    assert stage.is_(State.STOPPED)
    stage.start()
    assert stage.is_(State.STARTING)
    stage.tick(PROVEN_AFTER - 0.1)
    assert stage.is_(State.STARTING)
    stage.tick(0.1)
    assert stage.is_(State.RUNNING)
    assert stage.supervisor.stop("worker", stage.clock.now + LIMIT)
    assert stage.is_(State.STOPPED)
    assert stage.worker.lives == 1


def test_each_other_state_is_told(stage: Stage) -> None:
    seen: list[State] = []
    stage.supervisor.moved = lambda: seen.append(stage.info.state)
    stage.start()
    stage.tick()
    stage.tick(PROVEN_AFTER)
    stage.tick()
    assert seen == [State.STARTING, State.RUNNING]


def test_failures_are_answered_with_doubling_pauses(stage: Stage) -> None:
    stage.start()
    for pause in (0.2, 0.4, 0.8, 1.6):
        stage.dies(RuntimeError("no"))
        assert stage.is_(State.BACKOFF)
        assert stage.info.problem == "RuntimeError"
        stage.tick(pause - 0.01)
        assert stage.is_(State.BACKOFF)
        stage.tick(0.011)
        assert stage.worker.begun.acquire(timeout=LIMIT)
        assert stage.is_(State.STARTING)
    assert stage.info.restarts == 4


def test_the_pause_has_a_longest(stage: Stage) -> None:
    stage.start()
    for _ in range(10):
        stage.dies(RuntimeError("no"))
        stage.tick(LONGEST_PAUSE)
        assert stage.worker.begun.acquire(timeout=LIMIT)
    stage.dies(RuntimeError("no"))
    stage.tick(LONGEST_PAUSE - 0.01)
    assert stage.is_(State.BACKOFF)
    stage.tick(0.02)
    assert stage.worker.begun.acquire(timeout=LIMIT)


def test_a_night_of_failures_does_not_end_the_main_thread(stage: Stage) -> None:
    """2 ** 1024 is no float: after 8.5 hours of an unusable disk the pause must still be thirty seconds."""
    stage.start()
    for _ in range(1_100):
        stage.dies(RuntimeError("no"))
        stage.tick(LONGEST_PAUSE)
        assert stage.worker.begun.acquire(timeout=LIMIT)
    assert stage.info.restarts == 1_100


def test_failures_are_forgiven_after_a_minute_of_running(stage: Stage) -> None:
    stage.start()
    for _ in range(4):
        stage.dies(RuntimeError("no"))
        stage.tick(LONGEST_PAUSE)
        assert stage.worker.begun.acquire(timeout=LIMIT)
    stage.tick(PROVEN_AFTER)
    stage.tick(FORGIVEN_AFTER)
    stage.dies(RuntimeError("again"))
    stage.tick(FIRST_PAUSE)
    assert stage.worker.begun.acquire(timeout=LIMIT)
    assert stage.is_(State.STARTING)


def test_failures_are_not_forgiven_while_it_has_just_started(stage: Stage) -> None:
    stage.start()
    stage.dies(RuntimeError("no"))
    stage.tick(FIRST_PAUSE)
    assert stage.worker.begun.acquire(timeout=LIMIT)
    stage.tick(PROVEN_AFTER)
    stage.tick(FORGIVEN_AFTER - 1)
    stage.dies(RuntimeError("again"))
    stage.tick(FIRST_PAUSE)
    assert stage.is_(State.BACKOFF)


def test_a_service_that_just_returns_is_started_again(stage: Stage) -> None:
    stage.start()
    stage.dies()
    assert stage.is_(State.BACKOFF)
    assert stage.info.problem == "ended by itself"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_no_kind_of_exception_ends_a_service_silently(stage: Stage, error: BaseException) -> None:
    stage.start()
    stage.dies(error)
    assert stage.is_(State.BACKOFF)
    assert stage.info.problem == type(error).__name__


def test_fatal_is_for_good_and_says_why(stage: Stage) -> None:
    stage.start()
    stage.dies(Fatal("the password is wrong"))
    stage.tick(10 * LONGEST_PAUSE)
    assert stage.is_(State.FATAL)
    assert stage.worker.lives == 1
    assert stage.supervisor.fatal() == "worker: the password is wrong"


def test_what_was_fatal_is_still_known_after_the_ordered_stop(stage: Stage) -> None:
    """The exit code is made of it, and asked for when everything has stopped."""
    stage.start()
    stage.dies(Fatal("the password is wrong"))
    assert stage.supervisor.stop("worker", stage.clock.now)
    assert stage.supervisor.fatal() == "worker: the password is wrong"


def test_a_late_beat_is_logged_once_with_the_stack(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.start()
    stage.tick(PROVEN_AFTER)
    with caplog.at_level(logging.ERROR, "chatrixcd.threads"):
        for _ in range(3):
            stage.clock.now += 16
            stage.supervisor.tick(stage.clock.now)
    assert len(caplog.records) == 1
    assert "worker has not moved for 16 s" in caplog.text
    assert "_gate.wait" in caplog.text  # where it stands
    assert stage.is_(State.RUNNING)


def test_each_episode_of_lateness_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.start()
    for _ in range(2):
        stage.tick()
        stage.clock.now += 20
        stage.supervisor.tick(stage.clock.now)
    assert caplog.text.count("has not moved") == 2


def test_stop_of_a_stuck_service_says_so_and_where(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.start()
    stage.worker.deaf = True
    assert stage.supervisor.stop("worker", stage.clock.now) is False
    assert stage.is_(State.STOPPING)
    assert "_gate.wait" in caplog.text
    stage.supervisor.tick(stage.clock.now + 100)
    assert stage.is_(State.STOPPING)  # nothing restarts what was asked to stop


def test_a_service_in_its_pause_is_stopped_without_being_started(stage: Stage) -> None:
    stage.start()
    stage.dies(RuntimeError("no"))
    assert stage.supervisor.stop("worker", stage.clock.now)
    stage.tick(LONGEST_PAUSE)
    assert stage.is_(State.STOPPED)
    assert stage.worker.lives == 1


def test_the_snapshot_tells_times_and_problems(stage: Stage) -> None:
    stage.start()
    stage.tick(PROVEN_AFTER)
    stage.clock.now += 3
    info = stage.info
    assert (info.name, info.state, info.since, info.beat_age, info.restarts) == ("worker", State.RUNNING, 3, 3, 0)


def test_only_the_named_services_are_started() -> None:
    one, two = Worker(), Worker()
    two.name = "other"
    clock = Clock()
    supervisor = Supervisor([one, two], clock=clock)
    supervisor.start(["other"])
    assert two.begun.acquire(timeout=LIMIT)
    assert [info.state for info in supervisor.snapshot()] == [State.STOPPED, State.STARTING]
    assert supervisor.stop("other", clock.now + LIMIT)
    assert one.lives == 0
