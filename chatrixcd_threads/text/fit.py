"""Makes a text fit into one Matrix event: what is longer becomes a file with a short text."""

from __future__ import annotations

import json
from dataclasses import dataclass

from chatrixcd_threads.text.markup import Text, lines, pre, text

MOST_BYTES = 10_000
"""Escaped JSON bytes of one text. An event holds 65,536, but an encrypted edit carries four copies in base64."""

KEPT_LINES = 20


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message."""

    name: str
    data: bytes


def size(value: Text) -> int:
    """Bytes that the text takes inside an event, as nio and the homeserver count them."""
    return len(json.dumps([value.plain, value.html]))


def fit(value: Text, name: str) -> tuple[Text, Attachment | None]:
    """The text itself when it is short enough, else its beginning and the whole as a file."""
    if size(value) <= MOST_BYTES:
        return value, None
    data = value.plain.encode("utf-8", errors="replace")
    head = "\n".join(line[:200] for line in value.plain.splitlines()[:KEPT_LINES])
    short = lines(pre(head), text(f"… {len(data):,} bytes in all: the whole text is in the file {name}."))
    if size(short) > MOST_BYTES:  # a few very long lines of wide characters
        short = lines(pre(head[:350]), text(f"… the whole text is in the file {name}."))
    return short, Attachment(name, data)
