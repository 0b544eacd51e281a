"""First page: is something wrong, and what is the next step."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Final

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import can_unicode, cut, fit, fold, wide
from chatrixcd_threads.console.rows import Part, Row, Rows
from chatrixcd_threads.console.status import Grade, Line, lines, style, symbol
from chatrixcd_threads.console.views.base import View

_WIDE: Final = 60
MORE: Final = 2  # rows a line may have below its first
_CHOSEN: Final = 5  # and the selected one where a row holds little
_INDENT: Final = 2


class First(View):
    """Owner: the ui thread."""

    name = "first"
    title = "First page"
    tab = "First"
    _lines: tuple[Line, ...] = ()
    _moved = False

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Each part is one line; the selected one, and where there is room the others too, say all below."""
        self._lines = tuple(map(self._here, lines(board)))
        self._moved = self._moved or bool(self.pane.selected)  # by the mouse: undisturbed the first row is selected
        chosen = self.pane.chosen
        name = chosen[0] if isinstance(chosen, tuple) else None
        chosen_most = MORE if columns >= _WIDE else min(_CHOSEN, height - 1)
        most = {line.name: chosen_most if line.name == name else 0 for line in self._lines}
        spare = height - len(self._lines)
        spare -= sum(len(_rows(line, columns, most[line.name], can_unicode())) - 1 for line in self._lines)
        # A second row for each that needs one, before any gets a third: every question is answered. Problems go first.
        for more in range(1, MORE + 1):
            for line in self._lines:
                wants = most[line.name] < more and len(_rows(line, columns, more, can_unicode())) > more
                if wants and spare > 0:
                    most[line.name], spare = more, spare - 1
        blocks = [_rows(line, columns, most[line.name], can_unicode()) for line in self._lines]
        rows = [row for block in blocks for row in block]
        keys = [(line.name, n) for line, block in zip(self._lines, blocks, strict=True) for n in range(len(block))]
        self.pane.give(Rows.of(rows, keys))
        if not self._moved and self.pane.selected:  # what is worst is selected until somebody selects
            self.pane.go(0)

    def act(self, command: str) -> bool:
        """Enter does the next step of the selected line."""
        if command == "open":
            chosen = self.pane.chosen
            line = next((each for each in self._lines if isinstance(chosen, tuple) and each.name == chosen[0]), None)
            if line is None:
                return False
            self.hands.select(line.command.removeprefix("view "), line.about)
            return self.hands.perform(line.command)
        acted = super().act(command)
        self._moved = self._moved or acted
        return acted

    def _here(self, line: Line) -> Line:
        """In an attached console the key that stops the bot only leaves."""
        attached = self.hands.doors.detach is not None
        return replace(line, step="leave") if attached and line.command == "quit" else line


@functools.lru_cache(maxsize=200)
def _rows(line: Line, columns: int, spare: int, unicode: bool) -> list[Row]:
    """The line, and with `spare` rows left what did not fit into it."""
    step = f"[{line.key}] {line.step}"
    roomy = columns >= _WIDE
    head: list[Part] = [
        (style(line.grade), f"{symbol(line.grade)} {fit(line.word, 8)}"),
        ("title", f" {fit(line.name, 9)} "),
    ]
    taken = 2 + 10 + 11
    room = columns - taken - (wide(step) + 1 if roomy else 5)
    parts = fold(line.figure, room, 1 + spare) if roomy else _narrow(line.figure, room, columns, spare)
    # figure, then the key of the next step at the right edge; a narrow terminal shows the key alone
    first: list[Part] = [("body", fit(parts[0], room)), ("body", " ")]
    first.append(("dim" if line.grade >= Grade.OK else "title", step if roomy else cut(f"[{line.key}]", 4)))
    indent = " " * (taken - 2 if roomy else _INDENT)
    rest = [Row((("body", indent), ("body", part))) for part in parts[1:]]
    return [Row((*head, *first)), *rest]


def _narrow(figure: str, room: int, columns: int, spare: int) -> list[str]:
    """Below the first row a narrow terminal gives the whole width: eleven columns of it hold no reason."""
    first = fold(figure, room, 2)
    if not spare or len(first) == 1:
        return [cut(figure, room)]
    begun = first[0] if figure[len(first[0]) :].startswith(" ") else ""  # a word that is broken stands below as a whole
    return [begun, *fold(figure[len(begun) :], columns - 2 - _INDENT, spare)]
