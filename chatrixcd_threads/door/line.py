"""The console's end of the socket: one thread that keeps what the bot said last, so that the ui thread never waits for long."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from chatrixcd_threads import __version__
from chatrixcd_threads.console.board import KEPT, Doors
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.door.frames import (
    LONGEST_ANSWER,
    LONGEST_CALL,
    PROGRAM,
    PROTOCOL,
    Answer,
    Call,
    Frames,
    FromBot,
    Hello,
    Junk,
    Poke,
    Refusal,
    Welcome,
    frame,
    pack,
    read_bot,
)
from chatrixcd_threads.door.peer import connect, peer
from chatrixcd_threads.door.ports import Port, fingerprint, ports
from chatrixcd_threads.door.service import mismatch
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.console")

GREETING_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 1.0  # how long the ui thread waits for a door that is asked each time
AGAIN_SECONDS: Final = 0.5  # between two tries to reach the bot
FRESH_SECONDS: Final = 1.0  # after this an answer is asked anew, also without a poke
WANTED_SECONDS: Final = 5.0  # what nobody looked at for so long is not asked any more
SILENT_SECONDS: Final = 5.0
GONE: Final = "the bot is gone, waiting for it"
SILENT: Final = "the bot does not answer"
_UNKNOWN: Final = "The bot may or may not have heard this"
_READ: Final = 262_144
_BOARD: Final = ("board",)
_LOG: Final = ("log_lines",)
_Key = tuple[Hashable, ...]  # a door's name and its arguments


class NoBot(UserError):
    """Nothing answers at the socket."""


class Refused(UserError):
    """A bot is there and will not have this console."""


@dataclass(eq=False, slots=True)
class _Ask:
    """One use of a door that is asked each time. The line thread fills it in and sets `done`."""

    port: Port
    args: msgspec.Raw
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    problem: str = ""
    dropped: bool = False  # the ui thread has stopped waiting

    def fail(self, problem: str) -> None:
        """Nothing came of it."""
        self.problem = problem
        self.done.set()


class _Mirror(Ring):
    """A ring that says when somebody looks at it: only then the lines are fetched."""

    def __init__(self, looked: Callable[[], None]) -> None:
        super().__init__()
        self._looked = looked

    def span(self) -> tuple[int, int]:
        """Called by the ui thread at each drawing."""
        self._looked()
        return super().span()


class Line(Service):
    """Owner: the line thread; `reach` is called before it starts. The doors are for the ui thread.

    Between the two: `_asked` (the ui thread appends, the line thread takes), single references, and single entries of
    `_known`, which the line thread sets and the ui thread gets.
    """

    name = "line"

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self.changed: Callable[[], None] = lambda: None  # pokes the console; set before the thread starts
        self.ring = _Mirror(lambda: self._want(_LOG))  # the bot's log lines, and those of this process
        self._asked: deque[_Ask | _Key] = deque()
        self._known: dict[_Key, Any] = {}
        self._trouble = ""
        self._late = False
        self._bell, self._ringer = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ringer, False)
        # Of the ui thread:
        self._told: dict[_Key, float] = {}
        self._tickets: set[str] = set()
        # Of the line thread:
        self._socket: socket.socket | None = None
        self._frames = Frames(LONGEST_ANSWER)
        self._out = bytearray()
        self._number = 0
        self._sent: dict[int, tuple[_Ask | _Key, float]] = {}  # what was asked, and when
        self._wanted: dict[_Key, float] = {}
        self._fetched: dict[_Key, float] = {}
        self._life = ""
        self._cursor = 0

    # --- before the thread starts --------------------------------------------------------------------------------

    def reach(self) -> None:
        """Connects, and fetches the first board. Raises NoBot or Refused."""
        try:
            connection = self._connect()
            self._socket = connection
            self._call(_BOARD, ports()["board"], pack(()))
            connection.settimeout(GREETING_SECONDS)
            connection.sendall(self._out)
            self._out.clear()
            while _BOARD not in self._known:
                self._hear(self._next(connection))
            connection.setblocking(False)
        except (OSError, Junk) as error:
            said = getattr(error, "strerror", None) or error
            raise NoBot(
                f"No bot answers at {self._path} ({said}). Start it, with -D in the background, "
                "or name its settings file with -c FILE."
            ) from error

    # --- the ui thread -------------------------------------------------------------------------------------------

    def doors(self, detach: Callable[[], None]) -> Doors:
        """The bot's doors as the console may call them; `detach` leaves the console alone."""
        own: dict[str, Callable[..., Any]] = {
            "log_lines": self._log_lines,
            "answers": self._answers,
            "type_command": partial(self._type, "type_command"),
            "command": partial(self._type, "command"),
        }
        made: dict[str, Any] = {
            name: own.get(name) or partial(self._keep if name in KEPT else self._ask, port)
            for name, port in ports().items()
        }
        return Doors(**made, log=self.ring, detach=detach, trouble=lambda: self._trouble)

    def _keep(self, port: Port, *args: Any) -> Any:
        """What the bot said last; it is asked anew meanwhile. Before the first answer nothing: only the board is there at once."""
        key = (port.name, *args)
        self._want(key)
        return self._known.get(key, ())

    def _ask(self, port: Port, *args: Any) -> Any:
        """Asks and waits for a moment. Raises a UserError when the bot is not there or says what went wrong."""
        if self._trouble or self._late:
            raise UserError(f"Nothing was asked: {self._trouble or SILENT}.")
        packed = pack(args)
        if len(packed) > LONGEST_CALL - 1_024:
            raise UserError(f"Nothing was asked: that is more than {LONGEST_CALL // 2**20} MiB.")
        ask = _Ask(port, packed)
        self._asked.append(ask)
        self._ring_bell()
        if not ask.done.wait(ANSWER_SECONDS):
            ask.dropped = self._late = True
            raise UserError(f"{_UNKNOWN}: {SILENT}.")
        if ask.problem:
            raise UserError(ask.problem)
        return ask.result

    def _log_lines(self, cursor: int) -> tuple[int, tuple[str, ...]]:
        self.ring.span()  # says that somebody looks
        return self.ring.since(cursor)

    def _type(self, door: str, line: str) -> str:
        ticket = str(self._ask(ports()[door], line))
        self._tickets.add(ticket)
        return ticket

    def _answers(self) -> tuple[tuple[str, str], ...]:
        """What was asked in other consoles is answered there."""
        found = self._keep(ports()["answers"])
        return tuple((t, text) for t, text in found if t in self._tickets or not t.startswith("console:"))

    def _want(self, key: _Key) -> None:
        now = self._clock()
        if now - self._told.get(key, -WANTED_SECONDS) >= FRESH_SECONDS:
            self._told[key] = now
            self._asked.append(key)
            self._ring_bell()

    def wake(self) -> None:
        """Ends `run` after its stop event was set."""
        self._ring_bell()

    def _ring_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._ringer, b"!")

    # --- the line thread -----------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Speaks with the bot until the stop, and waits for it when it is gone."""
        try:
            while not stop.is_set():
                beat()
                if self._socket is None and not self._back():
                    self._rest()
                    continue
                self._turn()
        finally:
            self._hang_up(GONE)

    def _turn(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            self._take_over()
            self._refresh(self._clock())
            writers = [connection] if self._out else []
            readers: list[Any] = [connection, self._bell]
            ready, writable, _ = select.select(readers, writers, [], FRESH_SECONDS / 2)
            if self._bell in ready:
                self._drain()
            if connection in writable:
                del self._out[: connection.send(self._out)]
            if connection in ready:
                data = connection.recv(_READ)
                if not data:
                    raise ConnectionResetError("the bot has hung up")
                self._frames.feed(data)
                while (body := self._frames.take()) is not None:
                    self._hear(read_bot(body))
        except BlockingIOError:
            return
        except (OSError, Junk) as error:
            log.warning("%s (%s)", GONE, getattr(error, "strerror", None) or error)
            self._hang_up(GONE)

    def _back(self) -> bool:
        """Tries to reach the bot again."""
        try:
            connection = self._connect()
        except (OSError, Junk):
            self._say_trouble(GONE)
            return False
        except Refused as error:
            self._say_trouble(error.sentence)
            return False
        connection.setblocking(False)
        self._socket = connection
        log.info("the bot is there again")
        self._say_trouble("")
        return True

    def _connect(self) -> socket.socket:
        """Says hello and is welcomed. Raises OSError, Junk or Refused."""
        connection = connect(self._path, GREETING_SECONDS)
        try:
            said = self._greet(connection)
        except (OSError, Junk, Refused):
            connection.close()
            raise
        if said.life != self._life:
            self._life, self._cursor = said.life, 0
        return connection

    def _greet(self, connection: socket.socket) -> Welcome:
        me, (_, owner) = os.geteuid(), peer(connection)
        if owner not in (me, 0) and me != 0:
            raise Refused(f"The console is not attached: {self._path} belongs to the user {owner}.")
        self._frames = Frames(LONGEST_ANSWER)
        with contextlib.suppress(BrokenPipeError):  # refused already; why stands in what it sent
            connection.sendall(frame(Hello(PROGRAM, __version__, PROTOCOL, fingerprint())))
        said = self._next(connection)
        if isinstance(said, Refusal):
            raise Refused(f"The console is not attached: {said.sentence}.")
        if not isinstance(said, Welcome):
            raise Junk("it did not answer the hello")
        mine, theirs = (__version__, PROTOCOL, fingerprint()), (said.version, said.protocol, said.doors)
        if mine != theirs:
            raise Refused(f"The console is not attached: {mismatch(theirs, mine)}.")
        return said

    def _next(self, connection: socket.socket) -> FromBot:
        """The next message; blocks for as long as the socket's own limit."""
        while (body := self._frames.take()) is None:
            data = connection.recv(_READ)
            if not data:
                raise ConnectionResetError("it has hung up")
            self._frames.feed(data)
        return read_bot(body)

    def _rest(self) -> None:
        select.select([self._bell], [], [], AGAIN_SECONDS)
        self._drain()
        self._take_over()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4_096)

    def _hang_up(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for asked, _ in self._sent.values():
            if isinstance(asked, _Ask):
                asked.fail(f"{_UNKNOWN}: {why}.")
        self._sent.clear()
        self._fetched.clear()
        self._out.clear()
        self._say_trouble(why)
        self._take_over()

    def _take_over(self) -> None:
        """What the ui thread has asked for since the last time."""
        while self._asked:
            asked = self._asked.popleft()
            if isinstance(asked, tuple):
                self._wanted[asked] = self._clock()
            elif asked.dropped:
                continue
            elif self._socket is None:
                asked.fail(f"Nothing was asked: {self._trouble or GONE}.")
            else:
                self._call(asked, asked.port, asked.args)

    def _refresh(self, now: float) -> None:
        """Asks anew for what is looked at and is not fresh any more."""
        self._wanted[_BOARD] = now
        asking = {asked for asked, _ in self._sent.values()}
        for key, wanted in list(self._wanted.items()):
            if now - wanted > WANTED_SECONDS:
                del self._wanted[key]
                self._fetched.pop(key, None)
            elif key not in asking and now - self._fetched.get(key, -FRESH_SECONDS) >= FRESH_SECONDS:
                name, *args = key
                self._call(key, ports()[str(name)], pack((self._cursor,) if key == _LOG else args))
        waits = any(now - since > SILENT_SECONDS for _, since in self._sent.values())
        self._say_trouble(SILENT if waits else "")

    def _call(self, asked: _Ask | _Key, port: Port, args: msgspec.Raw) -> None:
        self._number += 1
        self._sent[self._number] = (asked, self._clock())
        self._out += frame(Call(self._number, port.name, args))

    def _hear(self, message: FromBot) -> None:
        match message:
            case Poke():
                self._fetched.clear()
                self.changed()  # doors that are not kept may give something new too
            case Answer():
                self._late = False
                asked, _ = self._sent.pop(message.number, (None, 0.0))
                if isinstance(asked, _Ask):
                    self._give(asked, message)
                elif asked is not None:
                    self._keep_answer(asked, message)
            case _:
                raise Junk(f"it said {type(message).__name__} in between")

    def _give(self, ask: _Ask, answer: Answer) -> None:
        if answer.problem:
            ask.fail(answer.problem)
            return
        ask.result = ask.port.result(answer.result)
        ask.done.set()

    def _keep_answer(self, key: _Key, answer: Answer) -> None:
        """What is known stays when the bot could not say it anew."""
        self._fetched[key] = self._clock()
        if answer.problem:
            return
        fresh = ports()[str(key[0])].result(answer.result)
        if key == _LOG:
            self._cursor, lines = fresh
            if lines:
                self.ring.extend(lines)
                del self._fetched[key]  # there may be more
                self.changed()
        elif fresh != self._known.get(key):
            self._known[key] = fresh
            self.changed()

    def _say_trouble(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self.changed()
