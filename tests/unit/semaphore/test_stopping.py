"""A stop that is obeyed: not while the task is starting."""

from __future__ import annotations

from typing import cast

import pytest

from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.semaphore.stopping import LOOKS, doubt_of, stop_when_started


class Passing:
    """A task that passes through statuses, one for each look; the last one stays."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.stops: list[tuple[str, bool]] = []
        self.looks = 0

    def task(self, project_id: int, task_id: int) -> Task:
        self.looks += 1
        if len(self.statuses) > 1:
            self.statuses.pop(0)
        return self.now()

    def now(self) -> Task:
        return Task(id=4, project_id=1, status=self.statuses[0])

    def stop(self, project_id: int, task_id: int, *, force: bool = False) -> None:
        self.stops.append((self.statuses[0], force))


def stopped(*statuses: str, force: bool = False) -> tuple[Passing, Task]:
    passing = Passing(*statuses)
    task = stop_when_started(cast(Semaphore, passing), 1, passing.now(), force=force, pause=lambda seconds: None)
    return passing, task


@pytest.mark.parametrize(
    ("statuses", "at", "looks"),
    [
        (("running",), "running", 0),
        (("starting", "starting", "running"), "running", 2),
        (("waiting", "starting", "running"), "running", 2),
        (("waiting", "waiting"), "waiting", 1),  # it stands in a queue, and a plain stop takes it out
        (("waiting", "waiting_confirmation"), "waiting_confirmation", 1),
    ],
)
def test_the_stop_comes_when_it_is_obeyed(statuses: tuple[str, ...], at: str, looks: int) -> None:
    passing, task = stopped(*statuses)
    assert passing.stops == [(at, False)]
    assert (passing.looks, doubt_of(task)) == (looks, "")


def test_what_ended_meanwhile_is_left_as_it_ended() -> None:
    passing, task = stopped("starting", "success")
    assert (passing.stops, task.status) == ([], "success")


def test_a_start_without_end_is_stopped_all_the_same_and_the_doubt_is_told() -> None:
    passing, task = stopped("starting")
    assert (passing.stops, passing.looks) == ([("starting", False)], LOOKS)
    assert "may run to its end" in doubt_of(task)


def test_force_is_passed_on() -> None:
    assert stopped("running", force=True)[0].stops == [("running", True)]
