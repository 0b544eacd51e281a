"""The doors as a table, made from the type hints of `Doors`: a new door travels without a line here."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from chatrixcd_threads.console.board import LOCAL, Doors
from chatrixcd_threads.door.frames import Junk


@dataclass(frozen=True)
class Port:
    """A door that travels: its name, and the types of what it takes (a tuple) and gives."""

    name: str
    takes: Any
    gives: Any

    def args(self, raw: msgspec.Raw) -> tuple[Any, ...]:
        """The arguments of a call, checked."""
        return typing.cast("tuple[Any, ...]", _decode(raw, self.takes))

    def result(self, raw: msgspec.Raw) -> Any:
        """What the door gave, checked."""
        return _decode(raw, self.gives)


@functools.cache
def ports() -> dict[str, Port]:
    """All doors that travel, by name. Raises TypeError for a door whose types cannot."""
    hints = typing.get_type_hints(Doors)
    return {
        field.name: _port(field.name, hints[field.name])
        for field in dataclasses.fields(Doors)
        if field.metadata != LOCAL
    }


@functools.cache
def fingerprint() -> str:
    """Differs when a door, or anything in what it takes and gives, is another one."""
    table = ports()
    kinds = [each.takes for each in table.values()] + [each.gives for each in table.values()]
    found, parts = msgspec.json.schema_components(kinds)
    told = json.dumps([list(table), found, parts], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _port(name: str, hint: Any) -> Port:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):  # a door that not every bot has
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is not Callable:
        raise TypeError(f"Doors.{name} is no Callable: mark it LOCAL, or it cannot go over the socket")
    takes, gives = typing.get_args(hint)
    if not isinstance(takes, list):
        raise TypeError(f"Doors.{name} must say what it takes: Callable[[…], …]")
    return Port(name, types.GenericAlias(tuple, tuple(takes)), gives)


@functools.cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def _decode(raw: msgspec.Raw, kind: Any) -> Any:
    try:
        return _decoder(kind).decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Junk(f"a value could not be read: {error}") from error
