"""From timeline events to what was heard. The events are plain objects with a `source`, as nio's are."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nio import MegolmEvent

from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal.intake import Chatter, Echo, Heard, Opened, Said
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.inbound import LONGEST_COMMAND, Clock, clock_of, heard, since_own_join

BOT, ANN, ROOM = "@bot:x", "@ann:x", "!r:x"
CLOCK = Clock(1_000.0)


class Event:
    """One event of a timeline; `decrypted` as nio sets it on what came out of an encrypted one."""

    def __init__(self, source: Any, *, decrypted: bool = False) -> None:
        self.source = source
        self.decrypted = decrypted
        self.sender = source.get("sender") if isinstance(source, dict) else None
        self.sender_key = "key of the sender"


def said(body: object = "!cd help", event_id: str = "$e", *, decrypted: bool = False, **more: Any) -> Event:
    content = {"msgtype": "m.text", "body": body} | more.pop("content", {})
    source = {
        "type": "m.room.message",
        "event_id": event_id,
        "sender": ANN,
        "origin_server_ts": 5_000,
        "content": content,
    }
    return Event(source | more, decrypted=decrypted)


def reacted(key: object = "👍", target: object = "$q", rel_type: object = "m.annotation", **more: Any) -> Event:
    content = {"m.relates_to": {"rel_type": rel_type, "event_id": target, "key": key}}
    return Event({"type": "m.reaction", "event_id": "$e", "sender": ANN, "content": content} | more)


def member(user: str = BOT, membership: object = "join", before: object = None, **more: Any) -> Event:
    source = {
        "type": "m.room.member",
        "state_key": user,
        "event_id": "$m",
        "sender": user,
        "content": {"membership": membership},
    }
    unsigned = {} if before is None else {"unsigned": {"prev_content": {"membership": before}}}
    return Event(source | unsigned | more)


def listen(
    *events: Any,
    encrypted: bool = False,
    known_key: bool = True,
    refused: tuple[str, ...] = (),
    asked: tuple[str, ...] = (),
    clock: Clock = CLOCK,
) -> list[Heard]:
    async def owns(sender: str, sender_key: str) -> bool:
        return known_key

    client = SimpleNamespace(
        user_id=BOT, rooms={ROOM: SimpleNamespace(encrypted=encrypted)}, refused=set(refused), owns=owns
    )
    return asyncio.run(heard(cast(GuardedClient, client), ROOM, events, "!cd", clock=clock, asked=asked))


def one(event: Any, **more: Any) -> Heard | None:
    found = listen(event, **more)
    assert len(found) <= 1
    return found[0] if found else None


def test_a_command() -> None:
    assert one(said("!cd run 1 5\nplease")) == Incoming(0, "$e", ROOM, ANN, Kind.COMMAND, "run 1 5", at=5.0)


def test_what_came_encrypted_and_is_acted_on_has_its_number_with_it() -> None:
    def sealed(body: str) -> Event:
        event = said(body, decrypted=True)
        event.session_id, event.message_number = "session", 7  # type: ignore[attr-defined]
        return event

    assert one(sealed("!cd help")) == Opened(Incoming(0, "$e", ROOM, ANN, Kind.COMMAND, "help", at=5.0), "session", 7)
    assert one(sealed("yes")) == Opened(Incoming(0, "$e", ROOM, ANN, Kind.ANSWER, "yes", at=5.0), "session", 7)
    assert one(sealed("how are you?")) == Chatter(ROOM, ANN)


@pytest.mark.parametrize(
    ("unsigned", "at"),
    [
        ({"age": 2_500}, 5.0),  # somebody sent it on late: what was said then is not said now
        ({"age": 997_000}, 3.0),
        ({"age": -7}, 5.0),
        ({"age": "1"}, 5.0),
        ({"age": 10**30}, 5.0),
        ("junk", 5.0),
    ],
)
def test_how_old_a_message_is_is_told_by_the_homeserver(unsigned: object, at: float) -> None:
    assert cast(Incoming, one(said(unsigned=unsigned))).at == at
    sealed = said(unsigned={"age": 0}, decrypted=True)  # what the sender writes inside counts for nothing
    sealed.outside = unsigned  # type: ignore[attr-defined]
    assert cast(Incoming, one(sealed)).at == at


def test_a_homeserver_whose_clock_is_behind_makes_nothing_late() -> None:
    assert cast(Incoming, one(said(unsigned={"age": 2_500}), clock=Clock(1_000.0, 995.0))).at == 997.5
    assert cast(Incoming, one(said(unsigned=None), clock=Clock(1_000.0, 995.0))).at == 1_000.0
    assert cast(Incoming, one(said(origin_server_ts="junk", unsigned={"age": 500}))).at == 999.5


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 01 Jan 1970 00:16:40 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:37 GMT", 0.0),  # a header has whole seconds, and an answer takes time
        ("Thu, 01 Jan 1970 00:10:00 GMT", 400.0),
        ("Thu, 01 Jan 1970 00:20:00 GMT", -200.0),
        ("", 0.0),
        ("soon", 0.0),
    ],
)
def test_the_clock_of_the_homeserver_is_read_from_its_answers(date: str, ahead: float) -> None:
    assert clock_of(1_000.0, date) == Clock(1_000.0, ahead)


def test_what_everybody_says_is_chatter_and_its_text_is_not_kept() -> None:
    assert one(said("how are you?")) == Chatter(ROOM, ANN)


@pytest.mark.parametrize("msgtype", ["m.notice", "m.emote", "m.image", "m.file", None, 7, ["m.text"]])
def test_only_plain_messages_are_commands(msgtype: object) -> None:
    assert one(said(content={"msgtype": msgtype})) is None


@pytest.mark.parametrize(("now", "line"), [("!cd exit", "exit"), ("never mind", "")])
def test_an_edit_is_never_a_command(now: str, line: str) -> None:
    edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": "$old"}, "m.new_content": {"body": now}}
    for body in (f"* {now}", now):
        item = one(said(body, content=edit))
        assert isinstance(item, Incoming)
        assert (item.kind, item.target, item.text) == (Kind.EDITED, "$old", line)


@pytest.mark.parametrize("where", ["event", "content"])
def test_a_deleted_message_names_what_was_deleted(where: str) -> None:
    source = {"type": "m.room.redaction", "event_id": "$e", "sender": ANN, "content": {}}
    item = one(Event(source | ({"redacts": "$old"} if where == "event" else {"content": {"redacts": "$old"}})))
    assert isinstance(item, Incoming)
    assert (item.kind, item.target) == (Kind.WITHDRAWN, "$old")


def test_the_bots_own_messages_are_echoes() -> None:
    mine = said("!cd exit", sender=BOT)
    assert one(mine) == Echo("$e", None)
    mine.transaction_id = "j.1.1"  # type: ignore[attr-defined]
    assert one(mine) == Echo("$e", "j.1.1")
    assert one(reacted(sender=BOT)) is None


@pytest.mark.parametrize(("body", "verdict"), [("yes", "yes"), ("No.", "no"), ("ok!", "yes")])
def test_a_bare_word(body: str, verdict: str) -> None:
    assert one(said(body)) == Incoming(0, "$e", ROOM, ANN, Kind.ANSWER, verdict, at=5.0)


REPLY = {"m.in_reply_to": {"event_id": "$q"}}
THREAD = {"rel_type": "m.thread", "event_id": "$root"}


@pytest.mark.parametrize(
    ("body", "relation", "target", "thread"),
    [
        ("yes", REPLY, "$q", None),
        ("> <@bot:x> Shall I?\n\nyes", REPLY, "$q", None),
        ("yes", THREAD, None, "$root"),
        ("yes", {**THREAD, **REPLY, "is_falling_back": True}, None, "$root"),  # no reply: said in the thread
        ("yes", {**THREAD, **REPLY}, "$q", "$root"),
        ("yes", {"rel_type": "m.reference", "event_id": "$q"}, None, None),
    ],
)
def test_replies_and_threads(body: str, relation: dict[str, Any], target: str | None, thread: str | None) -> None:
    item = one(said(body, content={"m.relates_to": relation}))
    answer = item.verdict if isinstance(item, Said) else item
    assert isinstance(answer, Incoming)
    assert (answer.kind, answer.text, answer.target, answer.thread) == (Kind.ANSWER, "yes", target, thread)
    assert isinstance(item, Said) == (target is not None or thread is not None)


def test_a_command_in_a_thread_or_reply() -> None:
    item = one(said("> quoted\n> lines\n\n!cd status", content={"m.relates_to": {**THREAD, **REPLY}}))
    assert isinstance(item, Incoming)
    assert (item.kind, item.text, item.target, item.thread) == (Kind.COMMAND, "status", "$q", "$root")
    item = one(said("!cd status", content={"m.relates_to": {**THREAD, **REPLY, "is_falling_back": True}}))
    assert isinstance(item, Incoming)
    assert (item.target, item.thread) == (None, "$root")  # what clients put in for those that know no threads


def test_a_quoted_command_is_none() -> None:
    item = one(said("> !cd exit\n\nwhat was that?", content={"m.relates_to": REPLY}))
    assert isinstance(item, Said)
    assert (item.words.kind, item.words.text, item.verdict) == (Kind.SAID, "what was that?", None)


@pytest.mark.parametrize(("key", "verdict"), [("👍", "yes"), ("👎🏿", "no"), ("✅", "yes"), ("2️⃣", "2")])
def test_reactions(key: str, verdict: str) -> None:
    item = one(reacted(key))
    assert isinstance(item, Incoming)
    assert (item.kind, item.text, item.target) == (Kind.REACTION, verdict, "$q")


@pytest.mark.parametrize(
    "event",
    [reacted("👀"), reacted(7), reacted(target=None), reacted(rel_type="m.thread"), reacted(target={})],
)
def test_other_reactions_are_nothing(event: Event) -> None:
    assert one(event) is None


def test_a_command_in_clear_in_an_encrypted_room_is_marked_and_a_word_there_is_chatter() -> None:
    item = one(said("!cd exit"), encrypted=True)
    assert isinstance(item, Incoming)
    assert item.kind is Kind.CLEAR
    assert one(said("yes"), encrypted=True) == Chatter(ROOM, ANN)
    opened = one(said("!cd help", decrypted=True), encrypted=True)
    assert isinstance(opened, Incoming)
    assert opened.kind is Kind.COMMAND


def test_a_message_of_somebody_elses_key_is_forged_and_its_text_dropped() -> None:
    item = one(said("!cd exit", decrypted=True), encrypted=True, known_key=False)
    assert isinstance(item, Incoming)
    assert (item.kind, item.text) == (Kind.FORGED, "")


def test_an_answer_with_somebody_elses_key_is_told_apart_from_talk_and_its_words_dropped() -> None:
    item = one(said("yes", decrypted=True), encrypted=True, known_key=False)
    assert isinstance(item, Incoming)
    assert (item.kind, item.text) == (Kind.FORGED, "answer")
    assert one(said("good morning", decrypted=True), encrypted=True, known_key=False) == Chatter(ROOM, ANN)


def test_what_cannot_be_decrypted_is_told_with_its_session() -> None:
    source = {
        "type": "m.room.encrypted",
        "event_id": "$e",
        "sender": ANN,
        "origin_server_ts": 1_000,
        "content": {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": "x",
            "session_id": "s1",
            "sender_key": "k",
            "device_id": "D",
        },
    }
    item = one(MegolmEvent.from_dict(source))
    assert isinstance(item, Incoming)
    assert (item.kind, item.text) == (Kind.UNREADABLE, "s1")


def test_what_was_refused_as_junk_is_nothing() -> None:
    assert listen(said(event_id="$junk"), said(event_id="$good"), refused=("$junk",)) == [one(said(event_id="$good"))]


# --- history


def ids(events: list[Any]) -> list[str]:
    return [event.source["event_id"] for event in events]


def test_what_was_said_before_the_bot_came_in_is_history() -> None:
    events = [said(event_id="$1"), member(), said(event_id="$2"), member(before="leave"), said(event_id="$3")]
    assert ids(since_own_join(events, BOT)) == ["$3"]


@pytest.mark.parametrize(
    "event",
    [member("@other:x"), member(before="join"), member(membership="leave"), member(membership="invite")],
)
def test_other_memberships_cut_nothing(event: Event) -> None:
    assert len(since_own_join([said(event_id="$1"), event], BOT)) == 2


# --- junk

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["m.thread", "join", "\ud800", "!cd"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "membership",
                    "body",
                    "msgtype",
                    "m.relates_to",
                    "event_id",
                    "rel_type",
                    "key",
                    "m.in_reply_to",
                    "prev_content",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    source=st.fixed_dictionaries(
        {"type": st.sampled_from(["m.room.message", "m.reaction", "m.room.member", "m.room.encrypted", "x"]) | junk},
        optional=dict.fromkeys(("sender", "event_id", "content", "origin_server_ts", "unsigned"), junk)
        | {"state_key": st.just(BOT) | junk},
    ),
    fill=st.booleans(),
)
def test_no_junk_breaks_the_sync(source: dict[str, Any], fill: bool) -> None:
    if fill:
        source = {**source, "sender": ANN, "event_id": "$e"}
    for item in listen(Event(source), Event(None), object()):
        if isinstance(item, Incoming):  # whatever is stored must fit into the journal
            for value in (item.event_id, item.sender, item.text, item.target or "", item.thread or ""):
                value.encode("utf-8")
            assert item.at >= 0


@pytest.mark.parametrize("body", ["!cd help \ud800", "\udfff"])
def test_half_characters_of_an_encrypted_payload_can_be_stored(body: str) -> None:
    item = one(said(body, decrypted=True))
    assert item is not None
    if isinstance(item, Incoming):
        assert item.text.encode("utf-8") == b"help ?"


def test_a_message_of_sixty_kilobytes() -> None:
    assert one(said("x" * 60_000)) == Chatter(ROOM, ANN)
    item = one(said("!cd help " + "x" * 60_000))
    assert isinstance(item, Incoming)
    assert len(item.text) <= LONGEST_COMMAND


@pytest.mark.parametrize(
    ("event", "text", "clear"),
    [
        (said("hunter2", decrypted=True), "hunter2", False),
        (said("  hunter2\n", decrypted=True), "hunter2", False),
        (said("x" * (LONGEST_COMMAND + 1), decrypted=True), "", False),
        (said("hunter2"), "hunter2", True),
    ],
    ids=["a word", "blanks", "too long", "in clear"],
)
@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "room that says it is not"])
def test_of_whom_a_secret_is_wanted_every_word_counts(event: Event, text: str, clear: bool, encrypted: bool) -> None:
    item = one(event, encrypted=encrypted, asked=(ANN,))
    assert isinstance(item, Said)
    assert (item.words.kind, item.words.text, item.verdict, item.clear) == (Kind.SAID, text, None, clear)


def test_a_command_is_one_also_where_a_secret_is_wanted() -> None:
    item = one(said("!cd help", decrypted=True), encrypted=True, asked=(ANN,))
    assert isinstance(item, Incoming)
    assert item.kind is Kind.COMMAND


def test_where_a_secret_is_wanted_nothing_counts_from_a_strange_key_or_another_person() -> None:
    event = said("hunter2", decrypted=True)
    forged = one(event, encrypted=True, asked=(ANN,), known_key=False)
    assert isinstance(forged, Incoming)
    assert (forged.kind, forged.text) == (Kind.FORGED, "answer")
    assert one(event, encrypted=True, asked=("@bob:x",)) == Chatter(ROOM, ANN)
