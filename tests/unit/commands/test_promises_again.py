"""More of what was promised of a launch, in the cases in which it was not kept once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.events import Kind
from chatrixcd_threads.journal import questions
from chatrixcd_threads.semaphore.errors import Refused, Unreachable
from chatrixcd_threads.semaphore.models import SurveyValue, SurveyVar, Template
from tests.unit.commands.conftest import BEGIN

if TYPE_CHECKING:
    from typing import Any

    from chatrixcd_threads.events import Incoming
    from tests.unit.commands.conftest import Bench

LIMITED: dict[str, Any] = {"task_params": {"allow_override_limit": True}, "inventory_id": 3}


def wanted(bench: Bench) -> list[dict[str, Any]]:
    """What the open questions are about."""
    return [dict(each.payload["wanted"]) for each in questions.all_open(bench.journal.read())]  # type: ignore[call-overload]


def says(bench: Bench, command: Incoming, words: str) -> None:
    """Words to the question of a command."""
    target = f"$of answer:{command.event_id}"
    bench.desk.handle(bench.event(words, Kind.SAID, target=target, thread=command.event_id, at=bench.now))
    bench.deliver()


def test_a_limit_with_blanks_is_refused(bench: Bench) -> None:
    """Ansible reads two hosts there; the output of the first was taken for one on a strange host, and a good run stopped."""
    bench.template(**LIMITED)
    said = bench.say('run 1 6 --limit "web1 web2"')
    assert "“web1 web2” has a blank in it" in said
    assert "Put a comma there." in said


def test_a_blank_in_the_templates_own_limit_stops_no_good_run(bench: Bench) -> None:
    bench.template(task_params={"limit": ["web1 web2"]}, inventory_id=3)
    task = bench.started("run 1 6")
    assert bench.witnessed(task, "PLAY [all] ***", "ok: [web1]", "ok: [web2]") == ""
    assert bench.semaphore.stops == []


@pytest.mark.parametrize("limit", ["web1:@/etc/passwd", "@/etc/passwd", "web1 @/etc/passwd"])
def test_a_limit_reads_no_file_of_the_server(bench: Bench, limit: str) -> None:
    bench.template(**LIMITED)
    assert "would be taken for a file" in bench.say(f'run 1 6 --limit "{limit}"')


def test_same_as_last_time_is_only_what_was_missing(bench: Bench) -> None:
    """The offer names those; a launch of the grade low starts right after it."""
    survey = (SurveyVar("env", required=True), SurveyVar("place", default_value="staging"), SurveyVar("wipe"))
    bench.bot(confirm={"*": "low"})
    bench.template(5, survey_vars=survey, environment_id=1)
    bench.asked("run 1 5 env=x place=production wipe=yes")
    command = bench.asked("run 1 5")
    says(bench, command, "same")
    assert bench.semaphore.posts[1]["environment"] == '{"env": "x", "place": "staging"}'


@pytest.mark.parametrize("word", ["last", "same"])
def test_a_choice_that_is_called_like_a_word_of_ours_can_be_chosen(bench: Bench, word: str) -> None:
    choices = (SurveyValue("Stable", "stable"), SurveyValue("Newest", word))
    bench.template(5, survey_vars=(SurveyVar("env", type="enum", required=True, values=choices),), environment_id=1)
    bench.react(bench.asked("run 1 5 env=stable"))
    command = bench.asked("run 1 5")
    assert f"{word} is stable" not in bench.answer(command)
    says(bench, command, word)
    assert wanted(bench) == [{"variables": {"env": word}}]


def restored(bench: Bench) -> int:
    """A task that is over, and whose number the restored Semaphore will give again."""
    bench.template(**LIMITED)
    task = bench.started("run 1 6 --limit web1")
    bench.semaphore.ends(task, "success")
    assert "success" in bench.reported(task)
    bench.deliver()
    bench.semaphore.posts.clear()
    return task


def test_a_number_that_was_given_twice_is_followed_again(bench: Bench) -> None:
    task = restored(bench)
    assert bench.started("run 1 6 --limit web2") == task
    assert "it works on db1" in bench.witnessed(task, "ok: [db1]")
    assert bench.semaphore.stops == [task]
    bench.semaphore.ends(task, "stopped")
    assert "I stopped it." in bench.reported(task)


def test_redo_of_a_number_that_was_given_twice_repeats_the_newer_task(bench: Bench) -> None:
    task = restored(bench)
    bench.semaphore.runs(task, 1, 6, status="error", message="by hand", params={"limit": ["web2"]})
    bench.say(f"redo {task}")
    assert wanted(bench) == [{"limit": ["web2"]}]


def test_a_stop_in_the_thread_of_an_older_task_of_that_number_stops_nothing(bench: Bench) -> None:
    task = restored(bench)
    bench.semaphore.runs(task, 1, 5, message="by hand")
    said = bench.say("stop", thread="$e1")
    assert bench.semaphore.stops == []
    assert f"If you mean that one: !cd stop {task}." in said
    bench.say(f"stop {task}")
    assert bench.semaphore.stops == [task]
    bench.semaphore.ends(task, "stopped")
    assert f"Task #{task} Deploy: ⏹ stopped (stopped by @ann:x)" in bench.reported(task)


def test_a_stop_of_an_older_task_of_that_number_is_no_stop_of_the_newer_one(bench: Bench) -> None:
    task = bench.started()
    bench.say(f"stop {task}")
    bench.semaphore.ends(task, "stopped")
    bench.reported(task)
    bench.semaphore.runs(task, 1, 6, status="waiting_confirmation")
    assert "is confirmed by" in bench.say(f"confirm {task}")


def test_a_number_that_was_given_again_in_another_project_is_found(bench: Bench) -> None:
    task = restored(bench)
    bench.semaphore.runs(task, 2, 9)
    assert "I asked Semaphore to stop" in bench.say(f"stop {task}")


def interrupted(bench: Bench, line: str, what: str, event: Incoming | None = None) -> Incoming:
    """A command in whose handling the bot was killed right after Semaphore had done what it was asked for; ten minutes ago."""
    event = event or bench.event(line, at=bench.now)

    def dies() -> None:
        raise KeyboardInterrupt

    bench.semaphore.fails[what] = dies
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(event)
    del bench.semaphore.fails[what]
    bench.now += 600
    return event


@pytest.mark.parametrize("line", ["stop 41", "stop"])
def test_a_stop_that_a_crash_interrupted_is_not_said_not_to_have_been(bench: Bench, line: str) -> None:
    task = bench.started()
    event = interrupted(bench, line, "stop")
    bench.semaphore.ends(task, "stopped")
    assert "(stopped by @ann:x)" in bench.reported(task)
    bench.desk.handle(event)
    assert "did none of it" not in bench.everything()
    assert f"I was interrupted while I sent your stop of task #{task}" in bench.answer(event)
    assert bench.semaphore.stops == [task]


def test_a_stop_that_a_crash_interrupted_is_not_sent_again_much_later(bench: Bench) -> None:
    task = bench.started()
    event = interrupted(bench, f"stop {task}", "stop")
    bench.desk.handle(event)
    assert f"If it is still to be stopped: !cd stop {task}" in bench.answer(event)
    assert bench.semaphore.stops == [task]
    bench.semaphore.ends(task, "stopped")
    assert "Somebody stopped it in Semaphore." in bench.reported(task)


def test_a_pick_of_a_stop_that_a_crash_interrupted_did_not_come_too_late(bench: Bench) -> None:
    tasks = [bench.started(), bench.started()]
    command = bench.asked("stop")
    pick = bench.event("1", Kind.REACTION, target=f"$of answer:{command.event_id}", at=bench.now)
    interrupted(bench, "", "stop", pick)
    bench.semaphore.ends(tasks[1], "stopped")
    bench.desk.handle(pick)
    assert "nothing was done" not in bench.answer(command)
    assert "I was interrupted while I sent your stop" in bench.answer(command)


@pytest.mark.parametrize("status", ["running", "waiting_confirmation"])
def test_an_answer_to_a_plan_that_a_crash_interrupted_is_not_said_not_to_have_been(bench: Bench, status: str) -> None:
    bench.semaphore.runs(51, 1, 6, status="waiting_confirmation")
    event = interrupted(bench, "confirm 51", "confirm")
    bench.semaphore.runs(51, 1, 6, status=status)
    bench.desk.handle(event)
    assert "did none of it" not in bench.everything()
    assert "I was interrupted while I sent your answer to the plan of task #51" in bench.answer(event)
    assert bench.semaphore.decided == [("confirm", 51)]


def test_a_stop_that_was_turned_away_is_nobodys(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.fails["stop"] = Refused("It was turned away.", sent=True, status=403)
    bench.say(f"stop {task}")
    assert bench.follow(task).stopper is None
    assert bench.journal.read().execute("SELECT count(*) FROM meta WHERE key LIKE 'begun:%'").fetchone()[0] == 0


@pytest.mark.parametrize("late", [0, 10_000])
def test_a_yes_to_a_plan_that_was_given_long_ago_applies_nothing(bench: Bench, late: int) -> None:
    """Like the command: what was said while the bot was away is not done behind somebody's back."""
    bench.template(app="terraform")
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "waiting_confirmation", end=None)
    bench.reported(task)
    bench.deliver()
    slot = f"waits:{bench.follow(task).id}"
    event = bench.event("yes", Kind.REACTION, target=f"$of {slot}", at=bench.now)
    bench.now += late
    bench.desk.handle(event)
    assert bench.semaphore.decided == ([] if late else [("confirm", task)])
    if late:
        assert f"If the plan is still to be applied: !cd confirm {task}." in bench.content(slot)["plain"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run 1 6 --var env prod", "--var needs NAME=VALUE in one word, and “env” has no “=”"),
        ("run 1 6 --debug 3", "Say --debug=3 or --tags 3."),
    ],
)
def test_a_forgotten_equals_sign_makes_no_tag_of_the_value(bench: Bench, line: str, told: str) -> None:
    allowed = {"allow_override_tags": True, "allow_debug": True}
    bench.template(task_params=allowed, environment_id=1)
    assert told in bench.say(line)
    assert wanted(bench) == []


