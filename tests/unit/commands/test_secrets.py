"""Secrets: asked in a direct chat after everything else, put into the POST alone, and never written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatrixcd_threads.events import Incoming, Kind, RoomInfo, RoomOutcome
from chatrixcd_threads.journal import intake, launches, questions
from chatrixcd_threads.journal.intake import Said
from chatrixcd_threads.semaphore.errors import Unreachable
from chatrixcd_threads.semaphore.models import SurveyVar
from chatrixcd_threads.text.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.unit.commands.conftest import Bench

ROOM, CHAT, PERSON = "!room:x", "!chat:x", "@ann:x"
PIN, KEY = "Hunter2-Zebra", "Otter-9-Violet"
SURVEY = (
    SurveyVar("pin", "The PIN", description="of the safe", type="secret", required=True),
    SurveyVar("who", "Who", required=True),
    SurveyVar("key", type="secret", required=True),
    SurveyVar("extra", type="secret"),
)


@pytest.fixture(autouse=True)
def chat(bench: Bench) -> None:
    bench.template(6, survey_vars=SURVEY, environment_id=1)
    bench.room_outcome = RoomOutcome(CHAT)
    bench.rooms = (RoomInfo(ROOM, "Ops", True, 3, True, True), RoomInfo(CHAT, "Ann", True, 2, True, True))


def hear(bench: Bench, *heard: Said) -> list[Incoming]:
    """What the sync thread does with it."""
    with bench.journal.write() as tx:
        return intake.commit(tx, heard, "token", "s1", bench.vault.hear)


def said(bench: Bench, words: str, *, room: str = CHAT, clear: bool = False, **more: Any) -> Said:
    bench._events += 1
    return Said(Incoming(0, f"$s{bench._events}", room, PERSON, Kind.SAID, words, **more), None, clear)


def tell(bench: Bench, words: str, **more: Any) -> Incoming:
    """Said, heard, handled, and everything delivered."""
    (event,) = hear(bench, said(bench, words, **more))
    bench.desk.handle(event)
    bench.deliver()
    return event


def open_ones(bench: Bench) -> list[tuple[str, str]]:
    return [(each.room_id, each.wants) for each in questions.all_open(bench.journal.read())]


def plain(bench: Bench, slot: str) -> str:
    return str(bench.content(slot).get("plain", "")).replace("*", "").replace("`", "")


def deleted(bench: Bench) -> list[tuple[str, str]]:
    rows = bench.journal.read().execute("SELECT room_id, slot FROM outbox WHERE slot LIKE 'delete:%' ORDER BY id")
    return [(row[0], row[1].removeprefix("delete:")) for row in rows]


def on_disk(bench: Bench) -> bytes:
    """Every byte that the journal has written."""
    path: Path = bench.journal.path
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


def never_written(bench: Bench, secrets: Sequence[str] = (PIN, KEY)) -> None:
    data = on_disk(bench)
    assert [secret for secret in secrets if secret.encode() in data] == []


def asked_for_pin(bench: Bench, text: str = "run 1 6 who=ada") -> Incoming:
    return bench.asked(text)


def both_told(bench: Bench, command: Incoming) -> str:
    """Both secrets are told: the slot of the question about the launch."""
    tell(bench, PIN)
    tell(bench, KEY)
    return f"answer:{command.event_id}+"


def test_the_whole_way(bench: Bench) -> None:
    command = bench.asked("run 1 6")
    form = f"answer:{command.event_id}"
    assert "Who" in plain(bench, form)  # what everybody may know comes first, in the thread
    bench.desk.handle(bench.event("ada", Kind.SAID, thread=command.event_id))
    bench.deliver()
    assert "Site needs 2 secrets, now: The PIN." in plain(bench, form)
    assert bench.asked_rooms == [("direct", PERSON)]
    question = bench.content(f"{form}/direct")
    assert "Site (template 6) needs 2 secrets, now: The PIN: of the safe" in plain(bench, f"{form}/direct")
    assert "You asked for it with !cd run in Ops." in question["plain"]
    assert "I wait until 00:05:00 UTC." in question["plain"]
    assert question["mention"] == [PERSON]
    assert question["reply_to"] is None
    assert open_ones(bench) == [(CHAT, "secret")]

    first = tell(bench, PIN)
    never_written(bench)
    assert "needs a secret, now: key." in plain(bench, form)
    assert "needs a secret, now: key" in plain(bench, f"{form}/direct+")
    assert "restarted" not in plain(bench, f"{form}/direct+")
    second = tell(bench, KEY)
    assert open_ones(bench) == [(ROOM, "yes")]
    asked = plain(bench, f"{form}+")
    assert "Variables: who=ada" in asked
    assert "Secrets: key=••••, pin=••••" in asked
    assert deleted(bench) == [(CHAT, first.event_id), (CHAT, second.event_id)]
    assert "I deleted your message." in plain(bench, f"{form}/direct+")

    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {form}+"))
    (body,) = bench.semaphore.posts
    assert json.loads(str(body["secret"])) == {"pin": PIN, "key": KEY}
    assert json.loads(str(body["environment"])) == {"who": "ada"}
    launch = launches.by_task(bench.journal.read(), 1, 41)
    assert launch is not None
    assert launch.state == "started"  # the secret is no difference between what was asked for and what was made
    assert "secret" not in launch.body
    never_written(bench)
    assert bench.vault.of(launch.token) == {}


def test_what_the_job_prints_of_it_is_masked(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, command)}"))
    bench.semaphore.says(41, [f"fatal: {PIN} is wrong"])
    bench.semaphore.ends(41, "error")
    assert "fatal: ******** is wrong" in bench.reported(41)
    never_written(bench)


@pytest.mark.parametrize("before", [110, 115, 190, 295])
def test_half_a_secret_is_not_shown_where_a_line_is_cut(bench: Bench, before: int) -> None:
    command = asked_for_pin(bench)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, command)}"))
    bench.semaphore.says(41, [f"{'.' * before}{PIN}{'.' * 40}"])
    bench.semaphore.ends(41, "error")
    for told in (bench.reported(41), bench.say("logs 41")):
        assert ".." in told
        assert PIN[:3] not in told


def test_a_line_that_contradicts_is_journaled_without_the_secret(bench: Bench) -> None:
    command = asked_for_pin(bench, "run 1 6 who=ada --dry-run")
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, command)}"))
    line = f'changed: [db1] => {{"cmd": "login {PIN}", "x": "{"." * 110} {PIN}", "delta": "0:00:01"}}'
    told = bench.witnessed(41, line)
    assert "a command was really run" in told
    assert PIN[:3] not in told
    never_written(bench)


def test_the_words_are_not_in_the_journal_even_before_they_are_handled(bench: Bench) -> None:
    asked_for_pin(bench)
    (event,) = hear(bench, said(bench, PIN))
    assert (event.kind, event.text) == (Kind.SECRET, "")
    never_written(bench)
    with bench.journal.write() as tx:
        tx.execute("PRAGMA user_version")
    assert event.event_id.encode() in on_disk(bench)  # it is looked for in the right place


@pytest.mark.parametrize(
    ("words", "problem"),
    [("", "pin: I need one message of text"), ("x" * 4_001, "pin: longer than 4000 characters.")],
    ids=["empty", "long"],
)
def test_a_secret_that_cannot_be_is_asked_for_again(bench: Bench, words: str, problem: str) -> None:
    command = asked_for_pin(bench)
    tell(bench, words)
    assert problem in plain(bench, f"answer:{command.event_id}/direct+")
    assert open_ones(bench) == [(CHAT, "secret")]


def test_a_second_message_is_not_taken_for_the_next_secret(bench: Bench) -> None:
    """It was said before the next question was there."""
    command = asked_for_pin(bench)
    first, again = hear(bench, said(bench, PIN), said(bench, "once more"))
    for event in (first, again):
        bench.desk.handle(event)
    assert "needs a secret, now: key." in plain(bench, f"answer:{command.event_id}")
    assert bench.vault.of(str(questions.all_open(bench.journal.read())[0].payload["token"])) == {"pin": PIN}
    assert deleted(bench) == [(CHAT, first.event_id), (CHAT, again.event_id)]


@pytest.mark.parametrize("how", ["word", "in the chat", "in the room", "word in the room"])
def test_it_can_be_given_up_in_both_rooms(bench: Bench, how: str) -> None:
    command = asked_for_pin(bench)
    form = f"answer:{command.event_id}"
    tell(bench, PIN)
    match how:
        case "word":
            tell(bench, "Cancel")
        case "word in the room":
            bench.desk.handle(bench.event("no", Kind.ANSWER, thread=command.event_id))
        case _:
            target = f"{form}/direct+" if how == "in the chat" else form
            bench.desk.handle(bench.event("no", Kind.REACTION, target=f"$of {target}", room_id=CHAT))
    for slot in (form, f"{form}/direct+"):
        assert "Not done: Site" in plain(bench, slot)
    assert open_ones(bench) == []
    assert [each for each in (PIN,) if each in repr(vars(bench.vault)["_values"])] == []
    assert "Cancel" not in bench.vault.masks()


def test_a_yes_says_where_the_secret_is_wanted(bench: Bench) -> None:
    command = asked_for_pin(bench)
    yes = bench.event("yes", Kind.ANSWER, thread=command.event_id)
    bench.desk.handle(yes)
    assert "say it there, never in a room" in bench.answer(yes)


def test_nobody_answers_in_time(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.now += 301
    (question,) = questions.expired(bench.journal.read(), bench.now)
    bench.desk.expire(question)
    for slot in (f"answer:{command.event_id}", f"answer:{command.event_id}/direct"):
        assert "Nobody answered in time, so nothing was done: Site." in plain(bench, slot)
    assert hear(bench, said(bench, PIN)) == []


def test_an_admin_takes_the_question_back_in_both_rooms(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.say("withdraw 1")
    for slot in (f"answer:{command.event_id}", f"answer:{command.event_id}/direct"):
        assert "Withdrawn by @ann:x" in plain(bench, slot)


def test_a_deleted_command_withdraws_the_question_in_both_rooms(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.desk.handle(bench.event("", Kind.WITHDRAWN, target=command.event_id))
    for slot in (f"answer:{command.event_id}", f"answer:{command.event_id}/direct"):
        assert "Withdrawn: Site. You deleted the command" in plain(bench, slot)


# --- what does not count


def test_a_message_in_clear_is_refused_and_deleted(bench: Bench) -> None:
    asked_for_pin(bench)
    event = tell(bench, PIN, clear=True)
    assert "it was sent in clear text" in bench.answer(event)
    assert "I deleted your message." in bench.answer(event)
    assert deleted(bench) == [(CHAT, event.event_id)]
    assert open_ones(bench) == [(CHAT, "secret")]
    never_written(bench)


@pytest.mark.parametrize(
    ("may", "sentence"),
    [
        (True, "I deleted your message."),
        (False, "please delete yours yourself"),
        (None, "I try to delete your message"),
    ],
)
@pytest.mark.parametrize("how", ["thread", "target"])
def test_an_answer_in_the_room_is_refused_and_deleted(bench: Bench, may: bool | None, sentence: str, how: str) -> None:
    command = asked_for_pin(bench)
    bench.rooms = (RoomInfo(ROOM, "Ops", True, 3, True, may), bench.rooms[1])
    related = {"thread": command.event_id} if how == "thread" else {"target": f"$of answer:{command.event_id}"}
    event = tell(bench, PIN, room=ROOM, **related)
    assert "Never type a secret here" in bench.answer(event)
    assert sentence in bench.answer(event)
    assert deleted(bench) == ([] if may is False else [(ROOM, event.event_id)])
    assert open_ones(bench) == [(CHAT, "secret")]
    never_written(bench)


def test_a_secret_among_the_options_is_refused_and_deleted(bench: Bench) -> None:
    event = bench.event(f"run 1 6 who=ada pin={PIN}")
    bench.desk.handle(event)
    assert "pin is a secret. Never type it in a room: I ask you for it in a direct chat." in bench.answer(event)
    assert "I deleted your message." in bench.answer(event)
    assert deleted(bench) == [(ROOM, event.event_id)]
    assert PIN in bench.vault.masks()
    assert open_ones(bench) == []


def test_an_edit_of_a_told_secret_is_deleted_and_changes_nothing(bench: Bench) -> None:
    asked_for_pin(bench)
    first = tell(bench, PIN)
    bench._events += 1
    edit = Incoming(0, "$edit", CHAT, PERSON, Kind.EDITED, "", first.event_id)
    with bench.journal.write() as tx:
        (event,) = intake.commit(tx, [edit], "token", "s1", bench.vault.hear)
    bench.desk.handle(event)
    assert "an edit changes none" in bench.answer(event)
    assert deleted(bench)[-1] == (CHAT, "$edit")


def test_what_others_say_in_the_chat_is_no_answer(bench: Bench) -> None:
    asked_for_pin(bench)
    words = Incoming(0, "$bob", CHAT, "@bob:x", Kind.SAID, PIN)
    assert hear(bench, Said(words, None)) == []
    assert open_ones(bench) == [(CHAT, "secret")]


def test_before_the_question_is_there_nothing_is_taken(bench: Bench) -> None:
    bench.desk.handle(bench.event("run 1 6 who=ada"))
    assert hear(bench, said(bench, PIN)) == []
    bench.deliver()
    with bench.journal.write() as tx:
        tx.execute("UPDATE outbox SET echoed = 0")  # sent, and not seen in the room yet
    assert hear(bench, said(bench, PIN)) == []
    never_written(bench)


# --- who is not asked


def test_a_script_never_gets_secrets_so_none_is_asked_for(bench: Bench) -> None:
    bench.template(6, app="bash")
    assert "Semaphore gives secrets to ansible only: this job would run without it." in bench.say("run 1 6 who=ada")
    assert bench.asked_rooms == []


def test_an_optional_secret_is_asked_for_when_it_is_named(bench: Bench) -> None:
    bench.template(6, survey_vars=(SurveyVar("extra", type="secret"),))
    assert "when you type extra= with nothing behind it" in bench.say("run 1 6 extra=1234567")
    assert "Shall I start Site" in bench.say("run 1 6").replace("*", "")
    command = bench.asked("run 1 6 extra=")
    tell(bench, KEY)
    assert "Secrets: extra=••••" in plain(bench, f"answer:{command.event_id}+")
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}+"))
    (body,) = bench.semaphore.posts
    assert json.loads(str(body["secret"])) == {"extra": KEY}
    assert "environment" not in body


def test_the_console_is_no_place_for_a_secret(bench: Bench) -> None:
    answer = bench.say("run 1 6 who=ada", room_id="console", sender="@console")
    assert "the console shows what is typed" in answer


def test_no_direct_chat_no_launch(bench: Bench) -> None:
    bench.room_outcome = RoomOutcome("", "you do not exist")
    answer = bench.say("run 1 6 who=ada")
    assert "I could not open a direct chat with you to ask for it: you do not exist." in answer
    assert open_ones(bench) == []


def test_a_variable_that_is_no_secret_any_more_is_not_taken_for_one(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.template(6, survey_vars=(SurveyVar("pin", required=True),))
    tell(bench, PIN)
    assert "does not ask for pin any more: it was changed in Semaphore" in plain(bench, f"answer:{command.event_id}")
    never_written(bench)


def test_a_variable_that_has_become_a_secret_is_treated_as_one(bench: Bench) -> None:
    public = (SurveyVar("pin", required=True), SurveyVar("who", required=True))
    bench.template(6, survey_vars=public)
    command = bench.asked(f"run 1 6 pin={PIN}")
    bench.template(6, survey_vars=SURVEY)
    bench.desk.handle(bench.event("ada", Kind.SAID, thread=command.event_id))
    assert "pin is a secret. Never type it in a room" in plain(bench, f"answer:{command.event_id}")
    assert "I deleted your message." in plain(bench, f"answer:{command.event_id}")
    assert deleted(bench) == [(ROOM, command.event_id)]


# --- restarts, and what is forgotten


def restart(bench: Bench) -> None:
    """Another life: what is in the journal is all there is."""
    bench.vault = Vault(lambda: bench.now)


def test_after_a_restart_the_launch_is_not_sent(bench: Bench) -> None:
    command = asked_for_pin(bench)
    slot = both_told(bench, command)
    restart(bench)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {slot}"))
    assert "I was restarted or it took too long, and I forget secrets on purpose. Please ask again." in plain(
        bench, slot
    )
    assert bench.semaphore.posts == []


def test_after_a_restart_what_was_told_before_is_asked_for_again(bench: Bench) -> None:
    command = asked_for_pin(bench)
    tell(bench, PIN)
    restart(bench)
    tell(bench, KEY)
    again = plain(bench, f"answer:{command.event_id}/direct++")
    assert "needs a secret, now: The PIN" in again
    assert "I was restarted meanwhile, and I forget secrets on purpose" in again
    tell(bench, PIN)
    assert "Secrets: key=••••, pin=••••" in plain(bench, f"answer:{command.event_id}+")


def test_a_restart_between_hearing_and_handling(bench: Bench) -> None:
    asked_for_pin(bench)
    (event,) = hear(bench, said(bench, PIN))
    restart(bench)
    bench.desk.handle(event)
    assert "I was restarted just when you said that" in bench.answer(event)
    assert deleted(bench) == [(CHAT, event.event_id)]
    assert open_ones(bench) == [(CHAT, "secret")]


@pytest.mark.parametrize(("made", "state", "posts"), [(True, "started", 1), (False, "doubt", 1)])
def test_a_crash_while_it_is_sent_needs_no_secret(bench: Bench, made: bool, state: str, posts: int) -> None:
    command = asked_for_pin(bench)
    slot = both_told(bench, command)
    dies = iter([KeyboardInterrupt("killed")])
    bench.semaphore.fails["start"] = lambda: next(dies, None)
    yes = bench.event("yes", Kind.REACTION, target=f"$of {slot}")
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(yes)
    restart(bench)
    if made:
        bench.semaphore.runs(41, 1, 6, message=str(bench.semaphore.posts[0]["message"]), environment='{"who": "ada"}')
    bench.desk.handle(yes)
    assert len(bench.semaphore.posts) == posts
    assert bench.journal.read().execute("SELECT state FROM launches").fetchone()[0] == state
    never_written(bench)


def test_after_a_doubt_it_is_not_sent_again_without_its_secrets(bench: Bench) -> None:
    command = asked_for_pin(bench)
    slot = both_told(bench, command)
    bench.semaphore.fails["start"] = Unreachable("No answer.", sent=True)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {slot}"))
    bench.deliver()
    restart(bench)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {slot}+"))
    assert "I forget secrets on purpose" in plain(bench, f"{slot}+")
    assert len(bench.semaphore.posts) == 1


def test_redo_asks_for_the_secrets_again(bench: Bench) -> None:
    command = asked_for_pin(bench)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, command)}"))
    bench.semaphore.ends(41, "error")
    again = bench.asked("redo 41")
    assert "needs 2 secrets" in plain(bench, f"answer:{again.event_id}")
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, again)}"))
    first, second = bench.semaphore.posts
    assert second["secret"] == first["secret"]


def test_for_real_after_a_dry_run_the_secrets_are_asked_for_again(bench: Bench) -> None:
    command = bench.asked("plan 1 6 who=ada")
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {both_told(bench, command)}"))
    bench.semaphore.says(41, ["PLAY [x] [CHECK MODE] ***", "PLAY RECAP ***"])
    bench.semaphore.ends(41, "success")
    bench.reported(41)
    bench.deliver()
    offer = f"plan:{bench.follow(41).id}"
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {offer}"))
    bench.deliver()
    assert "needs 2 secrets" in plain(bench, offer)
    tell(bench, PIN)
    tell(bench, KEY)
    bench.desk.handle(bench.event("yes", Kind.REACTION, target=f"$of {offer}+"))
    dry, real = bench.semaphore.posts
    assert "dry_run" in dry
    assert "dry_run" not in real
    assert real["secret"] == dry["secret"]


def test_a_low_grade_starts_right_after_the_last_secret(bench: Bench) -> None:
    bench.bot(confirm={"*": "low"})
    command = asked_for_pin(bench)
    both_told(bench, command)
    assert len(bench.semaphore.posts) == 1
    assert "Task #41" in plain(bench, f"answer:{command.event_id}")
    assert "go on in the room where you asked" in plain(bench, f"answer:{command.event_id}/direct+")
