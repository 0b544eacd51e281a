"""The answer to a held edit: by command, by reaction, and what becomes of the question in the admin room."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrixcd_threads.commands.call import Tools
from chatrixcd_threads.commands.notices import Notices, describe
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.events import Kind
from chatrixcd_threads.journal import questions
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.settings.hot import Changed, Held, Outcome
from chatrixcd_threads.text.redact import Redactor
from tests.unit.commands.conftest import PERSON, ROOM, Bench


class Waiting(Bench):
    """A bench whose messages.json was emptied, which waits for a yes."""

    def __init__(self, folder: Path) -> None:
        self.outcomes: list[Outcome] = []
        self.path = folder / "messages.json"
        self.path.write_text('{"pet": ["good"]}')
        super().__init__(folder)
        self.bot(admin_room=ROOM)
        self.path.write_text("{}")
        outcome = self.messages.check_for_changes()
        assert isinstance(outcome, Held)
        self.number = outcome.number
        Notices(self.tools, Poster(Redactor(tuple)), lambda: None, list).tell(describe(outcome))
        self.deliver()
        self.slot = self.slots()[0]

    def tools(self) -> Tools:
        return dataclasses.replace(
            super().tools(),
            files=lambda: {"messages": self.messages.hot},
            told=lambda outcome, by="", deed="": self.outcomes.append(outcome),
        )

    def open(self) -> int:
        return len(questions.all_open(self.journal.read()))

    def asked_text(self) -> str:
        return str(self.content(self.slot)["plain"])


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Waiting]:
    made = Waiting(tmp_path)
    yield made
    made.journal.close()


@pytest.mark.parametrize("number", ["", " {number}"])
def test_accepted_by_a_command(held: Waiting, number: str) -> None:
    said = held.say(
        f"config accept messages{number.format(number=held.number)}", room_id=OPERATOR_ROOM, sender=OPERATOR
    )
    assert "counts now" in said
    assert held.messages.hot.held is None
    assert held.messages.hot.version.text == "{}"
    assert isinstance(held.outcomes[0], Changed)
    assert held.open() == 0
    assert f"Done: the change of messages.json — {OPERATOR}" in held.asked_text()


def test_declined_by_a_command(held: Waiting) -> None:
    assert "does not count" in held.say("config decline messages")
    assert held.messages.hot.held is None
    assert held.messages.get_all_messages("pet") == ("good",)
    assert held.outcomes == []
    assert held.open() == 0
    assert f"Not done: the change of messages.json — {PERSON}" in held.asked_text()
    assert "no such edit" in held.say("config accept messages")


def test_another_number_is_another_edit(held: Waiting) -> None:
    assert "no such edit of messages.json waits" in held.say(f"config accept messages {held.number + 1}")
    assert held.messages.hot.held == held.number
    assert held.open() == 1


def test_others_may_not(held: Waiting) -> None:
    held.say("config accept messages", sender="@eve:x")
    assert held.messages.hot.held == held.number


@pytest.mark.parametrize("verdict", ["yes", "no"])
def test_a_reaction_ends_the_waiting_too(held: Waiting, verdict: str) -> None:
    held.desk.handle(held.event(verdict, Kind.REACTION, target=f"$of {held.slot}"))
    assert held.messages.hot.held is None
    assert (held.messages.get_all_messages("pet") == ("good",)) is (verdict == "no")
    held.path.write_text('{"pet": ["better"]}')
    assert isinstance(held.messages.check_for_changes(), Changed)


def test_the_edit_says_what_it_waits_for(held: Waiting) -> None:
    waiting = held.messages.hot.waiting
    assert waiting is not None
    assert (waiting.number, waiting.reason) == (held.number, "it would empty a file that was not empty")
    assert waiting.diffs[0].key == "pet"
    held.say("config decline messages")
    assert held.messages.hot.waiting is None
