"""What was heard: each event once, with the sync token, and only what concerns the bot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import inbox, intake, outbox, questions
from chatrixcd_threads.journal.db import Journal, get_meta
from chatrixcd_threads.journal.intake import Chatter, Echo, Heard

ROOM, PERSON, KEY = "!room", "@p:x", "token"


def heard(kind: Kind, event_id: str = "$e", **more: Any) -> Incoming:
    return Incoming(0, event_id, more.pop("room", ROOM), more.pop("sender", PERSON), kind, **more)


def commit(journal: Journal, *items: Heard, token: str = "s1") -> list[str]:
    with journal.write() as tx:
        return [each.event_id for each in intake.commit(tx, items, KEY, token)]


def ask(journal: Journal, slot: str = "answer:$cmd", *, asker: str = PERSON, event: str = "$q", **more: Any) -> None:
    """A question whose message was sent, and came back by /sync unless `seen` is False."""
    with journal.write() as tx:
        outbox.put(tx, slot, ROOM, {"plain": slot}, outbox.Priority.ANSWER)
        row = outbox.next_due(tx, ())
        assert row is not None
        outbox.sent(tx, outbox.begin(tx, row), event)
        questions.ask(
            tx,
            slot=slot,
            room_id=ROOM,
            thread=more.get("thread"),
            asker=asker,
            action="run",
            payload={},
            command_event=slot.removeprefix("answer:"),
            now=0.0,
            seconds=300.0,
        )
        if more.get("seen", True):
            outbox.echoed(tx, event, None)


def chattered(journal: Journal, asker: str = PERSON) -> bool:
    (question,) = questions.open_for(journal.read(), ROOM, asker)
    return question.chatter


# --- inbox


def test_an_event_is_accepted_once_however_often_it_comes(journal: Journal) -> None:
    assert commit(journal, heard(Kind.COMMAND, "$1"), heard(Kind.COMMAND, "$1")) == ["$1"]
    assert commit(journal, heard(Kind.COMMAND, "$1")) == []
    (event,) = inbox.unanswered(journal.read())
    with journal.write() as tx:
        assert inbox.finish(tx, event.seq) is True
        assert inbox.finish(tx, event.seq) is False
    assert commit(journal, heard(Kind.COMMAND, "$1")) == []
    assert inbox.unanswered(journal.read()) == []
    assert inbox.known(journal.read(), "$1")
    assert not inbox.known(journal.read(), "$2")


def test_what_comes_back_is_what_was_accepted(journal: Journal) -> None:
    event = heard(Kind.ANSWER, text="yes", target="$q", thread="$t", at=12.5)
    with journal.write() as tx:
        (stored,) = inbox.accept(tx, [event])
    assert stored.seq > 0
    assert inbox.unanswered(journal.read()) == [stored]
    assert (stored.kind, stored.text, stored.target, stored.thread, stored.at) == (
        Kind.ANSWER,
        "yes",
        "$q",
        "$t",
        12.5,
    )


def test_unanswered_events_come_in_order_and_by_lane(journal: Journal) -> None:
    events = [heard(Kind.COMMAND, f"${n}", room=f"!{n % 2}") for n in range(6)]
    commit(journal, *events)
    read = journal.read()
    assert [each.event_id for each in inbox.unanswered(read)] == ["$0", "$1", "$2", "$3", "$4", "$5"]
    assert [each.event_id for each in inbox.unanswered(read, lane=("!1", PERSON))] == ["$1", "$3", "$5"]
    third = inbox.unanswered(read)[2].seq
    assert [each.event_id for each in inbox.unanswered(read, after=third, most=2)] == ["$3", "$4"]


def test_a_handled_command_is_not_kept_in_clear(journal: Journal) -> None:
    commit(journal, heard(Kind.COMMAND, text="run secret-project"))
    with journal.write() as tx:
        inbox.finish(tx, 1)
    assert [tuple(row) for row in journal.read().execute("SELECT text FROM inbox")] == [("",)]


# --- intake


def test_events_and_token_are_one_transaction(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(journal, token="s1")
    monkeypatch.setattr(intake, "set_meta", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        commit(journal, heard(Kind.COMMAND), token="s2")
    assert get_meta(journal.read(), KEY) == "s1"
    assert inbox.unanswered(journal.read()) == []


@pytest.mark.parametrize("kind", [Kind.COMMAND, Kind.CLEAR, Kind.FORGED])
def test_what_always_concerns_the_bot(journal: Journal, kind: Kind) -> None:
    assert commit(journal, heard(kind)) == ["$e"]


def test_an_answer_from_a_session_that_does_not_count_is_refused_only_where_something_is_asked(
    journal: Journal,
) -> None:
    """Without a word its sender would wait for ever, and never learn that the session must be verified."""
    first, second = (heard(Kind.FORGED, name, text=intake.FORGED_ANSWER, target="$q") for name in ("$1", "$2"))
    assert commit(journal, first) == []
    ask(journal)
    assert commit(journal, second) == ["$2"]


def test_unreadable_messages_are_answered_once_for_a_session_and_room(journal: Journal) -> None:
    assert commit(journal, heard(Kind.UNREADABLE, "$1", text="session a")) == ["$1"]
    assert commit(journal, heard(Kind.UNREADABLE, "$2", text="session a")) == []
    assert commit(journal, heard(Kind.UNREADABLE, "$3", text="session b")) == ["$3"]
    assert commit(journal, heard(Kind.UNREADABLE, "$4", text="session a", room="!other")) == ["$4"]


def test_junk_of_many_sessions_is_answered_a_few_times(journal: Journal) -> None:
    """Anybody in a room can send as many made-up sessions as their homeserver lets through."""
    flood = [heard(Kind.UNREADABLE, f"${n}", text=f"session {n}") for n in range(100)]
    assert len(commit(journal, *flood)) == intake.MOST_UNREADABLE
    assert journal.read().execute("SELECT count(*) FROM meta WHERE key LIKE 'unreadable:%'").fetchone()[0] == 3
    with journal.write() as tx:
        for event in inbox.unanswered(tx):
            inbox.finish(tx, event.seq)
            outbox.put(tx, f"answer:{event.event_id}", event.room_id, {"plain": "x"}, outbox.Priority.STATE)
    assert commit(journal, heard(Kind.UNREADABLE, "$a", text="a")) == []
    with journal.write() as tx:
        tx.execute("UPDATE outbox SET sent_version = version WHERE slot = 'answer:$0'")
    assert commit(journal, heard(Kind.UNREADABLE, "$b", text="b")) == ["$b"]


def test_a_reaction_counts_on_an_open_question_only(journal: Journal) -> None:
    react = [heard(Kind.REACTION, f"$r{n}", text="yes", target="$q") for n in range(3)]
    assert commit(journal, react[0]) == []
    ask(journal)
    others = [heard(Kind.REACTION, f"$on {each}", text="yes", target=each) for each in ("$other", "$cmd")]
    assert commit(journal, react[1], *others) == ["$r1"]
    with journal.write() as tx:
        assert questions.settle(tx, 1, "no")
    assert commit(journal, react[2]) == []


@pytest.mark.parametrize(
    ("more", "taken"),
    [
        ({"target": "$q"}, True),  # a reply to the question
        ({"target": "$cmd"}, True),  # a reply to one's own command
        ({"thread": "$cmd"}, True),  # an answer in the command's thread
        ({"thread": "$q"}, True),
        ({}, True),  # a bare word
        ({"target": "$else"}, False),
        ({"thread": "$else"}, False),  # a word in another conversation is no bare word
        ({"sender": "@other:x"}, False),
        ({"room": "!other"}, False),
    ],
    ids=str,
)
def test_which_words_answer_a_question(journal: Journal, more: dict[str, Any], taken: bool) -> None:
    ask(journal)
    assert commit(journal, heard(Kind.ANSWER, text="yes", **more)) == (["$e"] if taken else [])


def test_a_bare_word_counts_only_after_the_question_was_seen(journal: Journal) -> None:
    ask(journal, seen=False)
    assert commit(journal, heard(Kind.ANSWER, "$1", text="yes")) == []
    assert chattered(journal)  # it was said to somebody else, before the question was there


def test_the_echo_and_the_word_may_come_in_one_response_in_the_order_of_the_room(journal: Journal) -> None:
    ask(journal, seen=False)
    yes = heard(Kind.ANSWER, text="yes")
    assert commit(journal, Echo("$q", None), yes) == ["$e"]
    assert not chattered(journal)


def test_an_echo_that_is_faster_than_the_answer_of_its_sending(journal: Journal) -> None:
    """The homeserver's answer to the PUT is lost or late: the transaction id tells which message it is."""
    with journal.write() as tx:
        outbox.put(tx, "answer:$cmd", ROOM, {"plain": "?"}, outbox.Priority.ANSWER)
        sending = outbox.begin(tx, 1)
    txn = outbox.txn_id(get_meta(journal.read(), "journal") or "", sending.id, sending.version)
    commit(journal, Echo("$q", txn))
    assert outbox.in_sight(journal.read(), "answer:$cmd")
    assert outbox.slot_of(journal.read(), "$q") == "answer:$cmd"


