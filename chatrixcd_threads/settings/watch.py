"""The watch thread: notices that a hot file was saved, however it was saved, and has it read once.

Events of watchdog are hints: they only put a token into a queue. A fingerprint decides, a quiet time settles, a sweep covers
what inotify does not tell, and a watch that was lost is set again (docs/architecture.rst has the measured reasons).
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, EventEmitter
from watchdog.observers.polling import PollingObserver

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.hot import Fingerprint, Mended, Outcome, Refused, fingerprint
from chatrixcd_threads.threads.service import Service, name_thread

log = logging.getLogger("chatrixcd.watch")

Prints = dict[Path, Fingerprint | None]

IGNORED = frozenset({"opened", "closed_no_write"})  # a mere read: a handler that counts it feeds itself


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `quiet`: nothing has happened for this long before a file is read; `longest`: but read it by then.

    `grace`: a file that is refused or absent is told of only when it stays so, since it may be half written.
    `quick` and `slow`: the sweep shortly after a change, and otherwise. `retry`: while polling, inotify is tried again.
    """

    quiet: float = 0.1
    longest: float = 1.0
    grace: float = 0.4
    quick: float = 0.5
    slow: float = 2.0
    quick_for: float = 60.0
    retry: float = 60.0


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
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, int | None] = {}
        self._looked: Prints = {}
        self._doubtful: dict[Path, tuple[float, Refused]] = {}  # until when they are not told
        self._last_change = -1e9
        self._retry_at = 0.0
        self._said: set[str] = set()
        self.polling = False

    def hint(self) -> None:
        """Look soon. From any thread."""
        self._tokens.put(None)

    def wake(self) -> None:
        self._tokens.put(None)

    @property
    def hints_waiting(self) -> int:
        """Hints that were not looked at yet. From any thread."""
        return self._tokens.qsize()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        try:
            self._arm()
            self._looked, due, rearmed = self._prints(), self._clock(), False
            while not stop.is_set():
                beat()
                self._rest(due - self._clock())
                if self._prints() != self._looked:
                    self._last_change = self._clock()
                    self._settle(stop)
                elif self._clock() < due:
                    continue  # another file of the folder
                if stop.is_set():
                    return
                self.look()
                pause, lost = min(self._sweep(), self.patience / 3), self._lost()
                if lost:
                    before = self._watched
                    self._arm()
                    if not rearmed or self._watched != before:  # else it cannot be had
                        pause = 0.0  # at once: for what was saved meanwhile
                rearmed = lost
                due = min([self._clock() + pause, *(until for until, _ in self._doubtful.values())])
        finally:
            self._disarm()

    def look(self) -> None:
        """Every file once; what came of it is told with no lock held."""
        self._looked = self._prints()
        for file in self._files:
            try:
                self._weigh(file.path, file.check_for_changes())
            except (ConfigError, OSError):
                log.exception("%s could not be looked after; it will be again", file.path)

    def _weigh(self, path: Path, outcome: Outcome | None) -> None:
        """Tells an outcome, but a refusal only later, and not at all when all is well by then."""
        now, doubtful = self._clock(), self._doubtful.pop(path, None)
        if outcome is not None:
            self._last_change = now
        if isinstance(outcome, Refused):
            self._doubtful[path] = (now + self._pace().grace, outcome)
        elif outcome is not None and not (doubtful and isinstance(outcome, Mended)):
            self._told(outcome)
        elif outcome is None and doubtful is not None:
            if now < doubtful[0]:
                self._doubtful[path] = doubtful
            else:
                self._told(doubtful[1])

    def _prints(self) -> Prints:
        return {file.path: fingerprint(file.path) for file in self._files}

    def _rest(self, seconds: float) -> None:
        """Until a token comes, at most this long."""
        try:
            self._tokens.get(timeout=max(0.0, seconds))
            while True:
                self._tokens.get_nowait()
        except queue.Empty:
            return

    def _settle(self, stop: threading.Event) -> None:
        """Until no file has changed for a while."""
        pace, before = self._pace(), self._prints()
        began = still = self._clock()
        while not stop.is_set():
            left = min(still + pace.quiet, began + pace.longest) - self._clock()
            if left <= 0:
                return
            self._rest(left)
            prints = self._prints()
            if prints != before:
                before, still = prints, self._clock()

    def _sweep(self) -> float:
        pace = self._pace()
        return pace.quick if self._clock() - self._last_change < pace.quick_for else pace.slow

    def _arm(self) -> None:
        self._disarm()
        self._watched = self._folders()
        try:
            self._observer = self._started(self._new_observer)
        except OSError as error:
            self._say(f"inotify cannot be used ({error}): the files are polled")
        else:
            if self._said:
                log.info("inotify can be used again")
            self._said.clear()
            self.polling = False
            return
        self.polling, self._retry_at = True, self._clock() + self._pace().retry
        try:
            self._observer = self._started(lambda: PollingObserver(timeout=self._pace().slow))
        except OSError as error:
            self._say(f"nor can they be polled ({error}): only the sweep looks, every {self._pace().slow:.1f} s")

    def _started(self, make: Callable[[], BaseObserver]) -> BaseObserver:
        """A running observer of every folder that is there. Raises OSError when the kernel has nothing left for it."""
        observer, handler = make(), _Hints(self.hint)
        observer.name = "watch-events"
        try:
            observer.start()
            for folder in (folder for folder, inode in self._watched.items() if inode is not None):
                try:
                    observer.schedule(handler, str(folder))
                except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                    log.debug("%s is not watched (%s); the sweep looks there", folder, error)
            for emitter in observer.emitters:
                emitter.name = "watch-emitter"
        except OSError:
            _end(observer)
            raise
        return observer

    def _say(self, sentence: str) -> None:
        """Once, not at every try."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)

    def _lost(self) -> bool:
        """The observer or a part of it has ended, or a folder is another one than the watched, or better is due."""
        observer = self._observer
        if observer is None or not observer.is_alive() or not all(part.is_alive() for part in observer.emitters):
            return True
        return self._watched != self._folders() or (self.polling and self._clock() >= self._retry_at)

    def _folders(self) -> dict[Path, int | None]:
        """The folders of the files, and those to which links lead, with their inodes; None: absent."""
        paths = [file.path.absolute() for file in self._files]
        folders = {path.parent for path in (*paths, *(Path(os.path.realpath(path)) for path in paths))}
        return {folder: _inode(folder) for folder in sorted(folders)}

    def _disarm(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)


def _unless_ended(record: logging.LogRecord) -> bool:
    """Drops what an emitter calls an error: to be asked for events between the order to stop and its last look.

    Nothing is lost: its events are hints, and whoever ends an observer looks at the files anyway or leaves.
    """
    thread = threading.current_thread()
    return not (isinstance(thread, EventEmitter) and thread.stopped_event.is_set())


logging.getLogger("watchdog.observers.inotify").addFilter(_unless_ended)


def _end(observer: BaseObserver) -> None:
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
