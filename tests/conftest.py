"""For every test: nothing it started may outlive it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

_PATIENCE = 20.0  # costs nothing where nothing is left
_POLL = 0.02
_SHM = Path("/dev/shm")
_ENOUGH = 2**30  # bytes; containers often have 64 MB of it

settings.register_profile("busy machine", deadline=None)  # an example that is slow once is no mistake
settings.load_profile("busy machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-transcripts", action="store_true", help="keep what was seen in docs/transcripts")


class Leaks:
    """What may outlive a test: things owned by a session fixture, which says so here.

    Each allowance is asked anew every time, since a server that was restarted by a test has a new process id.
    """

    def __init__(self) -> None:
        self._threads: list[Callable[[], Iterable[threading.Thread]]] = []
        self._pids: list[Callable[[], Iterable[int | None]]] = []

    def allow_threads(self, which: Callable[[], Iterable[threading.Thread]]) -> None:
        self._threads.append(which)

    def allow_pids(self, which: Callable[[], Iterable[int | None]]) -> None:
        self._pids.append(which)

    def threads(self) -> set[threading.Thread]:
        """Threads that live and are nobody's."""
        allowed = {thread for which in self._threads for thread in which()}
        living = {thread for thread in threading.enumerate() if not thread.name.startswith("pytest_timeout")}
        return living - allowed

    def processes(self) -> set[psutil.Process]:
        """Children, and theirs, that live (or were never waited for) and are nobody's."""
        allowed = {pid for which in self._pids for pid in which() if pid is not None}
        found: set[psutil.Process] = set()
        for child in psutil.Process().children():
            if child.pid not in allowed:
                found.add(child)
                try:
                    found.update(child.children(recursive=True))
                except psutil.NoSuchProcess:
                    continue
        return found

    def left_since(self, threads: set[threading.Thread], processes: set[psutil.Process]) -> list[str]:
        """What is new since then and does not go away within the time allowed, in words."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            new_threads = self.threads() - threads
            new_processes = self.processes() - processes
            if not new_threads and not new_processes:
                return []
            if time.monotonic() > deadline:
                return [f"thread {thread.name}" for thread in new_threads] + [_describe(one) for one in new_processes]
            time.sleep(_POLL)


def _describe(process: psutil.Process) -> str:
    try:
        return f"process {process.pid} ({process.status()}): {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"process {process.pid}"


@pytest.fixture(scope="session")
def leaks() -> Leaks:
    """Session fixtures that own threads or processes register them here."""
    return Leaks()


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where there is enough: for what Synapse and the people keep, who wait for the disk at each message.

    The bot's own files stay on the disk.
    """
    if not (os.access(_SHM, os.W_OK) and shutil.disk_usage(_SHM).free > _ENOUGH):
        yield tmp_path_factory.mktemp("memory")
        return
    with tempfile.TemporaryDirectory(prefix="chatrixcd-tests-", dir=_SHM) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def nothing_left_behind(leaks: Leaks) -> Iterator[None]:
    """Fails a test that leaves threads or child processes behind."""
    threads, processes = leaks.threads(), leaks.processes()
    yield
    left = leaks.left_since(threads, processes)
    if left:
        pytest.fail("left behind: " + "; ".join(sorted(left)), pytrace=False)