@pytest.mark.parametrize("line", ["rollback 1 8", "redo 31"])
@pytest.mark.parametrize(
    ("build", "told"),
    [
        ({}, "which Semaphore does not have any more"),
        ({"template_id": 6, "status": "success"}, "which is a task of template 6 and no build for it"),
        ({"template_id": 7, "status": "error"}, "which is “❌ failed” and no good build"),
        ({"template_id": 7, "status": "success"}, "Build: task #29"),
    ],
    ids=["deleted", "strange", "failed", "good"],
)
def test_a_deploy_of_the_history_looks_at_its_build(bench: Bench, line: str, build: dict[str, Any], told: str) -> None:
    bench.semaphore.template_list += [
        Template(id=7, project_id=1, name="Make", type="build"),
        Template(id=8, project_id=1, name="Ship", type="deploy", build_template_id=7),
    ]
    if build:
        bench.semaphore.runs(29, 1, **build)
    bench.semaphore.runs(31, 1, 8, status="success", build_task_id=29)
    bench.semaphore.runs(32, 1, 8, status="error", build_task_id=30)
    assert told in bench.say(line)
    assert len(wanted(bench)) == ("Build: task" in told)


@pytest.mark.parametrize(("version", "end"), [((2, 10, 33), "stopped"), ((2, 16, 18), "error")])
def test_the_end_of_a_rejected_plan_is_no_failure_and_nobody_elses_stop(
    bench: Bench, version: tuple[int, int, int], end: str
) -> None:
    bench.template(app="terraform")
    task = bench.started("run 1 6")
    bench.semaphore.version = version
    bench.semaphore.ends(task, "waiting_confirmation", end=None)
    bench.say(f"reject {task}")
    bench.semaphore.ends(task, end)
    said = bench.reported(task)
    assert f"Task #{task} Site: ✖ rejected (by @ann:x)" in said
    assert "failed" not in said
    assert "Somebody" not in said


