"""Encrypted messages that were acted on: whoever repeats one under another event id is not believed, also after a restart.

A homeserver cannot read a command, but it can hand out the same ciphertext again. A sender's session counts its messages,
so (room, session, number) names a message whatever its event is called.
"""

from __future__ import annotations

import sqlite3
from typing import Final

KEPT: Final = 20_000  # messages that are known one by one; some 150 bytes each


def first(tx: sqlite3.Connection, room_id: str, session_id: str, number: int, event_id: str) -> bool:
    """Notes a message. False: it has come under another event id before, or is of a past that is known only as a whole."""
    where, message = "room_id = ? AND session_id = ?", (room_id, session_id)
    row = tx.execute(f"SELECT event_id FROM opened WHERE {where} AND number = ?", (*message, number)).fetchone()
    if row is not None:
        return bool(row["event_id"] == event_id)
    past = f"SELECT 1 FROM opened WHERE {where} AND number > ? AND event_id = ''"
    if tx.execute(past, (*message, number)).fetchone() is not None:
        return False
    tx.execute(
        "INSERT INTO opened (room_id, session_id, number, event_id) VALUES (?, ?, ?, ?)", (*message, number, event_id)
    )
    return True


def fold(tx: sqlite3.Connection, kept: int = KEPT) -> None:
    """Of all but the newest messages only the highest number of each session stays: it and those below are the past."""
    last = tx.execute("SELECT seq FROM opened ORDER BY seq DESC LIMIT 1 OFFSET ?", (kept,)).fetchone()
    if last is None:
        return
    tx.execute(
        "INSERT OR REPLACE INTO opened (room_id, session_id, number, event_id) "
        "SELECT room_id, session_id, max(number), '' FROM opened WHERE seq <= ? GROUP BY room_id, session_id",
        (last["seq"],),
    )
    tx.execute("DELETE FROM opened WHERE seq <= ?", (last["seq"],))
