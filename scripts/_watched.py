"""Run a command; afterwards fail if anything it started, however far down, still runs, and end that.

    python scripts/_watched.py COMMAND [ARGUMENT...]

Linux gives every orphan below this process to it (child subreaper), so a process that left its session, lost its parent
and cleared its environment is found as well; a marker in the environment finds the rest.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARKER = "CHATRIXCD_TEST_RUN"
PATIENCE = 20.0
PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    run = uuid.uuid4().hex
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A shell lets what it starts in the background ignore Ctrl-C; programs that are tested must not inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(sys.argv[1:], env={**os.environ, MARKER: run})
    # Ctrl-C reaches the child by itself, and its answer is awaited; other signals are handed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: os.kill(child.pid, got))
    status = await_and_bury(child.pid)
    left = leftovers(run, time.monotonic() + PATIENCE)
    if not left:
        return status if status >= 0 else 128 - status
    print("LEFT OVER after the run, and ended now:", flush=True)
    ports = listening()
    for pid in left:
        print(f"  {describe(pid, ports)}", flush=True)
    end(left, run)
    return 1


def await_and_bury(wanted: int) -> int:
    """Wait for the command; orphans that end meanwhile become ours, and are reaped at once as init would."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


def leftovers(run: str, deadline: float) -> list[int]:
    """What still runs once the time is up; what is ending gets that long."""
    while True:
        reap()
        left = sorted(descendants() | marked(run))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def end(left: list[int], run: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        left = leftovers(run, 0.0)


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def descendants() -> set[int]:
    parents: dict[int, list[int]] = {}
    for pid in processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            parents.setdefault(int(after_name[1]), []).append(pid)
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        for pid in parents.get(todo.pop(), []):
            found.add(pid)
            todo.append(pid)
    return found


def marked(run: str) -> set[int]:
    wanted = f"{MARKER}={run}".encode()
    found = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def listening() -> dict[str, str]:
    """Inode of each listening TCP socket, and its port."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A":
                    found[parts[9]] = str(int(parts[1].rpartition(":")[2], 16))
    return found


def describe(pid: int, ports: dict[str, str]) -> str:
    words = ""
    held: set[str] = set()
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:[") and target[8:-1] in ports:
                    held.add(ports[target[8:-1]])
    listens = f", listening on port {', '.join(sorted(held))}" if held else ""
    return f"process {pid}{listens}: {words[:200]}"


if __name__ == "__main__":
    sys.exit(main())
