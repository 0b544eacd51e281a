"""The desk: what each command answers, who may, how a question is answered, and what a crash leaves behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chatrixcd_threads.commands import post
from chatrixcd_threads.commands.desk import minutes
from chatrixcd_threads.events import Kind, RoomOutcome
from chatrixcd_threads.journal import audit, inbox, launches, outbox, questions
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.errors import Forbidden, TimedOut, Unreachable
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.semaphore.models import Line, Project, SurveyVar, Template

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

ROOM, PERSON, SECRET = "!room:x", "@ann:x", "tok-very-secret"
AWAY = Unreachable("Reading the projects failed: no connection to https://s. Is Semaphore running?")


def state(bench: Bench) -> str:
    row = bench.journal.read().execute("SELECT state FROM questions ORDER BY id DESC").fetchone()
    return "" if row is None else str(row[0])


# --- what each command answers


def test_help_lists_every_command_that_is_not_hidden(bench: Bench) -> None:
    answer = bench.say("help")
    for name in ("run", "stop", "status", "logs", "projects", "templates", "rooms", "exit", "ping", "info", "admins"):
        assert f"!cd {name}" in answer
    assert "pet" not in answer
    assert "!cd help" in bench.say("")  # the prefix alone


def test_help_explains_one(bench: Bench) -> None:
    assert "!cd run [PROJECT] [TEMPLATE]" in bench.say("help run")
    assert "--debug[=1..6]: more output" in bench.say("help run")
    assert "there is no command “rnu”" in bench.say("help rnu")


def test_ping_measures(bench: Bench) -> None:
    assert "Semaphore answered in 12 ms." in bench.say("ping")


def test_info_tells_how_the_bot_is_also_when_semaphore_is_away(bench: Bench) -> None:
    answer = bench.say("info")
    for fact in ("version 2.16.18", "Rooms: 2", "1 running, 1 waiting", "sync BACKOFF (OSError)", "up 2 hours", ": 3"):
        assert fact in answer
    bench.semaphore.fails["info"] = AWAY
    assert AWAY.sentence in bench.say("info")


@pytest.mark.parametrize(
    ("admins", "fact"), [((), "There are no admins"), (("*",), "Everybody is an admin"), (("@a:x", "@b:x"), "• @b:x")]
)
def test_admins(bench: Bench, admins: tuple[str, ...], fact: str) -> None:
    bench.bot(admin_users=admins)
    assert fact in bench.say("admins")


def test_rooms_are_listed_joined_and_parted(bench: Bench) -> None:
    listed = bench.say("rooms")
    assert "I am in 2 rooms:" in listed
    assert "• Ops <b> !room:x 🔒" in listed
    assert "I am now in !new:x." in bench.say("rooms join #ops:x")
    assert "I have left !new:x." in bench.say("rooms leave !old:x")
    assert bench.asked_rooms == [("join", "#ops:x"), ("part", "!old:x")]
    bench.room_outcome = RoomOutcome("#ops:x", "You are banned")
    assert "I could not join #ops:x: You are banned" in bench.say("rooms join #ops:x")


@pytest.mark.parametrize("line", ["rooms join", "rooms join ops", "rooms part @a:x", "rooms jion !a:x"])
def test_a_room_must_be_named_rightly(bench: Bench, line: str) -> None:
    assert "I did nothing" in bench.say(line)
    assert bench.asked_rooms == []


def test_projects(bench: Bench) -> None:
    answer = bench.say("projects")
    assert re.search(r"1 +Web", answer)
    assert "!cd templates 1" in answer
    bench.semaphore.project_list = []
    assert "shows me no project" in bench.say("projects")
    bench.semaphore.fails["projects"] = AWAY
    assert AWAY.sentence in bench.say("projects")  # an error is never an empty list


def test_templates(bench: Bench) -> None:
    done = bench.semaphore.runs(3, status="error")
    bench.semaphore.template_list[1] = msgspec.structs.replace(bench.semaphore.template_list[1], last_task=done)
    answer = bench.say("templates Web")
    assert re.search(r"5 +Deploy +bash +never run", answer)
    assert re.search(r"6 +Site +ansible +❌ failed", answer)
    assert "!cd run 1 5" in answer
    bench.semaphore.template_list = []
    assert "There are no templates" in bench.say("templates 1")


@pytest.mark.parametrize("line", ["templates", "run"])
def test_several_choices_are_named(bench: Bench, line: str) -> None:
    answer = bench.say(line)
    assert "Which project?" in answer
    assert "1. Web (project 1)" in answer
    assert "2. Data (project 2)" in answer


def test_the_only_choice_is_filled_in_and_named(bench: Bench) -> None:
    bench.semaphore.project_list = [Project(2, "Data")]
    answer = bench.say("run")
    assert "Shall I start Import (template 9) in Data (project 2)?" in answer


def test_status_of_a_number_and_of_the_last_one(bench: Bench) -> None:
    bench.semaphore.runs(7, status="waiting", start=None, user_name="jane")
    assert "Task #7 Deploy (project 1): 🕒 waiting" in bench.say("status 7")
    assert "It has not started yet." in bench.say("status #7")
    assert "Asked by jane." in bench.say("status 7")
    assert "No task was started from this room yet" in bench.say("status")
    task = bench.started()
    bench.now += 90
    answer = bench.say("status")
    assert f"Task #{task} Deploy (project 1): ▶ running" in answer
    assert "It has been running for 1 minute and 30 seconds." in answer
    bench.semaphore.ends(task, "success")
    assert "It took 1 minute and 1 second." in bench.say("status")


@pytest.mark.parametrize("number", ["99", "999999999999999999"])
def test_a_task_that_is_nowhere(bench: Bench, number: str) -> None:
    assert f"Semaphore has no task #{number} in any project that I can see." in bench.say(f"status {number}")


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "1" * 30, '""', "²"])
def test_what_is_no_task_number(bench: Bench, number: str) -> None:
    assert "is no task number" in bench.say(f"status {number}")


def test_strangers_hold_up_nobody_who_may_start_something(bench: Bench) -> None:
    """The homeserver takes a message in five seconds: hundreds of answers would make the bot deaf for an hour."""
    for number in range(20):
        bench.say(("help", "run 1 5", "logs no such task", "templates")[number % 4], sender="@eve:x")
        bench.desk.handle(bench.event("", Kind.CLEAR, sender=PERSON))  # a name that a homeserver wrote there
    mine = bench.event("run 1 5")
    bench.desk.handle(mine)
    row = outbox.next_due(bench.journal.read(), ())
    (slot,) = bench.journal.read().execute("SELECT slot FROM outbox WHERE id = ?", (row,)).fetchone()
    assert slot == f"answer:{mine.event_id}"


def test_logs_show_the_end_and_attach_the_whole(bench: Bench) -> None:
    bench.semaphore.runs(7)
    assert "There is no output yet." in bench.say("logs 7")
    bench.semaphore.says(7, ["\x1b[32mone\x1b[0m", "two\nthree"])
    assert bench.say("logs 7").endswith("▶ running\none\ntwo\nthree")
    bench.semaphore.says(7, [f"line {n}" for n in range(100)])
    event = bench.event("logs 7")
    bench.desk.handle(event)
    answer = bench.answer(event)
    assert "line 70\n" in answer
    assert "line 69\n" not in answer
    assert "The last 30 of 100 lines; all of them are in task-7.log." in answer
    assert bench.content(f"answer:{event.event_id}/file0")["file_name"] == "task-7.log"
    assert bench.file(f"answer:{event.event_id}/file0").splitlines() == [f"line {n}" for n in range(100)]
    bench.semaphore.says(7, [])
    bench.semaphore.ends(7, "error")
    assert "it loses the lines of very short jobs" in bench.say("logs 7")


def test_nobody_can_fill_the_disk_with_the_logs_of_a_task(bench: Bench) -> None:
    """Everybody in the room may read; a homeserver that takes a file in five seconds is slower than who asks for it."""
    bench.semaphore.runs(7)
    bench.semaphore.says(7, ["x" * 2**20 for _ in range(30)])
    said = [bench.say("logs 7", sender="@eve:x") for _ in range(6)]
    size = bench.journal.read().execute("SELECT sum(length(file)) FROM outbox").fetchone()[0]
    assert size < 97 * 2**20
    assert [post.FULL_SENTENCE in each for each in said] == [False] * 3 + [True] * 3
    bench.deliver()
    assert post.FULL_SENTENCE not in bench.say("logs 7", sender="@eve:x")


def test_logs_right_after_the_end_wait_for_the_late_lines(bench: Bench) -> None:
    bench.semaphore.runs(7)
    bench.semaphore.ends(7, "success", seconds=-3.0)
    bench.semaphore.says(7, ["one"], ["one", "two"], ["one", "two"], ["one", "two", "never"])
    assert bench.say("logs 7").endswith("✅ success\none\ntwo")
    assert bench.pauses == [1.0, 1.0]


def test_logs_that_still_arrive_at_the_soft_limit_say_so(bench: Bench) -> None:
    bench.semaphore.runs(7)
    bench.semaphore.ends(7, "success", seconds=-3.0)
    bench.semaphore.says(7, *([f"line {n}" for n in range(count)] for count in range(28, 40)))
    answer = bench.say("logs 7")
    assert "The last 30 of 32 lines; all of them are in task-7.log. It ended just now" in answer
    assert sum(bench.pauses) < bench.settings.bot.soft_limit_seconds
    bench.bot(soft_limit_seconds=0.5)
    bench.semaphore.says(7, [], ["late"])
    assert bench.say("logs 7").endswith(
        "✅ success\nIt ended just now and its output was still arriving; ask again for the rest."
    )


def test_logs_of_an_older_end_or_a_running_task_wait_for_nothing(bench: Bench) -> None:
    bench.semaphore.runs(7)
    bench.semaphore.says(7, ["one"], ["one", "two"])
    assert bench.say("logs 7").endswith("one")
    bench.semaphore.ends(7, "success", seconds=-11.0)
    assert bench.say("logs 7").endswith("one\ntwo")
    assert bench.pauses == []


def test_stop_reads_first_and_tells_what_it_did(bench: Bench) -> None:
    bench.semaphore.runs(7)
    assert "🛑 I asked Semaphore to stop Task #7 (Deploy), for @ann:x." in bench.say("stop 7")
    assert bench.semaphore.stops == [7]
    assert bench.looked == 1
    follow = bench.follow(7)
    assert (follow.stopper, follow.room_id) == (PERSON, ROOM)
    bench.semaphore.runs(7, status="stopping")
    assert "It is being stopped already" in bench.say("stop 7")
    bench.semaphore.ends(7, "success")
    assert "Task #7 is over already: ✅ success" in bench.say("stop 7")
    assert bench.semaphore.stops == [7]
    assert bench.looked == 2


def test_a_stop_whose_answer_was_lost_is_watched_like_any_other(bench: Bench) -> None:
    bench.semaphore.runs(7)
    bench.semaphore.fails["stop"] = TimedOut("no answer within 15 s", sent=True)
    assert "I asked Semaphore to stop" in bench.say("stop 7")
    assert bench.follow(7).stopper == PERSON


@pytest.mark.parametrize(
    "error", [TimedOut("no connection", sent=False), Forbidden("forbids it (403)", sent=True, status=403)]
)
def test_a_stop_that_did_not_happen_is_told_and_not_watched(bench: Bench, error: Forbidden) -> None:
    bench.semaphore.runs(7)
    bench.semaphore.fails["stop"] = error
    assert error.sentence in bench.say("stop 7")
    assert launches.followed(bench.journal.read()) == []


def test_exit_asks_first(bench: Bench) -> None:
    command = bench.asked("exit")
    assert "Nothing that I follow is running." in bench.answer(command)
    bench.react(command, "no")
    task = bench.started()
    command = bench.asked("exit")
    assert f"Tasks I follow: #{task} Deploy." in bench.answer(command)
    assert bench.left == 0
    bench.react(command, "no")
    assert bench.left == 0
    command = bench.asked("exit")
    bench.react(command)
    assert bench.left == 1
    assert "I am stopping now" in bench.answer(command)


def test_exit_said_again_is_the_yes(bench: Bench) -> None:
    """As ChatrixCD documents it; there the second one cancelled the first."""
    first = bench.asked("exit")
    assert "!cd exit again does it, too" in bench.answer(first)
    assert "Shall I stop?" in bench.say("exit", room_id="!two:x")
    bench.bot(admin_users=(PERSON, "@bob:x"))
    assert "Shall I stop?" in bench.say("exit", sender="@bob:x")
    assert bench.left == 0
    assert "I am stopping now" in bench.say("exit")
    assert bench.left == 1
    assert "✅ Done: stopping the bot" in bench.answer(first)
    (newest, *_) = audit.newest(bench.journal.read(), 1)
    assert (newest.what, newest.subject, newest.who) == ("confirmed", "stopping the bot", PERSON)


def test_exit_said_twice_before_the_question_could_be_read_stops_nothing(bench: Bench) -> None:
    """Somebody who repeats a command because the bot is slow has confirmed nothing, as with a yes in words."""
    bench.say("exit")
    assert "Shall I stop?" in bench.say("exit")
    assert bench.left == 0
    bench.deliver()
    assert "I am stopping now" in bench.say("exit")
    assert bench.left == 1


def test_exit_said_again_too_late_asks_anew(bench: Bench) -> None:
    bench.asked("exit")
    bench.now += 301
    assert "Shall I stop?" in bench.say("exit")
    assert bench.left == 0


@pytest.mark.parametrize("asked", ["run --help", "run -h", "help run"])
def test_a_command_explains_itself(bench: Bench, asked: str) -> None:
    told = bench.say(asked)
    assert "--limit HOSTS: only these hosts or groups" in told
    assert "-- ARGUMENTS: all that follows" in told


def test_help_explains_an_alias(bench: Bench) -> None:
    bench.say("aliases add deploy run 1 {1}")
    bench.say("aliases add web deploy 5")
    told = bench.say("help Web")
    assert "!cd Web stands for !cd deploy 5." in told
    assert "It starts a task from a template" in told


@pytest.mark.parametrize("verb", ["status", "logs", "redo"])
def test_the_line_that_is_proposed_is_of_the_same_command(bench: Bench, verb: str) -> None:
    assert f"Name one: !cd {verb} 42." in bench.say(verb)
    assert f"Name one: !cd {verb} 42." in bench.say(f"{verb} last")


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("aliases add", "Usage: !cd aliases add NAME COMMAND"),
        ("aliases test", "Usage: !cd aliases test NAME [WORDS]"),
        ("verify yes 1", "Begin one: !cd verify @name:server DEVICE"),
        ("rollback site to", "like !cd rollback 1 9 to 1.4.1; without “to” it is the build of the last good run"),
        ("resolve 1a2b3c4d not-started", "None is in doubt."),
        ("exit now", "Usage: !cd exit"),
    ],
)
def test_a_refusal_names_the_next_step(bench: Bench, line: str, step: str) -> None:
    assert step in bench.say(line)


def test_a_wrong_room_says_nothing_about_the_person(bench: Bench) -> None:
    bench.bot(allowed_rooms=("!other:x",))
    assert bench.say("help").startswith(f"⛔ This room ({ROOM}) is not in bot.allowed_rooms")


def test_without_a_project_it_is_said_what_makes_one_seen(bench: Bench) -> None:
    bench.semaphore.project_list = []
    assert "make the bot's user in Semaphore a member of one (role task_runner)" in bench.say("run")


def test_projects_that_fit_words(bench: Bench) -> None:
    told = bench.say("projects we")
    assert ("Web" in told, "Data" in told) == (True, False)
    command = bench.asked("projects Wbe")
    assert "❓ There is no project “Wbe”. This one?" in bench.answer(command)
    bench.react(command)
    told = bench.answer(command)
    assert ("Web" in told, "Data" in told) == (True, False)
    assert "There is no project “zzz”. The nearest:" in bench.say("projects zzz")


def test_a_room_alone_is_one_room_and_an_invite_can_be_accepted(bench: Bench) -> None:
    bench.rooms = bench.rooms[:1]
    assert "I am in 1 room:" in bench.say("rooms")
    bench.say("rooms accept !new:x")
    assert bench.asked_rooms == [("join", "!new:x")]


@pytest.mark.parametrize("line", ["pet", "scold"])
def test_charm(bench: Bench, line: str) -> None:
    assert PERSON in bench.say(line)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("rnu", "Did you mean “!cd run”?"),
        ("run 1 5 --limt=web", "no option “--limt”. Did you mean “--limit”?"),
        ("ping now", "“now”"),
        ('run "1', "not closed"),
    ],
)
def test_what_is_not_understood_does_nothing(bench: Bench, line: str, named: str) -> None:
    answer = bench.say(line)
    assert "I did nothing" in answer
    assert named in answer
    assert bench.unhandled() == []


# --- rights and rooms


@pytest.mark.parametrize("line", ["run 1 5", "stop 7", "exit", "rooms join !a:x", "rooms part !a:x"])
@pytest.mark.parametrize(
    ("admins", "reason"), [((), "bot.admin_users in config.json is empty"), (("@other:x",), "not in")]
)
def test_changing_needs_a_right(bench: Bench, line: str, admins: tuple[str, ...], reason: str) -> None:
    bench.bot(admin_users=admins)
    bench.semaphore.runs(7)
    answer = bench.say(line)
    assert answer.startswith("⛔ ")
    assert reason in answer
    assert (bench.semaphore.stops, bench.asked_rooms, bench.left) == ([], [], 0)
    assert questions.next_expiry(bench.journal.read()) is None


@pytest.mark.parametrize(
    "line", ["help", "ping", "info", "admins", "rooms", "projects", "templates 1", "status 7", "logs 7"]
)
def test_reading_is_open_to_everybody(bench: Bench, line: str) -> None:
    bench.bot(admin_users=())
    bench.semaphore.runs(7)
    assert not bench.say(line).startswith("⛔")


def test_a_star_opens_it_on_purpose(bench: Bench) -> None:
    bench.bot(admin_users=("*",))
    assert "Shall I start" in bench.say("run 1 5", sender="@anybody:x")


def test_other_rooms_are_refused(bench: Bench) -> None:
    bench.bot(allowed_rooms=("!other:x",))
    assert "not in bot.allowed_rooms" in bench.say("help")
    assert not bench.say("help", room_id="!other:x").startswith("⛔")


def test_a_right_that_was_taken_meanwhile_counts(bench: Bench) -> None:
    command = bench.asked()
    bench.bot(admin_users=("@other:x",))
    bench.react(command)
    assert "not in bot.admin_users" in bench.answer(command)
    assert bench.semaphore.posts == []


# --- the question and its answers


def test_the_question_names_exactly_what_would_be_started(bench: Bench) -> None:
    answer = bench.say("run Web Dep")
    assert "Shall I start Deploy (template 5) in Web (project 1)?" in answer
    assert "bash, deploy.sh, to production" in answer
    assert "Asked by @ann:x." in answer
    assert "within 5 minutes" in answer
    assert bench.semaphore.posts == []


def answer_by(bench: Bench, way: str, verdict: str) -> str:
    """Asks and answers in one of the ways; the question's message afterwards."""
    more: dict[str, Any] = {"thread": "$root"} if way == "thread" else {}
    command = bench.asked(**more)
    message = f"$of answer:{command.event_id}"
    ways: dict[str, dict[str, Any]] = {
        "reply": {"target": message},
        "reply to the command": {"target": command.event_id},
        "thread": {"thread": "$root"},
        "thread of the command": {"thread": command.event_id},
        "thread of the question": {"thread": message},
        "bare word": {},
    }
    if way == "reaction":
        bench.react(command, verdict)
    else:
        bench.word(verdict, **ways[way])
    return bench.answer(command)


