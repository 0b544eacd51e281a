"""From a room's timeline to what was heard: which events concern the bot, and how far they can be trusted.

Nothing acts here; the texts of other messages are not kept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard

from nio import MegolmEvent

from chatrixcd_threads.commands.parse import command_line, verdict_of_reaction, verdict_of_word, without_quote
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal.intake import FORGED_ANSWER, Chatter, Echo, Heard, Opened, Said
from chatrixcd_threads.matrix.client import GuardedClient

log = logging.getLogger("chatrixcd.inbound")

LONGEST_COMMAND: Final = 4_000  # characters of the first line
LONGEST_ID: Final = 255
SAME_CLOCK: Final = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Clock:
    """When the homeserver answered, in seconds since the epoch, and how much our clock is `ahead` of its own."""

    now: float
    ahead: float = 0.0


def clock_of(now: float, date: str) -> Clock:
    """`date` is the answer's header. Clocks that differ by less than what a request takes count as the same."""
    try:
        ahead = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Clock(now)
    return Clock(now, ahead if abs(ahead) > SAME_CLOCK else 0.0)


async def heard(
    client: GuardedClient,
    room_id: str,
    events: Iterable[Any],
    prefix: str,
    *,
    clock: Clock,
    asked: Collection[str] = (),
) -> list[Heard]:
    """What the bot heard in one room, in the order of the timeline; nothing from before it came in.

    `asked` are the people of whom a secret is wanted in this room: any of their words may be the answer.
    """
    encrypted = bool(client.rooms[room_id].encrypted) if room_id in client.rooms else False
    result: list[Heard] = []
    for event in since_own_join(list(events), client.user_id):
        item = _one(client, room_id, event, prefix, encrypted, asked, clock)
        told = item.words if isinstance(item, Said) else item
        if isinstance(told, Incoming) and not await _is_senders_own(client, event):
            log.warning("%s claims to be from %s, but its key is not; it is refused", told.event_id, told.sender)
            item = _forged(told)
        if item is not None:
            result.append(_with_number(item, event))
    return result


def _forged(told: Incoming) -> Heard:
    """None of the words are kept. Who answers a question like that hears why it does not count; else it is talk."""
    if told.kind is Kind.COMMAND:
        return _as(told, Kind.FORGED)
    if told.kind in (Kind.ANSWER, Kind.SAID):
        return _as(told, Kind.FORGED, FORGED_ANSWER, told.target)
    return Chatter(told.room_id, told.sender)


def _with_number(item: Heard, event: Any) -> Heard:
    """What is acted on and came encrypted counts once, whatever its event is called: nio forgets that at a restart."""
    number, session_id = getattr(event, "message_number", None), getattr(event, "session_id", None)
    if isinstance(item, Incoming | Said) and isinstance(number, int) and _storable(session_id):
        return Opened(item, session_id, number)
    return item


def since_own_join(events: list[Any], user_id: str) -> list[Any]:
    """The events after the bot's own last join: what was said before it was there is history, never a command."""
    start = 0
    for index, event in enumerate(events):
        source = _source(event)
        if source.get("type") == "m.room.member" and source.get("state_key") == user_id and _joins(source):
            start = index + 1
    return events[start:]


def _joins(source: dict[str, Any]) -> bool:
    before = _dict(_dict(source.get("unsigned")).get("prev_content"))
    return bool(_dict(source.get("content")).get("membership") == "join" and before.get("membership") != "join")


def _one(
    client: GuardedClient, room_id: str, event: Any, prefix: str, encrypted: bool, asked: Collection[str], clock: Clock
) -> Heard | None:
    source = _source(event)
    event_id, sender, kind = source.get("event_id"), source.get("sender"), source.get("type")
    if not _storable(event_id) or not _storable(sender) or event_id in client.refused:
        return None
    if sender == client.user_id:
        return (
            Echo(event_id, getattr(event, "transaction_id", None))
            if kind in ("m.room.message", "m.room.encrypted")
            else None
        )
    at = _said_at(event, source, clock)
    if isinstance(event, MegolmEvent):
        session = event.session_id if _storable(event.session_id) else ""
        return Incoming(0, event_id, room_id, sender, Kind.UNREADABLE, text=session, at=at)
    content = _dict(source.get("content"))
    relation = _dict(content.get("m.relates_to"))
    base = Incoming(0, event_id, room_id, sender, Kind.COMMAND, at=at, thread=_thread(relation))
    if kind == "m.reaction":
        return _reaction(base, relation)
    if kind == "m.room.redaction":
        return _withdrawn(base, source.get("redacts") or content.get("redacts"))
    if kind != "m.room.message" or content.get("msgtype") != "m.text":
        return None
    in_clear = (encrypted or sender in asked) and not getattr(event, "decrypted", False)
    if relation.get("rel_type") == "m.replace":
        return None if in_clear else _edited(base, relation, _dict(content.get("m.new_content")), prefix)
    return _message(base, content.get("body"), relation, prefix, in_clear, sender in asked)


