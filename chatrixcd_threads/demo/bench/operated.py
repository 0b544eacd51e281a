"""A made-up bot with a real console, as a process of its own: real journal, office, supervisor and logging.

    python -m chatrixcd_threads.demo.bench.operated '{"wire": 3, "folder": …, "console": true, …}'

It does on the wire (a socket whose descriptor it inherits) what the bench says, line by line, and answers in JSON.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from chatrixcd_threads.cli import log_only_what_is_shown
from chatrixcd_threads.commands.call import Health
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.board import Link
from chatrixcd_threads.console.office import Office, Parts
from chatrixcd_threads.console.ring import Ring, RingHandler
from chatrixcd_threads.console.service import Console
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.events import RoomInfo
from chatrixcd_threads.journal import launches
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.models import Line, Task
from chatrixcd_threads.semaphore.pulse import Pulse
from chatrixcd_threads.text.redact import RedactingFormatter, Redactor
from chatrixcd_threads.threads.interpreter import share_well
from chatrixcd_threads.threads.lanes import LaneCounts, Lanes
from chatrixcd_threads.threads.supervisor import Supervisor

BURST = 100  # lines that are logged one after the other
TICK_SECONDS = 0.5
STOP_SECONDS = 5.0
OUTPUT_LINES = 2_000
SECRETS = ("a-password-of-the-bench", "a-token-of-the-bench-0123456789abcdef", "another-token-of-the-bench")
WORDS = (
    "task 4711 of Deploy the web shop: 12 of 40 hosts done, 0 failed, asked for by @ann:example.org",
    "answered @bob:example.org in !ops:example.org after 0.123 s",
    "GET https://semaphore.example.org/api/project/1/tasks/4711 -> 200, 1834 bytes in 0.045 s",
    "配備 テスト: 作業 4712 が終わりました (12 秒) für das Büro",
)


@dataclass(frozen=True)
class Options:
    """What kind of bot. `handler`: ring, or null for lines that nobody keeps."""

    wire: int
    folder: str
    console: bool = True
    handler: str = "ring"
    tasks: int = 1_000
    rooms: int = 500
    lanes: int = 200


class Stub:
    """Stands for the Semaphore client."""

    known_version = "2.16.43"

    def __init__(self) -> None:
        self.pulse = Pulse()
        self.pulse.answered()
        self._start = datetime.now(UTC)

    def task(self, project_id: int, task_id: int) -> Task:
        """Running, like all of them."""
        return Task(id=task_id, template_id=1, project_id=project_id, status="running", start=self._start)

    def template_tasks(self, project_id: int, template_id: int, limit: int) -> list[Task]:
        """No earlier runs."""
        return []

    def ping(self) -> float:
        return 0.01

    def output(self, project_id: int, task_id: int) -> list[Line]:
        """The same long output for every task."""
        words = ("ok: [host{}]", "changed: [host{}] => 配備", "fatal: [host{}]: FAILED! => unreachable")
        return [Line(output=words[n % len(words)].format(n)) for n in range(OUTPUT_LINES)]


class Bot:
    """Owner: the main thread. Floods and changes run in threads of their own, as in the real bot."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.made = 0
        self.changes: list[float] = []
        self._note = Link("ok", "sync 0.4 s ago", time.time())
        self._rooms = tuple(
            RoomInfo(f"!r{n}:example.org", f"Room 配備 {n}", n % 2 == 0, n) for n in range(options.rooms)
        )
        self._journal = Journal(Path(options.folder) / "journal.sqlite3")
        with self._journal.write() as tx:
            for number in range(options.tasks):
                self._follow(tx, number)
        self._surface = Surface("screen" if options.console else "", Ring())
        self._lanes = Lanes(4, failed=lambda job, error: logging.error("%s failed", job.name, exc_info=error))
        self._office = Office(self._parts(), self._surface.poke)
        self._journal.changed = self._office.journaled
        self.ui = cast("Console | None", self._surface.open(self._office.doors(), commands))
        self.supervisor = Supervisor([self.ui] if self.ui is not None else [])
        self._lanes.changed = self.supervisor.moved = self._surface.poke
        redactor = Redactor(lambda: SECRETS)
        handler = RingHandler(self._surface.ring, self._surface.logged) if options.handler == "ring" else _Null()
        handler.setFormatter(RedactingFormatter(redactor))
        logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
        logging.getLogger("chatrixcd").setLevel(logging.INFO)
        log_only_what_is_shown()

    def do(self, verb: str, *words: str) -> object:
        """One line of the wire."""
        match verb:
            case "flood":
                self._start("flood", self._flood, float(words[0]), float(words[1]))
            case "change":
                self._start("changes", self._change, int(words[0]), float(words[1]), float(words[2]))
            case "changes":
                return self.changes
            case "made":
                return self.made
            case "cpu":
                return {"process": time.process_time(), "ui": self._ui_seconds()}
        return "done"

    def stop(self) -> bool:
        """The end of everything, in order."""
        self._lanes.close()
        return self.ui is None or self.supervisor.stop("ui", time.monotonic() + STOP_SECONDS)

    def _start(self, name: str, run: Callable[..., None], *arguments: float) -> None:
        threading.Thread(target=run, args=arguments, name=name, daemon=True).start()

    def _ui_seconds(self) -> float:
        """CPU of the ui thread alone."""
        ui = next((each for each in threading.enumerate() if each.name == "ui"), None)
        if ui is None or ui.ident is None:
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(ui.ident))

    def _flood(self, rate: float, seconds: float) -> None:
        """Each line tells when it was made; CLOCK_MONOTONIC is the same in every process."""
        log = logging.getLogger("chatrixcd.bench")
        begun, made = time.monotonic(), 0
        while (now := time.monotonic()) - begun < seconds:
            for number in range(BURST):
                log.info("@%.3f %s", now, WORDS[number % len(WORDS)])
            made += BURST
            self.made = made
            time.sleep(max(0.0, begun + made / rate - time.monotonic()))

    def _change(self, count: int, low: float, high: float) -> None:
        """Changes of the first page, each with its number; when they were made is told afterwards."""
        for number in range(count):
            time.sleep(random.uniform(low, high))
            self.changes.append(time.monotonic())
            self._note = Link("ok", f"change {number}.", self._note.since)
            self._office.journaled()

    def _follow(self, tx: Any, number: int) -> None:
        token, person = f"cd-{number}", f"@p{number}:example.org"
        launches.confirm(
            tx,
            token=token,
            slot=token,
            room_id="!ops:example.org",
            thread=None,
            sender=person,
            project_id=1,
            template_id=1,
            template_name=f"Deploy 配備 {number}",
            body={},
            now=time.time(),
        )
        launch = launches.by_token(tx, token)
        if launch is not None:
            launches.follow(tx, launch, number + 1)

    def _parts(self) -> Parts:
        counts = LaneCounts(self.options.lanes, min(8, self.options.lanes), max(0, self.options.lanes - 8), 0)
        begun = time.monotonic()
        stub = cast(Semaphore, Stub())
        return Parts(
            journal=self._journal,
            inbox=queue.Queue(1_000),
            lanes=self._lanes,
            semaphore=lambda: stub,
            matrix=lambda: self._note,
            rooms=lambda: self._rooms,
            health=lambda: Health(self.supervisor.snapshot(), counts, 0, time.monotonic() - begun),
            files=dict,
            prefix=lambda: "!cd",
            log=self._surface.ring,
            leave=lambda: None,
        )


class _Null(logging.Handler):
    """What logging costs by itself."""

    def emit(self, record: logging.LogRecord) -> None:
        return


def main() -> int:
    """Until the wire is closed. 70: the ui thread did not end."""
    options = Options(**json.loads(sys.argv[1]))
    wire = socket.socket(fileno=options.wire)
    bot = Bot(options)
    if bot.ui is not None:
        ui = bot.ui
        rescue.save_terminal()
        signal.signal(signal.SIGWINCH, lambda *_: ui.on_resize())
    share_well()
    bot.supervisor.start()
    wire.settimeout(TICK_SECONDS)
    pending = b""
    while True:
        try:
            data = wire.recv(4_096)
            if not data:
                break
        except TimeoutError:
            data = b""
        bot.supervisor.tick(time.monotonic())
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            wire.sendall(json.dumps(bot.do(*line.decode().split())).encode() + b"\n")
    stopped = bot.stop()
    rescue.restore_terminal()
    if not stopped:
        os._exit(70)
    return 0


if __name__ == "__main__":
    sys.exit(main())
