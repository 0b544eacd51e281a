"""The tone of a room: which texts are said there, and that a failure is never told with a joke."""

from __future__ import annotations

from typing import Final

from chatrixcd_threads.settings.model import EVERY_ROOM, BotSettings
from chatrixcd_threads.settings.texts import Messages, read_pack

PLAYFUL: Final = "playful"
FRIENDLY: Final = "friendly"
TERSE: Final = "terse"
SILENT: Final = "silent"


def tone_of(bot: BotSettings, room_id: str, *, failure: bool = False) -> str:
    """The tone for what is said in this room now."""
    return TERSE if failure else bot.tones.get(room_id, bot.tones.get(EVERY_ROOM, PLAYFUL))


def choose(messages: Messages, tone: str, category: str) -> tuple[str, ...]:
    """The texts to choose from: playful means the file in force, silent means none."""
    in_force = messages[category]
    match tone:
        case "silent":
            return ()
        case "terse" | "friendly":
            return read_pack(tone)[category]
        case _:
            return in_force