WAYS = [
    "reaction",
    "reply",
    "reply to the command",
    "thread",
    "thread of the command",
    "thread of the question",
    "bare word",
]


@pytest.mark.parametrize("way", WAYS)
def test_yes_starts_once_and_says_so_in_the_questions_place(bench: Bench, way: str) -> None:
    answer = answer_by(bench, way, "yes")
    (body,) = bench.semaphore.posts
    assert body["template_id"] == 5
    assert "asked by @ann:x" in str(body["message"])
    assert "Task #41 (Deploy), asked by @ann:x." in answer
    assert "!cd logs 41" in answer
    assert [each.task_id for each in launches.followed(bench.journal.read())] == [41]
    assert bench.looked == 1
    assert bench.unhandled() == []


@pytest.mark.parametrize("way", WAYS)
def test_no_starts_nothing_and_says_so(bench: Bench, way: str) -> None:
    answer = answer_by(bench, way, "no")
    assert bench.semaphore.posts == []
    assert answer.startswith("✖ ")
    assert "Not done: Deploy" in answer
    assert state(bench) == "no"


@pytest.mark.parametrize("way", WAYS)
def test_other_people_cannot_answer(bench: Bench, way: str) -> None:
    bench.bot(admin_users=("*",))
    command = bench.asked()
    message = f"$of answer:{command.event_id}"
    before = bench.slots()
    if way == "reaction":
        bench.react(command, sender="@bob:x")
    else:
        target = message if way == "reply" else command.event_id if "reply" in way else None
        thread = command.event_id if "thread" in way else None
        bench.word("yes", sender="@bob:x", target=target, thread=thread)
    assert bench.semaphore.posts == []
    assert state(bench) == "open"
    assert bench.slots() == before  # and it costs no message
    assert bench.unhandled() == []