@pytest.mark.parametrize("why", ["not sent", "turned away", "overruled"])
def test_a_rejection_that_was_none_is_not_told(bench: Bench, why: str) -> None:
    bench.template(app="terraform")
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "waiting_confirmation", end=None)
    bench.reported(task)
    failures = {"not sent": Unreachable("no connection"), "turned away": Refused("no", sent=True, status=403)}
    if why in failures:
        bench.semaphore.fails["reject"] = failures[why]
    bench.say(f"reject {task}")
    bench.semaphore.ends(task, "confirmed", end=None)  # by somebody in Semaphore
    bench.reported(task)
    bench.semaphore.ends(task, "error")
    assert "❌ failed" in bench.reported(task)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"playbook": "cleanup.yml"}, "playbook cleanup.yml"),
        ({"arguments": '{"plan": ["-target=x"]}'}, "arguments"),
        ({"params": {"skip_galaxy_install": True, "limit": ["web1"]}}, "skip_galaxy_install"),
    ],
)
def test_redo_leaves_nothing_out(bench: Bench, given: dict[str, Any], told: str) -> None:
    bench.template(**LIMITED)
    bench.semaphore.runs(44, 1, 6, status="error", **given)
    assert f"what I cannot give it again ({told})" in bench.say("redo 44")
    assert wanted(bench) == []


