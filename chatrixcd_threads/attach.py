"""A console for a bot in another process: the line to it, the ui thread, and a main thread for signals and the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.service import Console
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.door.line import Line
from chatrixcd_threads.threads.supervisor import Supervisor

EXIT_STUCK: Final = 70
_TICK_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 3.0


class Attached:
    """Owner: the main thread. One console, from the first answer of the bot to the exit code. `surface` shows something."""

    def __init__(self, line: Line, surface: Surface, names: Callable[[], Iterable[str]]) -> None:
        self._leave = threading.Event()
        self._signaled: Callable[[], bool] = lambda: False
        console = surface.open(line.doors(self.leave), names)
        line.changed = surface.poke
        self._console = console
        self._services = [line, *([console] if console is not None else [])]
        self._supervisor = Supervisor(self._services)

    def leave(self) -> None:
        """Asks the console to end; the bot goes on. From any thread."""
        self._leave.set()
        self._supervisor.changed.set()

    def run(self) -> int:
        """Runs until it is left. Returns the exit code, or leaves hard when the terminal holds the ui thread."""
        self._on_signals()
        self._supervisor.start()
        while not (self._leave.is_set() or self._signaled()):
            self._supervisor.changed.wait(_TICK_SECONDS)
            self._supervisor.changed.clear()
            self._supervisor.tick(time.monotonic())
        deadline = time.monotonic() + _STOP_SECONDS
        stopped = [self._supervisor.stop(service.name, deadline) for service in reversed(self._services)]
        if not all(stopped):
            rescue.restore_terminal()
            os._exit(EXIT_STUCK)
        return 0

    def _on_signals(self) -> None:
        self._signaled = rescue.leave_on((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._leave.is_set)
        if isinstance(self._console, Console):
            self._console.take_signals()  # also SIGHUP: without a terminal it detaches
