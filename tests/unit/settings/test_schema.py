"""The schemas: in step with the code, right about the example files, never stricter than the check; and the check of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import aliases, config, keys, schema, texts
from chatrixcd_threads.settings.document import parse, read

CONFIG = Path(__file__).parents[3] / "config"
VALIDATORS = {kind: Draft202012Validator(schema.schema(kind)) for kind in schema.KINDS}
KEYS = sorted(f"{section}.{key}" for section, fields in config.fields_by_section().items() for key in fields)


def fits(kind: str, data: object) -> bool:
    return bool(VALIDATORS[kind].is_valid(data))


@pytest.mark.parametrize("kind", schema.KINDS)
def test_in_step(kind: str) -> None:
    Draft202012Validator.check_schema(schema.schema(kind))
    written = (CONFIG / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert written == schema.schema_text(kind), f"python -m chatrixcd_threads schema {kind} > config/schema/…"


@pytest.mark.parametrize("kind", schema.KINDS)
def test_examples_and_packs_fit(kind: str) -> None:
    files = [CONFIG / f"{kind}.json.example", *(sorted(texts.PACKS.glob("*.json")) if kind == "messages" else [])]
    for file in files:
        VALIDATORS[kind].validate(parse(read(file), str(file)).data)


def test_the_example_aliases_name_real_commands() -> None:
    found, warnings = aliases.check(parse(read(CONFIG / "aliases.json.example"), ""), commands())
    assert len(found) >= 4
    assert warnings == ()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("config", {"bot": {"workers": 0}}),
        ("config", {"bot": {"workers": "4"}}),
        ("config", {"bot": {"wrokers": 4}}),
        ("config", {"bto": {}}),
        ("config", {"bot": {"admin_users": ["bob"]}}),
        ("config", {"bot": {"tones": {"!a:b": "loud"}}}),
        ("config", {"bot": {"tones": {"ops": "terse"}}}),
        ("config", {"bot": {"reload": {"slow": 0}}}),
        ("config", {"matrix": {"auth_type": "pasword"}}),
        ("config", {"semaphore": {"url": "example.org"}}),
        ("aliases", {"a b": "run"}),
        ("aliases", {"a": ""}),
        ("aliases", {"a": 5}),
        ("messages", {"pets": ["x"]}),
        ("messages", {"pet": "x"}),
        ("messages", {"pet": []}),
        ("messages", {"pet": [" "]}),
        ("messages", {"pet": ["{name}"]}),
        ("messages", {"pet": ["lone {"]}),
        ("messages", {"pet": ["{user_name!r}"]}),
    ],
)
def test_what_does_not_fit(kind: str, data: object) -> None:
    assert not fits(kind, data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("config", {"$schema": "x", "_config_version": 5, "_note": [1], "plugins": {}, "bot": None}),
        ("config", {"bot": {"workers": None, "tones": {"*": "silent"}, "tui_mode": "x", "color_theme": None}}),
        ("aliases", {"$schema": "x", "_note": 5, "ps": "status {1}"}),
        ("messages", {"$schema": "x", "_note": 5, "pet": None, "cancel": ["{{x}} {task_name}\n{user_name}"]}),
    ],
)
def test_what_fits(kind: str, data: object) -> None:
    assert fits(kind, data)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["", "*", "@a:b", "!a:b", "#a:b", "http://a", "HTTPS://[::1]:3", "urn:x y", "!cd", "terse", "token"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["*", "!a:b", "slow", "x"]), inner),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(KEYS), VALUES)
def test_what_the_bot_takes_the_schema_takes(name: str, value: object) -> None:
    data: Any = value
    for part in reversed(name.split(".")):
        data = {part: data}
    text = json.dumps(data)
    try:
        config.check(parse(text, "config.json"))
    except ConfigError:
        return
    VALIDATORS["config"].validate(parse(text, "config.json").data)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(texts.PLACEHOLDERS)),
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.lists(st.sampled_from(["{", "}", "a", "user_name", "{name}", " "])).map("".join),
)
def test_messages_fit_exactly(category: str, text: str) -> None:
    data = {category: [text]}
    try:
        texts.check(parse(json.dumps(data), ""))
        taken = True
    except ConfigError:
        taken = False
    assert fits("messages", data) == taken


def test_every_rule_has_a_form() -> None:
    without = {name for name, rule in keys.RULES.items() if not rule.form}
    assert without == {"bot.startup_message", "bot.shutdown_message"}


class TestCommandLine:
    def test_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert schema.print_schema("aliases") == 0
        assert json.loads(capsys.readouterr().out) == schema.schema("aliases")
        assert schema.print_schema("nothing") == 1
        assert "There are config, aliases, messages" in capsys.readouterr().err

    def test_what_must_still_be_set_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "config.json"
        path.write_text(
            '{"matrix": {"user_id": "@bot:x", "password": "p"}, "semaphore": {"url": "https://s.example.org"}}'
        )
        assert schema.check_files([path]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == f"{path}: good"
        assert second.startswith(f"{path}: the bot does not start with it yet. Set semaphore.api_token")

    def test_good_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        files = [CONFIG / f"{kind}.json.example" for kind in schema.KINDS] + [CONFIG / "packs" / "terse.json"]
        assert schema.check_files(files, builtins=commands()) == 0
        assert capsys.readouterr().out.count(": good\n") == 4

    def test_bad_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "config.json").write_text("{\nbot: {workers: 0}}")
        (tmp_path / "aliases.json").write_text('{"a": "b"}')
        (tmp_path / "other.json").write_text("{pet: ['x']}")
        assert schema.check_files([tmp_path / "config.json"]) == 1
        assert "config.json line 2: bot.workers: expected" in capsys.readouterr().err
        assert schema.check_files([tmp_path / "aliases.json"], builtins={"run"}) == 1
        assert "there is no command or alias b" in capsys.readouterr().err
        assert schema.check_files([tmp_path / "other.json"]) == 1
        assert "--kind" in capsys.readouterr().err
        assert schema.check_files([tmp_path / "other.json"], "messages") == 0
        assert schema.check_files([tmp_path / "messages.json"]) == 1
        assert "there is no such file" in capsys.readouterr().err

    def test_the_files_of_this_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert schema.check_files([]) == 1
        (tmp_path / "messages.json").write_text("{}")
        assert schema.check_files([]) == 0
