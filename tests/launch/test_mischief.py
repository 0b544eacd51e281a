"""A server that does something else than it says: nothing wrong is started where it can be told before, and what
contradicts itself is stopped at its first line, with a word to the room and to the admins.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.semaphore import Fault
from chatrixcd_threads.journal import questions

if TYPE_CHECKING:
    from tests.launch.conftest import Open, Yard

BOUND = 5.0  # seconds from the first contradicting line to the request to stop
STRANGER = "it works on db1, which is not in the limit (web): changed: [db1]"


def stopped(yard: Yard, task: int, why: str, line: str) -> None:
    """All that must follow from a contradiction."""
    said = yard.contradicted(task)
    assert f"does not do what was asked: \n{why}" in said or why in said
    assert "I asked Semaphore to stop it at once. What it has started on its hosts may go on." in said
    assert yard.orders(task) == ["stop"]
    assert yard.seconds_to_stop(task, line) < BOUND
    assert yard.launch_state() == "mismatch"
    ((title, told),) = yard.alarms
    assert f"Task #{task}" in title
    assert why in told[0]
    report = yard.ends(task)
    assert "I stopped it." in report
    assert "⛔" in report
    assert len(yard.alarms) == 1
    assert yard.status(task) in ("stopped", "error")  # 2.10 ends a killed job as error
    assert len(yard.posted()) == 1, "it was started again"


@pytest.mark.parametrize("profile", ["2.10", "2.16", "2.19", "2.20"])
def test_a_dropped_limit_is_stopped_at_the_first_strange_host(profile: str, opened: Open) -> None:
    yard = opened(profile, "drops-limit")
    task = yard.starts("Slow", "--limit web")
    stopped(yard, task, STRANGER, "changed: [db1]" if profile == "2.10" else "[db1]")


def test_a_dropped_limit_that_shows_only_in_a_later_play_is_stopped_there(opened: Open) -> None:
    """The first play keeps to the limit by itself, and its steps are heard of everywhere: that settles nothing."""
    yard = opened("2.19", "drops-limit")
    task = yard.starts("Later", "--limit web")
    stopped(yard, task, "it works on db1, which is not in the limit (web): ok: [db1]", "[db1]")


def test_the_real_follower_keeps_the_bound_however_seldom_it_was_told_to_look(opened: Open) -> None:
    """The contradiction comes after the first look, and the next one would be due in a minute."""
    yard = opened("2.19", "drops-limit", poll_seconds=60.0)
    task = yard.starts("Later", "--limit web")
    ending = threading.Event()
    thread = threading.Thread(target=yard.follower.run, args=(ending, lambda: None))
    thread.start()
    try:
        yard.waits(lambda: yard.work_off() and bool(yard.orders(task)), "the stop")
    finally:
        ending.set()
        yard.follower.wake()
        thread.join()
    assert yard.seconds_to_stop(task, "[db1]") < BOUND


def test_a_job_that_is_over_before_anybody_looked_is_told_all_the_same(opened: Open) -> None:
    yard = opened("2.16", "drops-limit")
    task = yard.starts("Open", "--limit web1")
    yard.waits(lambda: yard.status(task) == "success")
    report = yard.ends(task)
    assert "⛔ Its log contradicts what was asked: it works on db1, which is not in the limit (web1)" in report
    assert yard.orders(task) == [], "a stop would rewrite how it ended"
    assert yard.launch_state() == "mismatch"
    ((title, told),) = yard.alarms
    assert "did not do what was asked" in title
    assert "It was over before I could stop it." in told


@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_a_dropped_dry_run_is_stopped_at_its_first_banner_where_jobs_are_marked(profile: str, opened: Open) -> None:
    yard = opened(profile, "drops-dry-run", check_mode_markers=True)
    stopped(yard, yard.starts("Marked", "--dry-run"), "the play is not marked as a dry run: PLAY [Slow]", "PLAY [Slow]")


def test_a_verified_dry_run_is_shown_by_its_marks(opened: Open) -> None:
    yard = opened("2.20", check_mode_markers=True)
    task = yard.starts("Marked", verb="plan")
    assert "The log shows it as asked: dry run." in yard.ends(task)
    assert "Shall I run exactly this for real" in yard.text(f"plan:{yard.follow(task).id}")


def test_a_dropped_dry_run_without_marks_is_stopped_when_a_command_really_ran(opened: Open) -> None:
    yard = opened("2.19", "drops-dry-run")
    task = yard.starts("Slow", "--dry-run --debug")
    stopped(yard, task, "a command was really run, although this was to be a dry run: changed: [db1]", "changed: [db1]")


def test_a_dropped_dry_run_that_nothing_shows_is_not_called_one(opened: Open) -> None:
    yard = opened("2.16", "drops-dry-run")
    task = yard.starts("Open", verb="plan")
    assert "Not confirmed by the log: dry run." in yard.ends(task)


def test_a_dropped_plan_only_is_rejected_and_nobody_is_asked_to_apply_it(opened: Open) -> None:
    yard = opened("2.19", "drops-plan", {"poll": 0.2})
    task = yard.starts("Infra", verb="plan")
    said = yard.contradicted(task)
    assert "it waits to apply its plan, although only a plan was asked for" in said
    assert "I rejected the plan. Nothing of it is applied." in said
    assert yard.text(f"waits:{yard.follow(task).id}") == ""
    assert "⛔" in yard.ends(task)
    assert yard.orders(task) == ["reject"]
    assert yard.launch_state() == "mismatch"
    assert "Creating" not in yard.output(task)


def test_a_dropped_plan_only_that_is_applied_without_a_question_is_stopped(opened: Open) -> None:
    yard = opened("2.19", "drops-plan")
    task = yard.starts("Infra applies", verb="plan")
    stopped(yard, task, "it applies, although only a plan was asked for: x_y.z: Creating...", "Creating")


@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_ignored_tags_leave_nothing_in_the_log_and_the_room_is_told_so(profile: str, opened: Open) -> None:
    yard = opened(profile, "ignores-tags")
    task = yard.starts("Open", "--tags first --skip-tags second")
    report = yard.ends(task)
    assert "Not confirmed by the log: tags first, skip-tags second." in report
    assert yard.alarms == []


@pytest.mark.parametrize(
    ("mischief", "says"),
    [
        ("renames-limit", 'limit: asked for ["web"], Semaphore made it nothing'),
        ("answers-another-limit", 'limit: asked for ["web"], Semaphore made it ["db1"]'),
        ("answers-another-template", "template_id: asked for 4, Semaphore made it 2"),
    ],
)
@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_an_answer_that_is_not_what_was_asked_for_is_stopped_before_any_line(
    profile: str, mischief: str, says: str, opened: Open
) -> None:
    yard = opened(profile, mischief, {"starting_seconds": 0.3})  # a stop in `starting` would not be obeyed
    command = yard.asked("run 1 Slow --limit web")
    said = yard.yes(command)
    assert says in said
    assert "I asked Semaphore to stop it at once" in said
    task = int(yard.standin.tasks()[0]["id"])
    assert yard.orders(task) == ["stop"]
    assert yard.launch_state() == "mismatch"
    ((title, told),) = yard.alarms
    assert "another task than was asked for" in title
    assert says in told[0]
    assert "I stopped it." in yard.ends(task)
    assert len(yard.posted()) == 1


def test_a_201_with_a_strange_body_is_looked_up_and_started_once(opened: Open) -> None:
    yard = opened("2.19", "answers-another-body")
    command = yard.asked("run 1 Script")
    assert "I found #1 there. Nothing was started twice." in yard.yes(command)
    assert "✅" in yard.ends(1)
    assert len(yard.posted()) == 1


def test_a_201_with_a_page_instead_of_a_body_is_looked_up_as_well(opened: Open) -> None:
    yard = opened("2.19")
    yard.standin.fault(Fault("POST", r"/tasks$", status=201, body="<html>", after=True, times=1))
    assert "Nothing was started twice" in yard.yes(yard.asked("run 1 Script"))
    assert len(yard.posted()) == 1


@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_a_template_changed_after_the_question_voids_the_yes(profile: str, opened: Open) -> None:
    yard = opened(profile)
    command = yard.asked("run 1 Slow --limit web --dry-run")
    yard.edit("Slow", playbook="site.yml", task_params={"hide_dry_run": True})
    said = yard.yes(command)
    assert "the template was changed in Semaphore after I had asked (playbook, task params)" in said
    assert yard.posted() == []
    assert questions.next_expiry(yard.journal.read()) is None


def test_a_queue_that_hangs_starts_nothing_twice_and_is_told(opened: Open) -> None:
    yard = opened("2.16", "hangs", timeout=3.0)
    command = yard.asked("run 1 Script")
    said = yard.yes(command)
    assert "I found #1 there. Nothing was started twice." in said
    yard.round()
    assert yard.status(1) == "waiting"
    assert not yard.follow(1).done
    assert yard.semaphore.ping() < 3.0
    assert len(yard.posted()) == 1
    yard.standin.mischief("none")
    assert "✅" in yard.ends(1)
