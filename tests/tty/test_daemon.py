"""The bot in the background as a real process, and consoles on real terminals that come and go. Its servers are not there."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from chatrixcd_threads.demo.terminal import LIMIT
from tests.tty.harness import ROOT, Terminal

PROGRAM = [sys.executable, "-m", "chatrixcd_threads"]
CONFIG: dict[str, Any] = {
    "matrix": {"homeserver": "http://127.0.0.1:9", "user_id": "@bot:example.org", "password": "hunter22-secret"},
    "semaphore": {"url": "http://127.0.0.1:9", "api_token": "tok-very-secret"},
    "bot": {"admin_users": ["@ann:example.org"]},
}
UNHEARD = ("The bot may or may not have heard this", "Nothing was asked")
NO_SIGN = "Asking Semaphore for a sign of life failed"


class Daemon:
    """A bot in its folder. What it starts is nobody's child: it is ended by its number."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        self.log, self.pid_file = self.store / "bot.log", self.store / "bot.pid"
        self.write(CONFIG)
        self._started: list[psutil.Process] = []

    def write(self, config: dict[str, Any]) -> None:
        (self.folder / "config.json").write_text(json.dumps(config), "utf-8")

    def start(self, *options: str, keep: int | None = None) -> subprocess.CompletedProcess[str]:
        done = self.run("-D", "-N", *options, keep=keep)
        if done.returncode == 0:
            self._started.append(psutil.Process(int(done.stdout.partition("process ")[2].partition(",")[0])))
        return done

    def run(self, *arguments: str, keep: int | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * LIMIT,
            check=False,
            pass_fds=[] if keep is None else [keep],
        )

    @property
    def process(self) -> psutil.Process:
        return self._started[-1]

    @property
    def alive(self) -> bool:
        return runs(self.process)

    def ends(self) -> None:
        deadline, pause = time.monotonic() + LIMIT, threading.Event()
        while self.alive:
            assert time.monotonic() < deadline, "the daemon goes on"
            pause.wait(0.02)

    def clean_up(self) -> None:
        for process in filter(runs, self._started):
            process.kill()


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def says(terminal: Terminal, text: str) -> None:
    """A console of plain lines has said it; it may have left the screen since."""
    terminal.until(lambda: text in terminal.raw.decode(errors="replace"), f"says {text}")


def ping(terminal: Terminal) -> None:
    """Asks until the bot has heard it: one that is busy for a second is not waited for, and the console says so."""
    while "› ping" not in terminal.text:
        if any(each in terminal.text for each in UNHEARD):
            terminal.type("g")  # any key takes the sentence away
            terminal.until(lambda: not any(each in terminal.text for each in UNHEARD), "the sentence is gone")
        terminal.type(":ping\r")
        terminal.until(lambda: any(each in terminal.text for each in ("› ping", *UNHEARD)), "asked, or not")
    terminal.shows("› ping", NO_SIGN)


def ping_plain(terminal: Terminal) -> None:
    """The same on a console of plain lines."""
    while b"Asked: ping" not in terminal.raw:
        refused = terminal.raw.count(b"Not asked:") + 1
        terminal.type("ping\n")
        terminal.until(
            lambda most=refused: b"Asked: ping" in terminal.raw or terminal.raw.count(b"Not asked:") >= most,  # type: ignore[misc]
            "asked, or not",
        )


