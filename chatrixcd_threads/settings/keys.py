"""What is known of each key of config.json beyond its type: what its value must look like, and what is secret.

The keys, types and defaults themselves stand in model.py; a key without a row here is checked for its type alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_USER = re.compile(r"@[^\s:]+:[^\s]+")
_ROOM = re.compile(r"![^\s]+|#[^\s:]+:[^\s]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

DAY = 86_400.0


@dataclass(frozen=True)
class Rule:
    """`wants` finishes the sentence "expected …"; `holds` decides for one value (for a list: for one item)."""

    wants: str
    holds: Callable[[str | float], bool]


def split_url(value: str) -> SplitResult | None:
    """The parts of an http(s) address, or None when it is none."""
    if any(character.isspace() or not character.isprintable() for character in value):
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def _is_url(value: str | float) -> bool:
    return value == "" or split_url(str(value)) is not None


def _is_redirect(value: str | float) -> bool:
    return _is_url(value) or str(value).startswith("urn:")


def _is_user(value: str | float) -> bool:
    return _USER.fullmatch(str(value)) is not None


def _is_prefix(value: str | float) -> bool:
    text = str(value)
    return text != "" and text == text.strip() and text.isprintable()


def _between(least: float, most: float) -> Rule:
    return Rule(f"a number from {least:g} to {most:g}", lambda value: least <= float(value) <= most)


def _is_plain(value: str | float) -> bool:
    return not isinstance(value, str) or not _CONTROL.search(value)


def _is_token(value: str | float) -> bool:
    text = str(value)
    return text.isascii() and text.isprintable() and " " not in text


# What a text must look like when no other rule is given.
PLAIN = Rule("one line of text without control characters", _is_plain)

_TOKEN = Rule("a token: letters, digits and signs without spaces", _is_token)
_ANY = Rule("a text", lambda _: True)
_URL = Rule("an address that begins with http:// or https://", _is_url)
_USERS = Rule('user ids like "@name:example.org", or "*"', lambda value: value == "*" or _is_user(value))
_ROOMS = Rule('rooms like "!id:example.org" or "#alias:example.org"', lambda value: bool(_ROOM.fullmatch(str(value))))
_SECONDS = _between(0.1, DAY)

RULES: Mapping[str, Rule] = {
    "matrix.homeserver": _URL,
    "matrix.user_id": Rule('a user id like "@name:example.org"', lambda value: value == "" or _is_user(value)),
    "matrix.access_token": _TOKEN,
    "matrix.oidc_redirect_url": Rule("an address that begins with http://, https:// or urn:", _is_redirect),
    "semaphore.url": _URL,
    "semaphore.api_token": _TOKEN,
    "semaphore.timeout": _SECONDS,
    "semaphore.poll_seconds": _SECONDS,
    "bot.command_prefix": Rule("a text without spaces at its ends, and not empty", _is_prefix),
    "bot.allowed_rooms": _ROOMS,
    "bot.admin_room": Rule('a room id like "!id:example.org"', lambda value: value == "" or str(value).startswith("!")),
    "bot.greeting_rooms": _ROOMS,
    "bot.admin_users": _USERS,
    "bot.invite_from": _USERS,
    "bot.startup_message": _ANY,
    "bot.shutdown_message": _ANY,
    "bot.question_seconds": _between(1, 7 * DAY),
    "bot.soft_limit_seconds": _SECONDS,
    "bot.hard_limit_seconds": _SECONDS,
    "bot.workers": _between(1, 1024),
}

SECRETS = frozenset({"matrix.password", "matrix.access_token", "semaphore.api_token"})

# Named in messages without their value: secrets, and addresses, which may hold a password.
UNSHOWN = SECRETS | {"matrix.homeserver", "semaphore.url", "matrix.oidc_redirect_url"}

# Where ChatrixCD took an empty text for "nothing given": the default is used, and said.
EMPTY_IS_DEFAULT = frozenset({"matrix.device_id", "matrix.device_name", "matrix.store_path", "bot.log_file"})

_PLUGINS = "there are no plugins to load: following tasks and aliases are built in"
_OIDC = "the homeserver knows its own identity provider"

# Keys of some version of ChatrixCD that mean nothing here: accepted with a warning, whatever their value.
WITHOUT_EFFECT: Mapping[str, str] = {
    "plugins": _PLUGINS,
    "bot.plugins": _PLUGINS,
    "bot.load_plugins": _PLUGINS,
    "bot.tui_mode": "there is one console",
    "bot.log_level": "bot.verbosity is the key for it",
    "bot.log_buffer_size": "the console sets its own size",
    "matrix.oidc_issuer": _OIDC,
    "matrix.oidc_client_id": _OIDC,
    "matrix.oidc_client_secret": _OIDC,
}
