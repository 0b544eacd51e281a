"""What goes over the socket: four bytes of length, then one message as msgpack. No sockets here."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

PROGRAM: Final = "chatrixcd_threads"
PROTOCOL: Final = 1
LONGEST_CALL: Final = 4 * 2**20
LONGEST_ANSWER: Final = 32 * 2**20
_HEAD: Final = 4


class Junk(Exception):
    """What came is not of this protocol; says why."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The console's first message. `doors` is the fingerprint of all doors with their types."""

    program: str
    version: str
    protocol: int
    doors: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """One use of a door. `number` is the console's own, and comes back with the answer."""

    number: int
    door: str
    args: msgspec.Raw


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The bot's first message. `life` is another one after each start of the bot."""

    version: str
    protocol: int
    doors: str
    life: str
    pid: int


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Instead of a welcome: why not. The bot hangs up afterwards."""

    sentence: str


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What the door gave, or the sentence about what went wrong."""

    number: int
    result: msgspec.Raw
    problem: str = ""


class Poke(msgspec.Struct, frozen=True, tag="poke"):
    """Something has changed: ask anew. The next one comes only after a call."""


_Said = TypeVar("_Said")
FromConsole = Hello | Call
FromBot = Welcome | Refusal | Answer | Poke

_encoder: Final = msgspec.msgpack.Encoder()
_from_console: Final[msgspec.msgpack.Decoder[FromConsole]] = msgspec.msgpack.Decoder(FromConsole)
_from_bot: Final[msgspec.msgpack.Decoder[FromBot]] = msgspec.msgpack.Decoder(FromBot)


def pack(value: object) -> msgspec.Raw:
    """A value of a door. Half surrogates, which no encoding can carry, become question marks."""
    try:
        return msgspec.Raw(_encoder.encode(value))
    except UnicodeEncodeError:
        return msgspec.Raw(_encoder.encode(_clean(msgspec.to_builtins(value))))


def frame(message: FromConsole | FromBot) -> bytes:
    """The bytes of one message."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_HEAD, "big") + body


def read_console(body: bytes) -> FromConsole:
    """What a console said; or Junk."""
    return _read(_from_console, body)


def read_bot(body: bytes) -> FromBot:
    """What the bot said; or Junk."""
    return _read(_from_bot, body)


class Frames:
    """Owner: whoever reads the socket. Bytes in, as they come; whole messages out."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._data = bytearray()

    @property
    def waiting(self) -> int:
        """How many bytes have come and were not taken."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """What was read."""
        self._data += data

    def take(self) -> bytes | None:
        """The next message, or None while it is not complete. Raises Junk for a length that nobody means."""
        if len(self._data) < _HEAD:
            return None
        length = int.from_bytes(self._data[:_HEAD], "big")
        if not 0 < length <= self._longest:
            raise Junk(f"a message of {length} bytes was announced")
        if len(self._data) < _HEAD + length:
            return None
        body = bytes(self._data[_HEAD : _HEAD + length])
        del self._data[: _HEAD + length]
        return body


def _read(decoder: msgspec.msgpack.Decoder[_Said], body: bytes) -> _Said:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Junk(f"a message could not be read: {error}") from error


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list | tuple) else value
