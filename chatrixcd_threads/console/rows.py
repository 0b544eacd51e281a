"""What a view gives to its pane: rows of styled text that are made only when they are on screen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Self

Part = tuple[str, str]
"""A style (a key of the palette) and a text that went through `cells.shown`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line on the screen."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows `low` to `high` (not included). Numbers stay with their row while rows are added and dropped at the ends.

    `keys` names the rows of a list, so that the selection stays with its thing when the order changes.
    """

    low: int
    high: int
    at: Callable[[int], Row]
    keys: Sequence[Hashable] = field(default=())

    @classmethod
    def of(cls, rows: Sequence[Row], keys: Sequence[Hashable] = ()) -> Self:
        """Rows that exist already."""
        return cls(0, len(rows), rows.__getitem__, keys)

    @classmethod
    def plain(cls, lines: Sequence[str], style: str = "body") -> Self:
        """Lines of one style; they must have been made harmless before."""
        return cls(0, len(lines), lambda number: Row(((style, lines[number]),)))


EMPTY = Rows.of(())
