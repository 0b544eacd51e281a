"""One sync response becomes one transaction: what was heard, in the order of the rooms' timelines, and the sync token."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import inbox, opened, outbox, questions
from chatrixcd_threads.journal.db import get_meta, set_meta

log = logging.getLogger("chatrixcd.inbound")


def token_key(user_id: str, homeserver: str) -> str:
    """The name of the sync token of one account: another account must not go on from it."""
    return f"sync_token {user_id} {homeserver}"


@dataclass(frozen=True, slots=True)
class Echo:
    """A message of ours that came back; `txn` only when it was sent by this device."""

    event_id: str
    txn: str | None


@dataclass(frozen=True, slots=True)
class Chatter:
    """Somebody said something that is none of the bot's business; its text stays where it was."""

    room_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class Said:
    """Words in reply to something or in a thread. Kept only when an open question waits for them; else they are chatter.

    `verdict` is the same as a yes or no, when it is one. `clear`: it came in clear where nothing may. Of people who were asked for
    a secret in their room all that they say there comes like this.
    """

    words: Incoming
    verdict: Incoming | None
    clear: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What came encrypted: the number of the message in its sender's session goes with it."""

    item: Incoming | Said
    session_id: str
    number: int


FORGED_ANSWER: Final = "answer"  # in place of its words
MOST_UNREADABLE: Final = 3  # answers to a person that wait to be sent

Heard = Incoming | Echo | Chatter | Said | Opened


def _forgets(event_id: str, words: str) -> None:
    """Nobody keeps secrets."""


def commit(
    tx: sqlite3.Connection,
    heard: Sequence[Heard],
    key: str,
    token: str,
    keep: Callable[[str, str], None] = _forgets,
) -> list[Incoming]:
    """Stores what concerns the bot, and the token under its key with it. Returns the new events, for the inbox queue.

    The words of an answer to a question for a secret go to `keep`, with the id of their event, and are never stored.
    """
    journal = get_meta(tx, "journal") or ""
    fresh: list[Incoming] = []
    for each in heard:
        item = _unless_repeated(tx, each) if isinstance(each, Opened) else each
        if item is None:
            continue
        if isinstance(item, Said):
            words, item = item.words.text, _taken(tx, item)
            if isinstance(item, Incoming) and item.kind is Kind.SECRET and not inbox.known(tx, item.event_id):
                keep(item.event_id, words)
        if isinstance(item, Incoming) and item.kind is Kind.EDITED and inbox.is_secret(tx, item.target or ""):
            item = _without_words(item, Kind.EXPOSED)  # nothing is taken from an edit, and it is not left there either
        if isinstance(item, Echo):
            txn = item.txn or ""
            outbox.echoed(tx, item.event_id, outbox.row_of_txn(journal, txn), outbox.life_of_txn(txn))
        elif isinstance(item, Chatter):
            questions.chattered(tx, item.room_id, item.sender)
        elif _concerns_us(tx, item):
            if item.kind not in _ANSWERS:
                questions.chattered(tx, item.room_id, item.sender)
            fresh += inbox.accept(tx, [item])
        elif item.kind in (Kind.ANSWER, Kind.FORGED):
            questions.chattered(tx, item.room_id, item.sender)
    set_meta(tx, key, token)
    return fresh


_ANSWERS: Final = frozenset(
    {Kind.REACTION, Kind.ANSWER, Kind.SAID, Kind.SECRET, Kind.EXPOSED, Kind.WITHDRAWN, Kind.EDITED}
)


def _unless_repeated(tx: sqlite3.Connection, sealed: Opened) -> Incoming | Said | None:
    item = sealed.item
    told = item.words if isinstance(item, Said) else item
    if opened.first(tx, told.room_id, sealed.session_id, sealed.number, told.event_id):
        return item
    log.warning("%s of %s repeats a message that was there before; it is refused", told.event_id, told.sender)
    return None


def _taken(tx: sqlite3.Connection, said: Said) -> Incoming | Chatter:
    """As what the words count: an answer, a yes or no, or nothing."""
    words = said.words
    found = questions.meant(tx, words.room_id, words.sender, words.target, words.thread)[:1]
    mine = next((each for each in found if each.asker == words.sender and each.state == "open"), None)
    if mine is not None and mine.wants == "secret":
        if mine.room_id != words.room_id:
            return said.verdict or _without_words(words, Kind.EXPOSED)
    elif mine is not None and not said.clear:
        if mine.wants != "yes":
            return words
        if said.verdict is not None:
            return said.verdict
    asked = questions.secret_in(tx, words.room_id, words.sender)
    if asked is not None:
        return replace(_without_words(words, Kind.EXPOSED if said.clear else Kind.SECRET), target=asked)
    return (said.verdict if not said.clear else None) or Chatter(words.room_id, words.sender)


def _without_words(words: Incoming, kind: Kind) -> Incoming:
    return replace(words, kind=kind, text="")


def _concerns_us(tx: sqlite3.Connection, item: Incoming) -> bool:
    match item.kind:
        case Kind.FORGED if item.text == FORGED_ANSWER:
            return _concerns_us(tx, replace(item, kind=Kind.ANSWER))
        case Kind.COMMAND | Kind.CLEAR | Kind.FORGED | Kind.LONG:
            return True
        case Kind.UNREADABLE:  # said once for a room and session; the session's id is in `text`
            if inbox.unreadable_owed(tx, item.sender) >= MOST_UNREADABLE:
                return False  # junk of a hundred sessions costs no more than that of three
            key = f"unreadable:{item.room_id}:{item.sender}:{item.text}"
            return tx.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?, '')", (key,)).rowcount == 1
        case Kind.REACTION:  # on the question itself, never on the command
            found = questions.by_event(tx, item.target or "")
            return found is not None and found.state == "open" and questions.heard_in(found, item.room_id)
        case Kind.ANSWER:
            if item.target is not None or item.thread is not None:
                return _means_open(tx, item)
            # A bare word: in the room itself, to nobody in particular.
            open_ones = questions.open_for(tx, item.room_id, item.sender)
            return any(outbox.in_sight(tx, question.slot) for question in open_ones)
        case Kind.SAID | Kind.SECRET | Kind.EXPOSED:
            return True  # it was taken for an answer above
        case Kind.WITHDRAWN | Kind.EDITED:
            if item.target is None:
                return False
            return inbox.awaits(tx, item) or questions.of_command(tx, item.target, item.sender) is not None


def _means_open(tx: sqlite3.Connection, item: Incoming) -> bool:
    found = questions.meant(tx, item.room_id, item.sender, item.target, item.thread)
    return any(each.state == "open" for each in found)
