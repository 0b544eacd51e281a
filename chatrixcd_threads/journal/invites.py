"""Invitations to the bot: an invitation comes once with a sync, so it is kept until it is settled.

Its state is open, or refused: then the homeserver has not heard that yet.
"""

from __future__ import annotations

import sqlite3


def remember(tx: sqlite3.Connection, room_id: str, inviter: str) -> bool:
    """False when an invitation there waits already; one that was refused stays so until the homeserver has heard it."""
    known = tx.execute("UPDATE invites SET inviter = ? WHERE room_id = ?", (inviter, room_id)).rowcount == 1
    if not known:
        tx.execute("INSERT INTO invites (room_id, inviter) VALUES (?, ?)", (room_id, inviter))
    return not known


def refuse(tx: sqlite3.Connection, room_id: str) -> bool:
    """From here on the bot does not follow it. False when there is none."""
    return tx.execute("UPDATE invites SET state = 'refused' WHERE room_id = ?", (room_id,)).rowcount == 1


def settle(tx: sqlite3.Connection, room_id: str) -> None:
    """It was followed, the homeserver has heard the refusal, or it is not good any more."""
    tx.execute("DELETE FROM invites WHERE room_id = ?", (room_id,))


def waiting(connection: sqlite3.Connection, state: str = "open") -> list[tuple[str, str]]:
    """(room, inviter) of the invitations in a state."""
    rows = connection.execute("SELECT room_id, inviter FROM invites WHERE state = ?", (state,)).fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]