def test_a_word_in_another_thread_is_said_to_somebody_else(bench: Bench) -> None:
    bench.asked()
    before = bench.slots()
    bench.word("yes", thread="$some other conversation")
    assert bench.semaphore.posts == []
    assert bench.slots() == before


def test_a_bare_word_after_chatter_confirms_nothing_and_is_explained_once(bench: Bench) -> None:
    bench.asked()
    with bench.journal.write() as tx:
        questions.chattered(tx, ROOM, PERSON)
    first, second = bench.word(), bench.word()
    assert "I did not take that as an answer" in bench.answer(first)
    assert bench.answer(second) == ""
    assert bench.semaphore.posts == []
    assert state(bench) == "open"


def test_a_bare_word_after_the_bot_said_something_else_confirms_nothing(bench: Bench) -> None:
    bench.asked()
    bench.say("help", sender="@bob:x")
    bench.word()
    assert bench.semaphore.posts == []


def test_of_two_open_questions_a_bare_word_answers_none(bench: Bench) -> None:
    bench.bot(question_seconds=300.0)
    first, second = bench.asked("run 1 5"), bench.asked("run 1 6")
    bench.word()
    assert bench.semaphore.posts == []
    bench.react(second)
    bench.word("yes", target=f"$of answer:{first.event_id}")
    assert [body["template_id"] for body in bench.semaphore.posts] == [6, 5]


