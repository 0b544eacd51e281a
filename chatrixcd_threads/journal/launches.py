"""Launches and followed tasks: from the confirmed question to the told end, through crashes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Launch:
    """A confirmed launch. States: confirmed, sending, started, failed, doubt, mismatch.

    `looked` says what a doubt rests on; `expected` (JSON) is what the output must show; `payload` (JSON) is
    the payload of the question that was confirmed; `doubts` counts how often it came into doubt.
    """

    id: int
    token: str
    slot: str
    room_id: str
    thread: str | None
    sender: str
    project_id: int
    template_id: int
    template_name: str
    body: dict[str, object]
    state: str
    task_id: int | None
    changed_at: float
    looked: str = ""
    expected: str = ""
    payload: str = ""
    doubts: int = 0


@dataclass(frozen=True, slots=True)
class Follow:
    """A task whose end a room will be told. `stopper` is who asked to stop it.

    `expected` (JSON, or empty) is what its output must show, `evidence` what was made of that; `judged` is true when
    nothing more can come of it.
    """

    id: int
    project_id: int
    task_id: int
    template_name: str
    room_id: str
    thread: str | None
    person: str
    slot: str
    status: str
    stopper: str | None
    stop_slot: str | None
    done: bool
    expected: str = ""
    evidence: str = ""
    judged: bool = False


def _launch(row: sqlite3.Row) -> Launch:
    return Launch(**{**dict(row), "body": json.loads(row["body"])})


def _follow(row: sqlite3.Row) -> Follow:
    judged = bool(row["judged"]) or not row["expected"]  # of what nothing was asked nothing is to be shown
    return Follow(**{**dict(row), "done": bool(row["done"]), "judged": judged})


def confirm(
    tx: sqlite3.Connection,
    *,
    token: str,
    slot: str,
    room_id: str,
    thread: str | None,
    sender: str,
    project_id: int,
    template_id: int,
    template_name: str,
    body: Mapping[str, object],
    now: float,
    expected: str = "",
    payload: str = "",
) -> None:
    """Records a confirmed launch. The token is unique: confirming the same question twice is confirming once."""
    tx.execute(
        "INSERT OR IGNORE INTO launches (token, slot, room_id, thread, sender, project_id, template_id, template_name, body,"
        " state, changed_at, expected, payload) VALUES (?,?,?,?,?,?,?,?,?,'confirmed',?,?,?)",
        (
            *(token, slot, room_id, thread, sender, project_id, template_id, template_name, json.dumps(body), now),
            *(expected, payload),
        ),
    )


def by_token(connection: sqlite3.Connection, token: str) -> Launch | None:
    """The launch with this token."""
    row = connection.execute("SELECT * FROM launches WHERE token = ?", (token,)).fetchone()
    return None if row is None else _launch(row)


def unsettled(connection: sqlite3.Connection) -> list[Launch]:
    """Launches that are being sent or in doubt, newest first."""
    # In the words of the index `launches_unsettled`, which SQLite takes for nothing else.
    rows = connection.execute(
        "SELECT * FROM launches WHERE state IN ('confirmed', 'sending', 'doubt') AND state <> 'confirmed' ORDER BY id DESC"
    ).fetchall()
    return [_launch(row) for row in rows]


def move(
    tx: sqlite3.Connection,
    launch_id: int,
    state: str,
    now: float,
    task_id: int | None = None,
    looked: str = "",
    was: str | None = None,
) -> bool:
    """Records the next state of a launch, its task once it is known, and what was looked at in vain.

    With `was` only out of that state. False when somebody has settled it since it was read.
    """
    changed = tx.execute(
        "UPDATE launches SET state = ?1, changed_at = ?2, task_id = coalesce(?3, task_id), looked = ?4,"
        " doubts = doubts + (?1 = 'doubt') WHERE id = ?5 AND (?6 IS NULL OR state = ?6)",
        (state, now, task_id, looked, launch_id, was),
    )
    return changed.rowcount == 1


def resolve(tx: sqlite3.Connection, launch_id: int, state: str, now: float, task_id: int | None = None) -> bool:
    """Somebody has found out what became of a launch that is in doubt or was left while it was sent. False when that is known."""
    changed = tx.execute(
        "UPDATE launches SET state = ?, changed_at = ?, task_id = coalesce(?, task_id) WHERE id = ?"
        " AND state IN ('doubt', 'sending')",
        (state, now, task_id, launch_id),
    )
    return changed.rowcount == 1


def follow(tx: sqlite3.Connection, launch: Launch, task_id: int, against: str = "") -> None:
    """The room of a launch will be told how its task ends. `against`: it is known already not to be what was asked for.

    A Semaphore whose database was put back gives numbers a second time: what is over under this one is another task.
    """
    _forget_older(tx, launch.project_id, task_id)
    tx.execute(
        "INSERT OR IGNORE INTO follows (project_id, task_id, template_name, room_id, thread, person, slot, expected,"
        " evidence, judged) VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            *(launch.project_id, task_id, launch.template_name, launch.room_id, launch.thread, launch.sender),
            *(launch.slot, launch.expected, against, bool(against) or not launch.expected),
        ),
    )


def _forget_older(tx: sqlite3.Connection, project_id: int, task_id: int) -> None:
    tx.execute("DELETE FROM follows WHERE project_id = ? AND task_id = ? AND done = 1", (project_id, task_id))


def unstopped(tx: sqlite3.Connection, project_id: int, task_id: int) -> None:
    """The task is not what was asked for and could not be stopped: whoever looks at its output tries it again."""
    tx.execute(
        "UPDATE follows SET judged = 0, expected = coalesce(nullif(expected, ''), '{}') WHERE project_id = ? AND task_id = ?"
        " AND done = 0 AND evidence <> ''",
        (project_id, task_id),
    )


def judged(tx: sqlite3.Connection, follow_id: int, evidence: str, *, settled: bool) -> bool:
    """Records what the output says about what was asked. False when that was settled before."""
    changed = tx.execute(
        "UPDATE follows SET evidence = ?, judged = ? WHERE id = ? AND judged = 0", (evidence, settled, follow_id)
    )
    return changed.rowcount == 1


def last_of(connection: sqlite3.Connection, project_id: int, template_id: int) -> Launch | None:
    """The newest launch of a template that became a task."""
    row = connection.execute(
        "SELECT * FROM launches WHERE project_id = ? AND template_id = ? AND task_id IS NOT NULL ORDER BY id DESC LIMIT 1",
        (project_id, template_id),
    ).fetchone()
    return None if row is None else _launch(row)


def by_task(connection: sqlite3.Connection, project_id: int, task_id: int) -> Launch | None:
    """The launch that started this task."""
    row = connection.execute(
        "SELECT * FROM launches WHERE task_id = ? AND project_id = ? ORDER BY id DESC LIMIT 1", (task_id, project_id)
    ).fetchone()
    return None if row is None else _launch(row)


def follow_stop(
    tx: sqlite3.Connection,
    *,
    project_id: int,
    task_id: int,
    template_name: str,
    room_id: str,
    thread: str | None,
    person: str,
    slot: str,
) -> None:
    """Somebody asked to stop a task: everybody who follows it will hear who, and the asking room is told when it has stopped."""
    _forget_older(tx, project_id, task_id)
    tx.execute(
        "UPDATE follows SET stopper = coalesce(stopper, ?) WHERE project_id = ? AND task_id = ? AND done = 0",
        (person, project_id, task_id),
    )
    tx.execute(
        "INSERT INTO follows (project_id, task_id, template_name, room_id, thread, person, slot, stopper, stop_slot, judged)"
        " VALUES (?,?,?,?,?,?,?,?,?,1) ON CONFLICT (project_id, task_id, room_id) DO UPDATE SET stop_slot = excluded.stop_slot,"
        " stopper = coalesce(stopper, excluded.stopper)",
        (project_id, task_id, template_name, room_id, thread, person, slot, person, slot),
    )


def stop_begins(tx: sqlite3.Connection, project_id: int, task_id: int, person: str) -> tuple[int, ...]:
    """A stop is about to be sent: whoever follows the task must not hear that somebody else did it. Gives the follows."""
    rows = tx.execute(
        "UPDATE follows SET stopper = ? WHERE project_id = ? AND task_id = ? AND done = 0 AND stopper IS NULL RETURNING id",
        (person, project_id, task_id),
    ).fetchall()
    return tuple(int(row[0]) for row in rows)


def stop_was_none(tx: sqlite3.Connection, follow_ids: Iterable[int]) -> None:
    """It was not sent, or nothing came of it."""
    tx.executemany("UPDATE follows SET stopper = NULL WHERE id = ? AND done = 0", [(each,) for each in follow_ids])


def followed(connection: sqlite3.Connection) -> list[Follow]:
    """Every task whose end has not been told."""
    return [_follow(row) for row in connection.execute("SELECT * FROM follows WHERE done = 0 ORDER BY id").fetchall()]


Row = tuple[int, int, str, str, str, str, str | None]
"""(project, task, template, status, person, room, stopper)"""


def listed_lines(connection: sqlite3.Connection, ended: int = 20) -> list[Row]:
    """Every followed task, then those whose end was told last, the newest first. No status yet is "waiting"."""
    cursor = connection.cursor()
    cursor.row_factory = None
    columns = "project_id, task_id, template_name, coalesce(nullif(status, ''), 'waiting'), person, room_id, stopper"
    going = cursor.execute(f"SELECT {columns} FROM follows WHERE done = 0 ORDER BY id").fetchall()
    over = cursor.execute(f"SELECT {columns} FROM follows WHERE done = 1 ORDER BY id DESC LIMIT ?", (ended,)).fetchall()
    return [*going, *over]


def get_follow(connection: sqlite3.Connection, follow_id: int) -> Follow | None:
    """One followed task."""
    row = connection.execute("SELECT * FROM follows WHERE id = ?", (follow_id,)).fetchone()
    return None if row is None else _follow(row)


def saw(tx: sqlite3.Connection, follow_id: int, status: str) -> bool:
    """Records a status. False when it is the one already known."""
    changed = tx.execute(
        "UPDATE follows SET status = ? WHERE id = ? AND status <> ? AND done = 0", (status, follow_id, status)
    )
    return changed.rowcount == 1


def told(tx: sqlite3.Connection, follow_id: int, status: str) -> bool:
    """The end was told (in this same transaction), with that status. False when it had been told before."""
    changed = tx.execute("UPDATE follows SET done = 1, status = ? WHERE id = ? AND done = 0", (status, follow_id))
    return changed.rowcount == 1


def project_of(connection: sqlite3.Connection, task_id: int) -> list[int]:
    """The projects in which the bot has met a task with this id."""
    rows = connection.execute(
        "SELECT DISTINCT project_id FROM follows WHERE task_id = ?1 UNION SELECT project_id FROM launches WHERE task_id = ?1",
        (task_id,),
    ).fetchall()
    return [int(row[0]) for row in rows]


# What the bot says of a followed task stands in slots that name its follow: end:7, and hang:7:12 when it is said again.
_OF_A_FOLLOW: Final = frozenset({"end", "waits", "against", "plan", "still", "hang"})


def in_thread(connection: sqlite3.Connection, room_id: str, root: str) -> tuple[int, int] | None:
    """(project, task) of a thread: the thread's first message is the command, its answer, or the report of a task."""
    row = connection.execute(
        "SELECT project_id, task_id FROM follows WHERE room_id = ?1 AND (thread = ?2 OR slot IN ('answer:' || ?2, ?3)"
        " OR stop_slot = ?4 OR id = ?5) ORDER BY id DESC LIMIT 1",
        (room_id, root, *_said_in(connection, root)),
    ).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def of_message(connection: sqlite3.Connection, event_id: str) -> tuple[int, int] | None:
    """(project, task) of one message in any room: a command that started or stopped it, or what the bot said of it."""
    row = connection.execute(
        "SELECT project_id, task_id FROM follows WHERE slot IN ('answer:' || ?1, ?2) OR stop_slot IN ('answer:' || ?1, ?3)"
        " OR id = ?4 ORDER BY id DESC LIMIT 1",
        (event_id, *_said_in(connection, event_id)),
    ).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def _said_in(connection: sqlite3.Connection, event_id: str) -> tuple[str | None, str | None, int | None]:
    """The slot of the bot's message, as a launch has it and as a stop has it, and the follow that it names."""
    row = connection.execute("SELECT slot FROM outbox WHERE event_id = ?", (event_id,)).fetchone()
    if row is None:
        return None, None, None
    kind, _, rest = row["slot"].partition(":")
    number = rest.partition(":")[0].rstrip("+")
    if kind == "plan" and number.isdecimal():  # the run for real says itself in the place of its question
        launched = connection.execute("SELECT slot FROM follows WHERE id = ?", (int(number),)).fetchone()
        return (None if launched is None else launched["slot"]), row["slot"], None
    named = int(number) if kind in _OF_A_FOLLOW and number.isdecimal() else None
    # A question that was asked in two steps has its end in the slot with a + more.
    return row["slot"].rstrip("+"), row["slot"], named


