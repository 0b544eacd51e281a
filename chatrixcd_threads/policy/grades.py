"""How sure a person must be: the grade of a launch's question, by patterns in `bot.confirm`."""

from __future__ import annotations

import fnmatch
from enum import StrEnum

from chatrixcd_threads.settings.model import BotSettings


class Grade(StrEnum):
    """low: no question; normal: a yes; high: the template's name, typed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def grade_of(bot: BotSettings, project: str, template: str) -> Grade:
    """The grade of the first pattern that fits `project/template`, whatever its case; normal when none does."""
    name = f"{project}/{template}".casefold()
    for pattern, grade in bot.confirm.items():
        if fnmatch.fnmatchcase(name, pattern.casefold()):
            return Grade(grade)
    return Grade.NORMAL
