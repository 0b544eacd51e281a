"""A question is answered by its asker only, on that message, or by a bare word while nothing else was said since."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrixcd_threads.demo.person import Heard, Person
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e


@pytest.fixture
def room(stage: Stage, bob: Person, encrypted: bool) -> Room:
    return stage.room(encrypted=encrypted, guests=[bob])


@pytest.fixture
def plain(stage: Stage, bob: Person) -> Room:
    return stage.room(guests=[bob])


def by_reaction(room: Room, question: Heard) -> None:
    room.react(question, "👍")


def by_reaction_with_a_skin_tone(room: Room, question: Heard) -> None:
    room.react(question, "👍🏽")


def by_check_mark(room: Room, question: Heard) -> None:
    room.react(question, "✅")


def by_reply(room: Room, question: Heard) -> None:
    room.say("Yes!", reply_to=question.event_id)


def by_reply_with_a_quote(room: Room, question: Heard) -> None:
    room.say(f"> <{room.stage.user_id}> Shall I start\n> it?\n\nyes", reply_to=question.event_id)


def by_thread_answer(room: Room, question: Heard) -> None:
    room.say("go", thread=question.event_id)


def by_bare_word(room: Room, question: Heard) -> None:
    room.say("yes")


def by_another_bare_word(room: Room, question: Heard) -> None:
    room.say(" OK. ")


YES: list[tuple[Callable[[Room, Heard], None], bool]] = [
    (by_reaction, False),
    (by_reaction, True),
    (by_reaction_with_a_skin_tone, False),
    (by_check_mark, False),
    (by_reply, False),
    (by_reply, True),
    (by_reply_with_a_quote, False),
    (by_thread_answer, False),
    (by_thread_answer, True),
    (by_bare_word, False),
    (by_bare_word, True),
    (by_another_bare_word, False),
]


def still_open(room: Room, question: Heard) -> None:
    """Nothing happened: the question stands as it was asked, and no task was started for it."""
    now = next(heard for heard in room.said_by_bot() if heard.event_id == question.event_id)
    assert now.edited is None
    asked = re.search(r"asked by", " ".join(row["message"] for row in tasks_of(room)))
    assert asked is None


def tasks_of(room: Room) -> list[dict[str, str]]:
    """The tasks this room was told of (the stage is shared by all tests of this file)."""
    told = {int(number) for heard in room.said_by_bot() for number in re.findall(r"Task #(\d+)", heard.text)}
    return [dict(row) for row in room.stage.semaphore.tasks() if row["id"] in told]


@pytest.mark.parametrize(("confirm", "encrypted"), YES)
def test_yes_in_every_form(room: Room, confirm: Callable[[Room, Heard], None]) -> None:
    question = room.question()

    confirm(room, question)

    started = room.edit_of(question)
    assert re.search(r"Task #\d+ \(Hello\), asked by", started.body)
    assert len(tasks_of(room)) == 1


@pytest.mark.parametrize("how", ["👎", "👎🏿", "❌", "no", "reply", "thread"])
def test_no_in_every_form(plain: Room, how: str) -> None:
    question = plain.question()
    tasks = len(plain.stage.semaphore.tasks())

    match how:
        case "no":
            plain.say("no")
        case "reply":
            plain.say("cancel", reply_to=question.event_id)
        case "thread":
            plain.say("Nope.", thread=question.event_id)
        case _:
            plain.react(question, how)

    refused = plain.edit_of(question)
    assert f"Not done: Hello — {plain.person.user_id}" in refused.body
    plain.react(question, "👍")  # too late
    plain.say("yes", reply_to=question.event_id)
    plain.fence()
    assert len(plain.stage.semaphore.tasks()) == tasks


def test_a_second_yes_starts_nothing_more(plain: Room) -> None:
    question = plain.question()
    plain.react(question, "👍")
    plain.say("yes", reply_to=question.event_id)
    plain.react(question, "✅")
    plain.say("yes")
    plain.react(question, "👎")
    plain.edit_of(question, "Task #")
    plain.hear(r"\ATask #\d+ Hello: ✅")
    plain.fence()
    assert len(tasks_of(plain)) == 1


def test_an_unanswered_question_expires_visibly(make_stage: StageFactory) -> None:
    stage = make_stage(bot={"question_seconds": 5})
    room = stage.room(encrypted=True)
    room.fence()  # keys are shared, so that the question is out before it expires
    question = room.question()
    assert "within 5 seconds" in question.body

    expired = room.edit_of(question)

    assert expired.body.startswith("⌛")
    assert "Nobody answered in time, so nothing was done: Hello." in expired.body
    room.react(question, "👍")
    room.say("yes", reply_to=question.event_id)
    room.say("yes")
    room.fence()
    assert stage.posts() == []


def test_a_question_expires_while_the_bot_is_away(make_stage: StageFactory) -> None:
    stage = make_stage(bot={"question_seconds": 2})
    room = stage.room()
    question = room.question()
    stage.bot.kill9()
    room.react(question, "👍")
    time.sleep(2)  # it expires now, unless it had already
    stage.bot.start()
    told = room.edit_of(question)
    room.fence()
    # Whichever was first, the room is told one thing and it is true.
    assert ("nothing was done" in told.body) == (stage.posts() == [])


def test_a_question_survives_a_restart(make_stage: StageFactory, encrypted: bool) -> None:
    stage = make_stage()
    room = stage.room(encrypted=encrypted)
    first = room.question("demo hello")
    stage.restart()
    room.react(first, "👍")
    assert "(Hello)" in room.edit_of(first).body
    room.hear("Task #1 Hello: ✅")  # a report after the question would make a bare word doubtful
    second = room.question("demo broken")
    stage.bot.kill9()
    room.say("yes")
    stage.bot.start()
    assert "(Broken deploy)" in room.edit_of(second).body
    assert len(stage.posts("/tasks$")) == 2


def test_chatter_neither_confirms_nor_cancels(plain: Room, bob: Person) -> None:
    question = plain.question()
    for words in (
        "oh yes, that one",
        "no way to know",
        "okay then",
        "start the coffee machine",
        "stop it, bob",
        "y e s",
    ):
        plain.say(words)
    of_bob = plain.seen_by(bob)
    of_bob.say("yes")
    of_bob.say("no")
    of_bob.say("stop")
    of_bob.fence()
    plain.fence()
    still_open(plain, question)
    plain.react(question, "👍")
    plain.edit_of(question, "Task #")


def test_ok_to_a_colleague_after_chatter_does_not_start(room: Room, bob: Person) -> None:
    question = room.question()
    room.say("bob, is the shop closed?")
    room.seen_by(bob).say("it is, shall we wait for carl?")
    ok = room.say("ok")

    told = room.answer(ok)

    assert "I did not take that as an answer" in told.body
    still_open(room, question)
    again = room.say("yes")
    room.fence()
    assert room.replies(again) == []  # said once for each question
    still_open(room, question)
    room.say("yes", reply_to=question.event_id)
    room.edit_of(question, "Task #")


def test_a_reply_to_a_colleague_is_no_answer(plain: Room, bob: Person) -> None:
    question = plain.question()
    theirs = plain.seen_by(bob).say("lunch at twelve?")
    plain.person.wait(lambda heard: heard.event_id == theirs, room_id=plain.room_id)
    plain.say("ok", reply_to=theirs)
    plain.say("yes", thread=theirs)
    plain.fence()
    still_open(plain, question)


def test_somebody_else_counts_for_nothing(room: Room, bob: Person) -> None:
    question = room.question()
    of_bob = room.seen_by(bob)
    of_bob.hear("Shall I start")
    of_bob.react(question, "👍")
    of_bob.react(question, "👎")
    of_bob.say("yes", reply_to=question.event_id)
    of_bob.say("yes", thread=question.event_id)
    of_bob.fence()
    still_open(room, question)
    room.react(question, "👎")
    room.edit_of(question, "Not done")


def test_a_reaction_on_another_message_does_nothing(plain: Room) -> None:
    older = plain.ask("!cd ping")
    asked = plain.say("!cd run demo hello")
    question = plain.answer(asked)
    for target in (older.event_id, asked):
        plain.react(target, "👍")
        plain.react(target, "👎")
    for key in ("🎉", "👀", "yes", "👍👍", ""):
        plain.react(question, key or "?")
    plain.fence()
    still_open(plain, question)


def test_two_open_questions(plain: Room) -> None:
    first = plain.question("demo hello")
    second = plain.question("demo broken")
    bare = plain.say("yes")
    assert "I did not take that as an answer" in plain.answer(bare).body
    still_open(plain, first)
    still_open(plain, second)
    plain.react(first, "👎")
    assert "Not done: Hello" in plain.edit_of(first).body
    plain.say("yes", reply_to=second.event_id)
    assert "(Broken deploy)" in plain.edit_of(second).body


def test_a_bare_yes_without_a_question_is_chatter(plain: Room) -> None:
    said = [plain.say(word) for word in ("yes", "no", "stop", "ok")]
    plain.fence()
    assert [plain.replies(event_id) for event_id in said] == [[]] * 4


def test_a_question_in_one_room_is_not_answered_in_another(stage: Stage, plain: Room) -> None:
    other = stage.room()
    question = plain.question()
    other.say("yes")
    other.fence()
    still_open(plain, question)
    plain.say("yes")
    plain.edit_of(question, "Task #")


def test_an_edited_or_redacted_reaction_story(plain: Room) -> None:
    """A reaction that was taken back after it was heard has done its work already: one task, told once."""
    question = plain.question()
    reaction = plain.react(question, "👍")
    assert "Task #" in plain.edit_of(question).body
    plain.person.redact(plain.room_id, reaction)
    plain.fence()
    assert len(tasks_of(plain)) == 1


def test_a_template_changed_after_the_question_is_not_started(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    question = room.question()
    template = stage.api("GET", "/project/1/templates/1")
    stage.api("PUT", "/project/1/templates/1", {**template, "playbook": "broken-deploy.sh"})
    room.react(question, "👍")
    assert "the template was changed in Semaphore after I had asked" in room.edit_of(question).body
    assert stage.posts("/tasks$") == []
    again = room.question()
    assert "broken-deploy.sh" in again.body


def test_rights_taken_away_between_question_and_answer(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    question = room.question()
    stage.bot.kill9()
    stage.config["bot"]["admin_users"] = ["@somebody-else:localhost"]  # nobody at all would wait for a yes
    stage.bot.write_config(stage.config)
    stage.bot.start()
    room.react(question, "👍")
    assert "are not in bot.admin_users" in room.edit_of(question).body
    assert stage.posts("/tasks$") == []
