"""Settings that change under a running bot: applied, refused, held, undone; connections that go over to new ones."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chatrixcd_threads.demo.semaphore import Standin
from tests.e2e.conftest import Room, Stage, StageFactory

pytestmark = pytest.mark.e2e


@pytest.fixture
def admin_room(make_stage: StageFactory) -> Room:
    """A bot whose admin room is known; the notice of that change has been heard."""
    stage = make_stage()
    room = stage.room()
    stage.config["bot"]["admin_room"] = room.room_id
    save(stage)
    room.hear(r"config\.json was changed and counts now[\s\S]*bot\.admin_room")
    return room


def save(stage: Stage) -> None:
    stage.bot.write_config(stage.config)


def set_key(room: Room, section: str, key: str, value: Any) -> None:
    room.stage.config[section][key] = value
    save(room.stage)


def test_a_changed_message_is_in_the_next_answer(admin_room: Room) -> None:
    messages = admin_room.stage.bot.folder / "messages.json"
    messages.write_text('{"ping_success": ["Bonjour {user_name}"]}', "utf-8")
    admin_room.hear(r"messages\.json was changed and counts now")
    assert f"Bonjour {admin_room.person.user_id}" in admin_room.ask("!cd ping").body


def test_a_broken_file_is_told_once_and_so_is_the_mended_one(admin_room: Room) -> None:
    stage = admin_room.stage
    good = stage.bot.config.read_text("utf-8")
    stage.bot.config.write_text(good.replace('"admin_users"', '"admin_userz"'), "utf-8")
    refused = admin_room.hear(r"config\.json was saved with a mistake")
    assert "line " in refused.body
    assert "did you mean admin_users" in refused.body
    assert "stays in force" in refused.body
    stage.bot.config.write_text(good, "utf-8")
    admin_room.hear(r"config\.json is fine again")
    admin_room.fence()
    told = [heard for heard in admin_room.said_by_bot() if "with a mistake" in heard.body]
    assert len(told) == 1


def test_admins_rooms_and_prefix_count_with_the_next_command(admin_room: Room) -> None:
    set_key(admin_room, "bot", "command_prefix", "!ops")
    admin_room.hear(r"bot\.command_prefix")
    assert "These people" in admin_room.ask("!ops admins").body
    set_key(admin_room, "bot", "allowed_rooms", ["!elsewhere:localhost"])
    admin_room.hear(r"bot\.allowed_rooms")
    assert "bot.allowed_rooms" in admin_room.ask("!ops ping").body


def test_an_edit_that_takes_all_admins_away_waits_for_a_yes(admin_room: Room) -> None:
    set_key(admin_room, "bot", "admin_users", [])
    question = admin_room.hear(r"waits for a yes: nobody would be an admin")
    assert admin_room.person.user_id in admin_room.ask("!cd admins").body
    admin_room.react(question, "👍")
    admin_room.edit_of(question, r"counts now")
    assert "nobody may start" in admin_room.ask("!cd admins").body


def test_a_declined_edit_that_still_stands_there_waits_again_after_a_restart(admin_room: Room) -> None:
    stage = admin_room.stage
    set_key(admin_room, "bot", "admin_users", [])
    question = admin_room.hear(r"waits for a yes: nobody would be an admin")
    admin_room.react(question, "👎")
    admin_room.edit_of(question, r"Not done")
    stage.restart()
    again = admin_room.hear(
        r"as I found it at the start, waits for a yes: nobody would be an admin", after=question.event_id
    )
    assert "I have started with the version of" in again.body
    assert stage.bot.wait_log(r"as I found it at the start")
    assert admin_room.person.user_id in admin_room.ask("!cd admins").body
    admin_room.react(again, "👍")
    admin_room.edit_of(again, r"counts now")
    assert "nobody may start" in admin_room.ask("!cd admins").body


def test_undo_brings_the_version_before_back(admin_room: Room) -> None:
    before = admin_room.stage.bot.config.read_text("utf-8")
    set_key(admin_room, "bot", "command_prefix", "!ops")
    changed = admin_room.hear(r"bot\.command_prefix")
    assert "holds version" in admin_room.ask("!ops config undo").body
    assert admin_room.stage.bot.config.read_text("utf-8") == before
    assert "These people" in admin_room.ask("!cd admins").body
    admin_room.hear(r"bot\.command_prefix", after=changed.event_id)
    listed = admin_room.ask("!cd audit 9").body
    assert re.search(rf"{admin_room.person.user_id} +config undone +config\.json: bot\.command_prefix", listed)
    assert re.search(r"– +config changed +config\.json", listed)  # whoever may write the file


def test_the_bot_starts_on_the_last_good_version_and_says_so(admin_room: Room) -> None:
    stage = admin_room.stage
    stage.bot.terminate()
    assert stage.bot.wait() == 0
    stage.bot.config.write_text("{ this is no", "utf-8")
    stage.bot.start()
    refused = admin_room.hear(r"config\.json was saved with a mistake")
    assert "stays in force" in refused.body
    assert "These people" in admin_room.ask("!cd admins").body


def test_a_new_password_logs_in_and_a_wrong_one_keeps_the_session(admin_room: Room) -> None:
    set_key(admin_room, "matrix", "password", "not-the-password")
    kept = admin_room.hear(r"I stay with the old connection to the homeserver")
    assert "not-the-password" not in kept.body
    assert "Semaphore answered" in admin_room.ask("!cd ping").body
    change = {"type": "m.login.password", "user": admin_room.stage.user_id, "password": "bot-password"}
    account = admin_room.stage.account
    admin_room.person.raw("GET", "/account/whoami").raise_for_status()
    answer = _as_bot(
        admin_room, "/account/password", {"new_password": "second", "logout_devices": False, "auth": change}
    )
    assert answer.status_code == 200, (account.user_id, answer)
    set_key(admin_room, "matrix", "password", "second")
    admin_room.hear(r"matrix\.password[\s\S]*Any admin can take it back", after=kept.event_id)
    admin_room.stage.bot.wait_log(r"(?s)logged in as .*logged in as ")
    assert "Semaphore answered" in admin_room.ask("!cd ping").body


def _as_bot(room: Room, path: str, body: dict[str, Any]) -> Any:
    import requests

    account = room.stage.account
    url = f"{room.stage.config['matrix']['homeserver']}/_matrix/client/v3{path}"
    headers = {"Authorization": f"Bearer {account.access_token}"}
    return requests.post(url, json=body, headers=headers, timeout=15)


def test_another_semaphore_is_used_once_it_answers(admin_room: Room) -> None:
    with Standin("2.10", tick=0.1) as other:
        set_key(admin_room, "semaphore", "url", other.url)
        kept = admin_room.hear(r"I stay with the old connection to Semaphore: [\s\S]*401")
        assert "2.16" in admin_room.ask("!cd info").body
        set_key(admin_room, "semaphore", "api_token", other.token("runner"))
        told = admin_room.hear(r"semaphore\.api_token", after=kept.event_id)
        assert other.token("runner") not in told.body
        assert "2.10" in admin_room.ask("!cd info").body


def test_open_questions_and_followed_tasks_survive_a_new_login(admin_room: Room) -> None:
    question = admin_room.question("demo hello")
    set_key(admin_room, "matrix", "device_name", "another name")
    set_key(admin_room, "matrix", "password", "bot-password ")
    admin_room.hear(r"I stay with the old connection")
    set_key(admin_room, "matrix", "password", "bot-password")
    admin_room.react(question, "👍")
    started = admin_room.edit_of(question, r"Task #")
    assert "Hello" in started.body
    admin_room.hear(r"Hello: ✅")


def test_commands_of_the_files(admin_room: Room) -> None:
    shown = admin_room.ask("!cd config show").body
    assert "bot-password" not in shown
    assert '"command_prefix": "!cd"' in shown
    assert admin_room.stage.semaphore.token("runner") not in shown
    assert "is good, and says what is in force" in admin_room.ask("!cd config check").body
    admin_room.stage.bot.folder.joinpath("messages.json").write_text(json.dumps({"pet": "no list"}), "utf-8")
    assert "expected a list" in admin_room.ask("!cd config check messages").body
    assert "Kept versions" in admin_room.ask("!cd config history").body
    assert "nothing new" in admin_room.ask("!cd reload").body
