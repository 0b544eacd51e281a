"""Stops, a restart and a dead queue, with the real desk, follower and client against the stand-in: each told to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.launching import MAY_HANG
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.stills import HANG_SECONDS, HANGS, STILL_SECONDS, Stills
from chatrixcd_threads.demo.semaphore import Fault, Standin
from chatrixcd_threads.demo.semaphore.content import demo
from chatrixcd_threads.demo.semaphore.profile import PROFILES, Profile
from chatrixcd_threads.events import Incoming, Kind, OutputDue, TaskSeen, TaskStill
from chatrixcd_threads.journal import inbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.follower import Follower
from chatrixcd_threads.semaphore.suspects import LOOK_SECONDS
from chatrixcd_threads.settings.model import BotSettings, SemaphoreSettings, Settings
from chatrixcd_threads.text.redact import Redactor
from tests.launch.crasher import tools
from tests.launch.test_crash_points import deliver

ROOM, PERSON = "!room:x", "@ann:x"
PATIENCE = 60.0
PLAYBOOK = """- name: Site
  hosts: all
  tasks:
    - name: Change something
      ansible.builtin.command: "true"
    - name: Wait at the gate
      ansible.builtin.shell: until [ -e {folder}/gate ]; do sleep 0.02; done
"""
WAITS = "until [ -e {folder}/gate ]; do sleep 0.02; done\necho through\n"


class Life:
    """A bot without a homeserver: the test's thread is its dispatch, its follower and its worker. `now` runs by itself."""

    def __init__(self, folder: Path, standin: Standin) -> None:
        self.folder, self.standin = folder, standin
        settings = Settings(
            bot=BotSettings(admin_users=(PERSON,), greetings_enabled=False),
            semaphore=SemaphoreSettings(url=standin.url, api_token=standin.token("runner"), timeout=6.0),
        )
        self.journal = Journal(folder / "journal.sqlite3")
        self.semaphore = semaphore = Semaphore(settings.semaphore)
        self.close = ExitStack()
        self.close.callback(self.journal.close)
        self.close.callback(semaphore.close)
        self.later = 0.0
        made = replace(tools(self.journal, settings, semaphore, folder), now=self.now)
        poster = Poster(Redactor(tuple))
        self.desk = Desk(lambda: made, poster, lambda: None)
        self.reporter = Reporter(lambda: made, poster, lambda: None, pause=lambda seconds: None)
        self.stills = Stills(lambda: made, poster, lambda: None)
        self.follower = Follower(self.journal, lambda: semaphore, lambda: 0.1, self._took, self.now)
        self._events = 0
        self.closely = 0

    def now(self) -> float:
        return time.time() + self.later

    def _took(self, item: TaskSeen | OutputDue | TaskStill) -> None:
        if isinstance(item, TaskSeen):
            self.reporter.report(item)
        elif isinstance(item, TaskStill):
            self.closely += 1
            self.stills.look(item)

    def say(self, text: str) -> str:
        """A command; what the room reads as its answer."""
        self._events += 1
        with self.journal.write() as tx:
            (event,) = inbox.accept(tx, [Incoming(0, f"$e{self._events}", ROOM, PERSON, Kind.COMMAND, text)])
        self.desk.handle(event)
        return self.reads(f"answer:$e{self._events}")

    def start(self, what: str) -> int:
        """A run and its yes: the newest task."""
        self.say(f"run Demo {what}")
        deliver(self.journal)
        asked = f"$of answer:$e{self._events}"
        self._events += 1
        with self.journal.write() as tx:
            (event,) = inbox.accept(
                tx, [Incoming(0, f"$e{self._events}", ROOM, PERSON, Kind.REACTION, "yes", asked, at=self.now())]
            )
        self.desk.handle(event)
        return int(self.standin.tasks()[-1]["id"])

    def reads(self, slot: str) -> str:
        row = self.journal.read().execute("SELECT content FROM outbox WHERE slot = ?", (slot,)).fetchone()
        return "" if row is None else str(row[0]).replace("\\n", "\n")

    def all_it_reads(self) -> str:
        rows = self.journal.read().execute("SELECT slot || ' ' || content FROM outbox ORDER BY id").fetchall()
        return "\n".join(str(row[0]) for row in rows)

    def row(self, task: int) -> dict[str, Any]:
        return next(dict(row) for row in self.standin.tasks() if row["id"] == task)

    def until(self, true: Callable[[], bool], what: object = "") -> None:
        """Rounds of the follower until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{what} {self.all_it_reads()} {self.standin.tasks()}"
            self.look()
            time.sleep(0.01)

    def look(self, seconds: float = 0.0) -> None:
        self.later += seconds
        self.follower.look(threading.Event(), lambda: None)

    def is_status(self, task: int, *statuses: str) -> Callable[[], bool]:
        return lambda: self.row(task)["status"] in statuses

    def hears(self, words: str) -> Callable[[], bool]:
        return lambda: words in self.all_it_reads()

    def output_has(self, task: int, words: str) -> Callable[[], bool]:
        return lambda: words in self.say(f"logs {task}")

    def open_gate(self) -> None:
        (self.folder / "gate").touch()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[[str | Profile], Life]]:
    """Makes bots with a stand-in of that profile: its templates are Site (look-alike ansible), Gate and Other (bash)."""
    with ExitStack() as closing:

        def make(profile: str | Profile) -> Life:
            (tmp_path / "site.yml").write_text(PLAYBOOK.replace("{folder}", str(tmp_path)), "utf-8")
            (tmp_path / "gate.sh").write_text(WAITS.replace("{folder}", str(tmp_path)), "utf-8")
            content = demo()
            content["folders"] = {"demo": str(tmp_path)}
            gate = {"app": "bash", "playbook": "gate.sh"}
            site = {"app": "ansible", "playbook": "site.yml", "inventory_id": "@inventory:three hosts"}
            content["templates"] = [{"name": "Site", **site}, {"name": "Gate", **gate}, {"name": "Other", **gate}]
            tick = 0.05 if isinstance(profile, str) else None  # else the times of the given one count
            made = Life(tmp_path, closing.enter_context(Standin(profile, content, tick=tick)))
            closing.enter_context(made.close)
            closing.callback(made.open_gate)
            return made

        yield make


@pytest.fixture(params=["2.10", "2.16"])
def life(request: pytest.FixtureRequest, live: Callable[[str], Life]) -> Life:
    return live(request.param)


def posts(life: Life, task: int) -> int:
    """How many stops of this task Semaphore has got."""
    return len([path for method, path, _ in life.standin.requests() if method == "POST" and f"/{task}/stop" in path])


def test_the_hosts_that_had_changed_by_then(life: Life) -> None:
    task = life.start("Site")
    life.until(life.output_has(task, "Wait at the gate"))
    assert f"I asked Semaphore to stop Task #{task} (Site)" in life.say(f"stop {task}")
    life.until(life.hears("stopped (stopped by @ann:x)"))
    assert "Hosts changed by then: db1, web1, web2." in life.all_it_reads()
    assert "may go on" in life.all_it_reads()
    assert life.row(task)["status"] == {"2.10": "error", "2.16": "stopped"}[life.standin.profile.name]
    assert f"Task #{task} is over already" in life.say(f"stop {task}")
    assert posts(life, task) == 1


def test_a_task_in_the_queue_is_stopped_twice_and_never_forced(life: Life) -> None:
    before, task = life.start("Gate"), life.start("Gate")
    life.until(life.is_status(before, "running"))
    refused = life.say(f"stop {task} --force")
    assert "it is waiting, and Semaphore would show it as stopped and run it later" in refused
    assert posts(life, task) == 0
    first = life.say(f"stop {task}")
    assert "I asked Semaphore to stop" in first
    life.until(life.is_status(task, "stopping", "stopped"))
    if life.row(task)["status"] == "stopping":  # until its turn comes
        again = life.say(f"stop {task}")
        assert "It is being stopped already" in again
        assert "--force" not in again
        assert "it was asked to stop before it ran" in life.say(f"stop {task} --force")
    life.open_gate()
    life.until(life.hears(f"Task #{task} Gate: ⏹ stopped (stopped by @ann:x)"))
    assert life.row(task).get("start") is None
    assert posts(life, task) == 1
    life.until(life.hears(f"Task #{before} Gate: ✅ success"))


@pytest.mark.parametrize("profile", ["2.10", "2.16"])
def test_a_stop_while_it_starts(live: Callable[[Profile], Life], profile: str) -> None:
    """Somebody's, in Semaphore: its job runs to its end, and the row stays `stopping` for ever. That is what the room reads."""
    slow = 4.0  # as long as a busy machine may need for what follows
    life = live(replace(PROFILES[profile], tick=0.05, starting_seconds=slow))
    task = life.start("Gate")
    life.until(life.is_status(task, "starting"))
    life.semaphore.stop(1, task)
    assert life.row(task)["status"] == "stopping"
    assert "It is being stopped already" in life.say(f"stop {task}")
    assert "it was asked to stop before it ran" in life.say(f"stop {task} --force")
    life.open_gate()
    life.until(life.hears("Semaphore leaves it as “stopping”, but it is over"))
    assert life.row(task)["end"] is not None
    assert f"Task #{task} is over already" in life.say(f"stop {task}")
    assert posts(life, task) == 1


