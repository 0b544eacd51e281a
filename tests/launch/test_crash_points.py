"""Killed at every statement between the yes and the followed task: one task, and a true account in the room.

The crash points are not listed by hand: a first life is traced, and every statement that it reached is one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.demo.semaphore import Standin
from chatrixcd_threads.demo.semaphore.content import demo
from chatrixcd_threads.demo.semaphore.faults import Fault
from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import inbox, launches, outbox
from chatrixcd_threads.journal.db import Journal

CRASHER = Path(__file__).with_name("crasher.py")
ROOM, PERSON = "!room:x", "@ann:x"
TASKS = r"/api/project/\d+/tasks$"
LOST = {
    "nothing is lost": None,
    "the answer is lost after it acted": Fault("POST", TASKS, drop=True, after=True),
    "the request is lost before it acted": Fault("POST", TASKS, drop=True, times=1),
    "a 502 after it acted": Fault("POST", TASKS, status=502, body="bad gateway", after=True),
}
_numbers = itertools.count(1)


class Crasher:
    """The process that lives and dies on order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(CRASHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, folder: Path, standin: Standin, die_at: int = 0) -> dict[str, Any]:
        """One life. With `die_at` it is killed before that statement."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"folder": str(folder), "url": standin.url, "token": standin.token("runner"), "die_at": die_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=20)


@dataclass
class Case:
    """One launch in a journal of its own: asked, and answered with a yes that waits to be handled."""

    folder: Path
    command: str

    @property
    def question(self) -> str:
        """The event of the newest message about it."""
        with closing(Journal(self.folder / "journal.sqlite3")) as journal:
            deliver(journal)
            row = (
                journal.read()
                .execute(
                    "SELECT event_id FROM outbox WHERE slot LIKE ? ORDER BY id DESC LIMIT 1",
                    (f"answer:{self.command}%",),
                )
                .fetchone()
            )
            return str(row[0])

    def accept(self, event: Incoming) -> None:
        with closing(Journal(self.folder / "journal.sqlite3")) as journal, journal.write() as tx:
            inbox.accept(tx, [event])

    def yes(self) -> None:
        """A thumb on the newest question."""
        target, name = self.question, f"$y{next(_numbers)}"
        self.accept(Incoming(0, name, ROOM, PERSON, Kind.REACTION, "yes", target, at=time.time()))

    def told(self) -> str:
        """All that the room reads about it now."""
        with closing(Journal(self.folder / "journal.sqlite3")) as journal:
            rows = journal.read().execute("SELECT content FROM outbox ORDER BY id").fetchall()
            return "\n".join(str(json.loads(row[0] or "{}").get("plain", "")) for row in rows)

    def state(self) -> tuple[str, int | None, list[int], list[str]]:
        """(state of the launch, its task, what is followed, what is not handled)."""
        with closing(Journal(self.folder / "journal.sqlite3")) as journal:
            read = journal.read()
            row = read.execute("SELECT token FROM launches").fetchone()
            launch = launches.by_token(read, row[0]) if row else None
            followed = [each.task_id for each in launches.followed(read)]
            waiting = [each.event_id for each in inbox.unanswered(read)]
            return (launch.state if launch else "", launch.task_id if launch else None, followed, waiting)


def deliver(journal: Journal) -> None:
    """Everything owed is sent and has come back."""
    with journal.write() as tx:
        while (row := outbox.next_due(tx, ())) is not None:
            content = tx.execute("SELECT content FROM outbox WHERE id = ?", (row,)).fetchone()[0]
            sending = outbox.begin(tx, row)
            outbox.sent(tx, sending, f"$of {sending.slot}")
            outbox.echoed(tx, f"$of {sending.slot}", None)
            tx.execute("UPDATE outbox SET content = ? WHERE id = ?", (content, row))


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    made = Crasher()
    yield made
    made.close()


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "nothing.sh").write_text("true\n", "utf-8")
    content = demo()
    content["folders"] = {"demo": str(folder)}
    content["templates"] = [{"name": "Nothing", "app": "bash", "playbook": "nothing.sh"}]
    content["private_templates"] = []
    with Standin("2.16", content) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, crasher: Crasher, standin: Standin) -> Iterator[Callable[[], Case]]:
    """Makes cases: a launch that was asked about and answered with a yes. Each has a token of its own."""

    def new() -> Case:
        number = next(_numbers)
        case = Case(tmp_path / f"case{number}", f"$c{number}")
        case.accept(Incoming(0, case.command, ROOM, PERSON, Kind.COMMAND, "run Demo Nothing", at=time.time()))
        assert crasher.live(case.folder, standin)["status"] == 0
        case.yes()
        return case

    yield new
    standin.clear_faults()


def tasks(standin: Standin, case: Case) -> list[int]:
    """The tasks in Semaphore that belong to the case."""
    token = hashlib.blake2b(case.command.encode(), digest_size=5).hexdigest()
    return [row["id"] for row in standin.tasks() if f"[{token}]" in row["message"]]


def settle(case: Case, crasher: Crasher, standin: Standin) -> None:
    """The bot lives again, and the person says yes to what it asks, until nothing is open."""
    for _ in range(4):
        assert crasher.live(case.folder, standin)["status"] == 0
        state, _task, _followed, waiting = case.state()
        assert waiting == []
        if state != "doubt":
            return
        assert "do not know whether Nothing was started" in case.told()
        case.yes()
    raise AssertionError(f"still in doubt: {case.told()}")


def check(case: Case, standin: Standin) -> None:
    """One task, followed, and told with its number; nothing else was started."""
    there = tasks(standin, case)
    state, task, followed, waiting = case.state()
    assert len(there) == 1, (there, case.told())
    assert (state, task, followed, waiting) == ("started", there[0], there, [])
    assert f"Task #{there[0]} (Nothing)" in case.told().replace("*", "")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("lost", LOST)
def test_one_task_wherever_it_is_killed(
    lost: str, make: Callable[[], Case], crasher: Crasher, standin: Standin
) -> None:
    """With the answer lost or not, killed before every statement that such a life reaches and no earlier one did."""
    fault = LOST[lost]

    def arm() -> None:
        standin.clear_faults()
        if fault is not None:
            standin.fault(fault)

    whole = make()
    arm()
    seen = crasher.live(whole.folder, standin)["seen"]
    standin.clear_faults()
    settle(whole, crasher, standin)
    check(whole, standin)
    points = [number for number, place in enumerate(seen, 1) if place not in _KILLED_AT]
    _KILLED_AT.update(seen)
    assert len(seen) > 100, "hardly a statement was reached: the list of traced files is wrong"
    for number in points:
        case = make()
        arm()
        died = crasher.live(case.folder, standin, number)
        assert died["status"] == -signal.SIGKILL, seen[number - 1]
        standin.clear_faults()
        settle(case, crasher, standin)
        check(case, standin)


_KILLED_AT: set[str] = set()
