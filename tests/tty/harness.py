"""A real terminal for a program: a pty, its screen as text, its settings, and a wire to the program's worker."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte

LIMIT = 20.0
ROOT = Path(__file__).parents[2]


class Terminal:
    """Owner: the test. What the program writes is read only while the test waits for something."""

    def __init__(
        self,
        log: Path,
        *options: str,
        columns: int = 80,
        rows: int = 24,
        shell: bool = False,
        program: list[str] | None = None,
        folder: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.reading = True
        self._size(columns, rows)
        self.before = self.settings()
        self._wire, theirs = socket.socketpair()
        self._wire.settimeout(LIMIT)
        program = program or [sys.executable, "-m", "tests.tty.driver", str(theirs.fileno()), str(log), *options]
        self.command = " ".join(program)
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"] if shell else program,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            pass_fds=[theirs.fileno()],
            cwd=folder,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "PS1": "shell> ",
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": str(ROOT),
                **(env or {}),
            },
        )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            groups = {self.process.pid}
            with contextlib.suppress(OSError):
                groups.add(os.tcgetpgrp(self.slave))  # the shell's job
            for group in groups - {0, os.getpgrp()}:
                with contextlib.suppress(OSError):
                    os.killpg(group, signal.SIGKILL)
        self.process.wait(LIMIT)
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._wire.close()

    # --- the screen ---

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, true: Callable[[], object], what: str, seconds: float = LIMIT) -> None:
        """Reads what the program writes until it is true."""
        deadline = time.monotonic() + seconds
        while not true():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}\n{self.text}"
            self.pump(min(left, 0.05))

    def shows(self, *texts: str, seconds: float = LIMIT) -> None:
        self.until(lambda: all(text in self.text for text in texts), f"shows {texts}", seconds)

    def pump(self, seconds: float) -> None:
        if self.reading and select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65_536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return
            self.raw += data
            self._stream.feed(data)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._size(columns, rows)

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1
        self.reading = False

    # --- the program ---

    def ask(self, line: str) -> Any:
        """A command to the worker, and its answer; the screen is read meanwhile."""
        self._wire.sendall(line.encode() + b"\n")
        answer = b""
        deadline = time.monotonic() + LIMIT
        while not answer.endswith(b"\n"):
            watched: list[Any] = [self._wire, *([self.master] if self.reading else [])]
            ready = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"the worker does not answer {line}"
            if self.master in ready:
                self.pump(0)
            if self._wire in ready:
                answer += self._wire.recv(4_096)
        return json.loads(answer)

    def goes_on(self) -> None:
        """The other services still move."""
        first = self.ask("beats")
        deadline = time.monotonic() + LIMIT
        while self.ask("beats") < first + 3:
            assert time.monotonic() < deadline, "the worker does not beat"
            self.pump(0.05)

    def ends(self, code: int = 0, seconds: float = LIMIT) -> None:
        """The program ends by itself in time, and the terminal is as it was."""
        self.until(lambda: self.process.poll() is not None, "the program has ended", seconds)
        assert self.process.returncode == code
        if self.slave >= 0:
            assert self.settings() == self.before

    def left_screen(self) -> None:
        """Every mode that was switched on was switched off again."""
        while self.reading and select.select([self.master], [], [], 0.1)[0]:
            self.pump(0)
        written = bytes(self.raw)
        for mode in (b"1049", b"1000", b"1002", b"1006", b"2004", b"1004"):
            assert written.rfind(b"\x1b[?" + mode + b"h") <= written.rfind(b"\x1b[?" + mode + b"l"), mode
        assert written.rfind(b"\x1b[?25l") < written.rfind(b"\x1b[?25h")
