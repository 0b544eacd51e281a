"""NEWER.md, table 1: every row that a client can meet, on each profile of the stand-in that has it.

Not met, since the bot has no such call: 8 (stop_all_tasks), 14 and 21 (schedules), 18 and 23 (deletions). 20 needs no test
of its own: outputs are read whole and by position everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.journal import questions

if TYPE_CHECKING:
    from tests.launch.conftest import Open

OLD, NEWER = ("2.10",), ("2.16", "2.17", "2.19", "2.20")
ALL = (*OLD, *NEWER)


@dataclass(frozen=True)
class Refused:
    """A wish that the flags of the template, or the server's version, rule out."""

    row: str  # of NEWER.md, table 1, or a section
    profiles: tuple[str, ...]
    words: str
    says: str


REFUSED = (
    Refused("1", NEWER, "run 1 Hidden --dry-run", "--dry-run is not allowed here: Semaphore would run for real."),
    Refused("1", NEWER, "run 1 Hidden --diff", "--diff is not allowed here"),
    Refused("1", NEWER, "plan 1 Hidden", "Semaphore would run for real."),
    Refused("3", NEWER, "run 1 Closed --tags first", "Semaphore would run everything, whatever its tags."),
    Refused("3", NEWER, "run 1 Closed --skip-tags first", "Semaphore would skip nothing of that."),
    Refused("3", NEWER, "run 1 Closed --debug", "Semaphore would run without the details."),
    Refused("3", ALL, 'run 1 Script --args "-x"', "Semaphore would run without them."),
    Refused("4", NEWER, "run 1 Closed --limit web1", "Semaphore would run on ALL hosts of the inventory."),
    Refused("6", NEWER, "run 1 Infra --destroy", "although nobody has allowed that"),
    Refused("6", OLD, "run 1 Infra --destroy", "does not know it; 2.13 does"),
    Refused("9", NEWER, "run 1 Git --branch fix", "Semaphore would use the template's own branch."),
    Refused("13", ALL, "run 1 Secret", "gives secrets to ansible only"),
    Refused("17", NEWER, "run 1 Closed --inventory 2", "Semaphore would use the template's own inventory."),
    Refused("17", ALL, "run 1 Open --inventory 9", "no inventory"),
    Refused("17", ALL, "run 1 Script --inventory 1", "bash has nothing like it; Semaphore would ignore it."),
    Refused("17", ALL, "run 1 Infra --inventory 1", "terraform has nothing like it"),
    Refused("2.1", NEWER, "run 1 Infra --auto-approve", "Semaphore would stop at the plan and ask."),
    Refused("2.1", OLD, "run 1 Closed --tags first", "does not know it; 2.13 does"),
    Refused("2.1", OLD, "plan 1 Infra", "does not know it; 2.13 does"),
    Refused("2.2", ("2.10", "2.16", "2.17", "2.19"), "run 1 Groupless who=ada", "Give the template a variable group"),
)


@pytest.mark.parametrize("profile", ALL)
def test_what_the_flags_rule_out_is_never_posted(profile: str, opened: Open) -> None:
    yard = opened(profile)
    for row in REFUSED:
        if profile not in row.profiles:
            continue
        said = yard.say(row.words)
        assert "I did not start" in said or "no inventory" in said, (row, said)
        assert row.says in said, (row, said)
    assert questions.next_expiry(yard.journal.read()) is None, "something was asked"
    assert yard.posted() == []


