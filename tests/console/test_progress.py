"""How far tasks are: what is asked of Semaphore, how rarely, and in which words it is told."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import urwid

from chatrixcd_threads.console import pace
from chatrixcd_threads.console.board import TaskLine
from chatrixcd_threads.console.progress import AGAIN_SECONDS, AT_ONCE, Progress
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Unreachable
from chatrixcd_threads.semaphore.models import Project, Task, Template
from chatrixcd_threads.threads.lanes import Job, Lanes

NOW = 1_800_000_000.0
BEGIN = datetime.fromtimestamp(NOW, UTC)


def run(number: int, status: str, begun: float | None = None, ended: float | None = None, template: int = 5) -> Task:
    """A task that began and ended so many seconds ago."""
    start = None if begun is None else BEGIN - timedelta(seconds=begun)
    end = None if ended is None else BEGIN - timedelta(seconds=ended)
    return Task(id=number, template_id=template, project_id=1, status=status, start=start, end=end)


class Bench:
    """Semaphore, and lanes whose jobs run at once, or when they are let go."""

    def __init__(self, *tasks: Task) -> None:
        self.all = {each.id: each for each in tasks}
        self.asked: list[str] = []
        self.away = False
        self.parallel, self.most = False, 0
        self.held: list[Job] | None = None
        self.full = False
        self.now = NOW
        self.pokes = 0
        self.progress = Progress(lambda: cast(Semaphore, self), cast(Lanes, self), self._poke, lambda: self.now)

    def _poke(self) -> None:
        self.pokes += 1

    def submit(self, job: Job) -> bool:
        if self.full:
            return False
        if self.held is None:
            job.call()
        else:
            self.held.append(job)
        return True

    def task(self, project: int, number: int) -> Task:
        self.asked.append(f"task {number}")
        if self.away:
            raise Unreachable("no connection")
        return self.all[number]

    def template_tasks(self, project: int, template: int, limit: int) -> list[Task]:
        self.asked.append(f"list {template}")
        return [each for each in self.all.values() if each.template_id == template]

    def template(self, project: int, template: int) -> Template:
        return Template(id=template, allow_parallel_tasks=self.parallel)

    def project(self, project: int) -> Project:
        return Project(id=project, max_parallel_tasks=self.most)

    def want(self, *numbers: int, status: str = "running") -> None:
        self.progress.want([((1, number), status) for number in numbers])

    def tasks(self, project: int, limit: int) -> list[Task]:
        return list(self.all.values())


def line(status: str = "running", **more: object) -> TaskLine:
    made = TaskLine(1, 42, "Deploy", status, "@ann:x", "!r:x", None)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def test_the_usual_time_is_the_median_of_good_runs() -> None:
    bench = Bench(
        run(42, "running", begun=60),
        run(41, "success", begun=1_000, ended=900),
        run(40, "error", begun=2_000, ended=1_000),
        run(39, "success", begun=3_000, ended=2_700),
        run(38, "success", begun=5_000, ended=4_880),
        run(37, "success"),
    )
    bench.want(42)
    facts = bench.progress.of((1, 42))
    assert (facts.started, facts.usual, facts.earlier) == (NOW - 60, 120.0, 3)
    assert bench.pokes == 1


def test_what_is_known_is_not_asked_again() -> None:
    bench = Bench(run(42, "running", begun=60), run(41, "running", begun=30))
    for _ in range(20):
        bench.want(42, 41)
        bench.now += 1
    assert bench.asked == ["task 42", "list 5", "task 41"]
    assert bench.progress.of((1, 41)).earlier == 0
    bench.want(42, 41, status="stopping")
    assert bench.asked[3:] == ["task 42", "task 41"]
    bench.want(41, status="stopping")
    assert bench.progress.of((1, 42)).started == 0.0  # nobody follows it any more


def test_a_waiting_task_is_looked_at_again() -> None:
    bench = Bench(run(42, "waiting"), run(41, "running", begun=30))
    bench.want(42, status="waiting")
    assert bench.progress.of((1, 42)).waits_for == "#41, of the same template"
    bench.want(42, status="waiting")
    assert bench.asked == ["task 42", "list 5"]
    bench.now += AGAIN_SECONDS
    bench.all[41] = run(41, "success", begun=30, ended=10)
    bench.want(42, status="waiting")
    facts = bench.progress.of((1, 42))
    assert (facts.waits_for, facts.usual, facts.earlier) == ("", 20.0, 1)


def test_what_stays_as_it_was_is_not_drawn_again() -> None:
    bench = Bench(run(7, "waiting"))
    bench.progress.want([((1, 7), "waiting")])
    bench.now += AGAIN_SECONDS
    bench.progress.want([((1, 7), "waiting")])
    assert bench.asked.count("task 7") == 2
    assert bench.pokes == 1


def test_nothing_is_guessed_about_a_wait() -> None:
    bench = Bench(run(42, "waiting"), run(41, "running", begun=30))
    bench.parallel = True
    bench.want(42, status="waiting")
    assert bench.progress.of((1, 42)).waits_for == ""


def test_a_task_waits_for_a_place_in_its_project() -> None:
    bench = Bench(run(42, "waiting"), run(41, "running", begun=30, template=6), run(40, "waiting", template=6))
    bench.most = 2
    bench.want(42, status="waiting")
    assert bench.progress.of((1, 42)).waits_for == ""
    bench.now += AGAIN_SECONDS
    bench.most = 1
    bench.want(42, status="waiting")
    assert bench.progress.of((1, 42)).waits_for == "a place: 1 of 1 tasks of the project run"


def test_when_semaphore_is_away_one_is_asked_and_the_rest_waits() -> None:
    bench = Bench(run(42, "running", begun=60), run(41, "running", begun=30))
    bench.away = True
    bench.want(42, 41)
    bench.want(42, 41)
    assert bench.asked == ["task 42"]
    bench.away = False
    bench.now += AGAIN_SECONDS
    bench.want(42, 41)
    assert bench.progress.of((1, 41)).started == NOW - 30


def test_one_job_at_a_time_and_a_few_tasks_in_it() -> None:
    bench = Bench(*(run(number, "running", begun=60) for number in range(1, 12)))
    bench.held = []
    for _ in range(3):
        bench.want(*range(1, 12))
    assert len(bench.held) == 1
    bench.held.pop().call()
    assert sum(each.startswith("task") for each in bench.asked) == AT_ONCE
    bench.want(*range(1, 12))
    assert len(bench.held) == 1


def test_lanes_that_are_full_are_asked_again_later() -> None:
    bench = Bench(run(42, "running", begun=60))
    bench.full = True
    bench.want(42)
    bench.full = False
    bench.want(42)
    assert bench.progress.of((1, 42)).started == NOW - 60


@pytest.mark.parametrize(
    ("task", "brief", "full"),
    [
        (line(), "", ""),
        (line(started=NOW - 240), "4 min", "runs for 4 min"),
        (line(started=NOW - 240, earlier=0), "4 min", "runs for 4 min, no earlier run"),
        (line(started=NOW - 240, usual=360.0, earlier=8), "███░░ 67 %", "runs for 4 min, usually 6 min (8 runs)"),
        (line(started=NOW - 3, usual=360.0, earlier=1), "░░░░░ 1 %", "runs for 3 s, usually 6 min (1 run)"),
        (line(started=NOW - 720, usual=360.0, earlier=8), "█████ 200 %", "runs for 12 min, usually 6 min (8 runs), late"),
        (line(started=NOW + 9, usual=60.0, earlier=8), "░░░░░ 0 %", "runs for 0 s, usually 1 min (8 runs)"),
        (line(started=NOW - 90_000, usual=1.0, earlier=1), "█████ 999 %", "runs for 25 h, usually 1 s (1 run), late"),
        (line("waiting"), "in the queue", "waits in Semaphore's queue"),
        (line("waiting", waits_for="#4"), "for #4", "waits for #4"),
        (line("waiting_confirmation", started=NOW - 9), "to be confirmed", "waits for somebody to confirm or reject it in Semaphore"),
    ],
)  # fmt: skip
def test_the_words(task: TaskLine, brief: str, full: str) -> None:
    assert pace.brief(task, NOW) == brief
    assert pace.full(task, NOW) == full


def test_the_bar_in_an_ascii_terminal() -> None:
    before = urwid.util.get_encoding()
    try:
        urwid.set_encoding("ascii")
        assert pace.bar(0.68) == "###-- 68 %"
    finally:
        urwid.set_encoding(before)


def test_late_is_more_than_a_moment() -> None:
    assert not pace.is_late(line(started=NOW - 10, usual=2.0, earlier=3), NOW)
    assert not pace.is_late(line(started=NOW - 80, usual=60.0, earlier=3), NOW)
    assert pace.is_late(line(started=NOW - 125, usual=60.0, earlier=3), NOW)
