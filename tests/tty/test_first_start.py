"""The first start on a terminal beside a homeserver that takes the connection and never answers: every way out is clean."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tty.harness import Terminal

PROGRAM = [sys.executable, "-m", "chatrixcd_threads", "-I"]
LONG = 60.0


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "newcomer"
    made.mkdir()
    return made


def waiting(folder: Path, silent: str, *options: str) -> Terminal:
    """A first start that tries to reach the homeserver."""
    terminal = Terminal(folder.parent / "log", program=[*PROGRAM, *options], folder=folder)
    end = "\n" if options else "\r"
    terminal.shows("Which Matrix account", seconds=LONG)
    terminal.type(f"@bot:example.org{end}")
    terminal.shows("At which address", seconds=LONG)
    terminal.type(f"{silent}{end}")
    return terminal


def counted(terminal: Terminal) -> int:
    """The seconds that are shown; a busy machine may leave some out."""
    found = re.search(r"Trying your answer, (\d+) s\.", terminal.text)
    return int(found[1]) if found else 0


def test_the_seconds_are_counted_and_esc_stops(folder: Path, silent: str) -> None:
    with waiting(folder, silent) as terminal:
        terminal.until(lambda: counted(terminal) >= 1, "the seconds are counted", LONG)
        before = counted(terminal)
        terminal.resize(60, 20)
        terminal.until(lambda: counted(terminal) > before, "they are counted on", LONG)
        terminal.type("\x1b")
        terminal.shows("Stopped.", silent)
        terminal.type("\x1b")
        terminal.shows("@bot:example.org", "1/11")
        terminal.type("\x03")
        terminal.ends(130)
        terminal.left_screen()
    assert list(folder.iterdir()) == []


def test_a_signal_while_the_screen_waits(folder: Path, silent: str) -> None:
    with waiting(folder, silent) as terminal:
        terminal.shows("Trying your answer", seconds=LONG)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(128 + signal.SIGTERM)
        terminal.left_screen()
        assert "Nothing was written." in bytes(terminal.raw).decode()
    assert list(folder.iterdir()) == []


def test_ctrl_c_while_plain_lines_wait(folder: Path, silent: str) -> None:
    with waiting(folder, silent, "--plain") as terminal:
        terminal.shows(silent)
        terminal.type("\x03")
        terminal.ends(130)
        assert "Nothing was written." in terminal.text
        assert "Traceback" not in terminal.text
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_the_window_is_closed(folder: Path, silent: str, options: tuple[str, ...]) -> None:
    with waiting(folder, silent, *options) as terminal:
        terminal.shows(silent if options else "Trying your answer", seconds=LONG)
        terminal.hang_up()
        assert terminal.process.wait(LONG) == 128 + signal.SIGHUP
    assert list(folder.iterdir()) == []