def test_of_two_open_questions_at_the_console_a_word_answers_none_and_that_is_said_each_time(bench: Bench) -> None:
    """There is nothing to react to there."""
    here: dict[str, Any] = {"room_id": OPERATOR_ROOM, "sender": OPERATOR}
    first = bench.event("run 1 5", **here)
    bench.desk.handle(first)
    bench.say("run 1 6", **here)
    for _ in range(2):
        assert "!cd withdraw lists them" in bench.answer(bench.word(**here))
    assert bench.semaphore.posts == []
    bench.say("withdraw 2", **here)
    bench.word(**here, target=first.event_id)  # as the console binds it when only one is open
    assert [body["template_id"] for body in bench.semaphore.posts] == [5]


def test_of_two_open_questions_in_a_thread_a_word_answers_none_and_that_is_said(bench: Bench) -> None:
    first, second = bench.asked("run 1 5", thread="$root"), bench.asked("run 1 6", thread="$root")
    word = bench.word("yes", thread="$root")
    assert bench.semaphore.posts == []
    assert "several questions of mine" in bench.answer(word)
    bench.react(second)
    bench.word("yes", thread="$root")
    assert [body["template_id"] for body in bench.semaphore.posts] == [6, 5]
    assert "Task #42" in bench.answer(first)


