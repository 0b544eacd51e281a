"""config.json: what loads, what is refused and how it is said, and what may be shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import keys
from chatrixcd_threads.settings.config import Config, Overrides, check, missing_keys, secrets, show, shown
from chatrixcd_threads.settings.document import BadFileError, parse, read
from chatrixcd_threads.settings.model import BotSettings, MatrixSettings, ReloadSettings, SemaphoreSettings, Settings

EXAMPLE = Path(__file__).parents[3] / "config" / "config.json.example"
SECTIONS = {"matrix": MatrixSettings, "semaphore": SemaphoreSettings, "bot": BotSettings}
ALL_KEYS = {f"{name}.{field}" for name, struct in SECTIONS.items() for field in struct.__struct_fields__}


def loaded(text: str) -> Settings:
    return check(parse(text, "config.json"))[0]


def warned(text: str) -> tuple[str, ...]:
    return check(parse(text, "config.json"))[1]


def refused(text: str) -> tuple[str, ...]:
    with pytest.raises(BadFileError) as caught:
        check(parse(text, "config.json"))
    return caught.value.problems


def value_of(settings: Settings, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(settings, section), key)


MATRIX = {"homeserver": "https://m.example.org", "user_id": "@bot:example.org", "password": "pw"}
SEMAPHORE = {"url": "https://s.example.org", "api_token": "tok"}
VERSIONS = {
    "1": {
        "matrix": {**MATRIX, "oidc_issuer": "https://id", "oidc_client_id": "i", "oidc_client_secret": "s"},
        "semaphore": SEMAPHORE,
        "bot": {"command_prefix": "!ci", "allowed_rooms": ["!a:b"], "admin_users": ["@a:b"]},
    },
    "2": {
        "_config_version": 2,
        "matrix": {**MATRIX, "auth_type": "token", "access_token": "t"},
        "semaphore": SEMAPHORE,
        "bot": {"greetings_enabled": False, "greeting_rooms": ["!a:b"], "startup_message": "", "shutdown_message": "x"},
    },
    "3": {
        "_config_version": 3,
        "matrix": {**MATRIX, "auth_type": "oidc", "oidc_redirect_url": "urn:ietf:wg:oauth:2.0:oob"},
        "semaphore": {
            **SEMAPHORE,
            "ssl_verify": False,
            "ssl_ca_cert": "",
            "ssl_client_cert": "c",
            "ssl_client_key": "k",
        },
        "bot": {"log_file": "/var/log/bot.log", "tui_mode": "classic"},
    },
    "4": {
        "_config_version": 4,
        "matrix": MATRIX,
        "semaphore": SEMAPHORE,
        "bot": {
            "tui_mode": "turbo",
            "mouse_enabled": True,
            "color_enabled": True,
            "color_theme": "msdos",
            "verbosity": "debug",
        },
    },
    "5": {
        "_config_version": 5,
        "matrix": MATRIX,
        "semaphore": SEMAPHORE,
        "bot": {"load_plugins": True, "color_theme": "windows31", "verbosity": "silent", "redact": True},
        "plugins": {"semaphore_poll": {"enabled": True}},
    },
}


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_chatrixcd_files_load_unchanged(version: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(VERSIONS[version], indent=2))
    before = path.read_bytes()
    config = Config(path)
    for section, values in VERSIONS[version].items():
        if section not in SECTIONS:
            continue
        for key, value in values.items():  # type: ignore[attr-defined]
            name = f"{section}.{key}"
            if name in keys.WITHOUT_EFFECT:
                assert any(f" {name} has no effect here: " in warning for warning in config.warnings)
            else:
                assert value_of(config.now, name) == (tuple(value) if isinstance(value, list) else value)
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == [".chatrixcd-kept", "config.json"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "{\n bot: {\n  alowed_rooms: []\n }\n}",
            "config.json line 3: unknown key bot.alowed_rooms (did you mean allowed_rooms?)",
        ),
        ("{bot: {password: x\n}}", "config.json line 1: unknown key bot.password (did you mean matrix.password?)"),
        ("{bto: {}}", "config.json line 1: unknown key bto (did you mean bot?)"),
        ("{homeserver: x\n}", "config.json line 1: unknown key homeserver (did you mean matrix.homeserver?)"),
        ("{home_server: x\n}", "config.json line 1: unknown key home_server (did you mean matrix.homeserver?)"),
        ("{matrix: {zzzzzz: 1}}", "config.json line 1: unknown key matrix.zzzzzz"),
        ("{matrix: {_note: 1}}", "config.json line 1: unknown key matrix._note"),
        ("{bot: []}", "config.json line 1: bot: expected an object: { … }, got a list"),
        ("{bot: {workers: many\n}}", 'config.json line 1: bot.workers: expected a whole number, got "many"'),
        ("{bot: {workers: 1.5}}", "config.json line 1: bot.workers: expected a whole number, got 1.5"),
        ("{bot: {workers: true}}", "config.json line 1: bot.workers: expected a whole number, got true"),
        ("{bot: {workers: 0}}", "config.json line 1: bot.workers: expected a number from 1 to 1024, got 0"),
        ("{semaphore: {timeout: -1}}", "semaphore.timeout: expected a number from 0.1 to 86400, got -1"),
        ("{semaphore: {timeout: '15'}}", 'semaphore.timeout: expected a number, got "15"'),
        ("{semaphore: {ssl_verify: 1}}", "semaphore.ssl_verify: expected true or false, got 1"),
        ("{semaphore: {ssl_verify: 'no'}}", 'semaphore.ssl_verify: expected true or false, got "no"'),
        ("{semaphore: {api_token: 123456}}", "semaphore.api_token: expected a text, got a number"),
        ("{semaphore: {api_token: 'a b'}}", "semaphore.api_token: expected a token: letters, digits and signs without"),
        (
            "{semaphore: {url: 'example.org'}}",
            "semaphore.url: expected an address that begins with http:// or https://",
        ),
        ("{semaphore: {url: 'http://'}}", "semaphore.url: expected an address"),
        ("{semaphore: {url: 'http://a:99999'}}", "semaphore.url: expected an address"),
        ("{semaphore: {url: 'http://a b'}}", "semaphore.url: expected an address"),
        ("{semaphore: {url: 'ftp://a'}}", "semaphore.url: expected an address"),
        ("{matrix: {homeserver: 5}}", "matrix.homeserver: expected a text, got a number"),
        ("{matrix: {user_id: 'bot'}}", 'matrix.user_id: expected a user id like "@name:example.org", got "bot"'),
        ("{matrix: {user_id: '*'}}", "matrix.user_id: expected a user id"),
        ("{matrix: {oidc_redirect_url: 'x'}}", "expected an address that begins with http://, https:// or urn:"),
        (
            "{matrix: {auth_type: 'pasword'}}",
            'matrix.auth_type: expected one of "password", "token", "oidc", got "pasword"',
        ),
        ("{matrix: {auth_type: 5}}", 'matrix.auth_type: expected one of "password", "token", "oidc", got 5'),
        ("{matrix: {store_path: 'a\\nb'}}", "matrix.store_path: expected one line of text"),
        ("{bot: {color_theme: 'pink'}}", "bot.color_theme: expected one of"),
        (
            "{bot: {command_prefix: ''}}",
            "bot.command_prefix: expected a text without spaces at its ends, and not empty",
        ),
        ("{bot: {command_prefix: '!cd '}}", "bot.command_prefix: expected a text without spaces at its ends"),
        ("{bot: {admin_users: '@a:b'}}", "bot.admin_users: expected a list of user ids"),
        (
            "{bot: {admin_users: ['@a:b',\n 'c']}}",
            'config.json line 2: bot.admin_users: expected user ids like "@name:ex',
        ),
        ("{bot: {admin_users: [null]}}", "bot.admin_users: expected user ids"),
        ("{bot: {allowed_rooms: ['*']}}", "bot.allowed_rooms: expected rooms like"),
        ("{bot: {allowed_rooms: ['#noserver']}}", "bot.allowed_rooms: expected rooms like"),
        ("{bot: {allowed_rooms: [1]}}", "bot.allowed_rooms: expected rooms like"),
        ("{bot: {tones: []}}", "bot.tones: expected an object: { … } of room ids like"),
        (
            "{bot: {tones: {ops: terse\n}}}",
            'bot.tones: expected room ids like "!id:example.org", or "*" for every room, got',
        ),
        ("{bot: {tones: {'#a:b': terse\n}}}", "bot.tones: expected room ids like"),
        (
            "{bot: {tones: {'!a:b': loud\n}}}",
            'bot.tones.!a:b: expected one of "playful", "friendly", "terse", "silent"',
        ),
        ("{bot: {tones: {'!a:b': 1}}}", "bot.tones.!a:b: expected one of"),
        ("{bot: {reload: 5}}", "bot.reload: expected an object: { … }, got a number"),
        ("{bot: {reload: {slow: 0}}}", "bot.reload.slow: expected a number from 0.05 to 3600, got 0"),
        ("{bot: {reload: {slwo: 1}}}", "unknown key bot.reload.slwo (did you mean slow?)"),
        ("{bot: {quiet: 1}}", "unknown key bot.quiet (did you mean bot.reload.quiet?)"),
        ("{bot: {admin_room: '#a:b'}}", "bot.admin_room: expected a room id like"),
        ("{_config_version: '5'}", "_config_version: expected a whole number from 1 to 5"),
        ("{_config_version: 0}", "_config_version: expected a whole number from 1 to 5"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    problems = refused(text)
    assert len(problems) == 1
    assert sentence in problems[0]
    assert re.match(r"config\.json line [0-9]+: ", problems[0])


def test_all_problems_in_file_order() -> None:
    problems = refused("{\n bot: {\n  workers: 0\n  x: 1\n },\n semaphore: 5,\n matrix: {password: 1}\n}")
    assert [problem.split(":")[0] for problem in problems] == [f"config.json line {n}" for n in (3, 4, 6, 7)]


def test_many_problems_are_cut_in_the_sentence_only() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded("{bot: {" + ", ".join(f"x{n}: 1" for n in range(50)) + "}}")
    assert isinstance(caught.value, BadFileError)
    assert len(caught.value.problems) == 50
    assert caught.value.sentence.endswith("… and 30 more")


@pytest.mark.parametrize("name", sorted(keys.SECRETS))
def test_no_secret_in_a_refusal(name: str) -> None:
    section, key = name.split(".")
    for value in ("s3cret value\n", ["s3cret"], 53238712389):
        for problem in refused(json.dumps({section: {key: value}})):
            assert "s3cret" not in problem
            assert "53238712389" not in problem


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("{}", "bot.command_prefix", "!cd"),
        ("{bot: null}", "bot.command_prefix", "!cd"),
        ("{bot: {command_prefix: null}}", "bot.command_prefix", "!cd"),
        ("{'$schema': 'x', _comment: [1], _config_version: 5}", "bot.workers", 64),
        ("{semaphore: {timeout: 3}}", "semaphore.timeout", 3.0),
        ("{semaphore: {timeout: 0.5}}", "semaphore.timeout", 0.5),
        ("{bot: {admin_users: ['*']}}", "bot.admin_users", ("*",)),
        ("{bot: {invite_from: ['@a:b', '*']}}", "bot.invite_from", ("@a:b", "*")),
        (
            "{bot: {allowed_rooms: ['!newstyle', '!a:b', '#a:b:8448']}}",
            "bot.allowed_rooms",
            ("!newstyle", "!a:b", "#a:b:8448"),
        ),
        ("{semaphore: {url: ''}}", "semaphore.url", ""),
        ("{semaphore: {url: 'http://[::1]:3000/base/'}}", "semaphore.url", "http://[::1]:3000/base/"),
        ("{matrix: {device_id: ''}}", "matrix.device_id", "CHATRIXCD"),
        ("{bot: {startup_message: 'a\\nb'}}", "bot.startup_message", "a\nb"),
        ("{bot: {tones: {'!a:b': 'terse', '*': 'silent'}}}", "bot.tones", {"!a:b": "terse", "*": "silent"}),
        ("{bot: {reload: {slow: 9}}}", "bot.reload", ReloadSettings(slow=9.0)),
        ("{bot: {reload: null, tones: null}}", "bot.reload", ReloadSettings()),
        ("{matrix: {password: ' pä ss '}}", "matrix.password", " pä ss "),
    ],
)
def test_taken(text: str, name: str, value: object) -> None:
    found = value_of(loaded(text), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("{\n _config_version: 6\n}", "config.json line 2: _config_version 6 is newer than 5"),
        ("{matrix: {device_id: ''}}", 'config.json line 1: matrix.device_id is empty: "CHATRIXCD" is used'),
        ("{bot: {load_plugins: 5}}", "config.json line 1: bot.load_plugins has no effect here: there are no plugins"),
        ("{plugins: {}}", "config.json line 1: plugins has no effect here"),
        ("{semaphore: {api_token: abc,\n}}", "semaphore.api_token has no quotes and so takes all of its line"),
        (
            "{semaphore: {ssl_client_key: 'k'}}",
            "semaphore.ssl_client_key has no effect without semaphore.ssl_client_cert",
        ),
        ("{semaphore: {ssl_ca_cert: 'k', ssl_verify: false}}", "ssl_ca_cert has no effect while"),
        ("{bot: {reload: {longest: 0.05}}}", "config.json line 1: bot.reload.longest is below bot.reload.quiet"),
        ("{bot: {hard_limit_seconds: 3}}", "bot.hard_limit_seconds is not above"),
    ],
)
def test_warnings(text: str, warning: str) -> None:
    warnings = warned(text)
    assert len(warnings) == 1
    assert warning in warnings[0]


class TestConfig:
    def test_missing_file_is_the_defaults(self, tmp_path: Path) -> None:
        config = Config(tmp_path / "config.json")
        assert config.missing
        assert config.now == Settings()
        assert config.warnings == ()
        assert config.load() == Settings()

    def test_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no such file"):
            Config(tmp_path / "config.json", must_exist=True)

    @pytest.mark.parametrize("bad", ["", "{bot: {workers: 0}}", "{", "[]", None])
    def test_a_bad_file_changes_nothing(self, bad: str | None, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_text("{bot: {admin_users: ['@a:b'], load_plugins: true}}")
        config = Config(path)
        before, warnings = config.now, config.warnings
        if bad is None:
            path.unlink()
        else:
            path.write_text(bad)
        with pytest.raises(ConfigError):
            config.load()
        assert config.now is before
        assert config.warnings == warnings
        assert not config.missing

    def test_load_swaps(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        config = Config(str(path))
        before = config.now
        path.write_text("{bot: {workers: 3}}")
        assert config.load() is config.now
        assert config.now.bot.workers == 3
        assert before.bot.workers == 64
        assert not config.missing

    def test_overrides_are_added_and_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_text("{bot: {admin_users: ['@a:b', '@c:d'], allowed_rooms: ['!r:b']}}")
        overrides = Overrides(admins=("@e:f", "@a:b"), rooms=("#x:y",), no_greetings=True)
        config = Config(path, overrides=overrides)
        for settings in (config.now, config.load()):
            assert settings.bot.admin_users == ("@a:b", "@c:d", "@e:f")
            assert settings.bot.allowed_rooms == ("!r:b", "#x:y")
            assert not settings.bot.greetings_enabled
        assert Config(tmp_path / "none", overrides=overrides).now.bot.admin_users == ("@e:f", "@a:b")

    def test_bad_overrides(self, tmp_path: Path) -> None:
        with pytest.raises(BadFileError) as caught:
            Config(tmp_path / "none", overrides=Overrides(admins=("bob",), rooms=("ops",)))
        assert caught.value.problems[0].startswith('option -a: expected user ids like "@name:example.org"')
        assert caught.value.problems[1].startswith("option -r: expected rooms like")


FULL = Settings(
    matrix=MatrixSettings(user_id="@bot:h.org", homeserver="https://h.org/x", password="pw-1", access_token="at-22"),
    semaphore=SemaphoreSettings(url="https://me:url-pw@s.org:3000", api_token="api-333"),
    bot=BotSettings(admin_users=("@a:h.org", "*"), allowed_rooms=("!r:h.org",), greeting_rooms=("#g:h.org",)),
)


class TestShow:
    def test_secrets_are_masked(self) -> None:
        text = show(FULL)
        assert not [secret for secret in secrets(FULL) if secret in text]
        shown = json.loads(text)
        assert shown["matrix"]["password"] == "********"
        assert shown["semaphore"]["url"] == "https://me:********@s.org:3000"
        assert shown["bot"]["admin_users"] == ["@a:h.org", "*"]
        assert set(shown) == set(SECTIONS)
        assert {f"{section}.{key}" for section in shown for key in shown[section]} == ALL_KEYS

    def test_empty_secrets_are_seen_to_be_empty(self) -> None:
        assert json.loads(show(Settings()))["matrix"]["password"] == ""

    def test_ids(self) -> None:
        text = show(FULL, redact_ids=True)
        assert "h.org" not in text
        assert "s.org" not in text
        shown = json.loads(text)
        assert shown["bot"]["admin_users"] == ["[user]", "*"]
        assert shown["bot"]["allowed_rooms"] == ["[room]"]
        assert shown["matrix"]["homeserver"] == "https://[host]/x"
        assert shown["matrix"]["user_id"] == "[user]"

    def test_rooms_in_tables(self) -> None:
        bot = BotSettings(admin_room="!adm:h.org", tones={"!r:h.org": "terse", "*": "silent"})
        assert "h.org" not in show(Settings(bot=bot), redact_ids=True)
        assert json.loads(show(Settings(bot=bot)))["bot"]["tones"] == {"!r:h.org": "terse", "*": "silent"}

    def test_inner_keys_are_shown_one_by_one(self) -> None:
        before = shown(Settings(bot=BotSettings(tones={"!r:h.org": "terse"})))
        after = shown(Settings(bot=BotSettings(reload=ReloadSettings(slow=9.0))))
        changed = {key for key in {**before, **after} if before.get(key) != after.get(key)}
        assert changed == {"bot.tones.!r:h.org", "bot.reload.slow"}

    def test_secrets_in_force(self) -> None:
        assert secrets(FULL) == ("api-333", "url-pw", "at-22", "pw-1")
        assert secrets(Settings()) == ()

    def test_settings_are_untouched(self) -> None:
        before = msgspec.json.encode(FULL)
        show(FULL, redact_ids=True)
        assert msgspec.json.encode(FULL) == before


@pytest.mark.parametrize(
    ("matrix", "semaphore", "named"),
    [
        ({}, {}, ["matrix.user_id", "matrix.password", "semaphore.url", "semaphore.api_token"]),
        (MATRIX, SEMAPHORE, []),
        ({**MATRIX, "homeserver": ""}, SEMAPHORE, ["matrix.homeserver"]),
        ({**MATRIX, "auth_type": "token"}, SEMAPHORE, ["matrix.access_token"]),
        ({**MATRIX, "auth_type": "oidc", "password": ""}, SEMAPHORE, ["matrix.auth_type"]),
        ({**MATRIX, "password": ""}, SEMAPHORE, ["matrix.password"]),
    ],
)
def test_missing_keys(matrix: dict[str, Any], semaphore: dict[str, Any], named: list[str]) -> None:
    sentences = missing_keys(Settings(matrix=MatrixSettings(**matrix), semaphore=SemaphoreSettings(**semaphore)))
    assert [sentence.split()[1].rstrip(":") for sentence in sentences] == named


def test_a_login_that_cannot_work_is_said_before_the_start() -> None:
    """ChatrixCD had it; `check` would else find such a file good, and the bot would end with it."""
    (told,) = warned('{"matrix": {"auth_type": "oidc"}}')
    assert told.startswith("config.json line 1: the bot cannot log in with this: set matrix.auth_type to ")


def test_example_has_every_key_and_the_defaults() -> None:
    document = parse(read(EXAMPLE), str(EXAMPLE))
    settings, warnings = check(document)
    assert warnings == ()
    assert {f"{section}.{key}" for section in SECTIONS for key in document.data[section]} == ALL_KEYS
    changed = {name for name in ALL_KEYS if value_of(settings, name) != value_of(Settings(), name)}
    assert changed == {"matrix.homeserver", "matrix.user_id"}


def test_tables_name_real_keys() -> None:
    inner = {f"bot.reload.{key}" for key in ReloadSettings.__struct_fields__}
    assert set(keys.RULES) <= ALL_KEYS | inner
    assert set(keys.DESCRIPTIONS) == set(SECTIONS) | ALL_KEYS | inner
    assert set(keys.TABLES) <= set(keys.RULES)
    assert keys.UNSHOWN | keys.EMPTY_IS_DEFAULT <= ALL_KEYS
    assert not set(keys.WITHOUT_EFFECT) & ALL_KEYS


SOME_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@effort(deadline=None)
@given(st.sampled_from(sorted(ALL_KEYS)), SOME_VALUES)
def test_any_value_is_taken_or_refused(name: str, value: object) -> None:
    section, key = name.split(".")
    try:
        settings = loaded(json.dumps({section: {key: value}}))
    except ConfigError as caught:
        sentence = caught.sentence
    else:
        sentence = "config.json line 1"
        _used(settings)
    assert sentence.startswith("config.json line 1")


def _used(settings: Settings) -> None:
    msgspec.convert(msgspec.to_builtins(settings), Settings)
    show(settings)
    show(settings, redact_ids=True)


def test_an_alias_among_the_rooms_is_warned_of() -> None:
    (warning,) = warned('{bot: {\n allowed_rooms: ["!a:b", "#ops:example.org"]\n}}')
    assert "line 2" in warning
    assert "#ops:example.org is an alias and fits no room" in warning
