"""A desk and a reporter with a real journal, real texts and a Semaphore that is a small class."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import pytest

from chatrixcd_threads.commands.call import Health, Tools
from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.stills import Stills
from chatrixcd_threads.commands.witness import Witness
from chatrixcd_threads.events import Devices, Incoming, Kind, OutputDue, RoomInfo, RoomOutcome, TaskSeen, VerifyWish
from chatrixcd_threads.journal import inbox, launches, outbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing, SemaphoreError
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.semaphore.models import Inventory, Line, Project, ServerInfo, Task, Template
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import BotSettings, SemaphoreSettings, Settings
from chatrixcd_threads.text.redact import Redactor
from chatrixcd_threads.text.vault import Vault
from chatrixcd_threads.threads.lanes import LaneCounts
from chatrixcd_threads.threads.service import State, ThreadInfo

Item = TypeVar("Item", Project, Template, Task)
ROOM, PERSON, SECRET = "!room:x", "@ann:x", "tok-very-secret"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class FakeSemaphore:
    """Two projects, three templates; tasks are made by `start`. `fails` maps a method's name to what it raises."""

    def __init__(self) -> None:
        self.project_list = [Project(1, "Web"), Project(2, "Data")]
        self.template_list = [
            Template(id=5, project_id=1, name="Deploy", app="bash", playbook="deploy.sh", description="to production"),
            Template(id=6, project_id=1, name="Site", playbook="site.yml"),
            Template(id=9, project_id=2, name="Import"),
        ]
        self.version: tuple[int, int, int] | None = (2, 16, 18)
        self.inventory_list = [Inventory(3, "hosts", "static", "[web]\nweb1\nweb2\n[db]\ndb1\n")]
        self.task_list: dict[int, Task] = {}
        self.outputs: dict[int, list[list[Line]]] = {}
        self.fails: dict[str, SemaphoreError | Callable[[], BaseException | None]] = {}
        self.instead: dict[str, Any] = {}  # what the server makes of a task, whatever was asked
        self.posts: list[Mapping[str, object]] = []
        self.stops: list[int] = []
        self.forced: list[int] = []
        self.decided: list[tuple[str, int]] = []

    def _may_fail(self, name: str) -> None:
        failure = self.fails.get(name)
        error = failure() if failure is not None and not isinstance(failure, SemaphoreError) else failure
        if error is not None:
            raise error

    def ping(self) -> float:
        self._may_fail("ping")
        return 0.012

    def server_version(self) -> tuple[int, int, int] | None:
        return self.version

    def inventories(self, project_id: int) -> list[Inventory]:
        self._may_fail("inventories")
        return self.inventory_list

    def info(self) -> ServerInfo:
        self._may_fail("info")
        return ServerInfo(raw="2.16.18")

    def projects(self) -> list[Project]:
        self._may_fail("projects")
        return self.project_list

    def project(self, project_id: int) -> Project:
        return self._one(self.project_list, project_id)

    def templates(self, project_id: int) -> list[Template]:
        self._may_fail("templates")
        return [each for each in self.template_list if each.project_id == project_id]

    def template(self, project_id: int, template_id: int) -> Template:
        self._may_fail("template")
        return self._one(self.templates(project_id), template_id)

    def start(self, project_id: int, body: Mapping[str, object]) -> Task:
        self.posts.append(body)
        self._may_fail("start")
        known = {
            name: value for name, value in body.items() if name in Task.__struct_fields__ and name != "template_id"
        }
        return self.runs(40 + len(self.posts), project_id, int(str(body["template_id"])), **{**known, **self.instead})

    def task(self, project_id: int, task_id: int) -> Task:
        self._may_fail("task")
        return self._one([each for each in self.task_list.values() if each.project_id == project_id], task_id)

    def tasks(self, project_id: int, limit: int = 20) -> list[Task]:
        self._may_fail("tasks")
        return [each for each in reversed(self.task_list.values()) if each.project_id == project_id][:limit]

    def template_tasks(self, project_id: int, template_id: int, limit: int = 20) -> list[Task]:
        self._may_fail("template_tasks")
        found = [
            each for each in self.task_list.values() if (each.project_id, each.template_id) == (project_id, template_id)
        ]
        return list(reversed(found))[:limit]

    def output(self, project_id: int, task_id: int) -> list[Line]:
        self._may_fail("output")
        readings = self.outputs.get(task_id, [[]])
        return readings.pop(0) if len(readings) > 1 else readings[0]

    def confirm(self, project_id: int, task_id: int) -> None:
        self.decided.append(("confirm", task_id))
        self._may_fail("confirm")

    def reject(self, project_id: int, task_id: int) -> None:
        self.decided.append(("reject", task_id))
        self._may_fail("reject")

    def stop(self, project_id: int, task_id: int, *, force: bool = False) -> None:
        self.stops.append(task_id)
        self.forced += [task_id] if force else []
        self._may_fail("stop")

    def runs(self, task_id: int, project_id: int = 1, template_id: int = 5, **more: Any) -> Task:
        facts: dict[str, Any] = {"status": "running", "start": BEGIN} | more
        self.task_list[task_id] = Task(id=task_id, project_id=project_id, template_id=template_id, **facts)
        return self.task_list[task_id]

    def ends(self, task_id: int, status: str, seconds: float = 61.0, **more: Any) -> Task:
        facts: dict[str, Any] = {"status": status, "end": BEGIN + timedelta(seconds=seconds)} | more
        self.task_list[task_id] = msgspec.structs.replace(self.task_list[task_id], **facts)
        return self.task_list[task_id]

    def says(self, task_id: int, *readings: list[str]) -> None:
        self.outputs[task_id] = [[Line(output=line) for line in reading] for reading in readings]

    def _one(self, items: list[Item], item_id: int) -> Item:
        for each in items:
            if each.id == item_id:
                return each
        raise Missing("Reading it failed: not found (404).", sent=True, status=404)


