"""A secret is asked for in an encrypted direct chat, reaches the job, and is found nowhere else afterwards."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from chatrixcd_threads.demo.person import Heard
    from tests.e2e.conftest import Room, Stage

pytestmark = pytest.mark.e2e

SECRET, IN_ROOM, IN_CLEAR = "Hunter2-Zebra-91", "Typed-In-The-Room-7", "Typed-In-Clear-7"


@pytest.fixture(autouse=True)
def asks_for_a_secret(stage: Stage) -> None:
    """Site greets whom the survey names; here that is a secret, so that the job prints it."""
    site = stage.api("GET", "/project/1/templates/6")
    survey = [
        {"name": "who", "title": "Password", "type": "secret", "required": True},
        {"name": "town", "title": "Town", "type": "", "required": True},
    ]
    stage.api("PUT", "/project/1/templates/6", {**site, "survey_vars": survey})


@pytest.fixture
def room(stage: Stage) -> Room:
    """A room in clear in which the bot may delete what others say."""
    levels = {"users": {stage.user_id: 50}}  # ann made it, and is above all levels
    return stage.room(power_level_content_override=levels)


def direct_chat(room: Room) -> Room:
    """The encrypted room of the two of them, to which the bot has invited the person now or before."""
    person, bot = room.person, room.stage.user_id

    def find() -> str | None:
        invited = [each for each, info in list(person.client.invited_rooms.items()) if info.inviter == bot]
        both = {person.user_id, bot}
        known = [each for each, info in list(person.client.rooms.items()) if info.encrypted and set(info.users) == both]
        return next(iter([*known, *invited]), None)

    found = person.wait_for(find, what="a direct chat")
    person.join(found)  # changes nothing for who is in it
    return type(room)(room.stage, found, person)


def go_on(room: Room, chat: Room, asked: Heard) -> Heard:
    """The secret is said; the question about the launch that follows."""
    said = chat.say(SECRET)
    question = room.hear("Shall I start Site", after=asked.event_id)
    chat.person.wait_for(lambda: said in chat.person.redacted(chat.room_id), what="the deletion of the secret")
    return question


def contents_of(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # the bot lives: SQLite's journals come and go
            if path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def server_holds(room: Room, event_id: str) -> Any:
    path = f"/_matrix/client/v3/rooms/{room.room_id}/event/{event_id}"
    return room.person.raw("GET", path).json()["content"]


def test_a_secret_reaches_the_job_and_nothing_else(stage: Stage, room: Room) -> None:
    command = room.say("!cd run demo Site")
    form = room.answer(command)
    assert "Town" in form.body  # what everybody may know is asked first
    room.say("Berlin", thread=command)
    told = room.edit_of(form, "needs a secret, now: Password")
    assert "in our direct chat, never here" in told.body

    # Typed in the room: not taken, and deleted.
    typed = room.say(IN_ROOM, thread=command)
    assert "I deleted your message." in room.answer(typed).body
    room.person.wait_for(lambda: typed in room.person.redacted(room.room_id), what="its deletion")

    chat = direct_chat(room)
    assert chat.encrypted
    asked = chat.hear("needs a secret, now: Password")
    assert asked.encrypted
    clear = chat.say(IN_CLEAR, clear=True)
    refused = chat.answer(clear)
    assert "it was sent in clear text" in refused.body
    assert "I deleted your message." in refused.body  # it made the room, so it knows that it may
    chat.person.wait_for(lambda: clear in chat.person.redacted(chat.room_id), what="its deletion")

    question = go_on(room, chat, form)
    assert "Secrets: who=••••" in question.body
    assert stage.posts("/tasks$") == []
    room.react(question, "👍")
    room.edit_of(question, "Task #1")
    room.end_of(1)

    output = json.dumps(stage.api("GET", "/project/1/tasks/1/output"))
    assert f"{SECRET} visits web1" in output  # the job had it, and printed it
    logs = room.ask("!cd logs 1")
    assert "******** visits web1" in logs.body
    said = [heard for heard in chat.person.messages(chat.room_id) if heard.body == SECRET]
    assert all(server_holds(chat, heard.event_id) == {} for heard in said)
    for place, data in contents_of(stage.bot.folder).items():
        assert not [each for each in (SECRET, IN_ROOM, IN_CLEAR) if each.encode() in data], place
    heard = [*room.said_by_bot(), *chat.said_by_bot()]
    assert not [each for each in heard if SECRET in each.body or SECRET in (each.html or "")]


def test_a_restart_forgets_secrets_and_the_chat_is_used_again(stage: Stage, room: Room) -> None:
    first = room.answer(room.say("!cd run demo Site town=Rome"))
    chat = direct_chat(room)
    chat.hear("needs a secret")
    question = go_on(room, chat, first)
    posts = len(stage.posts("/tasks$"))

    stage.restart()
    room.react(question, "👍")

    assert "I forget secrets on purpose. Please ask again." in room.edit_of(question, "forget").body
    assert len(stage.posts("/tasks$")) == posts
    before = chat.said_by_bot()[-1]
    again = room.answer(room.say("!cd run demo Site town=Rome"))
    asked = chat.hear(r"\A🔑", after=before.event_id)
    assert direct_chat(room) == chat
    stage.bot.kill9()
    said = chat.say(SECRET)  # heard by the next life, it counts like any other
    stage.bot.start()
    question = room.hear("Shall I start Site", after=again.event_id)
    chat.person.wait_for(lambda: said in chat.person.redacted(chat.room_id), what="the deletion of the secret")
    room.react(question, "👎")
    room.edit_of(question, "Not done")
    again = room.answer(room.say("!cd run demo Site town=Rome"))
    asked = chat.hear(r"\A🔑", after=said)
    chat.react(asked, "👎")
    assert "Not done: Site" in room.edit_of(again, "Not done").body
    assert "Not done: Site" in chat.edit_of(asked, "Not done").body
