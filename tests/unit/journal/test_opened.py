"""What came encrypted counts once, whatever its event is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import inbox, intake, opened, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.intake import Opened

ROOM, PERSON = "!room", "@p:x"


def first(journal: Journal, number: int, event_id: str, session: str = "s", room: str = ROOM) -> bool:
    with journal.write() as tx:
        return opened.first(tx, room, session, number, event_id)


def fold(journal: Journal, kept: int) -> list[tuple[str, int, str]]:
    with journal.write() as tx:
        opened.fold(tx, kept)
    rows = journal.read().execute("SELECT session_id, number, event_id FROM opened ORDER BY session_id, number")
    return [(row[0], row[1], row[2]) for row in rows]


def commit(journal: Journal, event_id: str, number: int, kind: Kind = Kind.COMMAND, text: str = "exit") -> list[str]:
    item = Opened(Incoming(0, event_id, ROOM, PERSON, kind, text), "s", number)
    with journal.write() as tx:
        return [each.event_id for each in intake.commit(tx, [item], "token", "s1")]


def test_a_message_has_one_event(journal: Journal) -> None:
    assert first(journal, 3, "$1")
    assert first(journal, 3, "$1")  # the homeserver delivers it again: the inbox knows it
    assert not first(journal, 3, "$2")
    assert first(journal, 4, "$2")
    assert first(journal, 3, "$3", session="another")
    assert first(journal, 3, "$4", room="!another")


def test_a_repeated_command_is_refused_after_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    assert commit(journal, "$1", 0) == ["$1"]
    journal.close()
    again = Journal(tmp_path / "journal.sqlite3")
    assert commit(again, "$2", 0) == []
    assert "$2 of @p:x repeats a message" in caplog.text
    assert [each.event_id for each in inbox.unanswered(again.read())] == ["$1"]
    assert commit(again, "$3", 1) == ["$3"]
    again.close()


def test_a_yes_that_was_nobodys_business_is_no_answer_to_a_later_question(journal: Journal) -> None:
    assert commit(journal, "$yes", 0, Kind.ANSWER, "yes") == []
    with journal.write() as tx:
        questions.ask(
            tx,
            slot="answer:$run",
            room_id=ROOM,
            thread=None,
            asker=PERSON,
            action="run",
            payload={},
            command_event="$run",
            now=0.0,
            seconds=300.0,
        )
    reply = Opened(Incoming(0, "$again", ROOM, PERSON, Kind.ANSWER, "yes", target="$run"), "s", 0)
    with journal.write() as tx:
        assert intake.commit(tx, [reply], "token", "s2") == []
    fresh = Opened(Incoming(0, "$fresh", ROOM, PERSON, Kind.ANSWER, "yes", target="$run"), "s", 1)
    with journal.write() as tx:
        assert [each.event_id for each in intake.commit(tx, [fresh], "token", "s3")] == ["$fresh"]


def test_the_past_of_a_session_is_kept_as_its_highest_number(journal: Journal) -> None:
    for number in range(10):
        assert first(journal, number, f"$a{number}", session="a")
    for number in (5, 2):
        assert first(journal, number, f"$b{number}", session="b")
    assert fold(journal, 20)[0] == ("a", 0, "$a0")
    assert fold(journal, 3) == [("a", 8, ""), ("a", 9, "$a9"), ("b", 2, "$b2"), ("b", 5, "$b5")]
    assert not first(journal, 4, "$new", session="a")
    assert not first(journal, 8, "$new", session="a")
    assert first(journal, 9, "$a9", session="a")
    assert first(journal, 10, "$new", session="a")
    assert fold(journal, 0) == [("a", 10, ""), ("b", 5, "")]
    assert not first(journal, 10, "$new", session="a")
    assert not first(journal, 5, "$b5", session="b")
    assert first(journal, 6, "$b6", session="b")
    assert fold(journal, 0) == [("a", 10, ""), ("b", 6, "")]
