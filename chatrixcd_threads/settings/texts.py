"""The playful texts: the eight categories, which texts may stand in them, and the packs that come with the bot.

Texts are checked when a file is loaded, never when one is used. No wording stands in the code: the defaults are a pack.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Final

from chatrixcd_threads.errors import NotFound
from chatrixcd_threads.settings.document import BadFileError, Document, KeyPath, name_of_type, parse, read
from chatrixcd_threads.text.nearest import nearest

PACKS: Final = Path(__file__).with_name("packs")
DEFAULT_PACK: Final = "playful"

MAX_MESSAGE = 2000

# A text cut at its placeholders: pairs of plain text and the name of what follows it (None at the end).
Pieces = tuple[tuple[str, str | None], ...]

PLACEHOLDERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "greetings": frozenset({"name", "user_name"}),
        "brush_off": frozenset({"user_name"}),
        "cancel": frozenset({"task_name", "user_name"}),
        "timeout": frozenset({"task_name", "user_name"}),
        "task_start": frozenset({"task_name", "user_name"}),
        "ping_success": frozenset({"user_name"}),
        "pet": frozenset({"user_name"}),
        "scold": frozenset({"user_name"}),
    }
)

# When a text of the category is said; shown by editors and by the command `messages`.
USED: Mapping[str, str] = MappingProxyType(
    {
        "greetings": "At the head of an answer.",
        "brush_off": "For people who may not do what they asked for; the plain reason follows by itself.",
        "cancel": "When a question was answered with no.",
        "timeout": "When nobody answered a question in time.",
        "task_start": "When a task was started.",
        "ping_success": "When Semaphore answers a ping.",
        "pet": "For those who are nice to the bot.",
        "scold": "For those who are not.",
    }
)

_SPACE = re.compile(r"\s+")
_INVISIBLE = re.compile("[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]")
_INLINE_MARKUP = re.compile(r"([\\`*_\[\]<>&~|#])")
_LINE_MARKUP = re.compile(r"^([+\-=(!.)]|[0-9]{1,9}(?=[.)]))")


def escape(value: str) -> str:
    """A value as Markdown that shows exactly this value: one line, and no character of it means anything."""
    text = _INVISIBLE.sub("", _SPACE.sub(" ", value)).strip()
    text = _INLINE_MARKUP.sub(r"\\\1", text)
    start = _LINE_MARKUP.match(text)
    if not start:
        return text
    cut = start.end()
    return f"\\{text}" if not start[1].isdigit() else f"{text[:cut]}\\{text[cut:]}"


def cut(text: str) -> Pieces:
    """A text cut at its placeholders. ValueError says what is wrong with it; nothing but {name} is a placeholder."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError("a lone { or } stands in it; a brace that is meant to be seen is written twice") from error
    pieces: list[tuple[str, str | None]] = []
    for literal, field, spec, conversion in parts:
        if field is not None and (spec or conversion or not field.isidentifier()):
            raise ValueError(f"{{{field}}} is not a plain placeholder like {{user_name}}")
        pieces.append((literal, field))
    return tuple(pieces)


Messages = Mapping[str, tuple[str, ...]]


def render(text: str, values: Mapping[str, str]) -> str:
    """A text with the values in it as plain text; a dash stands for one that is missing or empty."""
    return "".join(text + (escape(str(values.get(field, ""))) or "—" if field else "") for text, field in cut(text))


def check(document: Document, base: Messages | None = None) -> Messages:
    """The texts of a file over the default ones; or ConfigError with everything that is wrong in it."""
    found = dict(DEFAULT_MESSAGES if base is None else base)
    problems: list[tuple[int, str]] = []

    def problem(path: KeyPath, sentence: str) -> None:
        line = document.line_of(path)
        place = document.path if line is None else f"{document.path} line {line}"
        problems.append((line or 0, f"{place}: {sentence}"))

    for category, texts in document.data.items():
        if category.startswith("_") or category == "$schema" or (category in PLACEHOLDERS and texts is None):
            continue
        if category not in PLACEHOLDERS:
            near = nearest(category, PLACEHOLDERS)
            hint = f" (did you mean {near}?)" if near else ""
            problem((category,), f"unknown category {category[:80]!r}{hint}")
        elif not isinstance(texts, list):
            problem((category,), f"{category}: expected a list of texts, got {name_of_type(texts)}")
        elif not texts:
            problem(
                (category,), f"{category}: the list is empty; leave the key out to get the texts that come with the bot"
            )
        else:
            for index, text in enumerate(texts):
                if reason := _wrong(category, text):
                    problem((category, index), f"{category}: {reason}")
            found[category] = tuple(texts)
    if problems:
        ordered = sorted(problems, key=lambda item: item[0])
        raise BadFileError(document.path, tuple(sentence for _, sentence in ordered), line=ordered[0][0] or None)
    return MappingProxyType(found)


def _wrong(category: str, text: object) -> str | None:
    if not isinstance(text, str):
        return f"expected a text, got {name_of_type(text)}"
    if not text.strip():
        return "a text is empty"
    if len(text) > MAX_MESSAGE:
        return f"a text is longer than {MAX_MESSAGE} characters"
    try:
        fields = {field for _, field in cut(text) if field is not None}
    except ValueError as error:
        return str(error)
    unknown = sorted(fields - PLACEHOLDERS[category])
    if not unknown:
        return None
    known = " and ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS[category]))
    near = nearest(unknown[0], sorted(PLACEHOLDERS[category]))
    hint = f"did you mean {{{near}}}?" if near else f"here stand {known}"
    return f"unknown placeholder {{{unknown[0][:40]}}} ({hint})"


def pack_names() -> tuple[str, ...]:
    """The packs that come with the bot."""
    return tuple(sorted(path.stem for path in PACKS.glob("*.json")))


def pack_text(name: str) -> str:
    """A pack as the text of a messages file."""
    names = pack_names()
    if name not in names:
        near = nearest(name, names)
        hint = f" Did you mean “{near}”?" if near else ""
        raise NotFound(f"I did nothing: there is no pack “{name}”.{hint} There are {', '.join(names)}.")
    return read(PACKS / f"{name}.json")


@functools.cache
def read_pack(name: str) -> Messages:
    """The texts of a pack, checked like those of any messages file. A pack has every category."""
    messages = check(parse(pack_text(name), f"{name}.json"), {})
    missing = [category for category in PLACEHOLDERS if category not in messages]
    if missing:
        raise BadFileError(name, (f"{name}.json: {', '.join(missing)}: a pack needs every category",))
    return messages


DEFAULT_MESSAGES: Final = read_pack(DEFAULT_PACK)
