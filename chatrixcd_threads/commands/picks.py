"""Which one is meant: a name that fits several things, or only nearly one, becomes a question with choices to pick.

The question holds the whole command, so it survives a restart; the pick runs that command again with the number put in,
and whatever it would ask it asks then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Ask, Command, Wants
from chatrixcd_threads.commands.parse import verdict_of_word
from chatrixcd_threads.errors import Candidate, Choice, clean
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.semaphore.find import fold
from chatrixcd_threads.text.markup import Text, bold, lines, text

PICK: Final = "pick"  # in the payload of a question: it is one of these


@dataclass(frozen=True, slots=True)
class Pick:
    """A command that waits for a choice: what was typed, what was picked before, and what there is to pick from."""

    values: dict[str, str]
    options: dict[str, tuple[str, ...]]
    pairs: tuple[tuple[str, str], ...]
    raw: tuple[str, ...]
    replied: str | None
    picked: dict[str, Candidate]
    head: str
    what: str
    candidates: tuple[Candidate, ...]
    more: int
    at: float = 0.0  # when the command was said, if the bot was away then


def run(command: Command, call: Call) -> Answer:
    """Runs the command; where it cannot tell which thing is meant, the answer is the question."""
    try:
        return command.run(call)
    except Choice as choice:
        kept = (dict(call.values), dict(call.options), call.pairs, call.raw, call.replied, dict(call.picked))
        pick = Pick(*kept, choice.head, choice.what, choice.candidates, choice.more, call.at if call.late else 0.0)
        summary = " ".join([command.name, *call.values.values()])
        return _ask(pick, summary)


def answered(command: Command, call: Call, payload: Mapping[str, object], event: Incoming) -> Answer:
    """What was said to the question: the command runs with what was picked, or the question stands. Raises UserError."""
    pick = _read(payload)
    access = call.tools.access
    access.check_room(call.room_id)
    access.check(event.sender, command.right_for(pick.values), command.deed)
    found = meant(payload, event.text, reacted=event.kind is Kind.REACTION)
    if found is None:
        said = clean(event.text)
        two = _is_two(pick.candidates, event.text)
        problem = f"“{said}” is the place of one and the number of another." if two else f"“{said}” is none of these."
        return _ask(pick, str(payload["summary"]), problem)
    again = replace(
        call,
        values=pick.values,
        options=pick.options,
        pairs=pick.pairs,
        raw=pick.raw,
        at=pick.at or event.at,
        replied=pick.replied,
        picked={**pick.picked, pick.what: found},
    )
    return run(command, again)


def is_one(payload: Mapping[str, object]) -> bool:
    """Whether a question with this payload asks which thing is meant."""
    return PICK in payload


def meant(payload: Mapping[str, object], said: str, *, reacted: bool = False) -> Candidate | None:
    """The candidate that was picked: by its place, its name as it stands, or a yes to the only one.

    A digit that is also the number of another one is neither, but in a reaction: that is always a place.
    """
    pick = _read(payload)
    word, known = said.strip(), pick.candidates
    if word.isdecimal():
        if not reacted and _is_two(known, word):
            return None
        return known[int(word) - 1] if len(word) == 1 and 1 <= int(word) <= len(known) else None
    named = [each for each in known if fold(word) in (fold(each.name), fold(each.label), f"#{each.id}")]
    if len(named) == 1:
        return named[0]
    return known[0] if len(known) == 1 and verdict_of_word(word) == "yes" else None


def _is_two(known: tuple[Candidate, ...], said: str) -> bool:
    word = said.strip()
    place = int(word) if word.isdecimal() and len(word) == 1 else 0
    return 1 <= place <= len(known) and any(each.id == place for each in known if each is not known[place - 1])


def _ask(pick: Pick, summary: str, problem: str = "") -> Ask:
    several = len(pick.candidates) > 1
    how = "Say the number or the name" if several else "Say 1, the name or yes"
    react = f", or react with 1️⃣ to {len(pick.candidates)}\N{VARIATION SELECTOR-16}\N{COMBINING ENCLOSING KEYCAP}"
    more = f"… and {pick.more} more: to get one of those, say the command again with more of its name."
    return Ask(
        lines(
            text(f"⚠ {problem}") if problem else "",
            text(f"❓ {pick.head}" + ("" if pick.head.endswith("?") else " Which one?" if several else " This one?")),
            *(_row(number, each, pick.what) for number, each in enumerate(pick.candidates, 1)),
            more if pick.more else "",
            f"{how}{react if several else ', or react with 👍'}.",
        ),
        {"summary": summary, PICK: msgspec.to_builtins(pick)},
        Wants.VALUE,
    )


def _row(number: int, each: Candidate, what: str) -> Text:
    return text(f"{number}. ") + bold(each.label) + ("" if what == "task" else f" ({what} {each.id})")


def _read(payload: Mapping[str, object]) -> Pick:
    return msgspec.convert(payload[PICK], Pick)
