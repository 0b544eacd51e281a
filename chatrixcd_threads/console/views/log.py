"""The log: 20,000 lines, from a level on, searched and followed."""

from __future__ import annotations

import re

import urwid

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import shown_line
from chatrixcd_threads.console.reader import Reader
from chatrixcd_threads.console.ring import KEPT_LINES, Ring
from chatrixcd_threads.console.views.base import Hands, View

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_STEPS = (0, 20, 30, 40)
_NAMES = {0: "all levels", 20: "from INFO on", 30: "from WARNING on", 40: "errors only"}
_WIDE = 120  # columns from which a line is shown with its day
_DAY = re.compile(r"\d{4}-\d\d-\d\d (?=\d\d:\d\d:\d\d,)")
_ROUNDS = 5  # of `log_lines` in one draw


class Log(View):
    """Owner: the ui thread. Lines are taken from the door only while they are shown."""

    name = "log"
    title = "Log"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self.reader = Reader(lambda number, line: _style(self._levels[number % KEPT_LINES]))
        self._ring = Ring(KEPT_LINES)
        self._levels = [0] * KEPT_LINES
        self._level = 0
        self._last = 20
        self._cursor = 0
        self.behind = False

    @property
    def widget(self) -> urwid.Widget:
        return self.reader.pane

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Takes over what has come, at most a ring full; `behind` says that more is waiting."""
        self.behind = True
        for _ in range(_ROUNDS):
            self._cursor, lines = self.hands.doors.log_lines(self._cursor)
            if not lines:
                self.behind = False
                break
            self._take(lines)
        low, high = self._ring.span()
        short = columns < _WIDE
        self.reader.give(low, high, lambda number: shown_line(_short(self._ring.at(number), short)))

    def act(self, command: str) -> bool:
        match command:
            case "level":
                self._from(_STEPS[(_STEPS.index(self._level) + 1) % len(_STEPS)])
            case "errors only":
                self._from(0 if self._level == _STEPS[-1] else _STEPS[-1])
            case _:
                return self.reader.act(command)
        return True

    def heading(self, board: Board) -> str:
        low, high = self._ring.span()
        return f"{_NAMES[self._level]}, {self.reader.state()}, {high - low:,} lines"

    def search(self, needle: str) -> bool | None:
        return self.reader.search(needle)

    def _from(self, level: int) -> None:
        self._level = level
        self.reader.filter(None if not level else lambda number, line: self._levels[number % KEPT_LINES] >= level)

    def _take(self, lines: tuple[str, ...]) -> None:
        """A line without a level of its own belongs to the one before: a traceback is as bad as its error."""
        number = self._ring.span()[1]
        for line in lines:
            self._last = _LEVELS.get(line[24:32].partition(" ")[0], self._last)
            self._levels[number % KEPT_LINES] = self._last
            number += 1
        self._ring.extend(lines)


def _short(line: str, short: bool) -> str:
    """Where columns are few: without the day, and without the name that all our loggers begin with."""
    return _DAY.sub("", line, 1).replace(" chatrixcd.", " ", 1) if short else line


def _style(level: int) -> str:
    return "bad" if level >= 40 else "warn" if level >= 30 else "dim" if level < 20 else "body"