def test_an_echo_of_another_device_changes_nothing(journal: Journal) -> None:
    with journal.write() as tx:
        outbox.put(tx, "answer:$cmd", ROOM, {"plain": "?"}, outbox.Priority.ANSWER)
    commit(journal, Echo("$q", None), Echo("$q", "somebody.1.1"), Echo("$q", "junk"))
    assert not outbox.in_sight(journal.read(), "answer:$cmd")


@pytest.mark.parametrize(
    "said", [Chatter(ROOM, PERSON), heard(Kind.COMMAND), heard(Kind.CLEAR), heard(Kind.UNREADABLE, text="s")], ids=str
)
def test_saying_something_else_is_chatter(journal: Journal, said: Heard) -> None:
    ask(journal)
    commit(journal, said)
    assert chattered(journal)


@pytest.mark.parametrize(
    "said",
    [
        [Chatter(ROOM, "@other:x")],
        [Chatter("!other", PERSON)],
        [heard(Kind.REACTION, text="yes", target="$q")],
        [heard(Kind.ANSWER, text="yes")],
    ],
    ids=str,
)
def test_what_is_no_chatter(journal: Journal, said: Sequence[Heard]) -> None:
    ask(journal)
    commit(journal, *said)
    assert not chattered(journal)


def test_two_people_who_were_asked_in_one_thread_both_answer_for_themselves(journal: Journal) -> None:
    ask(journal, "answer:$1", asker="@a", event="$q1", thread="$root")
    ask(journal, "answer:$2", asker="@b", event="$q2", thread="$root")
    assert commit(journal, heard(Kind.ANSWER, "$yes", sender="@a", text="yes", thread="$root")) == ["$yes"]
    with journal.write() as tx:
        questions.settle(tx, 2, "no")
    assert commit(journal, heard(Kind.ANSWER, "$b", sender="@b", text="yes", thread="$root")) == []


def test_a_word_in_a_thread_counts_only_for_a_question_that_was_seen_there(journal: Journal) -> None:
    """The bot offers something in the thread while an “ok” for somebody else is on its way."""
    ask(journal, thread="$root", seen=False)
    assert commit(journal, heard(Kind.ANSWER, "$1", text="yes", thread="$root")) == []
    assert commit(journal, Echo("$q", None), heard(Kind.ANSWER, "$2", text="yes", thread="$root")) == ["$2"]


def test_in_a_thread_on_an_old_question_a_new_one_can_be_answered(journal: Journal) -> None:
    """The question's message became the result, and people go on in its thread."""
    ask(journal, "answer:$1", event="$q1")
    with journal.write() as tx:
        questions.settle(tx, 1, "yes")
    ask(journal, "answer:$2", event="$q2", thread="$q1")
    assert commit(journal, heard(Kind.ANSWER, "$yes", text="yes", thread="$q1")) == ["$yes"]


@pytest.mark.parametrize("kind", [Kind.ANSWER, Kind.REACTION])
def test_an_answer_from_another_room_counts_for_nothing(journal: Journal, kind: Kind) -> None:
    ask(journal)
    assert commit(journal, heard(kind, text="yes", target="$q", room="!other")) == []
