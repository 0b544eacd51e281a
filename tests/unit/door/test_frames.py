"""Bytes to messages, whatever comes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrixcd_threads.door.frames import (
    LONGEST_CALL,
    Answer,
    Call,
    Frames,
    FromBot,
    FromConsole,
    Hello,
    Junk,
    Poke,
    Refusal,
    Welcome,
    frame,
    pack,
    read_bot,
    read_console,
)
from tests.unit.door.conftest import pair

FROM_BOT: list[FromBot] = [Welcome("1", 1, "d", "life", 7), Refusal("no"), Answer(3, pack(("é", 1)), "why"), Poke()]
FROM_CONSOLE = [Hello("p", "1", 1, "d"), Call(3, "board", pack(()))]


@given(st.lists(st.integers(1, 60), min_size=1))
def test_messages_survive_being_cut_anywhere(cuts: list[int]) -> None:
    data = b"".join(frame(message) for message in FROM_BOT)
    frames, said, at = Frames(LONGEST_CALL), [], 0
    for size in [*cuts, len(data)]:
        frames.feed(data[at : at + size])
        at += size
        while (body := frames.take()) is not None:
            said.append(read_bot(body))
    assert said == FROM_BOT
    assert frames.waiting == 0


@pytest.mark.parametrize("message", FROM_CONSOLE)
def test_over_a_pair_of_sockets(message: FromConsole) -> None:
    ours, theirs = pair()
    with ours, theirs:
        ours.sendall(frame(message))
        frames = Frames(LONGEST_CALL)
        while (body := frames.take()) is None:
            frames.feed(theirs.recv(5))
    assert read_console(body) == message


@given(st.binary(max_size=200))
def test_junk_is_junk_and_nothing_worse(data: bytes) -> None:
    frames = Frames(1_000)
    frames.feed(data)
    with contextlib.suppress(Junk):
        while (body := frames.take()) is not None:
            read_console(body)


@given(st.binary(max_size=200))
def test_junk_in_a_message(body: bytes) -> None:
    for read in (read_console, read_bot):
        with contextlib.suppress(Junk):
            said: FromBot | FromConsole = read(body)
            assert read(frame(said)[4:]) == said


@pytest.mark.parametrize("length", [0, LONGEST_CALL + 1, 2**32 - 1])
def test_a_length_that_nobody_means(length: int) -> None:
    frames = Frames(LONGEST_CALL)
    frames.feed(length.to_bytes(4, "big"))
    with pytest.raises(Junk, match=str(length)):
        frames.take()
