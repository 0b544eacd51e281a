"""Invitations: refused ones stay refused whatever happens to the homeserver or the bot; each step is in the audit."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nio import JoinError, JoinResponse, RoomForgetResponse, RoomLeaveError, RoomLeaveResponse, RoomResolveAliasResponse
from nio.events.room_events import DefaultLevels, PowerLevels

from chatrixcd_threads.events import RoomOutcome, RoomRequest
from chatrixcd_threads.journal import audit
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.invites import Invites
from chatrixcd_threads.matrix.session import may_delete, may_speak

BOT, EVE, ROOM = "@bot:x", "@eve:x", "!new:x"


class House:
    """A homeserver as far as rooms go: `away` is raised, `answers` are given in turn."""

    user_id = BOT

    def __init__(self) -> None:
        self.rooms: dict[str, object] = {}
        self.invited_rooms: dict[str, object] = {}
        self.away: BaseException | None = None
        self.answer: object = None
        self.gone: set[str] = set()  # rooms whose servers do not answer: a request for one takes too long
        self.left: list[str] = []
        self.joined: list[str] = []

    async def room_leave(self, room: str) -> object:
        self.left.append(room)
        if room in self.gone:
            raise TimeoutError
        if self.away is not None:
            raise self.away
        return self.answer or RoomLeaveResponse()

    async def room_resolve_alias(self, alias: str) -> object:
        return RoomResolveAliasResponse(alias, ROOM, ["x"])

    async def room_forget(self, room: str) -> object:
        return RoomForgetResponse(room)

    async def join(self, room: str) -> object:
        self.joined.append(room)
        if room in self.gone:
            raise TimeoutError
        return self.answer or JoinResponse(room)


class Hall:
    """Invites on a journal that outlives them."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.house = House()
        self.friends: set[str] = set()
        self.start()

    def start(self) -> None:
        """Another life of the bot."""
        client = cast(GuardedClient, self.house)
        self.invites = Invites(client, self.journal, lambda user: user in self.friends, lambda: 7.0)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    def sync(self, invite: str = "", leave: dict[str, str] | None = None, room: str = ROOM) -> None:
        """A sync with an invitation by somebody, or rooms that were left, by somebody."""
        about = SimpleNamespace(state_key=BOT, membership="invite", sender=invite)
        gone = {
            room: SimpleNamespace(
                timeline=SimpleNamespace(
                    events=[SimpleNamespace(state_key=BOT, membership="leave", sender=by)] if by else []
                )
            )
            for room, by in (leave or {}).items()
        }
        invited = {room: SimpleNamespace(invite_state=[about])} if invite else {}
        response = cast(Any, SimpleNamespace(rooms=SimpleNamespace(invite=invited, leave=gone)))
        with self.journal.write() as tx:
            self.invites.note(tx, response)
        self.invites.look(response)

    def ask(self, verb: str, room: str = ROOM) -> RoomOutcome:
        answer: queue.SimpleQueue[RoomOutcome] = queue.SimpleQueue()
        self.run(self.invites.carry_out(RoomRequest(verb, room, answer)))
        return answer.get_nowait()

    def book(self) -> list[tuple[str, str]]:
        return [(line.who, line.what) for line in reversed(audit.newest(self.journal.read(), 99))]

    def waiting(self) -> list[tuple[str, str]]:
        rows = self.journal.read().execute("SELECT room_id, state FROM invites").fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


def test_an_invite_of_a_friend_is_followed(hall: Hall) -> None:
    hall.friends.add(EVE)
    hall.sync(invite=EVE)
    assert hall.run(hall.invites.follow())
    assert hall.book() == [(EVE, "invited"), (EVE, "joined")]
    assert hall.waiting() == []


def test_a_refused_invite_is_gone(hall: Hall) -> None:
    hall.sync(invite=EVE)
    assert hall.ask("refuse") == RoomOutcome(ROOM)
    assert hall.waiting() == []
    assert hall.house.left == [ROOM]
    assert "no invitation" in hall.ask("refuse").problem
    hall.friends.add(EVE)
    assert hall.run(hall.invites.follow())
    assert hall.house.joined == []


