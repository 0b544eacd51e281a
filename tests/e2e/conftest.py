"""A real Synapse and real people, one set for each test process."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import pytest
import requests

from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.demo.homeserver import Account, Homeserver
from chatrixcd_threads.demo.person import Heard, People, Person
from chatrixcd_threads.demo.semaphore import Standin
from chatrixcd_threads.demo.semaphore.content import demo as demo_content

if TYPE_CHECKING:
    from tests.conftest import Leaks

_numbers = itertools.count(1)

# An application service, which alone may say when something was said. It speaks for people whose names begin so.
BRIDGED = "early"
BRIDGE = {
    "id": "bridge",
    "url": None,
    "as_token": "a-token-of-the-bridge",
    "hs_token": "a-token-of-the-homeserver",
    "sender_localpart": "bridge",
    "rate_limited": False,
    "namespaces": {"users": [{"exclusive": False, "regex": f"@{BRIDGED}-.*"}]},
}


class AccountFactory(Protocol):
    def __call__(self, name: str, *, admin: bool = False) -> Account: ...


@pytest.fixture(scope="session")
def homeserver(leaks: Leaks, memory: Path) -> Iterator[Homeserver]:
    """One per xdist worker, without rate limits. A test that stops it starts it again."""
    bridge = memory / "bridge.yaml"
    bridge.write_text(json.dumps(BRIDGE), "utf-8")
    with Homeserver(memory / "e2e-synapse", extra={"app_service_config_files": [str(bridge)]}) as server:
        leaks.allow_pids(lambda: [server.pid])
        yield server


@pytest.fixture(scope="session")
def people(leaks: Leaks) -> Iterator[People]:
    with People() as crowd:
        leaks.allow_threads(lambda: crowd.threads)
        yield crowd


@pytest.fixture
def account(homeserver: Homeserver) -> AccountFactory:
    """Makes accounts: each call a new one, its name made unique by a number."""

    def make(name: str, *, admin: bool = False) -> Account:
        return homeserver.register(f"{name}-{next(_numbers)}", f"{name}-password", admin)

    return make


@pytest.fixture
def person(
    homeserver: Homeserver, people: People, account: AccountFactory, tmp_path: Path
) -> Iterator[Callable[[str], Person]]:
    """Makes people of new accounts, signed in; they leave at the end of the test."""
    made: list[Person] = []

    def make(name: str) -> Person:
        one = account(name)
        made.append(people.person(homeserver.url, one, tmp_path / f"person-{one.user_id.split(':')[0][1:]}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def bot_process(tmp_path: Path) -> Iterator[Callable[[Mapping[str, Any]], BotProcess]]:
    """Makes bots as child processes from a settings dict, each in a folder of its own; started by the test, ended
    at its end in any case."""
    made: list[BotProcess] = []

    def make(config: Mapping[str, Any]) -> BotProcess:
        made.append(BotProcess(tmp_path / f"bot-{len(made) + 1}", config))
        return made[-1]

    yield make
    for bot in made:
        bot.close()


# --- a stage: one bot, its Semaphore, and the rooms in which people talk to it


SCRIPTS: Mapping[str, str] = {
    # Runs until the file `gate` is there, and then ends with the status written in it.
    "gate.sh": 'echo "waiting at the gate"\nuntil [ -s "{folder}/gate" ]; do sleep 0.05; done\n'
    'echo "<b>through</b> the gate"\nsleep 0.2\nexit "$(cat "{folder}/gate")"\n',
    "wide.sh": 'for i in $(seq 1 2000); do echo "line $i of 2000: ünïcode <tag> & @room $RANDOM$RANDOM$RANDOM"; done\n'
    "sleep 0.3\n",
}
STILL_WORKING = "⏳"


@dataclass
class Stage:
    """A bot with an account, a journal and a Semaphore of its own. Used by one thread at a time."""

    bot: BotProcess
    account: Account
    semaphore: Standin
    admin: Person
    folder: Path
    config: dict[str, Any]

    @property
    def user_id(self) -> str:
        return self.account.user_id

    def room(
        self,
        person: Person | None = None,
        *,
        encrypted: bool = False,
        guests: Iterable[Person] = (),
        wait: bool = True,
        **more: Any,
    ) -> Room:
        """A new room of that person (else of the admin) with the bot and the guests in it."""
        host = person or self.admin
        guests = list(guests)
        invited = [self.user_id, *(guest.user_id for guest in guests)]
        room_id = host.create_room("a room", encrypted=encrypted, invite=invited, **more)
        for guest in guests:
            guest.join(room_id)
            host.wait_member(room_id, guest.user_id)
        if wait:
            host.wait_member(room_id, self.user_id)
            for guest in guests:
                guest.wait_member(room_id, self.user_id)
        return Room(self, room_id, host)

    def restart(self) -> None:
        """Ends the bot as a power cut would, and starts it again."""
        self.bot.kill9()
        self.bot.start()

    def open_gate(self, status: int = 0) -> None:
        """Lets every task of the template Gate end, with this status."""
        new = self.folder / "gate.new"
        new.write_text(f"{status}\n", "utf-8")
        new.rename(self.folder / "gate")

    def posts(self, pattern: str = "") -> list[str]:
        """The paths of all POSTs that Semaphore has seen."""
        return [path for method, path, _ in self.semaphore.requests() if method == "POST" and re.search(pattern, path)]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Something that an admin does in Semaphore's own pages."""
        headers = {"Authorization": f"Bearer {self.semaphore.token('admin')}"}
        answer = requests.request(method, self.semaphore.url + "/api" + path, json=body, headers=headers, timeout=15)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def task(self, number: int) -> dict[str, Any]:
        return next(dict(row) for row in self.semaphore.tasks() if row["id"] == number)


