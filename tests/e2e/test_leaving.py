"""The bot ends when it is told to, in order and in time, and what it owes is not lost."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.semaphore import Fault

if TYPE_CHECKING:
    from tests.e2e.conftest import Room, StageFactory

pytestmark = pytest.mark.e2e

LIMIT = 40.0  # the hanging call takes a minute


@pytest.mark.parametrize(("encrypted", "how"), [(False, "reaction"), (True, "word")])
def test_exit_is_asked_confirmed_answered_and_done(make_stage: StageFactory, encrypted: bool, how: str) -> None:
    stage = make_stage()
    room = stage.room(encrypted=encrypted)
    question = room.ask("!cd exit")
    assert "Shall I stop?" in question.body

    if how == "reaction":
        room.react(question, "👍")
    else:
        room.say("yes")

    assert "I am stopping now" in room.edit_of(question).body
    assert stage.bot.wait(LIMIT) == 0
    stage.bot.start()
    room.ask("!cd ping")  # and the old yes does not stop the new life
    assert stage.bot.alive


def test_exit_names_what_goes_on(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    question = room.ask("!cd exit")
    assert f"#{task} Gate" in question.body
    room.react(question, "👍")
    assert stage.bot.wait(LIMIT) == 0
    stage.open_gate()
    stage.bot.start()
    assert "✅ success" in room.end_of(task).body


def test_signals_end_it_in_order(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        room.ask("!cd ping")
        stage.bot.send_signal(number)
        assert stage.bot.wait(LIMIT) == 0
        log = stage.bot.log(this_life=True)
        assert log.index("chatrixcd.app: stopping") < log.index("chatrixcd.app: stopped")
        assert "ERROR" not in log
        stage.bot.start()
    room.ask("!cd ping")


def test_commands_under_way_are_answered_before_the_end_or_after_the_next_start(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room(encrypted=True)
    events = room.person.send_many([(room.room_id, "!cd templates")] * 30)
    room.answer(events[3])
    stage.bot.terminate()
    assert stage.bot.wait(LIMIT) == 0
    stage.bot.start()
    for event_id in events:
        room.answer(event_id)
    room.fence()
    assert [len(room.replies(event_id)) for event_id in events] == [1] * 30


def hanging(room: Room, words: str = "!cd projects") -> str:
    """A command whose call at Semaphore hangs for a minute; returns once the call is there."""
    room.stage.semaphore.fault(Fault("GET", "/projects", hang=60.0))
    before = len(room.stage.semaphore.requests())
    event_id = room.say(words)
    deadline = time.monotonic() + 20
    while len(room.stage.semaphore.requests()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return event_id


def test_a_call_that_hangs_does_not_hold_up_the_end(make_stage: StageFactory) -> None:
    stage = make_stage(semaphore={"timeout": 60})
    room, other = stage.room(encrypted=True), stage.room()
    asked = hanging(room)
    other.ask("!cd help")

    begun = time.monotonic()
    stage.bot.terminate()
    assert stage.bot.wait(LIMIT) in (0, 70)
    assert time.monotonic() - begun < LIMIT

    stage.semaphore.clear_faults()
    stage.bot.start()
    assert "Demo" in room.answer(asked).body
    room.fence()
    assert len(room.replies(asked)) == 1
