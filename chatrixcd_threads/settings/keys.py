"""What is known of each key of config.json beyond its type: what it is for, what its value must look like, what is secret.

The keys, types and defaults themselves stand in model.py; a key without a row here is checked for its type alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

_USER = re.compile(r"@[^\s:]+:[^\s]+")
_ROOM = re.compile(r"![^\s]+|#[^\s:]+:[^\s]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

DAY = 86_400.0


@dataclass(frozen=True)
class Rule:
    """`wants` finishes the sentence "expected …"; `holds` decides for one value (for a list: for one item).

    `form` says the same to editors, in words of JSON Schema; it may take more than `holds` does, never less.
    """

    wants: str
    holds: Callable[[str | float], bool]
    form: Mapping[str, str | float | tuple[str, ...]] = field(default_factory=dict)


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
    return Rule(
        f"a number from {least:g} to {most:g}", lambda value: least <= float(value) <= most, _numbers(least, most)
    )


def _numbers(least: float, most: float) -> dict[str, str | float | tuple[str, ...]]:
    return {"minimum": least, "maximum": most}


def _pattern(pattern: str) -> dict[str, str | float | tuple[str, ...]]:
    return {"pattern": f"^{pattern}$"}


def _is_plain(value: str | float) -> bool:
    return not isinstance(value, str) or not _CONTROL.search(value)


def _is_token(value: str | float) -> bool:
    text = str(value)
    return text.isascii() and text.isprintable() and " " not in text


# What a text must look like when no other rule is given.
PLAIN = Rule("one line of text without control characters", _is_plain, _pattern(r"[^\u0000-\u001f\u007f-\u009f]*"))

_TOKEN = Rule("a token: letters, digits and signs without spaces", _is_token, _pattern("[!-~]*"))
_ANY = Rule("a text", lambda _: True)
_URL = Rule("an address that begins with http:// or https://", _is_url, _pattern(r"([hH][tT][tT][pP][sS]?://\S+)?"))
_USERS = Rule(
    'user ids like "@name:example.org", or "*"',
    lambda value: value == "*" or _is_user(value),
    _pattern(r"(\*|@[^\s:]+:\S+)"),
)
_ROOMS = Rule(
    'rooms like "!id:example.org" or "#alias:example.org"',
    lambda value: bool(_ROOM.fullmatch(str(value))),
    _pattern(r"(!\S+|#[^\s:]+:\S+)"),
)
_TONES = ("playful", "friendly", "terse", "silent")
_GRADES = ("low", "normal", "high")
_SECONDS = _between(0.1, DAY)

RULES: Mapping[str, Rule] = {
    "matrix.homeserver": _URL,
    "matrix.user_id": Rule(
        'a user id like "@name:example.org"',
        lambda value: value == "" or _is_user(value),
        _pattern(r"(@[^\s:]+:\S+)?"),
    ),
    "matrix.access_token": _TOKEN,
    "matrix.oidc_redirect_url": Rule(
        "an address that begins with http://, https:// or urn:",
        _is_redirect,
        _pattern(r"(([hH][tT][tT][pP][sS]?://|urn:)[\s\S]*)?"),
    ),
    "semaphore.url": _URL,
    "semaphore.api_token": _TOKEN,
    "semaphore.timeout": _SECONDS,
    "semaphore.poll_seconds": _SECONDS,
    "bot.command_prefix": Rule("a text without spaces at its ends, and not empty", _is_prefix, _pattern(r"\S(.*\S)?")),
    "bot.allowed_rooms": _ROOMS,
    "bot.admin_room": Rule(
        'a room id like "!id:example.org"',
        lambda value: value == "" or str(value).startswith("!"),
        _pattern(r"(![\s\S]*)?"),
    ),
    "bot.tones": Rule(
        "one of " + ", ".join(f'"{tone}"' for tone in _TONES), lambda value: value in _TONES, {"enum": _TONES}
    ),
    "bot.confirm": Rule(
        "one of " + ", ".join(f'"{grade}"' for grade in _GRADES), lambda value: value in _GRADES, {"enum": _GRADES}
    ),
    "bot.greeting_rooms": _ROOMS,
    "bot.admin_users": _USERS,
    "bot.invite_from": _USERS,
    "bot.startup_message": _ANY,
    "bot.shutdown_message": _ANY,
    "bot.question_seconds": _between(1, 7 * DAY),
    "bot.soft_limit_seconds": _SECONDS,
    "bot.hard_limit_seconds": _SECONDS,
    "bot.workers": _between(1, 1024),
    "bot.reload.quiet": _between(0.01, 10),
    "bot.reload.longest": _between(0.01, 60),
    "bot.reload.quick": _between(0.05, 3600),
    "bot.reload.slow": _between(0.05, 3600),
    "bot.reload.quick_for": _between(0, DAY),
}

# For keys that hold a table: what its own keys must look like. The rule above is for their values.
TABLES: Mapping[str, Rule] = {
    "bot.tones": Rule(
        'room ids like "!id:example.org", or "*" for every room',
        lambda value: value == "*" or bool(re.fullmatch(r"!\S+", str(value))),
        _pattern(r"(\*|!\S+)"),
    ),
    "bot.confirm": Rule(
        'patterns for "project/template" like "*/deploy prod*"',
        lambda value: bool(str(value).strip()),
        _pattern(r".*\S.*"),
    ),
}

# What each key is for: shown by editors, made into the schema. A sentence each.
DESCRIPTIONS: Mapping[str, str] = {
    "matrix": "How the bot reaches its homeserver.",
    "matrix.homeserver": "The address of the homeserver on which the bot has its account.",
    "matrix.user_id": "Who the bot is.",
    "matrix.device_id": "The bot's own device. Its keys for encrypted rooms belong to it, so keep it.",
    "matrix.device_name": "What people see in their list of sessions.",
    "matrix.auth_type": 'How the bot logs in: with a password, or with an access token made elsewhere. "oidc" is not supported yet.',
    "matrix.password": 'The password, when auth_type is "password".',
    "matrix.access_token": 'The access token, when auth_type is "token".',
    "matrix.oidc_redirect_url": 'For auth_type "oidc", which is not supported yet: without effect.',
    "matrix.store_path": "The folder for keys, session and journal. A change needs a restart.",
    "semaphore": "How the bot reaches Semaphore UI.",
    "semaphore.url": "The address of Semaphore UI, as a browser opens it.",
    "semaphore.api_token": "A token of the Semaphore user as whom the bot acts.",
    "semaphore.ssl_verify": "Whether the server's certificate is checked.",
    "semaphore.ssl_ca_cert": "A file with the certificates to trust instead of the usual ones.",
    "semaphore.ssl_client_cert": "A file with a client certificate, where the server asks for one.",
    "semaphore.ssl_client_key": "The key of the client certificate, when it is in a file of its own.",
    "semaphore.timeout": "How long one call may take from beginning to end, in seconds.",
    "semaphore.check_mode_markers": "Whether the jobs have ANSIBLE_CHECK_MODE_MARKERS set: then a dry run without marks is stopped.",
    "semaphore.poll_seconds": "How often a running task is looked at, in seconds.",
    "bot": "How the bot behaves.",
    "bot.command_prefix": "The word that every command begins with.",
    "bot.allowed_rooms": "Rooms in which the bot answers. Empty: every room it is in.",
    "bot.admin_users": 'Who may start, stop and change things. Empty: nobody; "*": everybody.',
    "bot.invite_from": 'Who may invite the bot into a room besides the admins; "*": everybody.',
    "bot.admin_room": "The room that hears what changed in the settings files, and is asked about dangerous changes.",
    "bot.greetings_enabled": "Whether answers begin with a greeting and rooms hear of start and stop.",
    "bot.greeting_rooms": "Rooms with greetings, and with the messages at start and stop. Empty: every room, and those of allowed_rooms.",
    "bot.startup_message": "What is said at the start.",
    "bot.shutdown_message": "What is said at the stop.",
    "bot.log_file": "The file that the log goes to; empty: none. Left at this or empty, a bot in the background uses bot.log in its store.",
    "bot.mouse_enabled": "Whether the console takes the mouse.",
    "bot.color_enabled": "Whether the console has colours, where the terminal has them.",
    "bot.color_theme": "Which colours the console has.",
    "bot.verbosity": "How much is logged.",
    "bot.redact": "Whether users, rooms and addresses are hidden in the log.",
    "bot.confirm": "How launches are confirmed, by patterns of project/template: low, normal or high. The first that fits counts.",
    "bot.question_seconds": "How long a question of the bot waits for its answer, in seconds.",
    "bot.soft_limit_seconds": "After how many seconds a room hears that its command is still being worked on.",
    "bot.hard_limit_seconds": "After how many seconds a command is given up.",
    "bot.workers": "How many commands are worked on at the same time.",
    "bot.tones": 'How the bot talks in which room, by room id; "*" is for every other room. Failures are always told tersely.',
    "bot.reload": "How saved settings files are noticed. Nobody needs to change this on an ordinary disk.",
    "bot.reload.quiet": "How long nothing must have happened to a file before it is read, in seconds.",
    "bot.reload.longest": "After how many seconds a file is read although it is still being written.",
    "bot.reload.quick": "How often all files are looked at after a change, in seconds; finds what the system does not tell.",
    "bot.reload.slow": "How often all files are looked at otherwise, in seconds.",
    "bot.reload.quick_for": "For how long after a change all files are looked at more often, in seconds.",
}

SECRETS = frozenset({"matrix.password", "matrix.access_token", "semaphore.api_token"})

# Named in messages without their value: secrets, and addresses, which may hold a password.
UNSHOWN = SECRETS | {"matrix.homeserver", "semaphore.url", "matrix.oidc_redirect_url"}

# Where ChatrixCD took an empty text for "nothing given": the default is used, and said.
EMPTY_IS_DEFAULT = frozenset({"matrix.device_id", "matrix.device_name", "matrix.store_path"})

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