def test_a_question_that_took_the_place_of_the_one_that_was_answered_is_not_confirmed(bench: Bench) -> None:
    """The word was accepted for the first, which expired while the word waited behind a slow command."""
    bench.asked("run 1 5")
    word = bench.event("yes", Kind.ANSWER)
    (old,) = questions.all_open(bench.journal.read())
    bench.desk.expire(old)
    bench.desk.handle(bench.event("run 1 6"))  # asked, but not seen by anybody yet
    bench.desk.handle(word)
    assert bench.semaphore.posts == []


def test_two_people_asked_in_one_thread_each_answer_their_own(bench: Bench) -> None:
    bench.bot(admin_users=("*",))
    bench.asked("run 1 5", sender="@a:x", thread="$root")
    bench.asked("run 1 6", sender="@b:x", thread="$root")
    bench.word("yes", sender="@a:x", thread="$root")
    assert [body["template_id"] for body in bench.semaphore.posts] == [5]


def test_an_answer_without_a_question_says_nothing(bench: Bench) -> None:
    event = bench.word()
    bench.desk.handle(bench.event("yes", Kind.REACTION, target="$nothing"))
    assert bench.answer(event) == ""
    assert bench.slots() == []
    assert bench.unhandled() == []


def test_a_question_expires_visibly_and_then_counts_for_nothing(bench: Bench) -> None:
    command = bench.asked()
    bench.now += 301
    (question,) = questions.expired(bench.journal.read(), bench.now)
    bench.desk.expire(question)
    assert "Nobody answered in time, so nothing was done: Deploy." in bench.answer(command)
    shown = bench.answer(command)
    bench.desk.expire(question)
    bench.react(command)
    assert bench.semaphore.posts == []
    assert bench.answer(command) == shown


