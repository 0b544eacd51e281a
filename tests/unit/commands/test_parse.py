"""From the body of a message to words: what is a command, what is an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrixcd_threads.commands.parse import (
    NO,
    NO_REACTIONS,
    YES,
    YES_REACTIONS,
    command_line,
    verdict_of_reaction,
    verdict_of_word,
    without_quote,
    words,
)
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.errors import UsageError


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("!cd", ""),
        ("!cd ", ""),
        ("!cd help", "help"),
        ("!CD Help", "Help"),
        ("  \n !cd run 1 5  ", "run 1 5"),
        ("!cd\thelp", "help"),
        ("!cd\u00a0help", "help"),
        ("`!cd help`", "help"),
        ("``!cd status 42``", "status 42"),
        ("!cd run\nand this is a comment", "run"),
        ("!cd run\r\nrest", "run"),
        ("!cd run —limit web", "run --limit web"),
        ("!cd run “my project” 5", 'run "my project" 5'),
        ("!cd run „my project“ 5", 'run "my project" 5'),
        ("!cd run ‘my project’", "run 'my project'"),
        ("!cdrun", None),
        ("!cd-run", None),
        ("!cd,help", None),
        ("x !cd help", None),
        ("cd help", None),
        ("", None),
        ("\n\n", None),
        ("hello\n!cd exit", None),
        ("> !cd exit\n\nno", None),
        ("```\n!cd exit\n```", None),
    ],
)
def test_what_is_a_command(body: str, line: str | None) -> None:
    assert command_line(body, "!cd") == line


@pytest.mark.parametrize("prefix", ["!ci", "bot:", "/", "🤖", "straße"])
def test_any_prefix(prefix: str) -> None:
    assert command_line(f"{prefix} help", prefix) == "help"
    assert command_line(f"{prefix.upper()} help", prefix.upper()) == "help"
    assert command_line(f"{prefix}help", prefix) is None


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        ("> <@a:x> what\n> more\n\nyes", "yes"),
        ("> quoted\nyes", "yes"),
        ("yes", "yes"),
        ("yes\n> not a quote any more", "yes\n> not a quote any more"),
        ("> only a quote", ""),
        ("", ""),
        ("\nyes", "\nyes"),
    ],
)
def test_replies_without_their_quote(body: str, rest: str) -> None:
    assert without_quote(body) == rest


@pytest.mark.parametrize("word", sorted(YES | NO))
def test_words_that_answer(word: str) -> None:
    expected = "yes" if word in YES else "no"
    for form in (word, word.upper(), f" {word}. ", f"{word}!", f"{word}\n"):
        assert verdict_of_word(form) == expected
    for other in (f"{word} please", f"not {word}", f"{word}?", f"{word}{word}", f"“{word}”"):
        assert verdict_of_word(other) is None


def test_yes_and_no_have_nothing_in_common() -> None:
    assert not YES & NO
    assert not YES_REACTIONS & NO_REACTIONS


@pytest.mark.parametrize("key", sorted(YES_REACTIONS | NO_REACTIONS))
@pytest.mark.parametrize("modifier", ["", "\ufe0f", "\U0001f3fb", "\U0001f3fd", "\U0001f3ff", "\U0001f3ff\ufe0f"])
def test_reactions_in_every_skin(key: str, modifier: str) -> None:
    assert verdict_of_reaction(key + modifier) == ("yes" if key in YES_REACTIONS else "no")


@pytest.mark.parametrize("number", range(1, 10))
def test_reactions_with_a_number(number: int) -> None:
    assert verdict_of_reaction(f"{number}\ufe0f\u20e3") == verdict_of_reaction(f"{number}\u20e3") == str(number)


@pytest.mark.parametrize("key", ["", "👀", "👍👎", "👍👍", "yes", "\U0001f3ff", "None", "1", "0️⃣", "🔟", "1️⃣2️⃣"])
def test_other_reactions_are_no_answers(key: str) -> None:
    assert verdict_of_reaction(key) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("run 1 5", ["run", "1", "5"]),
        ("run \"my project\" 'x y'", ["run", "my project", "x y"]),
        ("run # 5", ["run", "#", "5"]),
        (r"run my\ project", ["run", "my project"]),
        ('run ""', ["run", ""]),
    ],
)
def test_words_of_a_line(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('run "x', "quotation mark that is not closed"),
        ("run 'x", "quotation mark"),
        ("run x\\", "backslash at the end"),
    ],
)
def test_what_cannot_be_split_is_refused_never_guessed(line: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        words(line)


typed = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                *commands(),
                "1",
                "-5",
                "--limit=web",
                "-x",
                "join",
                "leave",
                '"',
                "'",
                "\\",
                "#42",
                "—",
                "“a b”",
                "\n",
                "\ud800",
            ]
        ),
        max_size=8,
    ).map(" ".join),
)


@given(body=typed)
def test_no_body_breaks_anything(body: str) -> None:
    line = command_line(f"!cd {body}", "!cd")
    assert line is not None
    assert command_line(body, "!cd") is None or body.strip().strip("`").strip().casefold().startswith("!cd")
    verdict_of_word(body)
    verdict_of_reaction(body)
    without_quote(body)
    sentences = []
    try:
        given_words = words(line)
        for each in commands().values():
            values = each.bind(given_words[1:], "!cd")
            assert set(values) <= {arg.name for arg in each.args}
            each.right_for(values)
        find(given_words[0] if given_words else "", "!cd")
    except UsageError as refused:
        sentences.append(refused.sentence)
    assert all(sentence.startswith("I did nothing") for sentence in sentences)
