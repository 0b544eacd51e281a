"""docs/CUSTOMIZATION.rst: every example is a file that the bot takes, every command line one that it understands."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from chatrixcd_threads.commands.parse import command_line, words
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.settings import aliases, config, schema, texts
from chatrixcd_threads.settings.document import Document, parse

PAGE = (Path(__file__).parents[3] / "docs" / "CUSTOMIZATION.rst").read_text(encoding="utf-8")
BLOCKS = [
    textwrap.dedent(found).strip() + "\n"
    for found in re.findall(r"^\.\. code-block:: json\n\n((?:   .*\n|\n)+)", PAGE, re.MULTILINE)
]
TYPED = re.findall(r"^ +(!cd .*)$", PAGE, re.MULTILINE)
CHECKS: dict[str, Callable[[Document], tuple[object, tuple[str, ...]]]] = {
    "config": config.check,
    "aliases": lambda document: aliases.check(document, commands()),
    "messages": lambda document: (texts.check(document), ()),
}


def test_there_are_examples() -> None:
    assert len(BLOCKS) == PAGE.count(".. code-block:: json") >= 7
    assert len(TYPED) >= 10


@pytest.mark.parametrize("block", BLOCKS)
def test_example(block: str) -> None:
    named = re.match(r"// (config|aliases|messages)\.json\n", block)
    assert named, "the first line of an example names its file"
    document = parse(block, f"{named[1]}.json")
    _, warnings = CHECKS[named[1]](document)
    assert warnings == ()
    Draft202012Validator(schema.schema(named[1])).validate(document.data)


@pytest.mark.parametrize("typed", TYPED)
def test_command(typed: str) -> None:
    line = command_line(typed, "!cd")
    assert line is not None
    given = words(line)
    find(given[0], "!cd").bind(given[1:], "!cd")


def test_tables_name_what_there_is() -> None:
    for category, known in texts.PLACEHOLDERS.items():
        placeholders = " ".join(f"``{{{name}}}``" for name in sorted(known))
        assert re.search(rf"^``{category}`` .*  {re.escape(placeholders)}$", PAGE, re.MULTILINE)
    for pack in texts.pack_names():
        assert f"``{pack}``" in PAGE
    for kind in schema.KINDS:
        assert f"config/{kind}.json.example" in PAGE
