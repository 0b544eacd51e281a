"""A newcomer's walk: from the demo's first line to a task that was started, watched and stopped with the keyboard alone.

It is walked in tmux as people do, or where there is none on a pty. `--write-transcripts` keeps what was seen in
docs/transcripts/newcomer.txt.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import psutil
import pytest

from chatrixcd_threads.demo.pictures import STEADY
from chatrixcd_threads.demo.terminal import MODES, ReadTerminal, take_terminal
from tests.tty.harness import ROOT

LONG = 60.0
COLUMNS, ROWS = 80, 24
TRANSCRIPT = ROOT / "docs" / "transcripts" / "newcomer.txt"
CTRL_C, CTRL_D, ESC = "\x03", "\x04", "\x1b"


@dataclass(frozen=True)
class Step:
    """What is typed, and what must be seen then: patterns, each somewhere on the screen. `gone` must not be seen."""

    title: str
    keys: str
    shows: tuple[str, ...]
    gone: str = ""

    def fits(self, screen: str) -> bool:
        return all(re.search(each, screen) for each in self.shows) and not (self.gone and re.search(self.gone, screen))


WALK = (
    Step(
        "The demo has started.",
        "",
        (r"You are ada", r"The line +console +opens", r"\? shows its keys", r"ends the demo"),
    ),
    Step("Open the bot's console.", "console\r", (r"\[1 First page\]", r"✓ all well", r"OK +Rooms +1 room")),
    Step("What can I press?", "?", (r"\[\? Help\]", r"Everywhere", r" : +type a command to the bot", r"1 +first page")),
    Step(
        "Start a task: the bot asks first.",
        ":run Demo Long job\r",
        (r"Answers", r"› run Demo Long job", r"Shall I start Long job", r"“yes” does it"),
    ),
    Step("Answer it.", ":yes\r", (r"› yes", r"Task #1 \(Long job\), asked by")),
    Step("Watch its log.", "2\r", (r"\[2 Tasks\]", r"› #1 .*running", r"#1 Long job · .*following", r"tick 2 of 60")),
    Step("Stop it: the console asks first.", "s", (r"Sure\?", r"Stop task #1 Long job\?", r"\[y\] yes")),
    Step("Yes.", "y", (r"› stop 1", r"Task #1 Long job: ⏹ stopped"), gone=r"Sure\?"),
    Step("It has stopped.", ESC, (r"\[2 Tasks\]", r"› #1 .*stopped", r"1 task, 0 not over"), gone=r"Answers|running"),
    Step("Back to the room.", CTRL_D, (r"You are back in the room",)),
    Step("End it.", CTRL_C, (r"Ended; nothing is left behind\.",)),
)
NAMES = {CTRL_C: "Ctrl-C", CTRL_D: "Ctrl-D", ESC: "Esc", "": "(nothing yet)"}


class Seat(Protocol):
    """A terminal with the demo on it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None: ...
    def type(self, keys: str) -> None: ...
    def until(self, true: Callable[[], object], what: str, seconds: float = ...) -> None: ...
    @property
    def text(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def status(self) -> int | None: ...
    def end(self) -> None: ...


class Pty(ReadTerminal):
    """The demo on a pty of our own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        super().__init__(COLUMNS, ROWS)
        self.before = self.settings()
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=take_terminal,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        return self.process.poll()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.until(lambda: self.status is not None, "the demo has ended")
        self.close()


class Tmux:
    """The demo in a tmux of our own: its server, its socket, no configuration of the user."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="walk-", dir="/tmp"))  # a socket's path must be short
        (self._folder / "conf").write_text("set -g status off\nset -g remain-on-exit on\nset -g escape-time 0\n")
        self._status = self._folder / "status"  # tmux 3.3 does not always know it
        script = f"trap : INT; {shlex.join(command)}; echo $? > {shlex.quote(str(self._status))}"
        self._environment = {name: value for name, value in environment.items() if name != "TMUX"}
        self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "sh", "-c", script)
        self._server = psutil.Process(int(self._tmux("display-message", "-p", "#{pid}")))
        self.pid = int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def type(self, keys: str) -> None:
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in keys.encode()))

    def until(self, true: Callable[[], object], what: str, seconds: float = LONG) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.text}"
            time.sleep(0.05)  # tmux has no way to wait for what is on a screen

    @property
    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def status(self) -> int | None:
        return int(self._status.read_text()) if self._status.exists() and self._status.stat().st_size else None

    def end(self) -> None:
        """Closes the window: the demo hears SIGHUP, if it is there still."""
        started = [self._server, *self._server.children(recursive=True)]
        self._tmux("kill-server")
        left = psutil.wait_procs(started, timeout=LONG)[1]
        shutil.rmtree(self._folder)
        assert left == []

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-S", str(self._folder / "s"), "-f", str(self._folder / "conf"), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=LONG, check=True)
        return done.stdout


