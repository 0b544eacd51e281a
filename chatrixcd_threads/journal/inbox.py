"""Accepted events: each id once, kept until its answer is in the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from chatrixcd_threads.events import Incoming, Kind

COLUMNS = "seq, event_id, room_id, sender, kind, text, target, thread, at"


def accept(tx: sqlite3.Connection, events: Iterable[Incoming]) -> list[Incoming]:
    """Stores new events in their order; one that is known already is left out. Returns those stored, with `seq`."""
    fresh = []
    for event in events:
        cursor = tx.execute(
            "INSERT OR IGNORE INTO inbox (event_id, room_id, sender, kind, text, target, thread, at) VALUES (?,?,?,?,?,?,?,?)",
            (event.event_id, event.room_id, event.sender, event.kind, event.text, event.target, event.thread, event.at),
        )
        if cursor.rowcount == 1 and cursor.lastrowid is not None:
            fresh.append(replace(event, seq=cursor.lastrowid))
    return fresh


def answers_wait(connection: sqlite3.Connection, room_id: str, sender: str) -> bool:
    """Whether this person has answered something here that is not handled yet."""
    row = connection.execute(
        "SELECT 1 FROM inbox WHERE done = 0 AND room_id = ? AND sender = ?"
        " AND kind IN ('reaction', 'answer', 'said', 'secret')",
        (room_id, sender),
    ).fetchone()
    return row is not None


def awaits(connection: sqlite3.Connection, event: Incoming) -> bool:
    """Whether what this event deletes or edits is a command that is still being handled: there may be a question soon."""
    row = connection.execute(
        "SELECT 1 FROM inbox WHERE done = 0 AND room_id = ?1 AND sender = ?2"
        " AND (kind = 'command' AND event_id = ?3 OR kind = 'edited' AND target = ?3)",
        (event.room_id, event.sender, event.target),
    ).fetchone()
    return row is not None


def target_of(connection: sqlite3.Connection, event_id: str) -> str | None:
    """The message that this event replied to."""
    row = connection.execute("SELECT target FROM inbox WHERE event_id = ?", (event_id,)).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def unanswered(
    connection: sqlite3.Connection, *, after: int = 0, lane: tuple[str, str] | None = None, most: int = 1_000_000
) -> list[Incoming]:
    """Events whose handling has not been committed, oldest first; of one lane (room, sender) when given."""
    where, values = "done = 0 AND seq > ?", [after]
    if lane is not None:
        where += " AND room_id = ? AND sender = ?"
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM inbox WHERE {where} ORDER BY seq LIMIT ?", (*values, *(lane or ()), most)
    ).fetchall()
    return [Incoming(**{**dict(row), "kind": Kind(row["kind"])}) for row in rows]


def finish(tx: sqlite3.Connection, seq: int) -> bool:
    """Marks an event as handled. False when it was already: then whatever the caller made must not count."""
    return tx.execute("UPDATE inbox SET done = 1, text = '' WHERE seq = ? AND done = 0", (seq,)).rowcount == 1


def is_open(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether the event still waits for its answer."""
    return connection.execute("SELECT 1 FROM inbox WHERE seq = ? AND done = 0", (seq,)).fetchone() is not None


def answered(connection: sqlite3.Connection, event_id: str) -> bool:
    """Whether the handling of this event has been committed."""
    return connection.execute("SELECT 1 FROM inbox WHERE event_id = ? AND done = 1", (event_id,)).fetchone() is not None


def unreadable(connection: sqlite3.Connection, since: float) -> dict[str, int]:
    """How many keys were missing to read what was said since a moment, by room: each is counted once."""
    rows = connection.execute(
        "SELECT room_id, count(*) FROM inbox WHERE kind = 'unreadable' AND at > ? GROUP BY room_id", (since,)
    ).fetchall()
    return {str(row[0]): int(row[1]) for row in rows}


def unreadable_owed(connection: sqlite3.Connection, sender: str) -> int:
    """How many answers to what could not be read this person has still to get."""
    row = connection.execute(
        "SELECT count(*) FROM inbox LEFT JOIN outbox ON slot = 'answer:' || inbox.event_id WHERE kind = 'unreadable'"
        " AND sender = ? AND (done = 0 OR (sent_version < version AND failed IS NULL))",
        (sender,),
    ).fetchone()
    return int(row[0])


def oldest_open(connection: sqlite3.Connection, room_id: str, sender: str) -> float:
    """When the oldest event of a lane that is not handled yet was said, in seconds since the epoch; 0 when there is none."""
    row = connection.execute(
        "SELECT min(at) FROM inbox WHERE done = 0 AND room_id = ? AND sender = ?", (room_id, sender)
    ).fetchone()
    return float(row[0] or 0.0)


def is_secret(connection: sqlite3.Connection, event_id: str) -> bool:
    """Whether this event was the answer to a question for a secret."""
    row = connection.execute("SELECT 1 FROM inbox WHERE event_id = ? AND kind = 'secret'", (event_id,)).fetchone()
    return row is not None


def known(connection: sqlite3.Connection, event_id: str) -> bool:
    """Whether this event was accepted before."""
    return connection.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event_id,)).fetchone() is not None
