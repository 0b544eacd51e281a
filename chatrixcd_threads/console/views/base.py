"""What a view is, and what it may ask of the frame."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import urwid

from chatrixcd_threads.console.board import Board, Doors
from chatrixcd_threads.console.cells import fit, shown
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.rows import Part, Row


class Hands(Protocol):
    """What the frame does for a view. Only in the ui thread."""

    doors: Doors

    def pictures(self) -> bool:
        """Whether the terminal counts the columns of emoji as urwid does."""

    def type(self, line: str) -> None:
        """Hands a command to the bot; the answer opens in a window."""

    def ask(self, question: str, deed: Callable[[], None]) -> None:
        """Does the deed after a yes."""

    def tell(
        self,
        title: str,
        lines: Callable[[], Sequence[str]],
        *,
        style: Callable[[int, str], str] | None = None,
        exact: bool = False,
        deeds: tuple[str, ...] = (),
    ) -> None:
        """Opens a window with lines that are asked for anew at each draw. `exact` keeps every blank of them.

        The keys of the view for `deeds`, which the lines may name, work in the window too.
        """

    def edit(self, path: str, done: Callable[[str], None]) -> None:
        """Opens the operator's editor on the terminal; then `done` hears why that did not work, or an empty text."""

    def prompt(self, start: str) -> None:
        """Opens the command bar with something typed already."""

    def perform(self, command: str) -> bool:
        """A command of the key table that is not the view's own."""

    def select(self, view: str, key: Hashable) -> None:
        """What is to be selected in a view when it is drawn next; None: nothing else than was."""

    def notice(self, sentence: str) -> None:
        """One line above the footer, until the next key."""


class View:
    """Owner: the ui thread. Base of all views: a list, drawn from the board."""

    name = ""
    title = ""
    tab: str | None = None  # the title where there is little room; None: it is short enough

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.pane = Pane()

    @property
    def context(self) -> str:
        """Where the keys are looked up."""
        return self.name

    @property
    def widget(self) -> urwid.Widget:
        """What is shown."""
        return self.pane

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Takes over the board. Called only while the view is shown."""
        raise NotImplementedError

    def act(self, command: str) -> bool:
        """Does a command of the key table. False: it is not the view's."""
        return self.pane.move(command)

    def select(self, key: Hashable) -> None:
        """Selects the line with this key at the next drawing."""
        self.pane.choose(key)

    def heading(self, board: Board) -> str:
        """What stands in the header besides the title."""
        return ""

    def line(self) -> str:
        """The line that would be copied; empty: there is none."""
        return ""

    def on_screen(self) -> list[str]:
        """The lines on screen, whole; empty: this view has none that are cut."""
        return []

    def search(self, needle: str) -> bool | None:
        """Searches; None: this view has no search."""
        return None


class Filtered(View):
    """Owner: the ui thread. A list that may be long: only the lines with a word are shown, for as long as one wants it."""

    needle = ""

    def search(self, needle: str) -> bool | None:
        """Filters; an empty word shows everything again. The view itself says when nothing is left."""
        self.needle = needle.strip()
        return True

    def select(self, key: Hashable) -> None:
        self.needle = ""
        super().select(key)

    def has(self, *words: str) -> bool:
        """Whether the line that has these words is shown while there is a filter."""
        return self.needle.casefold() in " ".join(words).casefold()

    def filtered(self, said: str, count: int) -> str:
        """The heading, with the filter and what it leaves in front where there is one."""
        return f"/{self.needle}: {count} of {said}" if self.needle else said

    def nothing(self, otherwise: str) -> Row:
        """The line that stands in an empty list."""
        said = f"No line has “{self.needle}” in it. Press / and enter to see all." if self.needle else otherwise
        return Row((("dim", shown(said)),))


def table(columns: int, cells: Sequence[tuple[str, str, int]]) -> Row:
    """A row of cells (style, text, width); a width of 0 takes what is left, 2 columns are the mark's."""
    left = columns - 2 - sum(width + 1 for _, _, width in cells if width)
    parts: list[Part] = []
    for style, text, width in cells:
        parts += [(style, fit(text, max(1, width or left))), ("body", " ")]
    return Row(tuple(parts[:-1]))
