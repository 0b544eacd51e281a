"""What the bot owes the rooms. A row is a *slot*: one message whose newest content wins.

A sending has the transaction id `<journal>-<life>.<row>.<version>`. The content of a sending is
frozen in `trying_content` before the first try, so that a try repeated after a crash carries the same body under the
same transaction id, and the homeserver shows it once. The life of the bot in which it was tried first is frozen with it:
rows that a journal counts once more, after an older copy was put in place, are other messages with other ids.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Priority(IntEnum):
    """Who goes first when the homeserver slows us down. `ANSWER` is for people who may start something: strangers who
    fill the outbox (as `STATE`) must not hold them up."""

    ANSWER = 0
    RESULT = 1
    STATE = 2
    PROGRESS = 3


@dataclass(frozen=True, slots=True)
class Sending:
    """One PUT that is due: a first message (`edits` is None) or an edit of the event `edits`."""

    id: int
    slot: str
    room_id: str
    version: int
    content: dict[str, object]
    edits: str | None
    file: bytes | None
    life: str = ""


def put(
    tx: sqlite3.Connection,
    slot: str,
    room_id: str,
    content: Mapping[str, object],
    priority: Priority,
    file: bytes | None = None,
) -> None:
    """Writes a slot: a new message, or new content for the message that the slot already is, also when it had been given up.

    Where the message stands is settled by who writes the slot first, also when nothing of it has been sent yet.
    """
    unsent = tx.execute("SELECT content FROM outbox WHERE slot = ? AND sent_version = 0", (slot,)).fetchone()
    if unsent is not None:
        content = {**content, **_relation(unsent["content"])}
    tx.execute(
        "INSERT INTO outbox (slot, room_id, priority, content, file) VALUES (?, ?, ?, ?, ?) ON CONFLICT (slot) DO UPDATE SET"
        " content = excluded.content, version = version + 1, priority = excluded.priority, file = excluded.file, failed = NULL"
        " WHERE content <> excluded.content OR file IS NOT excluded.file",
        (slot, room_id, priority, json.dumps(content, ensure_ascii=False), file),
    )


def _relation(content: str) -> dict[str, object]:
    """Where a message stands, of its stored content; nothing of one that was given up by an earlier version."""
    stored = json.loads(content) if content else {}
    return {key: stored[key] for key in ("thread", "reply_to") if key in stored}


def delete(tx: sqlite3.Connection, room_id: str, event_id: str, reason: str) -> None:
    """A message of somebody is to be taken away. It goes the way of a message: once, and through crashes."""
    put(tx, f"delete:{event_id}", room_id, {"redacts": event_id, "reason": reason}, Priority.ANSWER)


_LIFE = "life"  # beside the content of a try
HERE = "console"  # the room of the operator: what is said there is read from the journal and never sent


_OPEN = "sent_version < version AND failed IS NULL AND priority = ?1"
# From room to room in the index: to read all that is owed would take as long as there is much, and it is done for each sending.
_FIRST_OF_EACH_ROOM = f"""
WITH RECURSIVE rooms (room) AS (
    SELECT min(room_id) FROM outbox WHERE {_OPEN}
    UNION ALL SELECT (SELECT min(room_id) FROM outbox WHERE {_OPEN} AND room_id > room) FROM rooms WHERE room IS NOT NULL
)
SELECT room, (SELECT min(id) FROM outbox WHERE {_OPEN} AND room_id = room) FROM rooms WHERE room IS NOT NULL
"""


def next_due(
    connection: sqlite3.Connection, busy_rooms: Collection[str], turns: Mapping[str, int] = MappingProxyType({})
) -> int | None:
    """The id of the row to send next: by priority, then the room whose turn is longest ago, then age; in a room that has
    nothing under way. So whoever has much said in one room holds up no other one."""
    closed = {*busy_rooms, HERE}
    for priority in Priority:
        rows = connection.execute(_FIRST_OF_EACH_ROOM, (priority,))
        due = [(turns.get(str(room), 0), int(row_id)) for room, row_id in rows if room not in closed]
        if due:
            return min(due)[1]
    return None


def begin(tx: sqlite3.Connection, row_id: int, life: str = "") -> Sending:
    """Freezes the content of the coming try (unless a try is already frozen) and returns it."""
    due = tx.execute(
        "SELECT content FROM outbox"
        " WHERE id = ? AND (trying_version <= sent_version OR trying_content IS NULL)",  # a try that was given up is over
        (row_id,),
    ).fetchone()
    if due is not None:
        frozen = json.dumps({**json.loads(due["content"]), _LIFE: life}, ensure_ascii=False)
        tx.execute("UPDATE outbox SET trying_version = version, trying_content = ? WHERE id = ?", (frozen, row_id))
    row = tx.execute(
        "SELECT id, slot, room_id, trying_version, trying_content, sent_version, event_id, file FROM outbox WHERE id = ?",
        (row_id,),
    ).fetchone()
    edits = row["event_id"] if row["sent_version"] > 0 else None
    content = json.loads(row["trying_content"])
    first_tried = str(content.pop(_LIFE, ""))
    return Sending(
        row["id"],
        row["slot"],
        row["room_id"],
        row["trying_version"],
        content,
        edits,
        row["file"],
        first_tried,
    )


def sent(tx: sqlite3.Connection, sending: Sending, event_id: str) -> None:
    """The homeserver has it."""
    tx.execute(
        "UPDATE outbox SET sent_version = ?, trying_content = NULL, event_id = coalesce(event_id, ?) WHERE id = ?",
        (sending.version, event_id, sending.id),
    )
    # What has been said is not kept in clear: of a message that is up to date only its identity stays.
    tx.execute("UPDATE outbox SET content = '', file = NULL WHERE id = ? AND sent_version = version", (sending.id,))


def echoed(tx: sqlite3.Connection, event_id: str, row_id: int | None, life: str = "") -> None:
    """Our own message came back by /sync, maybe before the answer of its PUT: from here on it has been seen in the room.

    `row_id` and `life` are those of its transaction id. Of another life than that of the try it is the echo of a message
    that an older copy of the journal knows nothing of.
    """
    row = tx.execute("SELECT trying_content FROM outbox WHERE id = ?", (row_id,)).fetchone()
    if row is not None and json.loads(row["trying_content"] or "{}").get(_LIFE, "") != life:
        row_id = None  # what has been sent is known by its event
    tx.execute(
        "UPDATE outbox SET echoed = 1, event_id = coalesce(event_id, ?1) WHERE id = ?2 OR event_id = ?1",
        (event_id, row_id),
    )


def in_sight(connection: sqlite3.Connection, slot: str) -> bool:
    """Whether the slot's message has come back by /sync, so that what is said from now on was said after it."""
    return connection.execute("SELECT 1 FROM outbox WHERE slot = ? AND echoed = 1", (slot,)).fetchone() is not None


