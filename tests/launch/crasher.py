"""A process in which the bot's handling of events is killed at one statement; started by test_crash_points.

It reads one order a line (JSON) from its input, forks a child for it, and writes what became of the child. The child has
the real journal, desk, launcher and Semaphore client. With `die_at` it kills itself, as a power cut would, just before the
statement with that number is carried out; the statements are those of the files in TRACED, each counted when it is
reached for the first time. One process for all orders, so that the imports are paid for once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from chatrixcd_threads.commands.call import Health, Tools
from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.events import RoomOutcome
from chatrixcd_threads.journal import inbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import BotSettings, SemaphoreSettings, Settings
from chatrixcd_threads.text.redact import Redactor
from chatrixcd_threads.threads.lanes import LaneCounts

PACKAGE = Path(sys.modules["chatrixcd_threads"].__path__[0])
# Everything between the yes and the followed task.
TRACED = {
    str(PACKAGE / name): name
    for name in (
        "commands/desk.py",
        "commands/launching.py",
        "commands/post.py",
        "commands/verbs/run.py",
        "journal/db.py",
        "journal/inbox.py",
        "journal/launches.py",
        "journal/outbox.py",
        "journal/questions.py",
        "semaphore/launch.py",
    )
}


class Tracer:
    """Counts statements, and kills the process before the one with the wanted number."""

    def __init__(self, die_at: int) -> None:
        self._die_at = die_at
        self.seen: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in TRACED else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            place = f"{TRACED[frame.f_code.co_filename]}:{frame.f_lineno}"
            if place not in self.seen:
                self.seen[place] = None
                if len(self.seen) == self._die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
        return self._line


def tools(journal: Journal, settings: Settings, semaphore: Semaphore, folder: Path) -> Tools:
    """What a job of the real bot gets, without rooms."""
    return Tools(
        settings=settings,
        access=Access(settings.bot),
        messages=MessageManager(folder / "messages.json"),
        aliases=AliasManager(folder / "aliases.json", builtins=commands),
        semaphore=semaphore,
        files=dict,
        unsafe=lambda: "",
        alarm=lambda title, said: None,
        told=lambda outcome, by="", deed="": None,
        launcher=Launcher(journal, semaphore, time.time, lambda: None, pause=lambda seconds: None),
        journal=journal,
        rooms=lambda: (),
        ask_rooms=lambda verb, room: RoomOutcome(room),
        health=lambda: Health((), LaneCounts(0, 0, 0, 0), 0, 0.0),
        now=time.time,
        life="1",
        leave=lambda: None,
        follow_now=lambda: None,
    )


def live(order: dict[str, Any], answer: int) -> None:
    """One life of the bot: handles all that was accepted and not answered."""
    folder = Path(order["folder"])
    settings = Settings(
        bot=BotSettings(admin_users=("@ann:x",), greetings_enabled=False),
        semaphore=SemaphoreSettings(url=order["url"], api_token=order["token"], timeout=20.0),
    )
    journal, semaphore = Journal(folder / "journal.sqlite3"), Semaphore(settings.semaphore)
    desk = Desk(lambda: tools(journal, settings, semaphore, folder), Poster(Redactor(tuple)), lambda: None)
    tracer = Tracer(int(order["die_at"]))
    sys.settrace(tracer)
    for event in inbox.unanswered(journal.read()):
        desk.handle(event)
    sys.settrace(None)
    os.write(answer, json.dumps(list(tracer.seen)).encode())


def main() -> None:
    commands()  # found and imported once, not in every child
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                live(order, writer)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader, "rb") as source:
            seen = source.read()
        _, status = os.waitpid(child, 0)
        said = {"status": os.waitstatus_to_exitcode(status), "seen": json.loads(seen or b"[]")}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
