"""What is asked is what runs: options are worked out before the question, and the output is held against them after it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from chatrixcd_threads.events import Kind, TaskSeen
from chatrixcd_threads.journal import launches, questions
from chatrixcd_threads.semaphore.errors import Unreachable
from chatrixcd_threads.semaphore.models import SurveyValue, SurveyVar, Template

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

ROOM = "!room:x"
OPEN = {"allow_override_limit": True, "allow_override_tags": True, "allow_debug": True}
ALL_OPEN: dict[str, Any] = {
    "task_params": OPEN,
    "inventory_id": 3,
    "environment_id": 1,
    "allow_override_branch_in_task": True,
    "allow_override_args_in_task": True,
}


def launch_state(bench: Bench) -> str:
    return str(bench.journal.read().execute("SELECT state FROM launches ORDER BY id DESC").fetchone()[0])


def test_options_reach_semaphore_in_both_forms(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    bench.started(
        'run 1 6 --limit web1,web2 --tags=a --debug --branch fix who=ada --args "--forks 3" --message "night shift"'
    )
    body = dict(bench.semaphore.posts[0])
    message = str(body.pop("message"))
    assert message.startswith("night shift · !cd run, asked by @ann:x [")
    assert body == {
        "template_id": 6,
        "params": {"limit": ["web1", "web2"], "tags": ["a"], "debug": True, "debug_level": 4},
        "debug": True,
        "limit": "web1,web2",
        "git_branch": "fix",
        "arguments": '["--forks", "3"]',
        "environment": '{"who": "ada"}',
    }


def test_the_token_stands_in_what_semaphore_keeps_of_a_message(bench: Bench) -> None:
    """The column holds 250 characters; PostgreSQL answers more with an error 500, which leaves a doubt."""
    assert "--message may have" in bench.say(f"run 1 5 --message '{'x' * 250}'")
    room = re.findall(r"--message may have (\d+) characters", bench.say(f"run 1 5 --message '{'x' * 250}'"))
    bench.started(f"run 1 5 --message '{'x' * int(room[0])}'")
    person = f"@{'p' * 240}:x"
    bench.bot(admin_users=("*",))
    command = bench.asked(sender=person)
    bench.react(command, sender=person)
    messages = [str(each["message"]) for each in bench.semaphore.posts]
    assert len(messages) == 2
    assert all(len(each) <= 250 and re.search(r"\[[0-9a-f]{10}\]$", each) for each in messages)


def test_the_question_names_what_will_be_used(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    asked = bench.say("run 1 6 --limit web1 --dry-run")
    assert "Hosts: web1" in asked
    assert "Dry run" in asked
    assert "ALL hosts" in bench.say("run 1 6")


def test_what_would_be_ignored_is_refused_with_what_would_have_happened(bench: Bench) -> None:
    bench.template(inventory_id=3)
    answer = bench.say("run 1 6 --limit web1 --tags a")
    assert "--limit is not allowed here: Semaphore would run on ALL hosts of the inventory." in answer
    assert "allow_override_limit" in answer
    assert "--tags is not allowed here" in answer
    assert questions.next_expiry(bench.journal.read()) is None


def test_an_edited_template_voids_the_question_and_says_what_changed(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    command = bench.asked("run 1 6 --limit web1")
    bench.template(task_params={"allow_override_limit": False}, playbook="other.yml")
    bench.react(command)
    assert "the template was changed in Semaphore after I had asked (playbook, task params)" in bench.answer(command)
    assert bench.semaphore.posts == []


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"params": {"limit": ["db1"]}, "limit": ""}, 'limit: asked for ["web1"], Semaphore made it ["db1"]'),
        ({"params": {"host_limit": ["web1"]}, "limit": ""}, 'limit: asked for ["web1"], Semaphore made it nothing'),
        ({"template_id": 9}, "template_id: asked for 6, Semaphore made it 9"),
    ],
    ids=["other hosts", "renamed key", "other template"],
)
def test_another_task_than_asked_for_is_stopped_at_once(bench: Bench, instead: dict[str, Any], said: str) -> None:
    bench.template(**ALL_OPEN)
    command = bench.asked("run 1 6 --limit web1")
    if "template_id" in instead:
        made = bench.semaphore.runs
        bench.semaphore.runs = lambda *args, **more: made(args[0], args[1], 9, **more)  # type: ignore[method-assign]
    else:
        bench.semaphore.instead = instead
    bench.react(command)
    assert said in bench.answer(command)
    assert bench.semaphore.stops == [41]
    assert launch_state(bench) == "mismatch"
    bench.semaphore.ends(41, "stopped")
    assert "I stopped it." in bench.reported(41)


def test_the_first_line_from_a_strange_host_stops_it(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web")
    assert bench.witnessed(task, "TASK [a] *****", "ok: [web1]") == ""
    said = bench.witnessed(task, "TASK [a] *****", "ok: [web1]", "changed: [db1]")
    assert "it works on db1, which is not in the limit (web): changed: [db1]" in said
    assert bench.semaphore.stops == [task]
    assert launch_state(bench) == "mismatch"
    assert bench.alarms[0][0] == f"⛔ Task #{task} (Site) was stopped"
    bench.semaphore.ends(task, "stopped")
    assert "I stopped it." in bench.reported(task)


def test_a_stop_that_failed_is_tried_again_until_it_is_sent(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web1")
    bench.semaphore.fails["stop"] = Unreachable("no connection")
    assert "I could not stop it: " in bench.witnessed(task, "ok: [db1]")
    assert bench.alarms[-1][0] == f"⛔ Task #{task} (Site) must be stopped"
    assert "I could not stop it: " in bench.witnessed(task, "ok: [db1]")
    assert len(bench.alarms) == 1
    del bench.semaphore.fails["stop"]
    assert "I asked Semaphore to stop it at once." in bench.witnessed(task, "ok: [db1]")
    assert bench.alarms[-1][0] == f"⛔ Task #{task} (Site) was stopped"
    assert bench.semaphore.stops == [task] * 3
    bench.witnessed(task, "ok: [db1]")
    assert len(bench.semaphore.stops) == 3
    rows = bench.journal.read().execute("SELECT count(*) FROM audit WHERE what = 'mismatch'").fetchone()
    assert rows[0] == 1


def test_a_finished_task_is_not_stopped_however_wrong_it_was(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web1")
    bench.semaphore.ends(task, "success")
    assert "It was over before I could stop it." in bench.witnessed(task, "ok: [db1]")
    assert bench.semaphore.stops == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (["TASK [a] ***", "ok: [web1]", "PLAY RECAP *****"], "The log shows it as asked: limit web1."),
        ([], "Not confirmed by the log: limit web1."),
        (["TASK [a] ***", "ok: [db1]", "PLAY RECAP ***"], "⛔ Its log contradicts what was asked: it works on db1"),
    ],
    ids=["shown", "silent", "against"],
)
def test_the_end_tells_what_the_log_proves(bench: Bench, output: list[str], said: str) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web1")
    bench.semaphore.says(task, output)
    bench.semaphore.ends(task, "success")
    assert said in bench.reported(task)


def test_a_contradiction_found_at_the_end_is_a_mismatch_and_the_admins_hear_of_it(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web1")
    bench.semaphore.says(task, ["ok: [db1]"])
    bench.semaphore.ends(task, "success")
    bench.reported(task)
    bench.reported(task)
    assert launch_state(bench) == "mismatch"
    ((title, told),) = bench.alarms
    assert "did not do what was asked" in title
    assert "It was over before I could stop it." in told


def test_a_task_made_another_one_is_told_to_the_admins(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    bench.semaphore.instead = {"params": {"limit": ["db1"]}}
    bench.react(bench.asked("run 1 6 --limit web1"))
    ((title, told),) = bench.alarms
    assert "another task than was asked for" in title
    assert 'asked for ["web1"]' in told[0]


def test_a_limit_that_is_shown_is_watched_further(bench: Bench) -> None:
    """The first play may keep to it by itself."""
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web")
    assert bench.witnessed(task, "TASK [a] ***", "ok: [web1]", "PLAY [b] ***") == ""
    assert not bench.follow(task).judged
    assert "it works on db1" in bench.witnessed(task, "TASK [a] ***", "ok: [web1]", "PLAY [b] ***", "ok: [db1]")


def test_tags_are_named_as_unconfirmed_and_their_output_is_read_once(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --tags a")
    assert bench.witnessed(task, "TASK [a] ***", "ok: [web1]") == ""
    assert bench.follow(task).judged
    bench.semaphore.ends(task, "success")
    assert "Not confirmed by the log: tags a." in bench.reported(task)


def test_a_plan_that_was_to_end_is_rejected_and_nobody_is_asked(bench: Bench) -> None:
    bench.template(app="terraform", name="Infra", task_params={})
    task = bench.started("plan 1 6")
    bench.semaphore.runs(task, 1, 6, status="waiting_confirmation")
    assert bench.reported(task, "waiting_confirmation") == ""
    assert "was to be a plan only" in bench.say(f"confirm {task}")
    assert bench.semaphore.decided == []
    said = bench.witnessed(task, "Plan: 1 to add, 0 to change, 0 to destroy.")
    assert "it waits to apply its plan, although only a plan was asked for" in said
    assert bench.semaphore.decided == [("reject", task)]
    bench.semaphore.ends(task, "error")
    assert "I stopped it." in bench.reported(task)


def test_the_output_of_a_task_that_was_only_stopped_here_is_not_judged(bench: Bench) -> None:
    bench.semaphore.runs(30)
    bench.say("stop 30")
    assert bench.follow(30).judged
    assert bench.witnessed(30, "ok: [db1]") == ""


# --- grades, and questions that cannot be mistaken


def test_a_low_grade_asks_nothing_and_starts_once_through_a_crash(bench: Bench) -> None:
    bench.bot(confirm={"web/dep*": "low"})
    event = bench.event("run 1 5")
    dies = iter([KeyboardInterrupt("killed")])
    bench.semaphore.fails["template_tasks"] = lambda: None
    bench.semaphore.fails["start"] = lambda: next(dies, None)
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(event)
    bench.semaphore.runs(41, message=str(bench.semaphore.posts[0]["message"]))
    bench.desk.handle(event)
    assert len(bench.semaphore.posts) == 1
    assert "Task #41 (Deploy)" in bench.answer(event)


def test_a_high_grade_wants_the_name(bench: Bench) -> None:
    bench.bot(confirm={"*/Deploy": "high"})
    command = bench.asked()
    assert "reply to this message with Deploy" in bench.answer(command).replace("`", "")
    bench.react(command)
    assert bench.semaphore.posts == []
    wrong = bench.event("deploi", Kind.SAID, target=f"$of answer:{command.event_id}")
    bench.desk.handle(wrong)
    assert bench.semaphore.posts == []
    bench.desk.handle(bench.event("Deploy", Kind.SAID, target=f"$of answer:{command.event_id}"))
    assert len(bench.semaphore.posts) == 1


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        (" Deploy  the\tsite ", "Deploy the site"),  # a client shows it so, and that is what people copy
        ("Zu\u0308rich 🚀", "Z\u00fcrich 🚀"),
        ("yes", "yes"),
        ("Stop", "Stop 5"),  # what means no everywhere else starts nothing here
        (" ", "5"),
    ],
)
def test_every_name_can_be_typed(bench: Bench, name: str, typed: str) -> None:
    bench.bot(confirm={"*": "high"})
    bench.template(5, name=name)
    command = bench.asked()
    bench.desk.handle(bench.event("Deploy", Kind.SAID, target=f"$of answer:{command.event_id}"))
    assert bench.semaphore.posts == []
    bench.desk.handle(bench.event(typed, Kind.SAID, target=f"$of answer:{command.event_id}"))
    assert len(bench.semaphore.posts) == 1


def test_a_no_is_a_no_also_where_a_template_is_called_so(bench: Bench) -> None:
    bench.bot(confirm={"*": "high"})
    bench.template(5, name="Stop")
    command = bench.asked()
    assert "reply to this message with Stop 5." in bench.answer(command).replace("`", "")
    bench.desk.handle(bench.event("Stop", Kind.SAID, target=f"$of answer:{command.event_id}"))
    assert "Not done: Stop" in bench.answer(command)


def test_a_destroy_is_refused_without_permission_and_asked_by_name_with_it(bench: Bench) -> None:
    bench.template(app="terraform", name="Infra")
    assert "destroy what the template manages although nobody has allowed that" in bench.say("run 1 6 --destroy")
    bench.template(task_params={"allow_destroy": True})
    command = bench.asked("run 1 6 --destroy")
    bench.react(command)
    assert bench.semaphore.posts == []
    bench.desk.handle(bench.event("Infra", Kind.SAID, target=f"$of answer:{command.event_id}"))
    assert bench.semaphore.posts[0]["params"] == {"destroy": True}


def test_a_deleted_command_withdraws_its_question(bench: Bench) -> None:
    command = bench.asked()
    bench.desk.handle(bench.event("", Kind.WITHDRAWN, target=command.event_id))
    assert "Withdrawn: Deploy. You deleted the command" in bench.answer(command)
    bench.react(command)
    assert bench.semaphore.posts == []


def test_an_edited_command_is_asked_about_anew(bench: Bench) -> None:
    command = bench.asked()
    edit = bench.event("run 1 6", Kind.EDITED, target=command.event_id)
    bench.desk.handle(edit)
    bench.deliver()
    assert "You changed the command" in bench.answer(command)
    assert "Shall I start Site" in bench.answer(edit)
    bench.react(command)  # the old one
    assert bench.semaphore.posts == []
    bench.react(edit)
    assert bench.semaphore.posts[0]["template_id"] == 6


def test_somebody_else_can_neither_withdraw_nor_name(bench: Bench) -> None:
    bench.bot(confirm={"*": "high"}, admin_users=("@ann:x", "@bob:x"))
    command = bench.asked()
    bench.desk.handle(bench.event("", Kind.WITHDRAWN, target=command.event_id, sender="@bob:x"))
    bench.desk.handle(bench.event("Deploy", Kind.SAID, target=f"$of answer:{command.event_id}", sender="@bob:x"))
    assert bench.semaphore.posts == []
    assert questions.next_expiry(bench.journal.read()) is not None


# --- plan, confirm, redo, rollback


def test_a_plan_runs_for_real_after_a_yes_to_its_result(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("plan 1 6 --limit web1")
    assert bench.semaphore.posts[0]["params"] == {"limit": ["web1"], "dry_run": True}
    bench.semaphore.says(task, ["PLAY [x] [CHECK MODE] ***", "TASK [a] ***", "changed: [web1]", "PLAY RECAP ***"])
    bench.semaphore.ends(task, "success")
    assert "The log shows it as asked: limit web1, dry run." in bench.reported(task)
    bench.deliver()
    follow = bench.follow(task)
    assert f"exactly this for real: Site, as planned in #{task}?" in bench.content(f"plan:{follow.id}")[
        "plain"
    ].replace("*", "")
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of plan:{follow.id}"))
    assert bench.semaphore.posts[1]["params"] == {"limit": ["web1"]}
    assert "dry_run" not in bench.semaphore.posts[1]


def planned(bench: Bench, task: int) -> str:
    """A good dry run ends; the offer to run it for real, empty for none."""
    bench.semaphore.says(task, ["PLAY [x] [CHECK MODE] ***", "TASK [a] ***", "changed: [web1]", "PLAY RECAP ***"])
    bench.semaphore.ends(task, "success")
    follow = bench.follow(task)
    bench.reporter.report(TaskSeen(follow.id, 1, task, "success", True))
    bench.deliver()
    return str(bench.content(f"plan:{follow.id}").get("plain", ""))


def test_a_plan_of_a_high_grade_needs_the_name_also_for_the_real_run(bench: Bench) -> None:
    bench.bot(confirm={"web/site": "high"})
    command = bench.asked("plan 1 6")
    bench.desk.handle(bench.event("Site", Kind.SAID, target=f"$of answer:{command.event_id}"))
    task = max(bench.semaphore.task_list)
    assert "reply to this message with Site" in planned(bench, task).replace("`", "")
    offer = f"$of plan:{bench.follow(task).id}"
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=offer))
    assert len(bench.semaphore.posts) == 1
    bench.desk.handle(bench.event("Site", Kind.SAID, target=offer))
    assert len(bench.semaphore.posts) == 2


def test_a_plan_that_somebody_wanted_to_stop_is_not_offered(bench: Bench) -> None:
    task = bench.started("plan 1 6")
    bench.say(f"stop {task}")
    assert planned(bench, task) == ""


def test_a_plan_that_really_ran_is_not_offered(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("plan 1 6")
    bench.semaphore.says(task, ['changed: [web1] => {"changed": true, "cmd": ["rm"], "delta": "0:00:01"}'])
    bench.semaphore.ends(task, "success")
    assert "a command was really run, although this was to be a dry run" in bench.reported(task)
    assert bench.content(f"plan:{bench.follow(task).id}") == {}


def test_scripts_have_no_dry_run(bench: Bench) -> None:
    assert "bash has no dry run" in bench.say("plan 1 5")


def waiting(bench: Bench) -> int:
    bench.template(app="terraform", name="Infra")
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "waiting_confirmation", end=None)
    bench.semaphore.says(task, ["Plan: 1 to add, 0 to change, 0 to destroy."])
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in bench.reported(task)
    bench.deliver()
    return task


@pytest.mark.parametrize(("text", "sent"), [("yes", "confirm"), ("no", "reject")])
def test_a_reaction_answers_a_waiting_plan(bench: Bench, text: str, sent: str) -> None:
    task = waiting(bench)
    bench.desk.handle(bench.event(text, Kind.REACTION, target=f"$of waits:{bench.follow(task).id}"))
    assert bench.semaphore.decided == [(sent, task)]


def test_a_plan_is_never_confirmed_after_a_stop_or_in_another_state(bench: Bench) -> None:
    task = waiting(bench)
    bench.say(f"stop {task}")
    assert "@ann:x has asked to stop task" in bench.say(f"confirm {task}")
    bench.semaphore.ends(task, "running", end=None)
    assert "does not wait for a confirmation" in bench.say(f"confirm {task}")
    assert "does not wait for a confirmation" in bench.say(f"reject {task}")
    assert bench.semaphore.decided == []


def test_two_answers_to_one_plan_do_not_overwrite_each_other(bench: Bench) -> None:
    """Semaphore obeys the later one for some seconds, and shows the first only after a while (NEWER.md 1.22)."""
    task = waiting(bench)
    bench.say(f"reject {task}")
    said = bench.say(f"confirm {task}")
    assert "I sent nothing: @ann:x has answered the plan" in said
    assert bench.semaphore.decided == [("reject", task)]
    bench.now += 30  # it still waits: the answer was lost
    bench.say(f"confirm {task}")
    assert bench.semaphore.decided == [("reject", task), ("confirm", task)]


def test_an_answer_to_a_plan_that_was_not_sent_stands_in_nobodys_way(bench: Bench) -> None:
    task = waiting(bench)
    bench.semaphore.fails["confirm"] = Unreachable("no connection")
    bench.say(f"confirm {task}")
    del bench.semaphore.fails["confirm"]
    bench.say(f"confirm {task}")
    assert bench.semaphore.decided == [("confirm", task), ("confirm", task)]


def test_an_answer_to_a_plan_goes_on_after_a_crash(bench: Bench) -> None:
    task = waiting(bench)
    dies = iter([KeyboardInterrupt("killed")] * 2)
    bench.semaphore.fails["confirm"] = lambda: next(dies, None)
    event = bench.event(f"confirm {task}")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            bench.desk.handle(event)
    bench.semaphore.ends(task, "confirmed", end=None)
    bench.desk.handle(event)
    assert "I was interrupted while I sent your answer" in bench.answer(event)
    assert "It is “" in bench.answer(event)
    assert bench.semaphore.decided == [("confirm", task)] * 2  # it waited still: nobody knew whether the first had come
    assert "does not wait for a confirmation" in bench.say(f"confirm {task}")


def test_a_plan_answered_elsewhere_leaves_no_question(bench: Bench) -> None:
    task = waiting(bench)
    bench.semaphore.ends(task, "running", end=None)
    bench.reported(task)
    bench.deliver()
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of waits:{bench.follow(task).id}"))
    assert bench.semaphore.decided == []


def test_an_old_server_rejects_by_force(bench: Bench) -> None:
    task = waiting(bench)
    bench.semaphore.version = (2, 10, 33)
    assert "stopped it by force" in bench.say(f"reject {task}")
    assert bench.semaphore.forced == [task]


def test_redo_repeats_what_was_asked_for(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6 --limit web1 who=ada")
    bench.semaphore.ends(task, "error")
    bench.react(bench.asked(f"redo {task}"))
    first, again = (dict(each) for each in bench.semaphore.posts)
    first.pop("message"), again.pop("message")
    assert again == first


def test_redo_of_the_failed_hosts(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    task = bench.started("run 1 6")
    bench.semaphore.says(
        task,
        ["web1 : ok=1    changed=0    unreachable=0    failed=1    skipped=0", "web2 : ok=1  changed=0  unreachable=0  failed=0",
         "db1 : ok=0    changed=0    unreachable=1    failed=0"],
    )  # fmt: skip
    bench.semaphore.ends(task, "error")
    bench.react(bench.asked(f"redo {task} --failed"))
    assert bench.semaphore.posts[1]["params"] == {"limit": ["web1", "db1"]}


def test_redo_of_a_task_from_elsewhere(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    bench.semaphore.runs(30, 1, 6, params={"limit": ["web2"], "tags": ["a"]}, environment='{"who":"bo"}')
    bench.react(bench.asked("redo 30"))
    assert bench.semaphore.posts[0]["params"] == {"limit": ["web2"], "tags": ["a"]}
    assert json.loads(str(bench.semaphore.posts[0]["environment"])) == {"who": "bo"}


def builds(bench: Bench) -> None:
    bench.semaphore.template_list += [
        Template(id=20, project_id=1, name="Build", app="bash", type="build", start_version="1.0.0"),
        Template(id=21, project_id=1, name="Ship", app="bash", type="deploy", build_template_id=20),
    ]
    for number, (status, version) in enumerate([("success", "1.0.0"), ("success", "1.0.1"), ("error", "1.0.2")], 1):
        bench.semaphore.runs(number, 1, 20, version=version)
        bench.semaphore.ends(number, status)


@pytest.mark.parametrize(("named", "build"), [("last", 2), ("1.0.0", 1), ("#1", 1), ("2", 2)])
def test_a_build_is_named(bench: Bench, named: str, build: int) -> None:
    builds(bench)
    bench.react(bench.asked(f"run 1 21 --build {named}"))
    assert bench.semaphore.posts[0]["build_task_id"] == build


def test_a_deploy_needs_a_good_build(bench: Bench) -> None:
    builds(bench)
    assert "it deploys a build" in bench.say("run 1 21")
    assert "There is no successful build “1.0.2” for Ship. The nearest: 1.0.1 (#2)" in bench.say(
        "run 1 21 --build 1.0.2"
    )


def test_rollback_takes_the_last_good_build(bench: Bench) -> None:
    builds(bench)
    for number, build, status in ((11, 1, "success"), (12, 2, "error")):
        bench.semaphore.runs(number, 1, 21, build_task_id=build)
        bench.semaphore.ends(number, status)
    command = bench.asked("rollback 1 Ship")
    assert "The last good run was #11 with build #1" in bench.answer(command)
    bench.react(command)
    assert bench.semaphore.posts[0]["build_task_id"] == 1
    bench.react(bench.asked("rollback 1 Ship to 1.0.1"))
    assert bench.semaphore.posts[1]["build_task_id"] == 2


# --- surveys


def test_survey_values_are_checked_and_defaults_put_in(bench: Bench) -> None:
    survey = (
        SurveyVar("who", "Who", required=True),
        SurveyVar("count", type="int", default_value="2"),
        SurveyVar(
            "env", type="enum", required=True, values=(SurveyValue("Staging", "stg"), SurveyValue("Live", "prd"))
        ),
        SurveyVar("odd", type="enum", default_value="gone", values=(SurveyValue("A", "a"),)),
    )
    bench.template(5, survey_vars=survey, environment_id=1)
    assert "“nowhere” is not among stg, prd" in bench.say("run 1 5 who=ada env=nowhere")
    assert "“many” is no whole number" in bench.say("run 1 5 who=ada env=stg count=many")
    bench.react(bench.asked("run 1 5 who=ada env=live"))
    assert json.loads(str(bench.semaphore.posts[0]["environment"])) == {"who": "ada", "count": "2", "env": "prd"}


FORM = (
    SurveyVar("who", "Who", required=True),
    SurveyVar("env", type="enum", required=True, values=(SurveyValue("Staging", "stg"), SurveyValue("Live", "prd"))),
)


def asked_now(bench: Bench, command: Any) -> str:
    return bench.answer(command)


def tell(bench: Bench, command: Any, words: str, **more: Any) -> None:
    bench.desk.handle(bench.event(words, Kind.SAID, thread=command.event_id, **more))
    bench.deliver()


def test_a_form_asks_only_for_what_is_missing_and_checks_it(bench: Bench) -> None:
    bench.template(5, survey_vars=FORM, environment_id=1)
    command = bench.asked("run 1 5")
    assert "Deploy needs 2 answers." in bench.answer(command).replace("*", "")
    assert bench.content(f"answer:{command.event_id}")["thread"] == command.event_id
    tell(bench, command, "start")  # a word that means yes elsewhere is a value here
    assert "1. stg Staging" in bench.answer(command).replace("`", "")
    tell(bench, command, "nowhere")
    assert "⚠ env: “nowhere” is not among stg, prd." in bench.answer(command)
    tell(bench, command, "prd", sender="@bob:x")
    assert "nowhere" in bench.answer(command)
    tell(bench, command, "2")
    final = bench.content(f"answer:{command.event_id}+")["plain"]
    assert "Variables: env=prd, who=start" in final
    assert bench.semaphore.posts == []
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}+"))
    assert json.loads(str(bench.semaphore.posts[0]["environment"])) == {"env": "prd", "who": "start"}


def test_a_form_of_a_low_grade_starts_once_through_a_crash_and_an_edit(bench: Bench) -> None:
    bench.bot(confirm={"web/deploy": "low"})
    bench.template(5, survey_vars=FORM, environment_id=1)
    command = bench.asked("run 1 5 who=ada")
    event = bench.event("prd", Kind.SAID, thread=command.event_id)
    dies = iter([KeyboardInterrupt("killed")])
    bench.semaphore.fails["start"] = lambda: next(dies, None)
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(event)
    bench.semaphore.runs(41, message=str(bench.semaphore.posts[0]["message"]), environment='{"env":"prd","who":"ada"}')
    bench.template(5, survey_vars=FORM[:1])
    bench.desk.handle(event)
    assert len(bench.semaphore.posts) == 1
    assert "Task #41 (Deploy)" in bench.answer(command)


def test_a_form_offers_what_was_said_last_time(bench: Bench) -> None:
    bench.template(5, survey_vars=FORM, environment_id=1)
    bench.started("run 1 5 who=ada env=stg")
    command = bench.asked("run 1 5")
    assert "takes all as last time: who=ada, env=stg" in bench.answer(command)
    tell(bench, command, "same")
    assert "Variables: env=stg, who=ada" in bench.content(f"answer:{command.event_id}+")["plain"]
    command = bench.asked("run 1 5 env=prd")
    tell(bench, command, "last")
    assert "Variables: env=prd, who=ada" in bench.content(f"answer:{command.event_id}+")["plain"]


def test_a_form_can_be_given_up(bench: Bench) -> None:
    bench.template(5, survey_vars=FORM, environment_id=1)
    command = bench.asked("run 1 5")
    tell(bench, command, "cancel")
    assert "Not done: Deploy" in bench.answer(command)
    tell(bench, command, "ada")
    assert "Not done: Deploy" in bench.answer(command)


def test_a_secret_is_never_taken_in_a_room_and_never_given_to_a_script(bench: Bench) -> None:
    bench.template(5, survey_vars=(SurveyVar("pin", type="secret", required=True),), environment_id=1)
    assert "Never type it in a room" in bench.say("run 1 5 pin=1234")
    assert "Semaphore gives secrets to ansible only" in bench.say("run 1 5")


# --- stop


def test_a_waiting_task_is_never_forced(bench: Bench) -> None:
    bench.semaphore.runs(30, status="waiting", start=None)
    assert "would show it as stopped and run it later" in bench.say("stop 30 --force")
    assert bench.semaphore.stops == []


def test_stop_needs_no_number_when_only_one_of_mine_runs(bench: Bench) -> None:
    assert "which task?" in bench.say("stop")
    task = bench.started()
    bench.say("stop")
    assert bench.semaphore.stops == [task]


def test_in_the_thread_of_a_task_the_task_is_implied(bench: Bench) -> None:
    first, second = bench.started(), bench.started("run 1 6")
    slot = bench.follow(first).slot.removeprefix("answer:")
    assert f"Task #{first}" in bench.say("status", thread=slot)
    assert f"Task #{second}" in bench.say("status")
    assert launches.in_thread(bench.journal.read(), "!other", slot) is None


def test_a_stopped_task_names_the_hosts_it_had_changed(bench: Bench) -> None:
    task = bench.started("run 1 6")
    bench.say(f"stop {task}")
    bench.semaphore.says(task, ["changed: [web1]", "ok: [web2]", "changed: [db1]"])
    bench.semaphore.ends(task, "stopped")
    assert "Hosts changed by then: web1, db1." in bench.reported(task)


def test_show_explains_a_template(bench: Bench) -> None:
    bench.template(**ALL_OPEN)
    answer = bench.say("show 1 6")
    assert "May be changed for one run: --limit" in answer
    assert "Confirmation: normal" in answer
    assert "It has never run." in answer


# --- said while nobody was there


def test_young_reading_commands_are_answered_and_old_ones_listed(bench: Bench) -> None:
    assert "Web" in bench.say("projects", at=bench.now - 500)
    assert bench.say("projects", at=bench.now - 700) == ""
    assert "did none of it" in bench.content(f"away:1:{ROOM}")["plain"]


def test_what_changes_something_is_listed_once_for_a_room(bench: Bench) -> None:
    task = bench.started()
    for line in (f"stop {task}", "exit"):
        assert bench.say(line, at=bench.now - 300) == ""
    told = bench.content(f"away:1:{ROOM}")["plain"]
    assert f"!cd stop {task}" in told
    assert "!cd exit" in told
    assert bench.semaphore.stops == []
    assert len([slot for slot in bench.slots() if slot.startswith("away:")]) == 1


def test_a_late_launch_is_asked_about_with_what_happened_meanwhile(bench: Bench) -> None:
    bench.bot(confirm={"*": "low"})
    created = datetime.fromtimestamp(bench.now - 60, UTC)
    bench.semaphore.runs(30, 1, 5, created=created, user_name="bo")
    asked = bench.say("run 1 5", at=bench.now - 480)
    assert "You asked 8 minutes ago" in asked
    assert "Meanwhile: #30 by bo (running)." in asked
    assert bench.semaphore.posts == []
    assert "was not there" not in bench.say("status 30", at=bench.now - 1)


def test_nothing_is_launched_while_the_journal_cannot_hold_it(bench: Bench) -> None:
    command = bench.asked()
    bench.unsafe = "the disk of the journal is nearly full (3 MB left)"
    bench.react(command)
    assert "I did not start Deploy: the disk of the journal is nearly full" in bench.answer(command)
    assert "I start nothing until that is mended" in bench.say("run 1 5")
    assert "Web" in bench.say("projects")
    assert bench.semaphore.posts == []


def test_reload_tries_a_connection_anew_that_could_not_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def reconnect() -> list[str]:
        tries.append("again")
        return ["⛔ I stay with the old connection to Semaphore: away"]

    monkeypatch.setattr(bench.desk, "_tools", lambda: replace(bench.tools(), reconnect=reconnect))
    assert "I stay with the old connection" in bench.say("reload")
    assert tries == ["again"]
