"""One attached console as the bot sees it: what came in parts, what waits to be sent, and when patience ends."""

from __future__ import annotations

import socket
from typing import Final

from chatrixcd_threads.door.frames import LONGEST_CALL, Frames, FromBot, Junk, frame

HELLO_SECONDS: Final = 5.0  # to say hello
PART_SECONDS: Final = 10.0  # to send the rest of a message
STUCK_SECONDS: Final = 10.0  # to read something of what waits
HIGH: Final = 262_144  # bytes that wait for a console before its next call is answered
_READ: Final = 65_536


class Guest:
    """Owner: the door thread."""

    def __init__(self, connection: socket.socket, pid: int, now: float) -> None:
        connection.setblocking(False)
        self.socket, self.pid = connection, pid
        self.greeted = False
        self.leaving = False  # hang up when all is sent
        self.poked = False  # the last poke was not followed by a call yet
        self.stale = False  # something has changed since the last poke
        self._frames = Frames(LONGEST_CALL)
        self._out = bytearray()
        self._came = now
        self._part_since = self._stuck_since = now

    @property
    def sending(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    @property
    def listening(self) -> bool:
        """Whether more may be read: who does not read answers is not heard."""
        return len(self._out) < HIGH and not self.leaving

    def read(self, now: float) -> bool:
        """Takes what has come. False: the console has hung up."""
        data = self.socket.recv(_READ)
        if not self._frames.waiting:
            self._part_since = now
        self._frames.feed(data)
        return bool(data)

    def take(self, now: float) -> bytes | None:
        """The next message, or None. Raises Junk."""
        if not self.listening:
            return None
        body = self._frames.take()
        if body is not None:
            self._part_since = now
        return body

    def say(self, message: FromBot, now: float) -> None:
        """Puts a message into the queue. It is bounded: one answer and a poke at most come on top of HIGH."""
        if not self._out:
            self._stuck_since = now
        self._out += frame(message)

    def send(self, now: float) -> None:
        """As much as the console takes at once, which may be nothing."""
        try:
            with memoryview(self._out) as view:
                sent = self.socket.send(view[:_READ])
        except BlockingIOError:
            return
        del self._out[:sent]
        self._stuck_since = self._part_since = now  # a rest that was not read meanwhile is not late

    def check(self, now: float) -> None:
        """Raises Junk when its time is over."""
        if not self.greeted and now - self._came > HELLO_SECONDS:
            raise Junk(f"it has not said hello within {HELLO_SECONDS:.0f} s")
        if self._out and now - self._stuck_since > STUCK_SECONDS:
            raise Junk(f"it has not read anything for {STUCK_SECONDS:.0f} s")
        if self._frames.waiting and self.listening and now - self._part_since > PART_SECONDS:
            raise Junk(f"the rest of its message has not come within {PART_SECONDS:.0f} s")
