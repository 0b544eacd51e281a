"""messages.json: what the bot says when it may be playful. Texts are checked when loaded, not when used."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from types import MappingProxyType

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import BadFileError, Document, KeyPath, name_of_type
from chatrixcd_threads.settings.hot import HotFile, Kind
from chatrixcd_threads.settings.manager import FileManager
from chatrixcd_threads.threads.rwlock import RWLock

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

DEFAULT_MESSAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "greetings": (
            "Good to have you here, {name}. ☕",
            "{name}, right on time. 🕰️",
            "At your service, {name}. 🫖",
            "A wild {name} appears! 🌿",
            "{name}! The build gods were just asking about you. ⛩️",
            "Lights on, {name} is back. 💡",
            "Nice to read you, {name}. 📖",
            "Present and polished, {name}. 🧽",
        ),
        "brush_off": (
            "That lever is out of reach for you, I am afraid. 🪜",
            "My instructions say: not from you, and I keep them. 📜",
            "I would, but my admins would have my fuses. 🔌",
            "This door wants a key that you do not carry. 🗝️",
            "Only a few may press this one. You are not on my list yet. 📋",
            "I shook my head, but you cannot see that. So: no. 🤖",
        ),
        "cancel": (
            "Put back on the shelf, nothing was started. 📦",
            "Understood: it stays as it is. 🌱",
            "Called off, and nobody was harmed. 🕊️",
            "Good, I keep my hands off it. 🧤",
            "Forgotten already. What was it again? 🐟",
            "Not today, then. The button will still be here tomorrow. 🌅",
        ),
        "timeout": (
            "No answer came, so I let it go. Nothing was started. 🍂",
            "The question went cold and I poured it away. 🍵",
            "I counted to the end and heard only crickets. 🦗",
            "My patience is large but has a setting, and it has just run out. ⏳",
            "The moment has passed. Ask me again when you are ready. 🚏",
            "Silence is not a yes to me, so nothing happened. 🧘",
        ),
        "task_start": (
            "**{task_name}** has left the harbour. ⛵",
            "Wheels are turning for **{task_name}**. ⚙️",
            "**{task_name}** is off, I keep an eye on it. 👀",
            "The oven is hot and **{task_name}** is in it. 🥧",
            "Signal is green for **{task_name}**. 🚦",
            "**{task_name}** is on its way, I shall report. 🐦",
        ),
        "ping_success": (
            "Semaphore answered before I had finished asking, {user_name}. ⚡",
            "{user_name}, I knocked and Semaphore opened. 🚪",
            "The line to Semaphore is clear, {user_name}. ☎️",
            "Semaphore waves its flags at you, {user_name}. 🚩",
            "{user_name}, all quiet and all well on the other side. 🌤️",
            "Heard loud and clear from Semaphore, {user_name}. 📻",
        ),
        "pet": (
            "My fans just spun up a little, {user_name}. 🌀",
            "{user_name}, that goes straight into my changelog. 📝",
            "I run two degrees warmer now. Thank you, {user_name}. 🌡️",
            "Who needs uptime awards when there is {user_name}? 🏅",
            "{user_name}, I would wag if I had shipped with a tail. 🐾",
            "Saved to long-term memory: {user_name} is kind. 💾",
        ),
        "scold": (
            "Point taken, {user_name}. I go and sit in the staging area. 🪑",
            "{user_name}, I hear you, and I shall look at my logs in shame. 🪵",
            "That one was on me, {user_name}. 🩹",
            "I have opened a ticket against myself, {user_name}. 🎫",
            "Fair, {user_name}. Even robots have Mondays. 🌧️",
            "{user_name}, I promise to be a better bot after the next restart. 🔁",
        ),
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


class MessageManager(FileManager[Messages]):
    """The texts in force. Any thread may ask for one; the rest belongs to one thread at a time."""

    def __init__(
        self,
        messages_file: str | Path = "messages.json",
        auto_reload: bool = False,
        *,
        rng: random.Random | None = None,
        lock: RWLock | None = None,
    ) -> None:
        self.messages_file = Path(messages_file)
        self._rng = rng or random.Random()
        hot = HotFile(self.messages_file, KIND, lock=lock)
        try:
            hot.load()
        except ConfigError as error:  # no good version was ever kept: the defaults stay, and the error is told
            hot.error = error
        super().__init__(hot, auto_reload)

    @property
    def error(self) -> ConfigError | None:
        """What is wrong with the file now, while older texts are in force."""
        return self.hot.error

    def load_messages(self) -> bool:
        """Reads the file anew. True when it is in force; a bad or missing file changes nothing but `error`."""
        self.hot.check_for_changes(force=True)
        return self.hot.error is None and self.hot.version.text is not None

    def get_random_message(self, category: str, **values: str) -> str:
        """One text of a category, as Markdown, with the values in it as plain text.

        Texts that need a value which is not given are passed over; if all do, a dash stands for the value.
        """
        texts = [cut(text) for text in self.hot.now[category]]
        able = [pieces for pieces in texts if all(field is None or field in values for _, field in pieces)]
        pieces = self._rng.choice(able or texts)
        return "".join(text + (escape(str(values.get(field, ""))) or "—" if field else "") for text, field in pieces)

    def get_all_messages(self, category: str) -> tuple[str, ...]:
        """Every text of a category, with its placeholders."""
        return self.hot.now[category]


def check(document: Document) -> Mapping[str, tuple[str, ...]]:
    """The texts of a file over the default ones; or ConfigError with everything that is wrong in it."""
    found = dict(DEFAULT_MESSAGES)
    problems: list[tuple[int, str]] = []

    def problem(path: KeyPath, sentence: str) -> None:
        line = document.line_of(path)
        place = document.path if line is None else f"{document.path} line {line}"
        problems.append((line or 0, f"{place}: {sentence}"))

    for category, texts in document.data.items():
        if category.startswith("_") or category == "$schema" or (category in PLACEHOLDERS and texts is None):
            continue
        if category not in PLACEHOLDERS:
            near = difflib.get_close_matches(category[:100].lower(), list(PLACEHOLDERS), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
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


KIND: Kind[Messages] = Kind(
    check=lambda document: (check(document), ()),
    defaults=DEFAULT_MESSAGES,
    shown=lambda messages: {category: " | ".join(texts) for category, texts in messages.items()},
    danger=lambda old, new: "",
)


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
    near = difflib.get_close_matches(unknown[0], sorted(PLACEHOLDERS[category]), n=1)
    hint = f"did you mean {{{near[0]}}}?" if near else f"here stand {known}"
    return f"unknown placeholder {{{unknown[0][:40]}}} ({hint})"
