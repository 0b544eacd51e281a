"""How sure a person must be: the grade of a launch's question, by patterns in `bot.confirm`."""

from __future__ import annotations

import fnmatch
import unicodedata
from enum import StrEnum

from chatrixcd_threads.settings.model import BotSettings


class Grade(StrEnum):
    """low: no question; normal: a yes; high: the template's name, typed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def grade_of(bot: BotSettings, project: str, template: str) -> Grade:
    """The grade of the first pattern that fits `project/template`, whatever its case and blanks; normal when none does."""
    name = _fold(f"{project}/{template}")
    for pattern, grade in bot.confirm.items():
        if fnmatch.fnmatchcase(name, _fold(pattern)):
            return Grade(grade)
    return Grade.NORMAL


def _fold(text: str) -> str:
    """In any case, any form of a letter, any number of blanks."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
