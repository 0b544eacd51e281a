"""The bot's console in your own terminal: what it draws on its pty is shown here, and your keys go there."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Final

from chatrixcd_threads.console import rescue
from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.demo.terminal import Terminal

ENTER: Final = b"\x1b[?1049h\x1b[H\x1b[2J\x1b[?25l"
LEAVE_KEY, INTERRUPT_KEY = b"\x04", b"\x03"  # Ctrl-D, Ctrl-C
_LOOK_SECONDS: Final = 0.1


class Window:
    """Owner: the main thread. Between two looks at the console, `skip` must be called now and then."""

    def __init__(self, bot: BotProcess, terminal: Terminal) -> None:
        self._bot, self._terminal = bot, terminal

    @property
    def waiting(self) -> int:
        """What becomes readable when there is something to skip."""
        return self._terminal.master

    def skip(self) -> None:
        """Reads what the console draws while nobody looks: it would wait for a reader else."""
        self._terminal.read(0)

    def open(self) -> None:
        """Shows the console until Ctrl-D, or until the bot has ended. KeyboardInterrupt on Ctrl-C."""
        with _raw(), _resizing(self._fit):
            os.write(1, ENTER)
            try:
                self._fit()
                self._bot.send_signal(signal.SIGWINCH)  # the size may be the same: draw everything anew
                self._show()
            finally:
                os.write(1, rescue.LEAVE)

    def _show(self) -> None:
        while self._bot.alive:
            ready = select.select([0, self._terminal.master], [], [], _LOOK_SECONDS)[0]
            if self._terminal.master in ready:
                _write(self._terminal.read(0))
            if 0 in ready:
                keys = os.read(0, 4_096)
                if INTERRUPT_KEY in keys:
                    raise KeyboardInterrupt
                if not keys or LEAVE_KEY in keys:
                    return
                os.write(self._terminal.master, keys)

    def _fit(self, number: int = 0, frame: FrameType | None = None) -> None:
        with contextlib.suppress(OSError):
            self._terminal.size(*os.get_terminal_size(1))


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key arrives as it is."""
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # keys that were typed ahead count
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(fit: signal._HANDLER) -> Iterator[None]:
    before = signal.signal(signal.SIGWINCH, fit)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
