"""The bot's end of the socket: one thread that serves every attached console, and waits for none of them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from chatrixcd_threads import __version__
from chatrixcd_threads.console.board import Doors
from chatrixcd_threads.door.frames import (
    LONGEST_ANSWER,
    PROGRAM,
    PROTOCOL,
    Answer,
    Call,
    Hello,
    Junk,
    Poke,
    Refusal,
    Welcome,
    pack,
    read_console,
)
from chatrixcd_threads.door.guest import Guest
from chatrixcd_threads.door.peer import listen, peer
from chatrixcd_threads.door.ports import fingerprint, ports
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.threads.diagnose import new_code
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.door")

MOST_GUESTS: Final = 16
POKE_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0
OPEN_SECONDS: Final = 30.0
FAREWELL_SECONDS: Final = 0.5
_LOG_CHARACTERS: Final = 262_144
_NOTHING: Final = pack(None)


class Door(Service):
    """Owner: the door thread, which alone calls the doors. `poke` and `wake` may be called from any thread."""

    name = "door"

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        users: frozenset[int] | None = None,
    ) -> None:
        self._path, self._clock = path, clock
        self._users = frozenset({os.geteuid(), 0}) if users is None else users
        self._dirty = False  # written by any thread, a single reference
        self._bell, self._ringer = os.pipe()  # for the life of the process, like the console's
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ringer, False)
        self._doors: Doors | None = None
        self._life = secrets.token_hex(8)
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self._open_at = self._poke_at = 0.0
        self._told = ""
        self._guests: dict[int, Guest] = {}

    def open(self, doors: Doors) -> None:
        """What the consoles may call. Before the thread starts."""
        self._doors = dataclasses.replace(doors, log_lines=_in_portions(doors.log_lines))

    def poke(self) -> None:
        """Something has changed: the consoles should ask."""
        if not self._dirty:
            self._dirty = True
            self._ring()

    def wake(self) -> None:
        """Ends `run` after its stop event was set."""
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            os.write(self._ringer, b"!")

    # --- the door thread -----------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Serves until the stop. A socket that cannot be made is told and tried again: the bot needs no console."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        try:
            while not stop.is_set():
                beat()
                self._keep_open(self._clock())
                self._turn(LOOK_SECONDS)
            self._shut()
            self._farewell()
        finally:
            for guest in list(self._guests.values()):
                self._part(guest)
            self._shut()
            self._selector.close()

    def _farewell(self) -> None:
        """What was said last, such as the answer to `exit`, is still fetched by those who are quick."""
        until = time.monotonic() + FAREWELL_SECONDS
        for guest in self._guests.values():
            guest.stale, guest.poked = True, False
        while (left := until - time.monotonic()) > 0 and any(
            guest.greeted and (guest.stale or guest.poked or guest.sending) for guest in self._guests.values()
        ):
            self._turn(left if not any(guest.stale for guest in self._guests.values()) else 0)

    def _turn(self, longest: float) -> None:
        ready = self._selector.select(min(longest, self._pause(self._clock())))
        now = self._clock()
        for key, events in ready:
            if key.fd == self._bell:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._bell, 4_096)
            elif self._listener is not None and key.fd == self._listener.fileno():
                self._take_in(self._listener, now)
            elif key.fd in self._guests:
                self._attend(self._guests[key.fd], events, now)
        self._spread(now)
        for guest in list(self._guests.values()):
            self._guarded(guest, partial(guest.check, now))

    def _pause(self, now: float) -> float:
        return max(0.0, min(LOOK_SECONDS, self._poke_at - now)) if self._dirty else LOOK_SECONDS

    def _keep_open(self, now: float) -> None:
        """Makes the socket, and makes it again when somebody has removed it."""
        if now < self._open_at:
            return
        self._open_at = now + LOOK_SECONDS
        if self._listener is not None and _inode(self._path) == self._inode:
            return
        self._shut()
        try:
            self._listener = listen(self._path)
        except OSError as error:
            self._open_at = now + OPEN_SECONDS
            told = f"no console can be attached: {self._path} cannot be made: {error.strerror or error}"
            if told != self._told:
                log.warning("%s", told)
            self._told = told
            return
        self._told, self._inode = "", _inode(self._path)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _shut(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            if _inode(self._path) == self._inode:
                with contextlib.suppress(OSError):
                    self._path.unlink()

    def _take_in(self, listener: socket.socket, now: float) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("a console could not be attached: %s", error.strerror or error)
            self._shut()
            self._open_at = now + LOOK_SECONDS
            return
        pid, uid = peer(connection)
        guest = Guest(connection, pid, now)
        self._guests[connection.fileno()] = guest
        self._selector.register(connection, selectors.EVENT_READ)
        if uid not in self._users:
            log.warning("a console of the user %d (process %d) was refused", uid, pid)
            said = "the bot belongs to another user: attach as its user or as root"
        elif len(self._guests) > MOST_GUESTS:
            said = f"{MOST_GUESTS} consoles are attached already: leave one of them"
        else:
            return
        self._guarded(guest, partial(self._refuse, guest, said, now))

    def _attend(self, guest: Guest, events: int, now: float) -> None:
        def serve() -> None:
            if events & selectors.EVENT_WRITE:
                guest.send(now)
            if events & selectors.EVENT_READ and not guest.read(now):
                raise _Left
            while (body := guest.take(now)) is not None:
                self._hear(guest, body, now)
                guest.send(now)
            if guest.leaving and not guest.sending:
                raise _Left

        self._guarded(guest, serve)

    def _guarded(self, guest: Guest, deed: Callable[[], None]) -> None:
        """A console that leaves, or does what it must not, costs nobody but itself."""
        try:
            deed()
        except BlockingIOError:
            pass
        except (_Left, ConnectionError):
            if guest.greeted:
                log.info("a console has left (process %d)", guest.pid)
            self._part(guest)
            return
        except (Junk, OSError) as error:
            log.warning("a console was dropped (process %d): %s", guest.pid, error)
            self._part(guest)
            return
        wanted = selectors.EVENT_READ * guest.listening | selectors.EVENT_WRITE * guest.sending
        self._selector.modify(guest.socket, wanted or selectors.EVENT_READ)

    def _part(self, guest: Guest) -> None:
        del self._guests[guest.socket.fileno()]
        self._selector.unregister(guest.socket)
        guest.socket.close()

    def _spread(self, now: float) -> None:
        """One poke for all changes since the last one, to each console that has called after the one before."""
        if self._dirty and now >= self._poke_at:
            self._dirty = False
            self._poke_at = now + POKE_SECONDS
            for guest in self._guests.values():
                guest.stale = True
        for guest in list(self._guests.values()):
            if guest.greeted and guest.stale and not guest.poked:
                guest.stale, guest.poked = False, True
                guest.say(Poke(), now)
                self._guarded(guest, partial(guest.send, now))

    # --- messages ------------------------------------------------------------------------------------------------

    def _hear(self, guest: Guest, body: bytes, now: float) -> None:
        message = read_console(body)
        if isinstance(message, Hello):
            self._greet(guest, message, now)
        elif not guest.greeted:
            raise Junk("it has called without a hello")
        else:
            guest.poked = False
            guest.say(self._answer(message), now)

    def _greet(self, guest: Guest, hello: Hello, now: float) -> None:
        if guest.greeted:
            raise Junk("it has said hello twice")
        if hello.program != PROGRAM:
            raise Junk(f"it is no console of {PROGRAM}")
        mine, theirs = (__version__, PROTOCOL, fingerprint()), (hello.version, hello.protocol, hello.doors)
        if mine != theirs:
            self._refuse(guest, mismatch(mine, theirs), now)
            return
        guest.greeted = True
        log.info("a console was attached (process %d)", guest.pid)
        guest.say(Welcome(*mine, self._life, os.getpid()), now)

    def _refuse(self, guest: Guest, sentence: str, now: float) -> None:
        guest.say(Refusal(sentence), now)
        guest.leaving = True

    def _answer(self, call: Call) -> Answer:
        """Uses the door. What goes wrong in it is answered with a sentence, or with the code of the log line."""
        port = ports().get(call.door)
        function = getattr(self._doors, call.door, None) if port is not None else None
        if port is None or function is None:
            return Answer(call.number, _NOTHING, f"this bot has no door {call.door}")
        args = port.args(call.args)
        try:
            result = pack(function(*args))
        except UserError as error:
            return Answer(call.number, _NOTHING, error.sentence)
        except Exception:  # a broken door is the console's trouble: the other doors go on
            code = new_code()
            log.exception("%s: the door %s failed", code, call.door)
            return Answer(call.number, _NOTHING, f"{call.door} has failed; the bot's log has more under {code}")
        if len(result) > LONGEST_ANSWER - 1_024:
            return Answer(call.number, _NOTHING, f"{call.door} gave more than {LONGEST_ANSWER // 2**20} MiB")
        return Answer(call.number, result)


def mismatch(bot: tuple[str, int, str], console: tuple[str, int, str]) -> str:
    """Why a console of another version cannot be attached: (version, protocol, fingerprint of the doors) of both."""
    said = [f"version {version}, protocol {protocol}, doors {doors}" for version, protocol, doors in (bot, console)]
    return f"the bot is {said[0]} and this console is {said[1]}: restart the bot, or use its own program"


class _Left(Exception):
    """The console has hung up."""


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _in_portions(
    lines_since: Callable[[int], tuple[int, tuple[str, ...]]],
) -> Callable[[int], tuple[int, tuple[str, ...]]]:
    """Log lines in answers of a moderate size; the cursor counts lines, so what is left out comes with the next call."""

    def portion(cursor: int) -> tuple[int, tuple[str, ...]]:
        following, lines = lines_since(cursor)
        left, kept = _LOG_CHARACTERS, 0
        while kept < len(lines) and left > 0:
            left -= len(lines[kept]) + 8
            kept += 1
        return following - (len(lines) - kept), lines[:kept]

    return portion
