"""A service: one named thread with a life cycle that everybody calls by the same words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """Where a service's thread is in its life. Shown in the console, in `info` and in the log."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FATAL = "FATAL"


class Service:
    """Base of all services. `run` is the whole life of one thread; `beat` must be called at least each `patience` s."""

    name = "service"
    patience = 15.0

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Works until `stop` is set. Raising ends this life; the supervisor starts another unless it was Fatal."""
        raise NotImplementedError

    def wake(self) -> None:
        """Ends a blocking wait inside `run` after `stop` was set. Called from the main thread."""


@dataclass(frozen=True, slots=True)
class ThreadInfo:
    """One line about a service, for people. `beat_age` and `since` are seconds."""

    name: str
    state: State
    since: float
    beat_age: float
    restarts: int
    problem: str = ""


def name_thread(name: str) -> None:
    """Shows the thread's name in `top -H` and `ps -L` (15 bytes; CPython does it itself only from 3.14)."""
    try:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(
            name[:15], encoding="ascii", errors="replace"
        )
    except (OSError, ValueError):
        return  # not Linux: names are a comfort, never a condition
