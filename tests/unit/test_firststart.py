"""What ties the first start together: codes, and the command to start with."""

from __future__ import annotations

import sys
from pathlib import Path

from chatrixcd_threads.firststart import CODE_SIGNS, new_code, start_command


def test_codes_are_long_enough_and_easy_to_read() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(len(code) >= 6 and set(code) <= set(CODE_SIGNS) for code in codes)
    assert not set("01OIL") & set(CODE_SIGNS)


def test_the_command_to_start_with() -> None:
    assert start_command(Path("config.json")) == f"{sys.executable} -m chatrixcd_threads"
    assert start_command(Path("my bot.json")).endswith("-c 'my bot.json'")
