"""The playful texts: which files are taken, and that no value gets out of its place."""

from __future__ import annotations

import random
import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatrixcd_threads.settings.document import BadFileError, parse, read
from chatrixcd_threads.settings.hot import Version
from chatrixcd_threads.settings.messages import DEFAULT_MESSAGES, PLACEHOLDERS, MessageManager, check, cut, escape

EXAMPLE = Path(__file__).parents[3] / "config" / "messages.json.example"
CATEGORIES = ["greetings", "brush_off", "cancel", "timeout", "task_start", "ping_success", "pet", "scold"]


def test_defaults() -> None:
    assert sorted(DEFAULT_MESSAGES) == sorted(PLACEHOLDERS) == sorted(CATEGORIES)
    for category, texts in DEFAULT_MESSAGES.items():
        assert len(texts) == len(set(texts)) >= 6
        for text in texts:
            assert {field for _, field in cut(text) if field} <= PLACEHOLDERS[category]


@pytest.mark.parametrize(
    ("content", "category", "texts"),
    [
        ("{pet: ['Hm, {user_name}.']}", "pet", ("Hm, {user_name}.",)),
        ("{pet: ['a {{b}} c']}", "pet", ("a {{b}} c",)),
        ("{cancel: ['x']}", "pet", DEFAULT_MESSAGES["pet"]),
        ("{pet: null}", "pet", DEFAULT_MESSAGES["pet"]),
        ('{"$schema": 1, "_comment": ["{"], "pet": ["x"]}', "pet", ("x",)),
        ("{}", "pet", DEFAULT_MESSAGES["pet"]),
    ],
)
def test_taken(content: str, category: str, texts: tuple[str, ...]) -> None:
    assert check(parse(content, "messages.json"))[category] == texts


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{\n greeting: ['x']\n}", "messages.json line 2: unknown category 'greeting' (did you mean greetings?)"),
        ("{\n pet: 'x'\n}", "messages.json line 2: pet: expected a list of texts, got a text"),
        ("{pet: 5}", "messages.json line 1: pet: expected a list of texts, got a number"),
        ("{pet: {}}", "messages.json line 1: pet: expected a list of texts, got an object"),
        ("{pet: []}", "messages.json line 1: pet: the list is empty"),
        ("{pet: ['x',\n 5]}", "messages.json line 2: pet: expected a text, got a number"),
        ("{pet: ['x',\n null]}", "messages.json line 2: pet: expected a text, got null"),
        ("{pet: [' ']}", "a text is empty"),
        ("{pet: ['a',\n 'b',\n 'lone { brace']}", "messages.json line 3: pet: a lone { or } stands in it"),
        ("{pet: ['lone } brace']}", "a lone { or }"),
        ("{pet: ['{']}", "a lone { or }"),
        ("{pet: ['{}']}", "not a plain placeholder"),
        ("{pet: ['{0}']}", "not a plain placeholder"),
        ("{pet: ['{user_name.__class__}']}", "not a plain placeholder"),
        ("{pet: ['{user_name[0]}']}", "not a plain placeholder"),
        ("{pet: ['{user_name!r}']}", "not a plain placeholder"),
        ("{pet: ['{user_name:>99999999}']}", "not a plain placeholder"),
        ("{pet: ['{user_name:{user_name}}']}", "not a plain placeholder"),
        ("{pet: ['{username}']}", "unknown placeholder {username} (did you mean {user_name}?)"),
        ("{cancel: ['{zzz}']}", "unknown placeholder {zzz} (here stand {task_name} and {user_name})"),
        ("{pet: ['" + "x" * 2001 + "']}", "longer than 2000"),
    ],
)
def test_refused(content: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as caught:
        check(parse(content, "messages.json"))
    assert sentence in caught.value.sentence
    assert len(caught.value.problems) == 1


def test_all_problems_at_once() -> None:
    with pytest.raises(BadFileError) as caught:
        check(parse("{\n pat: ['x']\n pet: ['{', '{x}']\n scold: []\n}", "messages.json"))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        f"messages.json line {line}" for line in (2, 3, 3, 4)
    ]


