"""A launch happens if and only if its own question was confirmed by the right person in time, whatever happens around it.

Random histories of two people in two rooms: commands, chatter, words, reactions with and without right, replies, edits,
deletions, restarts, passing time. A small model says what must, may and must not be started.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import intake, questions
from chatrixcd_threads.journal.intake import Chatter, Said
from chatrixcd_threads.text.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

PEOPLE, ROOMS = ("@ann:x", "@bob:x"), ("!room:x", "!two:x")
SECONDS = 300.0  # bot.question_seconds

who, where, which = st.sampled_from(PEOPLE), st.sampled_from(ROOMS), st.integers(0, 5)
# What often happens stands often: most histories are to hold questions that are answered.
KINDS = [
    *["ask"] * 6, *["react yes"] * 5, *["reply yes"] * 2, *["thread yes"] * 2, *["word yes"] * 3, "react no", "reply no",
    "word no", "chat", "chat", "delete", "edit", "edit", "edit to chatter", "restart", "wait a minute", "wait for long",
]  # fmt: skip
steps = st.tuples(st.sampled_from(KINDS), who, where, which)


@dataclass
class Asked:
    """One question as the model sees it."""

    command: str
    person: str
    room: str
    until: float
    template: int
    open: bool = True
    started: int = 0
    edited: str = ""  # the message that was edited into this command

    @property
    def first(self) -> str:
        """What every edit and the deletion name."""
        return self.edited or self.command


@dataclass
class World:
    """The bot and the model of it."""

    bench: Bench
    asked: list[Asked] = field(default_factory=list)
    number: int = 0

    def event_id(self) -> str:
        self.number += 1
        return f"$h{self.number}"

    def take(self, *heard: intake.Heard) -> None:
        """As the sync thread and the lanes do it: into the journal, then handled, then what is owed is sent."""
        with self.bench.journal.write() as tx:
            fresh = intake.commit(tx, heard, "token", "s1")
        for event in fresh:
            self.bench.desk.handle(event)
        self.bench.deliver()

    def expire(self) -> None:
        for question in questions.expired(self.bench.journal.read(), self.bench.now):
            self.bench.desk.expire(question)
        for each in self.asked:
            each.open = each.open and each.until > self.bench.now
        self.bench.deliver()

    def open_of(self, person: str, room: str) -> list[Asked]:
        return [each for each in self.asked if each.open and (each.person, each.room) == (person, room)]

    def posts(self) -> list[int]:
        return [int(str(body["template_id"])) for body in self.bench.semaphore.posts]

    # --- steps

    def ask(self, person: str, room: str, which: int) -> None:
        name, template = self.event_id(), 5 + which % 2
        self.take(Incoming(0, name, room, person, Kind.COMMAND, f"run 1 {template}"))
        self.asked.append(Asked(name, person, room, self.bench.now + SECONDS, template))

    def chat(self, person: str, room: str) -> None:
        self.take(Chatter(room, person))

    def word(self, verdict: str, person: str, room: str) -> None:
        """A bare word may answer the only open question of this person here, and never anything else."""
        before, mine = self.posts(), self.open_of(person, room)
        self.take(Incoming(0, self.event_id(), room, person, Kind.ANSWER, verdict))
        new = self.posts()[len(before) :]
        if new:
            assert verdict == "yes"
            assert [each.template for each in mine] == new, "a word started what was not asked, or one of several"
            mine[0].started += 1
            mine[0].open = False
        elif verdict == "no" and len(mine) == 1:
            answer = str(self.bench.content(f"answer:{mine[0].command}")["plain"])
            mine[0].open = "Not done" not in answer
        assert len(new) <= 1

    def answer(self, how: str, verdict: str, person: str, target: Asked) -> None:
        """A reaction on the question, a reply to it or a word in the thread of the command: it must count if it may."""
        counts = target.open and person == target.person
        before = self.posts()
        name, question = self.event_id(), f"$of answer:{target.command}"
        if how == "react":
            self.take(Incoming(0, name, target.room, person, Kind.REACTION, verdict, question))
        else:
            replied, thread = (None, target.command) if how == "thread" else (question, None)
            said = Incoming(0, name, target.room, person, Kind.SAID, verdict, replied, thread)
            self.take(Said(said, replace(said, kind=Kind.ANSWER)))
        new = self.posts()[len(before) :]
        assert new == ([target.template] if counts and verdict == "yes" else []), (how, verdict, person, target)
        if counts:
            target.started += len(new)
            target.open = False

    def withdraw(self, how: str, person: str, target: Asked) -> None:
        asked = next((each for each in self.asked if each.open and each.first == target.first), None)
        before = self.posts()
        kind = Kind.WITHDRAWN if how == "delete" else Kind.EDITED
        line, name = ("run 1 6" if how == "edit" else ""), self.event_id()
        self.take(Incoming(0, name, target.room, person, kind, line, target.first))
        assert self.posts() == before, "an edit or a deletion started something"
        if asked is not None and person == asked.person:
            asked.open = False
            if line:
                until = self.bench.now + SECONDS
                self.asked.append(Asked(name, person, target.room, until, 6, edited=target.first))

    def restart(self) -> None:
        """All that is left is the journal."""
        self.bench.desk = Desk(self.bench.tools, Poster(Redactor(tuple)), lambda: None)


@example(
    [
        ("ask", "@bob:x", "!room:x", 0),
        ("edit", "@bob:x", "!room:x", 0),
        ("delete", "@bob:x", "!room:x", 0),
        ("react yes", "@bob:x", "!room:x", 1),
    ]
)
@settings(max_examples=80, deadline=None)
@given(history=st.lists(steps, min_size=8, max_size=25))
def test_only_what_was_confirmed_is_started(
    new_bench: Callable[[Path], Bench], history: list[tuple[str, str, str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = new_bench(Path(folder))
        bench.bot(admin_users=PEOPLE)
        world = World(bench)
        try:
            for step, person, room, number in history:
                note(f"{step} {person} {room} {number}")
                target = world.asked[number % len(world.asked)] if world.asked else None
                verb, _, rest = step.partition(" ")
                match verb:
                    case "ask":
                        world.ask(person, room, number)
                    case "chat":
                        world.chat(person, room)
                    case "word":
                        world.word(rest, person, room)
                    case "react" | "reply" | "thread" if target is not None:
                        world.answer(verb, rest, person, target)
                    case "delete" | "edit" if target is not None:
                        world.withdraw(step, person, target)
                    case "restart":
                        world.restart()
                    case "wait":
                        bench.now += 60.0 if rest == "a minute" else SECONDS + 1
                        world.expire()
            assert len(bench.semaphore.posts) == sum(each.started for each in world.asked)
            assert all(each.started <= 1 for each in world.asked)
        finally:
            bench.journal.close()
