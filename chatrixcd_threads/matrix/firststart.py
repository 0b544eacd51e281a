"""The wizard's door to the homeserver: finds it, logs in, makes the admin room, listens for the claim.

The login and the keys go straight into the bot's store, so that the bot begins with them. Given up, the login is ended and
the store taken away, unless cross-signing keys were published: without their seeds the account could never sign a device again.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from nio import (
    JoinResponse,
    ProfileGetDisplayNameError,
    RoomCreateResponse,
    RoomGetStateEventResponse,
    RoomPreset,
    RoomResolveAliasResponse,
)
from nio.crypto import ENCRYPTION_ENABLED

from chatrixcd_threads.errors import Fatal, UserError
from chatrixcd_threads.journal.alone import StoreLock
from chatrixcd_threads.matrix import discovery
from chatrixcd_threads.matrix.claim import Listener
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.crosssign import seeds_file
from chatrixcd_threads.matrix.login import LoggedOut, Session, log_in, renew, sign_out
from chatrixcd_threads.matrix.patience import Retry
from chatrixcd_threads.matrix.sync import TROUBLE
from chatrixcd_threads.matrix.trust import chain_holds
from chatrixcd_threads.settings.model import MatrixSettings
from chatrixcd_threads.wizard.doors import Account, AdminRoom, Claim, Server, Stopped

ROOM_NAME: Final = "ChatrixCD admins"
ROOM_TOPIC: Final = "What the bot tells its admins"
LEAVING_SECONDS: Final = 5.0
_ENCRYPTION: Final = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}

T = TypeVar("T")


class FirstStart:
    """Owner: one thread at a time, the one that checks. `cancel` may be called from any thread."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._fresh = not store.exists()
        self._lock: StoreLock | None = None
        self._settings: MatrixSettings | None = None
        self._session: Session | None = None
        self._made: dict[str, AdminRoom] = {}
        self._since: str | None = None  # up to where the claims were listened to
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    # --- for the checks

    def find(self, server: str) -> str:
        """The address of the homeserver of this server name."""
        return self._run(discovery.find(server))

    def look(self, address: str) -> Server:
        """What answers there."""
        return self._run(discovery.look(address))

    def log_in(self, settings: MatrixSettings) -> Account:
        """Logs in with the bot's own device; the login is kept in the store."""
        if not ENCRYPTION_ENABLED:
            raise UserError(
                "This installation cannot encrypt: vodozemac is missing. Install it with pip install 'matrix-nio[e2e]', "
                "and start again."
            )
        self._take_store()
        session = self._run(renew(msgspec.structs.replace(settings, store_path=str(self._store))))
        if self._session is not None and self._session.user_id != session.user_id:  # the person has gone back
            self._forget_account(self._session)
        self._session = session
        self._settings = msgspec.structs.replace(settings, user_id=session.user_id, store_path=str(self._store))
        return Account(session.user_id, session.device_id)

    def make_room(self, owner: str) -> AdminRoom:
        """Private, encrypted, the owner invited with the same power as the bot."""
        if owner not in self._made:
            try:  # the bot would stay in a room that somebody was invited into by mistake
                self._run(self._leave_rooms())
            except Stopped:
                raise  # nobody is invited any more
            except UserError:
                pass  # then it stays
            self._made.clear()
            self._made[owner] = self._run(self._with_client(lambda client: _signed(client, _make_room(client, owner))))
        return self._made[owner]

    def enter_room(self, room: str) -> AdminRoom:
        """Goes into a room that exists."""
        return self._run(self._with_client(lambda client: _signed(client, _enter_room(client, room))))

    def wait_for_claim(self, claim: Claim, tell: Callable[[str], None]) -> str:
        """Listens in the room until the code was said."""
        return self._run(self._with_client(lambda client: self._listen(client, claim, tell)))

    def cancel(self) -> None:
        """Ends a check that waits."""
        running = self._running
        if running is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                running[0].call_soon_threadsafe(running[1].cancel)

    def close(self, *, keep: bool) -> str:
        """Lets the store go; without `keep` what was made is taken back as far as it goes."""
        stays = "" if keep else self._take_back()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        return stays

    # --- how

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run(self._watched(work))
        except asyncio.CancelledError as error:
            raise Stopped("Stopped.") from error
        except Fatal as error:
            sentence = str(error)
            raise UserError(sentence[:1].upper() + sentence[1:]) from error
        except LoggedOut as error:
            raise UserError(
                "The homeserver has ended the bot's login. Go back to the password and log in again."
            ) from error
        except Retry as error:
            wait = f" It asks for a pause of {error.after:.0f} s." if error.after else ""
            raise UserError(f"The homeserver did not do it now ({error}).{wait} Try again.") from error
        except TROUBLE as error:
            raise UserError(f"Asking the homeserver failed: {discovery.why(error)}. Try again.") from error
        finally:
            work.close()  # a signal may end it before its first step

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._running = (asyncio.get_running_loop(), task)
        try:
            return await work
        finally:
            self._running = None

    async def _with_client(self, work: Callable[[GuardedClient], Coroutine[Any, Any, T]]) -> T:
        """A client with the bot's session and keys. It signs its device first: careful clients then speak with it."""
        if self._settings is None:
            raise UserError("The bot is not logged in yet: go back to the password.")
        client = await log_in(self._settings)
        try:
            return await work(client)
        finally:
            await client.aclose()

    async def _listen(self, client: GuardedClient, claim: Claim, tell: Callable[[str], None]) -> str:
        listener = Listener(client, claim, tell, self._since)
        try:
            return await listener.run()
        finally:
            self._since = listener.since

    def _take_store(self) -> None:
        if self._lock is None:
            try:
                self._lock = StoreLock(self._store)
            except Fatal as error:
                raise UserError(f"The bot runs already: {error}.") from error
            except OSError as error:
                raise UserError(f"{self._store} cannot be used for the bot's keys: {error.strerror}.") from error

    def _forget_account(self, session: Session) -> None:
        """Ends the login that was made here. One that a token came from is somebody's, with the keys of their messages."""
        self._made.clear()
        self._since = None
        if self._settings is None or self._settings.auth_type == "token":
            return
        with contextlib.suppress(UserError):
            self._run(asyncio.wait_for(sign_out(session), LEAVING_SECONDS))

    def _take_back(self) -> str:
        if self._session is None or self._settings is None:
            if self._lock is not None and self._fresh:
                shutil.rmtree(self._store, ignore_errors=True)
            return ""
        with contextlib.suppress(UserError):
            self._run(asyncio.wait_for(self._leave_rooms(), LEAVING_SECONDS))
        if not self._fresh:
            return ""
        if seeds_file(self._store, self._session.user_id).exists():
            return f"The login and keys of {self._session.user_id} stay in {self._store} for the next try."
        if self._settings.auth_type != "token":
            with contextlib.suppress(UserError):
                self._run(asyncio.wait_for(sign_out(self._session), LEAVING_SECONDS))
        shutil.rmtree(self._store, ignore_errors=True)
        return ""

    async def _leave_rooms(self) -> None:
        if not self._made:
            return

        async def leave(client: GuardedClient) -> None:
            for room in self._made.values():
                await client.room_leave(room.room_id)

        await self._with_client(leave)


