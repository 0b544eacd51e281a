"""Tasks that Semaphore has forgotten, and a queue that hangs: told once, and taken back in the same message."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chatrixcd_threads.commands.launching import MAY_HANG
from chatrixcd_threads.commands.stills import HANG_SECONDS, HANGS, STILL_SECONDS, hanging
from chatrixcd_threads.events import TaskSeen, TaskStill
from chatrixcd_threads.journal import stills
from chatrixcd_threads.semaphore.errors import Missing, TimedOut
from tests.unit.commands.conftest import BEGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.commands.conftest import Bench

ADMINS = "!admins:x"


def look(bench: Bench, task: int, seconds: float = 0.0, *, back: float = 0.0, waits: float = 0.0) -> None:
    """A close look, so many seconds later."""
    bench.now += seconds
    follow = bench.follow(task)
    bench.stills.look(TaskStill(follow.id, follow.project_id, task, back and back - 30, back, waits))


def said(bench: Bench, kind: str = "still") -> str:
    """What the room reads in the only message of this kind."""
    slots = [each for each in bench.slots() if each.startswith(f"{kind}:")]
    assert len(slots) <= 1
    return str(bench.content(slots[0])["plain"]) if slots else ""


def sets(bench: Bench, task: int, **facts: Any) -> None:
    bench.semaphore.task_list[task] = msgspec.structs.replace(bench.semaphore.task_list[task], **facts)


@pytest.fixture
def back(bench: Bench) -> float:
    """The moment in which Semaphore was back."""
    return bench.now


def test_a_task_that_does_not_move_after_semaphore_was_away_is_told_once(bench: Bench, back: float) -> None:
    task = bench.started()
    bench.semaphore.says(task, ["one line"])
    look(bench, task, back=back)
    look(bench, task, STILL_SECONDS / 2, back=back)
    assert said(bench) == ""
    look(bench, task, STILL_SECONDS / 2, back=back)
    told = said(bench)
    assert f"Task #{task} Deploy: ▶ running" in told
    assert "Semaphore was away from " in told
    assert "the task has not moved since" in told
    assert "Most likely it is dead" in told
    assert "keep others of its template waiting" in told
    assert f"!cd stop {task} marks it as stopped" in told
    assert bench.content("still:1")["mention"] == ["@ann:x"]
    before = bench.everything()
    look(bench, task, 600, back=back)
    assert bench.everything() == before


@pytest.mark.parametrize("moves", ["output", "status"])
def test_a_task_that_moves_again_takes_it_back_in_the_same_message(bench: Bench, back: float, moves: str) -> None:
    task = bench.started()
    bench.semaphore.says(task, ["one line"])
    look(bench, task, back=back)
    look(bench, task, STILL_SECONDS, back=back)
    bench.deliver()
    if moves == "output":
        bench.semaphore.says(task, ["one line", "another"])
    else:
        bench.semaphore.runs(task, status="waiting_confirmation")
    look(bench, task, 30, back=back)
    assert "It moves again: Semaphore has not forgotten it." in said(bench)
    before = bench.everything()
    look(bench, task, STILL_SECONDS, back=back)  # from now on it may be silent for as long as it wants
    assert bench.everything() == before
    assert stills.suspected(bench.journal.read()) == []


def test_a_task_that_moves_is_not_told(bench: Bench, back: float) -> None:
    task = bench.started()
    for number in range(4):
        bench.semaphore.says(task, ["line"] * number)
        look(bench, task, STILL_SECONDS, back=back)
    assert said(bench) == ""


def test_a_second_absence_begins_anew(bench: Bench, back: float) -> None:
    task = bench.started()
    look(bench, task, back=back)
    bench.semaphore.says(task, ["moved"])
    look(bench, task, 30, back=back)
    again = bench.now
    look(bench, task, back=again)
    look(bench, task, STILL_SECONDS, back=again)
    assert "Most likely it is dead" in said(bench)


def test_the_end_is_told_in_both_messages(bench: Bench, back: float) -> None:
    task = bench.started()
    look(bench, task, back=back)
    look(bench, task, STILL_SECONDS, back=back)
    bench.semaphore.ends(task, "stopped", end=None)  # as a stop of a forgotten task ends
    assert "⏹ stopped" in bench.reported(task)
    assert said(bench) == f"Task #{task} Deploy, which I held for dead: it is ⏹ stopped now."
    assert stills.still(bench.journal.read(), 1) is None


def test_a_plan_that_waits_is_not_called_dead(bench: Bench, back: float) -> None:
    task = bench.started()
    bench.semaphore.runs(task, status="waiting_confirmation")
    look(bench, task, back=back)
    look(bench, task, STILL_SECONDS, back=back)
    assert "Most likely" not in said(bench)
    assert "when an answer to it is refused, the task is dead, too" in said(bench)


def test_a_waiting_task_behind_one_that_semaphore_has_started_since_may_still_come(bench: Bench, back: float) -> None:
    task = bench.started()
    bench.semaphore.runs(task, status="waiting", start=None)
    bench.semaphore.runs(90, start=BEGIN + timedelta(seconds=back - BEGIN.timestamp() + 5))
    look(bench, task, back=back)
    look(bench, task, STILL_SECONDS, back=back)
    assert said(bench) == ""
    bench.semaphore.ends(90, "success", 400.0)
    look(bench, task, 30, back=back)
    assert "🕒 waiting" in said(bench)


def both_run(bench: Bench, **newer: Any) -> int:
    """Two tasks of one template run at the same time: the older one."""
    task = bench.started()
    bench.reported(task)
    other = bench.started()
    bench.semaphore.runs(other, **({"start": BEGIN + timedelta(seconds=30)} | newer))
    bench.reported(other)
    return task


def test_a_task_that_another_one_of_its_template_has_overtaken_is_dead(bench: Bench) -> None:
    """Also after a restart that nobody has noticed."""
    task = both_run(bench)
    told = said(bench)
    assert f"Task #{task} Deploy: ▶ running\nSemaphore has started #{task + 1} of the same template after it" in told
    assert f"!cd stop {task} marks it as stopped" in told
    bench.semaphore.ends(task, "stopped", end=None)
    bench.reported(task)
    assert "it is ⏹ stopped now" in said(bench)


def test_where_tasks_of_one_template_may_run_at_once_none_is_overtaken(bench: Bench) -> None:
    bench.template(5, allow_parallel_tasks=True)
    both_run(bench)
    assert said(bench) == ""


def test_the_older_one_says_nothing_about_the_newer_one(bench: Bench) -> None:
    both_run(bench, start=BEGIN - timedelta(seconds=30))
    assert said(bench) == ""


def test_one_that_has_just_ended_is_not_overtaken(bench: Bench) -> None:
    task = bench.started()
    bench.reported(task)
    bench.semaphore.ends(task, "success")
    other = bench.started()
    bench.semaphore.runs(other, start=BEGIN + timedelta(seconds=90))
    bench.reported(other)
    assert said(bench) == ""


# --- the queue


@pytest.fixture
def hung(bench: Bench) -> Callable[[], tuple[int, float]]:
    """A task that waits while nothing runs, and since when."""

    def make() -> tuple[int, float]:
        bench.bot(admin_users=("@ann:x",), admin_room=ADMINS)
        task = bench.started()
        bench.semaphore.runs(task, status="waiting", start=None)
        since = bench.now
        look(bench, task, HANG_SECONDS / 2, waits=since)
        return task, since

    return make


def test_a_queue_in_which_nothing_runs_is_told_in_the_room_and_to_the_admins(
    bench: Bench, hung: Callable[[], tuple[int, float]]
) -> None:
    task, since = hung()
    assert said(bench, "hang") == ""
    look(bench, task, HANG_SECONDS / 2, waits=since)
    told = said(bench, "hang")
    assert told.startswith(f"⛔ {HANGS}: task #{task} Deploy waits since ")
    assert "Only a restart of Semaphore helps" in told
    assert [title for title, _ in bench.alarms] == [f"⛔ {HANGS}"]
    look(bench, task, 300, waits=since)
    assert said(bench, "hang") == told
    assert len(bench.alarms) == 1
    assert "Its queue seems to hang: nothing of project 1 was seen to start since" in bench.say("ping")
    assert "seems to hang" in hanging(bench.journal.read())


def test_it_is_taken_back_when_something_starts(bench: Bench, hung: Callable[[], tuple[int, float]]) -> None:
    task, since = hung()
    look(bench, task, HANG_SECONDS / 2, waits=since)
    bench.semaphore.runs(90)
    look(bench, task, 30, waits=since)
    assert "Semaphore's queue works again: a task has started." in said(bench, "hang")
    assert [title[0] for title, _ in bench.alarms] == ["⛔", "✅"]
    assert "seems to hang" not in bench.say("ping")


def test_the_follower_sees_it_start(bench: Bench, hung: Callable[[], tuple[int, float]]) -> None:
    task, since = hung()
    look(bench, task, HANG_SECONDS / 2, waits=since)
    bench.semaphore.runs(task)
    bench.reported(task)
    assert f"works again: #{task} has started" in said(bench, "hang")


def test_semaphore_was_restarted(bench: Bench, hung: Callable[[], tuple[int, float]]) -> None:
    task, since = hung()
    look(bench, task, HANG_SECONDS / 2, waits=since)
    look(bench, task, back=bench.now + 10, seconds=20)
    assert "works again: Semaphore was away and is back" in said(bench, "hang")
    assert "stop N takes it out" in said(bench, "hang")


@pytest.mark.parametrize("project", [1, 2])
def test_what_runs_is_a_reason_to_wait(bench: Bench, hung: Callable[[], tuple[int, float]], project: int) -> None:
    """Also in another project: the places of a server count for all."""
    bench.semaphore.runs(7, project)
    task, since = hung()
    look(bench, task, HANG_SECONDS / 2, waits=since)
    look(bench, task, HANG_SECONDS, waits=since)
    assert said(bench, "hang") == ""
    bench.semaphore.ends(7, "success")
    look(bench, task, 30, waits=since)
    assert HANGS in said(bench, "hang")


def test_a_start_that_was_never_answered_counts_although_something_runs(bench: Bench) -> None:
    """A dead queue freezes what runs (API.md 5.4)."""
    bench.semaphore.runs(90)
    bench.semaphore.instead = {"status": "waiting", "start": None}
    made = bench.semaphore.start

    def never(project_id: int, body: Any) -> Any:
        made(project_id, body)
        raise TimedOut("Semaphore gave no complete answer.", sent=True)

    bench.semaphore.start = never  # type: ignore[method-assign]
    command = bench.asked()
    bench.react(command)
    assert MAY_HANG in bench.answer(command)
    since, task = bench.now, 41
    look(bench, task, HANG_SECONDS / 2, waits=since)
    assert said(bench, "hang") == ""
    look(bench, task, HANG_SECONDS / 2, waits=since)
    assert "its start was taken and never answered" in said(bench, "hang")


def test_two_rooms_hear_of_one_queue(bench: Bench, hung: Callable[[], tuple[int, float]]) -> None:
    task, since = hung()
    other = bench.started("run 1 6", room_id="!two:x")
    bench.semaphore.runs(other, 1, 6, status="waiting", start=None)
    for each in (task, other, task, other):
        look(bench, each, HANG_SECONDS / 2, waits=since)
    slots = [each for each in bench.slots() if each.startswith("hang:")]
    assert len(slots) == 2
    assert len(bench.alarms) == 1
    bench.semaphore.runs(90)
    look(bench, task, 30, waits=since)
    assert all("works again" in bench.content(each)["plain"] for each in slots)


def test_a_start_that_nobody_follows_counts(bench: Bench, hung: Callable[[], tuple[int, float]]) -> None:
    task, since = hung()
    bench.semaphore.runs(90)
    bench.semaphore.ends(90, "success")
    look(bench, task, HANG_SECONDS / 2, waits=since)
    assert said(bench, "hang") == ""
    del bench.semaphore.task_list[90]  # as Semaphore does with old ones: nothing has started
    look(bench, task, HANG_SECONDS / 2, waits=since)
    assert HANGS in said(bench, "hang")


def test_what_is_held_for_dead_takes_no_place(bench: Bench, back: float, hung: Callable[[], tuple[int, float]]) -> None:
    dead = bench.started("run 1 6")
    look(bench, dead, back=back)
    look(bench, dead, STILL_SECONDS, back=back)
    task, since = hung()
    look(bench, task, HANG_SECONDS / 2, waits=since)
    assert HANGS in said(bench, "hang")


def test_an_end_that_is_told_meanwhile_is_the_last_word(bench: Bench, back: float) -> None:
    task = bench.started()
    look(bench, task, back=back)

    def ends_now() -> None:
        bench.semaphore.fails.clear()
        bench.semaphore.ends(task, "success")
        bench.reported(task)

    bench.semaphore.fails["output"] = ends_now
    look(bench, task, STILL_SECONDS, back=back)
    assert said(bench) == ""
    assert stills.still(bench.journal.read(), 1) is None


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "cannot be read"])
def test_an_end_goes_out_whatever_is_known_of_others_of_its_template(bench: Bench, gone: bool) -> None:
    other, task = bench.started(), bench.started()
    bench.reporter.report(TaskSeen(bench.follow(other).id, 1, other, "running", False))
    bench.semaphore.ends(task, "success")
    bench.semaphore.fails["template"] = Missing("not found (404)") if gone else TimedOut("no answer")
    before, follow = bench.woken, bench.follow(task)
    with nullcontext() if gone else pytest.raises(TimedOut):
        bench.reporter.report(TaskSeen(follow.id, 1, task, "success", True))
    assert f"end:{follow.id}" in bench.slots()
    assert bench.woken > before
