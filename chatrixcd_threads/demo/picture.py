"""A screen as an SVG picture: every character has its own place, so the columns stand in any monospaced font."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final
from xml.sax.saxutils import escape

CELL: Final = 8.4
LINE: Final = 18
MARGIN: Final = 8
FRONT: Final = "#d0d0d0"
BACK: Final = "#16181d"
FONTS: Final = "'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace"
# xterm's 16 colours by pyte's names.
NAMED: Final[Mapping[str, str]] = {
    "black": "#000000",
    "red": "#cd0000",
    "green": "#00cd00",
    "brown": "#cdcd00",
    "blue": "#0000ee",
    "magenta": "#cd00cd",
    "cyan": "#00cdcd",
    "white": "#e5e5e5",
    "brightblack": "#7f7f7f",
    "brightred": "#ff0000",
    "brightgreen": "#00ff00",
    "brightbrown": "#ffff00",
    "brightblue": "#5c5cff",
    "brightmagenta": "#ff00ff",
    "brightcyan": "#00ffff",
    "brightwhite": "#ffffff",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One column. The second column of a wide character has no text. Colours are `#rrggbb`, or empty for the terminal's own."""

    text: str
    front: str = ""
    back: str = ""
    bold: bool = False
    underline: bool = False


Grid = list[list[Cell]]


def cells(screen: Any) -> Grid:
    """What a pyte screen shows."""
    return [[_cell(screen.buffer[row][column]) for column in range(screen.columns)] for row in range(screen.lines)]


def text(row: Sequence[Cell]) -> str:
    """A row with one character for each column."""
    return "".join(cell.text[:1] or "\0" for cell in row)


def replaced(row: Sequence[Cell], start: int, end: int, new: str) -> list[Cell]:
    """The row with other characters in some columns, as wide as before: the nearest wide gap gives or takes the rest.

    The gap after them, so that what follows stays in its column; at the right edge, where there is none, the one before.
    """
    look, before, after = row[start], list(row[:start]), list(row[end:])
    grown = len(new) - (end - start)
    wide = " " * (max(grown, 0) + 2)
    if grown and wide in text(after):
        _widen(after, text(after).index(wide), -grown)
    elif grown and wide in text(before):
        _widen(before, text(before).rindex(wide), -grown)
    made = [*before, *(replace(look, text=each) for each in new), *after, *[replace(look, text=" ")] * -grown]
    return made[: len(row)]


def _widen(row: list[Cell], place: int, columns: int) -> None:
    """Puts blanks into a gap, or takes them out."""
    row[place : place - min(columns, 0)] = [row[place]] * max(columns, 0)


def svg(grid: Grid, title: str) -> str:
    """A whole file."""
    width, height = len(grid[0]) * CELL + 2 * MARGIN, len(grid) * LINE + 2 * MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'role="img" font-family="{FONTS}" font-size="14">'
    )
    most = Counter(cell.back for row in grid for cell in row).most_common(1)[0][0]  # a theme may have a background
    frame = f'<rect width="{width:g}" height="{height:g}" rx="6" fill="{most or BACK}"/>'
    parts = [part for number, row in enumerate(grid) for part in _row(row, MARGIN + number * LINE)]
    return "\n".join([head, f"<title>{escape(title)}</title>", frame, *parts, "</svg>"]) + "\n"


def _row(row: Sequence[Cell], top: float) -> Iterator[str]:
    """Backgrounds first, then one text for each run of the same look."""
    placed = list(enumerate(row))
    for back, run in _runs(placed, lambda cell: cell.back):
        if back:
            yield f'<rect x="{_x(run[0][0])}" y="{top:g}" width="{len(run) * CELL:g}" height="{LINE}" fill="{back}"/>'
    for (front, bold, underline), run in _runs(placed, lambda cell: (cell.front, cell.bold, cell.underline)):
        seen = [(column, cell.text) for column, cell in run if cell.text]
        while seen and not seen[-1][1].strip():
            seen.pop()
        while seen and not seen[0][1].strip():
            seen.pop(0)
        if not seen:
            continue
        weight = ' font-weight="bold"' * bold + ' text-decoration="underline"' * underline
        places = " ".join(_x(column) for column, _ in seen)
        said = escape("".join(each for _, each in seen))
        yield f'<text x="{places}" y="{top + 13.5:g}" fill="{front or FRONT}"{weight} xml:space="preserve">{said}</text>'


def _runs(
    placed: Sequence[tuple[int, Cell]], look: Callable[[Cell], Any]
) -> Iterator[tuple[Any, list[tuple[int, Cell]]]]:
    for key, run in groupby(placed, lambda each: look(each[1])):
        yield key, list(run)


def _x(column: int) -> str:
    return f"{MARGIN + column * CELL:.4g}"


def _cell(char: Any) -> Cell:
    front, back = _colour(char.fg), _colour(char.bg)
    if char.reverse:
        front, back = back or BACK, front or FRONT
    return Cell(char.data, front, back, char.bold, char.underscore)


def _colour(name: str) -> str:
    return "" if name == "default" else NAMED.get(name, f"#{name}")
