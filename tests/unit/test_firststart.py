"""What ties the first start together: codes, and the command to start with."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads import firststart
from chatrixcd_threads.firststart import CODE_SIGNS, Ended, new_code, start_command
from chatrixcd_threads.matrix.firststart import FirstStart

PATIENCE = 20.0


def test_codes_are_long_enough_and_easy_to_read() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(len(code) >= 6 and set(code) <= set(CODE_SIGNS) for code in codes)
    assert not set("01OIL") & set(CODE_SIGNS)


def test_the_command_to_start_with() -> None:
    assert start_command(Path("config.json")) == f"{sys.executable} -m chatrixcd_threads"
    assert start_command(Path("my bot.json")).endswith("-c 'my bot.json'")


class Steps(collections.deque[Any]):
    """The steps that an event loop has still to do; a signal comes just after one of them was taken out."""

    def __init__(self, steps: Iterator[Any], left: Iterator[int], number: int) -> None:
        super().__init__(steps)
        self._left, self._number = left, number

    def popleft(self) -> Any:
        step = super().popleft()
        if next(self._left) == 0:
            signal.raise_signal(self._number)
        return step


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """What waits for ever is a failure."""

    def lost(*_: object) -> None:
        raise AssertionError("waits for ever")

    before = signal.signal(signal.SIGALRM, lost)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize("before", range(6))
def test_a_signal_between_two_steps_of_asking_the_homeserver(
    before: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, plain_loop = itertools.count(before, -1), asyncio.new_event_loop

    def loop() -> asyncio.AbstractEventLoop:
        made: Any = plain_loop()
        made._ready = Steps(made._ready, left, number)
        return made  # type: ignore[no-any-return]

    monkeypatch.setattr(asyncio.events, "new_event_loop", loop)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        patience(),
        pytest.raises(Ended) as ended,
        firststart._signals(),
    ):
        FirstStart(tmp_path / "store").look(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert ended.value.number == number


def test_a_closed_window_that_is_told_twice_ends_once() -> None:
    said = []

    def asked() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            said.append("put in order")

    with pytest.raises(Ended), firststart._signals():
        asked()
    assert said == ["put in order"]
