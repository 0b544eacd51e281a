"""Adds a key to a settings file, or takes one out, and leaves every other character of its text as it is.

Only the text is cut and filled; the result is taken apart again and compared. What cannot be done surely is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import Document, Member, parse

# Cut from here to there, and put this in its place.
Edit = tuple[int, int, str]

_KEY_AND_COLON = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s:]+)\s*:\s*""", re.DOTALL)
_BLANKS = " \t"


def with_member(text: str, path: str, key: str, value: str) -> str:
    """The text with one more key at the end of its outermost object."""
    before = parse(text, path)
    member = f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
    wanted = [*before.data.items(), (key, value)]
    return _first_sure(text, path, _ways_to_add(text, before, member), wanted)


def without_member(text: str, path: str, key: str) -> str:
    """The text without this key of its outermost object. Comments stay, also the one behind the key."""
    before = parse(text, path)
    index = next(number for number, each in enumerate(before.members) if each.key == key)
    gone = before.members[index]
    if not _KEY_AND_COLON.fullmatch(text[gone.start : gone.value]):
        raise ConfigError(
            f"{path}: a comment stands inside of “{key}”, and I would lose it. Please edit the file by hand. I changed nothing."
        )
    wanted = [item for item in before.data.items() if item[0] != key]
    return _first_sure(text, path, [_cut_out(text, before.members, index)], wanted)


def _first_sure(text: str, path: str, ways: Iterable[list[Edit]], wanted: list[tuple[str, object]]) -> str:
    for edits in ways:
        after = _applied(text, edits)
        try:
            if list(parse(after, path).data.items()) == wanted:
                return after
        except ConfigError:
            continue
    raise ConfigError(
        f"{path} is written in a way that I cannot edit surely. Please edit it by hand. I changed nothing."
    )


def _applied(text: str, edits: list[Edit]) -> str:
    # From the end, so that positions stay true; of two at one place the later goes in first.
    for _, (start, stop, put) in sorted(enumerate(edits), key=lambda each: (each[1][0], each[0]), reverse=True):
        text = text[:start] + put + text[stop:]
    return text


def _ways_to_add(text: str, document: Document, member: str) -> Iterator[list[Edit]]:
    """From the nicest to the plainest; which of them is right is found by trying."""
    newline = "\r\n" if "\r\n" in text else "\n"
    closing = document.closing
    if closing is None:
        yield [(len(text), len(text), f"{'' if text.endswith(newline) else newline}{member}{newline}")]
        return
    if not document.members:
        line = _line_start(text, closing)
        if line > 0 and not text[line:closing].strip():
            yield [(line, line, f"  {member}{newline}")]
        yield [(closing, closing, f"{newline}  {member}{newline}")]
        return
    last = document.members[-1]
    comma = [] if last.comma is not None or _is_bare(text, last, document) else [(last.end, last.end, ",")]
    own_comma = "," if last.comma is not None else ""
    after = last.end if last.comma is None else last.comma + 1
    if _line_end(text, after) < closing:
        at = _line_end(text, after)
        yield [*comma, (at, at, f"{newline}{_indent(text, last)}{member}{own_comma}")]
    else:
        yield [*comma, (after, after, f" {member}{own_comma}")]
    yield [*comma, (closing, closing, f"{newline}{_indent(text, last)}{member}{own_comma}{newline}")]


def _cut_out(text: str, members: tuple[Member, ...], index: int) -> list[Edit]:
    """The key, its value and one comma; with them the blanks that separated them, or the line if nothing else is on it."""
    gone, edits = members[index], []
    start, stop = gone.start, gone.end
    before = members[index - 1] if index else None
    if gone.comma is not None:
        if not text[stop : gone.comma].strip():
            stop = gone.comma + 1
        else:
            edits.append((gone.comma, gone.comma + 1, ""))
    elif before is not None and before.comma is not None and index == len(members) - 1:
        if not text[before.comma + 1 : start].strip(_BLANKS):
            return [(before.comma, stop, "")]
        edits.append((before.comma, before.comma + 1, ""))
    line, end = _line_start(text, start), _line_end(text, stop)
    if not text[line:start].strip(_BLANKS) and not text[stop:end].strip(_BLANKS):
        start, stop = line, _past_break(text, end)
    else:
        while text[stop : stop + 1] and text[stop] in _BLANKS:
            stop += 1
    return [*edits, (start, stop, "")]


def _is_bare(text: str, member: Member, document: Document) -> bool:
    """A text without quotes: it takes the rest of its line, so a comma behind it would become part of it."""
    return isinstance(document.data[member.key], str) and text[member.value] not in "\"'"


def _indent(text: str, member: Member) -> str:
    before = text[_line_start(text, member.start) : member.start]
    return "  " if before.strip(_BLANKS) else before


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


def _line_end(text: str, at: int) -> int:
    ends = [found for found in (text.find("\n", at), text.find("\r", at)) if found >= 0]
    return min(ends, default=len(text))


def _past_break(text: str, at: int) -> int:
    return at + (2 if text[at : at + 2] == "\r\n" else 1 if text[at : at + 1] else 0)
