"""How tasks, statuses and times are shown. One table for all statuses; an unknown one is shown as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import humanize

from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.text.markup import Text, bold, text

SYMBOLS: Final = {
    "waiting": "🕒",
    "starting": "🕒",
    "running": "▶",
    "waiting_confirmation": "❓",
    "confirmed": "▶",
    "rejected": "✖",
    "stopping": "🛑",
    "stopped": "⏹",
    "success": "✅",
    "error": "❌",
    "gone": "❔",
}
WORDS: Final = {"error": "failed", "waiting_confirmation": "waits for a confirmation in Semaphore"}


def status(name: str) -> Text:
    """A status with symbol and word: never one of them alone."""
    return text(f"{SYMBOLS.get(name, '❔')} ") + bold(WORDS.get(name, name.replace("_", " ")))


def duration(task: Task, now: float) -> str:
    """How long the task has run, as people say it; empty when it never started."""
    span = task.duration(datetime.fromtimestamp(now, UTC))
    if span is None:
        return ""
    if span.total_seconds() < 1:
        return "less than a second"
    return humanize.precisedelta(span, minimum_unit="seconds", format="%0.0f")


def asker(task: Task) -> str:
    """Who asked for the task: the person in the bot's message, else Semaphore's user."""
    _, found, rest = task.message.rpartition("asked by ")  # what is before may be anybody's words
    return rest.split(" ", 1)[0] if found else task.user_name