def test_a_restart_of_semaphore_leaves_a_task_behind(life: Life) -> None:
    task = life.start("Gate")
    life.until(life.is_status(task, "running"))
    life.standin.fault(Fault(drop=True))
    life.look()
    life.standin.restart()
    life.standin.clear_faults()
    life.look(5)
    for _ in range(int(STILL_SECONDS / LOOK_SECONDS)):
        assert "has not moved since" not in life.all_it_reads()
        life.look(LOOK_SECONDS)
    told = life.reads("still:1")
    assert "Most likely it is dead" in told
    assert "I asked Semaphore to stop" in life.say(f"stop {task}")
    life.until(life.hears(f"Task #{task} Gate: ⏹ stopped (stopped by @ann:x)"))
    assert "is ⏹ stopped now" in life.reads("still:1")
    assert (life.row(task)["status"], life.row(task).get("end")) == ("stopped", None)
    looked = life.closely
    life.look(LOOK_SECONDS)
    assert life.closely == looked  # nobody looks at it any more


def test_a_restart_that_nobody_has_noticed(life: Life) -> None:
    task = life.start("Gate")
    life.until(life.is_status(task, "running"))
    life.look()
    life.standin.restart()
    other = life.start("Gate")
    life.until(life.hears(f"Semaphore has started #{other} of the same template after it"))
    assert f"Task #{task} Gate: ▶ running" in life.reads("still:1")
    life.open_gate()
    life.until(life.hears(f"Task #{other} Gate: ✅ success"))


def test_a_queue_that_died_and_a_restart(live: Callable[[str], Life]) -> None:
    life = live("2.10")
    life.standin._call(lambda core: core.pool.hang())
    task = life.start("Gate")
    assert MAY_HANG in life.all_it_reads()
    assert "Nothing was started twice." in life.all_it_reads()
    life.look()
    for _ in range(int(HANG_SECONDS / LOOK_SECONDS)):
        assert HANGS not in life.all_it_reads()
        life.look(LOOK_SECONDS)
    assert f"⛔ {HANGS}: task #{task} Gate waits since " in life.all_it_reads()
    assert "Semaphore answered in " in life.say("ping")
    assert "Its queue seems to hang: nothing of project 1 was seen to start since" in life.say("ping")

    life.standin.restart()  # within a moment: nobody has missed it
    other = life.start("Other")
    life.until(life.hears(f"works again: #{other} has started"))
    assert HANGS not in life.all_it_reads()
    assert "seems to hang" not in life.say("ping")
    assert "I asked Semaphore to stop" in life.say(f"stop {task}")
    life.until(life.hears(f"Task #{task} Gate: ⏹ stopped"))
