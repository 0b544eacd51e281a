"""Lanes: order in a lane, parallel lanes, bounds, limits, stuck jobs, and the end. Gates, no sleeps."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Hashable, Iterator

import pytest

from chatrixcd_threads.threads.diagnose import names_of_threads
from chatrixcd_threads.threads.lanes import Job, Lanes

LIMIT = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A job that says when it has begun and waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.go.wait(LIMIT)
        self.ended.set()

    def runs(self) -> bool:
        return self.begun.wait(LIMIT)


class Yard:
    """Lanes whose callbacks are recorded. `stop` lets every gate go and ends the pool."""

    def __init__(self, workers: int, per_lane: int = 100) -> None:
        self.clock = Clock()
        self.failures: list[tuple[Job, BaseException]] = []
        self.failed_now = threading.Event()
        self.freed: list[Hashable] = []
        self.freed_now = threading.Event()
        self.gates: list[Gate] = []
        self.lanes = Lanes(workers, per_lane=per_lane, clock=self.clock, failed=self._failed, freed=self._freed)

    def _failed(self, job: Job, error: BaseException) -> None:
        self.failures.append((job, error))
        self.failed_now.set()

    def _freed(self, key: Hashable) -> None:
        self.freed.append(key)
        self.freed_now.set()

    def gate(self, key: Hashable = "a", *, taken: bool = True) -> Gate:
        gate = Gate()
        self.gates.append(gate)
        assert self.submit(key, gate) is taken
        return gate

    def submit(self, key: Hashable, call: Callable[[], None], about: object = None) -> bool:
        return self.lanes.submit(Job(key, f"job of {key}", call, about))

    def stop(self) -> None:
        for gate in self.gates:
            gate.go.set()
        self.lanes.close()
        assert self.idle() == []

    def idle(self) -> list[Job]:
        """Waits (in real time) until nothing runs."""
        deadline = time.monotonic() + LIMIT
        while (left := self.lanes.wait_idle(self.clock.now + 0.05)) and time.monotonic() < deadline:
            pass
        return left


@pytest.fixture
def yard() -> Iterator[Callable[..., Yard]]:
    made: list[Yard] = []

    def make(workers: int = 4, per_lane: int = 100) -> Yard:
        made.append(Yard(workers, per_lane))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0)


def test_jobs_of_a_lane_run_in_order_and_one_at_a_time(yard: Callable[..., Yard]) -> None:
    here = yard(workers=8)
    seen: list[int] = []
    busy: list[int] = []
    done = threading.Event()

    def work(number: int) -> None:
        busy.append(number)
        assert len(busy) == 1
        seen.append(number)
        busy.remove(number)
        if number == 99:
            done.set()

    for number in range(100):
        assert here.submit("a", lambda number=number: work(number))  # type: ignore[misc]
    assert done.wait(LIMIT)
    assert seen == list(range(100))
    assert here.failures == []


def test_lanes_run_beside_each_other(yard: Callable[..., Yard]) -> None:
    here = yard(workers=4)
    gates = [here.gate(key) for key in "abcd"]
    assert all(gate.runs() for gate in gates)
    assert here.lanes.counts().running == 4


def test_one_persons_twenty_slow_jobs_hold_up_nobody(yard: Callable[..., Yard]) -> None:
    here = yard(workers=2)
    slow = [here.gate("slow") for _ in range(20)]
    assert slow[0].runs()
    for number in range(20):
        quick = here.gate(("quick", number))
        quick.go.set()
        assert quick.ended.wait(LIMIT)
    assert not slow[1].begun.is_set()
    assert here.lanes.counts().waiting == 19


def test_a_full_lane_refuses_and_says_when_it_has_room(yard: Callable[..., Yard]) -> None:
    here = yard(per_lane=4)
    gates = [here.gate() for _ in range(4)]
    here.gate(taken=False)
    here.gate("b")  # others are not concerned
    for gate in gates[:1]:
        gate.go.set()
        assert gate.ended.wait(LIMIT)
    assert gates[1].runs()
    assert here.freed == []  # not for a single place: half of the lane must be free
    gates[1].go.set()
    assert here.freed_now.wait(LIMIT)
    assert here.freed == ["a"]
    for gate in gates[2:]:
        gate.go.set()
        assert gate.ended.wait(LIMIT)
    wait_until(lambda: here.lanes.counts().lanes == 1)
    assert here.freed == ["a"]  # once


def test_a_lane_that_refused_nothing_is_not_announced(yard: Callable[..., Yard]) -> None:
    here = yard(per_lane=2)
    gate = here.gate()
    gate.go.set()
    wait_until(lambda: here.lanes.counts().lanes == 0)
    assert here.freed == []


def test_a_full_lane_has_room_also_when_its_jobs_were_given_up(yard: Callable[..., Yard]) -> None:
    here = yard(workers=2, per_lane=1)
    assert here.gate().runs()
    here.gate(taken=False)
    here.lanes.overdue(here.clock.now + 90, 5, 90)
    assert here.freed_now.wait(LIMIT)
    assert here.freed == ["a"]


def test_the_soft_limit_is_told_once(yard: Callable[..., Yard]) -> None:
    here = yard()
    assert here.gate().runs()
    assert here.lanes.overdue(here.clock.now + 4.9, 5, 90) == ([], [])
    slow, lost = here.lanes.overdue(here.clock.now + 5, 5, 90)
    assert ([job.name for job in slow], lost) == (["job of a"], [])
    assert here.lanes.overdue(here.clock.now + 6, 5, 90) == ([], [])


def test_waiting_is_not_working(yard: Callable[..., Yard]) -> None:
    here = yard()
    first, second = here.gate(), here.gate()
    assert first.runs()
    here.clock.now += 80
    first.go.set()
    assert second.runs()
    assert here.lanes.overdue(here.clock.now + 1, 5, 90) == ([], [])


def test_a_stuck_job_is_given_up_and_its_lane_goes_on(
    yard: Callable[..., Yard], caplog: pytest.LogCaptureFixture
) -> None:
    here = yard()
    stuck, second, third = here.gate(), here.gate(), here.gate()
    assert stuck.runs()
    slow, lost = here.lanes.overdue(here.clock.now + 90, 5, 90)
    assert (slow, [job.given_up for job in lost]) == ([], [True])
    assert "self.go.wait(LIMIT)" in caplog.text  # the log shows where it is stuck
    assert second.runs()
    second.go.set()
    assert third.runs()
    counts = here.lanes.counts()
    assert (counts.running, counts.waiting, counts.given_up) == (1, 0, 1)
    third.go.set()
    wait_until(lambda: here.lanes.counts().lanes == 0)
    assert not stuck.ended.is_set()


def test_what_a_given_up_job_raises_later_is_nobodys_business(yard: Callable[..., Yard]) -> None:
    here = yard()
    begun, go, gone = threading.Event(), threading.Event(), threading.Event()

    def late() -> None:
        begun.set()
        try:
            assert go.wait(LIMIT)
            raise RuntimeError("too late")
        finally:
            gone.set()

    here.submit("a", late)
    assert begun.wait(LIMIT)
    here.lanes.overdue(here.clock.now + 90, 5, 90)
    go.set()
    assert gone.wait(LIMIT)
    after = here.gate()
    assert after.runs()
    assert here.failures == []


def test_when_all_workers_are_stuck_they_are_replaced(yard: Callable[..., Yard]) -> None:
    here = yard(workers=2)
    stuck = [here.gate("a"), here.gate("b")]
    assert all(gate.runs() for gate in stuck)
    waiting = [here.gate(key) for key in "cdef"]
    assert not any(gate.begun.is_set() for gate in waiting)
    _, lost = here.lanes.overdue(here.clock.now + 90, 5, 90)
    assert len(lost) == 2
    for gate in waiting:
        assert gate.runs()
        gate.go.set()
    assert here.gate("a").runs()
    assert here.lanes.counts().given_up == 2


def test_a_job_that_still_works_survives_the_change_of_workers(yard: Callable[..., Yard]) -> None:
    here = yard(workers=2)
    assert here.gate("stuck").runs()
    here.clock.now += 80
    young = here.gate("young")
    later = here.gate("young")
    assert young.runs()
    here.lanes.overdue(here.clock.now + 10, 5, 90)
    young.go.set()
    assert later.runs()
    later.go.set()
    wait_until(lambda: here.lanes.counts().lanes == 0)


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_whatever_a_job_raises_its_lane_and_worker_go_on(yard: Callable[..., Yard], error: BaseException) -> None:
    here = yard(workers=1)

    def breaks() -> None:
        raise error

    here.submit("a", breaks, about="the event")
    after = here.gate()
    assert after.runs()
    ((job, seen),) = here.failures
    assert (job.about, seen) == ("the event", error)


def test_a_failure_that_cannot_be_told_does_not_block_the_lane() -> None:
    """A full disk: the job fails, and so does writing the answer about it."""

    def failed(job: Job, error: BaseException) -> None:
        raise OSError("no space left on device")

    clock, gate = Clock(), Gate()
    lanes = Lanes(1, clock=clock, failed=failed)

    def breaks() -> None:
        raise OSError("no space left on device")

    lanes.submit(Job("a", "first", breaks))
    lanes.submit(Job("a", "second", gate))
    try:
        assert gate.runs()
    finally:
        gate.go.set()
        lanes.overdue(clock.now + 100, 1, 100)
        lanes.close()
        lanes.wait_idle(clock.now + LIMIT)


def test_each_begin_and_each_end_of_a_job_is_told(yard: Callable[..., Yard]) -> None:
    made = yard(1)
    running: list[int] = []
    made.lanes.changed = lambda: running.append(made.lanes.counts().running)
    gate = made.gate()
    assert gate.runs()
    assert running == [1]
    gate.go.set()
    wait_until(lambda: running == [1, 0])


def test_a_job_sees_the_context_of_whoever_made_it(yard: Callable[..., Yard]) -> None:
    here = yard()
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    seen: list[str] = []

    def changes() -> None:
        seen.append(request.get())
        request.set("lost")

    request.set("first")
    here.submit("a", lambda: seen.append(request.get()))
    request.set("second")
    here.submit("a", changes)
    here.submit("a", lambda: seen.append(request.get()))
    wait_until(lambda: len(seen) == 3)
    assert seen == ["first", "second", "second"]


def test_close_lets_running_jobs_end_and_drops_waiting_ones(yard: Callable[..., Yard]) -> None:
    here = yard(workers=1)
    running, same_lane, other_lane = here.gate("a"), here.gate("a"), here.gate("b")
    assert running.runs()
    here.lanes.close()
    assert here.submit("c", lambda: None) is False
    assert [job.name for job in here.lanes.wait_idle(here.clock.now)] == ["job of a"]
    running.go.set()
    assert here.idle() == []
    assert not same_lane.begun.is_set()
    assert not other_lane.begun.is_set()


def test_a_given_up_job_is_named_when_the_process_wants_to_end(yard: Callable[..., Yard]) -> None:
    here = yard()
    stuck = here.gate()
    assert stuck.runs()
    here.lanes.overdue(here.clock.now + 90, 5, 90)
    here.lanes.close()
    assert [job.name for job in here.lanes.wait_idle(here.clock.now)] == ["job of a"]
    stuck.go.set()
    assert here.idle() == []


def test_nobody_is_called_back_after_the_end(yard: Callable[..., Yard]) -> None:
    """`freed` puts into a queue that nobody empties any more: a worker that waits there would hold up the exit."""
    here = yard(per_lane=1)
    gate = here.gate()
    assert gate.runs()
    here.gate(taken=False)
    here.lanes.close()
    gate.go.set()
    assert here.idle() == []
    assert here.freed == []


def test_a_job_that_comes_while_the_workers_are_replaced_is_neither_lost_nor_refused(
    yard: Callable[..., Yard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: its lane is in the table, and the pool that it took is shut down before it gets there."""
    here = yard(workers=2)
    assert here.gate("stuck").runs()
    pool = here.lanes._pool
    submit = pool.submit
    between = Gate()

    def slowly(*args: object) -> object:
        here.lanes.overdue(here.clock.now + 90, 5, 90)
        return submit(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "submit", slowly)
    here.gates.append(between)
    assert here.submit("b", between)
    assert between.runs()


def test_the_longest_lanes_are_told_with_their_jobs(yard: Callable[..., Yard]) -> None:
    here = yard(workers=2)
    first = here.gate("a")
    assert first.runs()
    here.clock.now += 4
    assert here.gate("b").runs()
    here.clock.now += 1
    for key in ("b", "b", "c"):
        here.gate(key)
    told = here.lanes.longest(20)
    assert [(each.key, each.waiting, each.job, each.age) for each in told] == [
        ("b", 2, "job of b", 1.0),
        ("c", 1, "job of c", None),
        ("a", 0, "job of a", 5.0),
    ]
    assert told[1].thread is None
    assert names_of_threads()[told[2].thread or 0].startswith("work-")
    assert [each.key for each in here.lanes.longest(1)] == ["b"]
