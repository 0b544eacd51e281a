"""What only somebody with rights can settle: an invite, a launch in doubt, a question; and the audit of all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from chatrixcd_threads.demo.semaphore.faults import Fault

if TYPE_CHECKING:
    from chatrixcd_threads.demo.person import Person
    from tests.e2e.conftest import Stage, StageFactory

pytestmark = pytest.mark.e2e


def membership(host: Person, room_id: str, user: str) -> str:
    """As the homeserver has it, also of somebody who has never joined."""
    path = f"/_matrix/client/v3/rooms/{quote(room_id)}/state/m.room.member/{quote(user)}"
    return str(host.raw("GET", path).json()["membership"])


def test_an_invite_is_refused_for_good(make_stage: StageFactory, bob: Person) -> None:
    stage = make_stage()
    ignored = stage.room(bob, wait=False)
    room = stage.room()
    assert membership(bob, ignored.room_id, stage.user_id) == "invite"

    told = room.ask(f"!cd rooms refuse {ignored.room_id}")

    assert f"I have refused the invitation to {ignored.room_id}" in told.body
    assert membership(bob, ignored.room_id, stage.user_id) == "leave"
    again = room.ask(f"!cd rooms refuse {ignored.room_id}")
    assert "there is no invitation to it that waits" in again.body
    bob.invite(ignored.room_id, stage.user_id)  # another invitation is another question
    other = stage.room()
    assert "I have left" in other.ask(f"!cd rooms part {ignored.room_id}").body
    assert membership(bob, ignored.room_id, stage.user_id) == "leave"
    listed = other.ask("!cd audit 50").body
    assert re.search(rf"{bob.user_id} +invited +{ignored.room_id}", listed)
    assert re.search(rf"{stage.admin.user_id} +invite refused +{ignored.room_id}", listed)
    assert "The chain of all lines is whole." in listed


def test_a_launch_in_doubt_is_settled(stage: Stage) -> None:
    room, office = stage.room(), stage.room()
    for made in (False, True):
        stage.semaphore.fault(Fault("POST", "/tasks$", drop=True, times=1, after=made))
        if made:  # the task is there, but the bot cannot see it while it looks
            stage.semaphore.fault(Fault("GET", r"/tasks/last", status=500, times=3))
        question = room.question()
        room.react(question, "👍")
        doubt = room.hear("I do not know whether Hello was started", after=question.event_id, timeout=40)
        token = re.findall(r"contains (\w+)", doubt.body)[0]
        if not made:
            told = office.ask(f"!cd resolve {token} not-started")
            assert "counts as not started" in told.body
            assert "Not done: Hello" in room.edit_of(doubt).body
            assert "Hello was not started" in room.hear(f"{token} is not in doubt any more").body
            continue
        task = next(int(row["id"]) for row in stage.semaphore.tasks() if token in row["message"])
        told = office.ask(f"!cd resolve {token} started {task}")
        assert "Its message ends with the token." in told.body
        heard = room.hear(f"{token} is not in doubt any more: Hello was started as task #{task}")
        assert room.person.user_id in (heard.mentions or {}).get("user_ids", [])
        assert "✅" in room.end_of(task).body
    assert f"the launch {token} is not in doubt" in office.ask(f"!cd resolve {token} not-started").body


def test_a_question_is_withdrawn(stage: Stage) -> None:
    room, office = stage.room(), stage.room()
    question = room.question()
    tasks = len(stage.semaphore.tasks())
    listed = office.ask("!cd withdraw").body
    number = re.findall(rf"(\d+) +Hello +\S+ +{re.escape(room.room_id)}", listed)[0]

    assert "is withdrawn" in office.ask(f"!cd withdraw {number}").body

    assert f"Withdrawn by {stage.admin.user_id}" in room.edit_of(question).body
    room.react(question, "👍")
    room.fence()
    assert len(stage.semaphore.tasks()) == tasks
    assert f"no question {number} waits" in office.ask(f"!cd withdraw {number}").body
