"""The one widget that shows rows: a list with a selected row, or a text that follows its end."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import Any, Final

import urwid

from chatrixcd_threads.console.cells import can_unicode
from chatrixcd_threads.console.rows import EMPTY, Row, Rows

_KEPT: Final = 1_000
_WHEEL: Final = 3
_Encoded = tuple[bytes, list[tuple[Any, int]], list[tuple[Any, int]]]


class Pane(urwid.Widget):
    """Owner: the ui thread. With `choosing` one row is selected and marked; without, the rows only scroll."""

    _sizing = frozenset([urwid.BOX])
    _selectable = True

    def __init__(self, *, choosing: bool = True, following: bool = False) -> None:
        super().__init__()
        self.following = following
        self._choosing = choosing
        self._rows = EMPTY
        self._focus = self._top = 0
        self._height = 1
        self._wanted: Hashable = None  # to be selected as soon as there is such a row
        self._shown: list[tuple[Row, str]] = []
        self._encoded: dict[tuple[Row, int, str], _Encoded] = {}

    @property
    def rows_shown(self) -> Rows:
        """What the pane has been given last."""
        return self._rows

    @property
    def selected(self) -> int | None:
        """The number of the selected row."""
        return self._focus if self._choosing and self._rows.low <= self._focus < self._rows.high else None

    @property
    def chosen(self) -> Hashable | None:
        """The key of the selected row."""
        number = self.selected
        if number is None or number - self._rows.low >= len(self._rows.keys):
            return None
        return self._rows.keys[number - self._rows.low]

    @property
    def top(self) -> int:
        """The first row on screen."""
        return self._top

    @property
    def span(self) -> tuple[int, int]:
        """The first row on screen, and the one after the last."""
        return self._top, min(self._top + self._height, self._rows.high)

    def give(self, rows: Rows) -> None:
        """Takes over new rows. The selection stays with its key, the view with its text."""
        key, self._wanted = self.chosen if self._wanted is None else self._wanted, None
        self._rows = rows
        if key is not None and rows.keys:
            with contextlib.suppress(ValueError):  # it is gone: the selection stays where it was
                self._focus = rows.low + rows.keys.index(key)
        if self.following:
            self._focus = rows.high - 1
            self._top = rows.high - self._height
        self._place()
        before, self._shown = self._shown, self._visible()
        if self._shown != before:
            self._invalidate()

    def choose(self, key: Hashable) -> None:
        """Selects the row with this key when rows are given next."""
        self._wanted = key

    def go(self, number: int) -> None:
        """Selects a row, or brings it on screen."""
        self.following = False
        self._focus = number
        if not self._choosing:
            self._top = number - self._height // 3
        self._moved()

    def move(self, command: str) -> bool:
        """up, down, page up, page down, first, last. False: this is no movement."""
        page = max(1, self._height - 1)
        step = {"up": -1, "down": 1, "page up": -page, "page down": page}.get(command)
        if step is None and command not in ("first", "last"):
            return False
        self.following = False
        if command == "first":
            self._focus = self._top = self._rows.low
        elif command == "last":
            self._focus, self._top = self._rows.high - 1, self._rows.high - self._height
        elif self._choosing:
            self._focus += step or 0
        else:
            self._top += step or 0
        self._moved()
        return True

    def at_end(self) -> bool:
        """Whether the last row is on screen."""
        return self._top + self._height >= self._rows.high

    def render(self, size: tuple[int, int], focus: bool = False) -> urwid.Canvas:  # type: ignore[override]
        """Only the rows on screen are made and encoded."""
        columns, height = size
        if height != self._height:
            self._height = height
            if self.following:
                self._top = self._rows.high - height
            self._place()
            self._shown = self._visible()
        made = [self._encode(row, columns, mark) for row, mark in self._shown]
        made += [(b" " * columns, [(None, columns)], [(None, columns)])] * (height - len(made))
        return urwid.TextCanvas(
            [text for text, _, _ in made],
            [attr for _, attr, _ in made],
            [cs for _, _, cs in made],
            maxcol=columns,
            check_width=False,  # `encode` has filled them up
        )

    def keypress(self, size: tuple[int, int], key: str) -> str | None:  # type: ignore[override]
        """Keys are looked up in the one table; the frame calls `move`."""
        return key

    def mouse_event(  # type: ignore[override]
        self, size: tuple[int, int], event: str, button: int, col: int, row: int, focus: bool
    ) -> bool | None:
        """A click selects, the wheel scrolls."""
        if not event.startswith("mouse press"):
            return False
        if button in (4, 5):
            for _ in range(_WHEEL):
                self.move("up" if button == 4 else "down")
        elif self._choosing and self._top + row < self._rows.high:
            self.go(self._top + row)
        return True

    def _moved(self) -> None:
        self._place()
        self._shown = self._visible()
        self._invalidate()

    def _place(self) -> None:
        low, high = self._rows.low, self._rows.high
        last_top = max(low, high - self._height)
        self._focus = max(low, min(self._focus, high - 1))
        if self._choosing:
            if self._focus < self._top:
                self._top = self._focus
            elif self._focus >= self._top + self._height:
                self._top = self._focus - self._height + 1
        self._top = max(low, min(self._top, last_top))

    def _visible(self) -> list[tuple[Row, str]]:
        """The rows on screen, each with the mark in front of it."""
        chosen = "›" if can_unicode() else ">"
        found = []
        for number in range(self._top, min(self._top + self._height, self._rows.high)):
            mark = "" if not self._choosing else f"{chosen} " if number == self._focus else "  "
            found.append((self._rows.at(number), mark))
        return found

    def _encode(self, row: Row, columns: int, mark: str) -> _Encoded:
        known = self._encoded.get((row, columns, mark))
        if known is not None:
            return known
        if len(self._encoded) >= _KEPT:
            self._encoded.clear()
        line = self._encoded[row, columns, mark] = encode(row, columns, mark)
        return line


def encode(row: Row, columns: int, mark: str = "") -> _Encoded:
    """A row as the bytes, attributes and character sets of a canvas row, of exactly that width."""
    selected = bool(mark.strip())
    parts = ((("focus" if selected else "body"), mark), *row.parts) if mark else row.parts
    data, left = b"", columns
    attributes: list[tuple[Any, int]] = []
    charsets: list[tuple[Any, int]] = []
    for style, text in parts:
        if left <= 0:
            break
        if not text:
            continue
        if text.isascii():
            piece, taken = text[:left].encode("ascii"), min(len(text), left)
            charsets.append((None, taken))
        else:
            end, _ = urwid.calc_text_pos(text, 0, len(text), left)
            piece, charset = urwid.apply_target_encoding(text[:end])
            charsets.extend(charset)
            taken = urwid.calc_width(piece, 0, len(piece))  # a wide character that cannot be shown is a narrow "?"
        data += piece
        attributes.append(("focus" if selected else style, len(piece)))
        left -= taken
    if left > 0:
        data += b" " * left
        attributes.append(("focus" if selected else None, left))
        charsets.append((None, left))
    return data, attributes, charsets
