"""Message packs: whole sets of texts that come with the bot, taken into use or written out as one file."""

from __future__ import annotations

import json
import time

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.hot import Changed
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.texts import (
    DEFAULT_MESSAGES,
    PLACEHOLDERS,
    Messages,
    pack_names,
    pack_text,
    read_pack,
)

__all__ = ["export", "in_force", "names", "read_pack", "use"]

names = pack_names


def use(name: str, manager: MessageManager) -> Changed:
    """Makes messages.json this pack. Only texts of which a copy is kept are written over. Raises ConfigError or NotFound."""
    pack = pack_text(name)

    def change(before: str | None) -> str:
        # Without a file the defaults are kept, so that an undo brings back what was said until now.
        problem = manager.hot.kept.add(export(DEFAULT_MESSAGES) if before is None else before, time.time())
        if problem and before is not None and before not in map(pack_text, names()):
            raise ConfigError(
                f"{manager.messages_file} has texts of its own, and I could not keep a copy of them ({problem}). I changed nothing."
            )
        return pack

    return manager.hot.edit(change)


def in_force(messages: Messages) -> str | None:
    """The pack that these texts are, if they are one unchanged."""
    return next((name for name in names() if read_pack(name) == messages), None)


def export(messages: Messages) -> str:
    """All texts as one messages file, which loads as it is."""
    plain = {category: list(messages[category]) for category in PLACEHOLDERS}
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