@dataclass(frozen=True)
class Room:
    """A room on a stage, as one person in it sees it."""

    stage: Stage
    room_id: str
    person: Person

    def seen_by(self, person: Person) -> Room:
        """The same room for somebody else in it."""
        return replace(self, person=person)

    @property
    def encrypted(self) -> bool:
        return self.person.run(self._is_encrypted())

    async def _is_encrypted(self) -> bool:
        return bool(self.person.client.rooms[self.room_id].encrypted)

    def say(self, body: str, **how: Any) -> str:
        return self.person.send(self.room_id, body, **how)

    def said_before(self, bodies: Sequence[str], seconds: float) -> list[str]:
        """Said by a person whose name begins with BRIDGED, so long ago by the homeserver's clock, in this order. The ids."""
        at = int((time.time() - seconds) * 1000)
        place = f"{self.stage.config['matrix']['homeserver']}/_matrix/client/v3/rooms/{quote(self.room_id)}/send/m.room.message"
        found: list[str] = []
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {BRIDGE['as_token']}"
            for number, body in enumerate(bodies):
                answer = session.put(
                    f"{place}/early{next(_numbers)}",
                    params={"user_id": self.person.user_id, "ts": str(at + number)},
                    json={"msgtype": "m.text", "body": body},
                    timeout=30,
                )
                answer.raise_for_status()
                found.append(str(answer.json()["event_id"]))
        return found

    def react(self, to: Heard | str, key: str) -> str:
        return self.person.react(self.room_id, to if isinstance(to, str) else to.event_id, key)

    def ask(self, body: str, *, timeout: float = 30.0, **how: Any) -> Heard:
        """Says a command and returns its answer, which must have the form of every answer."""
        return self.answer(self.say(body, **how), timeout=timeout)

    def ask_all(self, bodies: Sequence[str]) -> list[Heard]:
        """Says many commands at once; their answers, in the order of the commands."""
        events = self.person.send_many([(self.room_id, body) for body in bodies])
        return [self.answer(event_id) for event_id in events]

    def answer(self, event_id: str, *, timeout: float = 30.0) -> Heard:
        """The answer to a command (its edit, when it had been “still working” before)."""

        def is_answer(heard: Heard) -> bool:
            mine = heard.sender == self.stage.user_id and heard.reply_to == event_id and heard.msgtype != "m.file"
            return mine and not heard.body.startswith(STILL_WORKING)

        found = self.person.wait(is_answer, room_id=self.room_id, timeout=timeout)
        self.check_form(found)
        return found

    def check_form(self, heard: Heard) -> None:
        """What holds for everything that the bot says."""
        assert heard.sender == self.stage.user_id
        assert heard.msgtype == "m.notice"
        assert heard.mentions is not None
        assert heard.body.strip()
        assert heard.html
        assert heard.encrypted == self.encrypted

    def replies(self, event_id: str) -> list[Heard]:
        """All messages of the bot that answer this event; files are not counted, nor edits."""
        return [heard for heard in self.said_by_bot() if heard.reply_to == event_id and heard.msgtype != "m.file"]

    def said_by_bot(self) -> list[Heard]:
        return [heard for heard in self.person.messages(self.room_id) if heard.sender == self.stage.user_id]

    def hear(self, pattern: str, *, after: str | None = None, timeout: float = 30.0) -> Heard:
        """The first thing the bot says, or edits a message to, that matches."""

        def fits(heard: Heard) -> bool:
            return heard.sender == self.stage.user_id and re.search(pattern, heard.body) is not None

        return self.person.wait(fits, room_id=self.room_id, after=after, timeout=timeout)

    def edit_of(self, heard: Heard, pattern: str = "", *, timeout: float = 30.0) -> Heard:
        """The new content of one message of the bot, once it matches."""

        def fits(later: Heard) -> bool:
            same = later.event_id == heard.event_id and later.edited is not None
            return same and re.search(pattern, later.body) is not None

        found = self.person.wait(fits, room_id=self.room_id, timeout=timeout)
        self.check_form(found)
        return found

    def fence(self) -> None:
        """Everything this person did before has been handled once this returns: lanes keep the order."""
        self.ask("!cd admins")

    def question(self, what: str = "demo hello", **how: Any) -> Heard:
        """Asks for a run and returns the bot's question."""
        asked = self.ask(f"!cd run {what}", **how)
        assert asked.body.startswith("Shall I start "), asked.body
        return asked

    def start(self, what: str = "demo hello") -> tuple[int, Heard]:
        """Runs a task: its number, and the answer that says so."""
        question = self.question(what)
        self.react(question, "👍")
        started = self.edit_of(question)
        return number_of(started), started

    def end_of(self, task: int, *, timeout: float = 30.0) -> Heard:
        """The report of a task's end."""
        found = self.hear(rf"\ATask #{task} [^\n]*: (✅|❌|⏹|❔|✖)", timeout=timeout)
        self.check_form(found)
        return found


