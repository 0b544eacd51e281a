"""Rich text that always has a plain twin with the same facts.

A Text is made of pieces whose values are escaped when they are put in; there is no later step in which a name with
angle brackets or asterisks could turn into markup. The HTML uses only tags that Matrix clients accept.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from markdown_it import MarkdownIt

_BLOCK_ENDS: Final = ("</table>", "</ul>", "</pre>")
# Controls, marks of direction, and what takes no room at all but for the joiners that some scripts and pictures need.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
# Alone: a search for the blanks around it would try each of many as the first, and hold up the whole process.
_LINE_END: Final = re.compile(r"[\n\x0b\x0c\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both forms. Add Texts to join them."""

    plain: str = ""
    html: str = ""

    def __add__(self, other: Text | str) -> Text:
        more = text(other)
        return Text(self.plain + more.plain, self.html + more.html)

    def __bool__(self) -> bool:
        return bool(self.plain)


def clean(value: str) -> str:
    """Without control characters, marks that turn the reading direction around, and characters that nobody can see."""
    return _UNPRINTABLE.sub("", value)


def one_line(value: str) -> str:
    """A name or the like as one line: with line breaks in it a template could write sentences of its own into a question."""
    parts = _LINE_END.split(value)
    return clean(value if len(parts) == 1 else " ".join(filter(None, map(str.strip, parts))))


def text(value: object) -> Text:
    """Any value as text, escaped. Line breaks are kept."""
    if isinstance(value, Text):
        return value
    plain = clean(str(value))
    return Text(plain, html.escape(plain).replace("\n", "<br>"))


def _tagged(value: object, tag: str, mark: str = "") -> Text:
    inner = text(value)
    return Text(f"{mark}{inner.plain}{mark}", f"<{tag}>{inner.html}</{tag}>")


def bold(value: object) -> Text:
    """Emphasis for the one word that matters."""
    return _tagged(value, "strong")


def code(value: object) -> Text:
    """Something to be typed as it stands."""
    return _tagged(value, "code")


def pre(lines: str) -> Text:
    """Output of a program, as it stands."""
    plain = clean(lines)
    return Text(f"\n{plain}\n", f"<pre><code>{html.escape(plain)}</code></pre>")


def person(user_id: str) -> Text:
    """A Matrix user. Whether they are notified is decided by the message's mentions, not by this."""
    shown = clean(user_id)
    return Text(shown, f'<a href="https://matrix.to/#/{quote(shown, safe="@:")}">{html.escape(shown)}</a>')


def join(parts: Iterable[Text | str], between: Text | str) -> Text:
    """Parts with something between them."""
    glue = text(between)
    pieces = [text(part) for part in parts]
    return Text(glue.plain.join(p.plain for p in pieces), glue.html.join(p.html for p in pieces))


def lines(*parts: Text | str) -> Text:
    """One part a line; empty parts are left out. Lists, tables and output bring their own line breaks."""
    result = Text()
    for part in (text(each) for each in parts):
        if part and result:
            plain = "" if part.plain.startswith("\n") or result.plain.endswith("\n") else "\n"
            marked = "" if part.plain.startswith("\n") or result.html.endswith(_BLOCK_ENDS) else "<br>"
            result += Text(plain, marked)
        result += part
    return result


def bullets(items: Iterable[Text | str]) -> Text:
    """A list."""
    pieces = [text(item) for item in items]
    return Text(
        "".join(f"\n• {p.plain}" for p in pieces),
        "<ul>" + "".join(f"<li>{p.html}</li>" for p in pieces) + "</ul>" if pieces else "",
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Text:
    """A table; the plain twin has aligned columns."""
    cells = [[text(cell) for cell in row] for row in rows]
    widths = [
        max(len(head[i]), *(len(row[i].plain) for row in cells)) if cells else len(head[i]) for i in range(len(head))
    ]
    plain = "".join(
        "\n" + "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in ([*head], *([cell.plain for cell in row] for row in cells))
    )
    marked = "".join("<tr>" + "".join(f"<td>{cell.html}</td>" for cell in row) + "</tr>" for row in cells)
    header = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return Text(plain, f"<table><thead><tr>{header}</tr></thead><tbody>{marked}</tbody></table>")


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("zero", {"html": False}).enable(["emphasis", "backticks", "escape"])


def from_markdown(source: str) -> Text:
    """A sentence of messages.json: `**bold**`, `*emphasis*` and `` `code` ``; everything else stands as it is."""
    result = Text()
    for token in _markdown().parseInline(source)[0].children or []:
        if token.type in ("text", "text_special"):
            result += text(token.content)
        elif token.type == "code_inline":
            result += code(token.content)
        elif token.type.endswith(("_open", "_close")):
            slash = "/" if token.nesting < 0 else ""
            result += Text("", f"<{slash}{token.tag}>")
        else:
            result += text("\n")
    return result
