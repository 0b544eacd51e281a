"""The command `messages`, with a real manager and file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chatrixcd_threads.commands.call import Call, Tools
from chatrixcd_threads.commands.declare import Reply
from chatrixcd_threads.commands.parse import words
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings import packs
from chatrixcd_threads.settings.document import parse
from chatrixcd_threads.settings.hot import Outcome
from chatrixcd_threads.settings.messages import DEFAULT_MESSAGES, PLACEHOLDERS, MessageManager, check
from chatrixcd_threads.settings.model import Settings

MESSAGES = commands()["messages"]


class Room:
    """What the command needs of the tools, and what it told."""

    def __init__(self, path: Path) -> None:
        self.file = path / "messages.json"
        self.manager = MessageManager(self.file)
        self.told: list[Outcome] = []

    def tools(self) -> Tools:
        return cast(
            Tools,
            SimpleNamespace(
                settings=Settings(),
                messages=self.manager,
                told=lambda outcome, by="", deed="": self.told.append(outcome),
            ),
        )

    def say(self, line: str) -> Reply:
        values = MESSAGES.bind(words(line), "!cd")
        reply = MESSAGES.run(Call("$1", "!r:h", "@ann_b:h", None, values, self.tools()))
        assert isinstance(reply, Reply)
        return reply


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_rights() -> None:
    assert MESSAGES.right_for({"action": "use"}) is Right.MANAGE
    assert {MESSAGES.right_for({"action": word}) for word in ("preview", "packs", "export")} == {Right.SEE}


@pytest.mark.parametrize("category", sorted(PLACEHOLDERS))
def test_preview(category: str, room: Room) -> None:
    said = room.say(f"preview {category}").text
    assert said.plain.count("\n• ") == len(DEFAULT_MESSAGES[category])
    assert "{" not in said.plain
    assert "— " not in said.plain
    if category in ("pet", "greetings"):
        assert "@ann_b:h" in said.plain


def test_preview_shows_values_as_they_are(room: Room) -> None:
    room.file.write_text("{task_start: ['**{task_name}** & {user_name} {{x}}']}")
    room.manager.check_for_changes()
    assert "<strong>Deploy the web shop</strong> &amp; @ann_b:h {x}" in room.say("preview task_start").text.html


def test_packs(room: Room) -> None:
    rows = {line.split()[0]: line for line in room.say("packs").text.plain.splitlines() if line}
    assert set(packs.names()) <= set(rows)
    assert rows["playful"].endswith("in use")
    assert not rows["pirate"].endswith("in use")
    room.file.write_text("{pet: ['mine']}")
    room.manager.check_for_changes()
    assert "your own" in room.say("packs").text.plain


def test_use_and_undo(room: Room) -> None:
    said = room.say("use Pirate").text.plain
    assert said.startswith("🎭 From now on I talk pirate.")
    assert "!cd config undo messages" in said
    assert packs.in_force(room.manager.hot.now) == "pirate"
    assert len(room.told) == 1
    room.manager.hot.undo()
    assert packs.in_force(room.manager.hot.now) == "playful"


def test_export(room: Room) -> None:
    room.file.write_text("{pet: ['mine {user_name}']}")
    room.manager.check_for_changes()
    file = room.say("export").file
    assert file is not None
    assert file.name == "messages.json"
    assert check(parse(file.data.decode(), "")) == room.manager.hot.now


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "action is missing"),
        ("preview", "which category? There are greetings, brush_off"),
        ("preview greeting", "Did you mean “greetings”?"),
        ("use", "which pack? There are friendly, pirate, playful, terse."),
        ("use pirat", "Did you mean “pirate”?"),
        ("use ../packs/pirate", "there is no pack"),
        ("packs pirate", "I do not know what to do with “pirate” after packs"),
        ("export x", "I do not know what to do with “x” after export"),
    ],
)
def test_refused(line: str, sentence: str, room: Room) -> None:
    with pytest.raises(UserError) as caught:
        room.say(line)
    assert sentence in caught.value.sentence
    assert not room.file.exists()
    assert room.told == []
