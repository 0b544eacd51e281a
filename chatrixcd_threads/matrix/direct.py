"""Encrypted rooms with one person each: found again, or made. What is asked there is for nobody else to read."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any, Final
from urllib.parse import quote

from nio import RoomCreateResponse, RoomPreset

from chatrixcd_threads.events import RoomOutcome
from chatrixcd_threads.journal.db import Journal, get_meta, set_meta
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.sync import TROUBLE

log = logging.getLogger("chatrixcd.rooms")

SYNC_SECONDS: Final = 30.0  # how long a new room may take to come back by /sync
ENCRYPTION: Final = {
    "type": "m.room.encryption",
    "state_key": "",
    "content": {"algorithm": "m.megolm.v1.aes-sha2"},
}
ONLY_WE_INVITE: Final = {"invite": 100}
IN: Final = frozenset({"join", "invite", "knock"})


class DirectRooms:
    """Owner: the sync thread's loop. Which room is whose stands in the journal, and in the bot's own m.direct."""

    def __init__(self, client: GuardedClient, journal: Journal) -> None:
        self._client, self._journal = client, journal
        self._synced = asyncio.Event()  # replaced after each sync
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def look(self) -> None:
        """After every sync."""
        synced, self._synced = self._synced, asyncio.Event()
        synced.set()

    async def open(self, person: str) -> RoomOutcome:
        """The room with this person, who is in it or invited to it, encrypted and known to us."""
        async with self._turns[person]:  # two launches at once have one room
            listed = await self._listed()
            for room_id in dict.fromkeys([*self._remembered(person), *_rooms_of(listed, person)]):
                if await self._is_theirs(room_id, person):
                    return RoomOutcome(room_id)
            return await self._made(person, listed)

    def made(self) -> frozenset[str]:
        """The rooms that the bot has made itself: whoever makes a room may do everything there."""
        begin = self._key("")
        rows = self._journal.read().execute("SELECT value FROM meta WHERE substr(key, 1, ?) = ?", (len(begin), begin))
        return frozenset(str(row[0]) for row in rows)

    def _remembered(self, person: str) -> list[str]:
        room_id = get_meta(self._journal.read(), self._key(person))
        return [room_id] if room_id else []

    def _key(self, person: str) -> str:
        return f"direct {self._client.user_id} {person}"

    async def _listed(self) -> dict[str, Any]:
        """The bot's m.direct; empty when there is none."""
        status, answer = await self._client.ask("GET", self._account_data, {})
        return answer if status == 200 else {}

    @property
    def _account_data(self) -> str:
        return f"user/{quote(self._client.user_id, safe='')}/account_data/m.direct"

    async def _is_theirs(self, room_id: str, person: str) -> bool:
        """Whether the room is encrypted and only for the two of us; somebody who has left it is invited again."""
        room = self._client.rooms.get(room_id)
        if room is None or not room.encrypted:
            return False
        path = f"rooms/{quote(room_id, safe='')}"
        status, answer = await self._client.ask("GET", f"{path}/members?not_membership=leave", {})
        found = answer.get("chunk")
        if status != 200 or not isinstance(found, list):
            return False
        there = {
            str(each.get("state_key"))
            for each in found
            if isinstance(each, dict)
            and isinstance(each.get("content"), dict)
            and each["content"].get("membership") in IN
        }
        if there == {self._client.user_id, person}:
            return True
        if there != {self._client.user_id}:
            return False
        status, _ = await self._client.ask("POST", f"{path}/invite", {"user_id": person})
        return status == 200

    async def _made(self, person: str, listed: dict[str, Any]) -> RoomOutcome:
        answer = await self._client.room_create(
            is_direct=True,
            preset=RoomPreset.private_chat,
            invite=[person],
            initial_state=[ENCRYPTION],
            power_level_override=ONLY_WE_INVITE,
        )
        if not isinstance(answer, RoomCreateResponse):
            return RoomOutcome("", answer.message or answer.status_code or "the homeserver gave no reason")
        room_id = str(answer.room_id)
        with self._journal.write() as tx:
            set_meta(tx, self._key(person), room_id)
        log.info("made the direct chat %s with %s", room_id, person)
        await self._list(listed, person, room_id)
        try:
            await asyncio.wait_for(self._until_known(room_id), SYNC_SECONDS)
        except TimeoutError:
            return RoomOutcome(room_id, "the homeserver made the room and does not show it yet")
        return RoomOutcome(room_id)

    async def _list(self, listed: dict[str, Any], person: str, room_id: str) -> None:
        """For other clients of the bot's account, and for a bot that has lost its journal; nothing depends on it."""
        try:
            status, _ = await self._client.ask(
                "PUT", self._account_data, {**listed, person: [*_rooms_of(listed, person), room_id]}
            )
        except TROUBLE as error:
            log.warning("m.direct could not be written: %s", type(error).__name__)
            return
        if status != 200:
            log.warning("m.direct could not be written: status %d", status)

    async def _until_known(self, room_id: str) -> None:
        while room_id not in self._client.rooms or not self._client.rooms[room_id].encrypted:
            await self._synced.wait()


def _rooms_of(listed: dict[str, Any], person: str) -> list[str]:
    rooms = listed.get(person)
    return [each for each in rooms if isinstance(each, str)] if isinstance(rooms, list) else []
