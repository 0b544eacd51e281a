"""The log view: over the bot's own ring, and over a door that only hands lines out, as another process has it."""

from __future__ import annotations

import dataclasses

import pytest
import urwid.testing

from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.ring import KEPT_LINES
from tests.console.sample import NAMES, Feed, calm

SIZE = (100, 24)


class Reading:
    """The log on a screen, with a count of the lines that were read for it."""

    def __init__(self, own: bool) -> None:
        self.feed = Feed(calm())
        self.ring = self.feed.ring
        self.read: list[int] = []
        at = self.ring.at

        def counted(number: int) -> str:
            self.read.append(number)
            return at(number)

        self.ring.at = counted  # type: ignore[method-assign]
        doors = self.feed.doors if own else dataclasses.replace(self.feed.doors, log=None)
        self.frame = Frame(doors, Table(), lambda: NAMES)

    def add(self, level: str, first: int, end: int) -> None:
        for number in range(first, end):
            self.ring.add(f"2026-11-23 23:28:51,000 {level:7} sync       {level.lower()} {number}.")

    def press(self, *keys: str) -> str:
        for key in keys:
            self.frame.keypress(SIZE, key)
        while self.frame.behind:
            self.frame.refresh()
        return self.text()

    def text(self) -> str:
        return "\n".join(urwid.testing.render_text(self.frame, SIZE, focus=True))


@pytest.fixture(params=[True, False], ids=["ring", "door"])
def log(request: pytest.FixtureRequest) -> Reading:
    return Reading(request.param)


def test_it_follows_filters_and_forgets(log: Reading) -> None:
    log.add("INFO", 0, 50)
    assert "info 49." in log.press("7")
    log.add("ERROR", 50, 52)
    log.add("WARNING", 52, 53)
    assert "warning 52." in log.press("f", "f")
    errors = log.press("e")
    assert "error 51." in errors
    assert "warning 52." not in errors
    assert "info 49." in log.press("e")
    log.add("DEBUG", 53, 53 + KEPT_LINES)
    text = log.press("g")
    assert "20,000 lines" in text
    assert "debug 53." in text
    assert "error 5" not in log.press("e")


def test_what_is_typed_does_not_take_the_log_over_anew(log: Reading) -> None:
    log.add("INFO", 0, 50)
    log.press("7", ":")
    log.add("INFO", 50, 60)
    typed = log.press("s", "t")
    assert ":st" in typed
    assert "info 59." not in typed
    log.frame.refresh()
    assert "info 59." in log.press("a")


def test_of_a_flood_only_what_is_shown_is_read() -> None:
    log = Reading(own=True)
    log.press("7")
    for burst in range(10):
        log.add("INFO", burst * 5_000, (burst + 1) * 5_000)
        log.frame.refresh()
        log.press("e", "e")  # the errors are told by their levels
    assert len(log.read) < 1_000


def test_a_view_that_stands_still_stays_as_it_is(log: Reading) -> None:
    log.add("INFO", 0, 100)
    log.press("7", "up")
    log.read.clear()
    text = log.text()
    log.add("INFO", 100, 200)
    log.frame.refresh()
    assert log.text().splitlines()[1:] == text.splitlines()[1:]  # the heading counts the lines
    assert len(log.read) < 2 * SIZE[1]
