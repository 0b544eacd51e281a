"""The bot's side of the doors: what is read when, and what is told."""

from __future__ import annotations

import dataclasses
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chatrixcd_threads.commands.call import Health
from chatrixcd_threads.console.board import Link
from chatrixcd_threads.console.last import Last
from chatrixcd_threads.console.office import Office, Parts
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.events import Kind, RoomInfo
from chatrixcd_threads.journal import inbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.pulse import Pulse
from chatrixcd_threads.threads.lanes import LaneCounts, Lanes


class Bot:
    """An office with a real journal and nothing else that is real."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000.0
        self.pokes = 0
        self.reads = 0
        self.rooms: tuple[RoomInfo, ...] = (RoomInfo("!a:x", "A", False, 2),)
        self.journal = Journal(folder / "journal.sqlite3")
        self.lanes = Lanes(1, failed=lambda job, error: None)
        self.office = Office(self._parts(), self._poke, lambda: self.now)
        self.journal.changed = self.office.journaled
        read = self.office._read_journal

        def counted() -> object:
            self.reads += 1
            return read()

        self.office._read_journal = counted  # type: ignore[method-assign,assignment]

    def ask(self, slot: str) -> None:
        with self.journal.write() as tx:
            questions.ask(
                tx,
                slot=slot,
                room_id="!a:x",
                thread=None,
                asker="@a:x",
                action="run",
                payload={"summary": slot},
                command_event=slot,
                now=1_000.0,
                seconds=60,
            )

    def ask_operator(self, slot: str, wants: str = "yes") -> None:
        with self.journal.write() as tx:
            questions.ask(
                tx,
                slot=f"answer:{slot}",
                room_id=OPERATOR_ROOM,
                thread=None,
                asker=OPERATOR,
                action="run",
                payload={},
                command_event=slot,
                now=1_000.0,
                seconds=60,
                wants=wants,
            )

    def _poke(self) -> None:
        self.pokes += 1

    def _parts(self) -> Parts:
        def nobody() -> Semaphore:
            return cast(Semaphore, SimpleNamespace(known_version="", pulse=Pulse(lambda: self.now)))

        return Parts(
            journal=self.journal,
            inbox=queue.Queue(),
            lanes=self.lanes,
            semaphore=nobody,
            matrix=lambda: Link("ok", "", 0.0),
            rooms=lambda: self.rooms,
            health=lambda: Health((), LaneCounts(0, 0, 0, 0), 0, 1.0),
            files=dict,
            prefix=lambda: "!cd",
            log=Ring(),
            leave=lambda: None,
        )


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    made = Bot(tmp_path)
    yield made
    made.lanes.close()
    assert made.lanes.wait_idle(time.monotonic() + 10) == []
    made.journal.close()


def test_what_is_written_is_on_the_next_board(bot: Bot) -> None:
    assert bot.office.board().questions == ()
    before = bot.pokes
    bot.ask("first")
    assert bot.pokes == before + 1
    assert [each.summary for each in bot.office.board().questions] == ["first"]
    bot.ask("second")  # at the same moment: no clock decides what is new
    assert [each.summary for each in bot.office.board().questions] == ["first", "second"]


def test_the_journal_is_read_only_when_it_was_written_to(bot: Bot) -> None:
    boards = [bot.office.board() for _ in range(5)]
    assert bot.reads == 1
    bot.ask("first")
    boards += [bot.office.board() for _ in range(5)]
    assert bot.reads == 2
    bot.now += 60
    assert bot.office.board().now == bot.now
    assert bot.reads == 2


def test_a_transaction_that_failed_is_no_news(bot: Bot) -> None:
    bot.office.board()
    before = bot.pokes
    with pytest.raises(ValueError, match="not now"), bot.journal.write():
        raise ValueError("not now")
    bot.office.board()
    assert (bot.pokes, bot.reads) == (before, 1)


def test_other_rooms_are_on_the_next_board(bot: Bot) -> None:
    first = bot.office.board()
    assert bot.office.board().rooms is first.rooms
    bot.rooms = (*bot.rooms, RoomInfo("!b:x", "B", True, 3))
    assert [each.room_id for each in bot.office.board().rooms] == ["!a:x", "!b:x"]


def test_what_was_worked_out_last_counts_for_the_very_same_things_only() -> None:
    asked: list[list[int]] = []

    def total(numbers: list[int], more: list[int]) -> int:
        asked.append([*numbers, *more])
        return sum(numbers) + sum(more)

    last = Last(total)
    one, other, equal = [1, 2], [3], [1, 2]
    assert [last(one, other), last(one, other)] == [6, 6]
    assert len(asked) == 1
    assert last(equal, other) == 6
    assert last(one, other) == 6
    assert len(asked) == 3


def test_a_summary_is_of_the_board_that_is_asked_for(bot: Bot) -> None:
    from chatrixcd_threads.console.status import summary

    board = bot.office.board()
    down = dataclasses.replace(board, matrix=Link("down", "", 0.0))
    assert [summary(each)[1] for each in (board, down, board)] == [
        summary(board)[1],
        summary(down)[1],
        summary(board)[1],
    ]
    assert "problem" in summary(down)[1]
    assert "problem" not in summary(board)[1]


def test_a_yes_that_was_typed_is_bound_to_the_only_question(bot: Bot) -> None:
    """Whatever is said here meanwhile: how a task ended, or the question after it."""
    bot.ask_operator("console:1")
    assert bot.office.type_command("yes") == "console:1"
    (event,) = inbox.unanswered(bot.journal.read())
    assert (event.kind, event.text, event.target) == (Kind.ANSWER, "yes", "console:1")


def test_of_several_questions_a_typed_yes_is_bound_to_none(bot: Bot) -> None:
    bot.ask_operator("console:1")
    bot.ask_operator("console:2")
    ticket = bot.office.type_command("yes")
    (event,) = inbox.unanswered(bot.journal.read())
    assert (event.event_id, event.target) == (ticket, None)


def test_what_a_key_does_is_never_the_answer_to_a_question(bot: Bot) -> None:
    bot.ask_operator("console:1", "value")
    assert bot.office.command("stop 4711") != "console:1"
    assert bot.office.type_command("4711") == "console:1"
    taken = inbox.unanswered(bot.journal.read())
    assert [(each.kind, each.text, each.target) for each in taken] == [
        (Kind.COMMAND, "stop 4711", None),
        (Kind.SAID, "4711", "console:1"),
    ]
