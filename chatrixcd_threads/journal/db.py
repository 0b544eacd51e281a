"""The journal's file: connections, schema, short transactions."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatrixcd_threads.errors import Fatal

SCHEMA_VERSION = 1

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

# Additive: made in a journal of any version that lacks it.
OPENED = """
CREATE TABLE IF NOT EXISTS opened (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    UNIQUE (room_id, session_id, number)
)
"""


class Journal:
    """One SQLite file. Each thread has its own connection; `write` transactions take turns in one lock.

    The lock spares writers SQLite's own waiting, which sleeps in steps of up to 100 ms. It guards nothing else and is
    held only for one short transaction. A commit is on the disk (WAL, synchronous=FULL) before `write` returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise Fatal(f"the journal {path} cannot be used ({error}): move it away or restore a copy") from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing, durable when the block is left."""
        with self._turn:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def read(self) -> sqlite3.Connection:
        """This thread's connection, for single reading statements."""
        return self._connection()

    def close(self) -> None:
        """Closes every connection. Threads that are still stuck get an error at their next statement."""
        with self._turn:
            while self._open:
                self._open.pop().close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
            self._open.append(connection)
        return connection

    def _prepare(self) -> None:
        self._connection().execute("PRAGMA journal_mode = WAL")
        with self.write() as tx:
            version = tx.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise Fatal(f"the journal {self.path} was written by a newer version of the bot (schema {version})")
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    tx.execute(statement)
                # Part of every transaction id: a new journal must not repeat the ids of one that was moved away.
                set_meta(tx, "journal", secrets.token_hex(4))
                tx.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            tx.execute(OPENED)


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
