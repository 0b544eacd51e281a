"""A program on a real terminal (a pty), for the bench and the tests."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHUNK = 65_536


class Terminal:
    """Owner: the thread that made it. What the program writes is read only by `read`."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.set_size(columns, rows)
        self.before = self.settings()
        self.process = subprocess.Popen(
            list(program),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            pass_fds=pass_fds,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})},
        )

    def read(self, seconds: float) -> bytes:
        """What the program has written, at most `CHUNK`; empty when nothing came in time or the terminal is closed."""
        if self.master < 0 or not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.master, CHUNK)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def type(self, keys: str) -> None:
        """As if somebody pressed them."""
        os.write(self.master, keys.encode())

    def set_size(self, columns: int, rows: int) -> None:
        """The window has another size; the program is told by SIGWINCH."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[Any]:
        """Of the terminal: what a program must leave as it was."""
        return termios.tcgetattr(self.slave)

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self, seconds: float = 20.0) -> None:
        """Kills what is left of the program, also what a shell has started on this terminal."""
        if self.process.poll() is None:
            groups = {self.process.pid}
            with contextlib.suppress(OSError):
                groups.add(os.tcgetpgrp(self.slave))
            for group in groups - {0, os.getpgrp()}:
                with contextlib.suppress(OSError):
                    os.killpg(group, signal.SIGKILL)
        self.process.wait(seconds)
        if self.master >= 0:
            self.hang_up()
