"""The bot's side of the console's doors: the board from journal and threads, the operator's commands, outputs of tasks.

The operator is a person like any other, in a room that no homeserver can name: what is typed is journaled, handled by the
same desk, and answered into the outbox, where it stays until it is read here.
"""

from __future__ import annotations

import json
import queue
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatrixcd_threads import __version__
from chatrixcd_threads.commands.call import File, Health
from chatrixcd_threads.commands.parse import command_line, verdict_of_word
from chatrixcd_threads.console.board import (
    Board,
    Depth,
    Doors,
    FileLine,
    Lag,
    LaneLine,
    LaunchLine,
    Link,
    QuestionLine,
    RoomLine,
    TaskLine,
)
from chatrixcd_threads.console.filing import Filing
from chatrixcd_threads.console.last import Last
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.events import Devices, InboxItem, Incoming, Kind, RoomInfo, VerifyWish
from chatrixcd_threads.journal import inbox, launches, outbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.threads.diagnose import names_of_threads, stack_named
from chatrixcd_threads.threads.lanes import Job, LaneInfo, Lanes

KEPT_ANSWERS: Final = 200
PROBE_SECONDS: Final = 30.0
OUTPUT_SECONDS: Final = 1.0
SHOWN_LANES: Final = 20


@dataclass(frozen=True)
class Parts:
    """What the office needs of the bot."""

    journal: Journal
    inbox: queue.Queue[InboxItem]
    lanes: Lanes
    semaphore: Callable[[], Semaphore]
    matrix: Callable[[], Link]
    rooms: Callable[[], tuple[RoomInfo, ...]]
    health: Callable[[], Health]
    files: Callable[[], Mapping[str, File]]
    prefix: Callable[[], str]
    log: Ring
    leave: Callable[[], None]
    clean: Callable[[str], str] = lambda line: line
    hints_waiting: Callable[[], int] = lambda: 0
    lag: Callable[[], Lag] = lambda: Lag(0.0, 0.0, 0)
    devices: Callable[[], Devices] = Devices
    verify: Callable[[VerifyWish], None] = lambda wish: None


@dataclass(frozen=True, slots=True)
class _Journaled:
    """The part of the board that stands in the journal."""

    tasks: tuple[TaskLine, ...]
    questions: tuple[QuestionLine, ...]
    launches: tuple[LaunchLine, ...]
    invites: tuple[RoomLine, ...]
    size: int


