"""A homeserver and a Semaphore that say what a test wants, and remember what they were asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.models import Project, Role, ServerInfo, User
from chatrixcd_threads.settings.model import MatrixSettings, SemaphoreSettings
from chatrixcd_threads.wizard.doors import Account, AdminRoom, Claim, Doors, Server, Stopped
from chatrixcd_threads.wizard.draft import Draft

BOT = "@bot:example.org"
ANN = "@ann:example.org"
HOME = "https://matrix.example.org"
PASSWORD = "hunter22-secret"
TOKEN = "tok-very-secret"
ROOM = "!admins:example.org"
SEMAPHORE = "https://semaphore.example.org"

# What a person types who makes no mistake, step by step.
GOOD = {
    "user_id": BOT,
    "homeserver": "",
    "auth": "password",
    "password": PASSWORD,
    "semaphore_url": SEMAPHORE,
    "semaphore_token": TOKEN,
    "prefix": "!cd",
    "owner": ANN,
    "admin_room": "new",
    "claim": "now",
    "write": "yes",
    "start": "yes",
}


@dataclass
class FakeMatrix:
    flows: tuple[str, ...] = ("m.login.password",)
    account: str = BOT
    claimed_by: str = ANN
    problems: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    signed: bool = True
    known: bool = True
    device: str = ""  # of a token
    waits: threading.Event | None = None  # a call that hangs until it is cancelled
    kept: bool | None = None

    def _called(self, name: str, *what: object) -> None:
        self.calls.append(" ".join(map(str, (name, *what))))
        waiting = self.problems.get(name)
        if waiting:
            raise waiting.pop(0)

    def find(self, server: str) -> str:
        self._called("find", server)
        return HOME

    def look(self, address: str) -> Server:
        self._called("look", address)
        return Server(address, "v1.15", self.flows)

    def log_in(self, settings: MatrixSettings) -> Account:
        self._called("log_in", settings.user_id, settings.auth_type)
        if settings.auth_type == "password" and settings.password != PASSWORD:
            raise UserError("The homeserver refuses to log the bot in. Check the password.")
        return Account(self.account, self.device or settings.device_id)

    def make_room(self, owner: str) -> AdminRoom:
        self._called("make_room", owner)
        return AdminRoom(ROOM, encrypted=True, signed=self.signed, known=self.known)

    def enter_room(self, room: str) -> AdminRoom:
        self._called("enter_room", room)
        return AdminRoom(room, encrypted=False)

    def wait_for_claim(self, claim: Claim, tell: Callable[[str], None]) -> str:
        self._called("wait_for_claim", claim.room_id, claim.owner, claim.code)
        if self.waits is not None:
            assert self.waits.wait(20)
            raise Stopped("Stopped.")
        return self.claimed_by

    def cancel(self) -> None:
        self.calls.append("cancel")
        if self.waits is not None:
            self.waits.set()

    def close(self, *, keep: bool) -> str:
        self.kept = keep
        return ""


@dataclass
class FakeSemaphore:
    user: User = field(default_factory=lambda: User(1, "chatops"))
    projects_there: int = 1
    permissions: int = 1
    problems: dict[str, list[Exception]] = field(default_factory=dict)
    asked: list[SemaphoreSettings] = field(default_factory=list)
    closed: int = 0
    address: str = f"{SEMAPHORE}/api"

    def _called(self, name: str) -> None:
        waiting = self.problems.get(name)
        if waiting:
            raise waiting.pop(0)

    def ping(self) -> float:
        self._called("ping")
        return 0.005

    def info(self) -> ServerInfo:
        return ServerInfo("2.16.0")

    def whoami(self) -> User:
        self._called("whoami")
        return self.user

    def projects(self) -> list[Project]:
        self._called("projects")
        return [Project(number, f"P{number}") for number in range(1, self.projects_there + 1)]

    def role(self, project_id: int) -> Role:
        return Role("task_runner", self.permissions)

    def templates(self, project_id: int) -> list[Any]:
        return [object()] * project_id

    def close(self) -> None:
        self.closed += 1


@dataclass
class World:
    """All doors, faked. `written` are the drafts that were to be written."""

    matrix: FakeMatrix = field(default_factory=FakeMatrix)
    semaphore: FakeSemaphore = field(default_factory=FakeSemaphore)
    written: list[Draft] = field(default_factory=list)

    @property
    def doors(self) -> Doors:
        codes = self._codes()
        return Doors(self.matrix, self._connect, self._write, lambda: next(codes))

    def _connect(self, settings: SemaphoreSettings) -> Semaphore:
        self.semaphore.asked.append(settings)
        return cast(Semaphore, self.semaphore)

    def _write(self, draft: Draft) -> str:
        self.written.append(draft)
        return "config.json is written."

    def _codes(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"CODE{number}"
