"""Who asked, confirmed, started, stopped and changed what: append-only, each line with the hash of the one before.

A line is written in the transaction of the thing itself. It names templates, tasks, files, rooms and people; never a
secret, and never what people said that was no command.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chatrixcd_threads.journal.db import get_meta, set_meta

LONGEST: Final = 500  # characters of a subject or a detail
_HEAD: Final = "audit"  # meta: number and hash of the newest line, so that a cut-off end is noticed
_COLUMNS: Final = "seq, at, who, room_id, what, subject, detail, hash"


class Deed(StrEnum):
    """What a line tells."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    LAUNCHED = "launched"  # the confirmed launch is recorded; from here on it is sent
    STARTED = "started"  # its task is known
    FAILED = "not started"
    DOUBT = "in doubt"
    MISMATCH = "mismatch"  # the task is not what was asked for, or does not do it
    RESOLVED = "resolved"
    STOPPED = "stopped"  # somebody asked Semaphore to stop a task
    REFUSED = "refused"  # no right, wrong room, a message that could not be trusted
    CONFIG_CHANGED = "config changed"
    CONFIG_UNDONE = "config undone"
    CONFIG_REFUSED = "config refused"
    CONFIG_HELD = "config held"
    INVITED = "invited"
    INVITE_REFUSED = "invite refused"
    JOINED = "joined"
    LEFT = "left"
    PUT_OUT = "put out"
    IDENTITY = "identity reset"
    BOT_STARTED = "bot started"
    BOT_STOPPED = "bot stopped"


SETTINGS: Final = (Deed.CONFIG_CHANGED, Deed.CONFIG_UNDONE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `who` is a person, the console, or empty: then the bot itself or somebody who may write its files."""

    seq: int
    at: float
    who: str
    room_id: str
    what: str
    subject: str
    detail: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of checking the chain: the first line that does not fit (0: none), and where the next check goes on."""

    broken: int
    seq: int
    hash: str


def note(
    tx: sqlite3.Connection,
    what: Deed,
    *,
    who: str = "",
    room_id: str = "",
    subject: str = "",
    detail: str = "",
    now: float,
) -> None:
    """Writes a line, in the transaction of what it tells."""
    seq, before = _head(tx)
    words = [_short(each) for each in (who, room_id, str(what), subject, detail)]
    mark = _hash(before, seq + 1, now, words)
    tx.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", (seq + 1, now, *words, mark))
    set_meta(tx, _HEAD, f"{seq + 1} {mark}")


def newest(connection: sqlite3.Connection, most: int) -> list[Line]:
    """The last lines, newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq DESC LIMIT ?", (most,)).fetchall()
    return [Line(*row) for row in rows]


def last_of(connection: sqlite3.Connection, deeds: Iterable[Deed]) -> Line | None:
    """The newest line of one of these kinds."""
    wanted = [str(each) for each in deeds]
    marks = ",".join("?" * len(wanted))
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE what IN ({marks}) ORDER BY seq DESC LIMIT 1", wanted
    ).fetchone()
    return None if row is None else Line(*row)


def since(connection: sqlite3.Connection, what: Deed, at: float, most: int = 1_000) -> list[Line]:
    """The lines of one kind after a moment, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE what = ? AND at > ? ORDER BY at DESC, seq DESC LIMIT ?",
        (str(what), at, most),
    ).fetchall()
    return [Line(*row) for row in rows]


def verify(connection: sqlite3.Connection, after: Verdict | None = None) -> Verdict:
    """Checks every line, or only those after an earlier verdict; to be read in one transaction with its end."""
    seq, before = (after.seq, after.hash) if after is not None else (0, _origin(connection))
    head = _head(connection)  # read first: lines that come meanwhile are left to the next check
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq", (seq, head[0]))
    for row in rows:
        line = Line(*row)
        words = [line.who, line.room_id, line.what, line.subject, line.detail]
        if line.seq != seq + 1 or line.hash != _hash(before, line.seq, line.at, words):
            return Verdict(seq + 1, seq, before)
        seq, before = line.seq, line.hash
    return Verdict(0 if (seq, before) == head else seq + 1, seq, before)


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the newest line as it was written down beside the table."""
    number, _, mark = (get_meta(connection, _HEAD) or "").partition(" ")
    return (int(number), mark) if number.isdecimal() else (0, _origin(connection))


def _origin(connection: sqlite3.Connection) -> str:
    """What the first line follows: lines of another journal do not fit here."""
    return get_meta(connection, "journal") or ""


def _hash(before: str, seq: int, at: float, words: list[str]) -> str:
    return hashlib.sha256(json.dumps([before, seq, at, *words]).encode()).hexdigest()


def _short(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