def test_a_digit_that_means_two_things_picks_neither(bench: Bench) -> None:
    made = [Template(id=number, project_id=1, name=f"Old {name}") for number, name in ((2, "a"), (1, "b"))]
    bench.semaphore.template_list += made
    command = bench.asked("run Old")
    says(bench, command, "2")
    assert "“2” is the place of one and the number of another." in bench.answer(command)
    bench.react(command, "2")
    assert "Shall I start Old b" in bench.content(f"answer:{command.event_id}+")["plain"]


def test_a_choice_of_numbers_has_no_places(bench: Bench) -> None:
    """“1” was the last of them, and stood in front of the first."""
    choices = tuple(SurveyValue(each, each) for each in ("30", "2", "1"))
    bench.template(5, survey_vars=(SurveyVar("count", type="enum", required=True, values=choices),), environment_id=1)
    command = bench.asked("run 1 5")
    assert "• 30\n• 2\n• 1" in bench.answer(command)
    says(bench, command, "3")
    assert "“3” is not among 30, 2, 1." in bench.answer(command)
    says(bench, command, "1")
    assert wanted(bench) == [{"variables": {"count": "1"}}]


@pytest.mark.parametrize(("default", "sent"), [("prd", {"env": "prd"}), ("Production", {}), ("2", {})])
def test_a_default_that_is_no_value_is_none(bench: Bench, default: str, sent: dict[str, str]) -> None:
    """The server would be sent the name or the place of a choice, which its job does not know."""
    choices = (SurveyValue("Staging", "stg"), SurveyValue("Production", "prd"))
    variable = SurveyVar("env", type="enum", values=choices, default_value=default)
    bench.template(5, survey_vars=(variable,), environment_id=1)
    bench.say("run 1 5")
    assert wanted(bench) == ([{"variables": sent}] if sent else [{}])


def test_a_plan_with_imports_has_arrived(bench: Bench) -> None:
    bench.template(app="terraform")
    task = bench.started("run 1 6")
    bench.semaphore.ends(task, "waiting_confirmation", end=None)
    bench.semaphore.says(task, ["Plan: 1 to import, 0 to add, 2 to change, 0 to destroy."])
    said = bench.reported(task)
    assert "Plan: 1 to import, 0 to add, 2 to change, 0 to destroy." in said
    assert "has not arrived" not in said


def test_a_stop_of_a_plan_that_waits_names_the_next_step(bench: Bench) -> None:
    """A plain stop may hang there for ever."""
    bench.semaphore.runs(41, 1, 6, status="waiting_confirmation")
    assert "If it hangs: !cd stop 41 --force" in bench.say("stop 41")


@pytest.mark.parametrize("name", ["Cafe\u0301 prod", "Café  prod", "CAFÉ prod"])
def test_a_grade_is_for_a_name_that_looks_the_same(bench: Bench, name: str) -> None:
    bench.bot(confirm={"Web/Café prod": "high", "*": "low"})
    bench.template(5, name=name)
    said = bench.say("run 1 5")
    assert bench.semaphore.posts == []
    assert "To do it, reply to this message with" in said


@pytest.mark.parametrize(("version", "told"), [((2, 10, 33), False), ((2, 16, 18), True), (None, True)])
def test_a_failure_is_not_hidden_by_a_stop(bench: Bench, version: tuple[int, int, int] | None, told: bool) -> None:
    """Since 2.13 a killed job ends as stopped: one that ends as failed has failed by itself."""
    task = bench.started()
    bench.say(f"stop {task}")
    bench.semaphore.version = version
    bench.semaphore.ends(task, "error")
    assert ("Semaphore calls it failed" in bench.reported(task)) is told


def test_the_question_of_a_late_launch_does_not_pass_over_what_ran_meanwhile(bench: Bench) -> None:
    for number in range(100, 105):
        bench.semaphore.runs(number, status="success", created=BEGIN)
    assert "Meanwhile: #104 (success), #103 (success), #102 (success) and 2 or more others." in bench.say(
        "run 1 5", at=bench.now - 4_000
    )
