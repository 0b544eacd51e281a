"""Semaphore is slow, away or odd: every command gets its true cause, nothing is started twice, others do not notice."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.semaphore import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatrixcd_threads.demo.person import Heard, Person
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e

JSON = "application/json; charset=utf-8"
ASKED = ("projects", "templates 1", "run 1 1", "status 1", "logs 1", "stop 1", "status", "info")

CAUSES = {
    "dropped": (Fault(drop=True), r"closed the connection without an answer"),
    "bad token": (Fault(status=401), r"does not accept the API token \(401\)"),
    "not allowed": (Fault(status=403), r"Semaphore forbids it \(403\)"),
    "not found": (Fault(status=404), r"not found \(404\)|no task #1 in any project"),
    "broken": (
        Fault(status=500, body='{"error": "the database is locked"}', content_type=JSON),
        r"answered 500, saying “the database is locked”",
    ),
    "a web page": (Fault(body="<html><b>Log in</b></html>"), r"answered 200 with a web page"),
    "null": (Fault(body="null", content_type=JSON), r"failed: "),
    "junk": (Fault(body="{]", content_type=JSON), r"the answer is not the JSON of Semaphore"),
    "a proxy": (Fault(status=502, body="<h1>Bad gateway</h1>"), r"a proxy answered 502"),
    "hanging": (Fault(hang=60.0), r"gave no complete answer within 6 seconds"),
    "dripping": (Fault(drip=0.5), r"gave no complete answer within 6 seconds"),
}


@pytest.fixture(scope="module")
def impatient(stage: Stage) -> Stage:
    """A bot that waits 6 seconds for Semaphore and has run one task."""
    stage.bot.kill9()
    stage.config["semaphore"]["timeout"] = 6.0
    stage.bot.write_config(stage.config)
    stage.bot.start()
    return stage


@pytest.fixture(scope="module")
def rooms(impatient: Stage) -> list[Room]:
    """One for each command, so that they run side by side."""
    rooms = [impatient.room() for _ in ASKED]
    task, _ = rooms[ASKED.index("status")].start()
    assert task == 1
    rooms[ASKED.index("status")].end_of(task)
    return rooms


@pytest.fixture
def sound(impatient: Stage) -> Iterator[Stage]:
    yield impatient
    impatient.semaphore.clear_faults()


@pytest.mark.parametrize("trouble", CAUSES)
def test_every_command_names_the_true_cause(sound: Stage, rooms: list[Room], trouble: str) -> None:
    fault, cause = CAUSES[trouble]
    sound.semaphore.fault(fault)
    tasks, posts = len(sound.semaphore.tasks()), len(sound.posts())

    asked = [room.say(f"!cd {words}") for room, words in zip(rooms, ASKED, strict=True)]
    answers = [room.answer(event_id) for room, event_id in zip(rooms, asked, strict=True)]

    silent = {words: told.body for words, told in zip(ASKED, answers, strict=True) if not re.search(cause, told.body)}
    assert silent == {}
    assert all(sound.semaphore.token("runner") not in told.body for told in answers)
    assert all("<html>" not in (told.html or "") for told in answers)
    assert (len(sound.semaphore.tasks()), len(sound.posts())) == (tasks, posts)
    sound.semaphore.clear_faults()
    assert "Demo" in rooms[0].ask("!cd projects").body


def test_nobody_listens(make_stage: StageFactory) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, but nobody listens
        stage = make_stage(semaphore={"url": f"http://127.0.0.1:{held.getsockname()[1]}"})
        room = stage.room()
        for answer in room.ask_all(
            ["!cd projects", "!cd run 1 1", "!cd ping", "!cd info", "!cd status 1", "!cd stop 1"]
        ):
            assert "no connection to http://127.0.0.1:" in answer.body
            assert "(connection refused)" in answer.body
        assert "!cd projects" in room.ask("!cd help").body


def test_a_wrong_token_and_a_project_that_is_not_ones_own(make_stage: StageFactory) -> None:
    stage = make_stage(semaphore={"api_token": "wrong-token-0123456789"})
    room = stage.room()
    refused = room.ask("!cd projects")
    assert "does not accept the API token (401)" in refused.body
    assert "wrong-token" not in refused.body


def test_a_user_who_may_not_start(make_stage: StageFactory) -> None:
    stage = make_stage()
    stage.bot.kill9()
    stage.config["semaphore"]["api_token"] = stage.semaphore.token("guest")
    stage.bot.write_config(stage.config)
    stage.bot.start()
    room = stage.room()
    question = room.question()
    room.react(question, "👍")
    told = room.edit_of(question)
    assert "Semaphore forbids it (403)" in told.body
    assert "task_runner" in told.body
    assert "I do not know" not in told.body
    assert stage.semaphore.tasks() == []


# --- starting: once, and said truly


def asked_and_confirmed(room: Room) -> Heard:
    question = room.question()
    room.react(question, "👍")
    return room.edit_of(question, r"\A(?!⏳)", timeout=40)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/tasks$", after=True, drop=True, times=1),
        Fault("POST", "/tasks$", after=True, hang=30.0, times=1),
        Fault("POST", "/tasks$", after=True, status=500, times=1),
        Fault("POST", "/tasks$", after=True, status=502, body="<h1>Bad gateway</h1>", times=1),
        Fault("POST", "/tasks$", after=True, status=201, body="<html>", times=1),
    ],
    ids=["dropped", "hanging", "500", "502", "a page"],
)
def test_a_lost_answer_after_the_start(sound: Stage, rooms: list[Room], fault: Fault) -> None:
    room = rooms[0]
    tasks = len(sound.semaphore.tasks())
    sound.semaphore.fault(fault)
    told = asked_and_confirmed(room)
    assert f"Task #{tasks + 1} (Hello)" in told.body
    assert "Nothing was started twice." in told.body
    room.end_of(tasks + 1)
    assert len(sound.semaphore.tasks()) == tasks + 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/tasks$", drop=True, times=1),
        Fault("POST", "/tasks$", status=500, times=1),
        Fault("POST", "/tasks$", status=503, body="busy", content_type="text/plain", times=1),
    ],
    ids=["dropped", "500", "503"],
)
def test_a_post_that_did_not_act(sound: Stage, rooms: list[Room], fault: Fault) -> None:
    room = rooms[1]
    tasks = len(sound.semaphore.tasks())
    sound.semaphore.fault(fault)
    asked = asked_and_confirmed(room)
    doubt = room.hear("I do not know whether Hello was started", after=asked.event_id)
    assert "3 times" in doubt.body
    room.fence()
    assert len(sound.semaphore.tasks()) == tasks
    room.react(doubt, "👍")  # one yes, one more try
    task = tasks + 1
    assert f"Task #{task} (Hello)" in room.edit_of(doubt, r"\A(?!⏳)").body
    assert len(sound.semaphore.tasks()) == task
    room.end_of(task)


@pytest.mark.parametrize(
    ("status", "cause"), [(401, "API token (401)"), (403, "forbids it (403)"), (404, "not found (404)")]
)
def test_a_post_that_was_refused(sound: Stage, rooms: list[Room], status: int, cause: str) -> None:
    room = rooms[2]
    tasks, posts = len(sound.semaphore.tasks()), len(sound.posts("/tasks$"))
    sound.semaphore.fault(Fault("POST", "/tasks$", status=status, times=1))
    told = asked_and_confirmed(room)
    assert cause in told.body
    assert "I do not know" not in told.body
    assert (len(sound.semaphore.tasks()), len(sound.posts("/tasks$"))) == (tasks, posts + 1)


def test_following_goes_on_when_semaphore_comes_back(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    stage.semaphore.fault(Fault(drop=True))
    stage.open_gate(1)
    stage.bot.wait_log("cannot be read: unreachable")
    stage.semaphore.clear_faults()
    assert "❌ failed" in room.end_of(task).body


# --- slow


def test_still_working_becomes_the_answer(make_stage: StageFactory, encrypted: bool) -> None:
    stage = make_stage(bot={"soft_limit_seconds": 0.5})
    room = stage.room(encrypted=encrypted)
    stage.semaphore.fault(Fault("GET", "/projects$", hang=8.0, times=1))
    asked = room.say("!cd projects")
    working = room.hear(r"\A⏳")
    answer = room.answer(asked)
    assert answer.event_id == working.event_id
    assert "Demo" in answer.body
    room.fence()
    assert len(room.replies(asked)) == 1


def test_a_call_that_never_returns_is_given_up_with_a_code(make_stage: StageFactory) -> None:
    stage = make_stage(bot={"soft_limit_seconds": 0.5, "hard_limit_seconds": 8}, semaphore={"timeout": 30})
    room = stage.room()
    stage.semaphore.fault(Fault("GET", "/projects$", hang=60.0, times=1))
    asked = room.say("!cd projects")
    told = room.hear("⌛ I gave up on this")
    assert re.search(r"\(code E-[0-9a-f]+\)", told.body)
    assert told.reply_to == asked
    assert "Demo" in room.ask("!cd projects").body
    assert len(room.replies(asked)) == 1


def test_one_hanging_call_holds_up_nobody_else(make_stage: StageFactory, bob: Person) -> None:
    stage = make_stage(bot={"soft_limit_seconds": 0.5}, semaphore={"timeout": 60})
    room, other = stage.room(guests=[bob]), stage.room(bob, wait=False)
    third = stage.room()
    stage.semaphore.fault(Fault("GET", "/projects$", hang=60.0, times=1))
    asked = room.say("!cd projects")
    room.hear(r"\A⏳")
    behind = room.say("!cd help")
    assert "!cd projects" in third.ask("!cd help").body
    assert "Demo" in third.ask("!cd projects").body
    assert "!cd projects" in room.seen_by(bob).ask("!cd help").body
    assert len(room.replies(asked)) == 1
    assert room.replies(behind) == []  # one's own commands keep their order
    assert other.said_by_bot() == []
