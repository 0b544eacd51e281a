"""Started tasks are followed to their end: told once, with the result, over restarts of the bot and of Semaphore."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chatrixcd_threads.demo.person import Heard, Person
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["2.10", "2.16"])
def either(request: pytest.FixtureRequest, make_stage: StageFactory) -> Stage:
    """A Semaphore of the old and of the new kind: they differ in how a stopped task ends."""
    return make_stage(profile=request.param)


def ends(room: Room, task: int) -> list[Heard]:
    """How often the end of a task was told, as separate messages."""
    return [
        heard for heard in room.said_by_bot() if re.match(rf"Task #{task} (?!is over)[^\n]*: (✅|❌|⏹|❔)", heard.text)
    ]


def wait_status(stage: Stage, task: int, status: str) -> None:
    """Until Semaphore itself says so."""
    deadline = time.monotonic() + 20
    while stage.task(task)["status"] != status:
        assert time.monotonic() < deadline, stage.task(task)
        time.sleep(0.02)


def whole_output(stage: Stage, task: int, last: str) -> list[str]:
    """The lines, once the last one is readable: Semaphore goes on writing after the end."""
    deadline = time.monotonic() + 20
    while True:
        records = stage.api("GET", f"/project/1/tasks/{task}/output")
        lines = [row for record in records for row in record["output"].split("\n")]
        if any(last in row for row in lines):
            return lines
        assert time.monotonic() < deadline, lines[-3:]
        time.sleep(0.05)


def test_success_failure_and_stop(either: Stage) -> None:
    room = either.room(encrypted=True)
    asker = room.person.user_id

    task, _ = room.start("demo hello")
    end = room.end_of(task)
    assert f"Task #{task} Hello: ✅ success\nAsked by {asker}, it took" in end.body
    assert end.mentions == {"user_ids": [asker]}

    task, _ = room.start("demo broken")
    end = room.end_of(task)
    assert f"Task #{task} Broken deploy: ❌ failed\nAsked by {asker}, it took" in end.body
    assert "No space left on device" in end.body
    assert "No space left on device" in (end.html or "")
    assert "the end of the output may be missing" in end.body.casefold()

    task, _ = room.start("demo gate")
    assert f"Task #{task} Gate (project 1): " in room.ask("!cd status").body
    asked = room.ask(f"!cd stop {task}")
    stopped = asked  # when the task stops before the answer is sent, there is one message with the end in it
    if "⏹" not in asked.body:
        assert f"I asked Semaphore to stop Task #{task} (Gate), for {asker}" in asked.body
        stopped = room.edit_of(asked)
    assert f"Task #{task} Gate: ⏹ stopped (stopped by {asker})" in stopped.body
    assert "may go on" in stopped.body
    assert either.posts("/stop$") == [f"/api/project/1/tasks/{task}/stop"]
    assert either.task(task)["status"] in ("stopped", "error")

    again = room.ask(f"!cd stop {task}")
    assert f"Task #{task} is over already" in again.body
    assert len(either.posts("/stop$")) == 1
    assert len(ends(room, task)) == 1


def test_a_stop_that_comes_too_late(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    stage.open_gate()
    room.end_of(task)
    assert "✅ success" in room.ask(f"!cd stop {task}").body
    assert stage.posts("/stop$") == []
    assert stage.task(task)["status"] == "success"


def test_status_follows_the_task(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    assert "No task was started from this room yet" in room.ask("!cd status").body
    task, _ = room.start("demo gate")
    running = room.ask("!cd status")
    assert re.search(rf"Task #{task} Gate \(project 1\): (▶ running|🕒 (waiting|starting))", running.body)
    stage.open_gate(4)
    end = room.end_of(task)
    assert "❌ failed" in end.body
    assert "<b>through</b> the gate" in end.body
    assert "&lt;b&gt;through&lt;/b&gt; the gate" in (end.html or "")
    done = room.ask("!cd status")
    assert f"Task #{task} Gate (project 1): ❌ failed" in done.body
    assert f"Asked by {room.person.user_id}." in done.body


def test_long_output_comes_as_a_file(stage: Stage, encrypted: bool) -> None:
    room = stage.room(encrypted=encrypted)
    task, _ = room.start("demo wide")
    room.end_of(task)
    asked = room.say(f"!cd logs {task}")  # while the server is still storing the last lines
    answer = room.answer(asked)
    wanted = whole_output(stage, task, "line 2000 of 2000")
    assert f"Output of task #{task}: ✅ success" in answer.body
    assert re.search(rf"The last 30 of \d+ lines; all of them are in task-{task}\.log\.", answer.body)
    assert "line 2000 of 2000: ünïcode <tag> & @room" in answer.body
    assert "&lt;tag&gt; &amp; @room" in (answer.html or "")
    assert answer.mentions == {}

    def is_file(heard: Heard) -> bool:
        return heard.msgtype == "m.file" and heard.reply_to == asked

    file = room.person.wait(is_file, room_id=room.room_id)
    assert (file.body, file.encrypted, file.mentions) == (f"task-{task}.log", encrypted, {})
    assert ("url" in file.content) != encrypted
    data = room.person.download(file).decode()
    assert len(wanted) > 2000
    assert data.split("\n") == wanted
    assert file.content["info"]["size"] == len(data.encode())


def test_a_task_is_followed_again_after_a_crash(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room(encrypted=True)
    task, _ = room.start("demo gate")
    stage.restart()
    stage.bot.kill9()
    stage.bot.start()
    assert "running" in room.ask("!cd status").body
    stage.open_gate()
    assert "✅ success" in room.end_of(task).body
    stage.restart()
    room.ask("!cd ping")
    room.fence()
    assert len(ends(room, task)) == 1


def test_a_task_that_ended_while_the_bot_was_away(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    stage.bot.kill9()
    stage.open_gate(2)
    wait_status(stage, task, "error")
    stage.bot.start()
    end = room.end_of(task)
    assert "❌ failed" in end.body
    assert "through</b> the gate" in end.body


def test_a_stop_is_told_although_the_bot_crashed_in_between(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    asked = room.say(f"!cd stop {task}")
    answer = room.person.wait(lambda heard: heard.reply_to == asked, room_id=room.room_id)
    stage.restart()
    assert "stopped by" in room.edit_of(answer, "⏹ stopped").body
    assert len(ends(room, task)) == 1


def test_a_task_stopped_by_somebody_in_semaphore(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    wait_status(stage, task, "running")  # a stop in `starting` is not obeyed
    stage.api("POST", f"/project/1/tasks/{task}/stop", {"force": False})
    end = room.end_of(task)
    assert f"Task #{task} Gate: ⏹ stopped" in end.body
    assert "Somebody stopped it in Semaphore." in end.body


def test_a_task_deleted_in_semaphore(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo gate")
    stage.bot.kill9()
    stage.open_gate()
    wait_status(stage, task, "success")
    stage.api("DELETE", f"/project/1/tasks/{task}")
    stage.bot.start()
    end = room.end_of(task)
    assert f"Task #{task} Gate: ❔ gone" in end.body
    assert "I cannot say how it ended" in end.body
    assert f"no task #{task}" in room.ask(f"!cd status {task}").body


def test_a_stop_from_another_room_is_told_in_both(make_stage: StageFactory, bob: Person) -> None:
    stage = make_stage(bot={"admin_users": ["*"]})
    here, there = stage.room(), stage.room(bob)
    task, _ = here.start("demo gate")
    asked = there.ask(f"!cd stop {task}")
    assert f"stopped by {bob.user_id}" in there.edit_of(asked).body
    end = here.end_of(task)
    assert f"⏹ stopped (stopped by {bob.user_id})" in end.body
    assert f"Asked by {here.person.user_id}" in end.body


def test_a_confirmation_in_semaphore_is_announced(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    task, _ = room.start("demo infra")
    waits = room.hear(rf"\ATask #{task} Infra: ❓ waits for a confirmation")
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in waits.body
    assert f"!cd confirm {task} applies it" in waits.body
    assert waits.mentions == {"user_ids": [room.person.user_id]}
    stage.api("POST", f"/project/1/tasks/{task}/confirm", {})
    assert "✅ success" in room.end_of(task).body


def test_a_task_started_in_a_thread_is_told_in_the_thread(stage: Stage, encrypted: bool) -> None:
    room = stage.room(encrypted=encrypted)
    root = room.say("the weekly deployment")
    question = room.question("demo hello", thread=root)
    room.say("yes", thread=root)
    room.edit_of(question, "Task #")
    end = room.hear(r"\ATask #\d+ Hello: ✅")
    assert end.thread == root
