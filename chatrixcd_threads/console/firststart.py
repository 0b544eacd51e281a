"""The first start as a service with a screen, and the main thread's part of it: signals, threads, the terminal."""

from __future__ import annotations

import contextlib
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import urwid
from urwid.display.common import InputClosedError

from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.keys import KEYS, Table
from chatrixcd_threads.console.pages import Checks, Pages
from chatrixcd_threads.console.service import Console, Lost
from chatrixcd_threads.threads.alone import Alone
from chatrixcd_threads.wizard.checker import Checker
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.engine import Walk

TICK_SECONDS: Final = 0.5
STOP_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.2  # between two looks whether a signal has come


class Asking(Console):
    """Owner: the ui thread. Ends after the last question, with the terminal, or when it is stopped."""

    def __init__(
        self,
        walk: Walk,
        *,
        theme: str = "default",
        mouse: bool = False,
        screen: urwid.display.common.BaseScreen | None = None,
        debug: bool = False,
        quit: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(None, theme=theme, mouse=mouse, screen=screen, debug=debug)
        self._walk, self._quit = walk, quit
        self.checks: Checks | None = None
        self.finished = threading.Event()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Asks until there is nothing left to ask."""
        self._stop, self._beat = stop, beat
        try:
            self._live()
        except (Lost, InputClosedError, OSError, termios.error):
            pass  # the terminal is gone, and with it the person
        finally:
            rescue.drawing(False)
            self.finished.set()

    def _top(self, screen: urwid.display.common.BaseScreen) -> Any:
        assert self.checks is not None
        return Pages(self._walk, self.checks, Table(KEYS), done=self._done, quit=self._quit, redraw=screen.clear)

    def _done(self) -> None:
        self._stop.set()
        self.wake()

    def _idle(self, loop: urwid.MainLoop, data: object) -> None:
        """While an answer is tried the seconds are counted."""
        loop.set_alarm_in(TICK_SECONDS, self._idle)
        self._draw()


def ask_on_screen(walk: Walk, doors: Doors, *, theme: str, mouse: bool) -> int:
    """Asks on the terminal. Returns the number of the signal that ended it, or 0; the walk tells how far it came."""
    ended: list[int] = []  # a note is all that a signal leaves: its handler may meet the lock of an Event

    def leave(number: int = signal.SIGINT) -> None:
        ended.append(number)

    asking = Asking(walk, theme=theme, mouse=mouse, quit=leave)
    checker = Checker(doors, asking.poke)
    asking.checks = checker
    rescue.save_terminal()
    rescue.take_stderr(None)
    threads = (Alone(asking), Alone(checker))
    try:
        with _signals(asking, leave):
            for thread in threads:
                thread.start()
            while not (ended or asking.finished.wait(LOOK_SECONDS)):
                pass
            for thread in threads:
                thread.stop(STOP_SECONDS)
    finally:
        rescue.restore_terminal()
    return ended[0] if ended else 0


@contextlib.contextmanager
def _signals(asking: Asking, leave: Callable[[int], None]) -> Iterator[None]:
    """The screen's signals are told to it; those that end a program end the first start."""

    def end(number: int, frame: FrameType | None) -> None:
        leave(number)

    told: dict[int, Callable[[], None]] = {
        signal.SIGWINCH: asking.on_resize,
        signal.SIGTSTP: asking.on_suspend,
        signal.SIGCONT: asking.on_resume,
    }
    handlers: dict[int, Any] = {number: lambda _number, _frame, call=call: call() for number, call in told.items()}
    handlers |= dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), end)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