def test_a_question_that_could_not_be_said_expires_all_the_same(bench: Bench) -> None:
    """The bot may not speak in the room: nobody has seen the question, and its time is over."""
    bench.desk.handle(bench.event("run 1 5"))
    (row,) = bench.journal.read().execute("SELECT id FROM outbox").fetchone()
    with bench.journal.write() as tx:
        outbox.begin(tx, row)
        outbox.fail(tx, row, "M_FORBIDDEN: no power")
    bench.now += 301
    (question,) = questions.expired(bench.journal.read(), bench.now)
    bench.desk.expire(question)
    assert questions.expired(bench.journal.read(), bench.now) == []


def test_a_question_that_expires_while_the_yes_is_looked_at_stays_expired(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatch thread expires it between the worker's reading of the question and its settling."""
    command = bench.asked()
    write = bench.journal.write
    bench.now += 301

    @contextmanager
    def late() -> Iterator[Any]:
        monkeypatch.undo()
        (question,) = questions.expired(bench.journal.read(), bench.now)
        bench.desk.expire(question)
        with write() as tx:
            yield tx

    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")
    monkeypatch.setattr(bench.journal, "write", late)
    bench.desk.handle(event)
    assert bench.semaphore.posts == []
    assert "I came to your answer too late" in bench.answer(command)


def test_a_second_yes_starts_nothing_more(bench: Bench) -> None:
    command = bench.asked()
    bench.react(command)
    bench.word("yes", target=f"$of answer:{command.event_id}")
    assert len(bench.semaphore.posts) == 1
    assert "Task #41" in bench.answer(command)


def test_a_second_yes_does_not_hide_why_the_first_failed(bench: Bench) -> None:
    command = bench.asked()
    bench.semaphore.fails["start"] = Forbidden(
        "Starting a task failed: Semaphore forbids it (403).", sent=True, status=403
    )
    bench.react(command)
    bench.word("yes", target=f"$of answer:{command.event_id}")
    assert "Semaphore forbids it (403)" in bench.answer(command)


def test_a_template_that_was_changed_meanwhile_is_not_started(bench: Bench) -> None:
    command = bench.asked()
    bench.semaphore.template_list[0] = msgspec.structs.replace(bench.semaphore.template_list[0], playbook="evil.sh")
    bench.react(command)
    assert "the template was changed in Semaphore after I had asked" in bench.answer(command)
    assert bench.semaphore.posts == []


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "x"},
        {"app": "x"},
        {"arguments": "[1]"},
        {"git_branch": "x"},
        {"inventory_id": 3},
        {"environment_id": 3},
        {"environment_ids": (3, 4)},
        {"repository_id": 3},
        {"task_params": {"limit": ["x"]}},
        {"survey_vars": (SurveyVar(name="x"),)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_everything_that_decides_what_runs_is_bound_to_the_question(bench: Bench, changed: dict[str, Any]) -> None:
    command = bench.asked()
    bench.semaphore.template_list[0] = msgspec.structs.replace(bench.semaphore.template_list[0], **changed)
    bench.react(command)
    assert bench.semaphore.posts == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"type": "deploy"}, "deploys a build"),
        ({"survey_vars": (SurveyVar(name="v", required=True),)}, "Give the template a variable group"),
    ],
    ids=["deploy", "survey without a variable group"],
)
def test_what_would_run_without_what_it_needs_is_refused(bench: Bench, changed: dict[str, Any], reason: str) -> None:
    bench.semaphore.template_list[0] = msgspec.structs.replace(bench.semaphore.template_list[0], **changed)
    assert reason in bench.say("run 1 5")
    assert questions.next_expiry(bench.journal.read()) is None


