"""From replies to outbox rows. Everything the bot says goes through `post`: size, secrets, relations."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from chatrixcd_threads.journal import outbox
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.text.fit import Attachment, fit
from chatrixcd_threads.text.markup import Text, lines
from chatrixcd_threads.text.redact import Redactor

MOST_WAITING: Final = 96 * 2**20  # bytes of files in the journal; one file is taken in any case
FULL_SENTENCE = "⚠ I do not send the file: others wait to be sent already, and they are large. Please ask again later."


@dataclass(frozen=True, slots=True)
class Where:
    """Where a message goes: a slot in a room, in a thread or as a reply to an event."""

    slot: str
    room_id: str
    thread: str | None = None
    reply_to: str | None = None


def home_of(question: Question) -> Where | None:
    """The message that speaks of a question where the command was said, when it is asked in a direct chat instead."""
    home = question.payload.get("home")
    if not isinstance(home, dict):
        return None
    return Where(home["slot"], home["room_id"], home["thread"], question.command_event)


@dataclass(frozen=True, slots=True)
class Also:
    """Another message that is written, or edited, together with an answer."""

    where: Where
    text: Text
    mention: tuple[str, ...] = ()


class Poster:
    """Writes messages into the outbox; usable from any thread, inside the caller's transaction."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def clean(self, value: str) -> str:
        """A plain text without secrets."""
        return self._redactor.clean(value)

    def post(
        self,
        tx: sqlite3.Connection,
        where: Where,
        text: Text,
        *,
        priority: Priority = Priority.ANSWER,
        file: Attachment | None = None,
        mention: tuple[str, ...] = (),
    ) -> None:
        """One message (or the new content of one), and the file that goes with it."""
        safe = Text(self._redactor.clean(text.plain), self._redactor.clean_html(text.html))
        safe, overflow = fit(safe, "answer.txt")
        files = [
            (each.name, self._redactor.clean(each.data.decode("utf-8", errors="replace")).encode("utf-8"))
            for each in (file, overflow)
            if each is not None
        ]
        waiting = outbox.files_owed(tx) if files else 0
        if waiting and waiting + sum(len(data) for _, data in files) > MOST_WAITING:
            files = []
            safe = lines(safe, FULL_SENTENCE)
        content = {"plain": safe.plain.strip("\n"), "html": safe.html, "mention": list(mention)}
        relation = {"thread": where.thread, "reply_to": where.reply_to}
        outbox.put(tx, where.slot, where.room_id, {**content, **relation}, priority)
        for number, (name, data) in enumerate(files):
            outbox.put(
                tx,
                f"{where.slot}/file{number}",
                where.room_id,
                {"file_name": name, "size": len(data), "mention": [], **relation},
                priority,
                data,
            )
