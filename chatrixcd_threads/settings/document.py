"""One settings file as text: read, taken apart, every key's line kept. JSON with comments, spare commas and HJSON.

The grammar of texts, keys and comments is that of the library hjson. What stands here is what it has not: positions,
doubled keys, and an end in good time to files that are too big, too deep or made to take long.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hjson.decoder import HjsonDecodeError, HjsonDecoder, getNext, make_scanner, scanKeyName, scanstring

from chatrixcd_threads.errors import ConfigError

_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 30
SHOWN_PROBLEMS = 20

KeyPath = tuple[str | int, ...]

# A number or word alone: what may follow a value must come next. Otherwise the rest of the line is a bare text.
_BARE = re.compile(
    r"(?:(?P<word>true|false|null)|(?P<int>-?(?:0|[1-9][0-9]*))(?P<frac>\.[0-9]+)?(?P<exp>[eE][-+]?[0-9]+)?)"
    r"[\t ]*(?=[,}\]#\n]|//|/\*|\Z)"
)
_NO_NUMBER = re.compile(r"[-+]?(?:nan|inf|infinity)\s*(?:[,}\]#]|//|/\*|\Z)", re.IGNORECASE)
_SWALLOWED = re.compile(r",$|\s(?:#|//|/\*)")  # one blank: a search over many of them would try each as the first
_CHARACTER = re.compile(r"\r\n|.", re.DOTALL)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}

_REASONS = {
    "Bad key name (eof)": "the file ends where a key was expected: is a } or a quote missing?",
    "Found whitespace in your key name": "a key with a space in it needs quotes, and every key needs a : after it",
    "Found ':' but no key name": "there is a : with no key before it",
    "Invalid \\X escape": 'a \\ must be followed by one of " \\ / b f n r t u; a plain backslash is written \\\\',
    "Invalid \\u": "a \\u must be followed by four hexadecimal digits",
    "Unterminated string": "the text that opens here is never closed: is a quote missing?",
    "Extra data": "there is something after the end: is there a } too many?",
}


class BadFileError(ConfigError):
    """A settings file that cannot be used, with all that is wrong in it; `line` and `column` are those of the first."""

    def __init__(
        self, path: str, problems: tuple[str, ...], *, line: int | None = None, column: int | None = None
    ) -> None:
        shown = list(problems[:SHOWN_PROBLEMS])
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(f"… and {len(problems) - SHOWN_PROBLEMS} more")
        super().__init__("\n".join(shown))
        self.path = path
        self.problems = problems
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Member:
    """Where a key of the outermost object stands in the text: its first character, its value, the comma after it."""

    key: str
    start: int
    value: int
    end: int
    comma: int | None = None


@dataclass(frozen=True)
class Document:
    """A file's content as plain Python values. `swallowed`: unquoted texts that took a comma or comment with them.

    `members` and `closing` (the last brace, None without one) count characters of the text as it was given to `parse`.
    """

    path: str
    data: dict[str, Any]
    lines: Mapping[KeyPath, int]
    swallowed: tuple[KeyPath, ...] = ()
    members: tuple[Member, ...] = ()
    closing: int | None = None
    values: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)
    """Where the value of each key stands, in characters of the text without its mark and with its line ends made alike."""

    def line_of(self, key: KeyPath) -> int | None:
        """The line on which this key (or this item of a list) stands."""
        return self.lines.get(key)


def read(path: Path) -> str:
    """The text of a file. FileNotFoundError stays one: only the caller knows what a missing file means."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadFileError(str(path), (f"{path}: this is not a file",))
        with path.open("rb") as file:
            raw = file.read(4 * MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadFileError(str(path), (f"{path}: cannot be read: {reason}",)) from error
    if len(raw) > 4 * MAX_CHARACTERS:
        raise _too_big(str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        reason = "this is not UTF-8 text: save the file as UTF-8"
        sentence = f"{path} line {line} column {column}: {reason}"
        raise BadFileError(str(path), (sentence,), line=line, column=column) from error


def parse(text: str, path: str) -> Document:
    """Take a text apart, or raise ConfigError naming file, line, column and reason."""
    if len(text) > MAX_CHARACTERS:
        raise _too_big(path)
    # A line break in front, so that every line begins after one; line numbers below count it.
    source = "\n" + alike(text)
    parser = _Parser(source)
    try:
        data = parser.run()
    except _Stop as stop:
        reason, at = stop.reason, stop.at
    except HjsonDecodeError as error:
        reason, at = _own_words(str(error.msg)), int(error.pos)
    except (ValueError, IndexError, KeyError, OverflowError, RecursionError):
        reason, at = "this cannot be read as JSON or HJSON", parser.last
    else:
        lines = {key: source.count("\n", 0, position) for key, position in parser.places.items()}
        members, closing = _in_original(text, parser)
        return Document(path, data, lines, tuple(parser.swallowed), members, closing, parser.values)
    at = max(1, min(at, len(source)))
    line, column = max(1, source.count("\n", 0, at)), at - source.rfind("\n", 0, at)
    raise BadFileError(path, (f"{path} line {line} column {column}: {reason}",), line=line, column=column)


def alike(text: str) -> str:
    """The text without a byte order mark, every line ended in the same way."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def name_of_type(value: object) -> str:
    """What a value is called in a message: "a number", "a list" …"""
    return _TYPE_NAMES.get(type(value), "something else")


def _in_original(text: str, parser: _Parser) -> tuple[tuple[Member, ...], int | None]:
    """The parser's positions as positions in the text before its line ends were made alike."""
    if text[:1] != "\ufeff" and "\r" not in text:
        original: Callable[[int], int] = lambda at: at - 1  # noqa: E731 - the common case costs nothing
    else:
        starts = [match.start() for match in _CHARACTER.finditer(text, 1 if text[:1] == "\ufeff" else 0)]
        starts.append(len(text))
        original = lambda at: starts[at - 1]  # noqa: E731
    members = tuple(
        Member(
            each.key,
            original(each.start),
            original(each.value),
            original(each.end),
            None if each.comma is None else original(each.comma),
        )
        for each in parser.members
    )
    return members, None if parser.closing is None else original(parser.closing)


def _too_big(path: str) -> BadFileError:
    return BadFileError(path, (f"{path}: larger than {MAX_CHARACTERS // 1024} KiB, which no settings file should be",))


def _own_words(message: str) -> str:
    for start, reason in _REASONS.items():
        if message.startswith(start):
            return reason
    return message.replace("%r", "character").strip()


class _Stop(Exception):
    """Where and why reading stopped."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


class _Parser:
    """One reading of one text, by one thread: hjson's scanner with our objects, lists and bare values put into it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.places: dict[KeyPath, int] = {}
        self.values: dict[KeyPath, tuple[int, int]] = {}
        self.swallowed: list[KeyPath] = []
        self.members: list[Member] = []
        self.closing: int | None = None
        self.path: list[str | int] = []
        self.last = 0

    def run(self) -> dict[str, Any]:
        decoder = HjsonDecoder()
        decoder.parse_object = self._object
        decoder.parse_array = self._array
        decoder.parse_string = self._quoted
        decoder.parse_mlstring = self._multiline
        decoder.parse_tfnns = self._bare
        decoder.scan_once, decoder.scan_object_once = make_scanner(decoder)
        nul = self.source.find("\0")
        if nul >= 0:
            raise _Stop("there is a NUL character: this is not a text file", nul)
        first, at = self._next(0)
        if first == "":
            raise _Stop('the file holds nothing; the least is "{}"', 1)
        if first == "[":
            raise _Stop("the file must hold an object: { … }, not a list", at)
        data, end = decoder.raw_decode(self.source)
        after, at = self._next(end)
        if after != "":
            raise _Stop(_REASONS["Extra data"], at)
        if not isinstance(data, dict):
            raise _Stop(f"the file must hold an object: {{ … }}, not {name_of_type(data)}", 1)
        return data

    def _next(self, at: int) -> tuple[str, int]:
        """The next character that is neither space nor comment."""
        try:
            character, found = getNext(self.source, at)
        except IndexError:
            raise _Stop("a comment that opens with /* is never closed", self.source.rfind("/*")) from None
        self.last = found
        return str(character), int(found)

    def _enter(self, key: str | int, at: int) -> None:
        self.path.append(key)
        self.places[tuple(self.path)] = at
        if len(self.path) > MAX_DEPTH:
            raise _Stop(f"nested more than {MAX_DEPTH} deep", at)

    def _object(
        self,
        state: tuple[str, int],
        _encoding: object,
        _strict: object,
        scan_once: Any,
        _hook: object,
        _pairs_hook: object,
        _memo: object,
        without_braces: bool = False,
    ) -> tuple[dict[str, Any], int]:
        source, opened = state
        found: dict[str, Any] = {}
        character, at = self._next(opened)
        while True:
            if character == "" and without_braces:
                return found, at
            if character == "":
                line = max(1, source.count("\n", 0, opened))
                raise _Stop(f"the file ends, but the {{ of line {line} is never closed", at)
            if character == "}" and not without_braces:
                if not self.path:
                    self.closing = at
                return found, at + 1
            started = at
            if character in "\"'":
                key, at = self._quoted(source, at + 1)
            else:
                key, at = scanKeyName(source, at)
            character, at = self._next(at)
            if character != ":":
                raise _Stop(f"a : was expected after the key {_short(key)}", at)
            if key in found:
                line = source.count("\n", 0, self.places[(*self.path, key)])
                raise _Stop(f"the key {_short(key)} was already given in line {line}", started)
            self._enter(key, started)
            character, value_at = self._next(at + 1)
            found[key], end = self._value(scan_once, value_at)
            self.values[tuple(self.path)] = (value_at - 1, end - 1)
            self.path.pop()
            character, at = self._next(end)
            if not self.path:
                self.members.append(Member(key, started, value_at, end, at if character == "," else None))
            if character == ",":
                character, at = self._next(at + 1)

    def _array(self, state: tuple[str, int], scan_once: Any) -> tuple[list[Any], int]:
        source, opened = state
        found: list[Any] = []
        character, at = self._next(opened)
        while True:
            if character == "":
                line = max(1, source.count("\n", 0, opened))
                raise _Stop(f"the file ends, but the [ of line {line} is never closed", at)
            if character == "]":
                return found, at + 1
            self._enter(len(found), at)
            value, at = self._value(scan_once, at)
            found.append(value)
            self.path.pop()
            character, at = self._next(at)
            if character == ",":
                character, at = self._next(at + 1)

    def _value(self, scan_once: Any, at: int) -> tuple[Any, int]:
        if at >= len(self.source):
            raise _Stop("the file ends where a value was expected", at)
        value, end = scan_once(self.source, at)
        return value, int(end)

    def _quoted(self, source: str, at: int, _encoding: object = None, _strict: object = True) -> tuple[str, int]:
        try:
            text, end = scanstring(source, at)
        except HjsonDecodeError as error:
            if str(error.msg).startswith("Invalid control character"):
                if source[error.pos - 1 : error.pos] == "\n":
                    raise _Stop(
                        "the text that opens here is not closed on its line: is a quote missing?", at - 1
                    ) from None
                raise _Stop("a control character stands in a text; write it as \\t or \\u00XX", error.pos - 1) from None
            raise
        except ValueError:
            raise _Stop(_REASONS["Invalid \\u"], at - 1) from None
        return self._checked(str(text), at - 1), int(end)

    def _multiline(self, source: str, at: int) -> tuple[str, int]:
        """A text between three quotes; its lines' indent, up to the column of the quotes, is no part of it."""
        end = source.find("'''", at + 3)
        if end < 0:
            raise _Stop("the text that opens with ''' is never closed", at)
        indent = at - source.rfind("\n", 0, at) - 1
        first, *others = source[at + 3 : end].split("\n")
        lines = [line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in others]
        if first.lstrip(" \t") or not others:
            lines.insert(0, first.lstrip(" \t"))
        return self._checked("\n".join(lines).removesuffix("\n"), at), end + 3

    def _bare(self, _context: object, source: str, at: int) -> tuple[str | float | bool | None, int]:
        """A value without quotes: true, false, null, a number, or else the whole rest of the line as a text."""
        if source[at] in "{}[],:":
            raise _Stop(f"a value was expected before this {source[at]}", at)
        if match := _BARE.match(source, at):
            return self._scalar(match, at), match.end()
        end = source.find("\n", at)
        end = len(source) if end < 0 else end
        text = source[at:end].strip()
        if _NO_NUMBER.match(text):
            raise _Stop(f"{_short(text.rstrip(', '))} is not a number that can be used", at)
        if _SWALLOWED.search(text):
            self.swallowed.append(tuple(self.path))
        return self._checked(text, at), end

    def _scalar(self, match: re.Match[str], at: int) -> float | bool | None:
        if match["word"]:
            return _WORDS[match["word"]]
        if match.end() - match.start() > MAX_DIGITS:
            raise _Stop("this number has too many digits", at)
        if not match["frac"] and not match["exp"]:
            return int(match["int"])
        number = float(match["int"] + (match["frac"] or "") + (match["exp"] or ""))
        if not math.isfinite(number):
            raise _Stop("this number is too large", at)
        return int(number) if number == int(number) and abs(number) < 1e10 else number

    def _checked(self, text: str, at: int) -> str:
        """Half of a surrogate pair cannot be sent or stored."""
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _Stop("half of a \\uD83D\\uDE00 pair stands alone", at)
        return text


def _short(text: str) -> str:
    text = text if len(text) <= 40 else text[:39] + "…"
    return '"' + "".join(character if character.isprintable() else "�" for character in text) + '"'
