"""Which rooms the bot comes into, and that nothing said before it was there, or before its first start, is acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chatrixcd_threads.demo.homeserver import Homeserver
    from chatrixcd_threads.demo.person import People, Person
    from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e


def test_invitations_of_admins_and_invite_from_only(
    make_stage: StageFactory, bob: Person, person: Callable[[str], Person]
) -> None:
    carl = person("carl")
    stage = make_stage(bot={"invite_from": [carl.user_id]})
    ignored = stage.room(bob, wait=False)
    stage.room(carl).ask("!cd ping")
    stage.room().ask("!cd ping")
    assert bob.members(ignored.room_id) == [bob.user_id]


def test_an_ignored_invitation_is_not_followed_after_a_restart(make_stage: StageFactory, bob: Person) -> None:
    stage = make_stage()
    ignored = stage.room(bob, wait=False)
    stage.room().ask("!cd ping")
    stage.restart()
    stage.room().ask("!cd ping")
    assert bob.members(ignored.room_id) == [bob.user_id]


def test_an_invitation_while_the_bot_was_away(make_stage: StageFactory, encrypted: bool) -> None:
    stage = make_stage()
    stage.bot.kill9()
    room = stage.room(encrypted=encrypted, wait=False)
    stage.bot.start()
    room.person.wait_member(room.room_id, stage.user_id)
    assert "Semaphore answered" in room.ask("!cd ping").body


def test_kicked_and_invited_again(stage: Stage, encrypted: bool) -> None:
    room = stage.room(encrypted=encrypted)
    other = stage.room()
    room.ask("!cd ping")
    assert room.room_id in other.ask("!cd rooms").body
    for _ in range(2):
        room.person.kick(room.room_id, stage.user_id)
        room.person.wait_gone(room.room_id, stage.user_id)
        missed = room.say("!cd run demo hello")
        other.fence()
        assert room.room_id not in other.ask("!cd rooms").body
        room.person.invite(room.room_id, stage.user_id)
        room.person.wait_member(room.room_id, stage.user_id)
        assert "Semaphore answered" in room.ask("!cd ping").body
        assert room.replies(missed) == []


def test_kicked_while_away(make_stage: StageFactory) -> None:
    stage = make_stage()
    room, other = stage.room(), stage.room()
    stage.bot.kill9()
    asked = room.say("!cd ping")
    room.person.kick(room.room_id, stage.user_id)
    stage.bot.start()
    assert room.room_id not in other.ask("!cd rooms").body
    assert room.replies(asked) == []
    room.person.invite(room.room_id, stage.user_id)
    room.person.wait_member(room.room_id, stage.user_id)
    room.ask("!cd ping")


@pytest.mark.parametrize("much", [3, 70])
def test_history_from_before_the_invitation_never_runs(stage: Stage, encrypted: bool, much: int) -> None:
    host = stage.admin
    room_id = host.create_room("an old room", encrypted=encrypted)
    host.send_many([(room_id, "!cd run demo hello" if number % 2 else "yes") for number in range(much)])
    tasks = len(stage.semaphore.tasks())
    host.invite(room_id, stage.user_id)
    host.wait_member(room_id, stage.user_id)
    room = type(stage.room())(stage, room_id, host)

    answer = room.ask("!cd ping")

    room.fence()
    assert next(heard.event_id for heard in room.said_by_bot()) == answer.event_id
    assert len(room.said_by_bot()) == 2
    assert len(stage.semaphore.tasks()) == tasks


def test_the_first_start_ignores_history(
    make_stage: StageFactory, homeserver: Homeserver, people: People, tmp_path: Path
) -> None:
    stage = make_stage(start=False)
    room = stage.room(wait=False)
    before = people.person(homeserver.url, stage.account, tmp_path / "bot-by-hand")
    before.join(room.room_id)
    before.close()
    room.person.wait_member(room.room_id, stage.user_id)
    old = room.person.send_many(
        [(room.room_id, "!cd run demo hello"), (room.room_id, "yes"), (room.room_id, "!cd help")]
    )

    stage.bot.start()
    stage.bot.wait_log("logged in as")
    new = stage.room().ask("!cd ping")

    assert "Semaphore answered" in new.body
    assert "Semaphore answered" in room.ask("!cd ping").body
    assert [room.replies(event_id) for event_id in old] == [[], [], []]
    assert stage.posts() == []


def test_what_was_said_while_the_bot_was_away_is_answered(make_stage: StageFactory, encrypted: bool) -> None:
    stage = make_stage()
    room = stage.room(encrypted=encrypted)
    room.ask("!cd ping")
    stage.bot.kill9()
    said = ["!cd ping" if number % 10 == 0 else f"chatter {number}" for number in range(131)]
    events = room.person.send_many([(room.room_id, words) for words in said])
    asked = [event_id for event_id, words in zip(events, said, strict=True) if words.startswith("!cd")]

    stage.bot.start()

    answers = [room.answer(event_id) for event_id in asked]
    room.fence()
    assert [len(room.replies(event_id)) for event_id in events] == [
        1 if words.startswith("!cd") else 0 for words in said
    ]
    positions = [[heard.event_id for heard in room.said_by_bot()].index(answer.event_id) for answer in answers]
    assert positions == sorted(positions)


def test_the_bot_says_nothing_unasked_in_a_new_room(stage: Stage, encrypted: bool) -> None:
    room: Room = stage.room(encrypted=encrypted)
    room.fence()
    assert len(room.said_by_bot()) == 1
