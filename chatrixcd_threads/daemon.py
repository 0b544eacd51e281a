"""Into the background: the pid file that says who runs, the double fork, and the pipe on which the child reports."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from chatrixcd_threads.errors import Fatal

EXIT_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # as a shell says it of Ctrl-C
_UMASK = 0o077
_LONGEST = 65_536


class PidFile:
    """Owner: the main thread. Locked as long as the process lives, however it ends: a file that nobody holds is stale."""

    def __init__(self, path: Path) -> None:
        """Takes the file, and raises Fatal when a running bot holds it. The lock is inherited by a fork."""
        self.path = path.absolute()
        try:
            self._handle = self._take()
        except OSError as error:
            raise Fatal(f"{self.path} cannot be used as pid file: {error.strerror or error}") from error

    def write(self) -> None:
        """Writes the number of this process."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Removes the file and lets it go."""
        with contextlib.suppress(OSError):  # what stays is stale
            self.path.unlink()
        os.close(self._handle)

    def _take(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = os.pread(handle, 32, 0).decode("ascii", errors="replace").strip()
                os.close(handle)
                who = f"process {said}" if said.isdigit() else "its process has just begun"
                raise Fatal(
                    f"the bot runs already in the background ({who}, pid file {self.path}): stop that one first, "
                    "or give this one another --pid-file and another matrix.store_path"
                ) from None
            if self._is(handle):
                os.fchmod(handle, 0o600)
                return handle
            os.close(handle)  # it was removed by the one who held it, a moment ago

    def _is(self, handle: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(self.path.stat(), os.fstat(handle))
        return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the parent has heard: the child's process and exit code, and what went wrong if something did."""

    pid: int
    code: int
    problem: str = ""


class Report:
    """Owner: the child's main thread. Speaks once to the parent, which waits for it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def tell(self, code: int, problem: str) -> None:
        """The bot runs (0 and nothing), or why not. Only the first call counts."""
        if self._handle < 0:
            return
        with contextlib.suppress(BrokenPipeError):  # the parent was interrupted
            os.write(self._handle, json.dumps([os.getpid(), code, problem[: _LONGEST // 8]]).encode())
        os.close(self._handle)
        self._handle = -1


def detach(log_file: Path) -> Report | Outcome:
    """Forks twice. The child gets a Report, the parent what the child reported. Nobody may have started a thread before.

    The child has no terminal, and its stderr at the end of the log file. Its working folder stays: paths in the
    settings count from there. Raises OSError when the log file cannot be opened.
    """
    target = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    first = os.fork()
    if first:
        os.close(writer)
        os.close(target)
        os.waitpid(first, 0)
        return _heard(reader, log_file)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)  # the one that remains leads no session, so it can never get a terminal again
    os.umask(_UMASK)
    nothing = os.open(os.devnull, os.O_RDWR)
    for theirs, ours in ((nothing, 0), (nothing, 1), (target, 2)):
        os.dup2(theirs, ours)
    os.close(nothing)
    os.close(target)
    _close_inherited()
    return Report(writer)


def _close_inherited() -> None:
    """What the program was started with besides the three: whoever waits for its end would wait for the daemon."""
    for handle in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - the names are numbers
        with contextlib.suppress(OSError):
            if handle > 2 and os.get_inheritable(handle):  # what Python opens is not
                os.close(handle)


def _heard(reader: int, log_file: Path) -> Outcome:
    try:
        with os.fdopen(reader, "rb") as source:
            said = source.read(_LONGEST)
    except KeyboardInterrupt:
        return Outcome(0, EXIT_INTERRUPTED, f"The bot goes on starting in the background; {log_file} says how.")
    if not said:
        return Outcome(0, EXIT_SOFTWARE, f"The bot has ended before it could run; {log_file} says more.")
    pid, code, problem = json.loads(said)
    return Outcome(pid, code, problem)
