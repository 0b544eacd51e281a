"""Which known word was probably meant."""

from __future__ import annotations

import pytest

from chatrixcd_threads.text.nearest import nearest

KNOWN = ["run", "redo", "reject", "templates", "Site"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("rnu", "run"), ("RUN", "run"), ("tempaltes", "templates"), ("rejcet", "reject"), ("siet", "Site")],
)
def test_the_word_that_was_meant(word: str, meant: str) -> None:
    assert nearest(word, KNOWN) == meant


@pytest.mark.parametrize("word", ["", "xyzzy", "r", "🎉", "\ud800", "x" * 100_000])
def test_no_word_that_only_puzzles(word: str) -> None:
    assert nearest(word, KNOWN) is None
    assert nearest(word, []) is None
