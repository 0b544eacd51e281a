"""The lag of a loop, with a loop of the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from chatrixcd_threads.matrix.lag import KEPT, STEP_SECONDS, LoopLag


class Loop:
    """Runs what is due, as late as the test says."""

    def __init__(self) -> None:
        self.now = 5.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Any:
        entry = (when, call)
        self.due.append(entry)
        return Handle(lambda: self.due.remove(entry))

    def turn(self, late: float) -> None:
        when, call = self.due.pop()
        assert not self.due
        self.now = when + late
        call()


class Handle:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


def test_figures() -> None:
    lag, loop = LoopLag(), Loop()
    assert lag.figures() == (0.0, 0.0, 0)
    lag.start(cast(Any, loop))
    for number in range(101):
        loop.turn(number / 1_000)
    p50, p99, count = lag.figures()
    assert (round(p50, 6), round(p99, 6), count) == (0.05, 0.099, 101)


def test_a_late_turn_does_not_make_the_next_one_late() -> None:
    lag, loop = LoopLag(), Loop()
    lag.start(cast(Any, loop))
    loop.turn(9.0)
    assert loop.due[0][0] == loop.now + STEP_SECONDS
    loop.turn(0.0)
    assert lag.figures()[0] == 0.0


def test_only_the_newest_count_and_a_stop_is_a_stop() -> None:
    lag, loop = LoopLag(), Loop()
    lag.start(cast(Any, loop))
    for _ in range(KEPT):
        loop.turn(1.0)
    for _ in range(KEPT):
        loop.turn(0.002)
    assert tuple(round(each, 6) for each in lag.figures()) == (0.002, 0.002, KEPT)
    lag.stop()
    assert loop.due == []
    lag.start(cast(Any, loop))
    lag.start(cast(Any, loop))
    assert len(loop.due) == 1
