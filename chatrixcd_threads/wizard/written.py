"""The draft as a short config.json with a comment at each key, and as lines for people with the secrets masked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import keys
from chatrixcd_threads.settings.config import MASK, check, missing_keys
from chatrixcd_threads.settings.document import parse, read
from chatrixcd_threads.settings.hot import replace_file
from chatrixcd_threads.settings.kept import Kept
from chatrixcd_threads.settings.model import CONFIG_VERSION
from chatrixcd_threads.wizard.draft import Draft

MODE: Final = 0o600
HEAD: Final = (
    "// Written by the first start of chatrixcd-threads. Every other setting is explained in config/config.json.example;",
    "// this file is read again when it is saved, also while the bot runs.",
)

Value = str | bool | list[str]


def values(draft: Draft) -> Iterator[tuple[str, Value]]:
    """The keys that are set, in the order of the file."""
    matrix, semaphore = draft.matrix(), draft.semaphore()
    yield "matrix.homeserver", matrix.homeserver
    yield "matrix.user_id", matrix.user_id
    yield "matrix.device_id", draft.device_id
    yield "matrix.auth_type", matrix.auth_type
    yield ("matrix.password", matrix.password) if matrix.password else ("matrix.access_token", matrix.access_token)
    yield "semaphore.url", semaphore.url
    yield "semaphore.api_token", semaphore.api_token
    if semaphore.ssl_ca_cert:
        yield "semaphore.ssl_ca_cert", str(Path(semaphore.ssl_ca_cert).absolute())
    if not semaphore.ssl_verify:
        yield "semaphore.ssl_verify", False
    yield "bot.command_prefix", draft.prefix
    yield "bot.admin_users", [draft.owner] if draft.owner else []
    if draft.room_id:
        yield "bot.admin_room", draft.room_id
        yield "bot.allowed_rooms", [draft.room_id]


def text_of(draft: Draft) -> str:
    """The file."""
    lines = [*HEAD, "{", f'  "_config_version": {CONFIG_VERSION},']
    section = ""
    for name, value in values(draft):
        here, _, key = name.partition(".")
        if here != section:
            lines += [*(["  },"] if section else []), "", f'  "{here}": {{']
            section = here
        lines += [f"    // {keys.DESCRIPTIONS[name]}", f'    "{key}": {json.dumps(value, ensure_ascii=False)},']
    return "\n".join([*lines, "  },", "}", ""])


def summary(draft: Draft) -> list[str]:
    """What the file will say, secrets masked."""
    found = [(name, MASK if name in keys.SECRETS else _plain(name, value)) for name, value in values(draft)]
    width = max(len(name) for name, _ in found)
    return [f"{name:{width}}  {value}" for name, value in found]


def write(path: Path, draft: Draft) -> str:
    """Puts the file in place, readable by its owner alone. Says what became of an old one. Raises ConfigError."""
    text = text_of(draft)
    settings, _ = check(parse(text, str(path)))
    lacks = missing_keys(settings)
    if lacks:
        raise ConfigError(" ".join(lacks))
    if path.exists() and not draft.exists:
        raise ConfigError(
            f"{path} was made by somebody else meanwhile, so I did not write over it. Start again to replace it."
        )
    kept = _keep(path)
    replace_file(path, text, mode=MODE)
    return f"{path} is written.{kept}"


def _keep(path: Path) -> str:
    """The old file as a kept version, from which `config undo` brings it back; one that is no text as a .bak beside it."""
    if not path.exists():
        return ""
    try:
        problem = Kept(path).add(read(path), time.time())
    except ConfigError:
        spare = path.with_name(f"{path.name}.bak")
        os.replace(path, spare)  # noqa: PTH105 - the same on every system
        return f" The old file was no settings file; it is {spare.name} now."
    if problem:
        raise ConfigError(f"The old {path.name} cannot be kept ({problem}), so I did not write over it.")
    return " The old one is kept: config undo brings it back."


def _plain(name: str, value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "nobody"
    if isinstance(value, bool):
        return "yes" if value else "no"
    parts = keys.split_url(value) if name in keys.UNSHOWN else None
    return value if parts is None else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
