"""Sizes, colours and secrets."""

from __future__ import annotations

import json
import logging
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrixcd_threads.text import redact
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.text.fit import MOST_BYTES, fit, size
from chatrixcd_threads.text.markup import Text, lines, pre, text
from chatrixcd_threads.text.redact import MASK, RedactingFormatter, Redactor

# --- fit


def test_a_short_text_stays_as_it_is() -> None:
    short = lines("a", pre("b"))
    assert fit(short, "x.txt") == (short, None)


@pytest.mark.parametrize("value", ["x" * 60_000, "line\n" * 20_000, "🦆" * 9_000, '"<&>\\' * 5_000, "ä€\t" * 9_000])
def test_a_long_text_becomes_a_file_with_a_short_text(value: str) -> None:
    short, file = fit(text(value), "answer.txt")
    assert file is not None
    assert file.data.decode() == value
    assert "answer.txt" in short.plain
    assert size(short) <= MOST_BYTES


@given(
    st.text(st.sampled_from("ax\n🦆é<&\"'\\\u2028"), min_size=1, max_size=40),
    st.integers(1, 3_000),
)
def test_what_fits_is_never_too_large(pattern: str, times: int) -> None:
    whole = text(pattern * times)
    short, file = fit(whole, "answer.txt")
    assert size(short) <= MOST_BYTES
    assert (file is None) == (short == whole)


def test_the_size_is_what_the_event_will_hold() -> None:
    value = text("🦆 <é>")
    assert size(value) == len(json.dumps([value.plain, value.html]).encode("ascii"))


# --- ansi


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[0;32mok: [web1]\x1b[0m", "ok: [web1]"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%\r\n", "100%"),
        ("tab\tstays", "tab\tstays"),
        ("bell\x07 and \x00nul", "bell and nul"),
        ("\x1b[38;2;1;2;3mrgb\x1b[K", "rgb"),
        ("\x1bP1;2|x\x1b\\dcs", "dcs"),
        ("", ""),
        ("\x1b", ""),
    ],
)
def test_lines_of_programs_without_colours(line: str, expected: str) -> None:
    assert plain_line(line) == expected


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(line: str) -> None:
    assert not set(plain_line(line)) & set(map(chr, [*range(9), *range(11, 32), 127]))


# --- redact

SECRETS = ("syt-very-secret", "pa\"ss<w&rd'1")


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(lambda: SECRETS)


