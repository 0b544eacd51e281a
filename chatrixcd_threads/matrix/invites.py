"""Invitations and rooms: whom the bot follows, and what workers ask of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from nio import JoinResponse, RoomForgetResponse, RoomLeaveResponse, RoomResolveAliasResponse, SyncResponse

from chatrixcd_threads.events import RoomOutcome, RoomRequest
from chatrixcd_threads.journal import audit, invites
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal, Tx
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.direct import DirectRooms
from chatrixcd_threads.matrix.patience import Backoff
from chatrixcd_threads.matrix.sync import TROUBLE

log = logging.getLogger("chatrixcd.rooms")


class Invites:
    """Owner: the sync thread's loop. An invitation comes once per token, so it is kept in the journal until it is settled.

    Its state is open, or refused: then the homeserver is told so until it has heard, and nobody's later right to invite
    lets the bot in by that invitation.
    """

    def __init__(
        self,
        client: GuardedClient,
        journal: Journal,
        may_invite: Callable[[str], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.direct = DirectRooms(client, journal)
        self._client, self._journal, self._may_invite, self._now = client, journal, may_invite, now
        self._due = asyncio.Event()
        self._backoff = Backoff()
        self._trouble = False

    def look(self, response: SyncResponse) -> None:
        """After every sync: there may be something to follow, or somebody may invite now who could not before."""
        self.direct.look()
        for room_id in response.rooms.leave:
            self._client.rooms.pop(room_id, None)  # nio keeps rooms that the bot was put out of
            if room_id not in response.rooms.invite:
                self._client.invited_rooms.pop(room_id, None)
        if response.rooms.invite or not self._trouble:
            self._due.set()

    async def run(self) -> None:
        """Follows invitations for ever, beside the sync loop: a join may take a minute, and nobody else waits for it."""
        while True:
            self._due.clear()
            try:
                self._trouble = not await self.follow()
            except TROUBLE as error:
                log.warning("invitations could not be looked after now: %s", type(error).__name__)
                self._trouble = True
            if not self._trouble:
                self._backoff.worked()
            await self._wait(self._backoff.pause() if self._trouble else None)

    async def _wait(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._due.wait(), seconds)
        except TimeoutError:
            return

    def note(self, tx: Tx, response: SyncResponse) -> None:
        """Remembers new invitations and forgets rooms that the bot was put out of, in the transaction of the sync's token:
        neither comes a second time. Who was put out and invited again meanwhile is told both at once."""
        for room_id, info in response.rooms.leave.items():
            invites.settle(tx, room_id)
            by = self._put_out_by(info)
            if by:
                audit.note(tx, Deed.PUT_OUT, who=by, room_id=room_id, subject=room_id, now=self._now())
        found = [
            (room_id, inviter) for room_id, info in response.rooms.invite.items() if (inviter := self._inviter(info))
        ]
        for room_id, inviter in found:
            if invites.remember(tx, room_id, inviter):
                audit.note(tx, Deed.INVITED, who=inviter, room_id=room_id, subject=room_id, now=self._now())

    async def follow(self) -> bool:
        """Accepts the open invitations of people who may invite. False when one of them has to be tried again."""
        done = await self._refuse_again()
        for room_id, inviter in self.open():
            if not self._may_invite(inviter):
                continue
            try:
                response = await self._client.join(room_id)
            except TROUBLE as error:  # a join over a server that is gone takes longer than a request may
                log.warning("joining %s did not work yet: %s", room_id, type(error).__name__)
                done = False
                continue
            if isinstance(response, JoinResponse):
                log.info("joined %s, invited by %s", room_id, inviter)
            elif response.status_code in ("M_FORBIDDEN", "M_NOT_FOUND"):
                log.warning("the invitation to %s is not good any more: %s", room_id, response.message)
            else:
                log.warning("joining %s did not work yet: %s", room_id, response)
                done = False
                continue
            with self._journal.write() as tx:
                invites.settle(tx, room_id)
                if isinstance(response, JoinResponse):
                    audit.note(tx, Deed.JOINED, who=inviter, room_id=room_id, subject=room_id, now=self._now())
        return done

    def open(self) -> list[tuple[str, str]]:
        """Invitations that wait: (room, inviter)."""
        return invites.waiting(self._journal.read())

    async def _refuse_again(self) -> bool:
        """Tells the homeserver what was refused before it could be told. False when that has to be tried again."""
        done = True
        for room_id, _ in invites.waiting(self._journal.read(), "refused"):
            try:
                outcome, final = await self._leave(room_id)
            except TROUBLE as error:
                log.warning("the homeserver has not heard yet that %s is refused: %s", room_id, type(error).__name__)
                done = False
                continue
            done = done and (final or not outcome.problem)
        return done

    async def carry_out(self, request: RoomRequest) -> None:
        """Joins or parts for a worker, and hands the outcome back in any case: the worker waits for it."""
        try:
            outcome = await self._carry_out(request.verb, request.room)
        except TROUBLE as error:
            outcome = RoomOutcome(request.room, f"the homeserver could not be reached ({type(error).__name__})")
        request.answer.put(outcome)

    async def _carry_out(self, verb: str, room: str) -> RoomOutcome:
        if verb != "join" and room.startswith("#"):  # only joining takes an alias
            found = await self._client.room_resolve_alias(room)
            room = found.room_id if isinstance(found, RoomResolveAliasResponse) else room
        match verb:
            case "join":
                return await self._join(room)
            case "refuse":
                return await self._refuse(room)
            case "direct":
                return await self.direct.open(room)
            case _:
                return (await self._leave(room))[0]

    async def _join(self, room: str) -> RoomOutcome:
        response = await self._client.join(room)
        if not isinstance(response, JoinResponse):
            return _refused(room, response)
        with self._journal.write() as tx:
            invites.settle(tx, response.room_id)
        return RoomOutcome(response.room_id)

    async def _refuse(self, room: str) -> RoomOutcome:
        """The refusal is in the journal first: it holds through a crash, and when the homeserver cannot be reached now."""
        with self._journal.write() as tx:
            known = invites.refuse(tx, room)
        if not known:
            return RoomOutcome(room, "there is no invitation to it that waits")
        self._client.invited_rooms.pop(room, None)
        try:
            outcome, final = await self._leave(room)
        except TROUBLE as error:
            outcome, final = RoomOutcome(room, type(error).__name__), False
        if outcome.problem and not final:
            log.warning("the homeserver has not heard yet that %s is refused: %s", room, outcome.problem)
            self._due.set()
            return RoomOutcome(room)
        return outcome

    async def _leave(self, room: str) -> tuple[RoomOutcome, bool]:
        """Leaves a room or refuses an invitation; True: a repeat would change nothing."""
        response = await self._client.room_leave(room)
        if not isinstance(response, RoomLeaveResponse):
            final = response.status_code in ("M_FORBIDDEN", "M_NOT_FOUND")
            if final:
                self._forget(room)
            return _refused(room, response), final
        self._forget(room)
        forgotten = await self._client.room_forget(room)
        log.debug("forgetting %s: %s", room, isinstance(forgotten, RoomForgetResponse))
        return RoomOutcome(room), True

    def _forget(self, room: str) -> None:
        with self._journal.write() as tx:
            invites.settle(tx, room)

    def _put_out_by(self, info: Any) -> str:
        """Who has put the bot out of a room; empty when it left by itself or that is not told."""
        about_us = [
            event
            for event in info.timeline.events
            if getattr(event, "state_key", None) == self._client.user_id and hasattr(event, "membership")
        ]
        by = str(about_us[-1].sender) if about_us else ""
        return "" if by == self._client.user_id else by

    def _inviter(self, info: Any) -> str | None:
        """The sender of the invitation. Our homeserver puts it last; what comes before was written by the inviting one."""
        about_us = [event for event in info.invite_state if getattr(event, "state_key", None) == self._client.user_id]
        if not about_us or getattr(about_us[-1], "membership", "") != "invite":
            return None
        return str(about_us[-1].sender)


def _refused(room: str, response: Any) -> RoomOutcome:
    if response.status_code:
        return RoomOutcome(room, response.message or response.status_code)
    status = response.transport_response.status if response.transport_response else "unknown"
    return RoomOutcome(room, f"what answered was not a homeserver (status {status})")
