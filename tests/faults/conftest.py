"""A real Synapse, real people, a proxy that can lie, and the real bot behind it."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.demo.homeserver import Account, Homeserver
from chatrixcd_threads.demo.person import Heard, People, Person

from .proxy import Proxy

if TYPE_CHECKING:
    from tests.conftest import Leaks

_numbers = itertools.count(1)
logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections that the proxy cuts
logging.getLogger("nio").setLevel(logging.CRITICAL)  # the people's clients would fill the report with the junk they get


class Rig:
    """One bot with its proxy, and the people who talk to it. Made by the `rig` fixtures, ended by them."""

    def __init__(self, homeserver: Homeserver, people: People, folder: Path, memory: Path) -> None:
        self.homeserver, self.people, self.folder, self.memory = homeserver, people, folder, memory
        self.account = self.register("bot")
        self.proxy = Proxy(homeserver.url)
        self.bot: BotProcess
        self._persons: list[Person] = []
        self._boss: Person | None = None

    def register(self, name: str, *, admin: bool = False) -> Account:
        return self.homeserver.register(f"{name}-{next(_numbers)}", f"{name}-password", admin)

    def config(self, **matrix: Any) -> dict[str, Any]:
        return {
            "matrix": {
                "homeserver": self.proxy.url,
                "user_id": self.account.user_id,
                "password": self.account.password,
                "store_path": "store",
                **matrix,
            },
            "semaphore": {"url": "http://127.0.0.1:9", "api_token": "none"},
            "bot": {"admin_users": [self.boss.user_id], "log_file": ""},
        }

    def open(self) -> None:
        self.proxy.__enter__()
        self.bot = BotProcess(self.folder / "bot", self.config())

    def start(self) -> None:
        """Starts the bot; returns when it has a session, or fails at once when it ended."""
        self.bot.start()
        since = time.monotonic()
        eventually(lambda: not self.bot.alive or self.proxy.seen("GET .*/sync", since), "a sync")
        assert self.bot.alive, self.bot.log()

    def close(self) -> None:
        if hasattr(self, "bot"):
            self.bot.close(grace=0)
        for person in self._persons:
            person.close()
        self.proxy.__exit__()

    @property
    def boss(self) -> Person:
        """The admin of the bot."""
        if self._boss is None:
            self._boss = self.person("ann")
        return self._boss

    @property
    def store(self) -> Path:
        return self.bot.folder / "store"

    def person(self, name: str, account: Account | None = None) -> Person:
        """Somebody new, signed in; or a new device of somebody known."""
        one = account or self.register(name)
        store = self.memory / f"person-{next(_numbers)}"
        person = self.people.person(self.homeserver.url, one, store)
        self._persons.append(person)
        return person

    def device_of(self, person: Person) -> Person:
        """A second login of the same person."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": person.user_id},
            "password": person.account.password,
        }
        made = person.raw("POST", "/login", body).raise_for_status()
        account = Account(person.user_id, person.account.password, made["access_token"], made["device_id"])
        return self.person("", account)

    def room(self, *, encrypted: bool = True, others: tuple[Person, ...] = (), **more: Any) -> str:
        """A room of the boss with the bot in it, and the others."""
        invited = [self.account.user_id, *(one.user_id for one in others)]
        room = self.boss.create_room("ops", encrypted=encrypted, invite=invited, **more)
        for one in others:
            one.join(room)
        self.boss.wait_member(room, self.account.user_id)
        for one in others:
            one.wait_member(room, self.account.user_id)
            self.boss.wait_member(room, one.user_id)
        return room

    def answer(self, room: str, event_id: str, person: Person | None = None, timeout: float = 30.0) -> Heard:
        """The bot's answer to a message."""
        return (person or self.boss).wait(
            lambda heard: heard.sender == self.account.user_id and heard.reply_to == event_id,
            room_id=room,
            timeout=timeout,
        )

    def ask(self, room: str, text: str = "!cd admins", person: Person | None = None, timeout: float = 30.0) -> Heard:
        """Says it and waits for the answer."""
        person = person or self.boss
        return self.answer(room, person.send(room, text), person, timeout)

    def answers(self, room: str, event_id: str, person: Person | None = None) -> list[Heard]:
        """Every message so far that answers an event."""
        heard = (person or self.boss).messages(room)
        return [one for one in heard if one.sender == self.account.user_id and one.reply_to == event_id]

    def bot_calls(self, method: str, path: str, body: Any = None) -> Any:
        """A request with the token that the bot has now."""
        return self.boss.run(_call(self, method, path, body))


async def _call(rig: Rig, method: str, path: str, body: Any) -> Any:
    import json

    import aiohttp

    token = json.loads((rig.store / "session.json").read_text("utf-8"))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{rig.homeserver.url}/_matrix/client/v3{path}"
    async with aiohttp.ClientSession() as http, http.request(method, url, json=body, headers=headers) as answer:
        return await answer.json()


def eventually(holds: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """Polls a condition that no event announces."""
    deadline = time.monotonic() + timeout
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{timeout:g} s passed without {what}")
        time.sleep(0.05)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure is told with the end of the bot's log."""
    outcome: Any = yield
    report = outcome.get_result()
    used = getattr(item, "funcargs", {})
    rig = used.get("rig") or used.get("shared")
    if report.failed and rig is not None and hasattr(rig, "bot"):
        report.sections.append(("log of the bot", rig.bot.log()[-8_000:]))


@pytest.fixture(scope="session")
def homeserver(leaks: Leaks, memory: Path) -> Iterator[Homeserver]:
    """One per xdist worker, without rate limits. A test that stops it starts it again."""
    with Homeserver(memory / "faults-synapse") as server:
        leaks.allow_pids(lambda: [server.pid])
        yield server


@pytest.fixture(scope="session")
def people(leaks: Leaks) -> Iterator[People]:
    with People() as crowd:
        leaks.allow_threads(lambda: crowd.threads)
        yield crowd


@pytest.fixture
def rig(homeserver: Homeserver, people: People, tmp_path: Path, memory: Path) -> Iterator[Rig]:
    """A bot of its own, not started yet."""
    made = Rig(homeserver, people, tmp_path, memory)
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared(
    homeserver: Homeserver, people: People, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory, memory: Path
) -> Iterator[Rig]:
    """One bot for the tests of a module that leave it alive. It runs."""
    made = Rig(homeserver, people, tmp_path_factory.mktemp("shared"), memory)
    try:
        made.open()
        made.start()
        leaks.allow_pids(lambda: [made.bot.pid if made.bot.alive else None])
        leaks.allow_threads(lambda: [made.proxy._thread])
        yield made
    finally:
        made.close()