def newest_in(connection: sqlite3.Connection, room_id: str, person: str | None = None, most: int = 1) -> list[Follow]:
    """The tasks that the room heard of last, of one person if given, newest first."""
    rows = connection.execute(
        "SELECT * FROM follows WHERE room_id = ?1 AND (?2 IS NULL OR person = ?2) ORDER BY id DESC LIMIT ?3",
        (room_id, person, most),
    ).fetchall()
    return [_follow(row) for row in rows]


def running_of(connection: sqlite3.Connection, room_id: str, person: str) -> list[Follow]:
    """The tasks of one person in a room whose end was not told yet."""
    rows = connection.execute(
        "SELECT * FROM follows WHERE room_id = ? AND person = ? AND done = 0 ORDER BY id DESC", (room_id, person)
    ).fetchall()
    return [_follow(row) for row in rows]


def follows_of(connection: sqlite3.Connection, project_id: int, task_id: int) -> list[Follow]:
    """Everybody who follows this task, or did."""
    rows = connection.execute(
        "SELECT * FROM follows WHERE project_id = ? AND task_id = ? ORDER BY id", (project_id, task_id)
    ).fetchall()
    return [_follow(row) for row in rows]


def last_in(connection: sqlite3.Connection, room_id: str, person: str) -> tuple[int, int] | None:
    """(project, task) that the room last heard of: a running one of this person first, else the newest."""
    row = connection.execute(
        "SELECT project_id, task_id FROM follows WHERE room_id = ? ORDER BY (done = 0 AND person = ?) DESC, id DESC LIMIT 1",
        (room_id, person),
    ).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))
