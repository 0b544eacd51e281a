"""The file: short, commented, checked, for its owner alone; an old one is never lost."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.config import Config, missing_keys
from chatrixcd_threads.settings.document import parse
from chatrixcd_threads.settings.kept import Kept
from chatrixcd_threads.wizard.draft import UNCHECKED, Draft
from chatrixcd_threads.wizard.written import summary, text_of, write
from tests.unit.wizard.fakes import ANN, BOT, HOME, PASSWORD, ROOM, SEMAPHORE, TOKEN

DRAFT = Draft(
    user_id=BOT,
    homeserver=HOME,
    password=PASSWORD,
    semaphore_url=SEMAPHORE,
    semaphore_token=TOKEN,
    prefix='!"bot"',
    owner=ANN,
    room_id=ROOM,
)
OVER = replace(DRAFT, exists=True)


def test_the_file_says_what_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write(path, DRAFT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = Config(path)
    assert config.warnings == ()
    assert missing_keys(config.now) == ()
    assert config.now.matrix == DRAFT.matrix()
    assert config.now.semaphore.api_token == TOKEN
    assert config.now.bot.command_prefix == '!"bot"'
    assert config.now.bot.admin_users == (ANN,)
    assert config.now.bot.admin_room == ROOM
    assert config.now.bot.allowed_rooms == (ROOM,)
    assert list(tmp_path.glob("*.new")) == []


def test_every_key_is_explained() -> None:
    lines = text_of(DRAFT).splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith('    "')]
    assert len(keys) == 11
    assert all(lines[number - 1].startswith("    // ") for number in keys)


@pytest.mark.parametrize(
    ("draft", "there", "absent"),
    [
        (Draft(user_id=BOT, auth_type="token", access_token=TOKEN), "access_token", "password"),
        (Draft(user_id=BOT, ca="own.pem"), "ssl_ca_cert", "ssl_verify"),
        (Draft(user_id=BOT, ca=UNCHECKED), "ssl_verify", "ssl_ca_cert"),
        (Draft(user_id=BOT), "admin_users", "admin_room"),
    ],
)
def test_only_what_was_set_stands_in_it(draft: Draft, there: str, absent: str) -> None:
    data = parse(text_of(draft), "config.json").data
    found = {key for section in data.values() if isinstance(section, dict) for key in section}
    assert there in found
    assert absent not in found


def test_secrets_are_masked_in_the_summary() -> None:
    shown = "\n".join(summary(Draft(user_id=BOT, password=PASSWORD, semaphore_url="https://u:pw@s.example.org")))
    assert PASSWORD not in shown
    assert "u:pw" not in shown
    assert "https://s.example.org" in shown
    assert "nobody" in shown


def test_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"bot": {}}')
    path.chmod(0o644)
    assert "config undo" in write(path, OVER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [copy.text() for copy in Kept(path).copies()] == ['{"bot": {}}']


def test_an_old_file_that_is_no_text_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe")
    assert "config.json.bak" in write(path, OVER)
    assert (tmp_path / "config.json.bak").read_bytes() == b"\xff\xfe"


def test_an_old_file_that_cannot_be_kept_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    (tmp_path / ".chatrixcd-kept").write_text("in the way")
    with pytest.raises(ConfigError, match="did not write over it"):
        write(path, OVER)
    assert path.read_text() == "{}"


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="somebody else meanwhile"):
        write(path, DRAFT)
    assert path.read_text() == "{}"


def test_what_is_not_complete_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(ConfigError, match=r"matrix\.password"):
        write(path, Draft(user_id=BOT, homeserver=HOME, semaphore_url=SEMAPHORE, semaphore_token=TOKEN))
    assert not path.exists()
