"""Names, not numbers: what is meant is picked by the person, and a pick alone starts nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import intake, questions
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.models import Inventory, Project, SurveyVar, Template
from chatrixcd_threads.text.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

ROOM, PERSON = "!room:x", "@ann:x"


@pytest.fixture
def twins(bench: Bench) -> Bench:
    """Deploy (5) is in Web, another Deploy (10) in Data."""
    bench.semaphore.template_list.append(Template(10, 2, "Deploy", app="bash", playbook="data.sh"))
    return bench


def tell(bench: Bench, command: Incoming, words: str, **more: Any) -> None:
    """Words in the thread of the command."""
    bench.desk.handle(bench.event(words, Kind.SAID, **({"thread": command.event_id} | more)))
    bench.deliver()


def second(bench: Bench, command: Incoming) -> str:
    """The question about the launch: a message of its own after the choice."""
    return str(bench.content(f"answer:{command.event_id}+").get("plain", ""))


def confirm(bench: Bench, command: Incoming) -> None:
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}+"))
    bench.deliver()


def posted(bench: Bench) -> list[object]:
    return [body["template_id"] for body in bench.semaphore.posts]


def state(bench: Bench) -> list[str]:
    return [row[0] for row in bench.journal.read().execute("SELECT state FROM questions ORDER BY id")]


def test_a_name_of_two_is_asked_about_and_the_launch_after_it(twins: Bench) -> None:
    command = twins.asked("run deploy")
    asked = twins.answer(command)
    assert "“deploy” fits more than one template. Which one?" in asked
    assert "1. Web / Deploy (template 5)" in asked
    assert "2. Data / Deploy (template 10)" in asked
    assert "1️⃣ to 2️⃣" in asked
    assert f"Only {PERSON} can answer" in asked
    assert twins.content(f"answer:{command.event_id}")["thread"] == command.event_id
    tell(twins, command, "2")
    assert "Shall I start Deploy (template 10) in Data (project 2)?" in second(twins, command)
    assert "go on below" in twins.answer(command)
    assert posted(twins) == []
    confirm(twins, command)
    assert posted(twins) == [10]
    assert state(twins) == ["done", "yes"]


@pytest.mark.parametrize("said", ["1", " 1 ", "Web / Deploy", "web / deploy", "#5"])
def test_a_choice_is_said_by_number_or_name(twins: Bench, said: str) -> None:
    command = twins.asked("run deploy")
    tell(twins, command, said)
    assert "(template 5) in Web" in second(twins, command)


@pytest.mark.parametrize(
    "said", ["3", "0", "01", "12", "Deploy", "Web / Depl", "yes", "99999999999999999999", "٠", "²"]
)
def test_what_is_no_choice_is_asked_again(twins: Bench, said: str) -> None:
    """A name that fits two, a beginning and a yes are none either: nothing is guessed in the answer to a guess."""
    command = twins.asked("run deploy")
    tell(twins, command, said)
    assert f"“{said}” is none of these" in twins.answer(command)
    assert second(twins, command) == ""
    tell(twins, command, "1")
    assert "(template 5)" in second(twins, command)


def test_a_reaction_with_a_number_picks(twins: Bench) -> None:
    command = twins.asked("run deploy")
    twins.react(command, "2", sender="@bob:x")
    assert second(twins, command) == ""
    twins.react(command, "2")
    assert "(template 10)" in second(twins, command)


def test_a_number_on_another_question_is_nothing(bench: Bench) -> None:
    command = bench.asked("run 1 5")
    before = bench.everything()
    for number in ("1", "2", "9"):
        bench.react(command, number)
    assert bench.everything() == before
    bench.template(5, survey_vars=(SurveyVar("count", type="int", required=True),), environment_id=1)
    form = bench.asked("run 1 5")
    bench.react(form, "3")
    assert "count" in bench.answer(form)
    bench.bot(confirm={"*": "high"})
    named = bench.asked("run 1 6")
    bench.react(named, "1")
    assert posted(bench) == []


@pytest.mark.parametrize("way", ["cancel", "no", "👎"])
def test_a_choice_can_be_given_up(twins: Bench, way: str) -> None:
    command = twins.asked("run deploy")
    if way == "👎":
        twins.react(command, "no")
    else:
        tell(twins, command, way)
    assert "Not done: run deploy" in twins.answer(command)
    tell(twins, command, "1")
    assert second(twins, command) == ""


@pytest.mark.parametrize("way", ["yes", "👍", "1", "1️⃣", "Web / Site", "Site"])
def test_a_nearly_right_name_is_only_ever_a_question(bench: Bench, way: str) -> None:
    bench.bot(confirm={"*": "normal"})
    command = bench.asked("run siet")
    assert "There is no template “siet” in any project that I can see. This one?" in bench.answer(command)
    assert "1. Web / Site (template 6)" in bench.answer(command)
    reactions = {"👍": "yes", "1️⃣": "1"}
    if way in reactions:
        bench.react(command, reactions[way])
        bench.deliver()
    else:
        tell(bench, command, way)
    assert "Shall I start Site (template 6)" in second(bench, command)
    assert posted(bench) == []
    confirm(bench, command)
    assert posted(bench) == [6]


def test_a_low_grade_starts_nothing_by_likeness_either(bench: Bench) -> None:
    bench.bot(confirm={"*": "low"})
    command = bench.asked("run siet")
    assert posted(bench) == []
    tell(bench, command, "nonsense")
    assert posted(bench) == []
    dies = iter([KeyboardInterrupt("killed")])
    bench.semaphore.fails["start"] = lambda: next(dies, None)
    bench.semaphore.fails["template_tasks"] = lambda: None
    pick = bench.event("1", Kind.SAID, thread=command.event_id)
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(pick)
    bench.desk.handle(pick)  # the next life begins with it
    bench.desk.handle(pick)
    assert len(bench.semaphore.posts) == 1


def test_a_second_answer_in_haste_counts_for_nothing(twins: Bench) -> None:
    """Both were accepted while the choice was open; the second finds a question that it was not said to."""
    command = twins.asked("run deploy")
    hasty = [twins.event(word, Kind.SAID, thread=command.event_id) for word in ("2", "1", "yes")]
    for event in hasty:
        twins.desk.handle(event)
    twins.deliver()
    assert "(template 10)" in second(twins, command)
    assert posted(twins) == []
    assert state(twins) == ["done", "open"]


def test_options_and_values_are_kept_through_the_choice_and_a_restart(twins: Bench) -> None:
    twins.template(5, environment_id=1, allow_override_branch_in_task=True)
    command = twins.asked('run deploy --branch "my fix" who=ada')
    twins.desk = Desk(twins.tools, Poster(Redactor(tuple)), lambda: None)
    tell(twins, command, "1")
    confirm(twins, command)
    assert twins.semaphore.posts[0]["git_branch"] == "my fix"
    assert twins.semaphore.posts[0]["environment"] == '{"who": "ada"}'


def test_one_question_after_the_other(twins: Bench) -> None:
    """Project, template, inventory and a form, each in the same message; then the launch."""
    twins.template(
        6,
        survey_vars=(SurveyVar("env", required=True),),
        environment_id=1,
        inventory_id=3,
        task_params={"allow_override_inventory": True},
    )
    twins.semaphore.inventory_list = [Inventory(3, "hosts"), Inventory(4, "hosts old"), Inventory(7, "hosts new")]
    command = twins.asked("run --inventory 'hosts nwe'")
    assert "Which project?" in twins.answer(command)
    tell(twins, command, "Web")
    assert "Which template in project “Web” (1)?" in twins.answer(command)
    tell(twins, command, "2")
    assert "There is no inventory “hosts nwe”" in twins.answer(command)
    assert "1. hosts new (inventory 7)" in twins.answer(command)
    tell(twins, command, "hosts new")
    assert "env" in twins.answer(command)
    tell(twins, command, "prod")
    assert "Shall I start Site (template 6)" in second(twins, command)
    confirm(twins, command)
    assert twins.semaphore.posts[0]["inventory_id"] == 7
    assert twins.semaphore.posts[0]["environment"] == '{"env": "prod"}'


def test_the_rights_are_checked_again(twins: Bench) -> None:
    command = twins.asked("run deploy")
    twins.bot(admin_users=("@bob:x",))
    tell(twins, command, "1")
    assert "not in bot.admin_users, which is needed to start tasks" in twins.answer(command)
    assert second(twins, command) == ""


def test_a_room_that_was_closed_meanwhile_counts(twins: Bench) -> None:
    command = twins.asked("run deploy")
    twins.bot(allowed_rooms=("!other:x",))
    tell(twins, command, "1")
    assert second(twins, command) == ""


def test_what_was_picked_and_is_gone_is_told(twins: Bench) -> None:
    command = twins.asked("run deploy")
    twins.semaphore.template_list.pop()
    tell(twins, command, "2")
    assert "not found (404)" in twins.answer(command)
    assert state(twins) == ["done"]


def test_a_choice_expires_and_is_withdrawn_with_its_command(twins: Bench) -> None:
    command = twins.asked("run deploy")
    twins.now += 301
    for question in questions.expired(twins.journal.read(), twins.now):
        twins.desk.expire(question)
    assert "nothing was done: run deploy." in twins.answer(command)
    command = twins.asked("run deploy")
    twins.desk.handle(twins.event("", Kind.WITHDRAWN, target=command.event_id))
    assert "Withdrawn: run deploy" in twins.answer(command)
    tell(twins, command, "1")
    assert second(twins, command) == ""


def test_somebody_elses_words_are_no_pick(twins: Bench) -> None:
    command = twins.asked("run deploy")
    tell(twins, command, "1", sender="@bob:x")
    said = Incoming(0, "$bob", ROOM, "@bob:x", Kind.SAID, "1", None, command.event_id)
    with twins.journal.write() as tx:
        assert intake.commit(tx, [intake.Said(said, None)], "token", "s1") == []
    assert state(twins) == ["open"]


def test_more_than_nine_are_cut_and_counted(bench: Bench) -> None:
    bench.semaphore.template_list += [Template(100 + n, 1, f"Nightly {n:02}") for n in range(12)]
    command = bench.asked("run web/nightly")
    asked = bench.answer(command)
    assert "9. Web / Nightly 08 (template 108)" in asked
    assert "10." not in asked
    assert "and 3 more" in asked
    tell(bench, command, "9")
    assert "(template 108)" in second(bench, command)


# --- commands that take a template


@pytest.mark.parametrize("named", ["1 6", "web site", "web/site", "Web / Site", "site", "web/si", "site web"])
@pytest.mark.parametrize("verb", ["run", "plan", "show"])
def test_a_template_is_named_in_many_ways(bench: Bench, verb: str, named: str) -> None:
    answer = bench.say(f"{verb} {named}")
    assert "Site (template 6) in Web (project 1)" in answer


def test_a_single_template_is_not_enough_for_two_meanings(bench: Bench) -> None:
    """`run data`: Data has one template, but so might be a template called data."""
    assert "Import (template 9) in Data" in bench.say("run data")
    bench.semaphore.template_list.append(Template(10, 1, "Data"))
    asked = bench.say("run data")
    assert "1. Web / Data (template 10)" in asked
    assert "2. Data / Import (template 9)" in asked


def test_show_and_templates_ask_as_well(twins: Bench) -> None:
    command = twins.asked("show deploy")
    tell(twins, command, "2")
    assert "Deploy (template 10) in Data (project 2)" in twins.answer(command)
    assert "May be changed for one run" in twins.answer(command)
    command = twins.asked("templates wbe")
    tell(twins, command, "1")
    assert "Web (project 1)" in twins.answer(command)
    assert "Site" in twins.answer(command)
    listed = twins.say("templates web/si")
    assert "Site" in listed
    assert "Deploy" not in listed
    command = twins.asked("templates web/siet")
    tell(twins, command, "yes")
    assert "Site" in twins.answer(command)
    assert "Deploy" not in twins.answer(command)
    assert "There is no template “zzzz” in project “Web” (1). The nearest: " in twins.say("templates web/zzzz")
    twins.semaphore.project_list.append(Project(3, "web/si"))
    assert "web/si (project 3)" in twins.say("templates Web/Si")


@pytest.mark.parametrize("named", ["1 Ship", "web/ship", "web / ship", "ship", "1 21"])
def test_rollback_by_name(bench: Bench, named: str) -> None:
    bench.semaphore.template_list += [
        Template(20, 1, "Make", type="build"),
        Template(21, 1, "Ship", type="deploy", build_template_id=20),
    ]
    for number in (1, 2):
        bench.semaphore.runs(number, 1, 20, version=f"1.0.{number}")
        bench.semaphore.ends(number, "success")
    assert "It deploys build 1.0.2" in bench.say(f"rollback {named} to 1.0.2")
    assert "Ship has never run" in bench.say(f"rollback {named}")
    assert "no successful build “1.0.9” for Ship. The nearest: 1.0.2 (#2), 1.0.1 (#1)." in bench.say(
        f"rollback {named} to 1.0.9"
    )
    assert "to which build?" in bench.say(f"rollback {named} to ''")


# --- commands that take a task


def link(slot: str) -> str:
    return f"https://matrix.to/#/%21room%3Ax/%24of%20{slot.removeprefix('$of ')}?via=x"


def of_bob(bench: Bench) -> int:
    """A task that somebody else started here."""
    bench.bot(admin_users=("*",))
    bench.react(bench.asked("run 2 9", sender="@bob:x"), sender="@bob:x")
    bench.deliver()
    return max(bench.semaphore.task_list)


def test_a_task_is_named_in_many_ways(bench: Bench) -> None:
    first, newest = bench.started(), bench.started("run 1 6")
    third = of_bob(bench)
    names = {
        str(first): first,
        f"#{first}": first,
        "last": third,
        "LAST": third,
        "mine": newest,
        "deploy": first,
        "web/site": newest,
        "import": third,
        f"'{link(bench.follow(first).slot)}'": first,
        f"matrix:r/room:x/e/{bench.follow(first).slot.removeprefix('answer:').removeprefix('$')}": first,
    }
    for named, task in names.items():
        assert f"Task #{task} " in bench.say(f"status {named}"), named
        assert f"task #{task}" in bench.say(f"logs {named}"), named
        if named not in ("deploy", "web/site", "import"):
            assert f"Again as task #{task}" in bench.say(f"redo {named}"), named


def test_a_reply_to_a_message_of_a_task_implies_it(bench: Bench) -> None:
    first, second_one = bench.started(), bench.started("run 1 6")
    bench.semaphore.ends(first, "success")
    bench.reported(first)
    bench.deliver()
    for slot in (bench.follow(first).slot, f"end:{bench.follow(first).id}"):
        assert f"Task #{first} " in bench.say("status", target=f"$of {slot}")
    assert f"Task #{second_one} " in bench.say("status", target="$of answer:$other")
    # A reply inside the thread of another task: what is replied to is nearer.
    thread = bench.follow(second_one).slot.removeprefix("answer:")
    assert f"Task #{first} " in bench.say("status", target=f"$of {bench.follow(first).slot}", thread=thread)
    assert f"Task #{second_one} " in bench.say("status", thread=thread)


def test_an_edited_command_still_replies_to_the_same_message(bench: Bench) -> None:
    first = bench.started("run 1 6")
    bench.started()
    command = bench.asked("redo", target=f"$of {bench.follow(first).slot}")
    assert f"Again as task #{first}" in bench.answer(command)
    edit = bench.event("redo --dry-run", Kind.EDITED, target=command.event_id)
    bench.desk.handle(edit)
    assert f"Again as task #{first}" in bench.answer(edit)


def test_the_message_of_a_launch_after_a_choice_is_about_its_task(twins: Bench) -> None:
    command = twins.asked("run deploy")
    tell(twins, command, "2")
    confirm(twins, command)
    other = twins.started("run 1 6")
    assert "Task #41 " in twins.say("status", target=f"$of answer:{command.event_id}+")
    assert f"Task #{other} " in twins.say("status")


@pytest.mark.parametrize("line", ["stop {} now", "stop #{} deploy", "status {} deploy", "stop {} {}"])
def test_a_number_and_more_is_no_task(bench: Bench, line: str) -> None:
    task = bench.started()
    bench.started("run 1 6")
    assert "I do not know what to do with “" in bench.say(line.format(task, task))
    assert bench.semaphore.stops == []
    assert f"Task #{task} " in bench.say("status 1/5")


def test_stop_by_name_never_guesses(bench: Bench) -> None:
    assert "no task of Deploy (project 1) runs" in bench.say("stop deploy")
    one, two = bench.started(), bench.started()
    command = bench.asked("stop deploy")
    assert f"1. #{two} Deploy" in bench.answer(command)
    assert bench.semaphore.stops == []
    tell(bench, command, f"#{one}")
    assert bench.semaphore.stops == [one]
    bench.semaphore.ends(one, "stopped")
    bench.say("stop deploy --force")
    assert bench.semaphore.forced == [two]


@pytest.mark.parametrize("line", ["stop", "stop mine"])
def test_of_my_running_tasks_one_is_picked(bench: Bench, line: str) -> None:
    assert "which task?" in bench.say("stop")
    bob = of_bob(bench)
    one = bench.started()
    bench.say(line)
    assert bench.semaphore.stops == [one]
    two = bench.started("run 1 6")
    command = bench.asked(line)
    assert f"#{bob}" not in bench.answer(command)
    tell(bench, command, f"#{two} Site")
    assert bench.semaphore.stops == [one, two]


def test_a_task_that_is_not_found_names_known_ones(bench: Bench) -> None:
    assert "The last ones here" not in bench.say("status 999")
    tasks = [bench.started() for _ in range(4)]
    answer = bench.say("status 999")
    assert f"The last ones here: #{tasks[3]} Deploy, #{tasks[2]} Deploy, #{tasks[1]} Deploy." in answer
    assert "is about no task that I know" in bench.say("status https://matrix.to/#/!room:x/$nobody")
    assert "“zzzz” is no task number. There is no template “zzzz”" in bench.say("status zzzz")
    assert "has never run" in bench.say("status import")
    assert "No such task was started" in bench.say("status mine", sender="@bob:x")


def test_a_link_from_another_room_is_said_outright(bench: Bench) -> None:
    task = bench.started()
    bench.started("run 1 6", room_id="!two:x")
    slot = bench.follow(task).slot
    assert f"Task #{task} " in bench.say(f"status '{link(slot)}'", room_id="!two:x")
    assert f"Task #{task} " not in bench.say("status", room_id="!two:x", target=f"$of {slot}")


def test_a_picked_name_is_shown_as_it_is(bench: Bench) -> None:
    evil = "<b>x</b>\n**y**\u202e"
    bench.semaphore.template_list = [
        msgspec.structs.replace(each, name=evil + str(each.id)) for each in bench.semaphore.template_list
    ]
    command = bench.asked("run web")
    content = bench.content(f"answer:{command.event_id}")
    assert "<b>" not in str(content["html"])
    assert "\u202e" not in str(content)
    assert "x</b> **y**5" in str(content["plain"])


def test_the_operator_picks_as_well(twins: Bench) -> None:
    operator: dict[str, Any] = {"room_id": OPERATOR_ROOM, "sender": OPERATOR}
    command = twins.event("run deploy", **operator)
    twins.desk.handle(command)
    assert "1. Web / Deploy" in twins.answer(command)
    twins.desk.handle(twins.event("2", Kind.SAID, target=command.event_id, **operator))
    assert "(template 10)" in second(twins, command)


# --- whatever happens in between

# What leads to a launch stands often: most histories are to hold some.
STEPS = [
    *["ask deploy", "ask siet", "ask 1 5"] * 2, *["pick 1", "react 1"] * 4, "pick 2", "react 2", "react yes", "pick yes",
    *["confirm yes"] * 6, "say yes", "say no", "react no", "confirm 1", "confirm no", "withdraw", "restart", "wait",
]  # fmt: skip
steps = st.tuples(
    st.sampled_from(STEPS), st.sampled_from([True, True, True, True, False]), st.sampled_from([0, 0, 0, 1, 2])
)


@settings(max_examples=60, deadline=None)
@given(history=st.lists(steps, min_size=12, max_size=20))
def test_only_a_picked_and_confirmed_launch_starts(
    new_bench: Callable[[Path], Bench], history: list[tuple[str, bool, int]]
) -> None:
    """Two people pick and confirm in any order: what starts was picked by its asker, then confirmed by its asker."""
    with tempfile.TemporaryDirectory() as folder:
        bench = new_bench(Path(folder))
        bench.bot(admin_users=(PERSON, "@bob:x"))
        bench.semaphore.template_list.append(Template(10, 2, "Deploy", app="bash", playbook="data.sh"))
        asked: list[tuple[Incoming, str, str]] = []
        picked: dict[str, set[object]] = {}
        try:
            for turn, (step, is_own, back) in enumerate(history):
                verb, _, rest = step.partition(" ")
                before = posted(bench)
                if verb == "ask":
                    sender = (PERSON, "@bob:x")[turn % 2]
                    asked.append((bench.asked(f"run {rest}", sender=sender), rest, sender))
                elif verb == "restart":
                    bench.desk = Desk(bench.tools, Poster(Redactor(tuple)), lambda: None)
                elif verb == "wait":
                    bench.now += 200
                    for question in questions.expired(bench.journal.read(), bench.now):
                        bench.desk.expire(question)
                elif asked:
                    command, name, asker = asked[-1 - back % len(asked)]
                    sender = asker if is_own else PERSON if asker != PERSON else "@bob:x"
                    first, then = f"$of answer:{command.event_id}", f"$of answer:{command.event_id}+"
                    known = {"deploy": {"1": 5, "2": 10}, "siet": {"1": 6, "yes": 6}, "1 5": {"yes": 5}}[name]
                    if verb in ("pick", "say"):
                        said = Incoming(0, f"$s{turn}", ROOM, sender, Kind.SAID)
                        said = replace(said, text=rest, thread=command.event_id)
                        verdict = replace(said, kind=Kind.ANSWER) if verb == "say" else None
                        take(bench, intake.Said(said, verdict))
                    elif verb == "react":
                        bench.react(command, rest, sender=sender, target=first)
                    elif verb == "confirm":
                        bench.react(command, rest, sender=sender, target=then)
                    else:
                        bench.desk.handle(bench.event("", Kind.WITHDRAWN, target=command.event_id, sender=sender))
                    if sender == asker and verb in ("pick", "react", "say") and rest in known:
                        picked.setdefault(command.event_id, set()).add(known[rest])
                    new = posted(bench)[len(before) :]
                    assert set(new) <= picked.get(command.event_id, set()), "started what nobody had picked"
                    assert not new or sender == asker
                    assert not new or name == "1 5" or (verb, rest) in (("confirm", "yes"), ("say", "yes")), (
                        "a pick alone started it"
                    )
                bench.deliver()
                assert len(posted(bench)) <= len(before) + (verb in ("confirm", "react", "say"))
            assert len(posted(bench)) <= len(asked)
        finally:
            bench.journal.close()


def take(bench: Bench, heard: intake.Heard) -> None:
    """As the sync thread and the lanes do it."""
    with bench.journal.write() as tx:
        fresh = intake.commit(tx, [heard], "token", "s1")
    for event in fresh:
        bench.desk.handle(event)
