"""config.json: read, checked key by key, and held as one immutable snapshot. The file itself is never written."""

from __future__ import annotations

import hashlib
import json
import secrets as random_secrets
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import keys
from chatrixcd_threads.settings.document import BadFileError, Document, KeyPath, name_of_type
from chatrixcd_threads.settings.hot import HotFile, Kind
from chatrixcd_threads.settings.kept import NotKept
from chatrixcd_threads.settings.manager import FileManager
from chatrixcd_threads.settings.model import CONFIG_VERSION, EVERY_ROOM, EVERYBODY, Settings
from chatrixcd_threads.text.nearest import nearest
from chatrixcd_threads.threads.rwlock import RWLock

MASK = "********"
OIDC_SENTENCE = 'set matrix.auth_type to "password" or "token"; "oidc", a login in a browser, is not supported yet'
_SALT = random_secrets.token_bytes(32)  # shows that a secret changed, and nothing about it

_EXPECTED: Mapping[object, str] = {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Overrides:
    """What the command line adds: -a and -r to the file's lists, -N turns greetings off."""

    admins: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    no_greetings: bool = False


class Config(FileManager[Settings]):
    """The settings in force. Any thread reads `now`; the rest belongs to one thread at a time."""

    def __init__(
        self,
        path: str | Path = "config.json",
        auto_reload: bool = False,
        *,
        must_exist: bool = False,
        overrides: Overrides = Overrides(),
        lock: RWLock | None = None,
        keep: bool = True,
    ) -> None:
        self.path = Path(path)
        kind = Kind(
            check=lambda document: _with_overrides(check(document), overrides),
            defaults=_overridden(Settings(), overrides),
            shown=shown,
            danger=danger,
        )
        hot = HotFile(self.path, kind, lock=lock, kept=None if keep else NotKept(self.path))
        hot.load(must_exist=must_exist)
        super().__init__(hot, auto_reload)

    @property
    def now(self) -> Settings:
        """The settings in force. Take them once per job and keep them."""
        return self.hot.now

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was accepted, but will not do what its writer may think."""
        return self.hot.version.warnings

    @property
    def missing(self) -> bool:
        """True when there is no file and the defaults are in force."""
        return self.hot.version.text is None

    @property
    def error(self) -> ConfigError | None:
        """What is wrong with the file now, while an older version is in force."""
        return self.hot.error

    def load(self) -> Settings:
        """Reads the file anew, whatever its fingerprint. On ConfigError the settings in force stay."""
        self.hot.check_for_changes(force=True)
        if self.hot.error is not None and not (self.missing and not self.path.exists()):
            raise self.hot.error
        return self.now


def _with_overrides(
    checked: tuple[Settings, tuple[str, ...]], overrides: Overrides
) -> tuple[Settings, tuple[str, ...]]:
    settings, warnings = checked
    return _overridden(settings, overrides), warnings


def _overridden(settings: Settings, extra: Overrides) -> Settings:
    problems = [
        *_bad_options("-a", extra.admins, keys.RULES["bot.admin_users"]),
        *_bad_options("-r", extra.rooms, keys.RULES["bot.allowed_rooms"]),
    ]
    if problems:
        raise BadFileError("command line", tuple(problems))
    bot = msgspec.structs.replace(
        settings.bot,
        admin_users=tuple(dict.fromkeys((*settings.bot.admin_users, *extra.admins))),
        allowed_rooms=tuple(dict.fromkeys((*settings.bot.allowed_rooms, *extra.rooms))),
        greetings_enabled=settings.bot.greetings_enabled and not extra.no_greetings,
    )
    return msgspec.structs.replace(settings, bot=bot)


def danger(old: Settings, new: Settings) -> str:
    """Why a change is too dangerous to happen by a slip of the finger; empty when it is not."""
    if old.bot.admin_users and not new.bot.admin_users:
        return "nobody would be an admin any more"
    if EVERYBODY in new.bot.admin_users and EVERYBODY not in old.bot.admin_users:
        return "everybody would be an admin"
    if old.bot.allowed_rooms and not new.bot.allowed_rooms:
        return "the bot would serve in every room it is in"
    return ""


def shown(settings: Settings) -> dict[str, str]:
    """Key by key as people may see it, secrets masked; a changed secret still shows as changed."""
    plain = json.loads(show(settings))
    flat = {name: json.dumps(value, ensure_ascii=False) for name, value in _flat("", plain)}
    for name in keys.SECRETS:
        section, _, key = name.partition(".")
        secret = getattr(getattr(settings, section), key)
        if secret:
            flat[name] = f"{MASK} ({hashlib.blake2b(secret.encode(), key=_SALT, digest_size=2).hexdigest()})"
    return flat


def _flat(name: str, value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, item in value.items():
        yield from _flat(f"{name}.{key}" if name else key, item)


def fields_by_section() -> dict[str, dict[str, msgspec.structs.FieldInfo]]:
    """The keys of every section; one inside another is named with a dot: "bot.reload"."""
    found: dict[str, dict[str, msgspec.structs.FieldInfo]] = {}

    def collect(name: str, struct: Any) -> None:
        found[name] = {field.name: field for field in msgspec.structs.fields(struct)}
        for field in found[name].values():
            if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
                collect(f"{name}.{field.name}", field.type)

    for section in msgspec.structs.fields(Settings):
        collect(section.name, section.type)
    return found


def check(document: Document) -> tuple[Settings, tuple[str, ...]]:
    """The settings a file asks for and what to warn of; or ConfigError with everything that is wrong in it."""
    checker = _Checker(document)
    settings = checker.settings()
    if checker.problems:
        ordered = sorted(checker.problems, key=lambda problem: problem[0])
        problems = tuple(sentence for _, sentence in ordered)
        raise BadFileError(document.path, problems, line=ordered[0][0] or None)
    return settings, tuple(checker.warnings)


def show(settings: Settings, *, redact_ids: bool = False) -> str:
    """The settings as JSON for people: secrets always masked, with redact_ids also users, rooms and hosts."""
    shown: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    for section, values in shown.items():
        for key, value in values.items():
            name = f"{section}.{key}"
            if name in keys.SECRETS:
                values[key] = MASK if value else ""
            elif isinstance(value, list | tuple):
                values[key] = [_without_ids(item) if redact_ids else item for item in value]
            elif name in keys.UNSHOWN:
                values[key] = _masked_url(value, hide_host=redact_ids)
            elif redact_ids and name in ("matrix.user_id", "bot.admin_room"):
                values[key] = _without_ids(value)
            elif redact_ids and name == "bot.tones":
                values[key] = {
                    room if room == EVERY_ROOM else f"[room] {number}": tone
                    for number, (room, tone) in enumerate(value.items(), 1)
                }
    return json.dumps(shown, indent=2, ensure_ascii=False)


def secrets(settings: Settings) -> tuple[str, ...]:
    """Every secret value in force, the longest first, so that whoever masks them needs no order of its own."""
    found = {settings.matrix.password, settings.matrix.access_token, settings.semaphore.api_token}
    for address in (settings.matrix.homeserver, settings.semaphore.url, settings.matrix.oidc_redirect_url):
        parts = keys.split_url(address)
        found.add((parts.password if parts else "") or "")
    return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))


class SecretsSeen:
    """Every secret that was ever in force in this life: an old token in an old message is still a secret."""

    def __init__(self, config: Config) -> None:
        self._all = secrets(config.now)
        config.hot.callbacks.append(self._more)

    def all(self) -> tuple[str, ...]:
        """The longest first."""
        return self._all

    def _more(self, old: Settings, new: Settings) -> None:
        self._all = tuple(sorted({*self._all, *secrets(new)}, key=len, reverse=True))


def missing_keys(settings: Settings) -> tuple[str, ...]:
    """What must be set before the bot can run, each as a sentence."""
    matrix, semaphore = settings.matrix, settings.semaphore
    needs = (
        (matrix.homeserver, "Set matrix.homeserver: the address of the bot's homeserver."),
        (matrix.user_id, 'Set matrix.user_id: who the bot is, like "@bot:example.org".'),
        (matrix.auth_type != "oidc", f"{OIDC_SENTENCE[0].upper()}{OIDC_SENTENCE[1:]}."),
        (
            matrix.password or matrix.auth_type != "password",
            'Set matrix.password (or matrix.auth_type to "token" and matrix.access_token).',
        ),
        (
            matrix.access_token or matrix.auth_type != "token",
            'Set matrix.access_token: matrix.auth_type is "token".',
        ),
        (semaphore.url, "Set semaphore.url: the address of Semaphore UI."),
        (semaphore.api_token, "Set semaphore.api_token: made in Semaphore UI, under the user's API tokens."),
    )
    return tuple(sentence for is_set, sentence in needs if not is_set)


class _Checker:
    """One check of one document, by one thread. Problems are (line, sentence), so that they come out in file order."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[tuple[int, str]] = []
        self.warnings: list[str] = []
        self.sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
        self.fields = fields_by_section()

    def settings(self) -> Settings:
        found: dict[str, Any] = {}
        for key, value in self.document.data.items():
            if key in self.sections:
                found[key] = self._section((key,), self.sections[key], value)
            elif key == "_config_version":
                self._version(value)
            elif key in keys.WITHOUT_EFFECT:
                self._no_effect(key, (key,))
            elif not key.startswith("_") and key != "$schema":
                self._unknown((), key)
        settings = Settings(**found)
        if not self.problems:
            self._together(settings)
        return settings

    def _section(self, path: tuple[str, ...], struct: Any, value: object) -> Any:
        section = ".".join(path)
        if value is None:
            return struct()
        if not isinstance(value, dict):
            self._problem(path, f"{section}: expected an object: {{ … }}, got {name_of_type(value)}")
            return struct()
        good: dict[str, Any] = {}
        for key, item in value.items():
            name, here = f"{section}.{key}", (*path, key)
            if name in self.fields:
                good[key] = self._section(here, self.fields[section][key].type, item)
            elif key in self.fields[section]:
                if self._good(section, key, here, item):
                    good[key] = _as_kind(item, self.fields[section][key].type)
            elif name in keys.WITHOUT_EFFECT:
                self._no_effect(name, here)
            else:
                self._unknown(path, key)
        return struct(**good)

    def _good(self, section: str, key: str, path: tuple[str, ...], value: object) -> bool:
        """True when this value counts; null and some empty texts stand for the default."""
        name, kind = f"{section}.{key}", self.fields[section][key].type
        if value is None:
            return False
        if name in keys.EMPTY_IS_DEFAULT and isinstance(value, str) and not value.strip():
            self._warning(path, f"{name} is empty: {json.dumps(self.fields[section][key].default)} is used")
            return False
        if path in self.document.swallowed:
            self._warning(path, f"{name} has no quotes and so takes all of its line, with comma or comment")
        if typing.get_origin(kind) is tuple:
            return self._good_list(name, path, value)
        if typing.get_origin(kind) is dict:
            return self._good_table(name, path, value)
        choices = typing.get_args(kind)
        if choices:
            wants = "one of " + ", ".join(json.dumps(choice) for choice in choices)
            return self._right(name, path, value, isinstance(value, str) and value in choices, wants)
        if not self._right(name, path, value, _is_kind(value, kind), _EXPECTED[kind]):
            return False
        rule = keys.RULES.get(name, keys.PLAIN)
        return self._right(name, path, value, rule.holds(typing.cast("str | float", value)), rule.wants)

    def _good_list(self, name: str, path: KeyPath, value: object) -> bool:
        rule = keys.RULES.get(name, keys.PLAIN)
        if not isinstance(value, list):
            return self._right(name, path, value, False, f"a list of {rule.wants}")
        verdicts = [
            self._right(name, (*path, index), item, isinstance(item, str) and rule.holds(item), rule.wants)
            for index, item in enumerate(value)
        ]
        return all(verdicts)

    def _good_table(self, name: str, path: KeyPath, value: object) -> bool:
        named, rule = keys.TABLES[name], keys.RULES[name]
        if not isinstance(value, dict):
            return self._right(name, path, value, False, f"an object: {{ … }} of {named.wants}, each with {rule.wants}")
        verdicts = [
            self._right(name, (*path, key), key, named.holds(key), named.wants)
            and self._right(f"{name}.{key}", (*path, key), item, isinstance(item, str) and rule.holds(item), rule.wants)
            for key, item in value.items()
        ]
        return all(verdicts)

    def _right(self, name: str, path: KeyPath, value: object, right: bool, wants: str) -> bool:
        if not right:
            self._problem(path, f"{_clean(name)}: expected {wants}, got {_got(name, value)}")
        return right

    def _unknown(self, section: tuple[str, ...], key: str) -> None:
        path = (*section, key)
        name = ".".join(path)
        near = self._nearest(".".join(section) or None, key)
        hint = f" (did you mean {near}?)" if near else ""
        self._problem(path, f"unknown key {_clean(name)}{hint}")

    def _nearest(self, section: str | None, key: str) -> str | None:
        own = list(self.sections) if section is None else list(self.fields[section])
        elsewhere = [f"{other}.{key}" for other in self.fields if other != section and key in self.fields[other]]
        if elsewhere:
            return elsewhere[0]
        near = nearest(key, own)
        if near or section is not None:
            return near
        places = {name: f"{other}.{name}" for other in self.fields for name in self.fields[other]}
        far = nearest(key, places)
        return places[far] if far else None

    def _version(self, value: object) -> None:
        path = ("_config_version",)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self._problem(path, f"_config_version: expected a whole number from 1 to {CONFIG_VERSION}")
        elif value > CONFIG_VERSION:
            self._warning(path, f"_config_version {value} is newer than {CONFIG_VERSION}, the newest known here")

    def _together(self, settings: Settings) -> None:
        """What is fine key by key and yet odd taken together."""
        semaphore, bot = settings.semaphore, settings.bot
        if settings.matrix.auth_type == "oidc":
            self._warning(("matrix", "auth_type"), f"the bot cannot log in with this: {OIDC_SENTENCE}")
        if semaphore.ssl_client_key and not semaphore.ssl_client_cert:
            path = ("semaphore", "ssl_client_key")
            self._warning(path, "semaphore.ssl_client_key has no effect without semaphore.ssl_client_cert")
        if not semaphore.ssl_verify and semaphore.ssl_ca_cert:
            path = ("semaphore", "ssl_ca_cert")
            self._warning(path, "semaphore.ssl_ca_cert has no effect while semaphore.ssl_verify is false")
        for key in ("allowed_rooms", "greeting_rooms"):
            for index, room in enumerate(getattr(bot, key)):
                if room.startswith("#"):
                    told = f"bot.{key}: {_clean(room)} is an alias and fits no room; put the room's id (!…) there"
                    self._warning(("bot", key, index), told)
        if bot.reload.longest < bot.reload.quiet:
            longest = ("bot", "reload", "longest")
            self._warning(longest, "bot.reload.longest is below bot.reload.quiet, which then has no effect")
        if bot.hard_limit_seconds <= bot.soft_limit_seconds:
            path = ("bot", "hard_limit_seconds")
            self._warning(
                path, "bot.hard_limit_seconds is not above bot.soft_limit_seconds: no job says that it still works"
            )

    def _no_effect(self, name: str, path: KeyPath) -> None:
        self._warning(path, f"{name} has no effect here: {keys.WITHOUT_EFFECT[name]}")

    def _problem(self, path: KeyPath, sentence: str) -> None:
        line = self.document.line_of(path)
        self.problems.append((line or 0, f"{self._place(line)}: {sentence}"))

    def _warning(self, path: KeyPath, sentence: str) -> None:
        self.warnings.append(f"{self._place(self.document.line_of(path))}: {sentence}")

    def _place(self, line: int | None) -> str:
        return self.document.path if line is None else f"{self.document.path} line {line}"


def _is_kind(value: object, kind: object) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def _as_kind(value: Any, kind: object) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if kind is float else value


def _got(name: str, value: object) -> str:
    """What stands there, as a message may say it: never a secret, never long."""
    if not isinstance(value, str | int | float) or name in keys.UNSHOWN:
        return name_of_type(value) if not isinstance(value, str) or value else "an empty text"
    text = json.dumps(value, ensure_ascii=False)
    return _clean(text if len(text) <= 60 else text[:59] + "…")


def _clean(text: str) -> str:
    text = text if len(text) <= 80 else text[:79] + "…"
    return "".join(character if character.isprintable() else "�" for character in text)


def _bad_options(option: str, values: Iterable[str], rule: keys.Rule) -> list[str]:
    return [
        f"option {option}: expected {rule.wants}, got {_got(option, item)}" for item in values if not rule.holds(item)
    ]


def _without_ids(item: str) -> str:
    kinds = {"@": "[user]", "!": "[room]", "#": "[room]"}
    return kinds.get(item[:1], item)


def _masked_url(address: str, *, hide_host: bool) -> str:
    parts = keys.split_url(address)
    if parts is None:
        return address
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    user = f"{name}:{MASK}" if colon else name
    return parts._replace(netloc="[host]" if hide_host else f"{user}{at}{host}").geturl()
