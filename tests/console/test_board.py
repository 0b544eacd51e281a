"""The bot's side of the doors: what the board says comes from the journal and from those who know."""

from __future__ import annotations

import dataclasses
import queue
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from chatrixcd_threads.commands.call import Health
from chatrixcd_threads.console.board import Hearing, Link
from chatrixcd_threads.console.office import CHECK_SECONDS, KEPT_OUTPUTS, PROBE_SECONDS, SLOW_SECONDS, Office, Parts
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.console.status import Grade, lines
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.events import InboxItem, Incoming, Kind, RoomInfo
from chatrixcd_threads.journal import audit, inbox, launches, outbox, questions, stills
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import BadToken, TimedOut
from chatrixcd_threads.semaphore.pulse import Pulse
from chatrixcd_threads.settings.model import BotSettings, Settings
from chatrixcd_threads.threads.lanes import Job, LaneCounts, Lanes
from tests.console.sample import calm

NOW = 1_800_000_000.0
OPS, NEW, ADMIN, DARK = "!ops:x", "!new:x", "!admin:x", "!dark:x"


class House:
    """An office over a real journal; its jobs run at once."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.now = NOW
        self.jobs: list[str] = []
        self.pulse = Pulse(lambda: self.now)
        self.version = ""
        self.asked_info, self.wrong_token, self.away = 0, False, False
        self.settings = Settings(bot=BotSettings(admin_room=ADMIN, greeting_rooms=(OPS,), tones={OPS: "terse"}))
        parts = Parts(
            journal=self.journal,
            inbox=queue.Queue[InboxItem](),
            lanes=cast(Lanes, SimpleNamespace(submit=self.submit, longest=lambda most: ())),
            semaphore=lambda: cast(Semaphore, self),
            matrix=lambda: Link("ok", "@bot:x", NOW),
            rooms=lambda: (RoomInfo(OPS, "Ops", True, 3, True), RoomInfo(ADMIN, "Admins", False, 2, False)),
            health=lambda: Health((), LaneCounts(0, 0, 0, 0), outbox.owed(self.journal.read()), 9.0),
            files=dict,
            prefix=lambda: "!cd",
            log=Ring(),
            leave=lambda: None,
            settings=lambda: self.settings,
            hearing=lambda: Hearing(NOW - 1, NOW - 2, 3, 0.0),
        )
        self.pokes = 0
        self.office = Office(parts, self.poke, lambda: self.now)

    def poke(self) -> None:
        self.pokes += 1

    def submit(self, job: Job) -> bool:
        self.jobs.append(job.name)
        job.call()
        return True

    # what the office asks of Semaphore

    @property
    def known_version(self) -> str:
        return self.version

    def ping(self) -> float:
        self.pulse.answered()
        return 0.012

    def info(self) -> None:
        self.asked_info += 1
        if self.wrong_token:
            raise BadToken("Semaphore does not accept the API token (401).")
        self.version = "2.16.51"

    def output(self, project: int, number: int) -> list[SimpleNamespace]:
        if self.away:
            raise TimedOut("Semaphore does not answer.", sent=True)
        return [SimpleNamespace(output="fatal: one\ntwo")]

    def task(self, project: int, number: int) -> None:
        raise TimedOut("no answer", sent=True)

    def note(self, deed: Deed, who: str = "@ann:x", subject: str = "") -> None:
        with self.journal.write() as tx:
            audit.note(tx, deed, who=who, subject=subject, now=self.now)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.journal.close()


def test_what_is_known_of_the_outside(house: House) -> None:
    house.office.board()
    house.now += 1
    house.pulse.timed_out()
    board = house.office.board()
    assert board.reach.version == "2.16.51"
    assert board.reach.answered_at == NOW
    assert board.reach.timeouts == 1
    assert (board.hearing.synced_at, board.hearing.sent_at, board.hearing.slowed) == (NOW - 1, NOW - 2, 3)
    assert board.disk_free > 0
    assert board.journal_bytes > 4_096
    assert board.semaphore.note == "answers in 12 ms"
    house.now += 400
    assert house.office.board().reach.timeouts == 0


def test_a_queue_that_hangs_is_on_the_board_while_a_task_waits_in_it(house: House) -> None:
    assert house.office.board().reach.hangs == ""
    with house.journal.write() as tx:
        launches.follow_stop(
            tx,
            project_id=1,
            task_id=42,
            template_name="Deploy",
            room_id="!r",
            thread=None,
            person="@ann:x",
            slot="answer:$e",
        )
        stills.keep_hang(tx, stills.Hang(1, NOW - 90, slots=(("hang:1", "!r"),)))
    house.office.journaled()
    assert "Its queue seems to hang: nothing of project 1" in house.office.board().reach.hangs
    with house.journal.write() as tx:
        launches.told(tx, 1, "stopped")
    house.office.journaled()
    assert house.office.board().reach.hangs == ""


def test_a_wrong_token_shows_and_the_version_is_asked_once(house: House) -> None:
    house.wrong_token = True
    house.office.board()
    house.now += PROBE_SECONDS
    board = house.office.board()
    assert (board.semaphore.state, house.asked_info) == ("down", 2)
    assert "API token" in board.semaphore.note
    house.wrong_token = False
    for _ in range(3):
        house.now += PROBE_SECONDS
        board = house.office.board()
    assert (board.semaphore.state, house.asked_info) == ("ok", 3)


def test_refusals_and_the_last_change(house: House) -> None:
    assert house.office.board().changed is None
    house.note(Deed.CONFIG_CHANGED, "@ann:x", "config.json")
    house.note(Deed.REFUSED, "@eve:x", "run")
    house.note(Deed.STOPPED, "@bob:x", "#4")
    assert house.office.board().refused == ()  # the slow part is not looked at so soon again
    house.now += SLOW_SECONDS
    board = house.office.board()
    assert [(each.who, each.subject) for each in board.refused] == [("@eve:x", "run")]
    assert board.changed is not None
    assert (board.changed.who, board.changed.subject) == ("@ann:x", "config.json")
    house.now += 3_601
    assert house.office.board().refused == ()
    doors = house.office.doors()
    assert [each.what for each in doors.audit(2)] == ["stopped", "refused"]
    assert doors.audit(-1) == ()


def test_a_broken_chain_is_found_and_told(house: House) -> None:
    for _ in range(3):
        house.note(Deed.STOPPED)
    assert house.office.board().audit_broken == 0
    with house.journal.write() as tx:
        tx.execute("DROP TRIGGER audit_forgets_nothing")
        tx.execute("DELETE FROM audit WHERE seq = 2")
    house.now += SLOW_SECONDS
    assert house.office.board().audit_broken == 0
    pokes, house.now = house.pokes, house.now + CHECK_SECONDS
    house.office.board()
    assert house.pokes > pokes
    house.now += 1
    assert house.office.board().audit_broken == 2


def test_rooms_and_invites(house: House) -> None:
    with house.journal.write() as tx:
        tx.execute("INSERT INTO invites (room_id, inviter) VALUES (?, '@eve:x')", (NEW,))
        tx.execute("INSERT INTO invites (room_id, inviter, state) VALUES (?, '@eve:x', 'refused')", (DARK,))
        inbox.accept(tx, [Incoming(0, f"$d{n}", OPS, "@ann:x", Kind.UNREADABLE, f"s{n}", at=NOW - 9) for n in range(2)])
        inbox.accept(tx, [Incoming(0, "$old", OPS, "@ann:x", Kind.UNREADABLE, "old", at=NOW - 90_000)])
    ops, admin, new = house.office.board().rooms
    assert (ops.may_speak, ops.allowed, ops.bound, ops.unreadable) == (True, True, "greetings, tone terse", 2)
    assert (admin.may_speak, admin.bound, admin.unreadable) == (False, "admin room", 0)
    assert (new.room_id, new.invited_by) == (NEW, "@eve:x")
    assert house.office.board().hearing.unreadable == 2
    bot = msgspec.structs.replace(house.settings.bot, allowed_rooms=(OPS,))
    house.settings = msgspec.structs.replace(house.settings, bot=bot)
    house.now += 1
    assert [each.allowed for each in house.office.board().rooms] == [True, False, True]


def test_tasks_questions_and_launches(house: House) -> None:
    with house.journal.write() as tx:
        questions.ask(
            tx, slot="answer:$1", room_id=OPS, thread=None, asker="@ann:x", action="run", payload={"summary": "Deploy"},
            command_event="$1", now=NOW, seconds=60.0,
        )  # fmt: skip
        launches.confirm(
            tx, token="cafe0001", slot="answer:$2", room_id=OPS, thread=None, sender="@ann:x", project_id=1, template_id=5,
            template_name="Deploy", body={}, now=NOW,
        )  # fmt: skip
        launch = launches.by_token(tx, "cafe0001")
        assert launch is not None
        launches.follow(tx, launch, 42)
        launches.follow_stop(
            tx,
            project_id=1,
            task_id=42,
            template_name="Deploy",
            room_id=ADMIN,
            thread=None,
            person="@bob:x",
            slot="answer:$3",
        )
        launches.move(tx, launch.id, "doubt", NOW - 60, looked="I looked 3 times.")
    board = house.office.board()
    (task,) = board.tasks  # two rooms wait for its end, it is one task
    assert (task.task_id, task.rooms, task.person, task.stopper, task.earlier) == (42, 2, "@ann:x", "@bob:x", -1)
    (question,) = board.questions
    assert questions.get(house.journal.read(), question.id) is not None
    (line,) = board.launches
    assert (line.since, line.looked, line.room_id, line.project_id) == (NOW - 60, "I looked 3 times.", OPS, 1)
    assert "progress of tasks" in house.jobs


def test_a_journal_that_breaks_is_told_and_what_it_said_last_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.note(Deed.REFUSED)
    before = house.office.board()
    assert before.unsafe == ""

    def broken() -> None:
        raise sqlite3.DatabaseError("file is not a database")

    monkeypatch.setattr(house.journal, "read", broken)
    house.office.journaled()
    house.now += SLOW_SECONDS
    after = house.office.board()
    assert after.unsafe == "the journal cannot be read (file is not a database)"
    assert after.refused == before.refused
    assert house.office.answers() == ()
    told = {line.name: (line.word, line.grade) for line in lines(after)}
    assert told["Journal"] == ("BROKEN", Grade.BAD)
    assert told["Restart"] == ("UNSAFE", Grade.WARN)
    monkeypatch.undo()
    assert house.office.board().unsafe == ""


def test_a_journal_that_cannot_be_written_says_so_to_who_types(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(house.journal, "write", broken)
    with pytest.raises(UserError, match="the journal cannot be written"):
        house.office.type_command("status")


def test_what_stops_launching_stands_on_the_first_page() -> None:
    board = dataclasses.replace(calm(), unsafe="the journal cannot be written (disk I/O error)")
    first = lines(board)[0]
    assert (first.name, first.word) == ("Journal", "BROKEN")
    assert first.detail == "the journal cannot be written (disk I/O error): nothing is launched"


def test_output_that_was_read_stays_while_semaphore_is_away(house: House) -> None:
    house.office.task_output(1, 7)
    assert house.office.task_output(1, 7) == ("fatal: one", "two")
    house.away = True
    for _ in range(2):
        house.now += 2
        house.office.task_output(1, 7)
    assert house.office.task_output(1, 7) == ("fatal: one", "two", "Semaphore does not answer.")
    house.away = False
    house.now += 2
    house.office.task_output(1, 7)
    assert house.office.task_output(1, 7) == ("fatal: one", "two")


def test_output_is_kept_of_the_tasks_that_were_looked_at_last(house: House) -> None:
    for task in range(1, KEPT_OUTPUTS + 3):
        house.office.task_output(1, task)
    kept = [task for task in range(1, KEPT_OUTPUTS + 3) if house.office._outputs.get((1, task))]
    assert kept == list(range(3, KEPT_OUTPUTS + 3))


def test_output_that_comes_after_others_were_looked_at_is_not_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Job] = []
    monkeypatch.setattr(house, "submit", late.append)
    house.office._parts.lanes.submit = late.append  # type: ignore[method-assign, assignment]
    for task in range(1, 101):  # somebody keeps the arrow key down
        house.office.task_output(1, task)
    for job in late:
        job.call()
    assert len(house.office._outputs) == len(house.office._good) == KEPT_OUTPUTS
