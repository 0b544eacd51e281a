"""Nothing is forgotten while the bot is away, and nothing is done behind anybody's back when it returns."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import BRIDGED

if TYPE_CHECKING:
    from chatrixcd_threads.demo.person import Heard, Person
    from tests.e2e.conftest import Room, StageFactory

pytestmark = pytest.mark.e2e

LONG_AGO = 240.0  # seconds; the bot calls it late from 120 on
BACKLOG = 200
LIST = "📭 I was not there when this was said, and did none of it:"


def lists(room: Room) -> list[Heard]:
    """What was not done, as separate messages."""
    return [heard for heard in room.said_by_bot() if heard.body.startswith(LIST)]


def test_killed_while_a_task_runs_and_a_question_is_open(
    make_stage: StageFactory, person: Callable[[str], Person]
) -> None:
    early = person(BRIDGED)
    stage = make_stage(bot={"admin_users": [early.user_id]})
    room = stage.room(early)
    task, _ = room.start("demo gate")
    question = room.question("demo hello")
    stage.bot.kill9()

    reading, stopping, starting = room.said_before(["!cd projects", f"!cd stop {task}", "!cd run demo gate"], LONG_AGO)
    stage.open_gate()
    deadline = time.monotonic() + 20
    while stage.task(task)["status"] != "success":
        assert time.monotonic() < deadline, stage.task(task)
        time.sleep(0.02)
    other = stage.api("POST", "/project/1/tasks", {"template_id": 8})["id"]
    stage.bot.start()

    assert f"Task #{task} Gate: ✅ success\nAsked by {early.user_id}" in room.end_of(task).body
    assert "Demo" in room.answer(reading).body
    asked = room.answer(starting)
    assert asked.body.startswith("Shall I start Gate ")
    assert re.search(r"📭 You asked \d+ minutes ago, at \d\d:\d\d; I was not there\. Nothing was started\.", asked.body)
    assert f"Meanwhile: #{other} by Admin (" in asked.body
    told = room.hear(LIST)
    assert f"{early.user_id} !cd stop {task}" in told.body

    room.react(question, "👍")
    started = room.edit_of(question, "Task #")
    room.end_of(int(re.findall(r"Task #(\d+)", started.body)[0]))
    room.fence()
    assert len(lists(room)) == 1
    assert room.replies(stopping) == []
    assert stage.posts("/stop$") == []
    assert stage.task(task)["status"] == "success"
    ends = [heard for heard in room.said_by_bot() if heard.text.startswith(f"Task #{task} Gate: ")]
    assert len(ends) == 1
    assert stage.posts("/tasks$") == ["/api/project/1/tasks"] * 3  # Gate, the other's, and the yes


def test_a_backlog_is_one_list_in_each_room(make_stage: StageFactory, person: Callable[[str], Person]) -> None:
    early = person(BRIDGED)
    stage = make_stage(bot={"admin_users": [early.user_id]})
    rooms = [stage.room(early) for _ in range(2)]
    for room in rooms:
        room.fence()
    stage.bot.kill9()
    words = [("!cd stop 1" if number % 2 else f"!cd stop {number}") for number in range(BACKLOG // 2)]
    with ThreadPoolExecutor(2) as talkers:
        list(talkers.map(lambda room: room.said_before(words, LONG_AGO), rooms))
    stage.bot.start()

    for room in rooms:
        room.fence()
        whole = room.hear(rf"… and {len(words) - 20} more\n", timeout=60)
        assert whole.body.count("!cd stop") == 20
        assert len(lists(room)) == 1
        assert len(room.said_by_bot()) == 3  # two fences and the list
    assert stage.posts() == []
