"""What every measurement stands on: one Synapse for the whole run, and for each measurement people and bots of its own."""

from __future__ import annotations

import functools
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

import chatrixcd_threads
from chatrixcd_threads.demo.botprocess import BotProcess, end, spawn, tail
from chatrixcd_threads.demo.homeserver import Account, Homeserver
from chatrixcd_threads.demo.person import People, Person
from chatrixcd_threads.demo.semaphore import Standin

JOIN_SECONDS = 60.0
ANSWER_SECONDS = 30.0

Say = Callable[[str], None]


class EchoBot:
    """The baseline as a child process. Owner: the main thread."""

    def __init__(
        self, folder: Path, homeserver: str, account: Account, *, encrypted: bool, post: dict[str, Any]
    ) -> None:
        self.user_id = account.user_id
        self.log_file = folder / "echo.log"
        self._folder = folder
        self._options: dict[str, Any] = {
            "homeserver": homeserver,
            "user_id": account.user_id,
            "device_id": account.device_id,
            "access_token": account.access_token,
        }
        if encrypted:
            self._options["store"] = str(folder)
        if post:
            self._options["post"] = post
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the echo bot does not run; it said:\n{tail(self.log_file)}")
        return self._process.pid

    def start(self) -> None:
        """For the first time or again."""
        options = {**self._options, "since_ms": time.time() * 1000}
        command = [sys.executable, "-m", "chatrixcd_threads.demo.bench.echo", json.dumps(options)]
        here = str(Path(chatrixcd_threads.__file__).resolve().parents[1])
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
        self._process = spawn(command, cwd=self._folder, log=self.log_file, env=env)

    def close(self) -> None:
        """Ends it without ceremony."""
        if self._process is not None:
            end(self._process, grace=0)


class Ground:
    """The Synapse and the people's loop of one run, started when they are first needed. Owner: the main thread."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self._parts = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self.folder = Path(self._parts.enter_context(tempfile.TemporaryDirectory(prefix="chatrixcd-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    @functools.cached_property
    def homeserver(self) -> Homeserver:
        """Raises HomeserverError when there is none to be had."""
        self.say("starting a Matrix homeserver (Synapse) on loopback …")
        return self._parts.enter_context(Homeserver(self.folder / "synapse"))

    @functools.cached_property
    def people(self) -> People:
        """The loop on which they live."""
        return self._parts.enter_context(People())

    def name(self, kind: str) -> str:
        """One that was not used before."""
        return f"{kind}-{next(self._numbers)}"


@dataclass(frozen=True, slots=True)
class Bot:
    """Our bot: its user id and its process."""

    user_id: str
    process: BotProcess


class Visit:
    """One measurement's own stand-in, people and bots; gone when the `with` block is left. Owner: the main thread."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._parts = ExitStack()
        self._logs: list[Path] = []

    def __enter__(self) -> Self:
        self.semaphore = self._parts.enter_context(Standin(profile="2.16"))
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def say(self, what: str) -> None:
        """Progress, for the terminal."""
        self._ground.say(what)

    def tell_logs(self) -> None:
        """The ends of the bots' logs, for somebody who looks for the reason of a failure."""
        for log in self._logs:
            self.say(f"end of {log.parent.name}/{log.name}:\n{tail(log)}")

    def folder(self, kind: str) -> Path:
        """A new one, gone when the whole run is over."""
        made = self._ground.folder / self._ground.name(kind)
        made.mkdir()
        return made

    def person(self) -> Person:
        """Somebody new, signed in."""
        name = self._ground.name("person")
        account = self._ground.homeserver.register(name, secrets.token_urlsafe(8))
        person = self._ground.people.person(self._ground.homeserver.url, account, self._ground.folder / name)
        self._parts.callback(person.close)
        return person

    def bot(self, *, semaphore: dict[str, object] | None = None, bot: dict[str, object] | None = None) -> Bot:
        """Our bot, started, with everybody as its admin; the arguments are added to its settings."""
        name = self._ground.name("bot")
        password = secrets.token_urlsafe(8)
        account = self._ground.homeserver.register(name, password)
        store = {"user_id": account.user_id, "password": password, "store_path": "store"}
        settings: dict[str, object] = {
            "matrix": {"homeserver": self._ground.homeserver.url, **store},
            "semaphore": {"url": self.semaphore.url, "api_token": self.semaphore.token("runner"), **(semaphore or {})},
            "bot": {"admin_users": ["*"], **(bot or {})},
        }
        process = BotProcess(self._ground.folder / name, settings)
        self._parts.callback(process.close, grace=0)
        self._logs.append(process.log_file)
        process.start()
        return Bot(account.user_id, process)

    def echo(self, *, encrypted: bool = False, post: dict[str, Any] | None = None) -> EchoBot:
        """The baseline, started."""
        name = self._ground.name("echo")
        account = self._ground.homeserver.register(name, secrets.token_urlsafe(8))
        url = self._ground.homeserver.url
        echo = EchoBot(self._ground.folder / name, url, account, encrypted=encrypted, post=post or {})
        self._parts.callback(echo.close)
        self._logs.append(echo.log_file)
        echo.start()
        return echo

    def rooms(self, owner: Person, count: int, members: Iterable[str], *, encrypted: bool = False) -> list[str]:
        """New rooms in which all of these have arrived. From any thread."""
        invited = list(members)
        rooms = [owner.create_room(f"room {n}", encrypted=encrypted, invite=invited) for n in range(count)]
        for room_id in rooms:
            for user in invited:
                owner.wait_member(room_id, user, timeout=JOIN_SECONDS)
        return rooms


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, all its threads together."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def ask(person: Person, room_id: str, text: str, who: str, timeout: float = ANSWER_SECONDS) -> float:
    """Seconds from the moment the homeserver has accepted the message until its answer is heard."""
    event_id = person.send(room_id, text)
    begun = time.perf_counter()
    hear(person, room_id, event_id, who, timeout)
    return time.perf_counter() - begun


def hear(person: Person, room_id: str, event_id: str, who: str, timeout: float = ANSWER_SECONDS) -> str:
    """Waits for the answer to a message; its event id."""
    answer = person.wait(
        lambda heard: heard.sender == who and heard.reply_to == event_id,
        room_id=room_id,
        after=event_id,
        timeout=timeout,
    )
    return answer.event_id
