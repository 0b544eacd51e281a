"""A real terminal for a program: a pty, its screen as text, its settings, and a wire to the program's worker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatrixcd_threads.demo.terminal import LIMIT, MODES, ReadTerminal, take_terminal

ROOT = Path(__file__).parents[2]


class Terminal(ReadTerminal):
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
        super().__init__(columns, rows)
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
            preexec_fn=take_terminal,
            pass_fds=[theirs.fileno()],
            cwd=folder,
            env={
                **os.environ,
                **MODES,
                "PS1": "shell> ",
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
        self.close()
        self._wire.close()

    def hang_up(self) -> None:
        """The window is closed."""
        self.close()
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
        self.rest()
        assert self.process.returncode == code
        if self.slave >= 0:
            assert self.settings() == self.before

    def rest(self) -> None:
        """Reads what the program wrote last: it may have ended between the last look at the screen and the one at it."""
        while self.reading and self.pump(0.1):
            pass

    def left_screen(self) -> None:
        """Every mode that was switched on was switched off again."""
        self.rest()
        written = bytes(self.raw)
        for mode in (b"1049", b"1000", b"1002", b"1006", b"2004", b"1004"):
            assert written.rfind(b"\x1b[?" + mode + b"h") <= written.rfind(b"\x1b[?" + mode + b"l"), mode
        assert written.rfind(b"\x1b[?25l") < written.rfind(b"\x1b[?25h")
