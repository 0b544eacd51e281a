"""What was promised of a launch, in the cases in which it was not kept once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatrixcd_threads.events import Incoming, Kind, TaskSeen
from chatrixcd_threads.journal import intake, launches, questions
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.errors import NotSemaphore, Refused, SemaphoreError, TimedOut, Unreachable
from chatrixcd_threads.semaphore.launch import STALE, Launcher
from chatrixcd_threads.semaphore.models import SurveyValue, SurveyVar, Template
from tests.unit.commands.test_audited import LOST, doubtful

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

ROOM, PERSON = "!room:x", "@ann:x"
LIMITED: dict[str, Any] = {"task_params": {"allow_override_limit": True}, "inventory_id": 3}


def heard(bench: Bench, *said: tuple[str, Kind, str, str | None]) -> None:
    """(event, kind, text, target) in one answer of /sync."""
    events = [
        Incoming(0, event, ROOM, PERSON, kind, text=words, target=target, at=bench.now)
        for event, kind, words, target in said
    ]
    with bench.journal.write() as tx:
        fresh = intake.commit(tx, events, "token", "s1")
    for each in fresh:
        bench.desk.handle(each)
    bench.deliver()


def limits(bench: Bench) -> list[Any]:
    """What the open questions would be limited to."""
    waiting = questions.all_open(bench.journal.read())
    return [dict(each.payload["wanted"]).get("limit") for each in waiting]  # type: ignore[call-overload]


def react(bench: Bench, slot: str, text: str = "yes") -> str:
    """A reaction on a message; what the message has become."""
    bench.desk.handle(bench.event(text, Kind.REACTION, target=f"$of {slot}"))
    bench.deliver()
    return str(bench.content(slot)["plain"])


@pytest.mark.parametrize(
    ("kind", "words", "left"), [(Kind.EDITED, "run 1 6 --limit web1", [["web1"]]), (Kind.WITHDRAWN, "", [])]
)
def test_a_command_that_was_changed_before_it_was_answered(
    bench: Bench, kind: Kind, words: str, left: list[Any]
) -> None:
    bench.template(**LIMITED)
    heard(bench, ("$c", Kind.COMMAND, "run 1 6", None), ("$d", kind, words, "$c"))
    assert limits(bench) == left


@pytest.mark.parametrize(
    ("kind", "words", "left"), [(Kind.EDITED, "run 1 6 --limit web2", [["web2"]]), (Kind.WITHDRAWN, "", [])]
)
def test_a_command_that_was_changed_again(bench: Bench, kind: Kind, words: str, left: list[Any]) -> None:
    """Every edit and the deletion name the first message."""
    bench.template(**LIMITED)
    heard(bench, ("$c", Kind.COMMAND, "run 1 6", None))
    heard(bench, ("$d", Kind.EDITED, "run 1 6 --limit web1", "$c"))
    assert limits(bench) == [["web1"]]
    heard(bench, ("$e", kind, words, "$c"))
    assert limits(bench) == left


def test_a_value_that_is_handled_after_its_time_starts_nothing(bench: Bench) -> None:
    """It was accepted, and then the bot was gone for hours; a launch of the grade low asks nothing more."""
    bench.bot(confirm={"*": "low"})
    bench.template(5, survey_vars=(SurveyVar("env", required=True),), environment_id=1)
    command = bench.asked("run 1 5")
    target = f"$of answer:{command.event_id}"
    event = bench.event("prod", Kind.SAID, target=target, thread=command.event_id, at=bench.now)
    bench.now += 10_000
    bench.desk.handle(event)
    assert bench.semaphore.posts == []
    assert "I came to your answer too late, so nothing was done: Deploy." in bench.answer(command)


def test_a_pick_that_is_handled_after_its_time_stops_nothing(bench: Bench) -> None:
    bench.started()
    bench.started()
    command = bench.asked("stop")
    event = bench.event("1", Kind.REACTION, target=f"$of answer:{command.event_id}", at=bench.now)
    bench.now += 10_000
    bench.desk.handle(event)
    assert bench.semaphore.stops == []


@pytest.mark.parametrize("line", ["run 1 Dep t", "run 1 5"], ids=["pick", "form"])
def test_a_late_launch_that_needs_an_answer_first_is_asked_about_all_the_same(bench: Bench, line: str) -> None:
    bench.bot(confirm={"*": "low"})
    bench.template(5, survey_vars=(SurveyVar("env", required=True),), environment_id=1)
    bench.semaphore.template_list += [Template(id=n, project_id=1, name=f"Deploy t{n}", app="bash") for n in (15, 16)]
    command = bench.asked(line, at=bench.now - 10_000)
    said = bench.event("1", Kind.SAID, target=f"$of answer:{command.event_id}", at=bench.now)
    bench.desk.handle(said)
    assert bench.semaphore.posts == []
    assert "I was not there. Nothing was started." in bench.content(f"answer:{command.event_id}+")["plain"]


@pytest.mark.parametrize("way", ["no", "expires", "deleted", "edited", "withdraw"])
def test_a_closed_question_about_a_doubt_does_not_say_that_nothing_was_done(bench: Bench, way: str) -> None:
    token = doubtful(bench)
    bench.semaphore.runs(77, message=f"asked by {PERSON} [{token}]")  # it was started
    (question,) = questions.all_open(bench.journal.read())
    match way:
        case "no":
            react(bench, question.slot, "no")
        case "expires":
            bench.desk.expire(question)
        case "withdraw":
            bench.say(f"withdraw {question.id}")
        case _:
            kind = Kind.EDITED if way == "edited" else Kind.WITHDRAWN
            bench.desk.handle(bench.event("help", kind, target=question.command_event))
    said = bench.content(question.slot)["plain"]
    assert "nothing was done" not in said
    assert "Not done" not in said
    assert "I still do not know whether Deploy was started: look in Semaphore" in said
    assert token in said


def test_whoever_answered_in_time_does_not_read_that_nobody_did(bench: Bench) -> None:
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}", at=bench.now)
    bench.now += 301
    (question,) = questions.expired(bench.journal.read(), bench.now)
    bench.desk.expire(question)  # by the dispatch thread, while the lane still works on something else
    bench.desk.handle(event)
    assert "I came to your answer too late, so nothing was done: Deploy." in bench.answer(command)
    other = bench.asked()
    bench.now += 3_600
    (question,) = questions.expired(bench.journal.read(), bench.now)
    bench.desk.expire(question)
    assert "Its time was over while I was not there, so nothing was done: Deploy." in bench.answer(other)


def test_a_yes_to_a_doubt_starts_nothing_of_a_template_that_was_changed_meanwhile(bench: Bench) -> None:
    bench.template(**LIMITED)
    bench.semaphore.fails = {"start": LOST, "template_tasks": Unreachable("no connection")}
    bench.react(bench.asked("run 1 6 --limit web1"))
    bench.semaphore.fails = {}
    bench.deliver()
    bench.template(task_params={}, playbook="other.yml")
    (question,) = questions.all_open(bench.journal.read())
    said = react(bench, question.slot)
    assert len(bench.semaphore.posts) == 1
    assert "the template was changed in Semaphore after I had asked (playbook, task params)" in said


def settled_while_looked_for(bench: Bench, token: str, outcome: str) -> None:
    """An operator settles the launch in the moment in which the bot looks through the tasks of the template for it."""
    for number in range(100, 151):
        bench.semaphore.runs(number)  # it is not among the newest any more

    def settled() -> None:
        del bench.semaphore.fails["template_tasks"]
        bench.say(f"resolve {token} {outcome}", sender=OPERATOR, room_id=OPERATOR_ROOM)

    bench.semaphore.fails["template_tasks"] = settled


@pytest.mark.parametrize("outcome", ["started 77", "not-started"])
def test_a_doubt_that_is_settled_while_the_yes_to_it_is_worked_off_is_not_sent_again(
    bench: Bench, outcome: str
) -> None:
    token = doubtful(bench)
    (question,) = questions.all_open(bench.journal.read())
    bench.semaphore.runs(77, message=f"[{token}]")
    settled_while_looked_for(bench, token, outcome)
    said = react(bench, question.slot)
    assert len(bench.semaphore.posts) == 1
    assert "🚀" not in said


@pytest.mark.parametrize("outcome", ["started 77", "not-started"])
def test_what_was_settled_while_it_is_looked_for_after_a_crash_is_in_doubt_no_more(bench: Bench, outcome: str) -> None:
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")

    def dies() -> None:
        raise KeyboardInterrupt

    bench.semaphore.fails["start"] = dies
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(event)
    del bench.semaphore.fails["start"]
    bench.now += 2 * STALE
    (launch,) = launches.unsettled(bench.journal.read())
    bench.semaphore.runs(77, message=f"[{launch.token}]")
    settled_while_looked_for(bench, launch.token, outcome)
    bench.desk.handle(event)
    assert launches.unsettled(bench.journal.read()) == []
    assert questions.all_open(bench.journal.read()) == []
    assert "somebody has settled" in bench.answer(command)


@pytest.mark.parametrize("line", ["run 1 6 --limit web1", "run 1 6"])
def test_another_task_than_asked_for_that_could_not_be_stopped_is_tried_again(bench: Bench, line: str) -> None:
    bench.template(**LIMITED)
    bench.semaphore.instead = {"params": {"limit": ["db1"]}, "limit": "", "git_branch": "x"}
    if "--limit" not in line:
        made = bench.semaphore.runs
        bench.semaphore.runs = lambda *args, **more: made(args[0], args[1], 9, **more)  # type: ignore[method-assign]
    bench.semaphore.fails["stop"] = Unreachable("no connection")
    command = bench.asked(line)
    bench.react(command)
    assert "I could not stop it: no connection I go on trying." in bench.answer(command)
    assert bench.follow(41).judged is False
    del bench.semaphore.fails["stop"]
    assert "I asked Semaphore to stop it at once." in bench.witnessed(41)
    assert bench.semaphore.stops == [41, 41]
    bench.semaphore.ends(41, "stopped")
    assert "I stopped it." in bench.reported(41)


@pytest.mark.parametrize("found", ["in the answer", "in the log"])
@pytest.mark.parametrize("end", ["error", "stopped"])
def test_what_could_not_be_stopped_is_not_said_to_have_been(bench: Bench, found: str, end: str) -> None:
    bench.template(**LIMITED)
    command = bench.asked("run 1 6 --limit web1")
    bench.semaphore.fails["stop"] = Unreachable("no connection")
    if found == "in the answer":
        bench.semaphore.instead = {"params": {"limit": ["db1"]}, "limit": ""}
    bench.react(command)
    if found == "in the log":
        bench.witnessed(41, "ok: [db1]")
    bench.semaphore.ends(41, end)
    said = bench.reported(41)
    assert "I stopped it" not in said
    assert "⛔" in said
    assert ("❌" in said) == (end == "error")


def test_a_mismatch_that_cannot_be_read_after_a_crash_is_stopped_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.template(**LIMITED)
    command = bench.asked("run 1 6 --limit web1")
    bench.semaphore.instead = {"params": {"limit": ["db1"]}, "limit": ""}
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")

    def dies(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Launcher, "_stopped", dies)
        with pytest.raises(KeyboardInterrupt):
            bench.desk.handle(event)
    bench.semaphore.fails["task"] = Unreachable("no connection")
    bench.desk.handle(event)
    assert "is not what was asked for" in bench.answer(command)
    del bench.semaphore.fails["task"]
    bench.witnessed(41)
    assert bench.semaphore.stops == [41]


@pytest.mark.parametrize("grade", ["low", "normal"])
def test_a_launch_that_was_given_up_is_not_started_afterwards(bench: Bench, grade: str) -> None:
    """Its thread goes on when Semaphore answers at last; the room has read that it was given up."""
    bench.bot(confirm={"*": grade})
    if grade == "low":
        command = event = bench.event("run 1 5")
    else:
        command = bench.asked()
        event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")

    def stuck() -> None:
        del bench.semaphore.fails["template"]
        bench.desk.lost(event)

    bench.semaphore.fails["template"] = stuck
    bench.desk.handle(event)
    assert bench.semaphore.posts == []
    assert "I gave up on this" in bench.answer(command)


def test_a_stop_whose_answer_a_proxy_lost_is_watched_like_any_other(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.fails["stop"] = Unreachable("a proxy answered 504", sent=True, status=504)
    bench.say(f"stop {task}")
    bench.semaphore.ends(task, "stopped")
    assert f"(stopped by {PERSON})" in bench.reported(task)


def test_a_stop_that_was_never_sent_is_not_said_to_have_been(bench: Bench) -> None:
    task = bench.started()
    bench.semaphore.runs(task, status="waiting", start=None)
    reads = iter([None, TimedOut("no complete answer within 15 seconds", sent=True)])
    bench.semaphore.fails["task"] = lambda: next(reads, None)
    said = bench.say(f"stop {task}")
    assert bench.semaphore.stops == []
    assert "no complete answer within 15 seconds" in said
    assert "I asked Semaphore to stop" not in said


@pytest.mark.parametrize(("kind", "status"), [(Refused, 429), (Refused, 413), (NotSemaphore, 302), (NotSemaphore, 404)])
def test_a_stop_that_was_turned_away_is_not_said_to_have_been_asked_for(
    bench: Bench, kind: type[SemaphoreError], status: int
) -> None:
    task = bench.started()
    bench.semaphore.fails["stop"] = kind("It was turned away.", sent=True, status=status)
    said = bench.say(f"stop {task}")
    assert "It was turned away." in said
    assert "I asked Semaphore to stop" not in said


def test_a_rejection_whose_version_cannot_be_read_takes_no_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.react(bench.asked("run 1 6"))
    bench.semaphore.runs(41, 1, 6, status="waiting_confirmation")

    def version() -> None:
        raise TimedOut("no complete answer within 15 seconds", sent=True)

    with monkeypatch.context() as patch:
        patch.setattr(bench.semaphore, "server_version", version)
        assert "no complete answer" in bench.say("reject 41")
    assert "is rejected by" in bench.say("reject 41")
    assert bench.semaphore.decided == [("reject", 41)]


def test_the_question_names_the_build_and_what_is_the_templates_own(bench: Bench) -> None:
    bench.semaphore.template_list += [
        Template(id=7, project_id=1, name="Make", type="build"),
        Template(id=8, project_id=1, name="Ship", type="deploy", build_template_id=7, git_branch="release"),
        Template(id=10, project_id=1, name="Infra", app="terraform", task_params={"auto_approve": True}),
    ]
    bench.semaphore.runs(30, 1, 7, status="success", version="1.4")
    said = bench.say("run 1 8 --build last")
    assert "Build: task #30" in said
    assert "Branch: release (the template's own)" in said
    assert "The template applies its plan without asking." in bench.say("run 1 10")
    bench.template(8, survey_vars=(SurveyVar("env", required=True),), environment_id=1)
    assert "Name one with --build." in bench.say("run 1 8")  # before the form


def test_a_reply_to_the_run_for_real_of_a_plan_means_that_run(bench: Bench) -> None:
    bench.react(bench.asked("plan 1 6"))
    bench.deliver()
    bench.semaphore.ends(41, "success")
    bench.reported(41)
    bench.deliver()
    (question,) = questions.all_open(bench.journal.read())
    assert "Task #41" in bench.say("status", target=f"$of {question.slot}")
    assert "Task #42" in react(bench, question.slot)
    bench.say("stop", target=f"$of {question.slot}")
    assert bench.semaphore.stops == [42]


def test_many_tasks_of_one_template_are_not_read_all_for_each_that_starts(bench: Bench) -> None:
    bench.template(5, allow_parallel_tasks=True)
    tasks = [bench.started() for _ in range(20)]
    reads: list[str] = []
    bench.semaphore.fails = {name: lambda: reads.append("read") for name in ("task", "template")}
    for task in tasks:
        bench.reporter.report(TaskSeen(bench.follow(task).id, 1, task, "running", False))
    assert len(reads) <= 2 * len(tasks)


@pytest.mark.parametrize("value", [" prod", "prod ", "", "plain"])
def test_a_choice_is_sent_as_it_stands(bench: Bench, value: str) -> None:
    choices = (SurveyValue("Production", value), SurveyValue("Staging", "stg"))
    bench.template(5, environment_id=1, survey_vars=(SurveyVar("env", type="enum", required=True, values=choices),))
    command = bench.asked("run 1 5")
    bench.desk.handle(bench.event("1", Kind.SAID, target=f"$of answer:{command.event_id}"))
    bench.deliver()
    react(bench, f"answer:{command.event_id}+")
    assert json.loads(str(bench.semaphore.posts[0]["environment"])) == {"env": value}


def test_small_untruths(bench: Bench) -> None:
    bench.template(5, environment_id=1, survey_vars=(SurveyVar("n", type="int"),))
    assert "no whole number" in bench.say("run 1 5 n=\u0663")
    task = bench.started('run 1 5 --message "asked by @boss:x"')
    assert f"Asked by {PERSON}." in bench.say(f"status {task}")
    bench.semaphore.runs(50, 1, 5, environment='{"on": true, "l": ["a"]}')
    assert 'l=["a"], on=true' in bench.say("redo 50")
    bench.template(allow_override_args_in_task=True)
    assert "is not passed on: it reads files of the server" in bench.say("run 1 6 -- --vault-id dev@/etc/key")
