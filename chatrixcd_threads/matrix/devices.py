"""Whose devices there are, since when, and how far each is trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from nio.crypto import OlmDevice, TrustState

from chatrixcd_threads.events import DeviceInfo
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix.client import GuardedClient

MOST: Final = 1_000  # devices that are shown
LONGEST_NAME: Final = 100
_KEY: Final = "device:"  # of the journal's meta rows: device:<user> <device> -> first seen


class DeviceBook:
    """Owner: the sync thread's loop. What it hands out are copies."""

    def __init__(
        self,
        client: GuardedClient,
        journal: Journal,
        is_admin: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._journal, self._is_admin, self._clock = client, journal, is_admin, clock
        self._asked = {client.user_id}
        client.olm.users_for_key_query.add(client.user_id)  # it was signed after it had been asked for
        rows = journal.read().execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_KEY, "device;"))
        self._since: dict[str, dict[str, float]] = {}
        for key, value in rows:
            user, _, device = str(key).removeprefix(_KEY).partition(" ")
            self._since.setdefault(user, {})[device] = float(value)

    def people(self) -> set[str]:
        """Everybody in the bot's rooms, as far as it knows them."""
        return {user for room in self._client.rooms.values() for user in room.users}

    def look(self, users: Iterable[str]) -> None:
        """Notes which devices of these people are new; those that are gone would be new when they come back."""
        fresh: list[tuple[str, str]] = []
        gone: list[tuple[str]] = []
        now = self._clock()
        for user in users:
            here = {each.id for each in self._client.device_store.active_user_devices(user) if each.id.isprintable()}
            before = self._since.get(user, {})
            fresh += [(_row(user, device), str(now)) for device in here - before.keys()]
            gone += [(_row(user, device),) for device in before.keys() - here]
            self._since[user] = {device: before.get(device, now) for device in here}
        if not fresh and not gone:
            return
        with self._journal.write() as tx:
            tx.executemany("DELETE FROM meta WHERE key = ?", gone)
            tx.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", fresh)

    def known(self) -> tuple[DeviceInfo, ...]:
        """Admins first, then the newest. Admins in a room are asked for, even if nothing is encrypted for them."""
        people = self.people() - {self._client.user_id}
        missing = {user for user in people if self._is_admin(user)} - self._client.olm.tracked_users - self._asked
        self._asked |= missing  # once: a homeserver that does not answer must not be asked at every turn
        self._client.olm.users_for_key_query.update(missing)
        found = [self._info(each) for each in self._client.device_store if each.user_id in people and not each.deleted]
        return tuple(sorted(found, key=lambda each: (not each.admin, -each.since, each.user_id, each.device_id))[:MOST])

    def _info(self, device: OlmDevice) -> DeviceInfo:
        user = device.user_id
        since = self._since.get(user, {}).get(device.id, 0.0)
        return DeviceInfo(
            user,
            device.id,
            str(device.display_name or "")[:LONGEST_NAME],
            device.ed25519,
            self._trust(device),
            since,
            self._is_admin(user),
        )

    def _trust(self, device: OlmDevice) -> str:
        if device.trust_state in (TrustState.verified, TrustState.blacklisted):
            return "verified" if device.verified else "blocked"
        owner = self._client.owners.get(device.user_id)
        return "signed" if owner is not None and device.id in owner.devices else "unsigned"


def _row(user_id: str, device_id: str) -> str:
    return f"{_KEY}{user_id} {device_id}"
