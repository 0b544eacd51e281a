"""The command `aliases`, with a real manager and file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chatrixcd_threads.commands.call import Call, Tools
from chatrixcd_threads.commands.declare import Reply
from chatrixcd_threads.commands.parse import words
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.errors import UsageError, UserError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.hot import Changed, Outcome
from chatrixcd_threads.settings.model import BotSettings, Settings

ALIASES = commands()["aliases"]


class Room:
    """What the command needs of the tools, and what it told."""

    def __init__(self, path: Path) -> None:
        self.file = path / "aliases.json"
        self.manager = AliasManager(self.file, builtins=commands)
        self.told: list[Outcome] = []

    def tools(self) -> Tools:
        settings = Settings(bot=BotSettings(command_prefix="!cd"))
        return cast(
            Tools,
            SimpleNamespace(
                settings=settings, aliases=self.manager, told=lambda outcome, by="", deed="": self.told.append(outcome)
            ),
        )

    def say(self, line: str) -> str:
        values = ALIASES.bind(words(line), "!cd")
        reply = ALIASES.run(Call("$1", "!r:h", "@ann:h", None, values, self.tools()))
        assert isinstance(reply, Reply)
        return reply.text.plain


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_rights() -> None:
    assert ALIASES.right_for({}) is Right.SEE
    assert ALIASES.right_for({"action": "test"}) is Right.SEE
    for word in ("add", "remove", "rm", "DELETE"):
        assert ALIASES.right_for(ALIASES.bind([word, "x"], "!cd")) is Right.MANAGE


def test_list(room: Room) -> None:
    assert "There are no aliases." in room.say("")
    room.manager.add("ps", "status")
    assert "ps     status" in room.say("")
    room.file.write_text("{")
    room.manager.check_for_changes()
    said = room.say("")
    assert "ps     status" in said
    assert "⚠ The file itself is not used: " in said


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("run 1 5", "run 1 5"),
        ("run 1 {1}", "run 1 {1}"),
        ("run 1 'my web'", "run 1 'my web'"),
        ("'run 1 5'", "run 1 5"),
        ("run 1 --limit web -v", "run 1 --limit web -v"),
        ("logs {*}", "logs {*}"),
        ("run m='{*}'", "run m={*}"),
    ],
)
def test_add(typed: str, command: str, room: Room) -> None:
    assert room.say(f"add Deploy {typed}") == f"➕ !cd Deploy stands for !cd {command}."
    assert room.manager.now["deploy"] == command
    assert [type(each) for each in room.told] == [Changed]
    assert room.say(f"add Deploy {typed}").startswith("It was there already: ")  # a job that is run again after a crash
    assert len(room.told) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("add", "which alias"),
        ("add x", "the command is missing"),
        ("add run status", "must not hide it"),
        ("add x nothing", "there is no command or alias nothing"),
        ("remove", "which alias"),
        ("rm nothing", "there is no alias “nothing”"),
        ("rm a b", "one alias at a time"),
        ("test nothing", "there is no alias “nothing”"),
        ("ad x run", "Did you mean “add”?"),
        ("--all", "no option “--all”"),
        ("add --all run", "no option “--all”"),
    ],
)
def test_refused(line: str, sentence: str, room: Room) -> None:
    with pytest.raises(UserError) as caught:
        room.say(line)
    assert sentence in caught.value.sentence
    assert caught.value.sentence.startswith("I did nothing")
    assert not room.file.exists()
    assert room.told == []


@pytest.mark.parametrize("word", ["remove", "rm", "delete"])
def test_remove(word: str, room: Room) -> None:
    room.manager.add("ps", "status")
    assert room.say(f"{word} PS") == "➖ The alias PS is gone."
    assert dict(room.manager.now) == {}
    assert len(room.told) == 1


def test_test(room: Room) -> None:
    room.manager.add("d", "run 1 {1}")
    assert room.say("test d 'my web'") == (
        "!cd d 'my web' stands for\n!cd run 1 'my web'\n"
        "run starts a task from a template (I ask first). I have run nothing now."
    )
    room.manager.add("s", "rollback")
    assert "⚠ It would be refused: project is missing." in room.say("test s")
    with pytest.raises(UsageError, match="needs 1 word after it"):
        room.say("test d")
    assert room.told == []