def _message(
    base: Incoming, body: object, relation: dict[str, Any], prefix: str, in_clear: bool, was_asked: bool
) -> Heard | None:
    if not isinstance(body, str):
        return None
    body = body.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be stored
    replied = _dict(relation.get("m.in_reply_to")).get("event_id")
    target = replied if _storable(replied) and not relation.get("is_falling_back") else None
    words = without_quote(body) if target else body
    line = command_line(words, prefix)
    if line is not None and len(line) > LONGEST_COMMAND:
        return _as(base, Kind.LONG)
    if line is not None:
        return _as(base, Kind.CLEAR if in_clear else Kind.COMMAND, line, target)
    verdict = verdict_of_word(words) if len(words) < 100 else None
    answer = _as(base, Kind.ANSWER, verdict, target) if verdict is not None else None
    if was_asked:  # too long a secret is none, and its sender hears so
        short = words.strip() if len(words) <= LONGEST_COMMAND else ""
        return Said(_as(base, Kind.SAID, short, target), answer, clear=in_clear)
    if in_clear or len(words) > LONGEST_COMMAND:
        return Chatter(base.room_id, base.sender)
    if target is not None or base.thread is not None:
        return Said(_as(base, Kind.SAID, words.strip(), target), answer)
    return answer or Chatter(base.room_id, base.sender)


def _reaction(base: Incoming, relation: dict[str, Any]) -> Heard | None:
    verdict, target = verdict_of_reaction(str(relation.get("key"))), relation.get("event_id")
    if verdict is None or not _storable(target) or relation.get("rel_type") != "m.annotation":
        return None
    return _as(base, Kind.REACTION, verdict, target)


def _withdrawn(base: Incoming, redacted: object) -> Heard | None:
    """A deleted message. It counts only when a question about it is open, and only by the person who was asked."""
    return _as(base, Kind.WITHDRAWN, target=redacted) if _storable(redacted) else None


def _edited(base: Incoming, relation: dict[str, Any], content: dict[str, Any], prefix: str) -> Heard | None:
    """An edit never runs anything: it only withdraws the open question about the message, or has it asked anew."""
    original, body = relation.get("event_id"), content.get("body")
    if not _storable(original) or not isinstance(body, str):
        return None
    line = command_line(body.encode("utf-8", "replace").decode("utf-8"), prefix)
    return _as(base, Kind.EDITED, (line or "")[:LONGEST_COMMAND] if line else "", original)


def _thread(relation: dict[str, Any]) -> str | None:
    root = relation.get("event_id")
    return root if relation.get("rel_type") == "m.thread" and _storable(root) else None


def _as(base: Incoming, kind: Kind, text: str = "", target: str | None = None) -> Incoming:
    return Incoming(0, base.event_id, base.room_id, base.sender, kind, text, target, base.thread, base.at)


async def _is_senders_own(client: GuardedClient, event: Any) -> bool:
    """A decrypted event must come from a device of its sender; a homeserver can write any name into the envelope."""
    if not getattr(event, "decrypted", False):
        return True
    return await client.owns(event.sender, event.sender_key)


def _source(event: Any) -> dict[str, Any]:
    return _dict(getattr(event, "source", None))


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _said_at(event: Any, source: dict[str, Any], clock: Clock) -> float:
    """By our clock. A bridge that was away says old things late, with their old time: the older of what is told counts."""
    stamp = _seconds(source.get("origin_server_ts"))
    age = _dict(getattr(event, "outside", source.get("unsigned"))).get("age")
    by_age = clock.now - age / 1000 if isinstance(age, int) and 0 <= age < 2**53 else None
    by_stamp = stamp + clock.ahead if stamp else by_age
    return min(each for each in (by_age, by_stamp) if each is not None) if by_stamp is not None else 0.0


def _seconds(milliseconds: object) -> float:
    whole = milliseconds if isinstance(milliseconds, int) and 0 <= milliseconds < 2**53 else 0
    return whole / 1000


def _storable(name: object) -> TypeGuard[str]:
    """Whether this is an id that a server may have made, and not half a surrogate pair or a novel."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_ID and not any("\ud800" <= c <= "\udfff" for c in name)
