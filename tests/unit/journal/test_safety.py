"""When the journal cannot be trusted nothing is launched; and there is a copy to go back to."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.journal.db import Journal, get_meta, set_meta
from chatrixcd_threads.journal.safety import COPIES, LOW_BYTES, RESERVE_BYTES, Safety

PLENTY = 10 * LOW_BYTES


def test_a_nearly_full_disk_is_told_once_and_its_end_too(journal: Journal) -> None:
    free = [PLENTY]
    safety = Safety(journal, lambda folder: free[0])
    reserve = journal.path.with_name("reserve")
    assert safety.check() is None
    assert reserve.stat().st_size == RESERVE_BYTES
    free[0] = LOW_BYTES - 1
    assert "nearly full (63 MB left)" in (safety.check() or "")
    assert not reserve.exists()  # room for saying so
    assert safety.check() is None
    free[0] = PLENTY
    assert safety.check() == ""
    assert safety.problem == ""
    assert reserve.exists()


def test_a_write_that_fails_for_want_of_room_is_a_problem_until_one_succeeds(journal: Journal) -> None:
    safety = Safety(journal, lambda folder: PLENTY)
    with journal.write() as tx:
        pages = tx.execute("PRAGMA page_count").fetchone()[0]
    journal.read().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"), journal.write() as tx:
        set_meta(tx, "much", "x" * 1_000_000)
    assert "cannot be written (database or disk is full)" in (safety.check() or "")
    assert get_meta(journal.read(), "journal") is not None  # reading goes on
    journal.read().execute("PRAGMA max_page_count = 1000000")
    with journal.write() as tx:
        set_meta(tx, "little", "x")
    assert safety.check() == ""


def test_a_mistake_of_ours_is_none_of_the_disk(journal: Journal) -> None:
    with pytest.raises(sqlite3.OperationalError), journal.write() as tx:
        tx.execute("SELECT * FROM nowhere")
    assert journal.trouble == ""


def test_copies_can_take_the_place_of_the_journal_and_only_the_newest_are_kept(journal: Journal) -> None:
    safety = Safety(journal, lambda folder: PLENTY)
    with journal.write() as tx:
        set_meta(tx, "kept", "yes")
    made = [safety.copy(1_800_000_000.0 + day * 86_400) for day in range(COPIES + 2)]
    assert [path.exists() for path in made] == [False, False, True, True, True]
    assert made[-1].stat().st_mode & 0o777 == 0o600
    again = [safety.copy(1_800_000_000.0 + (COPIES + 1) * 86_400 + minute * 60) for minute in (1, 2, 3)]
    assert [path.exists() for path in (*made, *again)] == [False, False, True, True, False, False, False, True]
    copy = Journal(again[-1])
    assert get_meta(copy.read(), "kept") == "yes"
    copy.close()


def test_a_journal_that_crashed_is_moved_with_its_other_files(tmp_path: Path) -> None:
    """As the refusal of a damaged one says: SQLite takes what stands in a -wal file into any journal of that name."""
    path = tmp_path / "journal.sqlite3"
    journal = Journal(path)
    with journal.write() as tx:
        set_meta(tx, "kept", "then")
    copied = Safety(journal, lambda folder: PLENTY).copy(1_800_000_000.0)
    with journal.write() as tx:
        set_meta(tx, "kept", "later")
    (tmp_path / "crashed").mkdir()
    for name in ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"):
        shutil.copy(tmp_path / name, tmp_path / "crashed" / name)  # as kill -9 leaves them
    journal.close()
    crashed = tmp_path / "crashed" / "journal.sqlite3"
    for name in ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"):
        crashed.with_name(name).rename(tmp_path / f"old-{name}")
    shutil.copy(copied, crashed)
    again = Journal(crashed)
    assert get_meta(again.read(), "kept") == "then"
    again.close()


def test_a_damaged_journal_is_refused_and_the_copies_are_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = Journal(path)
    with journal.write() as tx:
        for number in range(2_000):
            set_meta(tx, f"k{number}", "v" * 200)
    journal.close()
    data = bytearray(path.read_bytes())
    data[20_000:60_000] = b"\xff" * 40_000
    path.write_bytes(data)
    with pytest.raises(Fatal, match=r"copy the newest file of .*copies to its place"):
        Journal(path)