class TestManager:
    def test_missing_file(self, tmp_path: Path) -> None:
        manager = MessageManager(tmp_path / "messages.json")
        assert manager.load_messages() is False
        assert manager.error is None
        assert manager.get_all_messages("pet") == DEFAULT_MESSAGES["pet"]

    def test_bad_file_at_start_means_defaults(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: [")
        manager = MessageManager(path)
        assert manager.error is not None
        assert "never closed" in manager.error.sentence
        assert manager.get_all_messages("pet") == DEFAULT_MESSAGES["pet"]

    def test_bad_file_later_changes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: ['one']}")
        manager = MessageManager(path)
        assert manager.get_all_messages("pet") == ("one",)
        path.write_text("{pet: ['{two']}")
        assert manager.load_messages() is False
        assert manager.error is not None
        assert manager.get_all_messages("pet") == ("one",)
        path.write_text("{pet: ['three']}")
        assert manager.load_messages() is True
        assert manager.error is None
        assert manager.get_random_message("pet", user_name="x") == "three"
        path.unlink()
        assert manager.load_messages() is False
        assert manager.get_all_messages("pet") == ("three",)  # a file that goes away keeps the last good version

    def test_injected_randomness(self, tmp_path: Path) -> None:
        def some() -> list[str]:
            manager = MessageManager(tmp_path / "none", rng=random.Random(7))
            return [manager.get_random_message("pet", user_name="Ada") for _ in range(20)]

        assert some() == some()
        assert len(set(some())) > 3

    def test_values_that_are_not_given(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{cancel: ['{task_name} stays', 'fine'], timeout: ['{task_name} waits']}")
        manager = MessageManager(path)
        assert {manager.get_random_message("cancel") for _ in range(20)} == {"fine"}
        assert manager.get_random_message("timeout") == "— waits"
        assert manager.get_random_message("timeout", task_name=" ", other="x") == "— waits"

    def test_unknown_category_is_a_mistake_in_the_program(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError):
            MessageManager(tmp_path / "none").get_random_message("nothing")

    def test_written_braces(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: ['{{user_name}} {user_name}']}")
        assert MessageManager(path).get_random_message("pet", user_name="{x}") == "{user_name} {x}"


def test_example_loads_and_is_complete() -> None:
    messages = check(parse(read(EXAMPLE), str(EXAMPLE)))
    for category in CATEGORIES:
        assert messages[category] != DEFAULT_MESSAGES[category]


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Deploy web-01 (prod)", "Deploy web-01 (prod)"),
        ("@ann_b:example.org", "@ann\\_b:example.org"),
        ("**bold**", "\\*\\*bold\\*\\*"),
        ("{user_name.__class__}", "{user\\_name.\\_\\_class\\_\\_}"),
        ("1. one", "1\\. one"),
        ("# head", "\\# head"),
        ("a\n\n# b", "a \\# b"),
        ("a\u202eb", "ab"),
        ("  ", ""),
    ],
)
def test_escape(value: str, escaped: str) -> None:
    assert escape(value) == escaped


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
TEMPLATES = sorted({text for texts in DEFAULT_MESSAGES.values() for text in texts})
TEMPLATES += ["{name}", "{name}{name}", "- {name}", "a\n{name}", "1{name}", "*{name}* `x` {name}", "# {name}"]
NASTY = [
    "{",
    "}",
    "{name}",
    "*",
    "_",
    "`",
    "[a](b)",
    "<b>",
    "&amp;",
    "\\",
    "\n",
    "# ",
    "- ",
    "1. ",
    "> ",
    "|",
    "~",
    "=",
]
NASTY += ["!", "\t", "    ", "x", "ä", "---", "http://a.b", "<script>", "{0.__class__}", "%s", "$x", ")", "."]


def said(template: str, value: str) -> str:
    manager = MessageManager("/nonexistent/messages.json")
    manager.hot._version = Version({"pet": (template,)}, None, 0.0)
    return manager.get_random_message("pet", name=value, user_name=value, task_name=value)


def tags(text: str) -> list[str]:
    return re.findall(r"<[^>]*>", MARKDOWN.render(text))


def visible(text: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", MARKDOWN.render(text))).strip()


@settings(deadline=None)
@given(
    st.sampled_from(TEMPLATES),
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.sampled_from(NASTY), max_size=8).map("".join)
    ),
)
def test_no_value_breaks_out(template: str, value: str) -> None:
    text = said(template, value)
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "", re.sub(r"\s+", " ", value)).strip() or "—"
    assert tags(text) == tags(said(template, "word"))
    assert visible(text) == visible(said(template, "word")).replace("word", plain)


@settings(deadline=None)
@given(st.text(), st.sampled_from(CATEGORIES))
def test_no_text_in_the_file_breaks_the_check(text: str, category: str) -> None:
    try:
        pieces = cut(text)
    except ValueError:
        return
    assert all(field is None or field.isidentifier() for _, field in pieces)
