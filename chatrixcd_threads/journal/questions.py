"""Questions that wait for a yes or no: bound to one message, one person and exact parameters; they survive a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """An asked question. `action` names the declared command that goes on with `payload` after the answer.

    `wants` is what counts as an answer: `yes` (a word or a reaction), `name` (typed as it stands), `value`, or `secret`: asked in
    a direct chat, while `home` in the payload tells the message that speaks of it where the command was said.
    """

    id: int
    slot: str
    room_id: str
    thread: str | None
    asker: str
    action: str
    payload: dict[str, object]
    command_event: str
    asked_at: float
    expires_at: float
    state: str
    chatter: bool
    nudged: bool
    settled_by: str
    wants: str = "yes"


def _question(row: sqlite3.Row) -> Question:
    values = dict(row)
    values["payload"] = json.loads(values["payload"])
    values["chatter"], values["nudged"] = bool(values["chatter"]), bool(values["nudged"])
    return Question(**values)


def ask(
    tx: sqlite3.Connection,
    *,
    slot: str,
    room_id: str,
    thread: str | None,
    asker: str,
    action: str,
    payload: Mapping[str, object],
    command_event: str,
    now: float,
    seconds: float,
    wants: str = "yes",
) -> None:
    """Opens a question whose message is the outbox slot `slot`. Asking twice for the same slot is asking once."""
    tx.execute(
        "INSERT OR IGNORE INTO questions (slot, room_id, thread, asker, action, payload, command_event, asked_at, expires_at,"
        " wants) VALUES (?,?,?,?,?,?,?,?,?,?)",
        (slot, room_id, thread, asker, action, json.dumps(payload), command_event, now, now + seconds, wants),
    )


def by_event(connection: sqlite3.Connection, event_id: str) -> Question | None:
    """The question whose message is this event, open or not; or the open one that is asked elsewhere instead."""
    row = connection.execute(
        "SELECT q.* FROM questions q JOIN outbox o ON o.slot = q.slot WHERE o.event_id = ?", (event_id,)
    ).fetchone()
    question = None if row is None else _question(row)
    if question is not None and question.state == "open":
        return question
    return _asked_elsewhere(connection, event_id) or question


def _asked_elsewhere(connection: sqlite3.Connection, event_id: str) -> Question | None:
    rows = connection.execute("SELECT * FROM questions WHERE state = 'open' AND wants = 'secret'").fetchall()
    if not rows:
        return None
    said = connection.execute("SELECT slot FROM outbox WHERE event_id = ?", (event_id,)).fetchone()
    found = [each for each in map(_question, rows) if said is not None and home_slot(each) == said["slot"]]
    return found[0] if found else None


def heard_in(question: Question, room_id: str) -> bool:
    """Whether an answer in this room can count: a question for a secret is spoken of in the room of the command, too."""
    home = question.payload.get("home")
    return room_id == question.room_id or (isinstance(home, dict) and home["room_id"] == room_id)


def home_slot(question: Question) -> str | None:
    """The slot of the message that speaks of a question where the command was said, when it is asked elsewhere."""
    home = question.payload.get("home")
    return str(home["slot"]) if isinstance(home, dict) else None


def asked_for_secrets(connection: sqlite3.Connection, room_id: str) -> frozenset[str]:
    """The people of whom a secret is wanted in this room."""
    rows = connection.execute(
        "SELECT asker FROM questions WHERE state = 'open' AND wants = 'secret' AND room_id = ?", (room_id,)
    ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def secret_in(connection: sqlite3.Connection, room_id: str, asker: str) -> str | None:
    """The message of the newest open question for a secret of this person in this room, once it has been seen there."""
    row = connection.execute(
        "SELECT o.event_id FROM questions q JOIN outbox o ON o.slot = q.slot WHERE q.state = 'open' AND q.wants = 'secret'"
        " AND q.room_id = ? AND q.asker = ? AND o.echoed = 1 ORDER BY q.id DESC LIMIT 1",
        (room_id, asker),
    ).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def meant(
    connection: sqlite3.Connection, room_id: str, asker: str, target: str | None, thread: str | None
) -> list[Question]:
    """The questions that a reply, a reaction or a word in a thread can mean, newest first; several only in a thread.

    What is replied to counts also when it is not open any more, unless something is open in the thread.
    """
    found = _replied(connection, target, asker) if target is not None else None
    if found is not None and not heard_in(found, room_id):
        return []
    if found is not None and found.state == "open":
        return [found]
    waiting = _in_thread(connection, room_id, asker, thread) if thread is not None else []
    return waiting or ([found] if found is not None else [])


def _replied(connection: sqlite3.Connection, event_id: str, asker: str) -> Question | None:
    """The question whose message this is, or the open one about this command."""
    return by_event(connection, event_id) or of_command(connection, event_id, asker)


def _in_thread(connection: sqlite3.Connection, room_id: str, asker: str, root: str) -> list[Question]:
    """The open questions of this person in a thread, or about its first message, as far as they have been seen there.

    The first message itself may be a question to any admin.
    """
    rows = connection.execute(
        "SELECT q.* FROM questions q JOIN outbox o ON o.slot = q.slot WHERE q.state = 'open' AND q.room_id = ?1"
        " AND o.echoed = 1 AND (q.asker = ?2 AND (q.thread = ?3 OR q.command_event = ?3) OR"
        " q.asker IN (?2, '') AND o.event_id = ?3) ORDER BY q.id DESC",
        (room_id, asker, root),
    ).fetchall()
    return [*(_question(row) for row in rows), *_secrets_of(connection, room_id, asker, root)]


def _secrets_of(connection: sqlite3.Connection, room_id: str, asker: str, root: str) -> list[Question]:
    """The open questions for secrets that are spoken of in this thread, and asked in a direct chat."""
    rows = connection.execute(
        "SELECT * FROM questions WHERE state = 'open' AND wants = 'secret' AND asker = ? AND room_id != ? ORDER BY +id DESC",
        (asker, room_id),
    ).fetchall()
    asked = [each for each in map(_question, rows) if heard_in(each, room_id)]
    return [each for each in asked if root in (each.command_event, each.payload["home"]["thread"])]  # type: ignore[index]


def of_command(connection: sqlite3.Connection, event_id: str, asker: str) -> Question | None:
    """The open question that was asked about the command with this event id, or about an edit of it."""
    row = connection.execute(
        "SELECT * FROM questions WHERE state = 'open' AND asker = ?2 AND (command_event = ?1 OR EXISTS (SELECT 1 FROM inbox i"
        " WHERE i.event_id = command_event AND i.kind = 'edited' AND i.target = ?1)) ORDER BY +id DESC LIMIT 1",
        (event_id, asker),
    ).fetchone()
    return None if row is None else _question(row)


def about(connection: sqlite3.Connection, token: str) -> list[Question]:
    """The open questions about a launch in doubt."""
    rows = connection.execute(
        "SELECT * FROM questions WHERE state = 'open' AND json_extract(payload, '$.token') = ?"
        " AND json_extract(payload, '$.doubt') IS NOT NULL ORDER BY +id",
        (token,),
    ).fetchall()
    return [_question(row) for row in rows]


def open_for(connection: sqlite3.Connection, room_id: str, asker: str) -> list[Question]:
    """The open questions of one person in one room, newest first."""
    rows = connection.execute(
        "SELECT * FROM questions WHERE state = 'open' AND room_id = ? AND asker = ? ORDER BY id DESC", (room_id, asker)
    ).fetchall()
    return [_question(row) for row in rows]


def all_open(connection: sqlite3.Connection) -> list[Question]:
    """Every open question, the next to expire first."""
    rows = connection.execute("SELECT * FROM questions WHERE state = 'open' ORDER BY expires_at").fetchall()
    return [_question(row) for row in rows]


def get(connection: sqlite3.Connection, question_id: int) -> Question | None:
    """The question with this number."""
    row = connection.execute("SELECT * FROM questions WHERE id = ?", (question_id,)).fetchone()
    return None if row is None else _question(row)


def settled_by(connection: sqlite3.Connection, question_id: int, state: str, event_id: str) -> bool:
    """Whether it was this event that settled the question so: then its handling goes on after a crash."""
    row = connection.execute(
        "SELECT 1 FROM questions WHERE id = ? AND state = ? AND settled_by = ?", (question_id, state, event_id)
    ).fetchone()
    return row is not None


def settled_with(connection: sqlite3.Connection, event_id: str) -> Question | None:
    """The question that was answered by this event."""
    row = connection.execute("SELECT * FROM questions WHERE settled_by = ?", (event_id,)).fetchone()
    return None if row is None else _question(row)


def settle(tx: sqlite3.Connection, question_id: int, state: str, by: str = "") -> bool:
    """Moves an open question to `yes`, `no`, `expired` or `withdrawn`, by an event. False when it was not open any more."""
    changed = tx.execute(
        "UPDATE questions SET state = ?, settled_by = ? WHERE id = ? AND state = 'open'", (state, by, question_id)
    )
    return changed.rowcount == 1


def go_on(tx: sqlite3.Connection, question_id: int, payload: Mapping[str, object], expires_at: float) -> bool:
    """The next step of a question in several: same message, other payload. False when it was not open any more."""
    changed = tx.execute(
        "UPDATE questions SET payload = ?, expires_at = ? WHERE id = ? AND state = 'open'",
        (json.dumps(payload), expires_at, question_id),
    )
    return changed.rowcount == 1


def withdraw(tx: sqlite3.Connection, slot: str) -> bool:
    """The question of this slot needs no answer any more. False when none was open."""
    changed = tx.execute("UPDATE questions SET state = 'withdrawn' WHERE slot = ? AND state = 'open'", (slot,))
    return changed.rowcount == 1


def chattered(tx: sqlite3.Connection, room_id: str, person: str) -> None:
    """The person said something else in the room: a bare word there no longer answers the open questions."""
    tx.execute("UPDATE questions SET chatter = 1 WHERE room_id = ? AND asker = ? AND state = 'open'", (room_id, person))


def nudge(tx: sqlite3.Connection, question_id: int) -> bool:
    """True the first time only: the person is told once how this question can be answered."""
    return tx.execute("UPDATE questions SET nudged = 1 WHERE id = ? AND nudged = 0", (question_id,)).rowcount == 1


def expired(connection: sqlite3.Connection, now: float) -> list[Question]:
    """Open questions whose time is over."""
    rows = connection.execute("SELECT * FROM questions WHERE state = 'open' AND expires_at <= ?", (now,)).fetchall()
    return [_question(row) for row in rows]


def next_expiry(connection: sqlite3.Connection) -> float | None:
    """When the next open question expires (seconds since the epoch)."""
    value = connection.execute("SELECT min(expires_at) FROM questions WHERE state = 'open'").fetchone()[0]
    return None if value is None else float(value)
