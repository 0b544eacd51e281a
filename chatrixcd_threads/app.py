"""Builds every part and ties the queues: the only module that imports all the others."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from chatrixcd_threads import __version__
from chatrixcd_threads.commands.call import Health, Tools
from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.dispatch import Dispatch
from chatrixcd_threads.commands.notices import Notices, describe
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.commands.reports import Reporter
from chatrixcd_threads.commands.stills import Stills
from chatrixcd_threads.commands.witness import Witness
from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.board import Hearing, Lag, Link
from chatrixcd_threads.console.office import Office, Parts
from chatrixcd_threads.console.service import Console
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.door.peer import NAME as SOCKET
from chatrixcd_threads.door.service import Door
from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.events import FileNotice, InboxItem
from chatrixcd_threads.journal import audit, outbox
from chatrixcd_threads.journal.alone import StoreLock
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.safety import COPY_SECONDS, Safety
from chatrixcd_threads.matrix.service import MatrixService
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.connection import Connection
from chatrixcd_threads.semaphore.follower import Follower
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.config import Config
from chatrixcd_threads.settings.hot import Outcome, Refused
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.watch import Pace, Watch
from chatrixcd_threads.text.markup import text
from chatrixcd_threads.text.redact import Redactor
from chatrixcd_threads.text.vault import Vault
from chatrixcd_threads.threads.interpreter import share_well
from chatrixcd_threads.threads.lanes import Job, Lanes
from chatrixcd_threads.threads.supervisor import Supervisor

log = logging.getLogger("chatrixcd.app")

INBOX_SIZE: Final = 1_000
TICK_SECONDS: Final = 0.5
CHECK_SECONDS: Final = 5.0  # how often the journal's disk is looked at
STOP_SECONDS: Final = 10.0
TELL_SECONDS: Final = 2.0
STARTING_SECONDS: Final = 10.0  # after so long a bot that is still connecting counts as started
HEARING_SECONDS: Final = 3_600.0  # for how often the homeserver has slowed the bot down

EXIT_OK: Final = 0
EXIT_STUCK: Final = 70
EXIT_FATAL: Final = 78


class App:
    """Owner: the main thread. One bot, from start to exit code."""

    def __init__(
        self, config: Config, messages: MessageManager, aliases: AliasManager, redactor: Redactor, surface: Surface
    ) -> None:
        self._config, self._messages, self._aliases = config, messages, aliases
        settings = config.now
        self._since = time.monotonic()
        self._life = f"{time.time():.0f}"
        self._reconnecting = threading.Lock()  # one job at a time goes over to other connections
        self._leave = threading.Event()
        self._signaled: Callable[[], bool] = lambda: False
        self._lock = StoreLock(Path(settings.matrix.store_path))
        self.journal = Journal(Path(settings.matrix.store_path) / "journal.sqlite3")
        self._safety, self._checked, self._copied = Safety(self.journal), 0.0, 0.0
        self._vault = Vault()
        redactor.know(self._vault.masks)
        self._poster = Poster(redactor)
        self._clean = redactor.clean
        self._semaphore = Connection(settings.semaphore)
        inbox: queue.Queue[InboxItem] = queue.Queue(INBOX_SIZE)
        self._matrix = MatrixService(lambda: config.now, self.journal, inbox, keep=self._vault.hear)
        self._follower = Follower(
            self.journal, lambda: self._semaphore.now, lambda: config.now.semaphore.poll_seconds, inbox.put
        )
        self._inbox = inbox
        self._watch = watch = Watch(
            [config.hot, messages.hot, aliases.hot],
            self._told,
            lambda: Pace(**msgspec.structs.asdict(config.now.bot.reload)),
        )

        def answered() -> None:
            self._matrix.wake_sender()
            surface.poke()  # the answer may be the operator's

        notices = Notices(self._tools, self._poster, self._matrix.wake_sender, self._reconnect)
        desk = Desk(self._tools, self._poster, answered)
        reporter = Reporter(self._tools, self._poster, self._matrix.wake_sender)
        self._lanes = Lanes(
            settings.bot.workers,
            failed=lambda job, error: self._dispatch.failed(job, error),
            freed=lambda key: self._dispatch.freed(key),
        )
        witness = Witness(self._tools, self._poster, self._matrix.wake_sender)
        stills = Stills(self._tools, self._poster, self._matrix.wake_sender)
        self._dispatch = Dispatch(
            inbox,
            self.journal,
            self._lanes,
            desk,
            reporter,
            notices,
            witness,
            self._follower.again,
            look_closely=stills.look,
        )
        parts = self._parts(inbox, surface)
        self._door = Door(Path(settings.matrix.store_path) / SOCKET)
        office, outside = Office(parts, surface.poke), Office(parts, self._door.poke)  # one for each thread that calls

        def journaled() -> None:
            office.journaled()
            outside.journaled()

        self.journal.changed = journaled
        self._matrix.changed = self._lanes.changed = surface.poke
        self._console = surface.open(office.doors(), commands)
        self._door.open(outside.doors())
        surface.door = self._door.poke
        shown = [self._console] if self._console is not None else []
        self._supervisor = Supervisor([self._dispatch, self._follower, watch, self._matrix, self._door, *shown])
        self._supervisor.moved = surface.poke
        self._started: Callable[[str], None] | None = None

    def run(self, started: Callable[[str], None] | None = None) -> int:
        """Runs until a signal, `exit` or a fatal problem; returns the exit code, or leaves hard when a thread is stuck.

        `started` is called once: when the homeserver has answered or will be tried again, or with what makes running impossible.
        """
        share_well()
        self._started = started
        self._on_signals()
        self._note(Deed.BOT_STARTED)
        self._greet(self._config.now.bot.startup_message)
        self._tell_of_unused_files()
        self._supervisor.start()
        while not self._is_leaving():
            self._supervisor.changed.wait(TICK_SECONDS)
            self._supervisor.changed.clear()
            self._tick(time.monotonic())
        return self._stop()

    def leave(self) -> None:
        """Asks the bot to stop. From any thread."""
        self._leave.set()
        self._supervisor.changed.set()

    def _is_leaving(self) -> bool:
        return self._leave.is_set() or self._signaled()

    def _tick(self, now: float) -> None:
        self._supervisor.tick(now)
        bot = self._config.now.bot
        try:
            self._dispatch.overdue(now, bot.soft_limit_seconds, bot.hard_limit_seconds)
        except sqlite3.Error:
            log.exception("slow jobs could not be told about")
        if self._supervisor.fatal():
            self.leave()
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            self._look_after_journal(now)
        late = now - self._since > STARTING_SECONDS
        if self._started is not None and (late or self._is_leaving() or self._matrix.link[0] != "connecting"):
            self._started(self._supervisor.fatal())
            self._started = None

    def _look_after_journal(self, now: float) -> None:
        """Launching stops while the journal cannot be trusted; a copy is made once a day."""
        problem = self._safety.check()
        if problem:
            said = (problem, "I start nothing until that is mended. Reading still works, running tasks are followed.")
            self._tell(FileNotice("journal", "⛔ Launching has stopped", said))
        elif problem is not None:
            self._tell(FileNotice("journal", "✅ Launching works again", ("The journal can be written again.",)))
        if now - self._copied >= COPY_SECONDS or not self._copied:
            self._copied = now
            self._lanes.submit(Job(("journal", "copy"), "copy of the journal", self._copy_journal))

    def _copy_journal(self) -> None:
        self._safety.copy(time.time())

    def _stop(self) -> int:
        """The ordered stop, with one deadline for all of it. What is not finished stays in the journal."""
        deadline = time.monotonic() + STOP_SECONDS
        log.info("stopping")
        stuck = self._stopped("dispatch", deadline - 6.0)
        self._lanes.close()
        stuck += [job.name for job in self._lanes.wait_idle(deadline - 4.0)]
        stuck += self._stopped("follower", deadline - 3.5) + self._stopped("watch", deadline - 3.5)
        self._note(Deed.BOT_STOPPED)
        self._greet(self._config.now.bot.shutdown_message)
        self._matrix.wake_sender()
        stuck += self._stopped("sync", deadline)
        if self._console is not None:  # the last, so that the operator sees it all
            stuck += self._stopped(self._console.name, deadline)
        stuck += self._stopped(self._door.name, deadline)
        code = EXIT_FATAL if self._supervisor.fatal() else EXIT_OK
        if stuck:
            log.error("leaving hard, because of %s", ", ".join(stuck))
            rescue.restore_terminal()
            logging.shutdown()
            os._exit(EXIT_STUCK)  # Python would wait for the stuck thread for ever
        self._semaphore.close()
        self.journal.close()
        self._lock.release()
        log.info("stopped")
        return code

    def _stopped(self, name: str, deadline: float) -> list[str]:
        """Stops a service; its name when it is stuck."""
        return [] if self._supervisor.stop(name, deadline) else [name]

    def _reconnect(self) -> list[str]:
        """Goes over to changed addresses and credentials; a job in a worker thread. Returns what could not be done."""
        with self._reconnecting:  # the one that comes later finds the newest settings
            settings = self._config.now
            problems = {
                "Semaphore": self._semaphore.change(settings.semaphore),
                "the homeserver": self._matrix.change_login(settings.matrix),
            }
        return [
            f"⛔ I stay with the old connection to {name}: {problem}" for name, problem in problems.items() if problem
        ]

    def _tools(self) -> Tools:
        settings, semaphore = self._config.now, self._semaphore.now
        return Tools(
            settings=settings,
            access=Access(settings.bot),
            messages=self._messages,
            aliases=self._aliases,
            semaphore=semaphore,
            files=lambda: {"config": self._config.hot, "messages": self._messages.hot, "aliases": self._aliases.hot},
            unsafe=lambda: self._safety.problem,
            alarm=lambda title, said: self._tell(FileNotice("alarm", title, said)),
            told=self._told,
            launcher=Launcher(self.journal, semaphore, time.time, self._follower.look_now, vault=self._vault),
            journal=self.journal,
            rooms=lambda: self._matrix.rooms,
            ask_rooms=self._matrix.ask,
            health=self._health,
            now=time.time,
            life=self._life,
            leave=self.leave,
            follow_now=self._follower.look_now,
            devices=lambda: self._matrix.devices,
            verify=self._matrix.verify,
            reconnect=self._reconnect,
            vault=self._vault,
            clean=self._clean,
        )

    def _health(self) -> Health:
        return Health(
            self._supervisor.snapshot(),
            self._lanes.counts(),
            outbox.owed(self.journal.read()),
            time.monotonic() - self._since,
        )

    def _told(self, outcome: Outcome, by: str = "", deed: str = "") -> None:
        """What came of reading a settings file goes to the admins."""
        notice = describe(outcome)
        self._tell(replace(notice, by=by, deed=deed or notice.deed))

    def _tell(self, notice: FileNotice) -> None:
        """To the admins, through the inbox; nobody waits for a full one for long."""
        try:
            self._inbox.put(notice, timeout=TELL_SECONDS)
        except queue.Full:
            log.error("the admins could not be told: %s %s", notice.title, " | ".join(notice.lines))

    def _tell_of_unused_files(self) -> None:
        """A start on a kept version or on defaults is said like a bad or a dangerous edit."""
        for file in self._tools().files().values():
            waiting = file.waiting
            if file.error is not None:
                self._told(Refused(file.path, file.error.sentence, file.version.since))
            elif waiting is not None:
                self._told(waiting)

    def _parts(self, inbox: queue.Queue[InboxItem], surface: Surface) -> Parts:
        return Parts(
            journal=self.journal,
            inbox=inbox,
            lanes=self._lanes,
            semaphore=lambda: self._semaphore.now,
            matrix=lambda: Link(*self._matrix.link),
            rooms=lambda: self._matrix.rooms,
            health=self._health,
            files=lambda: self._tools().files(),
            prefix=lambda: self._config.now.bot.command_prefix,
            log=surface.ring,
            leave=self.leave,
            clean=self._clean,
            hints_waiting=lambda: self._watch.hints_waiting,
            lag=lambda: Lag(*self._matrix.lag),
            devices=lambda: self._matrix.devices,
            verify=self._matrix.verify,
            settings=lambda: self._config.now,
            hearing=self._hearing,
            unsafe=lambda: self._safety.problem,
        )

    def _hearing(self) -> Hearing:
        pulse = self._matrix.pulse
        return Hearing(pulse.synced_at, pulse.sent_at, pulse.slowed(HEARING_SECONDS), pulse.slowed_until)

    def _note(self, deed: Deed) -> None:
        try:
            with self.journal.write() as tx:
                audit.note(tx, deed, subject=f"version {__version__}", now=time.time())
        except sqlite3.Error:  # a full disk must not keep the bot from stopping in order
            log.exception("“%s” could not be noted", deed)

    def _greet(self, sentence: str) -> None:
        """The start and stop message, in the rooms that are named for it."""
        bot = self._config.now.bot
        if not (bot.greetings_enabled and sentence):
            return
        rooms = bot.greeting_rooms or bot.allowed_rooms
        try:
            with self.journal.write() as tx:
                for room_id in rooms:
                    where = Where(f"greeting:{time.time_ns()}:{room_id}", room_id)
                    self._poster.post(tx, where, text(sentence), priority=outbox.Priority.STATE)
        except sqlite3.Error:  # a full disk keeps the bot neither from starting nor from stopping in order
            log.exception("nobody was greeted")

    def _on_signals(self) -> None:
        self._signaled = rescue.leave_on((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._leave.is_set)
        screen = self._console
        if isinstance(screen, Console):
            screen.take_signals()  # also SIGHUP: the bot outlives its terminal


def build(config: Config, messages: MessageManager, aliases: AliasManager, redactor: Redactor, surface: Surface) -> App:
    """The bot. Raises Fatal with a sentence when it cannot be built."""
    try:
        return App(config, messages, aliases, redactor, surface)
    except OSError as error:
        raise Fatal(f"{config.now.matrix.store_path} cannot be used as matrix.store_path: {error}") from error
