"""One child process, its two streams read line by line (API.md section 11)."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_LINE = 10 * 1024 * 1024
QUIET_SECONDS = 0.03
KILL_SECONDS = 5.0

Emit = Callable[[bytes], None]
Room = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Command:
    """What to run, where, with which environment."""

    argv: tuple[str, ...]
    folder: Path
    env: dict[str, str]


def signal_name(number: int) -> str:
    """The name Go gives to a signal."""
    names = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGSEGV: "segmentation fault"}
    return names.get(signal.Signals(number), signal.Signals(number).name.lower())


def failure_text(code: int) -> str:
    """The reason in the words of Go's exec package."""
    return f"signal: {signal_name(-code)}" if code < 0 else f"exit status {code}"


class Groups:
    """The process groups that may still live. Whoever leaves the room ends them."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def add(self, child: subprocess.Popen[bytes]) -> None:
        """Remember the group of a new child (its id is the child's own)."""
        self._children[child.pid] = child

    def check(self, child: subprocess.Popen[bytes]) -> None:
        """Forget the group when nothing of it is left."""
        if child.poll() is None:
            return
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            self._children.pop(child.pid, None)

    def kill_all(self) -> None:
        """SIGKILL for every group that is left; the children are waited for."""
        for pid, child in self._children.items():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            child.wait(KILL_SECONDS)
        self._children.clear()


async def _always() -> None:
    """There is room for every line."""


class Process:
    """A running child. `wait` returns the exit code once its last lines have been read; each waits for `room`."""

    def __init__(self, command: Command, groups: Groups, emit: Emit, room: Room = _always) -> None:
        self._emit, self._room = emit, room
        self._held = 0
        self._groups = groups
        self._loop = asyncio.get_running_loop()
        self._pipes: list[asyncio.ReadTransport] = []
        self._activity = 0
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        try:
            self._child = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env=command.env,
                stdin=subprocess.DEVNULL,
                stdout=out_write,
                stderr=err_write,
                start_new_session=True,
            )
        except OSError:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        groups.add(self._child)
        self._reads = (out_read, err_read)

    def kill(self) -> None:
        """SIGKILL to the direct child, and only to it (API.md section 5.5)."""
        if self._child.poll() is None:
            self._child.kill()

    def ask_to_end(self, term_seconds: float) -> None:
        """A graceful stop: SIGTERM to the group and SIGKILL some seconds later, or SIGKILL where no seconds are given."""
        if not term_seconds:
            self.kill()
            return
        self._signal_group(signal.SIGTERM)
        self._loop.call_later(term_seconds, self._signal_group, signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, number)

    def abandon(self) -> None:
        """Close the pipes, as the death of the server does: a child that writes dies of it."""
        for pipe in self._pipes:
            pipe.close()

    async def wait(self) -> int:
        """Read both streams until the child has ended."""
        readers = [asyncio.ensure_future(self._read(fd)) for fd in self._reads]
        try:
            code = await self._exit()
            await self._drain(readers)
        finally:
            for reader in readers:
                reader.cancel()
            self.abandon()
            await asyncio.gather(*readers, return_exceptions=True)
            self._groups.check(self._child)
        return code

    async def _exit(self) -> int:
        watched = os.pidfd_open(self._child.pid)
        ended = asyncio.Event()
        self._loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            self._loop.remove_reader(watched)
            os.close(watched)
        return self._child.wait()

    async def _drain(self, readers: Sequence["asyncio.Future[None]"]) -> None:
        """Wait for the ends of the streams; a grandchild that holds them open is not waited for."""
        while True:
            before = self._activity
            _, pending = await asyncio.wait(readers, timeout=QUIET_SECONDS)
            if not pending or (self._activity == before and not self._held):
                return

    async def _read(self, fd: int) -> None:
        stream = asyncio.StreamReader(limit=LONGEST_LINE)
        protocol = asyncio.StreamReaderProtocol(stream)
        pipe, _ = await self._loop.connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", 0))
        self._pipes.append(pipe)
        while line := await stream.readline():
            self._held += 1
            await self._room()
            self._held -= 1
            self._activity += 1
            self._emit(line.removesuffix(b"\n").removesuffix(b"\r"))
