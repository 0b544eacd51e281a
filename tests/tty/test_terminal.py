"""The console on a real pty, under the real supervisor: whatever happens to the terminal, the bot goes on."""

from __future__ import annotations

import os
import re
import signal
import termios
import time
from pathlib import Path

import pytest

from tests.tty.harness import Terminal

CTRL_S, CTRL_Q, CTRL_Z = "\x13", "\x11", "\x1a"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stderr.log"


def test_keys_answers_and_quit(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page", "Semaphore", "DOWN", "[p] ping")
        terminal.type("2")
        terminal.shows("[2 Tasks]", "#4711", "配備")
        terminal.type(":sta\tx\x7f42\r")
        terminal.shows("Answers", "status 42", "waiting for the answer")
        assert terminal.ask("typed") == ["status 42"]
        terminal.ask("answer Task 42 is <b>fine</b>")
        terminal.shows("Task 42 is <b>fine</b>")
        terminal.type("\x1b")
        terminal.until(lambda: "Answers" not in terminal.text, "the window is closed")
        terminal.type("q")
        terminal.shows("Stop the bot?", "3 tasks run on")
        terminal.type("n")
        terminal.until(lambda: "Stop the bot?" not in terminal.text, "the question is closed")
        terminal.type("qy")
        terminal.ends()
        terminal.left_screen()
    assert log.read_text() == ""


def test_a_change_from_another_thread_is_drawn(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("Matrix")
        for number in range(50):
            terminal.ask(f"note change number {number}.")
            terminal.shows(f"change number {number}.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(log: Path, number: signal.Signals) -> None:
    with Terminal(log, "mouse") as terminal:
        terminal.shows("First page")
        terminal.process.send_signal(number)
        terminal.ends()
        terminal.left_screen()


def test_resizing_wildly(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("[1 First page]")
        for columns, rows in [(200, 60), (40, 12), (20, 5), (1, 1), (10, 3), (39, 11), (80, 24)] * 2:
            terminal.resize(columns, rows)
        terminal.shows("[1 First page]", "Semaphore", "[:]command")
        terminal.resize(40, 12)
        terminal.shows("First page", "DOWN")
        terminal.until(lambda: "[:]command" in terminal.screen.display[11], "the footer stands in the last row")
        terminal.resize(30, 8)
        terminal.shows("30x8 is too small")
        terminal.goes_on()
        terminal.resize(200, 60)
        terminal.until(lambda: "[:]command" in terminal.screen.display[59], "the footer stands in the last row")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_the_mouse(log: Path) -> None:
    with Terminal(log, "mouse") as terminal:
        terminal.shows("[1 First page]")
        column = terminal.screen.display[1].index("3 Rooms") + 1
        terminal.type(f"\x1b[<0;{column};2M\x1b[<0;{column};2m")
        terminal.shows("[3 Rooms]")
        terminal.type("\x1b[<0;5;5M\x1b[<0;5;5m")
        terminal.until(lambda: terminal.screen.display[4].startswith("›"), "the clicked room is selected")


def colored(terminal: Terminal) -> bool:
    """Whether anything on the screen has a colour."""
    cells = [row[column] for row in terminal.screen.buffer.values() for column in range(80)]
    return any((cell.fg, cell.bg) != ("default", "default") for cell in cells)


def test_no_more_colours_than_the_settings_want(log: Path) -> None:
    """`bot.color_enabled`, `bot.color_theme` and `bot.mouse_enabled` count also when they change while it is shown."""
    with Terminal(log, "colorless") as terminal:
        terminal.shows("[1 First page]")
        assert not colored(terminal)
        terminal.ask("look msdos mouse colors")
        terminal.until(lambda: colored(terminal), "there are colours")
        assert terminal.screen.buffer[5][30].bg.startswith("0000a")  # as near as 256 colours come
        terminal.shows("The mouse is on.")
        terminal.ask("look default")
        terminal.until(lambda: not colored(terminal), "there are none any more")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_a_failing_view_shows_a_panel_and_recovers(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.ask("break")
        terminal.shows("This view has failed: AttributeError", "The bot itself goes on")
        terminal.until(lambda: code(terminal), "the first page has a code")
        first = code(terminal)
        terminal.type("7")
        terminal.until(lambda: code(terminal) not in ("", first), "the log has failed too")
        terminal.goes_on()
        terminal.ask("mend")
        terminal.shows("[7 Log]")
        terminal.type("/view log failed\r")
        terminal.shows("the console's view log failed")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def code(terminal: Terminal) -> str:
    """What the error panel names."""
    found = re.search(r"under the code (E-\w+)\.", " ".join(terminal.text.split()))
    return found[1] if found else ""


def test_a_stopped_terminal_holds_up_nobody(log: Path) -> None:
    """Ctrl-S: the terminal takes nothing any more."""
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.type(CTRL_S)
        for number in range(200):
            terminal.ask(f"note stopped {number}.")
        terminal.goes_on()
        terminal.type(CTRL_Q)
        terminal.shows("stopped 199.")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


@pytest.mark.parametrize("how", ["ctrl s", "not read"])
def test_a_stopped_terminal_is_left_in_order(log: Path, how: str) -> None:
    with Terminal(log, "mouse", columns=200, rows=60) as terminal:
        terminal.shows("First page")
        if how == "ctrl s":
            terminal.type(CTRL_S)
        else:
            terminal.reading = False
        for number in range(60):
            terminal.ask(f"note {'x' * (number % 50)}")
            terminal.type("27")
        terminal.goes_on()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()  # with 0: the ui thread was not stuck
        terminal.reading = True
        terminal.left_screen()


def test_a_closed_terminal_leaves_the_bot_alone(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.hang_up()
        for _ in range(10):
            terminal.ask("note nobody sees this")
        terminal.goes_on()
        assert terminal.process.poll() is None
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_ctrl_z_and_back(log: Path) -> None:
    """Under a real shell: it gets its terminal, and gives it back with fg."""
    with Terminal(log, shell=True) as terminal:
        terminal.shows("shell> ")
        settings = terminal.settings()
        terminal.type(terminal.command + "\n")
        terminal.shows("[1 First page]")
        assert terminal.settings() != settings
        for _ in range(2):
            terminal.type(CTRL_Z)
            terminal.shows("Stopped", "shell> ")
            terminal.until(lambda: terminal.settings() == settings, "the shell has its settings")
            terminal.type("echo us''able\n")
            terminal.shows("usable")
            terminal.type("fg\n")
            terminal.until(lambda: "[1 First page]" in terminal.text and "usable" not in terminal.text, "it is back")
            terminal.goes_on()
            terminal.type("2")
            terminal.shows("[2 Tasks]")
            terminal.type("1")
            terminal.shows("[1 First page]")
        terminal.type("qy")
        terminal.shows("shell> ")
        terminal.until(lambda: terminal.settings() == settings, "the shell has its settings")
        terminal.type("exit\n")
        terminal.until(lambda: terminal.process.poll() is not None, "the shell has ended")


def test_in_the_background_the_bot_goes_on(log: Path) -> None:
    with Terminal(log, shell=True) as terminal:
        terminal.shows("shell> ")
        terminal.type(terminal.command + "\n")
        terminal.shows("[1 First page]")
        terminal.type(CTRL_Z)
        terminal.shows("Stopped", "shell> ")
        terminal.type("bg\n")
        terminal.goes_on()
        terminal.type("echo us''able\n")
        terminal.shows("usable")
        terminal.type("fg\n")
        terminal.until(lambda: "[1 First page]" in terminal.text and "usable" not in terminal.text, "it is back")
        terminal.type("qy")
        terminal.shows("shell> ")
        terminal.type("exit\n")
        terminal.until(lambda: terminal.process.poll() is not None, "the shell has ended")


def test_without_a_shell_ctrl_z_does_not_stop_the_bot(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.type(CTRL_Z)
        terminal.shows("No shell is there")
        terminal.goes_on()


def test_what_is_written_to_stderr_does_not_spoil_the_screen(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.ask("log a warning for the ring")
        terminal.type("7")
        terminal.shows("a warning for the ring")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_a_flood_of_log_lines_leaves_the_keys_alive(log: Path) -> None:
    """50,000 lines a second. The bounds are wide: figures of a quiet machine stand in the report of the bench."""
    with Terminal(log) as terminal:
        terminal.shows("First page")
        terminal.type("7")
        terminal.shows("[7 Log]")
        terminal.ask("flood 50000 4")
        terminal.until(lambda: newest(terminal) > 5_000, "lines come")
        waits = []
        for _ in range(10):
            begun = time.monotonic()
            terminal.type("?")
            terminal.shows("[? Help]")
            terminal.type("7")
            terminal.shows("[7 Log]")
            waits.append(time.monotonic() - begun)
        terminal.until(lambda: "20,000 lines" in terminal.text, "the ring is full, and holds no more")
        assert sorted(waits)[len(waits) // 2] < 2.0
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def newest(terminal: Terminal) -> int:
    return max((int(found) for found in re.findall(r"line (\d+) made", terminal.text)), default=0)


def test_plain_speaks_in_lines(log: Path) -> None:
    with Terminal(log, "plain", columns=200) as terminal:
        terminal.shows(
            "Type a command", "Semaphore: down (look at this)", "Task 4711 Deploy the web shop is now: running"
        )
        terminal.type("status 42\n")
        terminal.shows("Asked: status 42")
        assert terminal.ask("typed") == ["status 42"]
        terminal.ask("answer It runs.")
        terminal.shows("Answer to status 42:", "It runs.")
        terminal.type("quit\n")
        terminal.shows("Type quit again")
        terminal.type("quit\n")
        terminal.ends()
        assert b"\x1b[" not in terminal.raw


def test_plain_outlives_its_terminal(log: Path) -> None:
    with Terminal(log, "plain") as terminal:
        terminal.shows("Task 4711 Deploy the web shop is now: running", "Task 4713")
        terminal.ask("note somebody?")
        assert "4688" not in terminal.text  # it was over before
        terminal.hang_up()
        terminal.ask("note somebody?")
        terminal.goes_on()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_the_settings_that_matter_to_the_shell_come_back(log: Path) -> None:
    with Terminal(log) as terminal:
        terminal.shows("First page")
        assert not terminal.settings()[3] & termios.ICANON
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()
        assert terminal.settings()[3] & termios.ICANON
        assert os.isatty(terminal.slave)
