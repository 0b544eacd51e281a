"""Settings files as people may see them: their lines with the secrets masked, also when a file cannot be parsed."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
import secrets as random_secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import alike, parse
from chatrixcd_threads.settings.keys import SECRETS
from chatrixcd_threads.text.redact import MASK

_SALT: Final = random_secrets.token_bytes(32)  # shows that a secret changed, and nothing about it
_KEYS: Final = tuple(sorted({name.rpartition(".")[2] for name in SECRETS}))
_NAMED: Final = re.compile(r"pas+w|pwd|secret|token|api_?key", re.IGNORECASE)
# In a text that cannot be parsed everything behind such a name counts as its value. Nothing here goes back (what was looked
# at ahead is taken as it is): the text may be made to take long, and a search holds up the whole process.
_AFTER_NAME: Final = re.compile(
    r"(?:pas+w|pwd|secret|token|api_?key)(?=(?P<rest>[\w.-]{0,60}[\"']?\s*[:=]?\s*))(?P=rest)"
    r"(?=[^\s,}\]])(?P<value>'''[\s\S]*?(?:'''|\Z)|.+)",
    re.IGNORECASE,
)
_IN_ADDRESS: Final = re.compile(r"://[^\s/:@\"']*:(?P<value>[^\s/@\"']+)@")

MOST_LINES: Final = 4_000

Span = tuple[int, int]
Clean = Callable[[str], str]


def masked_lines(text: str, clean: Clean = lambda line: line) -> list[str]:
    """The lines of a file, as many as it has. A mask ends with a mark that changes when the secret does.

    `clean` is the gate for secrets that are known by their value; it sees one line at a time.
    """
    text = alike(text).removesuffix("\n")
    made, at = [], 0
    for start, end in _apart(sorted({*_by_key(text), *_spans(_IN_ADDRESS, text)})):
        value = text[start:end]
        made += [text[at:start], f"{MASK} ({_mark(value)})", "\n" * value.count("\n")]
        at = end
    made.append(text[at:])
    return [clean(line) for line in "".join(made).split("\n")]


def unified(before: str | None, after: str | None, name: str, clean: Clean = lambda line: line) -> list[str]:
    """What changes from one text to another, as a unified diff; None: there is no file."""
    old = masked_lines(before, clean) if before is not None else []
    new = masked_lines(after, clean) if after is not None else []
    titles = (f"{name} in force", f"{name} on disk")
    if old != new and len(old) + len(new) > MOST_LINES:
        return [f"--- {titles[0]}", f"+++ {titles[1]}", "@@ too many lines to be compared @@"]
    return list(difflib.unified_diff(old, new, *titles, lineterm=""))


def caret_in(line: str, masked: str, column: int) -> int:
    """Where a column (from 1) of a line stands in its masked form, counted from 0."""
    at = max(0, min(column - 1, len(line)))
    same = _alike(line, masked)
    if at <= same:
        return at
    tail = _alike(line[::-1], masked[::-1])
    return len(masked) - (len(line) - at) if len(line) - at <= tail else same


def _alike(one: str, other: str) -> int:
    """How many characters at the beginning are the same."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _by_key(text: str) -> Iterator[Span]:
    """The values of all keys that are named like a secret."""
    try:
        document = parse(text, "")
    except ConfigError:
        yield from _spans(_AFTER_NAME, text)
        return
    for path, (start, end) in document.values.items():
        if _is_secret(str(path[-1])) and text[start:end].strip("\"' ") not in ("", "null"):
            yield start, end


def _is_secret(key: str) -> bool:
    """Also one that was mistyped."""
    return bool(_NAMED.search(key) or difflib.get_close_matches(key[:40].casefold(), _KEYS, n=1, cutoff=0.75))


def _spans(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    return (match.span("value") for match in pattern.finditer(text))


def _apart(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans that overlap become one."""
    waiting: Span | None = None
    for start, end in spans:
        if waiting is not None and start < waiting[1]:
            waiting = (waiting[0], max(end, waiting[1]))
            continue
        if waiting is not None:
            yield waiting
        waiting = (start, end)
    if waiting is not None:
        yield waiting


def _mark(value: str) -> str:
    return hashlib.blake2b(value.encode(errors="replace"), key=_SALT, digest_size=2).hexdigest()
