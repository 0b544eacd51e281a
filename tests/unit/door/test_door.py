"""The bot's end: who may come in, and what a console can do to it, which is nothing."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from chatrixcd_threads import __version__
from chatrixcd_threads.door.frames import PROGRAM, PROTOCOL, Call, Hello, Poke, Refusal, frame, pack
from chatrixcd_threads.door.guest import HELLO_SECONDS, PART_SECONDS, STUCK_SECONDS
from chatrixcd_threads.door.peer import connect, listen
from chatrixcd_threads.door.ports import fingerprint, ports
from chatrixcd_threads.door.service import MOST_GUESTS, OPEN_SECONDS
from chatrixcd_threads.errors import UserError
from tests.unit.door.conftest import Open, Raw, reachable, wait

Logged = Callable[[str], None]


def still_serves(opened: Open) -> None:
    with Raw(opened.path).greet() as other:
        assert ports()["board"].result(other.ask("board").result) == opened.feed.now


def test_only_the_owner_may_open_it(opened: Open) -> None:
    assert stat.S_IMODE(opened.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(opened.path.parent.stat().st_mode) == 0o700


def test_a_store_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    listen(tmp_path / "console.sock").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_the_kernel_says_who_comes(tmp_path: Path, logged: Logged) -> None:
    opened = Open(tmp_path, users=frozenset({os.geteuid() + 1}))
    try:
        with Raw(opened.path) as other:
            said = other.hear()
            assert isinstance(said, Refusal)
            assert "another user" in said.sentence
            assert other.hung_up()
        logged(f"a console of the user {os.geteuid()}")
    finally:
        opened.stop()


def test_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    folder.mkdir(parents=True)
    opened = Open(folder)
    try:
        still_serves(opened)
    finally:
        opened.stop()
    assert not opened.path.exists()


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    listen(tmp_path / "store" / "console.sock").close()
    opened = Open(tmp_path)
    try:
        still_serves(opened)
    finally:
        opened.stop()


def test_a_removed_socket_comes_back(opened: Open) -> None:
    opened.path.unlink()
    opened.later(2)
    wait(lambda: reachable(opened.path), "it is there again")
    still_serves(opened)


def test_a_socket_that_cannot_be_made_is_told_and_tried_again(tmp_path: Path, logged: Logged) -> None:
    opened = Open(tmp_path)
    try:
        opened.path.unlink()
        opened.path.mkdir()
        opened.later(2)
        logged("no console can be attached")
        opened.path.rmdir()
        opened.later(OPEN_SECONDS + 1)
        wait(lambda: reachable(opened.path), "it is there again")
    finally:
        opened.stop()


@pytest.mark.parametrize(("mode", "here"), [(0o1777, False), (0o755, True)])
def test_a_shared_folder_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, here: bool) -> None:
    tmp_path.chmod(mode)
    if here:
        monkeypatch.chdir(tmp_path)
    listen(tmp_path / "console.sock").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "console.sock").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(range(1, 256)) * 20,
        b"\xff" * 70_000,
        b"\x00\x00\x00\x00",
        (5).to_bytes(4, "big") + b"hello",
        frame(Call(1, "leave", pack(()))),
        frame(Hello("other", __version__, PROTOCOL, "")),
    ],
    ids=["http", "bytes", "huge", "empty", "no msgpack", "no hello", "other program"],
)
def test_a_junk_console_is_dropped_with_a_line_in_the_log(opened: Open, logged: Logged, junk: bytes) -> None:
    with Raw(opened.path) as other:
        other.socket.sendall(junk)
        assert other.hung_up()
    logged("a console was dropped")
    assert opened.feed.left == 0
    still_serves(opened)


def test_who_says_nothing_is_dropped(opened: Open, logged: Logged) -> None:
    with Raw(opened.path) as other, Raw(opened.path).greet() as good:
        opened.later(HELLO_SECONDS + 1)
        assert other.hung_up()
        logged("not said hello")
        assert not good.ask("board").problem


def test_who_sends_a_byte_at_a_time_is_dropped(opened: Open, logged: Logged) -> None:
    with Raw(opened.path).greet() as other:
        other.socket.sendall((1_000).to_bytes(4, "big"))

        def one_more() -> bool:
            opened.later(PART_SECONDS / 20)
            try:
                other.socket.send(b"x")
            except BrokenPipeError:
                return True
            return False

        wait(one_more, "it is dropped")
    logged("the rest of its message")
    still_serves(opened)


def test_who_does_not_read_holds_up_nobody_and_is_dropped(opened: Open, logged: Logged) -> None:
    with Raw(opened.path).greet() as slow:
        slow.socket.settimeout(1)
        call = frame(Call(1, "board", pack(()))) * 1_000
        with pytest.raises(TimeoutError):  # nobody hears it any more: what it asks stays with it
            slow.socket.sendall(call * 4_000)
        still_serves(opened)
        opened.later(STUCK_SECONDS + 1)
        logged("it has not read anything")
        still_serves(opened)


def test_a_slow_reader_that_reads_gets_everything(opened: Open) -> None:
    with Raw(opened.path).greet() as slow:
        slow.socket.sendall(frame(Call(1, "board", pack(()))) * 2_000)
        heard = [slow.hear() for _ in range(2_000)]
        assert None not in heard


def test_too_many_consoles(opened: Open) -> None:
    here = [Raw(opened.path).greet() for _ in range(MOST_GUESTS)]
    try:
        with Raw(opened.path) as other:
            said = other.hear()
            assert isinstance(said, Refusal)
            assert "attached already" in said.sentence
        assert not here[0].ask("board").problem
    finally:
        for each in here:
            each.socket.close()


@pytest.mark.parametrize(
    "hello",
    [
        Hello(PROGRAM, "0.0.9", PROTOCOL, fingerprint()),
        Hello(PROGRAM, __version__, PROTOCOL + 1, fingerprint()),
        Hello(PROGRAM, __version__, PROTOCOL, "others"),
    ],
)
def test_another_version_is_told_so(opened: Open, hello: Hello) -> None:
    with Raw(opened.path) as other:
        other.socket.sendall(frame(hello))
        said = other.hear()
        assert isinstance(said, Refusal)
        for part in (__version__, hello.version, f"protocol {hello.protocol}", hello.doors, "restart the bot"):
            assert part in said.sentence
        assert other.hung_up()


def test_what_goes_wrong_behind_a_door_is_a_sentence(
    opened: Open, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    def no(line: str) -> str:
        raise UserError("not today")

    def broken(project: int, task: int) -> tuple[str, ...]:
        raise ZeroDivisionError

    opened.doors = dataclasses.replace(
        opened.doors, type_command=no, task_output=broken, answers=lambda: (("T", "x" * 40_000_000),)
    )
    with Raw(opened.path).greet() as other:
        assert other.ask("type_command", "run").problem == "not today"
        said = other.ask("task_output", 1, 2).problem
        code = said.rpartition(" ")[2]
        assert code.startswith("E-")
        logged(code)
        assert "MiB" in other.ask("answers").problem
        assert "no door" in other.ask("detach").problem
        assert "no door" in other.ask("__class__").problem
        assert not other.ask("board").problem


def test_one_poke_until_the_console_has_called(opened: Open) -> None:
    with Raw(opened.path).greet() as other:
        for _ in range(1_000):
            opened.door.poke()
        assert isinstance(other.hear(), Poke)
        opened.later(1)
        other.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.hear()
        other.socket.settimeout(20)
        other.ask("board")
        opened.later(1)
        opened.door.poke()
        assert isinstance(other.hear(), Poke)


def test_killed_consoles_cost_nothing(opened: Open) -> None:
    for _ in range(3 * MOST_GUESTS):
        connect(opened.path, 5).close()
        Raw(opened.path).greet().socket.close()
    still_serves(opened)


def test_log_lines_come_in_portions_and_none_is_left_out(opened: Open) -> None:
    opened.feed.ring.extend(f"{n} " + "x" * 3_000 for n in range(500))
    port, found, cursor = ports()["log_lines"], [], 0
    with Raw(opened.path).greet() as other:
        while True:
            cursor, lines = port.result(other.ask("log_lines", cursor).result)
            if not lines:
                break
            assert len(lines) < 200
            found += lines
    assert [line.split()[0] for line in found] == [str(n) for n in range(500)]