class Refusing(http.server.BaseHTTPRequestHandler):
    """A homeserver that knows nobody."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b'{"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}')

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.clean_up()


@pytest.fixture
def console(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    with ExitStack() as closing:

        def attach(*options: str) -> Terminal:
            program = [*PROGRAM, "console", "--attach", *options]
            return closing.enter_context(Terminal(tmp_path / "unused", program=program, columns=100, folder=tmp_path))

        yield attach


def test_attach_ask_and_detach(daemon: Daemon, console: Callable[..., Terminal]) -> None:
    assert daemon.start().returncode == 0
    terminal = console()
    terminal.shows("[1 First page]", "Matrix", "DOWN", "[q]detach", "[q] leave")
    ping(terminal)
    terminal.shows("Answers")
    terminal.type("\x1b")
    terminal.until(lambda: "Answers" not in terminal.text, "the window is closed")
    terminal.type("7")
    terminal.shows("[7 Log]", "a console was attached")
    terminal.type("q")
    terminal.ends()
    terminal.left_screen()
    assert daemon.alive
    terminal.until(lambda: "a console has left" in daemon.log.read_text("utf-8"), "the bot has noticed it")
    assert "hunter22" not in daemon.log.read_text("utf-8")


def test_consoles_are_killed_and_the_bot_goes_away_and_comes_back(
    daemon: Daemon, console: Callable[..., Terminal]
) -> None:
    assert daemon.start().returncode == 0
    one, two = console(), console("--plain")
    one.shows("[1 First page]", "DOWN")
    says(two, "quit leaves this console")
    says(two, "Semaphore: down")
    ping_plain(two)
    says(two, "Answer to ping")
    one.type("a")
    one.shows("Nothing was asked yet")
    one.type("\x1b")
    one.until(lambda: "Answers" not in one.text, "the window is closed")
    ping(one)
    one.process.kill()
    one.process.wait(LIMIT)
    three = console()
    three.shows("[1 First page]", "DOWN")
    assert daemon.alive
    daemon.process.send_signal(signal.SIGTERM)
    three.shows("the bot is gone, waiting for it", "Journal")
    says(two, "Attention: the bot is gone")
    daemon.ends()
    assert not daemon.pid_file.exists()
    assert not (daemon.store / "console.sock").exists()
    assert daemon.log.read_text("utf-8").rstrip().endswith("stopped")
    three.type(":ping\r")
    three.shows("Nothing was asked: the bot is gone")
    assert daemon.start().returncode == 0
    three.until(lambda: "the bot is gone" not in three.screen.display[0], "the bot is there again")
    says(two, "The bot is there again.")
    ping(three)
    three.type("\x1b")
    three.until(lambda: "Answers" not in three.text, "the window is closed")
    daemon.process.kill()
    three.shows("the bot is gone, waiting for it")
    three.type("q")
    three.ends()
    two.type("quit\n")
    two.ends()


def test_a_terminal_that_is_closed_ends_the_console_alone(daemon: Daemon, console: Callable[..., Terminal]) -> None:
    assert daemon.start().returncode == 0
    screen, plain = console(), console("--plain")
    screen.shows("[1 First page]")
    says(plain, "Journal: ok")
    for terminal in (screen, plain):
        terminal.hang_up()
        terminal.ends()
    assert daemon.alive


def test_one_at_a_time_and_what_is_left_behind_is_stale(daemon: Daemon) -> None:
    first = daemon.start()
    assert first.returncode == 0
    assert daemon.pid_file.read_text().strip() == str(daemon.process.pid)
    assert stat.S_IMODE(daemon.pid_file.stat().st_mode) == 0o600
    again = daemon.start()
    assert again.returncode == 78
    assert f"process {daemon.process.pid}" in again.stderr
    elsewhere = daemon.start("--pid-file", "other.pid")
    assert elsewhere.returncode == 78
    assert "another bot already works with store" in elsewhere.stderr
    assert str(daemon.process.pid) in elsewhere.stderr
    assert not (daemon.folder / "other.pid").exists()
    daemon.process.kill()
    daemon.ends()
    assert daemon.pid_file.exists()
    assert daemon.start("--pid-file", str(daemon.pid_file)).returncode == 0


def test_it_keeps_nothing_that_was_open(daemon: Daemon) -> None:
    """A script that reads what its programs write would else wait for the daemon's end."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source:
        try:
            assert daemon.start(keep=writer).returncode == 0
        finally:
            os.close(writer)
        assert source.read() == b""
    assert daemon.alive


def test_what_is_wrong_is_told_by_the_one_who_started_it(daemon: Daemon) -> None:
    daemon.write({**CONFIG, "bot": {"workers": "many"}})
    broken = daemon.start()
    assert (broken.returncode, broken.stdout) == (78, "")
    assert "bot.workers" in broken.stderr
    assert not daemon.store.exists()
    (daemon.folder / "file").write_text("in the way")
    daemon.write({**CONFIG, "bot": {"log_file": "file/bot.log"}})
    unlogged = daemon.start()
    assert unlogged.returncode == 78
    assert "bot.log_file" in unlogged.stderr


def test_a_broken_settings_file_keeps_nobody_from_looking_in(daemon: Daemon, console: Callable[..., Terminal]) -> None:
    assert daemon.start().returncode == 0
    (daemon.folder / "config.json").write_text('{"matrix": {')
    terminal = console()
    terminal.shows("[1 First page]", "REFUSED")
    terminal.type("q")
    terminal.ends()
    daemon.process.send_signal(signal.SIGTERM)
    daemon.ends()
    again = daemon.start()
    assert again.returncode == 0
    assert "config.json" in again.stderr
    assert "line 1" in again.stderr


def test_a_login_that_is_refused_is_told_by_the_one_who_started_it(daemon: Daemon, refusing: str) -> None:
    daemon.write({**CONFIG, "matrix": {**CONFIG["matrix"], "homeserver": refusing}})
    refused = daemon.start()
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "matrix.password" in refused.stderr
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while daemon.pid_file.exists():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def test_without_a_bot_there_is_nothing_to_attach_to(daemon: Daemon) -> None:
    done = daemon.run("console")
    assert done.returncode == 69
    for part in (str(daemon.store / "console.sock"), "-D", "-c FILE"):
        assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
