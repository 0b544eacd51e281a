"""Direct chats: found again where nobody else is, made otherwise, one for each person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import pytest
from nio import RoomCreateError, RoomCreateResponse

from chatrixcd_threads.events import RoomOutcome
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix import direct
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.direct import DirectRooms

BOT, ANN, BOB = "@bot:x", "@ann:x", "@bob:x"


class House:
    """A homeserver as far as direct chats go: memberships by room, and the bot's m.direct."""

    user_id = BOT

    def __init__(self) -> None:
        self.rooms: dict[str, Any] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.listed: Any = None
        self.made: list[dict[str, Any]] = []
        self.invited: list[tuple[str, str]] = []
        self.refuses: str = ""
        self.broken = False
        self.synced: DirectRooms | None = None

    def has(self, room_id: str, *people: str, encrypted: bool = True) -> None:
        self.rooms[room_id] = SimpleNamespace(encrypted=encrypted)
        self.members[room_id] = {BOT: "join", **dict.fromkeys(people, "join")}

    async def ask(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        parts = unquote(path).split("/")
        if parts[0] == "user":
            if method == "PUT":
                self.listed = body
            return (200, self.listed) if self.listed is not None else (404, {"errcode": "M_NOT_FOUND"})
        if self.broken:
            return 502, {"error": "bad gateway"}
        if parts[2] == "invite":
            self.invited.append((parts[1], body["user_id"]))
            return (403, {}) if self.refuses else (200, {})
        chunk = [{"state_key": user, "content": {"membership": how}} for user, how in self.members[parts[1]].items()]
        return 200, {"chunk": chunk}

    async def room_create(self, **how: Any) -> Any:
        if self.refuses:
            return RoomCreateError(self.refuses, "M_FORBIDDEN")
        self.made.append(how)
        room_id = f"!made{len(self.made)}"
        asyncio.get_running_loop().call_soon(self._sync, room_id, how["invite"])
        return RoomCreateResponse(room_id)

    def _sync(self, room_id: str, invited: list[str]) -> None:
        """First a sync without the room, then one with it before its encryption is known, then the whole."""
        assert self.synced is not None
        self.synced.look()
        self.has(room_id, *invited, encrypted=False)
        self.synced.look()
        self.rooms[room_id].encrypted = True
        self.synced.look()


class Street:
    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.house = House()

    def open(self, *people: str) -> list[RoomOutcome]:
        """A life of the bot in which these people are asked for at the same time."""

        async def work() -> list[RoomOutcome]:
            rooms = self.house.synced = DirectRooms(cast(GuardedClient, self.house), self.journal)
            return list(await asyncio.gather(*map(rooms.open, people)))

        return asyncio.run(work())


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    with closing(made.journal):
        yield made


def test_a_room_is_made_once_for_each_person_and_known_before_it_is_used(street: Street) -> None:
    assert street.open(ANN, ANN, BOB) == [RoomOutcome("!made1"), RoomOutcome("!made1"), RoomOutcome("!made2")]
    assert street.open(ANN) == [RoomOutcome("!made1")]
    made = street.house.made[0]
    assert made["invite"] == [ANN]
    assert made["is_direct"] is True
    assert made["initial_state"][0]["type"] == "m.room.encryption"
    assert made["power_level_override"] == {"invite": 100}  # nobody brings others in
    assert street.house.listed[ANN] == ["!made1"]
    assert street.house.synced is not None
    assert street.house.synced.made() == {"!made1", "!made2"}


def test_a_room_of_m_direct_is_used(street: Street) -> None:
    street.house.has("!old", ANN)
    street.house.listed = {ANN: ["!gone", "!old"], BOB: "junk"}
    assert street.open(ANN) == [RoomOutcome("!old")]
    assert street.house.made == []
    assert street.open(BOB) == [RoomOutcome("!made1")]
    assert street.house.listed == {ANN: ["!gone", "!old"], BOB: ["!made1"]}
    assert street.house.synced is not None
    assert street.house.synced.made() == {"!made1"}


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_a_room_with_somebody_else_is_not_used(street: Street, membership: str) -> None:
    street.open(ANN)
    street.house.members["!made1"][BOB] = membership
    assert street.open(ANN) == [RoomOutcome("!made2")]


def test_a_room_in_clear_is_not_used(street: Street) -> None:
    street.house.has("!old", ANN, encrypted=False)
    street.house.listed = {ANN: ["!old"]}
    assert street.open(ANN) == [RoomOutcome("!made1")]


def test_who_has_left_is_invited_again(street: Street) -> None:
    street.open(ANN)
    del street.house.members["!made1"][ANN]
    assert street.open(ANN) == [RoomOutcome("!made1")]
    assert street.house.invited == [("!made1", ANN)]


def test_a_room_that_cannot_be_looked_at_is_not_used(street: Street) -> None:
    street.open(ANN)
    street.house.broken = True
    assert street.open(ANN) == [RoomOutcome("!made2")]


def test_what_the_homeserver_refuses_is_told(street: Street) -> None:
    street.house.refuses = "no such user"
    assert street.open(ANN) == [RoomOutcome("", "no such user")]


def test_a_room_that_does_not_show_in_time_is_used_later(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(street.house, "_sync", lambda room_id, invited: None)
    (outcome,) = street.open(ANN)
    assert "does not show it yet" in outcome.problem
    street.house.has("!made1", ANN)
    assert street.open(ANN) == [RoomOutcome("!made1")]
