"""The log: 20,000 lines, from a level on, searched and followed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import urwid

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import shown_line
from chatrixcd_threads.console.reader import Reader
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.console.views.base import Hands, View

_STEPS = (0, 20, 30, 40)
_WIDE = 120  # columns from which a line is shown with its day
_DAY = re.compile(r"\d{4}-\d\d-\d\d (?=\d\d:\d\d:\d\d,)")
_ROUNDS = 5  # of `log_lines` in one draw
_ERRORS = ("ERROR", "CRITICAL")
_NAMES = {0: "all levels", 20: "from INFO on", 30: "from WARNING on", 40: "errors only"}


class Log(View):
    """Owner: the ui thread. Only the lines on the screen are read from the ring."""

    name = "log"
    title = "Log"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self._ring = hands.doors.log or Ring()
        self._fetches = hands.doors.log is None
        self._cursor = 0
        self.behind = False
        self.reader = Reader(lambda number, line: _style(self._ring.level(number)))
        self._level = 0

    @property
    def widget(self) -> urwid.Widget:
        return self.reader.pane

    def draw(self, board: Board, columns: int, height: int) -> None:
        if self._fetches:
            self._fetch()
        low, high = self._ring.span()
        short = columns < _WIDE
        self.reader.give(low, high, lambda number: shown_line(_short(self._ring.at(number), short)))

    def act(self, command: str) -> bool:
        match command:
            case "level":
                self._from(_STEPS[(_STEPS.index(self._level) + 1) % len(_STEPS)])
            case "errors only":
                self._from(0 if self._level == _STEPS[-1] else _STEPS[-1])
            case "next error" | "previous error":
                if not self.reader.jump(1 if command == "next error" else -1, self._begins_error):
                    self.hands.notice(f"There is no {command} here.")
            case _:
                return self.reader.act(command)
        return True

    def heading(self, board: Board) -> str:
        low, high = self._ring.span()
        return f"{_NAMES[self._level]}, {self.reader.state()}, {high - low:,} lines"

    def search(self, needle: str) -> bool | None:
        return self.reader.search(needle)

    def on_screen(self) -> list[str]:
        return self.reader.on_screen()

    def line(self) -> str:
        return self.reader.line()

    def _begins_error(self, number: int) -> bool:
        """The first line of an error, not those of its traceback."""
        if self._ring.level(number) < _STEPS[-1]:
            return False
        return self._ring.at(number)[24:32].partition(" ")[0] in _ERRORS

    def _fetch(self) -> None:
        """Takes lines over from the door, at most a ring full; `behind` says that more is waiting."""
        self.behind = True
        for _ in range(_ROUNDS):
            self._cursor, lines = self.hands.doors.log_lines(self._cursor)
            if not lines:
                self.behind = False
                break
            self._ring.extend(lines)

    def _from(self, level: int) -> None:
        self._level = level
        self.reader.pick(self._worth if level else None)

    def _worth(self, low: int, high: int) -> Iterable[int]:
        """The numbers of the lines that are shown; told by their levels, without reading them."""
        return (number for number, level in enumerate(self._ring.levels(low, high), low) if level >= self._level)


def _short(line: str, short: bool) -> str:
    """Where columns are few: without the day, and without the name that all our loggers begin with."""
    return _DAY.sub("", line, 1).replace(" chatrixcd.", " ", 1) if short else line


def _style(level: int) -> str:
    return "bad" if level >= 40 else "warn" if level >= 30 else "dim" if level < 20 else "body"