@pytest.mark.parametrize(
    "leak",
    [
        "token syt-very-secret.",
        SECRETS[1],
        "Authorization: Bearer abcdefgh.12345678",
        'access_token="abcd1234"',
        "https://x/?access_token=abcd1234&other=1",
        '{"password": "hunter22"}',
        "passwd: hunter22",
        "api_token = 'abcd1234'",
        "syt_Ym90_abcdefghijklmnop",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabcd1234\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked_in_both_forms(redactor: Redactor, leak: str) -> None:
    secrets = (*SECRETS, "abcdefgh.12345678", "abcd1234", "hunter22", "abcdefghijklmnop", "MIIabcd1234")
    for made in (text(leak), pre(leak), lines("before", leak, "after")):
        plain, marked = redactor.clean(made.plain), redactor.clean_html(made.html)
        assert MASK in plain
        assert MASK in marked
        for secret in secrets:
            assert secret not in plain
            assert text(secret).html not in marked
        assert marked.count("<pre>") == marked.count("</pre>") == made.html.count("<pre>")


@given(st.lists(st.text(max_size=20), max_size=4))
def test_html_without_secrets_stays_as_it_is(values: list[str]) -> None:
    made = lines(*values, pre("\n".join(values)))
    assert Redactor(lambda: ()).clean_html(made.html) == made.html


def test_a_pattern_has_its_words_in_whatever_it_finds() -> None:
    """A pattern is tried only where one of its words stands in the folded text. So whatever a pattern that ignores case takes
    for a letter of its words (K, the sign for kelvin, ſ, the old s) must fold to that letter."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    for words, pattern in redact._PATTERNS:
        assert any(word in pattern.pattern.casefold() for word in words)
        if "(?i)" in pattern.pattern:
            letters = {letter for word in words for letter in word}
            taken = re.findall(f"[{''.join(letters)}]", every, re.IGNORECASE)
            assert len(taken) > len(letters)
            assert {one.casefold() for one in taken} == letters


@given(
    st.lists(
        st.sampled_from(
            ["Bearer ", "BEARER\t", "pa\u017f\u017fword", "to\u212aen", "api_", "access_", "=", ": ", '"', "syt_", "abcdefgh1234",
             "-----BEGIN PRIVATE KEY-----", "\n", "-----END PRIVATE KEY-----", "SECRET", " ", "&x=", "ß", "x"]
        ),
        max_size=10,
    )
)  # fmt: skip
def test_trying_fewer_patterns_finds_the_same(parts: list[str]) -> None:
    said = expected = "".join(parts)
    for _, pattern in redact._PATTERNS:
        expected = pattern.sub(rf"\1{MASK}", expected)
    assert Redactor(lambda: ()).clean(said) == redact._without_keys(expected)


def test_the_text_around_a_secret_stays(redactor: Redactor) -> None:
    assert redactor.clean('{"password": "hunter22", "user": "me"}') == f'{{"password": "{MASK}", "user": "me"}}'
    assert redactor.clean("https://x/?access_token=abcd1234&other=1") == f"https://x/?access_token={MASK}&other=1"


@pytest.mark.parametrize(
    "line",
    ["-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n-----END ", "private key-----END A PRIVATE KEY"],
)
def test_what_a_job_prints_can_never_make_it_take_long(line: str) -> None:
    """A search holds every thread of the process up; 3 MB of the first line would have been searched for an hour."""
    printed = f"{line}\n" * 100_000
    begun = time.process_time()
    Redactor(lambda: ()).clean(printed)
    assert time.process_time() - begun < 5


def test_no_key_hides_behind_the_beginning_of_another() -> None:
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    clean = Redactor(lambda: ()).clean
    assert clean(f"{begin}one{begin}two-- -----END X-----{end} three") == f"{begin}{MASK}{begin}{MASK} three"
    assert clean(f"{begin} is how one begins") == f"{begin} is how one begins"


def test_a_very_short_secret_does_not_black_out_everything() -> None:
    assert Redactor(lambda: ("a",)).clean("banana") == "banana"


def test_secrets_are_asked_for_anew() -> None:
    known = ["first-secret"]
    redactor = Redactor(lambda: known)
    known[:] = ["second-secret"]
    assert redactor.clean("first-secret second-secret") == f"first-secret {MASK}"


def test_names_go_only_when_asked_for() -> None:
    said = "@a:example.org wrote in !abcdefghijklm:example.org from 10.1.2.3"
    assert Redactor(lambda: ()).clean_for_log(said) == said
    hidden = Redactor(lambda: (), identifiers=True).clean_for_log(said)
    assert hidden == "[redacted] wrote in [redacted] from [redacted]"
    assert Redactor(lambda: (), identifiers=True).clean(said) == said  # rooms may name people


def test_log_records_with_their_tracebacks_pass_the_gate(redactor: Redactor) -> None:
    formatter = RedactingFormatter(redactor)
    try:
        raise ValueError("the token is syt-very-secret")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "with %s", ("syt-very-secret",), info)
    shown = formatter.format(record)
    assert "syt-very-secret" not in shown
    assert shown.count(MASK) == 3  # message, source line, exception


def test_nothing_in_a_log_record_steers_a_terminal_or_looks_like_another_record(redactor: Redactor) -> None:
    """Anybody may call their device as they like, and a junk key of it is told in the log."""
    device = "X\r\n2026-01-01 00:00:00,000 ERROR   sync       chatrixcd: all is lost\x1b]0;owned\x07\x9b2J\u202e\ud800"
    record = logging.LogRecord("x", logging.WARNING, "", 1, "the keys of device %s are junk", (device,), None)
    shown = RedactingFormatter(redactor).format(record)
    first, second = shown.split("\n")
    assert first.endswith("the keys of device X\\r")
    assert second == (
        "    2026-01-01 00:00:00,000 ERROR   sync       chatrixcd: all is lost\\x1b]0;owned\\x07\\x9b2J\\u202e\\ud800 are junk"
    )


def test_an_empty_text_is_false() -> None:
    assert not Text()
    assert text("x")
