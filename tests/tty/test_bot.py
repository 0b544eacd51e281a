"""The real bot on a real terminal, on a real homeserver."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatrixcd_threads.demo.homeserver import Homeserver
from chatrixcd_threads.demo.person import People, Person
from chatrixcd_threads.demo.semaphore import Standin
from tests.tty.harness import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
LONG = 60.0


class OnTerminal:
    """A bot with its console, and a person in a room with it."""

    def __init__(self, terminal: Terminal, person: Person, room_id: str, bot_id: str) -> None:
        self.terminal, self.person, self.room_id, self.bot_id = terminal, person, room_id, bot_id

    def answers_the_room(self) -> None:
        event = self.person.send(self.room_id, "!cd admins")
        answered = self.person.wait_for(
            lambda: (
                [
                    heard
                    for heard in self.person.messages(self.room_id)
                    if heard.sender == self.bot_id and heard.reply_to == event
                ]
                or None
            ),
            timeout=LONG,
            what="an answer in the room",
        )
        assert self.person.user_id in answered[0].body


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[OnTerminal]:
    with ExitStack() as closing:
        homeserver = closing.enter_context(Homeserver(tmp_path / "synapse"))
        semaphore = closing.enter_context(Standin("2.16", tick=0.1))
        people = closing.enter_context(People())
        account = homeserver.register("bot", "bot-password")
        ann = people.person(homeserver.url, homeserver.register("ann", "ann-password"), tmp_path / "ann")
        folder = tmp_path / "bot"
        folder.mkdir()
        config = {
            "matrix": {"homeserver": homeserver.url, "user_id": account.user_id, "password": "bot-password"},
            "semaphore": {"url": semaphore.url, "api_token": semaphore.token("runner"), "poll_seconds": 0.3},
            "bot": {"admin_users": [ann.user_id]},
        }
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        program = [sys.executable, "-m", "chatrixcd_threads", "-N"]
        terminal = closing.enter_context(Terminal(tmp_path / "log", program=program, folder=folder))
        room_id = ann.create_room("ops", invite=[account.user_id])
        terminal.shows("Matrix", "OK", seconds=LONG)
        ann.wait_member(room_id, account.user_id, timeout=LONG)
        yield OnTerminal(terminal, ann, room_id, account.user_id)


def test_the_bot_outlives_its_terminal(bot: OnTerminal) -> None:
    bot.answers_the_room()
    bot.terminal.hang_up()
    bot.answers_the_room()
    bot.terminal.process.send_signal(signal.SIGTERM)
    assert bot.terminal.process.wait(LONG) == 0
