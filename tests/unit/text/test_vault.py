"""The vault keeps secrets for a while, masks them longer, and never shows them by itself."""

from __future__ import annotations

import json

import pytest

from chatrixcd_threads.text.redact import MASK, Redactor
from chatrixcd_threads.text.vault import MASKED_SECONDS, WORDS_SECONDS, Vault

KEY = "-----BEGIN KEY-----\nQUJDREVGR0g=\nfoot\n-----END KEY-----"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Vault:
    return Vault(clock)


def cleaned(vault: Vault, text: str) -> str:
    redactor = Redactor(tuple)
    redactor.know(vault.masks)
    return redactor.clean(text)


def test_words_are_handed_out_once_and_not_for_ever(vault: Vault, clock: Clock) -> None:
    vault.hear("$1", "hunter2-a")
    vault.hear("$2", "hunter2-b")
    vault.hear("$3", "")
    assert vault.heard("$1") == "hunter2-a"
    assert vault.heard("$1") is None
    assert vault.heard("$3") == ""
    clock.now += WORDS_SECONDS
    assert vault.heard("$2") is None


def test_the_values_of_a_launch_live_as_long_as_the_newest(vault: Vault, clock: Clock) -> None:
    vault.keep("token", "a", "hunter2-a", 60.0)
    clock.now += 50.0
    vault.keep("token", "b", "hunter2-b", 60.0)
    vault.keep("other", "c", "hunter2-c", 60.0)
    clock.now += 50.0
    assert vault.of("token") == {"a": "hunter2-a", "b": "hunter2-b"}
    vault.forget("other")
    vault.forget("never known")
    assert vault.of("other") == {}
    clock.now += 10.0
    assert vault.of("token") == {}


def test_what_is_handed_out_is_a_copy(vault: Vault) -> None:
    vault.keep("token", "a", "hunter2-a", 60.0)
    vault.of("token").clear()
    assert vault.of("token") == {"a": "hunter2-a"}


@pytest.mark.parametrize("keep", ["hear", "keep", "mask"])
def test_all_that_was_told_is_masked_for_a_day_also_when_it_is_forgotten(vault: Vault, clock: Clock, keep: str) -> None:
    match keep:
        case "hear":
            vault.hear("$1", "hunter2-a")
        case "keep":
            vault.keep("token", "a", "hunter2-a", 60.0)
            vault.forget("token")
        case _:
            vault.mask("hunter2-a")
    clock.now += MASKED_SECONDS - 1
    assert cleaned(vault, "it is hunter2-a.") == f"it is {MASK}."
    clock.now += 1
    assert cleaned(vault, "it is hunter2-a.") == "it is hunter2-a."
    assert vault.masks() == ()


def test_a_secret_is_masked_as_json_and_line_by_line(vault: Vault) -> None:
    vault.mask('quoted "and" ünïcode')
    vault.mask(KEY)
    for form in (json.dumps('quoted "and" ünïcode'), json.dumps('quoted "and" ünïcode', ensure_ascii=False)):
        assert "quoted" not in cleaned(vault, form)
    shown = cleaned(vault, f"ok: {KEY}")
    assert shown == f"ok: {MASK}"
    assert cleaned(vault, "line QUJDREVGR0g= of it") == f"line {MASK} of it"
    assert cleaned(vault, "a foot") == "a foot"  # a short line says nothing, and would hide words of others


def test_a_word_that_was_no_secret_is_shown_again(vault: Vault) -> None:
    vault.hear("$1", "cancel")
    vault.unmask("cancel")
    assert cleaned(vault, "cancel") == "cancel"


def test_it_does_not_show_itself(vault: Vault) -> None:
    vault.hear("$1", "hunter2-a")
    vault.keep("token", "a", "hunter2-b", 60.0)
    assert "hunter2" not in f"{vault!r} {vault} {[vault]!r}"
