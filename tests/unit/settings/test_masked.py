"""Settings files without their secrets, line by line."""

from __future__ import annotations

import re
import time

import pytest

from chatrixcd_threads.settings.masked import caret_in, masked_lines, unified

SECRETS = ("hunter2!", "syt_x", "two words", "pw1234", "multi", "bare one")
FILE = """// a note
{
  "matrix": {"password": "hunter2!", "user_id": "@bot:x", "homeserver": "https://u:pw1234@host/"},
  "auth_type": "token",
  semaphore: {
    api_token: bare one # and more
    "access_token":
      "syt_x",
    'secret_words': '''
      multi
      two words
    '''
    "ssl_verify": true,
    password: "",
    token: null
  }
}
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("broken", [False, True, "no colon", "no end"])
def test_no_secret_is_left(ends: str, broken: object) -> None:
    text = FILE
    if broken is True:
        text = text.replace('"auth_type":', '"auth_type"')
    elif broken == "no colon":
        text = text.replace('"password":', '"password"')
    elif broken == "no end":
        text = text[: text.index("'''\n    \"ssl")]
    lines = masked_lines("\ufeff" + text.replace("\n", ends))
    assert len(lines) == text.rstrip("\n").count("\n") + 1
    assert not [secret for secret in SECRETS if secret in "\n".join(lines)]
    assert lines[0] == "// a note"
    assert lines[3].startswith('  "auth_type"')
    if not broken:
        assert '"user_id": "@bot:x"' in lines[2]
        assert lines[3] == '  "auth_type": "token",'
        assert lines[12] == '    "ssl_verify": true,'
        assert lines[13:15] == ['    password: "",', "    token: null"]


def test_a_changed_secret_shows_as_changed_and_an_unchanged_one_does_not() -> None:
    after = FILE.replace("hunter2!", "hunter3!")
    changed = [line for line in unified(FILE, after, "config.json") if line[:1] in "+-"][2:]
    assert len(changed) == 2
    assert re.sub(r"\(....\)", "", changed[0][1:]) == re.sub(r"\(....\)", "", changed[1][1:])
    assert "hunter" not in "".join(changed)
    assert unified(FILE, FILE, "config.json") == []


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    lines = masked_lines("{ // was once: s3cret\n}", lambda line: line.replace("s3cret", "***"))
    assert lines == ["{ // was once: ***", "}"]


def test_a_file_that_comes_or_goes() -> None:
    assert unified(None, "{\n}\n", "a.json")[-2:] == ["+{", "+}"]
    assert unified("{\n}\n", None, "a.json")[-2:] == ["-{", "-}"]


@pytest.mark.parametrize(("column", "pointed"), [(1, "a"), (4, "*"), (9, "*"), (14, "z"), (16, "z"), (99, "")])
def test_the_caret_stays_with_its_character(column: int, pointed: str) -> None:
    line, masked = "a: secrets!, zzz", "a: ******** (12), zzz"
    at = caret_in(line, masked, column)
    assert masked[at : at + 1] == pointed


@pytest.mark.parametrize(
    "text",
    [
        "a" * 250_000,
        "token" * 50_000,
        "token " * 40_000 + "\n",
        "{ password" + " " * 250_000,
        "{" + "password\n" * 25_000,
        "://" * 80_000,
        "://" + "a" * 250_000,
        "://a:" + "b" * 250_000,
        "{ secret: '''" + "'' " * 80_000,
        "\n".join("{},"[number % 3] for number in range(100_000)),
    ],
    ids=range(10),
)
def test_no_text_takes_long(text: str) -> None:
    """Seconds of the CPU; what grows with the square of the length takes minutes."""
    begun = time.thread_time()
    assert len(masked_lines(text)) == max(1, text.removesuffix("\n").count("\n") + 1)
    unified(text, text[::-1], "config.json")
    assert time.thread_time() - begun < 10


def test_very_long_files_are_not_compared() -> None:
    before, after = "\n".join(map(str, range(3_000))), "\n".join(map(str, range(1, 3_001)))
    assert unified(before, after, "a.json")[-1] == "@@ too many lines to be compared @@"
    assert unified(before, before, "a.json") == []
    begun = time.thread_time()
    assert len(unified("\n".join("ab" * 950), "\n".join("ba" * 950), "a.json")) > 3
    assert time.thread_time() - begun < 10