def number_of(heard: Heard) -> int:
    """The task a message names."""
    found = re.search(r"#(\d+)", heard.body)
    assert found is not None, heard.body
    return int(found[1])


class StageFactory(Protocol):
    def __call__(
        self,
        *,
        bot: Mapping[str, Any] | None = None,
        semaphore: Mapping[str, Any] | None = None,
        profile: str = "2.16",
        server: Homeserver | None = None,
        start: bool = True,
        operated: bool = False,
    ) -> Stage: ...


@pytest.fixture(scope="session")
def ann(homeserver: Homeserver, people: People, memory: Path) -> Person:
    """The admin of most bots."""
    return people.person(homeserver.url, homeserver.register("ann", "ann-password"), memory / "ann")


@pytest.fixture(scope="session")
def bob(homeserver: Homeserver, people: People, memory: Path) -> Person:
    """A colleague without rights."""
    return people.person(homeserver.url, homeserver.register("bob", "bob-password"), memory / "bob")


def _stages(
    homeserver: Homeserver, admin: Person, folders: Callable[[], Path], leaks: Leaks, closing: contextlib.ExitStack
) -> StageFactory:
    def make(
        *,
        bot: Mapping[str, Any] | None = None,
        semaphore: Mapping[str, Any] | None = None,
        profile: str = "2.16",
        server: Homeserver | None = None,
        start: bool = True,
        operated: bool = False,
    ) -> Stage:
        folder = folders()
        host = server or homeserver
        standin = closing.enter_context(Standin(profile, _content(folder / "repo"), tick=0.1))
        account = host.register(f"bot-{next(_numbers)}", "bot-password")
        config: dict[str, Any] = {
            "matrix": {
                "homeserver": host.url,
                "user_id": account.user_id,
                "password": "bot-password",
                "store_path": "store",
            },
            "semaphore": {
                "url": standin.url,
                "api_token": standin.token("runner"),
                "poll_seconds": 0.2,
                **(semaphore or {}),
            },
            "bot": {"admin_users": [admin.user_id], **(bot or {})},
        }
        shown = "--plain" if operated else "-L"  # an operator types at the plain console
        arguments = (shown, "-c", "config.json", "-N")
        process = BotProcess(folder / "bot", config, arguments=arguments, listens=operated)
        closing.callback(process.close, grace=0)  # how it ends in order is test_leaving's matter
        stage = Stage(process, account, standin, admin, folder, config)
        leaks.allow_pids(lambda: [process.pid] if process.alive else [])
        _on_stage.append(stage)
        closing.callback(_on_stage.remove, stage)
        if start:
            process.start()
            process.wait_log("logged in as", timeout=30)  # fails at once when the bot ends instead
        return stage

    return make