def txn_id(journal: str, row_id: int, version: int, life: str = "") -> str:
    """The transaction id of a sending."""
    return f"{journal}-{life}.{row_id}.{version}" if life else f"{journal}.{row_id}.{version}"


def row_of_txn(journal: str, txn: str) -> int | None:
    """The row of which this is the transaction id of a sending; None for ids that are not ours."""
    owner, _, rest = txn.partition(".")
    row, _, version = rest.partition(".")
    return int(row) if owner.partition("-")[0] == journal and row.isdecimal() and version.isdecimal() else None


def life_of_txn(txn: str) -> str:
    """The life of the bot that this transaction id names."""
    return txn.partition(".")[0].partition("-")[2]


def stand_alone(tx: sqlite3.Connection, sending: Sending) -> bool:
    """The homeserver does not know what the message relates to: it stands in the room then, outside of the thread, and an edit
    as a message of its own. False when it relates to nothing but what it replies to, which no homeserver looks up."""
    row = tx.execute("SELECT content, trying_content FROM outbox WHERE id = ?", (sending.id,)).fetchone()
    contents = [json.loads(each) for each in (row["content"], row["trying_content"])]
    threads = {each.pop("thread", None) for each in contents} if sending.edits is None else set()
    if sending.edits is None and threads <= {None}:
        return False
    tx.execute(
        "UPDATE outbox SET content = ?, trying_content = ?, sent_version = 0, event_id = NULL, echoed = 0 WHERE id = ?",
        (*(json.dumps(each, ensure_ascii=False) for each in contents), sending.id),
    )
    return True


def fail(tx: sqlite3.Connection, row_id: int, reason: str) -> None:
    """The homeserver refuses this content for good (no member, no power): the reason is kept, and it is not tried again.

    What was written into the slot meanwhile, or is written later, has a try of its own, and stands where this would.
    """
    content = tx.execute("SELECT content FROM outbox WHERE id = ?", (row_id,)).fetchone()["content"]
    newer = tx.execute(
        "UPDATE outbox SET trying_content = NULL, trying_version = sent_version WHERE id = ? AND trying_version > sent_version"
        " AND trying_version < version",
        (row_id,),
    )
    if newer.rowcount == 0:
        tx.execute(
            "UPDATE outbox SET failed = ?, content = ?, file = NULL, trying_content = NULL, trying_version = sent_version"
            " WHERE id = ?",
            (reason, json.dumps(_relation(content)), row_id),
        )


def owed(connection: sqlite3.Connection) -> int:
    """How many messages and edits wait to be sent."""
    row = connection.execute(
        "SELECT count(*) FROM outbox WHERE sent_version < version AND failed IS NULL AND room_id <> ?", (HERE,)
    ).fetchone()
    return int(row[0])


def files_owed(connection: sqlite3.Connection) -> int:
    """How many bytes of files wait to be sent."""
    row = connection.execute(
        "SELECT coalesce(sum(length(file)), 0) FROM outbox WHERE sent_version < version AND failed IS NULL"
        " AND file IS NOT NULL"
    ).fetchone()
    return int(row[0])


def said_in(connection: sqlite3.Connection, room_id: str) -> list[tuple[str, str]]:
    """(slot, content) of everything that was said in a room and is still kept, oldest first."""
    rows = connection.execute("SELECT slot, content FROM outbox WHERE room_id = ? ORDER BY id", (room_id,)).fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def keep_newest(tx: sqlite3.Connection, room_id: str, most: int) -> None:
    """Forgets what was said in a room before its newest messages."""
    tx.execute(
        "DELETE FROM outbox WHERE room_id = ?1 AND id <= "
        "(SELECT id FROM outbox WHERE room_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (room_id, most),
    )


def slot_of(connection: sqlite3.Connection, event_id: str) -> str | None:
    """The slot whose message has this event id."""
    row = connection.execute("SELECT slot FROM outbox WHERE event_id = ?", (event_id,)).fetchone()
    return None if row is None else str(row[0])


def said_since(connection: sqlite3.Connection, room_id: str, slot: str) -> bool:
    """Whether the bot has said (or is about to say) anything new in the room after the slot's message."""
    row = connection.execute(
        "SELECT 1 FROM outbox WHERE room_id = ? AND id > (SELECT id FROM outbox WHERE slot = ?) LIMIT 1",
        (room_id, slot),
    ).fetchone()
    return row is not None
