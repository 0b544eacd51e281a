"""Help: made from the key table and the names of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import urwid

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import fit, fold, shown, wide
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.reader import Reader
from chatrixcd_threads.console.views.base import Hands, View

_BESIDE: Final = 60  # columns from which the text stands beside its keys
_KEYS: Final = 18
_MOST: Final = 40  # lines of an entry: all of it


class Help(View):
    """Owner: the ui thread."""

    name = "help"
    title = "Help"
    tab = ""  # the footer says it

    def __init__(self, hands: Hands, table: Table, names: Callable[[], Iterable[str]]) -> None:
        super().__init__(hands)
        self._table, self._names = table, names
        self._headings: set[int] = set()
        self._made_for: tuple[int, tuple[str, ...]] | None = None
        self.reader = Reader(lambda number, line: "title" if number in self._headings else "body")
        self.reader.pane.following = False

    @property
    def widget(self) -> urwid.Widget:
        return self.reader.pane

    def draw(self, board: Board, columns: int, height: int) -> None:
        """The page is made anew only for another width or other commands."""
        made_for = (columns, tuple(sorted(shown(each) for each in self._names())))
        if made_for != self._made_for:
            self._made_for = made_for
            self._write(*made_for)

    def _write(self, columns: int, names: tuple[str, ...]) -> None:
        lines: list[str] = []
        self._headings = set()
        for heading, entries in self._table.sections(without="wizard"):
            self._headings.add(len(lines))
            lines.append(heading)
            for keys, text in entries:
                lines += _entry(keys, text, columns)
            lines.append("")
        if names:
            heading_lines = fold("Commands (press : and type one; help NAME explains it)", columns)
            self._headings.update(range(len(lines), len(lines) + len(heading_lines)))
            lines += heading_lines
            lines += [f"  {part}" for part in fold(", ".join(names), columns - 2, _MOST)]
        self.reader.give(0, len(lines), lambda number: lines[number] if number < len(lines) else "")

    def act(self, command: str) -> bool:
        return self.reader.act(command)

    def search(self, needle: str) -> bool | None:
        return self.reader.search(needle)

    def on_screen(self) -> list[str]:
        return self.reader.on_screen()

    def line(self) -> str:
        return self.reader.line()


def _entry(keys: str, text: str, columns: int) -> list[str]:
    """Keys with their text beside them; after them where that leaves too little room, below where the keys take too much."""
    if columns < _BESIDE:
        first, *rest = fold(f"{keys}: {text}", columns - 4, _MOST)
        return [f"  {first}", *(f"    {part}" for part in rest)]
    parts = fold(text, columns - 4 - _KEYS, _MOST)
    below = [" " * (4 + _KEYS) + part for part in parts]
    if wide(keys) > _KEYS:
        return [f"  {keys}", *below]
    return [f"  {fit(keys, _KEYS)}  {parts[0]}", *below[1:]]
