"""messages.json: what the bot says when it may be playful. The manager of the file; its texts stand in texts.py."""

from __future__ import annotations

import random
from pathlib import Path

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import tones
from chatrixcd_threads.settings.hot import HotFile, Kind
from chatrixcd_threads.settings.manager import FileManager
from chatrixcd_threads.settings.texts import DEFAULT_MESSAGES, PLACEHOLDERS, Messages, check, cut, escape, render
from chatrixcd_threads.threads.rwlock import RWLock

__all__ = ["DEFAULT_MESSAGES", "KIND", "PLACEHOLDERS", "MessageManager", "Messages", "check", "cut", "escape"]

KIND: Kind[Messages] = Kind(
    check=lambda document: (check(document), ()),
    defaults=DEFAULT_MESSAGES,
    shown=lambda messages: {category: " | ".join(texts) for category, texts in messages.items()},
    danger=lambda old, new: "",
)


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

    def get_random_message(self, category: str, *, tone: str = tones.PLAYFUL, **values: str) -> str:
        """One text of a category, as Markdown, with the values in it as plain text; empty when the tone is silent.

        Texts that need a value which is not given are passed over; if all do, a dash stands for the value.
        """
        texts = tones.choose(self.hot.now, tone, category)
        able = [text for text in texts if all(field is None or field in values for _, field in cut(text))]
        return render(self._rng.choice(able or texts), values) if texts else ""

    def get_all_messages(self, category: str) -> tuple[str, ...]:
        """Every text of a category, with its placeholders."""
        return self.hot.now[category]
