"""A terminal without a window: a pty, what a program needs to take it, and its screen as a person would see it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable
from typing import Any, Final

LIMIT: Final = 20.0
MODES: Final = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
"""The environment of a program on it."""


class Terminal:
    """A pty. One thread at a time may use it; what the program writes waits until somebody reads."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.size(columns, rows)

    def size(self, columns: int, rows: int) -> None:
        """The window has another size; the program is told by SIGWINCH."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[Any]:
        """Of the line: echo, signals and so on."""
        return termios.tcgetattr(self.slave)

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self.master, keys.encode())

    def read(self, seconds: float) -> bytes:
        """What was written within the time, as soon as there is something; else nothing."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.master, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end open
                raise
            return b""

    def close(self) -> None:
        """The window is closed: the program gets SIGHUP. May be called again."""
        for descriptor in (self.slave, self.master):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self.master = self.slave = -1


def take_terminal() -> None:
    """In a new child with a session of its own: the terminal at its input becomes the one that controls it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class ReadTerminal(Terminal):
    """A terminal whose screen can be read. What the program writes is read only while somebody waits for something."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        import pyte  # not needed for the demo itself

        super().__init__(columns, rows)
        self.screen: Any = pyte.Screen(columns, rows)
        self.raw = bytearray()
        self.reading = True
        self._stream = pyte.ByteStream(self.screen)

    @property
    def text(self) -> str:
        """The rows of the screen."""
        return "\n".join(self.screen.display)

    def until(self, true: Callable[[], object], what: str, seconds: float = LIMIT) -> None:
        """Reads what the program writes until it is true; AssertionError with the screen when it does not become true."""
        deadline = time.monotonic() + seconds
        while not true():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}\n{self.text}"
            self.pump(min(left, 0.05))

    def shows(self, *texts: str, seconds: float = LIMIT) -> None:
        """Waits until all the texts are on the screen."""
        self.until(lambda: all(text in self.text for text in texts), f"shows {texts}", seconds)

    def settles(self, quiet: float = 0.4, seconds: float = LIMIT) -> None:
        """Waits until nothing was written for a moment."""
        deadline = time.monotonic() + seconds
        last = time.monotonic()
        while (now := time.monotonic()) - last < quiet and now < deadline:
            last = time.monotonic() if self.pump(0.05) else last

    def pump(self, seconds: float) -> bool:
        """Takes over what was written. False: nothing was."""
        if not self.reading:
            time.sleep(seconds)
            return False
        data = self.read(seconds)
        if data:
            self.raw += data
            self._stream.feed(data)
        return bool(data)

    def resize(self, columns: int, rows: int) -> None:
        """Of the screen and of the pty."""
        self.screen.resize(rows, columns)
        self.size(columns, rows)
