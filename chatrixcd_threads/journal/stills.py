"""Tasks that do not move and queues that hang: what is suspected, and what the rooms were told about it.

Each is one remembered value, so that a suspicion outlives the bot and can be taken back by its next life.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any, Final

from chatrixcd_threads.journal.db import get_meta, set_meta

_STILL: Final = "still:"
_HANG: Final = "hang:"
UNSEEN: Final = "?"  # the newest start of a queue that was not looked at yet


@dataclass(frozen=True, slots=True)
class Still:
    """A followed task that may have died while Semaphore was away. Times are seconds since the epoch.

    `since` then it has this status and so many records of output; `moved` is true when that has changed: it lives.
    """

    follow_id: int
    away: float
    back: float
    status: str = ""
    records: int = 0
    since: float = 0.0
    told: bool = False
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """The queue of a project: `since` then nothing was seen to start after the task with the start `newest`.

    `unanswered` says that a start of a task was taken and never answered; `slots` are the messages (slot, room) that call it hanging.
    """

    project_id: int
    since: float
    newest: str = ""
    unanswered: bool = False
    slots: tuple[tuple[str, str], ...] = ()


def still(connection: sqlite3.Connection, follow_id: int) -> Still | None:
    """What is suspected of a followed task."""
    known = get_meta(connection, f"{_STILL}{follow_id}")
    return None if known is None else Still(**json.loads(known))


def suspected(connection: sqlite3.Connection) -> list[Still]:
    """All tasks that have not been seen to move since Semaphore was back."""
    return [each for each in (Still(**found) for found in _all(connection, _STILL)) if not each.moved]


def keep(tx: sqlite3.Connection, suspicion: Still) -> None:
    """Remembers it, in the place of what was suspected before."""
    set_meta(tx, f"{_STILL}{suspicion.follow_id}", json.dumps(asdict(suspicion)))


def drop(tx: sqlite3.Connection, follow_id: int) -> Still | None:
    """The task is over. Returns what was suspected of it."""
    known = still(tx, follow_id)
    tx.execute("DELETE FROM meta WHERE key = ?", (f"{_STILL}{follow_id}",))
    return known


def hang(connection: sqlite3.Connection, project_id: int) -> Hang | None:
    """What is known of a project's queue, told or not."""
    known = get_meta(connection, f"{_HANG}{project_id}")
    return None if known is None else _hang(json.loads(known))


def keep_hang(tx: sqlite3.Connection, known: Hang) -> None:
    """Remembers it, in the place of what was known before."""
    set_meta(tx, f"{_HANG}{known.project_id}", json.dumps(asdict(known)))


def drop_hang(tx: sqlite3.Connection, project_id: int) -> Hang | None:
    """The queue works. Returns what was known of it."""
    known = hang(tx, project_id)
    tx.execute("DELETE FROM meta WHERE key = ?", (f"{_HANG}{project_id}",))
    return known


def hanging(connection: sqlite3.Connection) -> list[Hang]:
    """The queues that a room was told to hang, as long as a followed task waits in them."""
    rows = connection.execute("SELECT +project_id FROM follows WHERE done = 0 AND status IN ('', 'waiting')")
    waiting = {int(row[0]) for row in rows.fetchall()}
    return [each for each in map(_hang, _all(connection, _HANG)) if each.slots and each.project_id in waiting]


def _all(connection: sqlite3.Connection, prefix: str) -> list[dict[str, Any]]:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)  # keys are looked up by their order
    rows = connection.execute(
        "SELECT value FROM meta WHERE key >= ? AND key < ? ORDER BY key", (prefix, end)
    ).fetchall()
    return [json.loads(row[0]) for row in rows]


def _hang(known: dict[str, Any]) -> Hang:
    return Hang(**{**known, "slots": tuple((str(slot), str(room)) for slot, room in known["slots"])})
