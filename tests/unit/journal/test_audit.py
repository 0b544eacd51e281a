"""The audit: a chain that shows the first line somebody touched, and the way from a journal that has none."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.journal import audit, inbox, launches, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import SCHEMA_VERSION, STEPS, Journal, get_meta, set_meta

ANN, ROOM = "@ann:x", "!room:x"


def noted(journal: Journal, count: int = 5) -> None:
    for number in range(count):
        with journal.write() as tx:
            audit.note(tx, Deed.ASKED, who=ANN, room_id=ROOM, subject=f"Deploy {number}", now=1000.5 + number)


def touch(journal: Journal, statement: str) -> None:
    """What somebody with a SQLite shell does, who has found the triggers."""
    with journal.write() as tx:
        for name in ("audit_changes_nothing", "audit_forgets_nothing"):
            tx.execute(f"DROP TRIGGER {name}")
        tx.execute(statement)


def version1(folder: Path) -> Path:
    """A journal that the first version has written."""
    path = folder / "journal.sqlite3"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "version1.sqlite3.gz").read_bytes()))
    return path


def test_the_newest_lines_come_first(journal: Journal) -> None:
    noted(journal, 3)
    lines = audit.newest(journal.read(), 2)
    assert [line.subject for line in lines] == ["Deploy 2", "Deploy 1"]
    assert (lines[0].who, lines[0].room_id, lines[0].what, lines[0].at) == (ANN, ROOM, "asked", 1002.5)
    assert audit.since(journal.read(), Deed.ASKED, 1001.5)[0].subject == "Deploy 2"
    assert audit.since(journal.read(), Deed.REFUSED, 0.0) == []
    assert audit.last_of(journal.read(), audit.SETTINGS) is None
    last = audit.last_of(journal.read(), (Deed.STOPPED, Deed.ASKED))
    assert last is not None
    assert last.subject == "Deploy 2"


def test_a_chain_that_nobody_touched_is_whole(journal: Journal) -> None:
    empty = audit.verify(journal.read())
    assert empty.broken == 0
    noted(journal)
    whole = audit.verify(journal.read())
    assert (whole.broken, whole.seq) == (0, 5)
    noted(journal, 2)
    assert audit.verify(journal.read(), whole) == audit.verify(journal.read())
    assert audit.verify(journal.read(), empty).broken == 0


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET who = '@eve:x' WHERE seq = 2", 2),
        ("UPDATE audit SET detail = 'x' WHERE seq = 5", 5),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", 1),
        ("UPDATE audit SET hash = '' WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 5", 5),
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET subject = 'b' WHERE seq > 3", 4),
        ("INSERT INTO audit SELECT 6, at, who, room_id, what, subject, detail, hash FROM audit WHERE seq = 5", 0),
    ],
)
def test_the_first_touched_line_is_found(journal: Journal, statement: str, broken: int) -> None:
    """A line that was added behind the head is not counted, and the next real one cannot be written over it."""
    noted(journal)
    touch(journal, statement)
    assert audit.verify(journal.read()).broken == broken


def test_a_line_beyond_the_head_stops_the_next_one(journal: Journal) -> None:
    noted(journal)
    touch(journal, "INSERT INTO audit VALUES (6, 0, '', '', '', '', '', '')")
    with pytest.raises(sqlite3.IntegrityError):
        noted(journal, 1)


def test_a_line_that_was_hashed_again_breaks_the_next(journal: Journal) -> None:
    noted(journal)
    line = audit.newest(journal.read(), 3)[-1]
    before = audit.newest(journal.read(), 4)[-1].hash
    mark = audit._hash(before, line.seq, line.at, ["@eve:x", line.room_id, line.what, line.subject, line.detail])
    touch(journal, f"UPDATE audit SET who = '@eve:x', hash = '{mark}' WHERE seq = 3")
    assert audit.verify(journal.read()).broken == 4


def test_lines_of_another_journal_do_not_fit(journal: Journal) -> None:
    noted(journal)
    with journal.write() as tx:
        set_meta(tx, "journal", "00000000")
    assert audit.verify(journal.read()).broken == 1


def test_it_is_append_only(journal: Journal) -> None:
    noted(journal)
    for statement in ("UPDATE audit SET who = ''", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), journal.write() as tx:
            tx.execute(statement)
    assert audit.verify(journal.read()).broken == 0


def test_a_transaction_that_fails_leaves_no_line(journal: Journal) -> None:
    noted(journal, 1)

    def half() -> None:
        with journal.write() as tx:
            audit.note(tx, Deed.STOPPED, who=ANN, now=1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    noted(journal, 1)
    assert [line.seq for line in audit.newest(journal.read(), 9)] == [2, 1]
    assert audit.verify(journal.read()).broken == 0


def test_odd_words_are_kept_on_one_short_line(journal: Journal) -> None:
    with journal.write() as tx:
        audit.note(tx, Deed.ASKED, who=ANN, subject="a\nb\tc", detail="é" * 2_000, now=1.0)
    line = audit.newest(journal.read(), 1)[0]
    assert line.subject == "a b c"
    assert len(line.detail) == audit.LONGEST
    assert audit.verify(journal.read()).broken == 0


def test_a_journal_of_version_1_is_taken_over(tmp_path: Path) -> None:
    path = version1(tmp_path)
    journal = Journal(path)
    read = journal.read()
    assert read.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    assert get_meta(read, "sync_token @bot:example.org https://m.example.org") == "s42_7"
    assert [each.event_id for each in inbox.unanswered(read)] == ["$asked"]
    assert [each.payload["token"] for each in questions.all_open(read)] == ["cafe0001"]
    doubtful = launches.unsettled(read)
    assert [(each.token, each.state, each.looked) for each in doubtful] == [("cafe0002", "doubt", "")]
    assert [each.task_id for each in launches.followed(read)] == [42]
    assert read.execute("SELECT room_id, state FROM invites").fetchone()[:] == ("!new:example.org", "open")
    noted(journal)
    assert audit.verify(read).broken == 0
    journal.close()
    again = Journal(path)
    assert len(audit.newest(again.read(), 9)) == 5
    again.close()


def test_a_new_journal_and_one_that_was_taken_over_are_alike(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    shapes = []
    for journal in (Journal(version1(tmp_path)), Journal(tmp_path / "new" / "journal.sqlite3")):
        shapes.append(journal.read().execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall())
        journal.close()
    assert [tuple(row) for row in shapes[0]] == [tuple(row) for row in shapes[1]]


def test_a_takeover_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = version1(tmp_path)
    monkeypatch.setitem(STEPS, 2, STEPS[2] + "CREATE TABLE meta (x);\n")
    with pytest.raises(Fatal, match="cannot be used"):
        Journal(path)
    monkeypatch.undo()
    bare = sqlite3.connect(path)
    assert bare.execute("PRAGMA user_version").fetchone()[0] == 1
    assert bare.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'audit%'").fetchone()[0] == 0
    bare.close()
    journal = Journal(path)
    assert journal.read().execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    journal.close()
