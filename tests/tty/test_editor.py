"""The operator's editor on a real pty: it gets the terminal, the bot goes on, and every way out gives the terminal back."""

from __future__ import annotations

import re
import signal
import stat
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.tty.harness import Terminal

CTRL_C, CTRL_Z = "\x03", "\x1a"
# An editor as simple as can be: it says what it has got, takes lines from the terminal, and does what they say.
EDITOR = """#!/bin/bash
trap 'echo "got TERM" >> "$0.log"; exit 0' TERM
trap 'echo "got INT" >&2' INT
[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo "ready: ${@: -1}" >&2
while read -r -p "> " line; do
  case "$line" in
    raw) stty raw -echo; exit 0;;
    fail) exit 3;;
    save*) echo "${line#save }" > "${@: -1}"; exit 0;;
    pid) echo "pid $$.";;
  esac
done
"""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    path = tmp_path / "my config.json"
    path.write_text("{}\n")
    return path


@pytest.fixture
def start(tmp_path: Path, edited: Path) -> Callable[..., Terminal]:
    """A console whose settings view shows one file; E opens the editor."""
    script = tmp_path / "ed"
    script.write_text(EDITOR)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def made(editor: str = f"'{script}' --wait", **more: str) -> Terminal:
        env = {"VISUAL": editor, "EDITOR": "false", **more}
        return Terminal(tmp_path / "stderr.log", columns=120, env=env)

    return made


def opened(terminal: Terminal, edited: Path) -> None:
    terminal.shows("First page")
    terminal.ask(f"file {edited}")
    terminal.type("5")
    terminal.shows("[5 Settings]", str(edited.name))
    terminal.type("E")


def test_the_editor_gets_the_terminal_and_gives_it_back(start: Callable[..., Terminal], edited: Path) -> None:
    with start() as terminal:
        opened(terminal, edited)
        terminal.shows(f"ready: {edited}", "> ")
        assert terminal.settings() == terminal.before
        terminal.goes_on()
        terminal.type(CTRL_C)
        terminal.shows("got INT")
        terminal.resize(100, 30)
        terminal.type("save {} // mine\n")
        terminal.shows("[5 Settings]", "was not changed")  # the made-up bot never reads the file anew
        terminal.until(lambda: "[:]command" in terminal.screen.display[29], "the footer stands in the last row")
        assert edited.read_text() == "{} // mine\n"
        assert not terminal.settings()[3] & termios.ICANON
        terminal.type("1")
        terminal.shows("[1 First page]")
        terminal.type("qy")
        terminal.ends()
        terminal.left_screen()


def test_ctrl_z_in_the_editor_stops_neither(start: Callable[..., Terminal], edited: Path) -> None:
    with start() as terminal:
        opened(terminal, edited)
        terminal.shows("ready")
        terminal.type(CTRL_Z)
        terminal.goes_on()
        terminal.type("pid\n")
        terminal.until(lambda: re.search(r"pid \d+\.", terminal.text), "the editor answers")  # not the echo
        terminal.type("save x\n")
        terminal.shows("[5 Settings]")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


@pytest.mark.parametrize("editor", ["kind", "deaf"])
def test_the_stop_ends_the_editor_too(
    start: Callable[..., Terminal], edited: Path, tmp_path: Path, editor: str
) -> None:
    with (
        start()
        if editor == "kind"
        else start("sh -c 'trap \"\" TERM; stty raw; echo ready; exec sleep 600'") as terminal
    ):
        opened(terminal, edited)
        terminal.shows("ready")
        children = psutil.Process(terminal.process.pid).children()
        assert len(children) == 1
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()
        terminal.left_screen()
        assert not psutil.pid_exists(children[0].pid)
        if editor == "kind":
            assert (tmp_path / "ed.log").read_text() == "got TERM\n"


def test_what_goes_wrong_is_said(start: Callable[..., Terminal], edited: Path) -> None:
    with start() as terminal:
        opened(terminal, edited)
        terminal.shows("ready")
        terminal.type("fail\n")
        terminal.shows("ended with code 3")
        terminal.type("E")
        terminal.shows("ready")
        terminal.type("raw\n")  # a mess is left behind
        terminal.shows("[5 Settings]", "was not changed")
        terminal.type("qy")
        terminal.ends()
    for editor, said in [("/no/such/editor -x", "No such file or directory"), ("vi 'open", "cannot be taken apart")]:
        with start(editor) as terminal:
            opened(terminal, edited)
            terminal.shows(said, "VISUAL")
            terminal.goes_on()
            terminal.process.send_signal(signal.SIGTERM)
            terminal.ends()


def test_without_visual_the_variable_editor_counts(start: Callable[..., Terminal], edited: Path) -> None:
    with start("", EDITOR="false") as terminal:
        opened(terminal, edited)
        terminal.shows("The editor false ended with code 1")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


def test_a_closed_terminal_ends_the_editor_and_not_the_bot(start: Callable[..., Terminal], edited: Path) -> None:
    with start() as terminal:
        opened(terminal, edited)
        terminal.shows("ready")
        (child,) = psutil.Process(terminal.process.pid).children()
        terminal.hang_up()
        terminal.goes_on()
        child.wait(20)
        assert terminal.process.poll() is None
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()


# What the main thread does when it leaves hard, while the editor has the terminal and has made a mess of it.
RESCUE = """
import os, signal, termios, time
from chatrixcd_threads.console import rescue
rescue.save_terminal()
before = termios.tcgetattr(0)
child = os.posix_spawnp("sh", ["sh", "-c", "stty raw -echo; exec sleep 600"], os.environ, setpgroup=0)
rescue.lend_terminal(child)
os.killpg(child, signal.SIGCONT)
while termios.tcgetattr(0) == before:
    time.sleep(0.01)
assert not rescue.in_foreground(0)
rescue.restore_terminal()
status = os.waitpid(child, 0)[1]
print("ended by", os.WTERMSIG(status), "and in front" if rescue.in_foreground(0) else "and behind")
"""


def test_leaving_hard_takes_the_terminal_back_too(tmp_path: Path) -> None:
    with Terminal(tmp_path / "log", program=[sys.executable, "-c", RESCUE]) as terminal:
        terminal.shows("ended by 15 and in front")
        terminal.ends()