S = TypeVar("S", bound=Seat)


@contextmanager
def seated(kind: type[S], folder: Path, *options: str) -> Iterator[S]:
    """The demo on a terminal; afterwards nothing is left of it."""
    environment = {**os.environ, **MODES, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    seat = kind([sys.executable, "-m", "chatrixcd_threads.demo", *options], environment)
    try:
        yield seat
    finally:
        seat.end()


def walk(seat: Seat) -> list[tuple[Step, str]]:
    """Every step, with the screen after it. Before the last one there are processes, after it there are none."""
    seen = []
    for step in WALK:
        children = psutil.Process(seat.pid).children(recursive=True)
        seat.type(step.keys) if step.keys else None
        seat.until(lambda step=step: step.fits(seat.text), step.title, LONG)  # type: ignore[misc]
        seen.append((step, seat.text))
    assert len(children) >= 2
    seat.until(lambda: seat.status is not None, "the demo has ended", LONG)
    assert seat.status == 130
    assert psutil.wait_procs(children, timeout=10)[1] == []
    return seen


def transcript(seen: list[tuple[Step, str]]) -> str:
    """For people: what was typed, and the screens. What is another each time is always the same here."""
    parts = [
        "A newcomer's walk through the demo and the console, kept by tests/tty/test_newcomer.py --write-transcripts"
    ]
    for step, screen in seen:
        keys = NAMES.get(step.keys, step.keys.replace("\r", " Enter"))
        rows = [row.rstrip() for row in screen.splitlines()]
        parts.append("\n".join([f"## {step.title}", f"## typed: {keys}", *map(steadied, rows)]).rstrip())
    return "\n\n".join(parts) + "\n"


def steadied(row: str) -> str:
    for pattern, instead in STEADY[:-1]:
        row = re.sub(pattern, lambda found, instead=instead: instead(0, found.group()), row)  # type: ignore[misc]
    return row


def kept() -> dict[str, str]:
    """The screens of the kept transcript by the titles of their steps."""
    _, *parts = TRANSCRIPT.read_text("utf-8").split("\n\n## ")
    return {part.partition("\n")[0]: part.partition("\n")[2].partition("\n")[2] for part in parts}


def tabs(screen: str) -> list[str]:
    return [row.rstrip() for row in screen.splitlines()[:2] if "First page" in row]


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_a_newcomer_starts_watches_and_stops_a_task_with_the_keyboard_alone(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kind: type[Seat] = Tmux if shutil.which("tmux") else Pty
    with seated(kind, tmp_path) as seat:
        seen = walk(seat)
    assert list(tmp_path.iterdir()) == []
    if pytestconfig.getoption("--write-transcripts"):
        TRANSCRIPT.parent.mkdir(exist_ok=True)
        TRANSCRIPT.write_text(transcript(seen), "utf-8")
    for step, screen in seen:
        expected = tabs(kept()[step.title])
        assert not expected or tabs(screen) == expected, step.title


def test_the_kept_transcript_shows_every_step() -> None:
    screens = kept()
    assert list(screens) == [step.title for step in WALK]
    for step in WALK:
        assert step.fits(screens[step.title]), step.title
        assert all(len(row) <= COLUMNS for row in screens[step.title].splitlines())


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_a_bot_that_was_stopped_from_its_console_is_started_again_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with seated(Pty, tmp_path, "--console") as seat:
        seat.until(lambda: "[1 First page]" in seat.text, "the console is open", LONG)
        seat.type("q")
        seat.until(lambda: "Stop the bot?" in seat.text, "it asks", LONG)
        seat.type("y")
        seat.until(lambda: "started again" in seat.text, "the bot is back", LONG)
        seat.type("!cd ping\r")
        seat.until(lambda: re.search(r"chatrixcd │.*@ada", seat.text), "the bot answers", LONG)
        seat.type("console\r")
        seat.until(lambda: re.search(r"\[1 First page\][\s\S]*OK +Matrix", seat.text), "the console is open", LONG)
        seat.resize(60, 16)
        seat.until(lambda: "[1 First page] 2  3  4 " in seat.text, "the console fits into the smaller window", LONG)
        children = psutil.Process(seat.pid).children(recursive=True)
        seat.type(CTRL_C)
        seat.until(lambda: seat.status is not None, "the demo has ended", LONG)
        assert seat.status == 130
        seat.until(lambda: "nothing is left behind" in seat.text, "its last line")  # written, and not read yet
        assert seat.settings() == seat.before
        assert psutil.wait_procs(children, timeout=10)[1] == []
    assert list(tmp_path.iterdir()) == []
