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
# An editor that waits to be told: the line becomes the file.
EDITOR = """#!/bin/sh
echo "editing $1"
read -r line
[ -z "$line" ] || echo "$line" > "$1"
"""


class OnTerminal:
    """A bot with its console, and a person in a room with it."""

    def __init__(self, terminal: Terminal, person: Person, room_id: str, bot_id: str, folder: Path) -> None:
        self.terminal, self.person, self.room_id, self.bot_id = terminal, person, room_id, bot_id
        self.folder = folder

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
        editor = tmp_path / "ed"
        editor.write_text(EDITOR)
        editor.chmod(0o700)
        terminal = closing.enter_context(
            Terminal(tmp_path / "log", columns=120, program=program, folder=folder, env={"VISUAL": str(editor)})
        )
        room_id = ann.create_room("ops", invite=[account.user_id])
        terminal.shows("Matrix", "OK", seconds=LONG)
        ann.wait_member(room_id, account.user_id, timeout=LONG)
        yield OnTerminal(terminal, ann, room_id, account.user_id, folder)


def test_the_bot_outlives_its_terminal(bot: OnTerminal) -> None:
    bot.answers_the_room()
    bot.terminal.hang_up()
    bot.answers_the_room()
    bot.terminal.process.send_signal(signal.SIGTERM)
    assert bot.terminal.process.wait(LONG) == 0


def test_settings_are_edited_and_decided_from_the_console(bot: OnTerminal) -> None:
    terminal = bot.terminal
    terminal.type("5")
    terminal.shows("[5 Settings]", "config.json", "The file says what is in force")
    terminal.type("6")
    terminal.shows("inbox 0 of 1,000", "p50", "p99")
    terminal.type("5")
    edit(bot, "messages", None)
    terminal.shows("Make it")
    terminal.type("y")
    terminal.shows("editing", "messages.json")
    bot.answers_the_room()
    assert terminal.settings() == terminal.before
    terminal.type('{"pet": ["Purr, purr"]}\n')
    terminal.shows("messages.json is taken over and counts now", seconds=LONG)
    terminal.type("v")
    terminal.shows("Messages as they are said", "greetings: At the head")  # they are made in another thread
    terminal.type("/Purr\r")
    terminal.shows("Purr, purr")
    (bot.folder / "messages.json").write_text('{"pet": ["Miaow"]}')
    terminal.shows("Miaow")
    terminal.type("\x1b")
    terminal.until(lambda: "as they are said" not in terminal.text, "the window is closed")
    edit(bot, "messages", '{"pet": "Purr"}')
    terminal.shows("messages.json is refused", "line 1", '{"pet": "Purr"}', "^", seconds=LONG)
    terminal.shows("✗ refused  messages")  # it comes to the top, and what is selected moves
    edit(bot, "messages", "{}")
    terminal.shows("messages.json waits for a yes", "it would empty a file", "held", seconds=LONG)
    terminal.type("y")
    terminal.shows("Accept the edit of messages")
    terminal.type("y")
    terminal.shows("The change of messages.json counts now", seconds=LONG)
    terminal.type("\x1b")
    terminal.until(lambda: "Answers" not in terminal.text and "held" not in terminal.text, "it is decided")
    edit(bot, "messages", None)
    terminal.shows("editing")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.ends(seconds=LONG)
    terminal.left_screen()


def edit(bot: OnTerminal, name: str, line: str | None) -> None:
    """Selects the file and opens the editor; a line is saved, None leaves the editor open."""
    terminal = bot.terminal

    def places() -> tuple[int, int] | None:
        """The rows of the selected file and of this one, once both are drawn."""
        listed = terminal.screen.display[2:5]
        chosen = next((number for number, row in enumerate(listed) if row.startswith("›")), None)
        place = next((number for number, row in enumerate(listed) if f" {name} " in row), None)
        return None if chosen is None or place is None else (chosen, place)

    def there() -> bool:
        return "[5 Settings]" in terminal.text and places() is not None

    terminal.until(there, "the list of files")
    while (found := places()) is None or found[0] != found[1]:
        # The list may be put in another order at any time, and its ages change: only another view tells that a key was read.
        terminal.type("?" if found is None else "j?" if found[0] < found[1] else "k?")
        terminal.shows("[? Help]")
        terminal.type("5")
        terminal.until(there, "the list of files")
    terminal.until(  # before, E would only say that the file is being read
        lambda: f"/{name}.json" in terminal.text and "is being read" not in terminal.text, "the file was looked at"
    )
    terminal.shows("E]edit")
    terminal.type("E")
    if line is not None:
        terminal.shows("editing")
        terminal.type(f"{line}\n")
