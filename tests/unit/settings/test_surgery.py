"""Adding a key to a text and taking one out: every other character stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import parse
from chatrixcd_threads.settings.surgery import with_member, without_member


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "n": "c"\n}'),
        ("{\n}\n", '{\n  "n": "c"\n}\n'),
        ("{\n  // none yet\n}\n", '{\n  // none yet\n  "n": "c"\n}\n'),
        ("{ /* none */ }", '{ /* none */ \n  "n": "c"\n}'),
        ('{"a": "b"}', '{"a": "b", "n": "c"}'),
        ('{"a": "b",}', '{"a": "b", "n": "c",}'),
        ('{\n    "a": "b"\n}', '{\n    "a": "b",\n    "n": "c"\n}'),
        ('{\n\t"a": "b", // why\n}', '{\n\t"a": "b", // why\n\t"n": "c",\n}'),
        ('{\n  "a": "b" // why\n}', '{\n  "a": "b", // why\n  "n": "c"\n}'),
        ('{\n  "a": "b"\n  // "old": "x"\n}', '{\n  "a": "b",\n  "n": "c"\n  // "old": "x"\n}'),
        ('{\r\n  "a": "b"\r\n}\r\n', '{\r\n  "a": "b",\r\n  "n": "c"\r\n}\r\n'),
        ("{\n  a: run 4, 5\n}", '{\n  a: run 4, 5\n  "n": "c"\n}'),
        ("a: b\n", 'a: b\n"n": "c"\n'),
        ("a: b", 'a: b\n"n": "c"\n'),
        ("a: '''\n  x\n  '''", "a: '''\n  x\n  '''\n\"n\": \"c\"\n"),
        ('{"a": "b" /* two\nlines */ }', '{"a": "b", /* two\nlines */ \n  "n": "c"\n}'),
        ('\ufeff{"a": "b"}', '\ufeff{"a": "b", "n": "c"}'),
        ('{"a": {"x": 1}}', '{"a": {"x": 1}, "n": "c"}'),
    ],
)
def test_added(before: str, after: str) -> None:
    added = with_member(before, "aliases.json", "n", "c")
    assert added == after
    assert parse(added, "").data == {**parse(before, "").data, "n": "c"}


def without_blanks(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"n": "c"}', "{}"),
        ('{"n": "c",}', "{}"),
        ('{"a": "b", "n": "c"}', '{"a": "b"}'),
        ('{"a": "b", "n": "c",}', '{"a": "b", }'),
        ('{"n": "c", "a": "b"}', '{"a": "b"}'),
        ('{"a": 1, "n": "c", "b": 2}', '{"a": 1, "b": 2}'),
        ('{\n  "a": "b",\n  "n": "c"\n}', '{\n  "a": "b"\n}'),
        ('{\n  "a": "b", // why\n  "n": "c"\n}', '{\n  "a": "b" // why\n}'),
        ('{\n  // of n\n  "n": "c", // behind n\n  "a": 1\n}', '{\n  // of n\n  // behind n\n  "a": 1\n}'),
        ('{\n  "n": "c" /* x */, \n  "a": 1\n}', '{\n  /* x */ \n  "a": 1\n}'),
        ('{\r\n  "a": "b",\r\n  "n": "c"\r\n}', '{\r\n  "a": "b"\r\n}'),
        ("{\n  n: run 4, 5\n  a: b\n}", "{\n  a: b\n}"),
        ("n: c\na: b", "a: b"),
        ("a: b\nn: c", "a: b\n"),
        ("{\n  n: '''\n   x\n   y'''\n}", "{\n}"),
    ],
)
def test_taken_out(before: str, after: str) -> None:
    assert without_member(before, "aliases.json", "n") == after


def test_a_comment_inside_is_not_lost() -> None:
    with pytest.raises(ConfigError, match="a comment stands inside"):
        without_member('{"n": /* why */ "c"}', "aliases.json", "n")
    with pytest.raises(ConfigError, match="a comment stands inside"):
        without_member('{"n" // why\n : "c"}', "aliases.json", "n")


BLANK = st.sampled_from(["", " ", "\n", "  \n\t", "\r\n", " // c, {\n", " # '\"\n", "/* a\n , } */", "\n\n"])
KEYS = st.sampled_from(["a", "b", "_x", "$schema", "Größe", 'q"uote', "c:d"])
VALUES = st.sampled_from(["x", "run 1 {1}", "a, b // no comment", "}", 'ä\\ "q" \''])


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files in many styles: spare commas, none, comments anywhere, one line or many."""
    keys = draw(st.lists(KEYS, unique=True, max_size=4))
    text = draw(BLANK) + "{" + draw(BLANK)
    for number, key in enumerate(keys):
        value = draw(VALUES)
        style = draw(st.sampled_from(["json", "json", "single", "lines", "bare"]))
        if style == "single" and "'" not in value:
            written = "'" + value.replace("\\", "\\\\") + "'"
        elif style == "lines":
            written = f"'''{value} '''"
        elif style == "bare":
            written = "plain words\n"
        else:
            written = json.dumps(value, ensure_ascii=draw(st.booleans()))
        text += json.dumps(key) + draw(BLANK) + ":" + draw(st.sampled_from([" ", "", " /* v */ "])) + written
        text += draw(BLANK)
        last = number == len(keys) - 1
        text += "," if style != "bare" and (not last or draw(st.booleans())) else ""
        text += draw(BLANK)
    return text + "}" + draw(BLANK)


def is_part_of(part: str, whole: str) -> bool:
    """Every character of `part` stands in `whole`, in this order."""
    left = iter(whole)
    return all(character in left for character in part)


@settings(deadline=None)
@given(files(), VALUES)
def test_adding_keeps_every_character(text: str, value: str) -> None:
    before = parse(text, "").data
    added = with_member(text, "", "new", value)
    assert list(parse(added, "").data.items()) == [*before.items(), ("new", value)]
    assert is_part_of(text, added)
    member = f'"new": {json.dumps(value, ensure_ascii=False)}'
    rest = added.replace(member, "", 1)
    assert len(rest) - len(text) <= 8  # a comma, a line break, an indent
    assert without_blanks(rest).replace(",", "") == without_blanks(text).replace(",", "")


@settings(deadline=None)
@given(files(), st.integers(0, 3))
def test_taking_out_keeps_all_the_rest(text: str, index: int) -> None:
    document = parse(text, "")
    if index >= len(document.members):
        return
    gone = document.members[index]
    try:
        left = without_member(text, "", gone.key)
    except ConfigError as caught:
        left, problem = "", caught.sentence
    else:
        problem = ""
    if problem:
        assert "a comment stands inside" in problem
        return
    assert list(parse(left, "").data.items()) == [item for item in document.data.items() if item[0] != gone.key]
    assert is_part_of(left, text)
    kept = text[: gone.start] + text[gone.end :]
    assert without_blanks(left).replace(",", "") == without_blanks(kept).replace(",", "")
    for other in document.members:
        if other is not gone:
            assert text[other.start : other.end] in left


@settings(deadline=None)
@given(files(), VALUES)
def test_adding_and_taking_out_again(text: str, value: str) -> None:
    again = without_member(with_member(text, "", "new", value), "", "new")
    assert parse(again, "").data == parse(text, "").data
    assert without_blanks(again) == without_blanks(text)