class Bench:
    """What tests do: `say` something, have it `handled`, read the `answer`."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.semaphore = FakeSemaphore()
        self.now = 1_767_225_600.0  # BEGIN
        self.left = 0
        self.unsafe = ""
        self.alarms: list[tuple[str, tuple[str, ...]]] = []
        self.looked = 0
        self.woken = 0
        self.pauses: list[float] = []
        self.rooms: tuple[RoomInfo, ...] = (RoomInfo(ROOM, "Ops <b>", True, 3), RoomInfo("!two:x", "Two", False, 2))
        self.asked_rooms: list[tuple[str, str]] = []
        self.told: list[tuple[object, str, str]] = []
        self.room_outcome = RoomOutcome("!new:x")
        self.devices = Devices()
        self.wishes: list[VerifyWish] = []
        self.settings = Settings(
            bot=BotSettings(admin_users=(PERSON,), greetings_enabled=False),
            semaphore=SemaphoreSettings(url="https://s.example.org/", api_token=SECRET),
        )
        self.messages = MessageManager(folder / "messages.json", rng=random.Random(1))
        self.aliases = AliasManager(folder / "aliases.json", builtins=commands)
        self.vault = Vault(lambda: self.now)
        self.redactor = redactor = Redactor(lambda: (SECRET,))
        redactor.know(lambda: self.vault.masks())
        poster = Poster(redactor)
        self.desk = Desk(self.tools, poster, self._wake)
        self.witness = Witness(self.tools, poster, self._wake)
        self.reporter = Reporter(self.tools, poster, self._wake, pause=lambda seconds: None)
        self.stills = Stills(self.tools, poster, self._wake)
        self._events = 0

    def _wake(self) -> None:
        self.woken += 1

    def bot(self, **changed: Any) -> None:
        """Other settings from now on."""
        bot = msgspec.structs.replace(self.settings.bot, **changed)
        self.settings = msgspec.structs.replace(self.settings, bot=bot)

    def tools(self) -> Tools:
        semaphore = cast(Semaphore, self.semaphore)
        return Tools(
            settings=self.settings,
            access=Access(self.settings.bot),
            messages=self.messages,
            aliases=self.aliases,
            semaphore=semaphore,
            files=dict,
            unsafe=lambda: self.unsafe,
            alarm=lambda title, said: self.alarms.append((title, said)),
            told=lambda outcome, by="", deed="": self.told.append((outcome, by, deed)),
            launcher=Launcher(
                self.journal, semaphore, lambda: self.now, self._look, pause=lambda seconds: None, vault=self.vault
            ),
            journal=self.journal,
            rooms=lambda: self.rooms,
            ask_rooms=self._ask_rooms,
            health=lambda: Health(
                (ThreadInfo("sync", State.BACKOFF, 1, 1, 2, "OSError"),), LaneCounts(2, 1, 1, 0), 3, 7_200
            ),
            now=lambda: self.now,
            life="1",
            leave=self._leave,
            follow_now=self._look,
            devices=lambda: self.devices,
            verify=self.wishes.append,
            pause=self.pauses.append,
            vault=self.vault,
            clean=self.redactor.clean,
        )

    def _leave(self) -> None:
        self.left += 1

    def _look(self) -> None:
        self.looked += 1

    def _ask_rooms(self, verb: str, room: str) -> RoomOutcome:
        self.asked_rooms.append((verb, room))
        return self.room_outcome

    # --- steps

    def event(self, text: str, kind: Kind = Kind.COMMAND, **more: Any) -> Incoming:
        """An accepted event."""
        self._events += 1
        facts = {"room_id": ROOM, "sender": PERSON} | more
        with self.journal.write() as tx:
            (fresh,) = inbox.accept(tx, [Incoming(0, f"$e{self._events}", kind=kind, text=text, **facts)])
        return fresh

    def say(self, text: str, **more: Any) -> str:
        """A command, handled: the plain text of its answer."""
        event = self.event(text, **more)
        self.desk.handle(event)
        return self.answer(event)

    def answer(self, event: Incoming) -> str:
        return str(self.content(f"answer:{event.event_id}").get("plain", ""))

    def content(self, slot: str) -> dict[str, Any]:
        """What the slot says: {} when there is no such message."""
        row = self.journal.read().execute("SELECT content FROM outbox WHERE slot = ?", (slot,)).fetchone()
        return {} if row is None else cast("dict[str, Any]", json.loads(row[0]))

    def file(self, slot: str) -> str:
        row = self.journal.read().execute("SELECT file FROM outbox WHERE slot = ?", (slot,)).fetchone()
        return "" if row is None else bytes(row[0]).decode()

    def slots(self) -> list[str]:
        return [row[0] for row in self.journal.read().execute("SELECT slot FROM outbox ORDER BY id")]

    def everything(self) -> str:
        """All that the outbox holds."""
        rows = self.journal.read().execute("SELECT slot, content, file FROM outbox").fetchall()
        return "\n".join(f"{row[0]} {row[1]} {bytes(row[2] or b'').decode()}" for row in rows)

    def deliver(self) -> None:
        """Everything owed is sent and has come back: event `$of <slot>` is the message of a slot."""
        while (row := outbox.next_due(self.journal.read(), ())) is not None:
            with self.journal.write() as tx:
                content = tx.execute("SELECT content FROM outbox WHERE id = ?", (row,)).fetchone()[0]
                sending = outbox.begin(tx, row)
                outbox.sent(tx, sending, f"$of {sending.slot}")
                outbox.echoed(tx, f"$of {sending.slot}", None)
                tx.execute("UPDATE outbox SET content = ? WHERE id = ?", (content, row))  # for the test to read

    def asked(self, text: str = "run 1 5", **more: Any) -> Incoming:
        """A command whose question stands in the room."""
        event = self.event(text, **more)
        self.desk.handle(event)
        self.deliver()
        return event

    def react(self, command: Incoming, text: str = "yes", **more: Any) -> None:
        """A reaction on the question of a command."""
        target = f"$of answer:{command.event_id}"
        self.desk.handle(self.event(text, Kind.REACTION, **({"target": target} | more)))

    def word(self, text: str = "yes", **more: Any) -> Incoming:
        event = self.event(text, Kind.ANSWER, **more)
        self.desk.handle(event)
        return event

    def started(self, text: str = "run 1 5", **more: Any) -> int:
        """A task that was run and confirmed: its number."""
        asked = self.asked(text, **more)
        self.react(asked, room_id=asked.room_id, sender=asked.sender)
        self.deliver()
        return max(self.semaphore.task_list)

    def witnessed(self, task_id: int, *output: str) -> str:
        """The output so far is held against what was asked; what the room hears of it."""
        self.semaphore.says(task_id, list(output))
        follow = self.follow(task_id)
        self.witness.look(OutputDue(follow.id, task_id))
        return str(self.content(f"against:{follow.id}").get("plain", ""))

    def template(self, template_id: int = 6, **changed: Any) -> None:
        """Another template from now on."""
        self.semaphore.template_list = [
            msgspec.structs.replace(each, **changed) if each.id == template_id else each
            for each in self.semaphore.template_list
        ]

    def follow(self, task_id: int) -> Follow:
        row = self.journal.read().execute("SELECT id FROM follows WHERE task_id = ?", (task_id,)).fetchone()
        found = launches.get_follow(self.journal.read(), row[0])
        assert found is not None
        return found

    def reported(self, task_id: int, status: str | None = None) -> str:
        """The follower saw the task; what the room hears of it."""
        follow = self.follow(task_id)
        task = self.semaphore.task_list.get(task_id)
        shown = status or (task.status if task else "gone")
        over = task.finished if task is not None else True
        before = self.everything()
        self.reporter.report(TaskSeen(follow.id, follow.project_id, task_id, shown, over))
        if self.everything() == before:
            return ""
        slot = follow.stop_slot or f"end:{follow.id}" if over else f"waits:{follow.id}"
        return str(self.content(slot).get("plain", ""))

    def unhandled(self) -> list[str]:
        return [each.event_id for each in inbox.unanswered(self.journal.read())]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


@pytest.fixture(scope="session")
def new_bench() -> Callable[[Path], Bench]:
    """For tests that need one for each of many examples; they close its journal themselves."""
    return Bench
