"""What the admins are told when a settings file was saved: one message a save, in the admin room and in the log."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from chatrixcd_threads.commands.call import Tools
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.events import FileNotice
from chatrixcd_threads.journal import audit, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.settings.hot import Changed, Diff, Held, Mended, Outcome, Refused
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, text

log = logging.getLogger("chatrixcd.files")

ANY_ADMIN: Final = ""  # the asker of a question that every admin may answer
NEEDS_RESTART: Final = frozenset({"matrix.store_path", "bot.workers"})
RECONNECTS: Final = ("matrix.", "semaphore.")
SHOWN_DIFFS: Final = 30


def describe(outcome: Outcome) -> FileNotice:
    """An outcome in words. Values are masked already where they are secret."""
    name = outcome.file.name
    match outcome:
        case Changed():
            touched = {diff.key for diff in outcome.diffs}
            late = [f"{key} counts only after a restart." for key in sorted(touched & NEEDS_RESTART)]
            changes = (*diff_lines(outcome.diffs), *outcome.warnings, *late)
            reconnect = any(key.startswith(RECONNECTS) for key in touched)
            return FileNotice(
                name, f"⚙ {name} was changed and counts now.", changes, reconnect=reconnect, deed=Deed.CONFIG_CHANGED
            )
        case Refused():
            kept = f"The version of {moment(outcome.since)} stays in force."
            return FileNotice(
                name,
                f"⛔ {name} was saved with a mistake and is not used.",
                (*outcome.problem.split("\n"), kept),
                deed=Deed.CONFIG_REFUSED,
            )
        case Held():
            question = f"⚠ {name} was saved, but waits for a yes: {outcome.reason}."
            told = diff_lines(outcome.diffs)
            if outcome.started_with is not None:
                question = f"⚠ {name}, as I found it at the start, waits for a yes: {outcome.reason}."
                told.append(f"I have started with the version of {moment(outcome.started_with)}, the last in force.")
            return FileNotice(name, question, tuple(told), held=outcome.number, deed=Deed.CONFIG_HELD)
        case Mended():
            return FileNotice(
                name, f"✅ {name} is fine again.", (f"The version of {moment(outcome.since)} is still in force.",)
            )


def diff_lines(diffs: Iterable[Diff]) -> list[str]:
    """One line a changed key."""
    shown = [f"{diff.key}: {_short(diff.before)} → {_short(diff.after)}" for diff in diffs]
    more = len(shown) - SHOWN_DIFFS
    return shown if more <= 0 else [*shown[:SHOWN_DIFFS], f"… and {more} more"]


def moment(since: float) -> str:
    """A point in time, as the machine's clock shows it."""
    return datetime.fromtimestamp(since, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= 200 else value[:199] + "…"


class Notices:
    """Any worker thread."""

    def __init__(
        self,
        tools: Callable[[], Tools],
        poster: Poster,
        wake_outbox: Callable[[], None],
        reconnect: Callable[[], list[str]],
    ) -> None:
        self._tools, self._poster, self._wake, self._reconnect = tools, poster, wake_outbox, reconnect

    def tell(self, notice: FileNotice) -> None:
        """Logs and posts a notice; reconnects what the change concerns and says how that went."""
        results = self._reconnect() if notice.reconnect else []
        log.info("%s %s", notice.title, " | ".join((*notice.lines, *results)))
        tools = self._tools()
        room = tools.settings.bot.admin_room
        if not room:
            with tools.journal.write() as tx:
                self._note(tx, notice, tools)
            return
        prefix = tools.settings.bot.command_prefix
        said = lines(
            bold(notice.title),
            bullets([*notice.lines, *results]) if notice.lines or results else "",
            self._how(notice, prefix),
        )
        slot = f"file:{time.time_ns()}"
        with tools.journal.write() as tx:
            self._note(tx, notice, tools)
            self._poster.post(tx, Where(slot, room), said, priority=Priority.STATE)
            if notice.held:
                questions.ask(
                    tx,
                    slot=slot,
                    room_id=room,
                    thread=None,
                    asker=ANY_ADMIN,
                    action="config",
                    payload={"summary": f"the change of {notice.file}", "file": notice.file, "number": notice.held},
                    command_event=slot,
                    now=tools.now(),
                    seconds=tools.settings.bot.question_seconds,
                )
        self._wake()

    def _note(self, tx: sqlite3.Connection, notice: FileNotice, tools: Tools) -> None:
        if notice.deed:
            said = self._poster.clean("; ".join(notice.lines))
            audit.note(tx, Deed(notice.deed), who=notice.by, subject=notice.file, detail=said, now=tools.now())

    def _how(self, notice: FileNotice, prefix: str) -> Text | str:
        if notice.held:
            return "An admin answers with 👍 or 👎 on this message; until then nothing changes."
        if notice.title.startswith("⚙"):
            return text("Any admin can take it back: ") + code(f"{prefix} config undo {notice.file.partition('.')[0]}")
        return ""
