"""One session: from a login to its loss or to the stop. Syncing and sending run side by side on the loop."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from nio import RoomMemberEvent, SyncResponse

from chatrixcd_threads.events import Devices, FileNotice, InboxItem, Incoming, RoomInfo, RoomRequest
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal, get_meta
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.invites import Invites
from chatrixcd_threads.matrix.outbound import Sender
from chatrixcd_threads.matrix.patience import Backoff, Retry
from chatrixcd_threads.matrix.pulse import Pulse
from chatrixcd_threads.matrix.sync import Syncer
from chatrixcd_threads.matrix.trust import changed_identities, pin_key
from chatrixcd_threads.matrix.verify import Verifier
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.settings.model import Settings

log = logging.getLogger("chatrixcd.matrix")

DRAIN_SECONDS: Final = 3.0
FAREWELL_SECONDS: Final = 1.0
IDENTITY_ADVICE: Final = (
    "Ask that person, by another way than Matrix, whether it was them. If not, take them out of bot.admin_users now: "
    "somebody else may be speaking in their name."
)
FULL_INBOX_PAUSE: Final = 0.05
CREATORS_ABOVE: Final = 12  # the room version from which on its creators stand in no list of power levels


class Session:
    """Owner: the sync thread's loop."""

    def __init__(
        self,
        client: GuardedClient,
        settings: Callable[[], Settings],
        journal: Journal,
        inbox: queue.Queue[InboxItem],
        publish: Callable[[tuple[RoomInfo, ...]], None],
        state: Callable[[str, str], None],
        clock: Callable[[], float],
        show_devices: Callable[[Devices], None] = lambda devices: None,
        pulse: Pulse | None = None,
        keep: Callable[[str, str], None] = lambda event_id, words: None,
    ) -> None:
        self._pulse = pulse or Pulse()
        self._client, self._inbox, self._publish = client, inbox, publish
        client.pinned = lambda user: bool(get_meta(journal.read(), pin_key(user)))
        self._settings, self._journal, self._state = settings, journal, state
        self.sender = Sender(client, journal, clock, self._pulse)
        self._invites = Invites(client, journal, lambda user: Access(settings().bot).may_invite(user))
        self._syncer = Syncer(client, journal, lambda: settings().bot.command_prefix, keep, self._invites.note)
        self.verifier = Verifier(client, journal, lambda user: user in settings().bot.admin_users, show_devices)
        self._known = asyncio.Event()  # the rooms are known: sending may begin
        self._superseded = asyncio.Event()  # another login is to take over
        self._room_tasks: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event, backoff: Backoff) -> None:
        """Returns after the stop, with the outbox drained as far as it goes. Raises LoggedOut."""
        stop = asyncio.create_task(stopping.wait(), name="stop")
        other = asyncio.create_task(self._superseded.wait(), name="superseded")
        syncing = asyncio.create_task(self._sync(backoff), name="sync")
        sending = asyncio.create_task(self._send(), name="send")
        following = asyncio.create_task(self._invites.run(), name="follow")
        verifying = asyncio.create_task(self.verifier.run(), name="verify")
        mine = (stop, other, syncing, sending, following, verifying)
        try:
            done, _ = await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            syncing.cancel()
            verifying.cancel()
            await self._say_farewell()
            if self._known.is_set():
                drained = asyncio.create_task(self.sender.drained(), name="drained")
                await asyncio.wait({drained, sending}, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                drained.cancel()
        finally:
            for task in (*mine, *self._room_tasks):
                task.cancel()
            await asyncio.gather(*mine, *self._room_tasks, return_exceptions=True)
            await self.sender.cancel()
            await self._client.aclose()

    async def _say_farewell(self) -> None:
        """Whoever is in the middle of a verification is not left waiting, if the homeserver is quick about it."""
        leaving = asyncio.create_task(self.verifier.close(), name="farewell")
        await asyncio.wait({leaving}, timeout=FAREWELL_SECONDS)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

    def supersede(self) -> None:
        """Ends this session, so that the next one begins with the newest login."""
        self._superseded.set()

    def carry_out(self, request: RoomRequest) -> None:
        """Joins or parts a room for a worker, in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._invites.carry_out(request))
        self._room_tasks.add(task)
        task.add_done_callback(self._room_tasks.discard)

    async def _send(self) -> None:
        await self._known.wait()
        await self.sender.run()

    async def _sync(self, backoff: Backoff) -> None:
        while True:
            try:
                fresh, response = await self._syncer.turn()
            except Retry as trouble:
                self._state("down", str(trouble))
                wait = backoff.pause(trouble.after)
                log.warning("no sync (%s); the next try is in %.1f s", trouble, wait)
                await asyncio.sleep(wait)
                continue
            backoff.worked()
            self._state("ok", self._client.user_id)
            self._pulse.synced()
            self._invites.look(response)
            self._show_rooms(response)  # before anybody asks for them in a command of the same answer
            await self._hand_over(fresh)
            self.verifier.look(response)
            await self._syncer.keys()
            self._look_at_identities()
            self._tend_devices(response)
            self._known.set()

    async def _hand_over(self, fresh: list[Incoming]) -> None:
        """While the inbox is full nothing more is read from the homeserver, which keeps the rest for us."""
        for event in fresh:
            while True:
                try:
                    self._inbox.put_nowait(event)
                    break
                except queue.Full:
                    await asyncio.sleep(FULL_INBOX_PAUSE)

    def _look_at_identities(self) -> None:
        """Tells the admins once when somebody with rights has another cross-signing identity than at the first time."""
        masters, self._client.masters = self._client.masters, {}
        if not masters:
            return
        self.verifier.devices_told(masters)
        with self._journal.write() as tx:
            changed = changed_identities(tx, masters)
        access = Access(self._settings().bot)
        for user in filter(access.is_admin, changed):
            title = f"⚠ The Matrix identity of {user} was reset."
            log.warning("%s", title)
            with suppress(queue.Full):  # the log has it in any case
                self._inbox.put_nowait(FileNotice("identities", title, (IDENTITY_ADVICE,), deed=Deed.IDENTITY))

    def _tend_devices(self, response: SyncResponse) -> None:
        if response.rooms.leave or _has_members(response) or not self._known.is_set():
            self.verifier.show()

    def _show_rooms(self, response: SyncResponse) -> None:
        if response.rooms.join or response.rooms.leave or not self._known.is_set():
            own = self._invites.direct.made()
            self._publish(
                tuple(
                    RoomInfo(
                        room_id,
                        room.display_name or room_id,
                        bool(room.encrypted),
                        room.member_count,
                        may_speak(room, self._client.user_id),
                        room_id in own or may_delete(room, self._client.user_id),
                    )
                    for room_id, room in self._client.rooms.items()
                )
            )


def _has_members(response: SyncResponse) -> bool:
    joined = response.rooms.join.values()
    return any(isinstance(event, RoomMemberEvent) for info in joined for event in info.timeline.events)


def may_speak(room: Any, user_id: str) -> bool | None:
    """Whether the power levels let the user send messages there; None where they are not known."""
    if not room.power_levels.users:  # a room whose levels were not told, or one without any
        return None
    kind = "m.room.encrypted" if room.encrypted else "m.room.message"
    allowed = bool(room.power_levels.can_user_send_message(user_id, kind))
    return allowed or (None if _has_creators_above(room) else False)


def may_delete(room: Any, user_id: str) -> bool | None:
    """Whether the power levels let the user take away messages of others; None where they are not known."""
    if not room.power_levels.users:
        return None
    allowed = bool(room.power_levels.can_user_redact(user_id))
    return allowed or (None if _has_creators_above(room) else False)


def _has_creators_above(room: Any) -> bool:
    return bool(room.room_version.isdecimal() and int(room.room_version) >= CREATORS_ABOVE)