class Office:
    """Owner: the ui thread, or the door thread: each has an office of its own.

    Jobs in lanes only replace single references (`_link`) and single entries (`_outputs`).
    """

    def __init__(self, parts: Parts, poke: Callable[[], None], now: Callable[[], float] = time.time) -> None:
        self._parts, self._poke, self._now = parts, poke, now
        self._link = Link("connecting", "Semaphore was not asked yet", now())
        self._probed = 0.0
        self._outputs: dict[tuple[int, int], tuple[str, ...]] = {}
        self._asked: dict[tuple[int, int], float] = {}
        self._filing = Filing(parts.files, parts.clean, parts.lanes, poke, now)
        self._journaled: _Journaled | None = None
        self._all_rooms = Last(_all_rooms)
        self._news = True  # in the journal; set by any thread

    def doors(self) -> Doors:
        """What the console may call."""
        return Doors(
            board=self.board,
            log=self._parts.log,
            log_lines=self._parts.log.since,
            type_command=self.type_command,
            answers=self.answers,
            task_output=self.task_output,
            leave=self._parts.leave,
            file_view=self._filing.view,
            file_text=self._filing.text,
            look_again=self._filing.look_again,
            make_file=self._filing.make,
            previews=self._filing.previews,
            stack_of=stack_named,
            verify=self.verify,
        )

    def board(self) -> Board:
        """The bot at this moment; the journal is read only when something has been written to it."""
        kept = self._journaled
        if kept is None or self._news:
            self._news = False  # before it is read: what is written from here on counts as news
            kept = self._journaled = self._read_journal()
        return self._read(kept, self._now())

    def journaled(self) -> None:
        """Something was written to the journal. From any thread."""
        self._news = True
        self._poke()

    def type_command(self, line: str) -> str:
        """Journals what the operator typed and hands it to the dispatch. Returns the ticket of the answer."""
        ticket = f"console:{uuid.uuid4().hex}"
        said = command_line(line, self._parts.prefix())
        verdict = verdict_of_word(line)
        with self._parts.journal.write() as tx:
            asked = questions.open_for(tx, OPERATOR_ROOM, OPERATOR)
            answers = verdict is not None and bool(asked)
            kind, words = (Kind.ANSWER, str(verdict)) if answers else (Kind.COMMAND, line if said is None else said)
            if said is None and asked and asked[0].wants != "yes":  # with the prefix it is a command all the same
                kind, words, answers = Kind.SAID, line.strip(), True
            target = asked[0].command_event if kind is Kind.SAID else None
            event = Incoming(0, ticket, OPERATOR_ROOM, OPERATOR, kind, words, target, at=self._now())
            fresh = inbox.accept(tx, [event])
            outbox.keep_newest(tx, OPERATOR_ROOM, KEPT_ANSWERS)
        for each in fresh:
            try:
                self._parts.inbox.put_nowait(each)
            except queue.Full:
                break  # it is in the journal; the dispatch finds it there
        return str(asked[0].command_event) if answers else ticket

    def answers(self) -> tuple[tuple[str, str], ...]:
        """What the bot said to the operator: (ticket, text), oldest first."""
        rows = outbox.said_in(self._parts.journal.read(), OPERATOR_ROOM)
        return tuple((slot.removeprefix("answer:"), _plain(content)) for slot, content in rows)

    def verify(self, verb: str, what: str, device: str) -> None:
        """Hands over what the operator wants of a verification."""
        self._parts.verify(VerifyWish(verb, what, device))

    def task_output(self, project_id: int, task_id: int) -> tuple[str, ...]:
        """The lines as last read; asking has them read again, at most once a second."""
        key, now = (project_id, task_id), self._now()
        if now - self._asked.get(key, 0.0) >= OUTPUT_SECONDS:
            self._asked[key] = now
            self._parts.lanes.submit(Job(("console", key), f"output of task {task_id}", lambda: self._fetch(key)))
        return self._outputs.get(key, ())

    def _fetch(self, key: tuple[int, int]) -> None:
        try:
            records = self._parts.semaphore().output(*key)
        except SemaphoreError as error:
            fresh: tuple[str, ...] = (error.sentence,)
        else:
            fresh = tuple(plain_line(row) for record in records for row in record.output.split("\n"))
        if fresh != self._outputs.get(key):
            self._outputs[key] = fresh
            self._poke()

    def _probe(self) -> None:
        try:
            took = self._parts.semaphore().ping()
            fresh = ("ok", f"answers in {took * 1000:.0f} ms")
        except SemaphoreError as error:
            fresh = ("down", error.sentence)
        old = self._link
        self._link = Link(*fresh, old.since if old.state == fresh[0] else self._now())
        self._poke()

    def _read_journal(self) -> _Journaled:
        read, path = self._parts.journal.read(), self._parts.journal.path
        return _Journaled(
            tasks=tuple(TaskLine(*row) for row in launches.listed_lines(read)),
            questions=tuple(
                QuestionLine(x.asker, x.room_id, str(x.payload.get("summary", "")), x.expires_at)
                for x in questions.all_open(read)
            ),
            launches=tuple(LaunchLine(x.token, x.template_name, x.state, x.sender) for x in launches.unsettled(read)),
            invites=tuple(RoomLine(room, room, False, 0, inviter) for room, inviter in invited(read)),
            size=path.stat().st_size if path.exists() else 0,
        )

    def _read(self, kept: _Journaled, now: float) -> Board:
        if now - self._probed >= PROBE_SECONDS:
            self._probed = now
            self._parts.lanes.submit(Job(("console", "probe"), "probe of Semaphore", self._probe))
        health = self._parts.health()
        return Board(
            now=now,
            up=health.up,
            version=__version__,
            matrix=self._parts.matrix(),
            semaphore=self._link,
            threads=health.threads,
            lanes_running=health.lanes.running,
            lanes_waiting=health.lanes.waiting,
            given_up=health.lanes.given_up,
            owed=health.owed,
            journal_bytes=kept.size,
            tasks=kept.tasks,
            questions=kept.questions,
            launches=kept.launches,
            rooms=self._all_rooms(self._parts.rooms(), kept.invites),
            files=tuple(
                FileLine(name, file.version.since, file.error.sentence if file.error else "", file.held is not None)
                for name, file in self._parts.files().items()
            ),
            depths=(
                Depth("inbox", self._parts.inbox.qsize(), self._parts.inbox.maxsize),
                Depth("outbox", health.owed),
                Depth("watch hints", self._parts.hints_waiting()),
            ),
            lanes=lane_lines(self._parts.lanes.longest(SHOWN_LANES)),
            lag=self._parts.lag(),
            devices=self._parts.devices(),
        )


def _all_rooms(rooms: tuple[RoomInfo, ...], invites: tuple[RoomLine, ...]) -> tuple[RoomLine, ...]:
    return (*(RoomLine(x.room_id, x.name, x.encrypted, x.members) for x in rooms), *invites)


def invited(connection: Any) -> list[tuple[str, str]]:
    """Invitations that wait: (room, inviter)."""
    return [(str(row[0]), str(row[1])) for row in connection.execute("SELECT room_id, inviter FROM invites").fetchall()]


def lane_lines(lanes: tuple[LaneInfo, ...]) -> tuple[LaneLine, ...]:
    """Lanes as the console shows them: a person's lane is named by room and sender, others by what they are for."""
    names = names_of_threads() if lanes else {}
    found = []
    for each in lanes:
        room, sender = each.key if isinstance(each.key, tuple) else (each.key, "")
        thread = names.get(each.thread, "") if each.thread is not None else ""
        found.append(LaneLine(str(room), str(sender), each.waiting, each.job, each.age, thread))
    return tuple(found)


def _plain(content: str) -> str:
    return str(json.loads(content).get("plain", "")) if content else ""
