"""The bot without Matrix against the stand-in: real client, journal, desk, launcher, witness, follower and reporter."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from chatrixcd_threads.commands.call import Health, Tools
from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.witness import Witness
from chatrixcd_threads.demo.semaphore import PROFILES, Mischief, Standin, lookalike_ansible
from chatrixcd_threads.events import Incoming, Kind, OutputDue, RoomOutcome, TaskSeen, TaskStill
from chatrixcd_threads.journal import inbox, launches, outbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.follower import Follower
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import BotSettings, SemaphoreSettings, Settings
from chatrixcd_threads.text.redact import Redactor

ROOM, PERSON = "!room:x", "@ann:x"
PATIENCE = 60.0  # seconds until something counts as never happening
ROUND = 0.02  # seconds between two rounds of the follower

FLAGS = {
    "allow_override_limit": True, "allow_override_tags": True, "allow_override_skip_tags": True,
    "allow_override_inventory": True, "allow_debug": True, "allow_destroy": True, "allow_auto_approve": True,
}  # fmt: skip
OPEN: dict[str, Any] = {
    "task_params": FLAGS, "allow_override_args_in_task": True, "allow_override_branch_in_task": True,
}  # fmt: skip
ANSIBLE: dict[str, Any] = {"app": "ansible", "inventory_id": "@inventory:hosts"}
INVENTORY = "[web]\nweb1\nweb2\n\n[db]\ndb1\n\n[all:vars]\nansible_connection=local\n"

TEMPLATES: tuple[dict[str, Any], ...] = (
    {"name": "Open", **ANSIBLE, "playbook": "site.yml", **OPEN},
    {"name": "Closed", **ANSIBLE, "playbook": "site.yml"},
    {"name": "Own", **ANSIBLE, "playbook": "site.yml",
     "task_params": {"limit": ["web1"], "tags": ["first"], "allow_override_limit": True, "allow_override_tags": True}},
    {"name": "Slow", **ANSIBLE, "playbook": "slow.yml", **OPEN},
    {"name": "Later", **ANSIBLE, "playbook": "later.yml", **OPEN},
    {"name": "Marked", **ANSIBLE, "playbook": "slow.yml", **OPEN, "environment_id": "@environment:marks"},
    {"name": "Hidden", **ANSIBLE, "playbook": "site.yml",
     "task_params": {**FLAGS, "hide_dry_run": True, "hide_diff": True}},
    {"name": "Script", "app": "bash", "playbook": "quick.sh"},
    {"name": "Long", "app": "bash", "playbook": "long.sh"},
    {"name": "Fails", "app": "bash", "playbook": "fails.sh"},
    {"name": "Secret", "app": "bash", "playbook": "quick.sh",
     "survey_vars": [{"name": "password", "title": "Password", "type": "secret", "required": True}]},
    {"name": "Groupless", "app": "bash", "playbook": "quick.sh", "environment_id": None},
    {"name": "Git", "app": "bash", "playbook": "hello.sh", "repository_id": "@repository:git"},
    {"name": "Git open", "app": "bash", "playbook": "hello.sh", "repository_id": "@repository:git", **OPEN},
    {"name": "Infra", "app": "terraform", "playbook": "infra"},
    {"name": "Infra open", "app": "terraform", "playbook": "infra", **OPEN},
    {"name": "Chatty", "app": "bash", "playbook": "chatty.sh"},
    {"name": "Infra applies", "app": "terraform", "playbook": "infra", "task_params": {"auto_approve": True},
     "environment_id": "@environment:slow apply"},
)  # fmt: skip
NUMBER = {row["name"]: number for number, row in enumerate(TEMPLATES, 1)}

_PLAY = "- name: {name}\n  hosts: {hosts}\n  gather_facts: false\n  tasks:\n"
_SAY = "    - name: {name}\n      ansible.builtin.debug:\n        msg: {name}\n      tags: [{name}]\n"
_DO = "    - name: {name}\n      ansible.builtin.command: {command}\n"
FILES = {
    "site.yml": _PLAY.format(name="Site", hosts="all") + _SAY.format(name="first") + _SAY.format(name="second"),
    "slow.yml": _PLAY.format(name="Slow", hosts="all")
    + _DO.format(name="quick", command="true")
    + _DO.format(name="slow", command="sleep 30"),
    "later.yml": _PLAY.format(name="Web", hosts="web")
    + _SAY.format(name="first")
    + _DO.format(name="second", command="sleep 0.4")
    + _PLAY.format(name="Data", hosts="db")
    + _SAY.format(name="third")
    + _DO.format(name="slow", command="sleep 30"),
    "quick.sh": "#!/bin/bash\necho done\n",
    "fails.sh": "#!/bin/bash\necho the reason >&2\nexit 3\n",
    "chatty.sh": "#!/bin/bash\nseq 1500\nexit 3\n",
    "long.sh": "#!/bin/bash\necho begun\nexec sleep 30\n",
    "infra/main.tf": "",
}
_TERRAFORM = """#!/bin/bash
echo "terraform $*"
case $1 in
    plan) echo "Plan: 1 to add, 0 to change, 0 to destroy." ;;
    apply)
        case "$*" in *-destroy*) echo "Destroy complete! Resources: 1 destroyed." ; exit ;; esac
        echo "x_y.z: Creating..."
        sleep "${APPLY_SECONDS:-0}"
        echo "Apply complete! Resources: 1 added."
        ;;
