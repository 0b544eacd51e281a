"""The outbox: newest content wins, a try is frozen, one transaction id has one content."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatrixcd_threads.journal import outbox
from chatrixcd_threads.journal.db import Journal, get_meta
from chatrixcd_threads.journal.outbox import Priority, Sending


def put(journal: Journal, slot: str, value: str, room: str = "!r", priority: Priority = Priority.ANSWER) -> None:
    with journal.write() as tx:
        outbox.put(tx, slot, room, {"plain": value}, priority)


def due(journal: Journal, *busy: str) -> str | None:
    row = outbox.next_due(journal.read(), busy)
    if row is None:
        return None
    return str(journal.read().execute("SELECT slot FROM outbox WHERE id = ?", (row,)).fetchone()[0])


def begin(journal: Journal) -> Sending:
    row = outbox.next_due(journal.read(), ())
    assert row is not None
    with journal.write() as tx:
        return outbox.begin(tx, row)


def sent(journal: Journal, sending: Sending, event: str = "$e") -> None:
    with journal.write() as tx:
        outbox.sent(tx, sending, event)


def stored(journal: Journal) -> str:
    return "".join(str(tuple(row)) for row in journal.read().execute("SELECT * FROM outbox"))


def test_a_message_is_sent_and_forgotten(journal: Journal) -> None:
    put(journal, "a", "a secret plan")
    sending = begin(journal)
    assert (sending.slot, sending.room_id, sending.version, sending.edits) == ("a", "!r", 1, None)
    assert sending.content == {"plain": "a secret plan"}
    sent(journal, sending)
    assert outbox.owed(journal.read()) == 0
    assert "a secret plan" not in stored(journal)
    assert outbox.slot_of(journal.read(), "$e") == "a"


def test_what_is_not_yet_under_way_coalesces(journal: Journal) -> None:
    for value in ("one", "two", "three"):
        put(journal, "a", value)
    sending = begin(journal)
    assert sending.content == {"plain": "three"}
    assert sending.edits is None
    sent(journal, sending)
    assert outbox.owed(journal.read()) == 0


def test_the_same_content_again_is_nothing_new(journal: Journal) -> None:
    put(journal, "a", "one")
    put(journal, "a", "one")
    assert begin(journal).version == 1


def test_a_try_is_frozen_until_it_is_sent(journal: Journal) -> None:
    put(journal, "a", "one")
    first = begin(journal)
    put(journal, "a", "two")
    assert begin(journal) == first  # after a crash: the same content under the same transaction id
    sent(journal, first, "$e1")
    edit = begin(journal)
    assert (edit.content, edit.edits) == ({"plain": "two"}, "$e1")
    assert edit.version > first.version
    sent(journal, edit, "$e2")
    assert outbox.slot_of(journal.read(), "$e1") == "a"
    assert outbox.slot_of(journal.read(), "$e2") is None  # an edit is not the message


def test_a_frozen_try_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    put(journal, "a", "one")
    first = begin(journal)
    journal.close()
    again = Journal(path)
    put(again, "a", "two")
    assert begin(again) == first
    again.close()


def test_who_goes_first(journal: Journal) -> None:
    put(journal, "state", "x", priority=Priority.STATE)
    put(journal, "result", "x", "!2", Priority.RESULT)
    put(journal, "answer1", "x", "!1")
    put(journal, "answer2", "x", "!2")
    assert due(journal) == "answer1"
    assert due(journal, "!1") == "answer2"
    assert due(journal, "!1", "!2") == "state"
    assert due(journal, "!1", "!2", "!r") is None
    for expected in ("answer1", "answer2", "result", "state"):
        sending = begin(journal)
        assert sending.slot == expected
        sent(journal, sending, f"${expected}")


def test_rooms_take_turns(journal: Journal) -> None:
    for number in range(50):
        put(journal, f"flood{number}", "x", "!flood")
    put(journal, "mine", "x", "!mine")
    order, turns = [], dict[str, int]()
    for number in range(3):
        row = outbox.next_due(journal.read(), (), turns)
        assert row is not None
        with journal.write() as tx:
            sending = outbox.begin(tx, row)
        turns[sending.room_id] = number + 1
        order.append(sending.slot)
        sent(journal, sending)
    assert order == ["flood0", "mine", "flood1"]


def test_what_failed_for_good_is_kept_with_its_reason_and_holds_up_nothing(journal: Journal) -> None:
    put(journal, "a", "one")
    put(journal, "b", "two")
    with journal.write() as tx:
        outbox.fail(tx, 1, "M_FORBIDDEN: not in the room")
    assert due(journal) == "b"
    assert outbox.owed(journal.read()) == 1
    assert "M_FORBIDDEN: not in the room" in stored(journal)


def given_up(journal: Journal) -> Sending:
    sending = begin(journal)
    with journal.write() as tx:
        outbox.fail(tx, sending.id, "M_FORBIDDEN: no power")
    return sending


def test_newer_content_of_a_message_that_was_given_up_is_tried_where_the_message_would_stand(journal: Journal) -> None:
    with journal.write() as tx:
        outbox.put(tx, "a", "!r", {"plain": "a secret plan", "thread": "$t", "reply_to": "$c"}, Priority.ANSWER)
    first = given_up(journal)
    assert "secret" not in stored(journal)
    put(journal, "a", "two")
    sending = begin(journal)
    assert (sending.edits, sending.version) == (None, first.version + 1)
    assert sending.content == {"plain": "two", "thread": "$t", "reply_to": "$c"}


def test_newer_content_after_an_edit_that_was_given_up_is_tried(journal: Journal) -> None:
    put(journal, "a", "one")
    sent(journal, begin(journal), "$a")
    put(journal, "a", "two")
    given_up(journal)
    put(journal, "a", "three")
    sending = begin(journal)
    assert (sending.edits, sending.content) == ("$a", {"plain": "three"})


def test_a_message_that_an_earlier_version_has_given_up_takes_newer_content(journal: Journal) -> None:
    put(journal, "a", "one")
    given_up(journal)
    with journal.write() as tx:
        tx.execute("UPDATE outbox SET content = ''")
    put(journal, "a", "two")
    assert begin(journal).content == {"plain": "two"}


def test_a_file_goes_with_its_row_and_is_not_kept(journal: Journal) -> None:
    with journal.write() as tx:
        outbox.put(tx, "a/file0", "!r", {"file_name": "x.log"}, Priority.ANSWER, b"all of it")
    sending = begin(journal)
    assert sending.file == b"all of it"
    sent(journal, sending)
    assert "all of it" not in stored(journal)


def test_what_was_said_since(journal: Journal) -> None:
    put(journal, "question", "?")
    assert not outbox.said_since(journal.read(), "!r", "question")
    put(journal, "elsewhere", "x", "!other")
    put(journal, "question", "? again")
    assert not outbox.said_since(journal.read(), "!r", "question")
    put(journal, "later", "x")
    assert outbox.said_since(journal.read(), "!r", "question")


@pytest.mark.parametrize("txn", ["", "j", "j.1", "j.x.1", "other.1.1", "j.1.x", "j.1.2.3", "j..1"])
def test_transaction_ids_that_are_not_ours(txn: str) -> None:
    assert outbox.row_of_txn("j", txn) is None


def test_our_transaction_ids_name_their_row() -> None:
    assert outbox.row_of_txn("j", outbox.txn_id("j", 17, 3)) == 17


# What a kill leaves is the same there, and a thousand commits take a third of the time.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SLOTS, VALUES = st.sampled_from("abc"), st.sampled_from(["one", "two", "three"])


class Sending_(RuleBasedStateMachine):  # noqa: N801 - it is the world around an outbox, not a class of the bot
    """A homeserver that answers, loses answers, or never got it; a bot that is killed at any moment.

    The homeserver shows each transaction id once, as real ones do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.journal = Journal(Path(self.folder.name) / "j")
        self.id = get_meta(self.journal.read(), "journal") or ""
        self.wanted: dict[str, str] = {}
        self.put_count = 0
        self.events: dict[str, tuple[str, str, str | None]] = {}  # txn -> (event id, content, edits)
        self.under_way: Sending | None = None

    def teardown(self) -> None:
        for _ in range(50):  # what is owed goes out in the end
            if self.under_way is None and outbox.next_due(self.journal.read(), ()) is None:
                break
            self.send()
            self.answered()
        shown: dict[str, list[str]] = defaultdict(list)  # first event id -> its contents, in order
        for event, content, edits in self.events.values():
            shown[edits or event].append(content)
        slots = {outbox.slot_of(self.journal.read(), event): contents[-1] for event, contents in shown.items()}
        self.journal.close()
        self.folder.cleanup()
        assert slots == self.wanted  # one message a slot, and it shows what was put last

    @rule(slot=SLOTS, value=VALUES)
    def say(self, slot: str, value: str) -> None:
        put(self.journal, slot, value, f"!{slot}")
        self.wanted[slot] = value

    @precondition(lambda self: self.under_way is None)
    @rule()
    def send(self) -> None:
        """The PUT reaches the homeserver. Whether its answer comes back is another rule."""
        if self.under_way is not None or outbox.next_due(self.journal.read(), ()) is None:
            return
        sending = begin(self.journal)
        txn = outbox.txn_id(self.id, sending.id, sending.version)
        content = str(sending.content["plain"])
        event, before, edits = self.events.setdefault(txn, (f"${len(self.events)}", content, sending.edits))
        assert (before, edits) == (content, sending.edits), f"{event}: one transaction id with two contents"
        self.under_way = sending

    @precondition(lambda self: self.under_way is None)
    @rule()
    def send_and_never_arrive(self) -> None:
        if outbox.next_due(self.journal.read(), ()) is not None:
            begin(self.journal)

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def answered(self) -> None:
        if self.under_way is not None:
            txn = outbox.txn_id(self.id, self.under_way.id, self.under_way.version)
            sent(self.journal, self.under_way, self.events[txn][0])
        self.under_way = None

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def answer_lost(self) -> None:
        self.under_way = None

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def echo(self) -> None:
        assert self.under_way is not None
        txn = outbox.txn_id(self.id, self.under_way.id, self.under_way.version)
        with self.journal.write() as tx:
            outbox.echoed(tx, self.events[txn][0], outbox.row_of_txn(self.id, txn))

    @rule()
    def killed(self) -> None:
        self.journal.close()
        self.journal = Journal(Path(self.folder.name) / "j")
        self.under_way = None

    @invariant()
    def one_first_event_a_slot(self) -> None:
        firsts = [txn.split(".")[1] for txn, (_, _, edits) in self.events.items() if edits is None]
        assert len(firsts) == len(set(firsts))


TestSending = Sending_.TestCase
TestSending.settings = effort(max_examples=40, stateful_step_count=30, deadline=None)


def test_who_is_next_is_found_without_reading_all_that_is_owed(journal: Journal) -> None:
    """It is asked for each sending, in the loop that everything waits for."""
    with journal.write() as tx:
        for number in range(3_000):
            outbox.put(tx, f"s{number}", f"!{number % 3}:x", {"plain": "x" * 100}, Priority.STATE)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    read = journal.read()
    read.set_progress_handler(step, 100)
    try:
        assert outbox.next_due(read, {"!0:x"}, {"!1:x": 1}) == 3
    finally:
        read.set_progress_handler(None, 0)
    assert steps < 20
