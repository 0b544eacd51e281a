"""What the checks need of the world. The doors themselves stand where their libraries may be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.settings.model import MatrixSettings, SemaphoreSettings
from chatrixcd_threads.wizard.draft import Draft


class Stopped(UserError):
    """The person did not want to wait for the check any longer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A homeserver that answered. `flows` are its ways to log in, such as m.login.password."""

    address: str
    newest: str
    flows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Who the homeserver says the bot is."""

    user_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class AdminRoom:
    """A room that the bot is in. `signed`: the bot's device is signed by its account, so careful clients speak with it.

    `known`: no homeserver says that who was invited does not exist.
    """

    room_id: str
    encrypted: bool
    signed: bool = True
    known: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """What makes an owner: `code`, said in the room by `owner` (empty: by anybody), within tries and seconds."""

    room_id: str
    owner: str
    code: str
    prefix: str
    tries: int
    seconds: float


class Matrix(Protocol):
    """The homeserver. Every call waits for its answer; what went wrong is raised as a UserError."""

    def find(self, server: str) -> str:
        """The address of the homeserver of this server name, by its .well-known file."""

    def look(self, address: str) -> Server:
        """What answers there."""

    def log_in(self, settings: MatrixSettings) -> Account:
        """Logs in; the login is kept for the bot."""

    def make_room(self, owner: str) -> AdminRoom:
        """A private, encrypted room with the owner invited; for the same owner always the same one."""

    def enter_room(self, room: str) -> AdminRoom:
        """A room that exists, by its id or alias."""

    def wait_for_claim(self, claim: Claim, tell: Callable[[str], None]) -> str:
        """Who said the code."""

    def cancel(self) -> None:
        """Ends a call that waits, from any thread: it raises Stopped."""

    def close(self, *, keep: bool) -> str:
        """The end: `keep` what the bot will need, or take back what was made. Returns what had to stay, as a sentence."""


@dataclass(frozen=True, slots=True)
class Doors:
    """All of them. `write` puts the settings file in place and says what became of the old one."""

    matrix: Matrix
    semaphore: Callable[[SemaphoreSettings], Semaphore]
    write: Callable[[Draft], str]
    new_code: Callable[[], str]
