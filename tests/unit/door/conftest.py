"""A door on a real socket, and consoles at its other end."""

from __future__ import annotations

import dataclasses
import enum
import logging
import socket
import threading
import time
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatrixcd_threads import __version__
from chatrixcd_threads.console.board import Doors
from chatrixcd_threads.door.frames import (
    LONGEST_ANSWER,
    PROGRAM,
    PROTOCOL,
    Answer,
    Call,
    Frames,
    FromBot,
    Hello,
    Poke,
    Welcome,
    frame,
    pack,
    read_bot,
)
from chatrixcd_threads.door.line import Line
from chatrixcd_threads.door.peer import NAME, connect
from chatrixcd_threads.door.ports import fingerprint, ports
from chatrixcd_threads.door.service import Door
from chatrixcd_threads.threads.alone import Alone
from tests.console.sample import Feed, stormy

LIMIT = 20.0


def sample(kind: Any) -> Any:
    """Some value of a type, with something in every container."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in (None, type(None)):
        return None
    if origin in (typing.Union, types.UnionType):
        return sample(next(each for each in inner if each is not type(None)))
    if origin is tuple:
        return tuple(map(sample, inner[:1] * 2 if inner[1:] == (Ellipsis,) else inner))
    if origin is typing.Literal:
        return inner[0]
    if origin in (list, set, frozenset):
        return origin([sample(inner[0])])
    if isinstance(origin, type) and issubclass(origin, typing.Mapping):
        return {sample(inner[0]): sample(inner[1])}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast("Any", kind)(**{each.name: sample(hints[each.name]) for each in dataclasses.fields(kind)})
    if issubclass(kind, msgspec.Struct):
        return kind(**{each.name: sample(each.type) for each in msgspec.structs.fields(kind)})
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    return {str: "配備 \x1b[31m\x00 é", int: 4_711, float: 0.5, bool: True, bytes: b"\x00\xff"}[kind]


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class Raw:
    """A console without manners: says what the test wants."""

    def __init__(self, path: Path) -> None:
        self.socket = connect(path, LIMIT)
        self._frames = Frames(LONGEST_ANSWER)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def greet(self) -> Raw:
        self.socket.sendall(frame(Hello(PROGRAM, __version__, PROTOCOL, fingerprint())))
        assert isinstance(self.hear(), Welcome)
        return self

    def hear(self) -> FromBot | None:
        """The next message; None when the bot has hung up."""
        while (body := self._frames.take()) is None:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames.feed(data)
        return read_bot(body)

    def ask(self, door: str, *args: Any) -> Answer:
        self.socket.sendall(frame(Call(1, door, pack(args))))
        while isinstance(said := self.hear(), Poke):
            continue
        assert isinstance(said, Answer)
        return said

    def hung_up(self) -> bool:
        while self.hear() is not None:
            continue
        return True


class Open:
    """A door with a made-up bot behind it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.feed = Feed(stormy())
        self.doors = self.feed.doors
        self.path = folder / "store" / NAME
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.clock = Clock()
        self._options = options
        self.start()

    def start(self) -> None:
        doors: dict[str, Any] = {
            # read anew at each call: tests exchange doors
            name: lambda *args, name=name: getattr(self.doors, name)(*args)
            for name in ports()
        }
        self.door = Door(self.path, clock=self.clock, **self._options)
        self.door.open(Doors(**doors))
        self._alone = Alone(self.door)
        self._alone.start()
        wait(lambda: reachable(self.path), "the door is open")

    def stop(self) -> None:
        self._alone.stop(LIMIT)

    def later(self, seconds: float) -> None:
        """Time passes, and the door looks at its watch."""
        self.clock.now += seconds
        self.door.wake()


def reachable(path: Path) -> bool:
    try:
        connect(path, LIMIT).close()
    except OSError:
        return False
    return True


def wait(true: Callable[[], object], what: str) -> None:
    """Until it is true; asked again and again, for things that tell nobody."""
    deadline = time.monotonic() + LIMIT
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, what
        pause.wait(0.005)


class Attached:
    """A line to a door, in its thread."""

    def __init__(self, path: Path) -> None:
        self.line = Line(path)
        self.changes = threading.Semaphore(0)
        self.line.changed = self.changes.release
        self.line.reach()
        self.left = 0
        self.doors = self.line.doors(self._leave)
        self._alone = Alone(self.line)
        self._alone.start()

    def _leave(self) -> None:
        self.left += 1

    def stop(self) -> None:
        self._alone.stop(LIMIT)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made = Open(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def attach(opened: Open) -> Iterator[Callable[[], Attached]]:
    made: list[Attached] = []

    def more() -> Attached:
        made.append(Attached(opened.path))
        return made[-1]

    yield more
    for each in made:
        each.stop()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[str], None]:
    """Waits until the door has logged something."""
    caplog.set_level(logging.INFO, "chatrixcd.door")

    def has(text: str) -> None:
        wait(lambda: any(text in record.getMessage() for record in list(caplog.records)), f"logged: {text}")

    return has


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
