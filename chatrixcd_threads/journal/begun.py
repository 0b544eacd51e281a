"""What was begun in Semaphore for an event, written down before it is sent: a crash must not let it be said that nothing was done.

A mark belongs to the event that is handled, and goes when its answer is in the journal.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from chatrixcd_threads.journal.db import get_meta, set_meta


@dataclass(frozen=True, slots=True)
class Begun:
    """The task about which something may have been sent, and the follows that were changed for it."""

    project_id: int
    task_id: int
    follows: tuple[int, ...] = ()


def mark(tx: sqlite3.Connection, seq: int, what: Begun) -> None:
    """From now on something may have been sent for this event."""
    if seq:
        set_meta(tx, _key(seq), json.dumps([what.project_id, what.task_id, what.follows]))


def of(connection: sqlite3.Connection, seq: int) -> Begun | None:
    """What an interrupted handling of this event had marked; None: it sent nothing."""
    kept = get_meta(connection, _key(seq))
    if kept is None:
        return None
    project_id, task_id, follows = json.loads(kept)
    return Begun(project_id, task_id, tuple(follows))


def forget(tx: sqlite3.Connection, seq: int) -> None:
    """It is answered, or known not to have been sent."""
    tx.execute("DELETE FROM meta WHERE key = ?", (_key(seq),))


def _key(seq: int) -> str:
    return f"begun:{seq}"
