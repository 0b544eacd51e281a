"""Child processes that end with their parent, and the bot as one of them (for the demo, the tests and the bench)."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import chatrixcd_threads
from chatrixcd_threads.demo.terminal import MODES, Terminal, take_terminal

_PR_SET_PDEATHSIG = 1
_POLL = 0.02

try:
    _libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True)
except OSError:
    _libc = None

# Ended at exit, whatever happened; children made on the main thread also die when this process is killed.
_living: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    terminal: Terminal | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in its own session, with its output at the end of a log file and, by default, nothing to read.

    With a terminal it reads and writes there, and only its errors go to the log.

    The kernel's "die with the parent" is tied to the *thread* that starts the child. So it is only asked for on the
    main thread; a child started from another one is ended at exit, but outlives a kill -9 of this process.
    """
    parent = os.getpid()
    on_main = threading.current_thread() is threading.main_thread()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    def prepare() -> None:
        if on_main:
            die_with_parent()
        if terminal is not None:
            take_terminal()

    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            stdin=stdin if terminal is None else terminal.slave,
            stdout=out if terminal is None else terminal.slave,
            stderr=out,
            env=None if env is None else dict(env),
            start_new_session=True,
            preexec_fn=prepare if on_main or terminal is not None else None,
        )
    _living.add(process)
    return process


def end(process: subprocess.Popen[bytes], *, grace: float) -> int:
    """SIGTERM, at most `grace` seconds of patience, then SIGKILL for the whole group. Returns the exit status."""
    if grace > 0 and process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    _signal_group(process, signal.SIGKILL)
    status = process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    _living.discard(process)
    return status


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@atexit.register
def _end_all() -> None:
    for process in list(_living):
        end(process, grace=0)


def tail(path: Path, lines: int = 30) -> str:
    """The end of a log, for an error message."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class BotProcess:
    """The bot as a real child process in its own folder: `python -m chatrixcd_threads -L -c config.json -N`.

    With a `terminal` it opens its console there; leave `-L` out of the arguments then.
    One thread at a time may use an object. The settings are written once, at construction; a test may edit
    `config` (the path) and call `start()` again. Output of all lives goes to one file, `log_file`.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        arguments: Sequence[str] = ("-L", "-c", "config.json", "-N"),
        env: Mapping[str, str] | None = None,
        listens: bool = False,
        terminal: Terminal | None = None,
    ) -> None:
        self.folder = folder
        self._stdin = subprocess.PIPE if listens else subprocess.DEVNULL
        self.config = folder / "config.json"
        self.log_file = folder / "bot.log"
        self.arguments = tuple(arguments)
        self.terminal = terminal
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(MODES if terminal else {}), **(env or {})}
        here = str(Path(chatrixcd_threads.__file__).resolve().parents[1])
        paths = [path for path in self._env.get("PYTHONPATH", "").split(os.pathsep) if path and path != here]
        self._env["PYTHONPATH"] = os.pathsep.join([here, *paths])
        self._process: subprocess.Popen[bytes] | None = None
        self._life_from = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def __enter__(self) -> Self:
        if not self.alive:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace the settings file in one step."""
        new = self.config.with_suffix(".new")
        new.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
        new.replace(self.config)

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._started().poll()

    def start(self) -> None:
        """Start it, for the first time or again in the same folder."""
        if self.alive:
            raise RuntimeError("the bot runs already")
        self._life_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        command = [sys.executable, "-m", "chatrixcd_threads", *self.arguments]
        self._process = spawn(
            command, cwd=self.folder, log=self.log_file, env=self._env, stdin=self._stdin, terminal=self.terminal
        )

    def type(self, line: str) -> None:
        """Give it a line to read, as an operator at the plain console does; only with `listens`."""
        pipe = self._started().stdin
        if pipe is None:
            raise RuntimeError("the bot was not started with listens")
        pipe.write(f"{line}\n".encode())
        pipe.flush()

    def kill9(self) -> None:
        """End it without warning, with whatever it started, and reap it."""
        end(self._started(), grace=0)

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM to the bot alone); `wait()` tells how it went."""
        self._started().terminate()

    def send_signal(self, number: signal.Signals) -> None:
        self._started().send_signal(number)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end and return the exit status; TimeoutError with the end of the log when it goes on."""
        try:
            return self._started().wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"the bot still runs after {timeout:g} s; its log ends:\n{tail(self.log_file)}"
            ) from None

    def close(self, grace: float = 5.0) -> None:
        """End it in any case. Harmless when it never ran or has ended."""
        if self._process is not None:
            end(self._process, grace=grace)

    def log(self, *, this_life: bool = False) -> str:
        """What it wrote: in all its lives, or since the last start."""
        try:
            data = self.log_file.read_bytes()
        except FileNotFoundError:
            return ""
        return data[self._life_from if this_life else 0 :].decode("utf-8", "replace")

    def wait_log(self, regex: str, timeout: float = 60.0, *, this_life: bool = True) -> re.Match[str]:
        """Wait until the log (since the last start, unless told otherwise) matches; fails early when the bot ends."""
        pattern = re.compile(regex, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            ended = not self.alive
            found = pattern.search(self.log(this_life=this_life))
            if found:
                return found
            if ended or time.monotonic() > deadline:
                why = "the bot ended" if ended else f"{timeout:g} s passed"
                raise TimeoutError(f"{why} and nothing matched {regex!r}; its log ends:\n{tail(self.log_file)}")
            time.sleep(_POLL)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the bot was never started")
        return self._process