esac
sleep 0.05
"""
_ANSIBLE = f'#!/bin/sh\nexec "{sys.executable}" -E -S "{lookalike_ansible.__file__}" "$@"\n'


@dataclass(frozen=True)
class Places:
    """Folders that jobs work with, made once."""

    repository: Path
    programs: Path
    git: Path


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("launch")
    made = Places(folder / "repository", folder / "programs", folder / "git")
    for name, text in FILES.items():
        path = made.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    made.programs.mkdir()
    for name, text in (("terraform", _TERRAFORM), ("ansible-playbook", _ANSIBLE)):
        path = made.programs / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    _make_git(made.git)
    return made


def _make_git(folder: Path) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "x", f"GIT_{who}_EMAIL": "x@example.org"}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True)

    folder.mkdir()
    git("init", "-q", "-b", "main")
    for branch in ("main", "fix"):
        git("checkout", "-q", "-B", branch)
        (folder / "hello.sh").write_text(f"#!/bin/bash\necho from {branch}\nsleep 0.05\n", encoding="utf-8")
        git("add", ".")
        git("commit", "-q", "-m", branch)
    git("checkout", "-q", "main")


def content(places: Places) -> dict[str, Any]:
    """One project with the templates above."""
    users = [("admin", "admin", True, None), ("runner", "chatops", False, "task_runner")]
    users.append(("manager", "max", False, "manager"))
    return {
        "users": [
            {"as": who, "login": login, "name": login, "email": f"{login}@example.org", "admin": admin, "role": role}
            for who, login, admin, role in users
        ],
        "projects": [{"name": "Demo"}],
        "repositories": [
            {"name": "demo", "git_url": "demo", "git_branch": "main", "ssh_key_id": "@key:None"},
            {"name": "git", "git_url": "git", "git_branch": "main", "ssh_key_id": "@key:None"},
        ],
        "inventory": [
            {"name": "hosts", "type": "static", "ssh_key_id": "@key:None", "inventory": INVENTORY},
            {"name": "others", "type": "static", "ssh_key_id": "@key:None", "inventory": INVENTORY},
        ],
        "environment": [
            {"name": "common", "json": "{}", "env": "{}"},
            {"name": "marks", "json": "{}", "env": '{"ANSIBLE_CHECK_MODE_MARKERS":"1"}'},
            {"name": "slow apply", "json": "{}", "env": '{"APPLY_SECONDS":"30"}'},
        ],
        "template_defaults": {"repository_id": "@repository:demo", "environment_id": "@environment:common"},
        "templates": list(TEMPLATES),
        "folders": {"demo": str(places.repository), "git": f"file://{places.git}"},
        "path": [str(places.programs)],
    }


class Yard:
    """What tests do: `say`, `starts`, `rounds`, and read what the room, the admins and the server have."""

    def __init__(self, folder: Path, standin: Standin, **settings: Any) -> None:
        self.standin = standin
        self.journal = Journal(folder / "journal.sqlite3")
        self.settings = Settings(
            bot=BotSettings(admin_users=(PERSON,), greetings_enabled=False),
            semaphore=SemaphoreSettings(url=standin.url, api_token=standin.token("runner"), **settings),
        )
        self.semaphore = Semaphore(self.settings.semaphore)
        self.alarms: list[tuple[str, tuple[str, ...]]] = []
        self.messages = MessageManager(folder / "messages.json", rng=random.Random(1))
        self.aliases = AliasManager(folder / "aliases.json", builtins=commands)
        poster = Poster(Redactor(lambda: (self.settings.semaphore.api_token,)))
        self.desk = Desk(self.tools, poster, lambda: None)
        self.witness = Witness(self.tools, poster, lambda: None)
        self.reporter = Reporter(self.tools, poster, lambda: None, pause=lambda seconds: self._wait(3 * ROUND))
        self.seen: list[TaskSeen | OutputDue | TaskStill] = []
        self.follower = Follower(
            self.journal, lambda: self.semaphore, lambda: self.settings.semaphore.poll_seconds, self.seen.append
        )
        self._never = threading.Event()
        self._events = 0

    def close(self) -> None:
        self.semaphore.close()
        self.journal.close()

    def tools(self) -> Tools:
        return Tools(
            settings=self.settings,
            access=Access(self.settings.bot),
            messages=self.messages,
            aliases=self.aliases,
            semaphore=self.semaphore,
            files=dict,
            unsafe=lambda: "",
            alarm=lambda title, said: self.alarms.append((title, said)),
            told=lambda outcome, by="", deed="": None,
            launcher=Launcher(self.journal, self.semaphore, time.time, lambda: None, pause=self._wait),
            journal=self.journal,
            rooms=tuple,
            ask_rooms=lambda verb, room: RoomOutcome(room),
            health=lambda: cast(Health, None),
            now=time.time,
            life="1",
            leave=lambda: None,
            follow_now=lambda: None,
        )

    def _wait(self, seconds: float) -> None:
        self._never.wait(seconds)

    # --- what people do

    def event(self, words: str, kind: Kind = Kind.COMMAND, **more: Any) -> Incoming:
        """An accepted event, now."""
        self._events += 1
        facts: dict[str, Any] = {"room_id": ROOM, "sender": PERSON, "at": time.time()} | more
        with self.journal.write() as tx:
            (fresh,) = inbox.accept(tx, [Incoming(0, f"$e{self._events}", kind=kind, text=words, **facts)])
        return fresh

    def asked(self, words: str) -> Incoming:
        """A command whose answer stands in the room."""
        event = self.event(words)
        self.desk.handle(event)
        self._deliver()
        return event

    def say(self, words: str) -> str:
        """A command, handled: the plain text of its answer."""
        return self.answer(self.asked(words))

    def yes(self, command: Incoming, words: str = "yes") -> str:
        """A reaction on the question, or the name where that is asked for: what the question has become."""
        target = f"$of answer:{command.event_id}"
        if words == "yes":
            self.desk.handle(self.event("yes", Kind.REACTION, target=target))
        else:
            self.desk.handle(self.event(words, Kind.SAID, target=target))
        self._deliver()
        return self.answer(command)

    def react(self, slot: str, words: str = "yes") -> None:
        """A reaction on any message of the bot."""
        self.desk.handle(self.event(words, Kind.REACTION, target=f"$of {slot}"))
        self._deliver()

    def starts(self, template: str, words: str = "", verb: str = "run") -> int:
        """A task that was asked about and confirmed: its number."""
        command = self.asked(f"{verb} 1 {NUMBER[template]} {words}")
        self.yes(command)
        row = self.journal.read().execute("SELECT task_id FROM launches ORDER BY id DESC").fetchone()
        assert row is not None, self.answer(command)
        assert row[0] is not None, self.answer(command)
        return int(row[0])

    def answer(self, event: Incoming) -> str:
        return self.text(f"answer:{event.event_id}")

    def text(self, slot: str) -> str:
        """What a message of the bot says; empty when there is none."""
        row = self.journal.read().execute("SELECT content FROM outbox WHERE slot = ?", (slot,)).fetchone()
        return "" if row is None else str(json.loads(row[0]).get("plain", ""))

    def _deliver(self) -> None:
        while (row := outbox.next_due(self.journal.read(), ())) is not None:
            with self.journal.write() as tx:
                said = tx.execute("SELECT content FROM outbox WHERE id = ?", (row,)).fetchone()[0]
                sending = outbox.begin(tx, row)
                outbox.sent(tx, sending, f"$of {sending.slot}")
                outbox.echoed(tx, f"$of {sending.slot}", None)
                tx.execute("UPDATE outbox SET content = ? WHERE id = ?", (said, row))  # for the test to read

    # --- what happens meanwhile

    def round(self) -> None:
        """The follower looks once, and its findings are worked off as the workers do."""
        self.follower.look(self._never, lambda: None)
        self.work_off()

    def work_off(self) -> bool:
        """What the follower has found so far is worked off. Always true, for use in a condition."""
        for item in [self.seen.pop(0) for _ in range(len(self.seen))]:
            try:
                if isinstance(item, OutputDue):
                    self.witness.look(item)
                elif isinstance(item, TaskSeen):
                    self.reporter.report(item)
            except SemaphoreError:
                if isinstance(item, TaskSeen):
                    self.follower.again(item.follow_id)
        self._deliver()
        return True

    def rounds(self, until: Callable[[], bool], what: str = "it") -> None:
        """Rounds until it has happened."""
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, f"{what} did not happen in time: {self.standin.tasks()}"
            self.round()
            self._wait(ROUND)

    def waits(self, until: Callable[[], bool], what: str = "it") -> None:
        """The same while the bot does nothing."""
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, f"{what} did not happen in time: {self.standin.tasks()}"
            self._wait(ROUND)

    def ends(self, task: int) -> str:
        """The report of a task's end."""
        self.rounds(lambda: self.follow(task).done, f"the end of task {task}")
        follow = self.follow(task)
        return self.text(f"end:{follow.id}") or self.text(follow.stop_slot or "")

    def contradicted(self, task: int) -> str:
        """What the room hears when the output contradicts what was asked."""
        slot = f"against:{self.follow(task).id}"
        self.rounds(lambda: bool(self.text(slot)), f"a contradiction of task {task}")
        return self.text(slot)

    # --- what there is

    def follow(self, task: int) -> Follow:
        row = self.journal.read().execute("SELECT id FROM follows WHERE task_id = ?", (task,)).fetchone()
        found = launches.get_follow(self.journal.read(), row[0])
        assert found is not None
        return found

    def launch_state(self) -> str:
        row = self.journal.read().execute("SELECT state FROM launches ORDER BY id DESC").fetchone()
        return "" if row is None else str(row[0])

    def status(self, task: int) -> str:
        """As the server has it."""
        return next(str(row["status"]) for row in self.standin.tasks() if row["id"] == task)

    def posted(self) -> list[Mapping[str, Any]]:
        """The bodies of all tasks that were asked for."""
        return [body for method, path, body in self.standin.requests() if method == "POST" and path.endswith("/tasks")]

    def orders(self, task: int) -> list[str]:
        """stop, confirm and reject, as they came."""
        base = f"/api/project/1/tasks/{task}/"
        paths = [path for method, path, _ in self.standin.requests() if method == "POST"]
        return [path.removeprefix(base) for path in paths if path.startswith(base)]

    def output(self, task: int) -> str:
        return "\n".join(text for _, text in self.standin.lines(task))

    def seconds_to_stop(self, task: int, line: str) -> float:
        """From the first line with this text to the arrival of the request to stop, by the server's records."""
        shown = next(at for at, text in self.standin.lines(task) if line in text)
        stopped = next(each.at for each in self.standin.seen() if each.path.endswith(f"/tasks/{task}/stop"))
        return stopped - shown

    def edit(self, template: str, **changed: Any) -> None:
        """Somebody changes the template in Semaphore."""
        url = f"{self.standin.url}/api/project/1/templates/{NUMBER[template]}"
        with urllib.request.urlopen(self._as_admin(url)) as answer:
            row = json.load(answer)
        urllib.request.urlopen(self._as_admin(url, json.dumps({**row, **changed}).encode())).close()

    def _as_admin(self, url: str, body: bytes | None = None) -> urllib.request.Request:
        head = {"Authorization": f"Bearer {self.standin.token('admin')}"}
        return urllib.request.Request(url, body, head, method="GET" if body is None else "PUT")


Open = Callable[..., Yard]


@pytest.fixture
def opened(tmp_path: Path, places: Places) -> Iterator[Open]:
    """Opens a yard: `opened("2.19", switches={...}, check_mode_markers=True)`."""
    with ExitStack() as stack:

        def make(
            profile: str = "2.16",
            mischief: str | Mischief = "none",
            switches: Mapping[str, Any] | None = None,
            **settings: Any,
        ) -> Yard:
            known = PROFILES[profile]
            quick = {
                "tick": 0.02,
                "poll": 0.02,
                "starting_seconds": min(known.starting_seconds, 0.02),
                "slow_flush": 0.0,
                "term_seconds": min(known.term_seconds, 0.5),
            }
            standin = stack.enter_context(Standin(replace(known, **quick | dict(switches or {})), content(places)))
            standin.mischief(mischief)
            yard = Yard(tmp_path, standin, **({"timeout": 20.0, "poll_seconds": 2.0} | settings))
            stack.callback(yard.close)
            return yard

        yield make
