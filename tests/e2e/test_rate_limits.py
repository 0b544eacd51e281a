"""A homeserver that counts: everything is answered, in order, at the pace it asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.homeserver import Homeserver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatrixcd_threads.demo.person import People
    from tests.conftest import Leaks
    from tests.e2e.conftest import StageFactory

pytestmark = pytest.mark.e2e


@pytest.fixture
def strict(leaks: Leaks, tmp_path: Path) -> Iterator[Homeserver]:
    """Two messages a second for each user, five at once."""
    with Homeserver(tmp_path / "strict", message_rate=(2, 5)) as server:
        leaks.allow_pids(lambda: [server.pid])
        yield server


def test_twenty_commands_at_two_messages_a_second(
    strict: Homeserver, people: People, make_stage: StageFactory, tmp_path: Path
) -> None:
    crowd = [people.person(strict.url, strict.register(f"p{n}", "x"), tmp_path / f"p{n}") for n in range(3)]
    stage = make_stage(server=strict, bot={"admin_users": ["*"]})
    rooms = [stage.room(one, encrypted=one is crowd[2]) for one in crowd]
    said: list[list[str]] = []
    for number in range(7):
        said.append([room.say("!cd ping" if number % 3 else "!cd help ping") for room in rooms])

    for row in said:
        for room, event_id in zip(rooms, row, strict=True):
            room.answer(event_id, timeout=60)

    log = stage.bot.log()
    for room, asked in zip(rooms, zip(*said, strict=True), strict=True):
        replied = [heard.reply_to for heard in room.said_by_bot()]
        assert replied == list(asked)
    refused = re.findall(r"the homeserver slows us down: the next message goes out in ([\d.]+) s", log)
    assert refused
    assert len(refused) <= 21 + 5  # at most one refusal for each message, and the first round of parallel rooms
    assert all(float(wait) <= 3.0 for wait in refused)
    assert "Traceback" not in log
    for one in crowd:
        one.close()
