"""The plain face: what is said, what is asked without an echo, how one goes back."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.engine import Walk
from chatrixcd_threads.wizard.plain import ask_all
from tests.unit.wizard.fakes import ANN, BOT, GOOD, PASSWORD, TOKEN, World


@dataclass
class Script:
    """Types line after line; then the input has ended."""

    lines: list[str]
    said: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.said.append(line)

    complain = say

    def ask(self, prompt: str) -> str:
        self.said.append(prompt)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def ask_secret(self, prompt: str) -> str:
        self.hidden.append(self.ask(prompt))
        return self.hidden[-1]

    @property
    def text(self) -> str:
        return "\n".join(self.said)


def test_the_whole_way() -> None:
    world, script = World(), Script(list(GOOD.values()))
    draft = ask_all(Walk(Draft()), world.doors, script)
    assert draft.start
    assert draft.claimed
    assert script.lines == []
    assert script.hidden == [PASSWORD, TOKEN]
    assert "[1/11] The bot's account" in script.said
    assert "ok: Logged in as @bot:example.org, device CHATRIXCD." in script.said
    assert any("claim CODE1" in line for line in script.said)
    assert PASSWORD not in script.text
    assert TOKEN not in script.text


def test_enter_takes_what_is_proposed() -> None:
    answers = {**GOOD, "auth": "", "prefix": "", "admin_room": "", "claim": "", "write": "", "start": ""}
    script = Script(list(answers.values()))
    assert ask_all(Walk(Draft()), World().doors, script).start
    assert "(password/token) [password]> " in script.said
    assert "[!cd]> " in script.said


def test_help_back_and_a_second_try() -> None:
    lines = ["<", "?", BOT, "", "", "wrong", "<", "<", "-", "", "", PASSWORD]
    script = Script([*lines, *list(GOOD.values())[4:]])
    draft = ask_all(Walk(Draft()), World().doors, script)
    assert draft.password == PASSWORD
    assert "This is the first question." in script.said
    assert any("account of its own" in line for line in script.said)
    assert "Problem: The homeserver refuses to log the bot in. Check the password." in script.said
    assert "[kept]> " in script.said  # the wrong password stays proposed, unseen
    assert "wrong" not in script.text


def test_a_kept_secret_is_taken_again() -> None:
    world = World()
    world.matrix.problems["log_in"] = [UserError("The homeserver is down.")]
    script = Script([BOT, "", "", PASSWORD, "", *list(GOOD.values())[4:]])
    assert ask_all(Walk(Draft()), world.doors, script).password == PASSWORD


def test_an_answer_can_be_emptied() -> None:
    lines = list(GOOD.values())
    script = Script([*lines[:8], "<", "-", "none", *lines[10:]])
    draft = ask_all(Walk(Draft()), World().doors, script)
    assert draft.owner == ""
    assert f"[{ANN}]> " in script.said


def test_the_end_of_the_input_passes() -> None:
    with pytest.raises(EOFError):
        ask_all(Walk(Draft()), World().doors, Script([BOT]))