@pytest.mark.parametrize("trouble", [TimeoutError(), OSError(), "M_LIMIT_EXCEEDED"])
def test_a_refusal_holds_while_the_homeserver_is_away(hall: Hall, trouble: BaseException | str) -> None:
    hall.sync(invite=EVE)
    if isinstance(trouble, str):
        hall.house.answer = RoomLeaveError("slow down", trouble)
    else:
        hall.house.away = trouble
    assert hall.ask("refuse").problem == ""
    assert hall.waiting() == [(ROOM, "refused")]
    hall.friends.add(EVE)  # a right that came later does not let the bot in
    hall.start()
    hall.sync(invite=EVE)  # the homeserver tells the same again after a start from nothing
    assert hall.waiting() == [(ROOM, "refused")]
    assert not hall.run(hall.invites.follow())  # it has to be tried again
    hall.house.away = hall.house.answer = None
    assert hall.run(hall.invites.follow())
    assert hall.waiting() == []
    assert hall.house.joined == []
    assert hall.book() == [(EVE, "invited")]


def test_an_invite_that_is_not_good_any_more(hall: Hall) -> None:
    hall.sync(invite=EVE)
    hall.house.answer = RoomLeaveError("not in room", "M_FORBIDDEN")
    assert hall.ask("refuse").problem == "not in room"
    assert hall.waiting() == []
    hall.sync(invite=EVE)
    hall.friends.add(EVE)
    hall.house.answer = JoinError("no", "M_FORBIDDEN")
    assert hall.run(hall.invites.follow())
    assert hall.waiting() == []


@pytest.mark.parametrize("verb", ["join", "part"])
def test_join_and_part_settle_an_invite_too(hall: Hall, verb: str) -> None:
    hall.sync(invite=EVE)
    assert hall.ask(verb) == RoomOutcome(ROOM)
    assert hall.waiting() == []


def test_who_puts_the_bot_out_is_noted(hall: Hall) -> None:
    hall.sync(invite=EVE)
    hall.sync(leave={ROOM: EVE, "!own:x": BOT, "!odd:x": ""})
    assert hall.book() == [(EVE, "invited"), (EVE, "put out")]
    assert hall.waiting() == []


@pytest.mark.parametrize("verb", ["refuse", ""])
def test_an_invite_to_a_room_whose_server_is_gone_holds_up_no_other(hall: Hall, verb: str) -> None:
    hall.house.gone.add("!dead:y")
    hall.sync(invite=EVE, room="!dead:y")
    if verb:
        assert hall.ask(verb, "!dead:y") == RoomOutcome("!dead:y")
    hall.sync(invite=EVE)
    hall.friends.add(EVE)
    assert not hall.run(hall.invites.follow())
    assert hall.waiting() == [("!dead:y", "refused" if verb else "open")]
    assert ROOM in hall.house.joined


def test_who_is_put_out_and_invited_again_comes_back(hall: Hall) -> None:
    """Between two syncs: the homeserver tells both in one answer."""
    hall.friends.add(EVE)
    hall.sync(invite=EVE, leave={ROOM: EVE})
    assert hall.run(hall.invites.follow())
    assert hall.house.joined == [ROOM]
    assert hall.book() == [(EVE, "put out"), (EVE, "invited"), (EVE, "joined")]


@pytest.mark.parametrize(
    ("levels", "version", "encrypted", "may"),
    [
        ({}, "10", False, None),
        ({"users": {BOT: 0}}, "10", False, True),
        ({"users": {"@a:x": 100}, "events_default": 50}, "10", False, False),
        ({"users": {BOT: 50}, "events_default": 50}, "10", False, True),
        ({"users": {"@a:x": 100}, "events": {"m.room.encrypted": 50}}, "10", True, False),
        ({"users": {"@a:x": 100}, "events": {"m.room.encrypted": 50}}, "10", False, True),
        ({"users": {"@a:x": 100}, "events_default": 50}, "12", False, None),
    ],
)
def test_may_speak(levels: dict[str, Any], version: str, encrypted: bool, may: bool | None) -> None:
    defaults = DefaultLevels(events_default=levels.get("events_default", 0))
    made = PowerLevels(defaults, levels.get("users", {}), levels.get("events", {}))
    assert may_speak(SimpleNamespace(power_levels=made, room_version=version, encrypted=encrypted), BOT) is may


@pytest.mark.parametrize(
    ("levels", "version", "may"),
    [
        ({}, "11", None),
        ({"@a:x": 100}, "11", False),
        ({BOT: 50}, "11", True),
        ({BOT: 49}, "11", False),
        ({"@a:x": 100}, "12", None),
    ],
)
def test_may_delete(levels: dict[str, int], version: str, may: bool | None) -> None:
    room = SimpleNamespace(power_levels=PowerLevels(DefaultLevels(), levels, {}), room_version=version)
    assert may_delete(room, BOT) is may


def test_a_room_is_left_by_its_alias(hall: Hall) -> None:
    assert hall.ask("part", "#new:x").problem == ""
    assert hall.house.left == [ROOM]
