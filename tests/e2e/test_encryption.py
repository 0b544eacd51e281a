"""Encrypted rooms: from creation or later, over restarts, with new devices of the person, and what is refused in them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from nio import AsyncClient, LoginResponse

from chatrixcd_threads.demo.homeserver import Account

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chatrixcd_threads.demo.homeserver import Homeserver
    from chatrixcd_threads.demo.person import People, Person
    from tests.e2e.conftest import Stage, StageFactory

pytestmark = pytest.mark.e2e


def test_encryption_switched_on_later(stage: Stage) -> None:
    room = stage.room()
    assert not room.ask("!cd ping").encrypted
    question = room.question()
    assert not question.encrypted

    room.person.enable_encryption(room.room_id)

    assert room.ask("!cd ping").encrypted
    room.react(question, "👍")
    started = room.edit_of(question)
    assert started.encrypted
    assert room.hear(r"\ATask #\d+ Hello: ✅").encrypted
    assert room.person.unreadable(room.room_id) == []


def test_encryption_switched_on_while_the_bot_was_away(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room()
    room.ask("!cd ping")
    stage.bot.kill9()
    room.person.enable_encryption(room.room_id)
    asked = room.say("!cd ping")

    stage.bot.start()

    assert room.answer(asked).encrypted
    assert room.ask("!cd help").encrypted


def test_restarts_with_the_same_store(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room(encrypted=True)
    room.ask("!cd ping")
    device = room.person.run(_devices(room.person, stage.user_id))
    for number in range(3):
        stage.bot.kill9()
        asked = room.say(f"!cd help {'run' if number else ''}")
        stage.bot.start()
        assert room.answer(asked).encrypted
        assert room.ask("!cd ping").encrypted
    assert room.person.run(_devices(room.person, stage.user_id)) == device
    assert room.person.unreadable(room.room_id) == []
    logins = [line for line in stage.bot.log().splitlines() if "logged in as" in line]
    assert len(logins) == 1


async def _devices(person: Person, user_id: str) -> dict[str, str]:
    return {device.device_id: device.ed25519 for device in person.client.device_store.active_user_devices(user_id)}


def test_a_second_device_of_the_person(
    stage: Stage, homeserver: Homeserver, people: People, person: Callable[[str], Person], tmp_path: Path
) -> None:
    first = person("carl")
    room = stage.room(encrypted=True)
    room.person.invite(room.room_id, first.user_id)
    first.join(room.room_id)
    before = room.seen_by(first).ask("!cd ping")
    login = first.raw(
        "POST",
        "/login",
        {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": first.user_id},
            "password": first.account.password,
        },
    ).raise_for_status()
    account = Account(first.user_id, first.account.password, login["access_token"], login["device_id"])
    second = people.person(homeserver.url, account, tmp_path / "second")
    try:
        asked = room.seen_by(second).ask("!cd projects")
        assert asked.encrypted
        again = room.seen_by(first).ask("!cd ping")
        # Both devices read both answers; what was said before the second one existed stays closed to it.
        for device in (first, second):
            for heard in (asked, again):
                assert device.wait(lambda h, e=heard.event_id: h.event_id == e, room_id=room.room_id).body == heard.body  # type: ignore[misc]
        assert before.event_id not in [heard.event_id for heard in second.messages(room.room_id)]
    finally:
        second.close()


def test_a_new_device_of_the_bot_after_its_store_was_lost(make_stage: StageFactory) -> None:
    stage = make_stage()
    room = stage.room(encrypted=True)
    room.ask("!cd ping")
    stage.bot.kill9()
    (stage.bot.folder / "store").rename(stage.bot.folder / "lost")
    stage.config["matrix"]["device_id"] = "ANOTHER"
    stage.bot.write_config(stage.config)
    stage.bot.start()
    stage.bot.wait_log("logged in as")

    async def known() -> None:
        while "ANOTHER" not in await _devices(room.person, stage.user_id):
            await asyncio.sleep(0.05)

    room.person.run(known())
    assert room.ask("!cd ping").encrypted


def test_a_command_in_clear_text_is_refused(stage: Stage) -> None:
    room = stage.room(encrypted=True)
    question = room.question()
    seen = len(stage.semaphore.requests())
    tasks = len(stage.semaphore.tasks())

    for words in ("run demo hello", "projects", "exit"):
        answer = room.ask(f"!cd {words}", clear=True)
        assert "I did nothing" in answer.body
        assert "clear text in an encrypted room" in answer.body
        assert answer.encrypted
    assert len(stage.semaphore.requests()) == seen

    yes = room.say("yes", clear=True, reply_to=question.event_id)
    room.fence()
    assert room.replies(yes) == []
    assert len(stage.semaphore.tasks()) == tasks
    assert [heard.edited for heard in room.said_by_bot() if heard.event_id == question.event_id] == [None]


def test_an_unreadable_message_is_said_once(stage: Stage, person: Callable[[str], Person]) -> None:
    dora = person("dora")
    room = stage.room(encrypted=True, guests=[dora]).seen_by(dora)

    async def keep_keys_from_the_bot(wanted: bool) -> None:
        client = dora.client
        await client.joined_members(room.room_id)
        if client.should_query_keys:
            await client.keys_query()
        for device in client.device_store.active_user_devices(stage.user_id):
            (client.blacklist_device if wanted else client.unblacklist_device)(device)
        if not wanted:
            client.invalidate_outbound_session(room.room_id)

    dora.run(keep_keys_from_the_bot(True))
    first = room.say("!cd ping")
    told = room.answer(first)
    assert "could not decrypt" in told.body
    assert "send it again" in told.body
    more = [room.say(text) for text in ("!cd ping", "good morning", "!cd help")]

    dora.run(keep_keys_from_the_bot(False))

    assert "Semaphore answered" in room.ask("!cd ping").body
    room.fence()
    assert [room.replies(event_id) for event_id in more] == [[], [], []]
    assert len(room.replies(first)) == 1


async def _ran_before(stage: Stage) -> str:
    """ChatrixCD as far as keys go: plain nio with its own passphrase, a password login, its session file. The fingerprint."""
    store = stage.bot.folder / "store"
    store.mkdir(parents=True)
    client = AsyncClient(stage.config["matrix"]["homeserver"], stage.user_id, "CHATRIXCD", str(store))
    login = await client.login("bot-password", device_name="ChatrixCD Bot")
    assert isinstance(login, LoginResponse)
    await client.sync(timeout=0)
    await client.keys_upload()
    kept = {"homeserver": client.homeserver, "user_id": login.user_id, "device_id": login.device_id}
    (store / "session.json").write_text(json.dumps({**kept, "access_token": login.access_token}), "utf-8")
    fingerprint = str(client.olm.account.identity_keys["ed25519"])
    await client.close()
    return fingerprint


def test_where_chatrixcd_ran_before_the_same_device_goes_on(make_stage: StageFactory) -> None:
    stage = make_stage(start=False)
    fingerprint = asyncio.run(_ran_before(stage))
    stage.bot.start()
    stage.bot.wait_log("were taken over from the bot that used store before", timeout=30)
    room = stage.room(encrypted=True)
    for _ in range(2):
        assert room.ask("!cd ping").encrypted
        assert room.person.run(_devices(room.person, stage.user_id)) == {"CHATRIXCD": fingerprint}
        stage.restart()
    assert "logged in as" not in stage.bot.log()  # with ChatrixCD's session
