"""All commands: found by looking into `verbs`, so that adding a file adds the command."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from chatrixcd_threads.commands import verbs
from chatrixcd_threads.commands.declare import Command
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.text.nearest import nearest


@functools.cache
def commands() -> Mapping[str, Command]:
    """Name to command, in alphabetical order."""
    found: dict[str, Command] = {}
    for module in pkgutil.iter_modules(verbs.__path__):
        loaded = importlib.import_module(f"{verbs.__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, Command):
                found[value.name] = value
    return MappingProxyType(dict(sorted(found.items())))


def find(word: str, prefix: str) -> Command:
    """The command with this name; an unknown one is answered with the nearest known."""
    known = commands().get(word.casefold())
    if known is not None:
        return known
    near = nearest(word, [name for name, each in commands().items() if not each.hidden])
    hint = f" Did you mean “{prefix} {near}”?" if near else ""
    raise UsageError(f"I did nothing: there is no command “{word}”.{hint} {prefix} help lists them all.")
