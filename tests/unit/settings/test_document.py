"""Taking settings files apart: what is understood, and where each refusal points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import MAX_CHARACTERS, BadFileError, parse, read


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{}", {}),
        ('\ufeff{"a": "ä"}', {"a": "ä"}),
        ('{"a": [1, 2,], "b": {},}', {"a": [1, 2], "b": {}}),
        ("// one\n# two\n/* three\n */ {a: 1 // four\n b: true # five\n}", {"a": 1, "b": True}),
        (
            "{\n  key: a text without quotes\n  'single': 'quotes'\n}",
            {"key": "a text without quotes", "single": "quotes"},
        ),
        ("{\n  a: '''\n     one\n       two\n     '''\n}", {"a": "one\n  two"}),
        ("a: '''one\n     two'''", {"a": "one\n  two"}),
        ("matrix: {user_id: '@a:b'}\nbot: {}", {"matrix": {"user_id": "@a:b"}, "bot": {}}),
        ("{a: null, b: false, c: -1.5e2, d: 15.0, e: 0.5, f: 1e400x\n}", None),
        ("{a: null, b: false, c: -1.5e2, d: 15.0, e: 0.5}", {"a": None, "b": False, "c": -150, "d": 15, "e": 0.5}),
        ('{"a": "x"\n "b": "y"}', {"a": "x", "b": "y"}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a":\r\n 1\r\n}\r\n', {"a": 1}),
        ("{a: https://example.org\n}", {"a": "https://example.org"}),
    ],
)
def test_understood(text: str, data: dict[str, Any] | None) -> None:
    if data is None:
        data = {"a": None, "b": False, "c": -150, "d": 15, "e": 0.5, "f": "1e400x"}
    document = parse(text, "config.json")
    assert document.data == data
    assert type(document.data) is dict


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "the file holds nothing"),
        ("  \n\t\n", 1, 1, "the file holds nothing"),
        ("// only a comment\n", 1, 1, "the file holds nothing"),
        ("[1]", 1, 1, "must hold an object"),
        ("5", 1, 1, "must hold an object"),
        ("true", 1, 1, "must hold an object"),
        ('{"a": 1,\n "b": 2,\n "a": 3}', 3, 2, 'the key "a" was already given in line 1'),
        ('{"s": {"a": 1,\n"a": 1}}', 2, 1, "already given in line 1"),
        ("{\n a: NaN\n}", 2, 5, '"NaN" is not a number'),
        ("{\n a: -Infinity, b: 2\n}", 2, 5, "is not a number"),
        ("{\n a: 1e999\n}", 2, 5, "too large"),
        ("{a: " + "9" * 5000 + "}", 1, 5, "too many digits"),
        ('{\n "a: 1,\n "b": 2\n}', 2, 2, "not closed on its line"),
        ('{\n "a": "b,\n "c": 2\n}', 2, 7, "not closed on its line"),
        ('{"a": "x\ty"}', 1, 9, "control character"),
        ('{\n"a": "C:\\data"\n}', 2, 10, "a plain backslash is written \\\\"),
        ('{"a": "\\u12"}', 1, 8, "hexadecimal"),
        ('{"a": "\\u-123"}', 1, 7, "hexadecimal"),
        ('{"a": "\\ud83d"}', 1, 7, "stands alone"),
        ('{"a": 1', 1, 8, "the { of line 1 is never closed"),
        ('{\n"s": {\n"a": 1\n}\n', 6, 0, "the { of line 1 is never closed"),
        ('{"a": [1,\n', None, None, "the [ of line 1 is never closed"),
        ('{"a":', 1, 6, "a value was expected"),
        ('{"a": }', 1, 7, "a value was expected before this }"),
        ('{"a" 1}', 1, 6, 'a : was expected after the key "a"'),
        ("{a b: 1}", 1, None, "needs quotes"),
        ("{: 1}", 1, 2, "no key before it"),
        ('{"a": 1}}', 1, 9, "something after the end"),
        ('{"a": 1 /* never', 1, 9, "never closed"),
        ("/*", 1, 1, "never closed"),
        ("{a: '''x", 1, 5, "never closed"),
        ("{a: '''", 1, 5, "never closed"),
        ("{a: 1\0}", 1, 6, "NUL"),
        ("{a:" + "[" * 100 + "]" * 100 + "}", 1, None, "deep"),
        ("{a:" * 5000, 1, None, "deep"),
    ],
)
def test_refused(text: str, line: int | None, column: int | None, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "some/config.json")
    error = caught.value
    assert isinstance(error, BadFileError)
    assert reason in error.sentence
    assert error.sentence.startswith(f"some/config.json line {error.line} column {error.column}: ")
    assert error.problems == (error.sentence,)
    if line is not None and column != 0:
        assert error.line == line
    if column:
        assert error.column == column


def test_lines() -> None:
    document = parse('{\n "bot": {\n  "admin_users": [\n   "@a:b",\n   "@c:d"\n  ]\n }\n}', "config.json")
    assert document.line_of(("bot",)) == 2
    assert document.line_of(("bot", "admin_users")) == 3
    assert document.line_of(("bot", "admin_users", 1)) == 5
    assert document.line_of(("bot", "nothing")) is None
    assert parse("{a: 1}", "x").line_of(("a",)) == 1


def test_swallowed_comma() -> None:
    document = parse("{\n a: abc,\n b: abc // why\n c: https://x.y\n d: 'abc',\n e: abc #1\n}", "config.json")
    assert document.swallowed == (("a",), ("b",), ("e",))


def test_too_big() -> None:
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        parse(" " * (MAX_CHARACTERS + 1), "config.json")


@pytest.mark.parametrize("unit", ["n,", "1,", "'", "{", "a:", "[", "\\", "/*", '"', "a ", "#", ","])
@pytest.mark.timeout(20)
def test_long_files_end_soon(unit: str) -> None:
    for head in ("{a: ", "{a: '", "{", "{a: [", "a: "):
        try:
            parse((head + unit * MAX_CHARACTERS)[:MAX_CHARACTERS], "config.json")
        except ConfigError:
            continue


@pytest.mark.timeout(20)
def test_a_line_full_of_blanks_ends_soon() -> None:
    for value in ("x", "1", "nan"):
        text = f"{{a: {value}{' ' * (MAX_CHARACTERS - 20)}y\n}}"
        assert parse(text, "config.json").swallowed == ()


class TestRead:
    def test_text(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa4"}')
        assert read(tmp_path / "f") == '{"a": "ä"}'

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "f")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not a file"):
            read(tmp_path)

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("{}")
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / "f" / "g")

    def test_not_utf8(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b'{\n  "a": "\xe4"}')
        with pytest.raises(ConfigError, match="line 2 column 9: this is not UTF-8") as caught:
            read(tmp_path / "f")
        assert isinstance(caught.value, BadFileError)
        assert (caught.value.line, caught.value.column) == (2, 9)

    def test_too_big(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b" " * (5 * MAX_CHARACTERS))
        with pytest.raises(ConfigError, match="larger than"):
            read(tmp_path / "f")


PIECES = ["{", "}", "[", "]", ":", ",", '"', "'", "'''", "\\", "\\u", "//", "/*", "*/", "#", "\n", "\r", " ", "\t"]
PIECES += ["a", "bot", "null", "true", "NaN", "-1", "1e9", "1e999", "0.5", "\0", "\ufeff", "ä", "\\ud800", "😀"]


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_never_anything_but_config_error(text: str) -> None:
    try:
        sentence = "config.json line " + json.dumps(parse(text, "config.json").data, allow_nan=False)
    except ConfigError as caught:
        sentence = caught.sentence
    assert sentence.startswith("config.json line ")
    sentence.encode()


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_same_values_as_hjson(text: str) -> None:
    try:
        ours = parse("{" + text, "config.json").data
    except ConfigError:
        return
    assert json.dumps(ours) == json.dumps(hjson.loads("\n{" + text.replace("\r\n", "\n").replace("\r", "\n")))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES))
def test_all_json_is_understood(data: dict[str, Any]) -> None:
    text = json.dumps(data)
    if "\\u0000" not in text:
        assert parse(text, "x").data == data
        assert parse(json.dumps(data, indent=1), "x").data == data