def _content(folder: Path) -> dict[str, Any]:
    """The demo's content and two more templates: Gate (8) and Wide (9)."""
    folder.mkdir(parents=True)
    for name, script in SCRIPTS.items():
        (folder / name).write_text("#!/bin/bash\n" + script.replace("{folder}", str(folder.parent)), "utf-8")
    content = demo_content()
    own = {"repository_id": "@repository:own", "app": "bash", "view_id": "@view:Ops"}
    return {
        **content,
        "repositories": [*content["repositories"], {**content["repositories"][0], "name": "own", "git_url": "own"}],
        "templates": [
            *content["templates"],
            {"name": "Gate", "playbook": "gate.sh", **own},
            {"name": "Wide", "playbook": "wide.sh", **own},
        ],
        "folders": {**content["folders"], "own": str(folder)},
    }


_on_stage: list[Stage] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the bots said."""
    report = yield
    if report.failed:
        for stage in _on_stage:
            report.sections.append((f"log of {stage.user_id}", stage.bot.log()[-8000:]))
    return report


@pytest.fixture(scope="module")
def stage(
    homeserver: Homeserver, ann: Person, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One bot for all tests of a file that do not disturb each other; each test has rooms of its own."""
    with contextlib.ExitStack() as closing:
        yield _stages(homeserver, ann, lambda: tmp_path_factory.mktemp("stage"), leaks, closing)()


@pytest.fixture(scope="module")
def operated(
    homeserver: Homeserver, ann: Person, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """The same with an operator: `stage.bot.type` is what is typed at the plain console."""
    with contextlib.ExitStack() as closing:
        yield _stages(homeserver, ann, lambda: tmp_path_factory.mktemp("stage"), leaks, closing)(operated=True)


@pytest.fixture
def make_stage(
    homeserver: Homeserver, ann: Person, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StageFactory]:
    """Bots for one test, ended with it."""
    with contextlib.ExitStack() as closing:
        yield _stages(homeserver, ann, lambda: tmp_path_factory.mktemp("stage"), leaks, closing)


@pytest.fixture(params=["plain", "encrypted"])
def encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "encrypted")
