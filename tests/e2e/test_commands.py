"""Every command, once, in a plain and in an encrypted room: the facts that must be in its answer, in both bodies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chatrixcd_threads.demo.person import Heard, Person
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e

EVERYBODYS = (
    "admins",
    "exit",
    "help",
    "info",
    "logs",
    "ping",
    "projects",
    "rooms",
    "run",
    "status",
    "stop",
    "templates",
)


@pytest.fixture(scope="module")
def rooms(stage: Stage, bob: Person) -> dict[bool, Room]:
    return {encrypted: stage.room(encrypted=encrypted, guests=[bob]) for encrypted in (False, True)}


@pytest.fixture
def room(rooms: dict[bool, Room], encrypted: bool) -> Room:
    return rooms[encrypted]


def in_both(heard: Heard, *facts: str) -> None:
    """The plain body tells as much as the HTML."""
    html = re.sub(r"<[^>]+>", "", heard.html or "")
    for fact in facts:
        assert fact in heard.body, f"{fact!r} is not in {heard.body!r}"
        assert fact in html, f"{fact!r} is not in {html!r}"


def test_help_lists_every_command_but_the_hidden_ones(room: Room) -> None:
    answer = room.ask("!cd help")

    in_both(answer, *(f"!cd {name}" for name in EVERYBODYS))
    assert "scold" not in answer.body
    assert answer.mentions == {}


def test_the_bare_prefix_is_help(room: Room) -> None:
    in_both(room.ask("!cd"), "!cd projects", "!cd run")


def test_help_explains_every_command(rooms: dict[bool, Room]) -> None:
    answers = rooms[False].ask_all([f"!cd help {name}" for name in EVERYBODYS])

    for name, answer in zip(EVERYBODYS, answers, strict=True):
        in_both(answer, f"!cd {name}", "Example: !cd", "Who may:")


def test_ping_tells_how_long_semaphore_took(room: Room) -> None:
    answer = room.ask("!cd ping")

    assert re.search(r"Semaphore answered in \d+ ms\.", answer.body)
    in_both(answer, "Semaphore answered in")


def test_info_names_versions_rooms_and_threads(room: Room) -> None:
    in_both(
        room.ask("!cd info"), "chatrixcd_threads", "Python 3.", "version 2.16", "Rooms:", "dispatch", "follower", "sync"
    )


def test_admins_names_them_without_ringing_their_phone(room: Room) -> None:
    answer = room.ask("!cd admins")

    in_both(answer, room.person.user_id)
    assert answer.mentions == {}


def test_rooms_lists_the_rooms_the_bot_is_in(room: Room, rooms: dict[bool, Room]) -> None:
    answer = room.ask("!cd rooms")

    in_both(answer, rooms[False].room_id, f"{rooms[True].room_id} 🔒", "a room")


def test_projects_and_templates(room: Room) -> None:
    in_both(room.ask("!cd projects"), "1", "Demo", "!cd templates 1")
    for given in ("", " 1", " Demo", " demo", ' "DEM"'):
        answer = room.ask(f"!cd templates{given}")
        in_both(answer, "Demo (project 1)", "Hello", "Long job", "Gate", "bash", "terraform", "!cd run 1 ")


def test_run_follow_status_logs_and_stop(room: Room, stage: Stage) -> None:
    question = room.question("demo hello")
    in_both(question, "Hello (template 1)", "Demo (project 1)", "hello.sh", "says hello", room.person.user_id, "👍")
    assert "Hello from the demo" not in question.body
    before = len(stage.semaphore.tasks())

    room.react(question, "👍")
    started = room.edit_of(question)
    task = int(started.body.split("#")[1].split(" ")[0])
    in_both(started, f"Task #{task} (Hello)", room.person.user_id, f"!cd logs {task}")
    end = room.end_of(task)
    in_both(end, f"Task #{task} Hello: ✅ success", f"Asked by {room.person.user_id}, it took")
    assert end.mentions == {"user_ids": [room.person.user_id]}

    assert len(stage.semaphore.tasks()) == before + 1
    assert re.search(rf"asked by {re.escape(room.person.user_id)} \[[0-9a-f]{{10}}\]", stage.task(task)["message"])
    for words in (f"status {task}", f"status #{task}", "status"):
        in_both(room.ask(f"!cd {words}"), f"Task #{task} Hello (project 1): ✅ success", room.person.user_id, "It took")
    for words in (f"logs {task}", "logs"):
        in_both(
            room.ask(f"!cd {words}"), f"Output of task #{task}: ✅ success", "Hello from the demo", "greeting 3 of 3"
        )
    stops = len(stage.posts("/stop$"))
    in_both(room.ask(f"!cd stop {task}"), f"Task #{task} is over already: ✅ success")
    assert len(stage.posts("/stop$")) == stops


def test_pet_and_scold_are_hidden_and_answered(room: Room) -> None:
    for word in ("pet", "scold"):
        assert room.ask(f"!cd {word}").body


def test_exit_asks_and_a_no_keeps_the_bot(room: Room) -> None:
    question = room.ask("!cd exit")
    in_both(question, "Shall I stop?")

    room.react(question, "👎")

    in_both(room.edit_of(question), "Not done: stopping the bot")
    in_both(room.ask("!cd ping"), "Semaphore answered in")


def test_rooms_part_and_join(stage: Stage, room: Room) -> None:
    other = stage.room(preset="public_chat", encrypted=False)
    in_both(room.ask(f"!cd rooms part {other.room_id}"), "I have left", other.room_id)
    other.person.wait_gone(other.room_id, stage.user_id)
    assert other.room_id not in room.ask("!cd rooms").body
    in_both(room.ask(f"!cd rooms join {other.room_id}"), "I am now in", other.room_id)
    other.person.wait_member(other.room_id, stage.user_id)
    in_both(other.ask("!cd ping"), "Semaphore answered in")
    refused = room.ask("!cd rooms join !nowhere:localhost")
    in_both(refused, "I could not join !nowhere:localhost")


NOT_UNDERSTOOD = [
    ("!cd hlep", ["no command “hlep”", "Did you mean “!cd help”?"]),
    ("!cd status 1 now", ["do not know what to do with “now”", "Try !cd status 1."]),
    ("!cd run demo hello --limt=web1", ["run has no option “--limt”", "Did you mean “--limit”?", "Usage: !cd run"]),
    ("!cd run demo hello —dry-run", ["I did not start Hello.", "--dry-run: bash has nothing like it"]),
    ("!cd stop", ["I did nothing: which task?"]),
    ("!cd stop now", ["“now” is no task number"]),
    ("!cd status 99999999999999999999999999", ["is no task number"]),
    ("!cd status 424242", ["Semaphore has no task #424242"]),
    ("!cd status -5", ["“-5” is no task number"]),
    ("!cd rooms enter !x:y", ["I do not know “enter”"]),
    ("!cd rooms join ops", ["name a room by its id"]),
    ('!cd run "demo hello', ["a quotation mark that is not closed"]),
    ("!cd run demo\\", ["a backslash at the end"]),
    ("!cd help nothing", ["no command “nothing”"]),
    ("!cd <b>run</b>", ["no command “<b>run</b>”"]),
]


ASKED = [
    ("!cd run demo helo", ["no template “demo helo”", "1. Demo / Hello (template 1)"]),
    ("!cd run dmeo hello", ["no template “dmeo hello”", "1. Demo / Hello (template 1)"]),
    ("!cd run demo s", ["fits more than one template", "Demo / Survey (template 5)", "Demo / Site (template 6)"]),
    ("!cd run demo", ["fits more than one template", "Demo / Hello (template 1)"]),
    ("!cd run demo survey", ["Survey needs 2 answers", "Who"]),
]


def test_what_is_not_understood_changes_nothing(stage: Stage, rooms: dict[bool, Room]) -> None:
    posts = stage.posts()
    answers = rooms[False].ask_all([said for said, _ in (*NOT_UNDERSTOOD, *ASKED)])

    for (_, told), answer in zip((*NOT_UNDERSTOOD, *ASKED), answers, strict=True):
        for part in told:
            assert part in answer.body
        assert answer.body.startswith("⚠") or answer.thread is not None  # a form and a choice stand in a thread
        assert "<b>run</b>" not in (answer.html or "")
    assert stage.posts() == posts


def test_prefix_in_any_case_and_only_at_a_word_boundary(stage: Stage, room: Room) -> None:
    in_both(room.ask("!CD HELP"), "!cd projects")
    in_both(room.ask("  !Cd   Ping  "), "Semaphore answered")
    in_both(room.ask("`!cd ping`"), "Semaphore answered")
    ignored = [room.say(text) for text in ("!cdhelp", "!cdrun demo hello", "!c d help", "run !cd help", "cd help", "!")]
    room.fence()
    assert [room.replies(event_id) for event_id in ignored] == [[]] * len(ignored)


def test_only_the_first_line_is_a_command(stage: Stage, room: Room) -> None:
    asked = room.say("good morning\n!cd run demo hello\n!cd help")
    answer = room.ask("!cd ping\n!cd run demo hello\nyes")
    in_both(answer, "Semaphore answered in")
    room.fence()
    assert room.replies(asked) == []
    assert not [heard for heard in room.said_by_bot() if heard.ts > answer.ts and "Shall I start" in heard.body]


def test_an_edit_into_a_command_does_nothing(stage: Stage, room: Room) -> None:
    posts = stage.posts()
    first = room.say("good morning")
    edit = room.say("!cd run demo hello", edit_of=first)
    asked = room.say("!cd ping")
    room.answer(asked)
    again = room.say("!cd run demo hello", edit_of=asked)
    room.fence()
    assert [room.replies(event_id) for event_id in (first, edit, again)] == [[], [], []]
    assert len(room.replies(asked)) == 1
    assert stage.posts() == posts


def test_notices_and_the_bot_s_own_words_are_no_commands(stage: Stage, room: Room) -> None:
    notice = room.say("!cd ping", msgtype="m.notice")
    emote = room.say("!cd ping", msgtype="m.emote")
    odd = room.person.send_content(room.room_id, {"msgtype": "m.image", "body": "!cd ping", "url": "mxc://localhost/x"})
    room.fence()
    assert [room.replies(event_id) for event_id in (notice, emote, odd)] == [[], [], []]


def test_a_command_in_a_thread_is_answered_in_the_thread(stage: Stage, room: Room) -> None:
    root = room.say("let us deploy")
    answer = room.ask("!cd ping", thread=root)
    assert answer.thread == root
    question = room.question(thread=root)
    assert question.thread == root
    room.react(question, "👎")
    room.edit_of(question, "Not done")


def test_somebody_without_rights_may_read_and_is_told_why_not_more(stage: Stage, room: Room, bob: Person) -> None:
    of_bob = room.seen_by(bob)
    posts = stage.posts()
    in_both(of_bob.ask("!cd projects"), "Demo")
    for said, deed in (
        ("run demo hello", "start tasks"),
        ("stop 1", "stop tasks"),
        ("exit", "stop the bot"),
        ("rooms part !x:y", "change the rooms I am in"),
    ):
        answer = of_bob.ask(f"!cd {said}")
        assert answer.body.startswith("⛔ ")
        brushed, reason = answer.body.split("\n")
        assert len(brushed) > 10
        assert (
            reason
            == f"You ({bob.user_id}) are not in bot.admin_users, which is needed to {deed}. !cd admins lists who is."
        )
        in_both(answer, reason)
    assert stage.posts() == posts


def test_an_empty_list_of_admins_lets_nobody_change_anything(make_stage: StageFactory, ann: Person) -> None:
    stage = make_stage(bot={"admin_users": [], "invite_from": [ann.user_id]})
    room = stage.room()
    in_both(room.ask("!cd projects"), "Demo")
    in_both(
        room.ask("!cd run demo hello"), "bot.admin_users in config.json is empty", f'"{ann.user_id}"'.replace('"', "")
    )
    in_both(room.ask("!cd admins"), "bot.admin_users in config.json is empty")
    in_both(room.ask("!cd exit"), "Nobody may stop the bot yet")
    assert stage.posts() == []


def test_a_star_opens_everything(make_stage: StageFactory, bob: Person) -> None:
    stage = make_stage(bot={"admin_users": ["*"]})
    room = stage.room(bob)
    in_both(room.ask("!cd admins"), "Everybody is an admin")
    task, _ = room.start()
    room.end_of(task)


def test_outside_the_allowed_rooms_nothing_is_done(make_stage: StageFactory, ann: Person, bob: Person) -> None:
    room_id = ann.create_room("the one")
    stage = make_stage(bot={"allowed_rooms": [room_id]})
    ann.invite(room_id, stage.user_id)
    ann.wait_member(room_id, stage.user_id)
    other = stage.room()
    for said in ("help", "projects", "run demo hello"):
        answer = other.ask(f"!cd {said}")
        in_both(answer, f"This room ({other.room_id}) is not in bot.allowed_rooms")
        assert answer.body.startswith("⛔ ")
    assert stage.semaphore.requests() == []
    inside = other.__class__(stage, room_id, ann)
    in_both(inside.ask("!cd projects"), "Demo")
