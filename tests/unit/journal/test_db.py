"""The journal's file: all of a transaction or nothing, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.journal.db import SCHEMA_VERSION, Journal, get_meta, set_meta

LIMIT = 30.0

WRITER = """
import sys
from pathlib import Path
from chatrixcd_threads.journal.db import Journal, set_meta
journal = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 200):
    with journal.write() as tx:
        set_meta(tx, f"a{number}", "first half")
        if number % 10 == 9:
            print(number, "half", flush=True)
        set_meta(tx, f"b{number}", "second half")
    print(number, "whole", flush=True)
sys.stdin.read()
"""


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = Journal(path)
    identity = get_meta(journal.read(), "journal")
    with journal.write() as tx:
        set_meta(tx, "token", "s1")
        set_meta(tx, "token", "s2")
    journal.close()
    again = Journal(path)
    assert get_meta(again.read(), "token") == "s2"
    assert get_meta(again.read(), "journal") == identity
    assert get_meta(again.read(), "nothing") is None
    again.close()


def test_two_journals_have_two_identities(tmp_path: Path) -> None:
    one, two = Journal(tmp_path / "1"), Journal(tmp_path / "2")
    assert get_meta(one.read(), "journal") != get_meta(two.read(), "journal")
    one.close()
    two.close()


def test_kill_in_the_middle_of_transactions_leaves_whole_ones(tmp_path: Path) -> None:
    """Five lives of one writer, each killed with SIGKILL: between two transactions, and inside one."""
    path = tmp_path / "journal.sqlite3"
    said_whole = -1
    for kill_at in ("39 half", "80 whole", "99 half", "159 half", "180 whole"):
        journal = Journal(path)
        begin = len([1 for number in range(200) if get_meta(journal.read(), f"b{number}") is not None])
        journal.close()
        assert begin >= said_whole + 1
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(begin)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            number, _, word = line.strip().partition(" ")
            said_whole = int(number) if word == "whole" else said_whole
            if line.strip() == kill_at:
                process.send_signal(signal.SIGKILL)
                break
        process.communicate(timeout=LIMIT)
        assert process.returncode == -signal.SIGKILL
        journal = Journal(path)
        halves = [(get_meta(journal.read(), f"a{n}"), get_meta(journal.read(), f"b{n}")) for n in range(200)]
        journal.close()
        count = len([1 for first, _ in halves if first is not None])
        assert count > said_whole  # durable once it was said
        assert all((first is None) == (second is None) for first, second in halves)  # whole
        assert all(first is not None for first, _ in halves[:count])  # no hole


def test_an_error_inside_a_transaction_takes_all_of_it_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")

    def half() -> None:
        with journal.write() as tx:
            set_meta(tx, "key", "half")
            raise KeyError("oh")

    with pytest.raises(KeyError):
        half()
    assert get_meta(journal.read(), "key") is None
    with journal.write() as tx:
        set_meta(tx, "key", "whole")
    assert get_meta(journal.read(), "key") == "whole"
    journal.close()


def test_a_commit_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """A deferred constraint lets everything but the COMMIT succeed, as an input/output error may."""
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.read().execute("PRAGMA foreign_keys = ON")
    with journal.write() as tx:
        tx.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        tx.execute("CREATE TABLE children (id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)")

    def orphan() -> None:
        with journal.write() as tx:
            tx.execute("INSERT INTO children VALUES (1)")

    with pytest.raises(sqlite3.IntegrityError):
        orphan()
    with journal.write() as tx:
        set_meta(tx, "after", "works")
    assert get_meta(journal.read(), "after") == "works"
    journal.close()


def test_a_full_disk_is_told_as_such_and_survived(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    pages = journal.read().execute("PRAGMA page_count").fetchone()[0]
    journal.read().execute(f"PRAGMA max_page_count = {pages + 2}")

    def fill() -> None:
        with journal.write() as tx:
            for number in range(100):
                set_meta(tx, f"big{number}", "x" * 4_000)

    with pytest.raises(sqlite3.Error, match="full"):
        fill()
    journal.read().execute("PRAGMA max_page_count = 1000000")
    with journal.write() as tx:
        set_meta(tx, "after", "works")
    assert get_meta(journal.read(), "big0") is None
    journal.close()


def test_writers_take_turns_and_readers_do_not_wait(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    inside, leave = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with journal.write() as tx:
            set_meta(tx, "key", "first")
            inside.set()
            assert leave.wait(LIMIT)
            order.append("first")

    def second() -> None:
        with journal.write() as tx:
            order.append("second")
            set_meta(tx, "key", "second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(LIMIT)
    threads[1].start()
    assert get_meta(journal.read(), "key") is None  # the last committed state, at once
    leave.set()
    for thread in threads:
        thread.join(LIMIT)
    assert order == ["first", "second"]
    assert get_meta(journal.read(), "key") == "second"
    journal.close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(tmp_path / "store" / "journal.sqlite3")
        with journal.write() as tx:
            set_meta(tx, "key", "value")
        files = list((tmp_path / "store").iterdir())
        assert len(files) == 3  # the file, its log and its index
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
        assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
        journal.close()
    finally:
        os.umask(before)


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = Journal(path)
    journal.read().execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    journal.close()
    with pytest.raises(Fatal, match=rf"newer version of the bot \(schema {SCHEMA_VERSION + 1}\),"):
        Journal(path)


@pytest.mark.parametrize(
    "junk", [b"this is no database, but it is long enough to look at" * 20, b"SQLite format 3\0junk"]
)
def test_a_broken_file_is_told_with_what_to_do(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(junk)
    with pytest.raises(Fatal, match=r"move it away with the files journal\.sqlite3-wal and") as caught:
        Journal(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == junk


def test_a_stuck_thread_gets_an_error_after_the_close(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    connection = journal.read()
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


def test_the_connection_of_a_thread_ends_with_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")

    def work() -> None:
        with journal.write() as tx:
            set_meta(tx, "x", "y")

    def once() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    once()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        once()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 10  # other threads of this process may open something
    assert get_meta(journal.read(), "x") == "y"
    journal.close()
