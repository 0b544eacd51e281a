"""The journal's file: connections, schema, short transactions."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chatrixcd_threads.errors import Fatal

Tx = sqlite3.Connection
"""A transaction, for those who only pass it on."""

# Version 1. It stays as it was: a new journal goes the same way as an old one, through every step below.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    target TEXT,
    thread TEXT,
    at REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX inbox_open ON inbox (seq) WHERE done = 0;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slot TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    content TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    trying_content TEXT,
    trying_version INTEGER NOT NULL DEFAULT 0,
    sent_version INTEGER NOT NULL DEFAULT 0,
    event_id TEXT,
    echoed INTEGER NOT NULL DEFAULT 0,
    file BLOB,
    failed TEXT
);
CREATE INDEX outbox_open ON outbox (priority, id) WHERE sent_version < version AND failed IS NULL;
CREATE INDEX outbox_event ON outbox (event_id);
CREATE INDEX outbox_room ON outbox (room_id, id);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slot TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    thread TEXT,
    asker TEXT NOT NULL,
    action TEXT NOT NULL,
    payload TEXT NOT NULL,
    command_event TEXT NOT NULL,
    asked_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'open',
    chatter INTEGER NOT NULL DEFAULT 0,
    nudged INTEGER NOT NULL DEFAULT 0,
    settled_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX questions_open ON questions (room_id, asker) WHERE state = 'open';
CREATE TABLE launches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    slot TEXT NOT NULL,
    room_id TEXT NOT NULL,
    thread TEXT,
    sender TEXT NOT NULL,
    project_id INTEGER NOT NULL,
    template_id INTEGER NOT NULL,
    template_name TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    task_id INTEGER,
    changed_at REAL NOT NULL
);
CREATE TABLE follows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    template_name TEXT NOT NULL,
    room_id TEXT NOT NULL,
    thread TEXT,
    person TEXT NOT NULL,
    slot TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT '',
    stopper TEXT,
    stop_slot TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, task_id, room_id)
);
CREATE INDEX follows_open ON follows (id) WHERE done = 0;
CREATE TABLE invites (room_id TEXT PRIMARY KEY, inviter TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open');
"""

# version: what makes it out of the version before. A step that was released is never changed.
STEPS = {
    2: """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    room_id TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_what ON audit (what, at);
CREATE TRIGGER audit_changes_nothing BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_forgets_nothing BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
ALTER TABLE launches ADD COLUMN looked TEXT NOT NULL DEFAULT '';
CREATE INDEX inbox_unreadable ON inbox (at) WHERE kind = 'unreadable';
""",
    3: """
CREATE TABLE opened (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    UNIQUE (room_id, session_id, number)
);
""",
    4: """
ALTER TABLE questions ADD COLUMN wants TEXT NOT NULL DEFAULT 'yes';
ALTER TABLE launches ADD COLUMN expected TEXT NOT NULL DEFAULT '';
ALTER TABLE launches ADD COLUMN payload TEXT NOT NULL DEFAULT '';
ALTER TABLE launches ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE follows ADD COLUMN expected TEXT NOT NULL DEFAULT '';
ALTER TABLE follows ADD COLUMN evidence TEXT NOT NULL DEFAULT '';
ALTER TABLE follows ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX launches_unsettled ON launches (id) WHERE state IN ('confirmed', 'sending', 'doubt');
CREATE INDEX launches_task ON launches (task_id);
CREATE INDEX launches_template ON launches (project_id, template_id, id);
CREATE INDEX follows_room ON follows (room_id, id);
CREATE INDEX questions_command ON questions (command_event);
""",
    5: """
CREATE INDEX follows_slot ON follows (slot);
CREATE INDEX follows_stop ON follows (stop_slot);
CREATE INDEX follows_thread ON follows (thread);
CREATE INDEX follows_task ON follows (task_id);
CREATE INDEX questions_settled ON questions (settled_by);
""",
    6: """
DROP INDEX outbox_open;
CREATE INDEX outbox_open ON outbox (priority, room_id, id) WHERE sent_version < version AND failed IS NULL;
""",
}
SCHEMA_VERSION = max(STEPS)


def _nobody() -> None:
    """Nobody wants to know."""


class _Own:
    """A thread's connection, held by that thread alone: it is closed when the thread has ended, and its files with it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Journal:
    """One SQLite file. Each thread has its own connection; `write` transactions take turns in one lock.

    The lock spares writers SQLite's own waiting, which sleeps in steps of up to 100 ms. It guards nothing else and is
    held only for one short transaction. A commit is on the disk (WAL, synchronous=FULL) before `write` returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""  # why the last write failed, when it was the disk or the file; a single reference
        self.changed: Callable[[], None] = _nobody  # after each transaction, in its thread; set before the start
        self._turn = threading.Lock()
        self._local = threading.local()
        self._open: weakref.WeakSet[_Own] = weakref.WeakSet()
        self._opening = threading.Lock()  # guards the set
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            copies = path.with_name("copies")
            raise Fatal(
                f"the journal {path} cannot be used ({error}): move it away with the files {path.name}-wal and "
                f"{path.name}-shm beside it (SQLite would put what stands in them into any other journal), and copy the "
                f"newest file of {copies} to its place"
            ) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing, durable when the block is left."""
        with self._turn:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
                self.trouble = ""
            except BaseException as error:
                if isinstance(error, sqlite3.Error):
                    self.trouble = trouble_of(error) or self.trouble
                if connection.in_transaction:  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise
        self.changed()

    def read(self) -> sqlite3.Connection:
        """This thread's connection, for single reading statements."""
        return self._connection()

    def close(self) -> None:
        """Closes every connection. Threads that are still stuck get an error at their next statement."""
        with self._turn, self._opening:
            for own in self._open:
                own.connection.close()

    def _connection(self) -> sqlite3.Connection:
        own: _Own | None = getattr(self._local, "own", None)
        if own is None:
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            self._local.own = own = _Own(connection)
            with self._opening:
                self._open.add(own)
        return own.connection

    def _prepare(self) -> None:
        self._connection().execute("PRAGMA journal_mode = WAL")
        damage = self._connection().execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        with self.write() as tx:
            version = tx.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise Fatal(
                    f"the journal {self.path} was written by a newer version of the bot (schema {version}), this one knows "
                    f"{SCHEMA_VERSION}: start that version, or move the journal away"
                )
            if version == 0:
                _carry_out(tx, SCHEMA)
                # Part of every transaction id: a new journal must not repeat the ids of one that was moved away.
                set_meta(tx, "journal", secrets.token_hex(4))
            for step in range(max(version, 1) + 1, SCHEMA_VERSION + 1):
                _carry_out(tx, STEPS[step])
            if version != SCHEMA_VERSION:
                tx.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _carry_out(tx: sqlite3.Connection, statements: str) -> None:
    """One by one: `executescript` would commit the transaction first."""
    for statement in statements.split(";\n"):
        tx.execute(statement)


JournalError = sqlite3.Error  # what a journal that is broken raises, for those who know no SQLite


def trouble_of(error: sqlite3.Error) -> str:
    """Why a write failed, when it is the disk or the file; empty for everything else."""
    said = str(error)
    return said if any(word in said for word in ("full", "malformed", "disk I/O", "readonly", "not a database")) else ""


def get_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A single remembered value, such as the sync token."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(tx: sqlite3.Connection, key: str, value: str) -> None:
    """Remembers a single value."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )
