"""The first start on a real homeserver and a real terminal: from nothing to a bot that answers its owner."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.demo.botprocess import spawn
from chatrixcd_threads.demo.homeserver import Account, Homeserver
from chatrixcd_threads.demo.person import Person
from chatrixcd_threads.demo.semaphore import Standin
from chatrixcd_threads.firststart import Request, first_start
from chatrixcd_threads.settings.schema import check_files
from tests.e2e.conftest import AccountFactory
from tests.tty.harness import ROOT, Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
LONG = 60.0
PROGRAM = [sys.executable, "-m", "chatrixcd_threads"]
CLAIM = re.compile(r"claim\s+([A-Z0-9]{6,})")


class Listening:
    """Nobody is asked; problems are noted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.problems: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def complain(self, line: str) -> None:
        self.problems.append(line)

    def ask(self, prompt: str) -> str:
        raise AssertionError(prompt)

    ask_secret = ask


@contextmanager
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level


@dataclass(frozen=True)
class Start:
    """What a newcomer has: an account for the bot, a Semaphore with a token, an own account, and an empty folder."""

    homeserver: Homeserver
    semaphore: Standin
    bot: Account
    ann: Person
    folder: Path
    notes: list[str] = field(default_factory=list)  # warnings of the last answers

    @property
    def answers(self) -> dict[str, Any]:
        return {
            "user_id": self.bot.user_id,
            "homeserver": self.homeserver.url,
            "password": {"env": "BOT_PASSWORD"},
            "semaphore_url": self.semaphore.url,
            "semaphore_token": {"file": "token"},
            "owner": self.ann.user_id,
        }

    @contextmanager
    def program(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """The program without a terminal; it ends with the test in any case."""
        environment = {**os.environ, "BOT_PASSWORD": "newbot-password", "PYTHONPATH": str(ROOT)}
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen([*PROGRAM, *options], cwd=self.folder, env=environment, text=True, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    def answer(self, answers: Mapping[str, Any]) -> tuple[int | None, list[str]]:
        """The answers from a file, in this process: exit status and problems."""
        (self.folder / "log").write_text(json.dumps(answers))
        talk = Listening()
        request = Request(Path("config.json"), "log", screen=False, may_start=False)
        with pytest.MonkeyPatch.context() as patch, logging_as_before():
            patch.chdir(self.folder)
            patch.setenv("BOT_PASSWORD", "newbot-password")
            status = first_start(request, talk)
        self.notes[:] = [line for line in talk.said if line.startswith("Note: ")]
        return status, talk.problems

    def terminal(self, *options: str, columns: int = 80, rows: int = 24) -> Terminal:
        return Terminal(
            self.folder / "log", program=[*PROGRAM, *options], folder=self.folder, columns=columns, rows=rows
        )

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"token", "log"}

    def admin_room(self) -> str:
        """The room that ann is invited into; she goes in."""
        person = self.ann
        person.run(person._until(lambda: bool(person.client.invited_rooms)), LONG)
        (room_id,) = person.run(_invites(person))
        person.join(room_id)
        return room_id

    def settings(self) -> str:
        path = self.folder / "config.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert check_files([str(path)], None, builtins=commands()) == 0
        return path.read_text("utf-8")

    def answers_the_owner(self, room_id: str) -> None:
        """As soon as it says that it is there; what was said before is history at a first start."""
        greets = lambda heard: heard.sender == self.bot.user_id and "now online" in heard.body  # noqa: E731
        self.ann.wait(greets, room_id=room_id, timeout=LONG)
        event = self.ann.send(room_id, "!cd ping")
        heard = self.ann.wait(
            lambda heard: heard.sender == self.bot.user_id and heard.reply_to == event, room_id=room_id, timeout=LONG
        )
        assert heard.encrypted
        assert "Semaphore answered" in heard.body


async def _invites(person: Person) -> list[str]:
    return list(person.client.invited_rooms)


@pytest.fixture
def start(
    homeserver: Homeserver, account: AccountFactory, person: Callable[[str], Person], tmp_path: Path
) -> Iterator[Start]:
    with Standin("2.16", tick=0.1) as semaphore:
        folder = tmp_path / "newcomer"
        folder.mkdir()
        (folder / "token").write_text(semaphore.token("runner") + "\n")
        yield Start(homeserver, semaphore, account("newbot"), person("ann"), folder)


def asks(terminal: Terminal, question: str) -> None:
    """The question is there, and its prompt after it: what is typed before that is dropped where nothing is shown."""

    def prompted() -> bool:
        return question in terminal.text and terminal.text.rstrip().endswith(">")

    terminal.until(prompted, f"asks {question}", LONG)


def answers_until_a_code(start: Start, terminal: Terminal, *password: tuple[str, str]) -> None:
    """The plain questions, answered up to the code for the admin room; `password` is what is asked and typed for it."""
    for question, typed in (
        ("[1/11]", start.bot.user_id),
        ("[2/11]", start.homeserver.url),
        ("[3/11]", ""),
        *password,
        ("[5/11]", start.semaphore.url),
        ("[6/11]", start.semaphore.token("runner")),
        ("[7/11]", ""),
        ("[8/11]", start.ann.user_id),
        ("[9/11]", ""),
        ("[10/11]", ""),
    ):
        asks(terminal, question)
        terminal.type(f"{typed}\n")
    terminal.until(lambda: CLAIM.search(terminal.text), "a code", LONG)


def code_in(lines: IO[str]) -> str:
    for line in lines:
        if found := CLAIM.search(line):
            return found[1]
    raise AssertionError("no code was shown")


def test_from_an_answers_file_to_a_bot_that_answers(start: Start, person: Callable[[str], Person]) -> None:
    (start.folder / "answers.json").write_text(json.dumps({**start.answers, "claim": "now"}))
    stranger = person("eve")
    with start.program("--answers", "answers.json") as process:
        assert process.stdout is not None
        code = code_in(process.stdout)
        room_id = start.admin_room()
        start.ann.invite(room_id, stranger.user_id)
        stranger.join(room_id)
        start.ann.wait_member(room_id, stranger.user_id)
        stranger.send(room_id, f"claim {code}")  # the right code of the wrong person
        start.ann.set_state(room_id, "m.room.name", {"name": "ours"})  # with the same power as the bot
        start.ann.send(room_id, "claim WRONG1")
        start.ann.send(room_id, f"claim {code.lower()}")
        said, problems = process.communicate(timeout=LONG)
        assert (process.returncode, problems) == (0, "")
    assert f"That was another code, from {start.ann.user_id}" in said
    assert f"{start.ann.user_id} owns the bot now." in said
    assert "newbot-password" not in said
    thanks = start.ann.wait(lambda heard: "owns me now" in heard.body, room_id=room_id)
    assert thanks.encrypted
    text = start.settings()
    assert f'"admin_users": ["{start.ann.user_id}"]' in text
    assert f'"admin_room": "{room_id}"' in text
    bot = spawn(
        [*PROGRAM, "-L"], cwd=start.folder, log=start.folder / "log", env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        start.answers_the_owner(room_id)
    finally:
        bot.terminate()
        assert bot.wait(LONG) == 0
    log = (start.folder / "log").read_text()
    assert "logged in as" not in log  # the wizard's login is the bot's
    assert start.ann.unreadable(room_id) == []


def test_plain_questions_on_a_terminal(start: Start) -> None:
    with start.terminal("--plain", rows=80) as terminal:
        terminal.shows("There is no config.json. Set the bot up now? [Y/n]")
        terminal.type("\n")
        answers_until_a_code(
            start, terminal, ("[4/11]", "wrong"), ("Problem: The homeserver refuses to log", "newbot-password")
        )
        code = CLAIM.search(terminal.text)
        assert code is not None
        room_id = start.admin_room()
        start.ann.send(room_id, f"!cd claim {code[1]}")
        asks(terminal, "[11/11]")
        terminal.shows("matrix.password", "********")
        terminal.type("\n")
        asks(terminal, "Shall I start the bot now?")
        terminal.type("yes\n")
        start.answers_the_owner(room_id)
        said = [heard.body for heard in start.ann.messages(room_id) if heard.sender == start.bot.user_id]
        assert not any("no command" in body for body in said), said  # what the wizard has heard is over
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(seconds=LONG)
    written = bytes(terminal.raw).decode(errors="replace")
    assert "newbot-password" not in written
    assert start.semaphore.token("runner") not in written
    start.settings()


def test_the_pages_on_a_terminal(start: Start) -> None:
    with start.terminal("-I", columns=40, rows=12) as terminal:
        for page, typed in (
            ("1/11", start.bot.user_id.partition(":")[0][1:]),  # the name alone: the homeserver knows the rest
            ("2/11", start.homeserver.url),
            ("3/11", ""),
            ("4/11", "newbot-password"),
            ("5/11", start.semaphore.url),
            ("6/11", start.semaphore.token("runner")),
            ("7/11", ""),
            ("8/11", start.ann.user_id),
            ("9/11", ""),
            ("10/11", ""),
        ):
            terminal.shows(f"First start {page}", seconds=LONG)
            terminal.type(f"{typed}\r")
        terminal.until(lambda: CLAIM.search(terminal.text), "a code", LONG)
        code = CLAIM.search(terminal.text)
        assert code is not None
        room_id = start.admin_room()
        terminal.shows("is in the room", seconds=LONG)
        terminal.resize(80, 24)
        start.ann.send(room_id, f"claim {code[1]}")
        terminal.shows("First start 11/11", "Shall I write this?", seconds=LONG)
        terminal.type("\r")
        terminal.shows("First start 12/12", "Shall I start the bot now?", seconds=LONG)
        terminal.type("\r")
        terminal.shows("chatrixcd_threads", "Matrix", "OK", seconds=LONG)  # the console
        terminal.type("qy")
        terminal.ends(seconds=LONG)
        terminal.left_screen()
        written = bytes(terminal.raw).decode(errors="replace")
    assert "newbot-password" not in written
    assert start.ann.user_id in start.settings()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_given_up_in_the_middle_of_a_password(start: Start, number: signal.Signals) -> None:
    with start.terminal("-I", "--plain", rows=50) as terminal:
        for question, typed in (
            ("[1/11]", start.bot.user_id),
            ("[2/11]", start.homeserver.url),
            ("[3/11]", ""),
            ("[4/11]", "newbot-pass"),
        ):
            asks(terminal, question)
            terminal.type(typed if typed == "newbot-pass" else f"{typed}\n")
        if number == signal.SIGINT:
            terminal.type("\x03")
        else:
            terminal.process.send_signal(number)
        terminal.ends(128 + number, seconds=LONG)
        assert "Nothing was written." in terminal.text
    assert start.left() == set()


@pytest.mark.parametrize("key", ["semaphore_url", "claim"])
def test_ctrl_c_on_the_screen(start: Start, key: str) -> None:
    """Before keys were published everything is taken back; afterwards they stay, since the account depends on them."""
    pages = [
        ("1/11", start.bot.user_id),
        ("2/11", start.homeserver.url),
        ("3/11", ""),
        ("4/11", "newbot-password"),
        ("5/11", start.semaphore.url),
        ("6/11", start.semaphore.token("runner")),
        ("7/11", ""),
        ("8/11", start.ann.user_id),
        ("9/11", ""),
        ("10/11", ""),
    ]
    early = key == "semaphore_url"
    with start.terminal("-I") as terminal:
        for page, typed in pages[:4] if early else pages:
            terminal.shows(f"First start {page}", seconds=LONG)
            terminal.type(f"{typed}\r")
        if early:
            terminal.shows("First start 5/11", seconds=LONG)
        else:
            terminal.until(lambda: CLAIM.search(terminal.text), "a code", LONG)
            made = start.admin_room()
        terminal.type("\x03")
        terminal.ends(130, seconds=LONG)
        terminal.left_screen()
        assert "Nothing was written." in bytes(terminal.raw).decode(errors="replace")
    assert start.left() == (set() if early else {"store"})
    if not early:  # and the next try works with what stayed, here with a room of ann's
        start.ann.wait_gone(made, start.bot.user_id)
        name = start.folder.parent.name[-20:]
        room_id = start.ann.create_room("ops", invite=[start.bot.user_id], room_alias_name=name)
        assert start.answer({**start.answers, "admin_room": f"#{name}:localhost"}) == (0, [])
        assert f'"admin_room": "{room_id}"' in start.settings()
        assert start.notes == ["Note: This room is not encrypted: its homeservers can read all that is said there."]
    else:
        assert "CHATRIXCD" not in _devices(start)


def _devices(start: Start) -> set[str]:
    headers = {"Authorization": f"Bearer {start.bot.access_token}"}
    answer = requests.get(f"{start.homeserver.url}/_matrix/client/v3/devices", headers=headers, timeout=15)
    return {device["device_id"] for device in answer.json()["devices"]}


def test_an_account_that_others_have_set_up(start: Start) -> None:
    """As somebody who made the account in a client of theirs: its cross-signing keys are not here."""
    assert start.answer(start.answers) == (0, [])
    assert start.notes == []
    (start.folder / "config.json").unlink()
    shutil.rmtree(start.folder / "store")
    assert start.answer(start.answers) == (0, [])
    (note,) = start.notes
    assert "cannot sign its own device" in note


def test_a_new_code_counts_at_once_after_too_many_wrong_ones(start: Start) -> None:
    """The homeserver tells its first answer once more, with the wrong codes in it."""
    with start.terminal("-I", "--plain", columns=120, rows=100) as terminal:
        answers_until_a_code(start, terminal, ("[4/11]", "newbot-password"))
        room_id = start.admin_room()
        terminal.shows("is in the room", seconds=LONG)
        for number in range(5):
            start.ann.send(room_id, f"claim WRONG{number}")
        asks(terminal, "5 wrong codes came from the admin room")
        terminal.type("\n")
        terminal.until(lambda: len(CLAIM.findall(terminal.text)) == 2, "another code", LONG)
        start.ann.send(room_id, f"claim {CLAIM.findall(terminal.text)[1]}")
        asks(terminal, "[11/11]")
        assert terminal.text.count("tries left") == 4
        terminal.type("\x03")
        terminal.ends(130, seconds=LONG)


def test_an_owner_whom_the_homeserver_does_not_know(start: Start) -> None:
    assert start.answer({**start.answers, "owner": "@nobody:localhost"}) == (0, [])
    (note,) = start.notes
    assert "No homeserver knows @nobody:localhost" in note


def test_no_is_an_answer(start: Start) -> None:
    with start.terminal() as terminal:
        terminal.shows("Set the bot up now? [Y/n]")
        terminal.type("n\n")
        terminal.ends(78, seconds=LONG)
        assert "Set matrix.user_id" in terminal.text
    assert start.left() == set()


def test_a_settings_file_is_never_written_over_unasked(start: Start) -> None:
    path = start.folder / "config.json"
    path.write_text('{"bot": {"workers": 8}}')
    status, problems = start.answer(start.answers)
    assert status == 78
    assert '"write": "yes"' in problems[0]
    assert path.read_text() == '{"bot": {"workers": 8}}'
    assert start.left() == {"config.json"}


class _Page(BaseHTTPRequestHandler):
    """A web server that has nothing to do with either."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>Welcome!</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web_page() -> Iterator[str]:
    with ExitStack() as closing:
        server = closing.enter_context(HTTPServer(("127.0.0.1", 0), _Page))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        closing.callback(thread.join)
        closing.callback(server.shutdown)
        yield f"http://127.0.0.1:{server.server_port}"


def test_each_fault_has_its_sentence(start: Start, web_page: str) -> None:
    nobody = "http://127.0.0.1:9"
    faults: list[tuple[dict[str, Any], list[str]]] = [
        (
            {"homeserver": nobody},
            [f"homeserver: Asking {nobody} which versions of Matrix it speaks failed: no connection"],
        ),
        (
            {"homeserver": web_page},
            [f"homeserver: Asking {web_page} which versions of Matrix it speaks brought status 200"],
        ),
        (
            {"password": "wrong", "semaphore_token": "wrong"},
            [
                "password: The homeserver refuses to log",
                "semaphore_token: Reading the bot's own user failed: Semaphore does not accept the API token",
            ],
        ),
        (
            {"semaphore_url": web_page},
            [f"semaphore_url: Asking Semaphore for a sign of life failed: {web_page}/api answered 200 with a web page"],
        ),
    ]
    for change, expected in faults:
        status, lines = start.answer({**start.answers, **change})
        assert status == 78
        assert len(lines) == len(expected), lines
        for line, beginning in zip(lines, expected, strict=True):
            assert line.startswith(beginning), line
        assert start.left() == set()
