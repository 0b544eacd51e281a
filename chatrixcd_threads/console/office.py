"""The bot's side of the console's doors: the board from journal and threads, the operator's commands, outputs of tasks.

The operator is a person like any other, in a room that no homeserver can name: what is typed is journaled, handled by the
same desk, and answered into the outbox, where it stays until it is read here.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from chatrixcd_threads import __version__
from chatrixcd_threads.commands.call import File, Health
from chatrixcd_threads.commands.parse import command_line, verdict_of_word
from chatrixcd_threads.commands.stills import hanging
from chatrixcd_threads.console.board import (
    AuditLine,
    Board,
    Depth,
    Doors,
    FileLine,
    Hearing,
    Lag,
    LaneLine,
    LaunchLine,
    Link,
    QuestionLine,
    Reach,
    RoomLine,
    TaskLine,
)
from chatrixcd_threads.console.filing import Filing
from chatrixcd_threads.console.last import Last
from chatrixcd_threads.console.progress import Progress
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.console.status import is_over_status
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.events import Devices, InboxItem, Incoming, Kind, RoomInfo, VerifyWish
from chatrixcd_threads.journal import audit, inbox, invites, launches, outbox, questions
from chatrixcd_threads.journal.audit import Deed, Line, Verdict
from chatrixcd_threads.journal.db import Journal, JournalError
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.settings.model import BotSettings, Settings
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.threads.diagnose import names_of_threads, stack_named
from chatrixcd_threads.threads.lanes import Job, LaneInfo, Lanes

KEPT_ANSWERS: Final = 200
PROBE_SECONDS: Final = 30.0
OUTPUT_SECONDS: Final = 1.0
KEPT_OUTPUTS: Final = 10  # of the tasks that were looked at last
SHOWN_LANES: Final = 20
SLOW_SECONDS: Final = 2.0  # for what changes rarely or costs more to find out
CHECK_SECONDS: Final = 600.0  # between two checks of the whole audit
HOUR: Final = 3_600.0
DAY: Final = 86_400.0
TIMEOUT_SECONDS: Final = 300.0
MOST_REFUSED: Final = 100
MOST_AUDIT: Final = 1_000


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
    settings: Callable[[], Settings] = Settings
    hearing: Callable[[], Hearing] = Hearing
    unsafe: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True)
class _Journaled:
    """The part of the board that stands in the journal. `tasks` are rows of `launches.listed_lines`, one for each task."""

    tasks: tuple[launches.Row, ...]
    rooms: Mapping[tuple[int, int], int]  # how many rooms wait for a task
    questions: tuple[QuestionLine, ...]
    launches: tuple[LaunchLine, ...]
    invites: tuple[RoomLine, ...]
    hangs: str = ""


@dataclass(frozen=True, slots=True)
class Slow:
    """What is looked at every few seconds only."""

    at: float
    refused: tuple[AuditLine, ...]
    changed: AuditLine | None
    unreadable: Mapping[str, int]
    journal_bytes: int
    disk_free: int


class Office:
    """Owner: the ui thread, or the door thread: each has an office of its own.

    Jobs in lanes only replace single references (`_link`, `_chain`, `_introduced`) and single entries (`_outputs`).
    """

    def __init__(self, parts: Parts, poke: Callable[[], None], now: Callable[[], float] = time.time) -> None:
        self._parts, self._poke, self._now = parts, poke, now
        self._link = Link("connecting", "Semaphore was not asked yet", now())
        self._probed = 0.0
        self._introduced: Semaphore | None = None  # the client whose server has told its version
        self._outputs: dict[tuple[int, int], tuple[str, ...]] = {}
        self._good: dict[tuple[int, int], tuple[str, ...]] = {}  # as last read without a mistake
        self._asked: dict[tuple[int, int], float] = {}
        self._filing = Filing(parts.files, parts.clean, parts.lanes, poke, now)
        self._journaled: _Journaled | None = None
        self._all_rooms = Last(_all_rooms)
        self._answers: tuple[tuple[str, str], ...] = ()
        self._unread = ""  # why the journal cannot be read
        self._health: Health | None = None
        self._news = True  # in the journal; set by any thread
        self._slow: Slow | None = None
        self._progress = Progress(parts.semaphore, parts.lanes, poke, now)
        self._chain = Verdict(0, 0, "")
        self._checked = 0.0

    def doors(self) -> Doors:
        """What the console may call."""
        return Doors(
            board=self.board,
            log=self._parts.log,
            log_lines=self._parts.log.since,
            type_command=self.type_command,
            command=self.command,
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
            audit=self.audit,
        )

    def audit(self, most: int) -> tuple[AuditLine, ...]:
        """The newest lines of the audit, newest first."""
        return tuple(map(_audit_line, audit.newest(self._parts.journal.read(), max(0, min(most, MOST_AUDIT)))))

    def board(self) -> Board:
        """The bot at this moment; the journal is read only when something has been written to it.

        When it cannot be read, what it said last stays on the board, and the board says so.
        """
        kept, self._unread = self._journaled, ""
        if kept is None or self._news:
            self._news = False  # before it is read: what is written from here on counts as news
            try:
                kept = self._journaled = self._read_journal()
            except JournalError as error:
                self._news, self._unread = True, _unreadable(error)
                if kept is None:
                    raise
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
        try:
            return self._accept(ticket, line, said, verdict)
        except JournalError as error:
            raise UserError(f"Nothing was asked: the journal cannot be written ({error}).") from error

    def _accept(self, ticket: str, line: str, said: str | None, verdict: str | None) -> str:
        with self._parts.journal.write() as tx:
            asked = questions.open_for(tx, OPERATOR_ROOM, OPERATOR)
            answers = verdict is not None and bool(asked)
            kind, words = (Kind.ANSWER, str(verdict)) if answers else (Kind.COMMAND, line if said is None else said)
            if said is None and asked and asked[0].wants != "yes":  # with the prefix it is a command all the same
                kind, words, answers = Kind.SAID, line.strip(), True
            answers = answers and (kind is Kind.SAID or len(asked) == 1)  # nobody can tell which of several is meant
            target = asked[0].command_event if answers else None
            event = Incoming(0, ticket, OPERATOR_ROOM, OPERATOR, kind, words, target, at=self._now())
            fresh = inbox.accept(tx, [event])
            outbox.keep_newest(tx, OPERATOR_ROOM, KEPT_ANSWERS)
        for each in fresh:
            try:
                self._parts.inbox.put_nowait(each)
            except queue.Full:
                break  # it is in the journal; the dispatch finds it there
        return str(asked[0].command_event) if answers else ticket

    def command(self, line: str) -> str:
        """Like `type_command`; with the prefix it is a command also where a question waits for a value."""
        return self.type_command(f"{self._parts.prefix()} {line}")

    def answers(self) -> tuple[tuple[str, str], ...]:
        """What the bot said to the operator: (ticket, text), oldest first."""
        with contextlib.suppress(JournalError):  # the board says so; what was said last stays
            rows = outbox.said_in(self._parts.journal.read(), OPERATOR_ROOM)
            self._answers = tuple((slot.removeprefix("answer:"), _plain(content)) for slot, content in rows)
        return self._answers

    def verify(self, verb: str, what: str, device: str) -> None:
        """Hands over what the operator wants of a verification."""
        self._parts.verify(VerifyWish(verb, what, device))

    def task_output(self, project_id: int, task_id: int) -> tuple[str, ...]:
        """The lines as last read; asking has them read again, at most once a second."""
        key, now = (project_id, task_id), self._now()
        if now - self._asked.get(key, 0.0) >= OUTPUT_SECONDS:
            self._asked.pop(key, None)
            self._asked[key] = now
            if len(self._asked) > KEPT_OUTPUTS:
                self._forget(next(iter(self._asked)))
            self._parts.lanes.submit(Job(("console", key), f"output of task {task_id}", lambda: self._fetch(key)))
        return self._outputs.get(key, ())

    def _forget(self, key: tuple[int, int]) -> None:
        for table in (self._asked, self._outputs, self._good):
            table.pop(key, None)

    def _fetch(self, key: tuple[int, int]) -> None:
        try:
            records = self._parts.semaphore().output(*key)
        except SemaphoreError as error:
            fresh: tuple[str, ...] = (*self._good.get(key, ()), error.sentence)
        else:
            fresh = tuple(plain_line(row) for record in records for row in record.output.split("\n"))
            self._good[key] = fresh
        if fresh != self._outputs.get(key):
            self._outputs[key] = fresh
            self._poke()
        if key not in self._asked:  # others were looked at meanwhile
            self._forget(key)

    def _probe(self) -> None:
        semaphore = self._parts.semaphore()
        try:
            took = semaphore.ping()
            if self._introduced is not semaphore:  # once: the server works for its answer; it also tries the token
                semaphore.info()
                self._introduced = semaphore
            fresh = ("ok", f"answers in {took * 1000:.0f} ms")
        except SemaphoreError as error:
            fresh = ("down", error.sentence)
        old = self._link
        self._link = Link(*fresh, old.since if old.state == fresh[0] else self._now())
        self._poke()

    def _check(self) -> None:
        """Checks the whole audit."""
        fresh = audit.verify(self._parts.journal.read())
        if fresh.broken != self._chain.broken:
            self._poke()
        self._chain = fresh

    def _look(self, now: float) -> Slow:
        """The slow part of the board, at most every few seconds."""
        old = self._slow
        if old is not None and 0 <= now - old.at < SLOW_SECONDS:
            return old
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            self._parts.lanes.submit(Job(("console", "audit"), "check of the audit", self._check))
        try:
            fresh = self._look_anew(now)
        except JournalError as error:
            self._unread = _unreadable(error)
            if old is None:
                raise
            return old
        self._slow = fresh
        return fresh

    def _healthy(self) -> Health:
        """What the bot owes stands in the journal, too."""
        try:
            self._health = self._parts.health()
        except JournalError as error:
            self._unread = _unreadable(error)
            if self._health is None:
                raise
        return self._health

    def _look_anew(self, now: float) -> Slow:
        read, path = self._parts.journal.read(), self._parts.journal.path
        changed = audit.last_of(read, audit.SETTINGS)
        files = [path, path.with_name(path.name + "-wal")]
        return Slow(
            now,
            tuple(map(_audit_line, audit.since(read, Deed.REFUSED, now - HOUR, MOST_REFUSED))),
            _audit_line(changed) if changed is not None else None,
            inbox.unreadable(read, now - DAY),
            sum(each.stat().st_size for each in files if each.exists()),
            shutil.disk_usage(path.parent).free if path.parent.exists() else -1,
        )

    def _read_journal(self) -> _Journaled:
        read = self._parts.journal.read()
        first: dict[tuple[int, int], launches.Row] = {}
        rooms: dict[tuple[int, int], int] = {}
        for row in launches.listed_lines(read):  # each task once, also when several rooms wait for its end
            first.setdefault(row[:2], row)
            rooms[row[:2]] = rooms.get(row[:2], 0) + 1
        return _Journaled(
            tasks=tuple(first.values()),
            rooms=rooms,
            questions=tuple(
                QuestionLine(x.asker, x.room_id, str(x.payload.get("summary", "")), x.expires_at, x.id)
                for x in questions.all_open(read)
            ),
            launches=tuple(
                LaunchLine(x.token, x.template_name, x.state, x.sender, x.changed_at, x.looked, x.room_id, x.project_id)
                for x in launches.unsettled(read)
            ),
            invites=tuple(RoomLine(room, room, False, 0, inviter) for room, inviter in invites.waiting(read)),
            hangs=hanging(read),
        )

    def _tasks(self, kept: _Journaled) -> tuple[TaskLine, ...]:
        """With how far they are; what is over is not looked at any more."""
        self._progress.want((row[:2], row[3]) for row in kept.tasks if not is_over_status(row[3]))
        return tuple(self._task(row, kept.rooms[row[:2]]) for row in kept.tasks)

    def _task(self, row: launches.Row, rooms: int) -> TaskLine:
        facts = self._progress.of(row[:2])
        return TaskLine(*row, facts.started, facts.usual, facts.earlier, facts.waits_for, rooms)

    def _reach(self, kept: _Journaled) -> Reach:
        semaphore = self._parts.semaphore()
        pulse = semaphore.pulse
        return Reach(semaphore.known_version, pulse.answered_at, pulse.timeouts(TIMEOUT_SECONDS), kept.hangs)

    def _read(self, kept: _Journaled, now: float) -> Board:
        if now - self._probed >= PROBE_SECONDS:
            self._probed = now
            self._parts.lanes.submit(Job(("console", "probe"), "probe of Semaphore", self._probe))
        health, slow = self._healthy(), self._look(now)
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
            journal_bytes=slow.journal_bytes,
            tasks=self._tasks(kept),
            questions=kept.questions,
            launches=kept.launches,
            rooms=self._all_rooms(self._parts.rooms(), kept.invites, self._parts.settings().bot, slow.unreadable),
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
            hearing=replace(self._parts.hearing(), unreadable=sum(slow.unreadable.values())),
            reach=self._reach(kept),
            disk_free=slow.disk_free,
            refused=slow.refused,
            changed=slow.changed,
            audit_broken=self._chain.broken,
            unsafe=self._parts.unsafe() or self._unread,
        )


def _all_rooms(
    rooms: tuple[RoomInfo, ...], invited: tuple[RoomLine, ...], bot: BotSettings, unreadable: Mapping[str, int]
) -> tuple[RoomLine, ...]:
    joined = tuple(
        RoomLine(
            x.room_id,
            x.name,
            x.encrypted,
            x.members,
            may_speak=x.may_speak,
            allowed=not bot.allowed_rooms or x.room_id in bot.allowed_rooms,
            bound=bound(bot, x.room_id),
            unreadable=unreadable.get(x.room_id, 0),
        )
        for x in rooms
    )
    return (*joined, *invited)


def bound(bot: BotSettings, room_id: str) -> str:
    """What the settings use a room for."""
    tone = bot.tones.get(room_id, "")
    uses = {
        "admin room": room_id == bot.admin_room,
        "greetings": bot.greetings_enabled and room_id in bot.greeting_rooms,
        f"tone {tone}": bool(tone),
    }
    return ", ".join(name for name, used in uses.items() if used)


def _audit_line(line: Line) -> AuditLine:
    return AuditLine(line.seq, line.at, line.who, line.room_id, line.what, line.subject, line.detail)


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


def _unreadable(error: JournalError) -> str:
    return f"the journal cannot be read ({error})"