async def _signed(client: GuardedClient, room: Awaitable[AdminRoom]) -> AdminRoom:
    """The room, and whether everybody can see that the bot's device is the account's."""
    found = await room
    _, answer = await client.ask("POST", "keys/query", {"device_keys": {client.user_id: []}})
    return replace(found, signed=chain_holds(answer, client.user_id, client.device_id))


async def _make_room(client: GuardedClient, owner: str) -> AdminRoom:
    answer = await client.room_create(
        name=ROOM_NAME,
        topic=ROOM_TOPIC,
        preset=RoomPreset.trusted_private_chat,
        invite=[owner],
        initial_state=[_ENCRYPTION],
    )
    if not isinstance(answer, RoomCreateResponse):
        raise UserError(
            f"The homeserver did not make the admin room: {answer.message or answer.status_code}. "
            f"Is {owner} right? Go back to correct it, or give a room that exists."
        )
    name = await client.get_displayname(owner)
    unknown = isinstance(name, ProfileGetDisplayNameError) and name.status_code == "M_NOT_FOUND"
    return AdminRoom(answer.room_id, encrypted=True, known=not unknown)


async def _enter_room(client: GuardedClient, room: str) -> AdminRoom:
    answer = await client.join(room)
    if not isinstance(answer, JoinResponse):
        raise UserError(
            f"The bot cannot go into {room}: {answer.message or answer.status_code}. "
            f"Invite {client.user_id} into it, then try again."
        )
    room_id = answer.room_id
    if not str(room_id).startswith("!"):
        resolved = await client.room_resolve_alias(room)
        room_id = resolved.room_id if isinstance(resolved, RoomResolveAliasResponse) else room_id
    state = await client.room_get_state_event(room_id, "m.room.encryption")
    return AdminRoom(room_id, encrypted=isinstance(state, RoomGetStateEventResponse))