def test_an_optional_survey_question_does_not_stand_in_the_way(bench: Bench) -> None:
    bench.semaphore.template_list[0] = msgspec.structs.replace(
        bench.semaphore.template_list[0], survey_vars=(SurveyVar(name="v"),)
    )
    assert "Shall I start" in bench.say("run 1 5")


# --- other events


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Kind.CLEAR, "in clear text in an encrypted room"),
        (Kind.FORGED, "not encrypted by any device"),
        (Kind.UNREADABLE, "could not decrypt"),
    ],
)
def test_what_cannot_be_trusted_is_told_and_not_done(bench: Bench, kind: Kind, sentence: str) -> None:
    event = bench.event("exit", kind)
    bench.desk.handle(event)
    assert sentence in bench.answer(event)
    assert (bench.left, bench.unhandled()) == (0, [])


def test_the_answer_stands_in_the_thread_and_replies_to_the_command(bench: Bench) -> None:
    event = bench.event("help", thread="$root")
    bench.desk.handle(event)
    content = bench.content(f"answer:{event.event_id}")
    assert (content["thread"], content["reply_to"], content["mention"]) == ("$root", event.event_id, [])


def test_greetings_where_they_are_wanted(bench: Bench) -> None:
    bench.bot(greetings_enabled=True)
    assert PERSON in bench.say("projects").splitlines()[0]
    assert PERSON not in bench.say("run 1 5").splitlines()[0]
    bench.bot(greeting_rooms=("!other:x",))
    assert PERSON not in bench.say("projects").splitlines()[0]


# --- errors, limits, crashes


def test_an_unknown_error_is_answered_with_a_code_that_stands_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.semaphore.fails["projects"] = lambda: ZeroDivisionError("oh")
    event = bench.event("projects")
    with pytest.raises(ZeroDivisionError) as caught:
        bench.desk.handle(event)
    assert bench.unhandled() == [event.event_id]
    bench.desk.failed(event, caught.value)
    code = re.search(r"code (E-\w+)", bench.answer(event))
    assert code is not None
    assert code[1] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert bench.unhandled() == []


def test_handling_an_event_twice_answers_once(bench: Bench) -> None:
    event = bench.event("pet")
    bench.desk.handle(event)
    first = bench.everything()
    for _ in range(5):
        bench.desk.handle(event)
    assert bench.everything() == first


def test_the_late_result_of_a_given_up_job_is_thrown_away(bench: Bench) -> None:
    event = bench.event("projects")
    bench.desk.lost(event)
    answer = bench.answer(event)
    assert "I gave up on this after waiting too long (code E-" in answer
    bench.desk.handle(event)
    bench.desk.failed(event, RuntimeError("late"))
    assert bench.answer(event) == answer


def test_a_given_up_job_asks_no_late_question(bench: Bench) -> None:
    event = bench.event("run 1 5")
    bench.desk.lost(event)
    bench.desk.handle(event)
    assert questions.next_expiry(bench.journal.read()) is None


def test_a_slow_job_is_told_and_its_answer_takes_the_place(bench: Bench) -> None:
    event = bench.event("projects")
    bench.desk.slow(event)
    assert "still working on it" in bench.answer(event)
    bench.desk.handle(event)
    assert "Web" in bench.answer(event)
    bench.desk.slow(event)
    assert "Web" in bench.answer(event)
    assert len(bench.slots()) == 1


@pytest.mark.parametrize("end", ["lost", "failed"])
def test_how_a_slow_answer_to_a_question_ended_stands_in_the_questions_place(bench: Bench, end: str) -> None:
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")

    def hangs() -> BaseException | None:
        bench.desk.slow(event)
        assert "I am still working on it; the answer will stand here" in bench.answer(command)
        if end == "lost":
            bench.desk.lost(event)
        return ValueError("unknown")

    bench.semaphore.fails["template"] = lambda: hangs() if state(bench) == "yes" else None
    with pytest.raises(ValueError, match="unknown") as caught:
        bench.desk.handle(event)
    if end == "failed":
        bench.desk.failed(event, caught.value)
    assert "I gave up" in bench.answer(command) or "broke while I worked on this" in bench.answer(command)
    assert bench.unhandled() == []


def test_a_flood_is_told(bench: Bench) -> None:
    event = bench.event("help")
    bench.desk.flooded(event)
    assert "faster than I am" in bench.content(f"flood:{event.event_id}")["plain"]
    assert bench.unhandled() == [event.event_id]


def test_what_was_said_while_the_bot_was_away_is_no_flood(bench: Bench) -> None:
    bench.event("ping", at=bench.now - 3_600)
    bench.desk.flooded(bench.event("ping", at=bench.now))  # nor is the first word after it
    assert not [slot for slot in bench.slots() if slot.startswith("flood:")]


