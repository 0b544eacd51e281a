"""Every command is declared so that help, usage errors and pages can be made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatrixcd_threads.commands import reference, verbs
from chatrixcd_threads.commands.declare import Arg, Command, Reply, command
from chatrixcd_threads.commands.parse import words
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.commands.verbs.help import explained
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import text

ALL = pytest.mark.parametrize("each", commands().values(), ids=lambda each: each.name)
ROOT = Path(__file__).parents[3]


@ALL
def test_it_says_what_it_does(each: Command) -> None:
    assert each.summary
    assert not each.summary.endswith(".")
    assert all(arg.help for arg in each.args)
    assert each.deed


@ALL
def test_its_example_is_understood_by_its_own_declaration(each: Command) -> None:
    name, *rest = words(each.example)
    assert find(name, "!cd") is each
    each.bind(rest, "!cd")


@ALL
def test_its_help_is_made_from_the_declaration(each: Command) -> None:
    shown = explained(each, "!cd").plain
    assert f"!cd {each.usage}" in shown
    assert each.summary in shown
    assert f"!cd {each.example}" in shown
    assert all(arg.help in shown for arg in each.args)
    needs_admin = {each.right, *each.rights.values()} - {Right.SEE}
    assert ("bot.admin_users" in shown) == bool(needs_admin)


@ALL
def test_required_arguments_come_first_and_only_the_last_takes_the_rest(each: Command) -> None:
    required = [arg.required for arg in each.args]
    assert required == sorted(required, reverse=True)
    assert not any(arg.rest for arg in each.args[:-1])


@ALL
def test_an_option_it_does_not_have_is_refused(each: Command) -> None:
    with pytest.raises(UsageError, match=f"{each.name} has no option “--nonsense”"):
        each.bind(["--nonsense=yes"], "!cd")


def test_whoever_asks_can_also_act_on_the_answer() -> None:
    """A command that asks has a function for the yes; seen by the type that its function declares."""
    for each in commands().values():
        asks = each.run.__annotations__["return"] in ("Ask", "Answer", "Ask | Reply", "Reply | Ask")
        assert asks == (each.on_yes is not None) or each.name == "confirm", (
            each.name
        )  # its question is the announcement


def test_only_reading_is_open_to_everybody() -> None:
    changing = {name for name, each in commands().items() if {each.right, *each.rights.values()} - {Right.SEE}}
    assert {"run", "stop", "exit", "rooms"} <= changing
    assert not changing & {"help", "ping", "info", "admins", "projects", "templates", "status", "logs", "pet", "scold"}


def test_every_file_in_verbs_is_found() -> None:
    files = {path.stem for path in Path(verbs.__path__[0]).glob("*.py")} - {"__init__"}
    assert len(commands()) == len(files)
    assert list(commands()) == sorted(commands())


@pytest.mark.parametrize("word", ["RUN", "Run", "run"])
def test_a_command_is_found_in_any_case(word: str) -> None:
    assert find(word, "!cd").name == "run"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("rnu", "Did you mean “!cd run”?"), ("tempaltes", "“!cd templates”"), ("halp", "“!cd help”"), ("xyzzy", "")],
)
def test_an_unknown_command_is_named_with_the_nearest_known(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(word, "!cd")
    assert f"“{word}”" in caught.value.sentence
    assert hint in caught.value.sentence
    assert ("Did you mean" in caught.value.sentence) == bool(hint)
    assert "I did nothing" in caught.value.sentence
    assert "!cd help" in caught.value.sentence


def test_hidden_commands_are_not_offered() -> None:
    with pytest.raises(UsageError) as caught:
        find("pett", "!cd")
    assert "“!cd pet”" not in caught.value.sentence


def made(*args: Arg) -> Command:
    return command("try", "tries", args=args)(lambda call: Reply(text("done")))


def test_words_become_named_values() -> None:
    each = made(Arg("one", "1", required=True), Arg("two", "2", choices=("join", "part"), synonyms={"leave": "part"}))
    assert each.bind(["x", "LEAVE"], "!cd") == {"one": "x", "two": "part"}
    assert each.bind(["-5"], "!cd") == {"one": "-5"}
    assert each.usage == "try ONE [join|part]"


def test_the_rest_is_taken_as_one_value() -> None:
    assert made(Arg("one", "1"), Arg("all", "2", rest=True)).bind(["a", "b", "c"], "!cd") == {"one": "a", "all": "b c"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "one is missing"),
        (["x", "jion"], "I do not know “jion”. Did you mean “join”?"),
        (["x", "zzz"], "I do not know “zzz”. Usage"),
        (["x", "join", "more"], "I do not know what to do with “more”"),
        (["-f"], "try has no option “-f”"),
        (["x", "--", "join"], "try has no option “--”"),
    ],
)
def test_what_is_not_understood_changes_nothing_and_is_named(given: list[str], sentence: str) -> None:
    each = made(Arg("one", "1", required=True), Arg("two", "2", choices=("join", "part")))
    with pytest.raises(UsageError) as caught:
        each.bind(given, "!cd")
    assert caught.value.sentence.startswith("I did nothing")
    assert sentence in caught.value.sentence
    assert "Usage: !cd try ONE [join|part]" in caught.value.sentence


def test_help_tells_which_words_need_more() -> None:
    assert (
        "Who may: everybody in this room; add, remove: bot.admin_users."
        in explained(find("aliases", "!cd"), "!cd").plain
    )


def test_a_typing_mistake_is_not_answered_with_every_option() -> None:
    with pytest.raises(UsageError) as caught:
        find("run", "!cd").bind(["--limt"], "!cd")
    assert caught.value.sentence.endswith(
        "Usage: !cd run [PROJECT] [TEMPLATE] [OPTIONS]. !cd help run lists the options."
    )


def test_a_word_may_need_another_right() -> None:
    each = command("try", "tries", args=(Arg("what", "w"),), rights={"hard": Right.MANAGE})(
        lambda call: Reply(text(""))
    )
    assert each.right_for({}) is Right.SEE
    assert each.right_for({"what": "hard"}) is Right.MANAGE


def test_the_page_of_commands_is_made_from_the_declarations() -> None:
    page = (ROOT / "docs" / "commands.rst").read_text(encoding="utf-8")
    assert page == reference.page(), "make it anew: python -m chatrixcd_threads.commands.reference > docs/commands.rst"
