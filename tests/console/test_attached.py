"""The console when its bot is in another process: what q does, and what is shown while the bot is away."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import urwid.testing

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import ATTACHED, KEYS, Table
from chatrixcd_threads.errors import UserError
from tests.console.sample import Feed, calm

GONE = "the bot is gone, waiting for it"


class Desk:
    """An attached console without a terminal."""

    def __init__(self, *, size: tuple[int, int] = (80, 24)) -> None:
        self.feed, self.size = Feed(calm()), size
        self.detached = 0
        self.trouble = ""
        doors = dataclasses.replace(self.feed.doors, detach=self._detach, trouble=lambda: self.trouble)
        self.frame = Frame(doors, Table(ATTACHED), tuple)
        self.frame.refresh()

    def _detach(self) -> None:
        self.detached += 1

    def exchange(self, **doors: Any) -> None:
        self.frame.doors = dataclasses.replace(self.frame.doors, **doors)

    def press(self, *keys: str) -> str:
        for key in keys:
            self.frame.keypress(self.size, key)
        return self.text()

    def text(self) -> str:
        return "\n".join(urwid.testing.render_text(self.frame, self.size, focus=True))


def test_q_leaves_at_once_and_the_bot_goes_on() -> None:
    desk = Desk()
    assert "[q]detach" in desk.text()
    assert "Stop the bot?" not in desk.press("q")
    assert (desk.detached, desk.feed.left) == (1, 0)


def test_the_line_that_names_q_leaves_too() -> None:
    desk = Desk()
    assert "[q] leave" in desk.text()
    desk.press("end", "enter")
    assert (desk.detached, desk.feed.left) == (1, 0)


def test_only_the_key_that_quits_differs() -> None:
    differing = [(a.keys, a.command) for a, b in zip(KEYS, ATTACHED, strict=True) if a != b]
    assert differing == [(("q",), "quit")]


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_a_bot_that_is_gone_stands_in_the_header(size: tuple[int, int]) -> None:
    desk = Desk(size=size)
    for key in "1234567":
        desk.press(key)
        before = desk.text().splitlines()[2:]
        desk.trouble = GONE
        desk.frame.refresh()
        assert "✗ the bot is gone" in desk.text().splitlines()[0]
        assert desk.text().splitlines()[2:] == before
        desk.trouble = ""
        desk.frame.refresh()
        assert "gone" not in desk.text()


def test_what_a_door_says_is_shown_in_one_line() -> None:
    desk = Desk()

    def no(line: str) -> str:
        raise UserError("The lane is full: try again in a minute.")

    desk.exchange(type_command=no, command=no)
    text = desk.press("p")
    assert "The lane is full" in text.splitlines()[-2]
    assert "has failed" not in text
    assert "The lane is full" not in desk.press("down")


def test_a_view_that_cannot_ask_stays_and_the_header_is_true() -> None:
    desk = Desk()
    desk.feed.ring.add("a line that was there")
    desk.press("7")
    desk.trouble = GONE

    def away(cursor: int) -> tuple[int, tuple[str, ...]]:
        raise UserError(f"Nothing was asked: {GONE}.")

    desk.exchange(log_lines=away)
    desk.frame.refresh()
    text = desk.text()
    assert "the bot is gone" in text.splitlines()[0]
    assert "a line that was there" in text
    assert "Nothing was asked" not in text
    assert desk.frame.failed == set()


def test_q_works_while_the_bot_is_gone() -> None:
    desk = Desk()

    def away() -> Board:
        raise UserError("Nothing was asked.")

    desk.trouble = GONE
    desk.exchange(board=away)
    desk.press("q")
    assert desk.detached == 1