@pytest.mark.parametrize("killed_in", ["after the yes was settled", "while it was posted"])
def test_a_crash_after_the_yes_starts_the_task_once(bench: Bench, killed_in: str) -> None:
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")
    dies = iter([KeyboardInterrupt("killed")])
    where = "template" if killed_in == "after the yes was settled" else "start"
    bench.semaphore.fails[where] = lambda: next(dies, None)
    with pytest.raises(KeyboardInterrupt):
        bench.desk.handle(event)
    if where == "start":  # the task is there, only its answer never came
        bench.semaphore.runs(41, message=str(bench.semaphore.posts[0]["message"]))
    assert bench.unhandled() == [event.event_id]
    bench.desk.handle(event)
    assert len(bench.semaphore.posts) == 1
    assert "Task #41" in bench.answer(command)
    assert ("first answer was lost" in bench.answer(command)) == (where == "start")
    assert bench.unhandled() == []


@pytest.mark.parametrize("way", WAYS)
def test_a_crash_after_the_yes_loses_it_in_no_way_of_answering(bench: Bench, way: str) -> None:
    dies = iter([KeyboardInterrupt("killed")])
    bench.semaphore.fails["template"] = lambda: next(dies, None) if state(bench) == "yes" else None
    with pytest.raises(KeyboardInterrupt):
        answer_by(bench, way, "yes")
    (event,) = inbox.unanswered(bench.journal.read())
    bench.desk.handle(event)
    assert len(bench.semaphore.posts) == 1


def test_a_yes_that_is_handled_after_its_time_starts_nothing(bench: Bench) -> None:
    """It was accepted, and then the bot was gone for hours."""
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")
    bench.now += 10_000
    bench.desk.handle(event)
    assert bench.semaphore.posts == []
    assert "I came to your answer too late, so nothing was done: Deploy." in bench.answer(command)
    assert state(bench) == "expired"


@pytest.mark.parametrize("killed_at", ["template", "sending"])
def test_a_launch_that_a_crash_held_up_for_long_is_not_sent_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    command = bench.asked()
    event = bench.event("yes", Kind.REACTION, target=f"$of answer:{command.event_id}")

    def dies(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    where, name = (bench.semaphore, "template") if killed_at == "template" else (Launcher, "_post")
    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies)
        with pytest.raises(KeyboardInterrupt):
            bench.desk.handle(event)
    bench.now += 10_000
    bench.desk.handle(event)
    assert bench.semaphore.posts == []
    assert "Nothing was started. Please ask again." in bench.answer(command)
    assert bench.unhandled() == []


# --- what leaves the bot


def test_secrets_never_reach_the_outbox(bench: Bench) -> None:
    name = f"Deploy {SECRET}"
    bench.semaphore.template_list[0] = Template(id=5, project_id=1, name=name, description=SECRET)
    bench.semaphore.project_list[0] = Project(1, SECRET)
    bench.started()
    bench.semaphore.says(41, [f"curl -H {SECRET} {n}" for n in range(500)] + ['{"password": "hunter22"}'])
    bench.semaphore.ends(41, "error")
    for line in ("projects", "templates 1", "status 41", "logs 41", f"help {SECRET}", f"run {SECRET} 5", "stop 41"):
        bench.say(line)
    bench.reported(41)
    assert "********" in bench.everything()
    assert SECRET not in bench.everything()
    assert "hunter22" not in bench.everything()


def test_a_huge_answer_becomes_a_short_one_and_a_file(bench: Bench) -> None:
    bench.semaphore.project_list = [Project(n, f"project {n} {'x' * 60}") for n in range(1, 500)]
    event = bench.event("projects")
    bench.desk.handle(event)
    content = bench.content(f"answer:{event.event_id}")
    assert len(json.dumps(content)) < 11_000
    assert "the whole text is in the file answer.txt" in content["plain"]
    assert "project 499" in bench.file(f"answer:{event.event_id}/file0")


def test_names_are_never_markup(bench: Bench) -> None:
    evil = '<img src=x> **b** & "q" <b>'
    bench.semaphore.template_list = [Template(id=5, project_id=1, name=evil, description=evil, playbook=evil)]
    bench.semaphore.project_list = [Project(1, evil)]
    bench.started("run")
    bench.semaphore.outputs[41] = [[Line(output=evil)]]
    bench.semaphore.ends(41, "error")
    for line in ("projects", "templates", "status", "logs", "stop 41", evil, f"run '{evil}'", "rooms"):
        bench.say(line)
    bench.reported(41)
    rows = bench.journal.read().execute("SELECT content FROM outbox").fetchall()
    shown = "".join(json.loads(row[0]).get("html", "") for row in rows)
    assert "<img" not in shown
    assert "<b>" not in shown
    assert "&lt;img src=x&gt; **b** &amp; &quot;q&quot;" in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(30, "30 seconds"), (60, "1 minute"), (90, "1 minute and 30 seconds"), (120, "2 minutes"), (300, "5 minutes")],
)
def test_time_spans(seconds: float, said: str) -> None:
    assert minutes(seconds) == said
