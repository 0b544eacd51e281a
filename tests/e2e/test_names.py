"""Names, not numbers, with a real homeserver: a name that fits two is picked by a reply, and confirmed after that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Room, Stage

pytestmark = pytest.mark.e2e


def test_an_ambiguous_name_is_picked_and_then_confirmed(stage: Stage, encrypted: bool) -> None:
    room: Room = stage.room(encrypted=encrypted)
    before = len(stage.posts("/tasks$"))
    command = room.say("!cd run demo s")
    choice = room.answer(command)
    assert "fits more than one template" in choice.body
    number = next(line for line in choice.body.splitlines() if "Demo / Survey" in line)[0]
    assert "Demo / Site" in choice.body
    assert choice.thread == command

    room.react(choice, f"{number}\ufe0f\u20e3" if encrypted else "👍")  # a yes to two choices is none
    if not encrypted:
        room.edit_of(choice, "“yes” is none of these")
        room.say("Demo / Survey", reply_to=choice.event_id)
    form = room.edit_of(choice, "Survey needs")
    room.say("ada", thread=command)
    room.edit_of(form, "Environment")
    room.say("stg", thread=command)
    question = room.hear(r"\AShall I start Survey")
    assert len(stage.posts("/tasks$")) == before

    room.react(question, "👍")

    assert "(Survey)" in room.edit_of(question, "Task #").body
    room.hear("Survey: ✅")
    assert len(stage.posts("/tasks$")) == before + 1
    assert "Survey" in room.ask("!cd status", reply_to=question.event_id).body
    assert "Survey" in room.ask("!cd status survey").body