@pytest.mark.parametrize("profile", ALL)
def test_row_2_a_dry_run_reaches_the_job_in_the_servers_own_form(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Open", "--dry-run --diff")
    report = yard.ends(task)
    assert " --diff --check " in yard.output(task)
    assert "Not confirmed by the log: dry run." in report  # its banners carry no marks


@pytest.mark.parametrize("profile", ALL)
def test_rows_3_and_4_an_allowed_limit_is_what_the_job_gets(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Open", "--limit web1")
    report = yard.ends(task)
    assert "--limit=web1" in yard.output(task)
    assert "ok: [web2]" not in yard.output(task)
    assert "The log shows it as asked: limit web1." in report
    assert (yard.launch_state(), yard.alarms, yard.orders(task)) == ("started", [], [])


@pytest.mark.parametrize("profile", NEWER)
def test_rows_3_and_5_the_templates_own_lists_stay_where_nothing_was_asked(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Own")
    report = yard.ends(task)
    body = dict(yard.posted()[0])
    body.pop("message")
    assert body == {"template_id": 3}
    assert "--limit=web1 --tags=first" in yard.output(task)
    assert "The log shows it as asked: limit web1" in report


@pytest.mark.parametrize("profile", NEWER)
def test_row_6_an_allowed_destruction_is_asked_about_by_name(profile: str, opened: Open) -> None:
    yard = opened(profile)
    command = yard.asked("run 1 Infra open --destroy --auto-approve")
    assert "DESTROYS" in yard.answer(command)
    yard.yes(command)
    assert yard.posted() == [], "a mere yes destroys nothing"
    yard.yes(command, "Infra open")
    assert yard.posted()[0]["params"] == {"destroy": True, "auto_approve": True}
    task = int(yard.standin.tasks()[0]["id"])
    assert "✅" in yard.ends(task)
    assert "apply -auto-approve -lock=false -destroy" in yard.output(task)


@pytest.mark.parametrize("profile", ALL)
def test_row_7_a_waiting_task_is_never_stopped_by_force(profile: str, opened: Open) -> None:
    yard = opened(profile)
    first, second = yard.starts("Long"), yard.starts("Long")
    yard.rounds(lambda: yard.status(first) == "running")
    assert yard.status(second) == "waiting"
    assert "I did not force task" in yard.say(f"stop {second} --force")
    assert yard.orders(second) == []
    yard.say(f"stop {second}")
    assert yard.orders(second) == ["stop"]
    yard.say(f"stop {first}")
    assert "stopped" in yard.ends(first)
    assert "stopped" in yard.ends(second)
    assert "begun" not in yard.output(second), "it was run although it was stopped"


@pytest.mark.parametrize("profile", NEWER)
def test_row_9_an_allowed_branch_is_what_is_deployed(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Git open", "--branch fix")
    report = yard.ends(task)
    assert "from fix" in yard.output(task)
    assert "Not confirmed by the log: branch fix." in report


@pytest.mark.parametrize("profile", NEWER)
def test_row_9_what_the_server_does_without_the_flag_depends_on_its_version(profile: str, opened: Open) -> None:
    """The reason for asking for the flag everywhere: the answer is the same, the job is not."""
    yard = opened(profile)
    task = yard.semaphore.start(1, {"template_id": 13, "git_branch": "fix"})
    assert task.git_branch == "fix"
    yard.waits(lambda: yard.status(task.id) == "success")
    assert f"from {'main' if profile == '2.20' else 'fix'}" in yard.output(task.id)


@pytest.mark.parametrize("profile", ["2.16", "2.19"])
def test_row_10_a_success_without_a_log_proves_nothing(profile: str, opened: Open) -> None:
    yard = opened(profile, "loses-short-logs")
    report = yard.ends(yard.starts("Open", "--limit web1"))
    assert "✅" in report
    assert "Not confirmed by the log: limit web1." in report


@pytest.mark.parametrize("profile", ["2.16", "2.19"])
def test_row_10_a_failure_without_a_log_is_not_said_to_have_no_reason(profile: str, opened: Open) -> None:
    yard = opened(profile, "loses-short-logs")
    report = yard.ends(yard.starts("Fails"))
    assert "failed" in report
    assert "the reason" not in report
    assert "The end of the output may be missing" in report


@pytest.mark.parametrize("profile", ALL)
def test_row_11_a_finished_task_is_not_stopped(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Script")
    yard.ends(task)
    for words in (f"stop {task}", f"stop {task} --force"):
        assert "is over already" in yard.say(words)
    assert yard.orders(task) == []
    assert yard.status(task) == "success"


@pytest.mark.parametrize("profile", NEWER)
def test_row_12_a_stop_at_the_confirmation_ends_or_can_be_forced(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Infra")
    yard.rounds(lambda: bool(yard.text(f"waits:{yard.follow(task).id}")))
    yard.say(f"stop {task}")
    assert "I sent nothing" in yard.say(f"confirm {task}")
    if profile in ("2.16", "2.17"):  # stays in `stopping` until somebody uses force
        assert f"stop {task} --force" in yard.say(f"stop {task}")
        yard.say(f"stop {task} --force")
    assert "stopped" in yard.ends(task)
    assert "confirm" not in yard.orders(task)
    assert "Creating" not in yard.output(task)


@pytest.mark.parametrize("profile", NEWER)
def test_row_15_no_runner_is_an_error_with_its_line(profile: str, opened: Open) -> None:
    yard = opened(profile, switches={"runners": False})
    report = yard.ends(yard.starts("Script"))
    assert "failed" in report
    assert "no runners available" in report
    assert len(yard.posted()) == 1, "it was repeated"


@pytest.mark.parametrize("profile", NEWER)
def test_row_16_a_task_that_goes_back_to_the_queue_is_not_over(profile: str, opened: Open) -> None:
    yard = opened(profile, "requeues")
    report = yard.ends(yard.starts("Script"))
    assert "✅" in report


@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_row_16_a_lost_runner_leaves_the_hosts_in_doubt(profile: str, opened: Open) -> None:
    yard = opened(profile, "loses-runner")
    report = yard.ends(yard.starts("Script"))
    assert "Runner lost: no sign of life" in report
    assert "the job may go on, and the state of its hosts is unknown" in report


@pytest.mark.parametrize("profile", NEWER)
def test_row_19_what_a_dead_server_left_running_can_be_stopped(profile: str, opened: Open) -> None:
    yard = opened(profile)
    task = yard.starts("Long")
    yard.rounds(lambda: yard.status(task) == "running")
    yard.standin.restart()
    yard.round()
    assert not yard.follow(task).done
    assert "running" in yard.say(f"status {task}")
    yard.say(f"stop {task}")
    assert "stopped" in yard.ends(task)


@pytest.mark.parametrize("profile", NEWER)
def test_row_22_one_plan_gets_one_answer(profile: str, opened: Open) -> None:
    yard = opened(profile, switches={"poll": 1.5})
    task = yard.starts("Infra")
    yard.rounds(lambda: yard.status(task) == "running")
    assert "I sent nothing" in yard.say(f"reject {task}"), "a rejection while it plans is forgotten"
    yard.rounds(lambda: bool(yard.text(f"waits:{yard.follow(task).id}")))
    assert "is rejected by" in yard.say(f"reject {task}")
    assert "I sent nothing" in yard.say(f"confirm {task}"), "a confirmation now would apply the plan"
    yard.ends(task)
    assert yard.orders(task) == ["reject"]
    assert yard.status(task) == "error"
    assert "Creating" not in yard.output(task)


@pytest.mark.parametrize("profile", NEWER)
def test_row_24_an_output_that_still_arrives_is_said_to_be_arriving(profile: str, opened: Open) -> None:
    yard = opened(profile, switches={"flush_rate": 400.0})
    task = yard.starts("Chatty")
    report = yard.ends(task)
    assert f"The output was still arriving when I read it; !cd logs {task} shows the rest." in report


@pytest.mark.parametrize("profile", NEWER)
def test_section_4_a_stop_in_starting_waits_until_it_is_obeyed(profile: str, opened: Open) -> None:
    """Sent in `starting`, Semaphore takes it, runs the job to its end, and leaves the task in `stopping` for ever."""
    yard = opened(profile, switches={"starting_seconds": 2.0})  # a stop waits for 3 s at most
    task = yard.starts("Long")
    yard.waits(lambda: yard.status(task) in ("starting", "running"))
    assert "I asked Semaphore to stop" in yard.say(f"stop {task}")
    assert "stopped" in yard.ends(task)
    assert yard.status(task) == "stopped"
    assert yard.orders(task) == ["stop"]
