"""What a room hears of a followed task: once, with the true end, its last lines and what may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.commands.output import READS
from chatrixcd_threads.commands.reports import HOSTS_GO_ON, LAST_LINES, MAY_BE_CUT
from chatrixcd_threads.events import TaskSeen
from chatrixcd_threads.journal import launches
from chatrixcd_threads.semaphore.errors import Forbidden, NotSemaphore, Unreachable

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

PERSON = "@ann:x"


def test_a_success_is_told_with_who_and_how_long(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "success")
    assert bench.reported(task) == f"Task #{task} Deploy: ✅ success\nAsked by @ann:x, it took 1 minute and 1 second."
    content = bench.content("end:1")
    assert content["mention"] == [PERSON]


def test_it_is_told_once(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "success")
    assert bench.reported(task)
    assert bench.reported(task) == ""
    assert bench.reported(task, "error") == ""
    assert launches.followed(bench.journal.read()) == []


def test_a_failure_is_told_with_its_last_lines(bench: Bench) -> None:
    task = bench.started("run 1 6")  # ansible: nothing is lost
    bench.semaphore.ends(task, "error")
    output = [f"\x1b[31mline {n}\x1b[0m" for n in range(40)] + ["", "  "]
    bench.semaphore.says(task, output)
    told = bench.reported(task)
    assert told.startswith(
        f"Task #{task} Site: ❌ failed\nAsked by @ann:x, it took 1 minute and 1 second.\nIts last lines:"
    )
    assert told.count("line ") == LAST_LINES
    assert told.endswith("line 39")
    assert MAY_BE_CUT not in told


def test_of_a_script_the_last_lines_may_be_missing_and_that_is_said(bench: Bench) -> None:
    task = bench.started("run 1 5")
    bench.semaphore.ends(task, "error")
    bench.semaphore.says(task, ["x"])
    assert MAY_BE_CUT in bench.reported(task)


def test_a_failure_without_output(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "error")
    told = bench.reported(task)
    assert "Semaphore has no output of it." in told
    assert MAY_BE_CUT in told
    assert "Its last lines" not in told


def test_the_output_is_read_until_it_has_stopped_growing(bench: Bench) -> None:
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "error")
    bench.semaphore.says(task, ["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c", "late"])
    told = bench.reported(task)
    assert told.endswith("a\nb\nc")
    assert "still arriving" not in told


def test_an_output_that_never_stops_growing_is_said_to_be_incomplete(bench: Bench) -> None:
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "error")
    bench.semaphore.says(task, *(["x"] * n for n in range(READS + 3)))
    told = bench.reported(task)
    assert "The output was still arriving when I read it" in told
    assert f"!cd logs {task}" in told


@pytest.mark.parametrize(
    "error",
    [NotSemaphore("the answer is larger than 64 MB.", sent=True), Forbidden("forbids it (403)", sent=True)],
    ids=repr,
)
def test_a_failure_whose_output_cannot_be_read_is_told_all_the_same(bench: Bench, error: NotSemaphore) -> None:
    """Else the report is tried again and again, for ever, and the room never hears that its task failed."""
    task = bench.started()
    bench.semaphore.ends(task, "error")
    bench.semaphore.fails["output"] = error
    told = bench.reported(task)
    assert "❌ failed" in told
    assert error.sentence in told


def test_a_failure_whose_template_cannot_be_read_is_told_all_the_same(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "error")
    bench.semaphore.fails["template"] = Forbidden("forbids it (403)", sent=True)
    assert "❌ failed" in bench.reported(task)


def test_away_and_back(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "success")
    bench.semaphore.fails["task"] = Unreachable("no connection")
    with pytest.raises(Unreachable):
        bench.reported(task)
    assert [each.task_id for each in launches.followed(bench.journal.read())] == [task]
    del bench.semaphore.fails["task"]
    assert "✅ success" in bench.reported(task)


def test_a_task_that_was_stopped_in_semaphore(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "stopped")
    assert bench.reported(task).endswith("Somebody stopped it in Semaphore.")


@pytest.mark.parametrize("status", ["stopping", "running", "waiting_confirmation"])
def test_a_status_that_stays_for_ever_is_explained(bench: Bench, status: str) -> None:
    task = bench.started()
    bench.semaphore.ends(task, status)
    assert f"Semaphore leaves it as “{status}”, but it is over" in bench.reported(task)


def test_a_task_that_never_ran(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "stopped", start=None)
    assert "it never started." in bench.reported(task)


def test_a_task_that_ran_without_a_known_end_is_not_said_to_have_never_started(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.ends(task, "success", end=None)
    assert bench.reported(task).endswith("Asked by @ann:x.")


def test_a_task_that_is_gone(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.task_list.clear()
    told = bench.reported(task)
    assert "❔ gone" in told
    assert "I cannot say how it ended" in told


@pytest.mark.parametrize(
    ("ended", "told_as"),
    [
        ("stopped", "⏹ stopped (stopped by @bob:x)"),
        ("error", "⏹ stopped (stopped by @bob:x)"),  # 2.10 ends a stopped task as error
        ("success", "✅ success — it ended before the stop took effect"),
        ("stopping", "🛑 stopping (stopped by @bob:x). Semaphore leaves it as “stopping”, but it is over"),
    ],
)
def test_how_a_stop_of_ours_ended(bench: Bench, ended: str, told_as: str) -> None:
    bench.bot(admin_users=("*",))
    task = bench.started()
    bench.say(f"stop {task}", sender="@bob:x")
    bench.semaphore.ends(task, ended)
    told = bench.reported(task)
    assert told_as in told
    assert "Asked by @ann:x" in told
    assert HOSTS_GO_ON in told
    assert bench.slots()[-1].startswith("answer:")  # the answer to the stop becomes its outcome


def test_a_stop_in_another_room_is_told_in_both(bench: Bench) -> None:
    task = bench.started()
    bench.say(f"stop {task}", room_id="!two:x")
    bench.semaphore.ends(task, "stopped")
    mine, theirs = launches.followed(bench.journal.read())
    for follow in (mine, theirs):
        bench.reporter.report(TaskSeen(follow.id, 1, task, "stopped", True))
    assert "stopped by @ann:x" in bench.content(f"end:{mine.id}")["plain"]
    assert "stopped by @ann:x" in bench.content(str(theirs.stop_slot))["plain"]


def test_a_task_that_waits_for_somebody(bench: Bench) -> None:
    task = bench.started()
    assert bench.reported(task, "running") == ""  # not worth a message
    bench.semaphore.runs(task, status="waiting_confirmation")
    told = bench.reported(task)
    assert "❓ waits for a confirmation in Semaphore" in told
    assert f"!cd confirm {task} applies it" in told
    assert bench.content("waits:1")["mention"] == [PERSON]
    assert bench.reported(task) == ""


def test_a_report_of_nothing(bench: Bench) -> None:
    bench.reporter.report(TaskSeen(99, 1, 42, "success", True))
    assert bench.slots() == []
