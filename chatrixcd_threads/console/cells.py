"""Foreign text on a screen: made harmless, measured in columns, cut, folded and aligned."""

from __future__ import annotations

import re
from typing import Final

import urwid

from chatrixcd_threads.text.ansi import plain_line

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Marks that turn the reading direction around, and what joins several characters into one picture: terminals
# disagree about the columns of the latter, so borders would move.
_JOINERS: Final = re.compile(
    "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff\U000e0000-\U000e01ef]"
)
_FLAGS: Final = {0x1F1E6 + number: chr(65 + number) for number in range(26)}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def shown(value: str) -> str:
    """A name or sentence from outside on one line: no escape sequence, control character or direction mark is left."""
    if value.isascii() and value.isprintable():
        return value
    value = _CONTROLS.sub(" ", _ESCAPES.sub("", value))
    value = _JOINERS.sub("", value).translate(_FLAGS)
    return value.encode("utf-8", errors="replace").decode()  # half surrogates


def shown_line(line: str) -> str:
    """A line of a log or of a program's output: like `shown`, of a progress line only what stood there last."""
    if line.isascii() and line.isprintable():
        return line
    return shown(plain_line(line).expandtabs(8))


def wide(value: str) -> int:
    """Columns that the text takes."""
    return len(value) if value.isascii() else urwid.calc_width(value, 0, len(value))


def cut(value: str, columns: int) -> str:
    """The text in at most so many columns; what is longer ends with an ellipsis."""
    if wide(value) <= columns:
        return value
    if columns < 1:
        return ""
    mark = ellipsis()
    end, _ = urwid.calc_text_pos(value, 0, len(value), max(0, columns - wide(mark)))
    return (value[:end] + mark)[: max(1, columns)]


def fit(value: str, columns: int) -> str:
    """The text in exactly so many columns."""
    short = cut(value, columns)
    return short + " " * (columns - wide(short))


def fold(value: str, columns: int, most: int = 3) -> list[str]:
    """The text in at most `most` lines, broken at blanks where there are some."""
    columns = max(1, columns)
    lines: list[str] = []
    rest = value.strip()
    while rest and len(lines) < most - 1 and wide(rest) > columns:
        end, _ = urwid.calc_text_pos(rest, 0, len(rest), columns)
        blank = rest.rfind(" ", 0, end + 1)
        end = blank if blank > 0 else max(1, end)
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    lines.append(cut(rest, columns))
    return lines


def wrap(value: str, columns: int) -> list[str]:
    """The text in as many lines as it takes, broken anywhere: nothing of it is lost, blanks at its beginning neither."""
    columns = max(2, columns)
    lines: list[str] = []
    while wide(value) > columns:
        end, _ = urwid.calc_text_pos(value, 0, len(value), columns)
        lines.append(value[:end])
        value = value[end:]
    return [*lines, value]


def can_unicode() -> bool:
    """Whether the terminal's encoding can show more than ASCII."""
    return bool(urwid.get_encoding_mode() == "utf8")


def ellipsis() -> str:
    """Stands for what was cut off."""
    return "…" if can_unicode() else "~"


def span(seconds: float) -> str:
    """A length of time in the one unit that matters."""
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h"
    return f"{seconds // _DAY:.0f} days"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1_000:
            return f"{amount:.0f} {unit}"
        amount /= 1_000
    return f"{amount:.1f} GB"


def many(count: int, one: str, more: str = "") -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else more or one + 's'}"
