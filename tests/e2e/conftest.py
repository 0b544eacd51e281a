"""A real Synapse and real people, one set for each test process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.demo.homeserver import Account, Homeserver
from chatrixcd_threads.demo.person import People, Person

if TYPE_CHECKING:
    from tests.conftest import Leaks

_numbers = itertools.count(1)


class AccountFactory(Protocol):
    def __call__(self, name: str, *, admin: bool = False) -> Account: ...


@pytest.fixture(scope="session")
def homeserver(leaks: Leaks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """One per xdist worker, without rate limits. A test that stops it starts it again."""
    with Homeserver(tmp_path_factory.mktemp("synapse")) as server:
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
