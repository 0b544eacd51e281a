"""The gate that secrets do not pass: everything for rooms, logs and screens goes through it."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final

MASK: Final = "********"
# A pattern is looked for only where one of its words stands: that is twenty times as fast, and most lines have none. The
# words are looked for in folded text, where whatever a pattern that ignores case takes for these letters is these letters.
_PATTERNS: Final = (
    (("bearer",), re.compile(r"(?i)(bearer\s+)[a-z0-9._~+/=-]{8,}")),
    (
        ("token", "passw", "secret"),
        re.compile(r"(?i)((?:access_token|api_token|password|passwd|secret)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&}]{4,}"),
    ),
    (("syt_",), re.compile(r"()\bsyt_[A-Za-z0-9_]{10,}")),
)
_KEY_MARK: Final = re.compile(r"-----(BEGIN|END) [A-Z ]{0,60}PRIVATE KEY-----")
_TAG: Final = re.compile(r"(<(?!br>)[^>]*>)")
# All that is not shown but a line break: controls, half characters, marks of direction, and line ends of other kinds.
_STEERING: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_IDENTIFIERS: Final = (
    re.compile(r"@[a-z0-9._=/+-]+:[A-Za-z0-9.:-]+"),
    re.compile(r"![A-Za-z0-9_-]{10,}(?::[A-Za-z0-9.:-]+)?"),
    re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
)


class Redactor:
    """Replaces known secrets (asked for anew each time, so that a reloaded file counts) and well-known forms."""

    def __init__(self, secrets: Callable[[], Iterable[str]], *, identifiers: bool | Callable[[], bool] = False) -> None:
        self._sources: tuple[Callable[[], Iterable[str]], ...] = (secrets,)
        self._identifiers = identifiers if callable(identifiers) else lambda: bool(identifiers)

    def know(self, secrets: Callable[[], Iterable[str]]) -> None:
        """More secrets, asked for anew each time as well. Called before there are other threads."""
        self._sources = (*self._sources, secrets)

    def clean(self, value: str) -> str:
        """The text without secrets."""
        for secrets in self._sources:
            for secret in secrets():
                if len(secret) >= 4:
                    value = value.replace(secret, MASK)
        folded = value.casefold()
        for words, pattern in _PATTERNS:
            if any(word in folded for word in words):
                value = pattern.sub(rf"\1{MASK}", value)
        return _without_keys(value) if "private key" in folded else value

    def clean_html(self, marked: str) -> str:
        """The HTML of a Text without secrets: they are looked for as they read, not as they are escaped."""
        parts = _TAG.split(marked)
        for index in range(0, len(parts), 2):  # the others are tags; \v stands for a line break and is white space
            shown = html.unescape(parts[index].replace("<br>", "\v"))
            parts[index] = html.escape(self.clean(shown)).replace("\v", "<br>")
        return "".join(parts)

    def clean_for_log(self, value: str) -> str:
        """Also without names of people, rooms and addresses, when that was asked for (`-R`)."""
        value = self.clean(value)
        for pattern in _IDENTIFIERS if self._identifiers() else ():
            value = pattern.sub("[redacted]", value)
        return value


def _without_keys(value: str) -> str:
    """The text without what stands between the BEGIN of a private key and its END, or the next BEGIN.

    Mark by mark: a job may print as many of either as it likes, and one pattern for all of it would search for so long that
    the whole process stands still.
    """
    parts: list[str] = []
    done = 0  # up to where it was looked at
    open_at: int | None = None  # where the key begins that has not ended yet
    for mark in _KEY_MARK.finditer(value):
        begins = mark[1] == "BEGIN"
        if open_at is not None:
            parts += [value[done:open_at], MASK]
            done = mark.start() if begins else mark.end()
        open_at = mark.end() if begins else None
    return "".join([*parts, value[done:]])


class RedactingFormatter(logging.Formatter):
    """Formats a log record, with its traceback, and then takes the secrets out.

    What strangers called their devices, events and rooms steers no terminal and makes no line that looks like a record of its
    own: control characters are written as escapes, and all lines but the first of a record are indented.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(threadName)-10s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        said = self._redactor.clean_for_log(super().format(record))
        if said.isprintable():
            return said
        return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), said).replace("\n", "\n    ")
