"""The watch thread: notices that a hot file was saved, however it was saved, and has it read once.

Events of watchdog are hints: they only put a token into a queue. A fingerprint decides, a quiet time settles, a sweep covers
what inotify does not tell, and a watch that was lost is set again (docs/architecture.rst has the measured reasons).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from chatrixcd_threads.settings.hot import Outcome
from chatrixcd_threads.threads.service import Service, name_thread

log = logging.getLogger("chatrixcd.watch")

IGNORED = frozenset({"opened", "closed_no_write"})  # a mere read: a handler that counts it feeds itself


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `quiet`: nothing has happened for this long before a file is read; `longest`: but read it by then.

    `quick` and `slow`: the sweep shortly after a change, and otherwise.
    """

    quiet: float = 0.1
    longest: float = 1.0
    quick: float = 0.5
    slow: float = 2.0
    quick_for: float = 60.0


class Watched(Protocol):
    """What the watch needs of a hot file."""

    @property
    def path(self) -> Path: ...
    def check_for_changes(self) -> Outcome | None: ...


class Watch(Service):
    """Owner: the watch thread. watchdog's own threads only put tokens into the queue."""

    name = "watch"

    def __init__(
        self,
        files: Sequence[Watched],
        told: Callable[[Outcome], None],
        pace: Callable[[], Pace] = Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
        observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        self._files, self._told, self._pace = files, told, pace
        self._clock, self._new_observer = clock, observer
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False: stop
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, int] = {}
        self._last_change = -1e9
        self.polling = False

    def hint(self) -> None:
        """Look soon. From any thread."""
        self._tokens.put(True)

    def wake(self) -> None:
        self._tokens.put(False)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        try:
            self._arm()
            while not stop.is_set():
                beat()
                if self._heard(self._sweep()):
                    self._settle()
                self.look()
                if self._lost():
                    self._arm()
        finally:
            self._disarm()

    def look(self) -> None:
        """Every file once; what came of it is told with no lock held."""
        for file in self._files:
            outcome = file.check_for_changes()
            if outcome is not None:
                self._last_change = self._clock()
                self._told(outcome)

    def _heard(self, seconds: float) -> bool:
        try:
            return self._tokens.get(timeout=seconds)
        except queue.Empty:
            return False

    def _settle(self) -> None:
        pace = self._pace()
        until = self._clock() + pace.longest
        while self._clock() < until and self._heard(min(pace.quiet, max(0.0, until - self._clock()))):
            continue

    def _sweep(self) -> float:
        pace = self._pace()
        return pace.quick if self._clock() - self._last_change < pace.quick_for else pace.slow

    def _arm(self) -> None:
        self._disarm()
        folders = {file.path.absolute().parent for file in self._files}
        folders |= {file.path.resolve().parent for file in self._files}
        handler = _Hints(self.hint)
        try:
            observer = self._new_observer()
            self.polling = False
        except OSError as error:
            log.warning("inotify cannot be used (%s): the files are polled", error)
            observer = PollingObserver(timeout=self._pace().slow)
            self.polling = True
        observer.name = "watch-events"
        for folder in sorted(folders):
            try:
                observer.schedule(handler, str(folder))
                self._watched[folder] = folder.stat().st_ino
            except OSError as error:
                log.debug("%s is not watched (%s); the sweep looks there", folder, error)
        try:
            observer.start()
        except OSError as error:
            log.warning("the watch could not start (%s); the sweep looks every %.1f s", error, self._pace().slow)
            return
        self._observer = observer

    def _lost(self) -> bool:
        """The observer has ended, or a folder is another one than the watched."""
        if self._observer is None or not self._observer.is_alive():
            return True
        return any(_inode(folder) not in (None, inode) for folder, inode in self._watched.items()) or any(
            _inode(folder) is not None and folder not in self._watched for folder in self._folders()
        )

    def _folders(self) -> set[Path]:
        return {file.path.absolute().parent for file in self._files}

    def _disarm(self) -> None:
        observer, self._observer = self._observer, None
        self._watched.clear()
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(5)


class _Hints(FileSystemEventHandler):
    """Runs in watchdog's threads; a handler that raised would end the observer for good, so this one only puts a token."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._named = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if not self._named:
            self._named = True
            name_thread("watch-events")
        if event.event_type not in IGNORED:
            self._hint()


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None
