"""Each accepted command is answered once in the room, whatever happens to the process."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.semaphore import Fault

if TYPE_CHECKING:
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e

COMMANDS = ("!cd ping", "!cd help run", "!cd projects", "!cd templates", "!cd admins")
LIVES = 6


@pytest.mark.timeout(240)
def test_a_hundred_commands_and_seven_crashes(make_stage: StageFactory) -> None:
    rng = random.Random(20260728)
    stage = make_stage()
    rooms = [stage.room(encrypted=number >= 3) for number in range(5)]
    events: list[tuple[Room, str]] = []
    pause = threading.Event()
    with ThreadPoolExecutor(1) as talker:
        for life in range(LIVES):
            batch = [(room, rng.choice(COMMANDS)) for _ in range(4) for room in rooms]
            sent = talker.submit(stage.admin.send_many, [(room.room_id, words) for room, words in batch])
            pause.wait(rng.uniform(0.0, 1.5))
            stage.bot.kill9()
            events += zip([room for room, _ in batch], sent.result(), strict=True)
            if life == LIVES // 2:  # once also right after the start, with much to catch up
                stage.bot.start()
                pause.wait(rng.uniform(0.5, 0.9))
                stage.bot.kill9()
            stage.bot.start()

    for room, event_id in events:
        room.answer(event_id, timeout=60)
    for room in rooms:
        room.fence()
    assert len(events) == 120
    counted = Counter(len(room.replies(event_id)) for room, event_id in events)
    assert counted == {1: 120}
    assert all(room.person.unreadable(room.room_id) == [] for room in rooms)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_burst_of_fifty_in_one_room(make_stage: StageFactory, encrypted: bool) -> None:
    stage = make_stage()
    room = stage.room(encrypted=encrypted)
    events = room.person.send_many(
        [(room.room_id, "!cd ping" if number % 2 else "!cd help run") for number in range(50)]
    )
    if encrypted:  # and this one with a crash in its middle
        room.answer(events[10])
        stage.restart()

    for event_id in events:
        room.answer(event_id)
    room.fence()
    assert [len(room.replies(event_id)) for event_id in events] == [1] * 50
    replied = [heard.reply_to for heard in room.said_by_bot() if heard.reply_to in events]
    assert replied == events  # and in the order of the questions


def confirmed(stage: Stage, room: Room) -> None:
    """A question answered with yes, whose POST is on its way."""
    question = room.question()
    room.react(question, "👍")
    deadline = time.monotonic() + 20
    while not stage.posts("/tasks$"):
        assert time.monotonic() < deadline, "the task was never posted"
        time.sleep(0.02)


def test_killed_after_semaphore_had_started_the_task(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room(encrypted=True)
    stage.semaphore.fault(Fault("POST", "/tasks$", after=True, hang=30.0, times=1))
    confirmed(stage, room)
    stage.restart()
    told = room.hear(r"Task #1 \(Hello\)")
    assert "Nothing was started twice." in told.body
    room.end_of(1)
    room.fence()
    assert len(stage.semaphore.tasks()) == 1
    assert len(stage.posts("/tasks$")) == 1
    assert len([heard for heard in room.said_by_bot() if "Task #1" in heard.text]) == 2


def test_killed_before_semaphore_had_started_the_task(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    stage.semaphore.fault(Fault("POST", "/tasks$", drop=True, hang=1.0, times=1))
    confirmed(stage, room)
    stage.restart()
    told = room.hear("I do not know whether Hello was started")
    assert "Look in Semaphore for a task whose message contains" in told.body
    room.fence()
    assert stage.semaphore.tasks() == []
    assert len(stage.posts("/tasks$")) == 1
    task, _ = room.start()
    room.end_of(task)


def test_a_yes_is_carried_out_once_although_the_bot_crashes_again_and_again(make_stage: StageFactory) -> None:
    rng = random.Random(7)
    stage = make_stage()
    room = stage.room()
    pause = threading.Event()
    for _ in range(3):
        before = len(stage.semaphore.tasks())
        question = room.question()
        room.react(question, "👍")
        pause.wait(rng.uniform(0.0, 0.15))
        stage.restart()
        started = room.hear(rf"Task #{before + 1} \(|I do not know", after=question.event_id)
        # Killed between the decision to post and the post: then nothing was started, and the room is told so.
        assert len(stage.semaphore.tasks()) - before == (1 if "Task #" in started.body else 0)
        if "Task #" in started.body:
            room.end_of(before + 1)
