"""A person with a real Matrix client (matrix-nio, end-to-end encryption): types in the demo, and asks in the tests.

All clients of a process live on the one loop thread of `People`; the methods of `Person` are for every other thread.
"""

from __future__ import annotations

import asyncio
import itertools
import json as jsonlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote as _quote
from urllib.parse import urlsplit

import aiohttp
import nio
from nio.crypto.attachments import decrypt_attachment

from chatrixcd_threads.demo.homeserver import Account

log = logging.getLogger(__name__)

T = TypeVar("T")

_API = "/_matrix/client/v3"
_LONG_POLL_MS = 30_000
_FILTER = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {"timeline": {"limit": 1000}, "ephemeral": {"types": []}, "account_data": {"types": []}},
}
_counter = itertools.count(1)


def quote(part: str) -> str:
    """One part of a path, slashes included."""
    return _quote(part, safe="")


class MatrixError(Exception):
    """The homeserver said no."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {body.get('errcode', '')} {body.get('error', '')}".strip())
        self.status = status
        self.body = dict(body)


class Answer(dict[str, Any]):
    """The JSON object a homeserver answered with, and the HTTP status."""

    def __init__(self, status_code: int, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.status_code = status_code

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300

    def json(self) -> dict[str, Any]:
        return dict(self)

    def raise_for_status(self) -> Self:
        if not self.ok:
            raise MatrixError(self.status_code, self)
        return self


@dataclass(frozen=True)
class Heard:
    """One message of a room. `body`, `html` and `content` are as first sent; `edited` is the latest text, if any.

    What `Person.wait` hands to its predicate for an edit is different in one point: there `body`, `html`, `msgtype`
    and `content` are those of the edit (and `edited` equals `body`); the event id is the first message's in any case.
    """

    event_id: str
    sender: str
    body: str
    html: str | None
    msgtype: str
    relates: dict[str, Any] = field(compare=False)
    encrypted: bool
    edited: str | None
    mentions: dict[str, Any] | None = field(compare=False)
    ts: int
    content: dict[str, Any] = field(compare=False)

    @property
    def text(self) -> str:
        """What a person sees now."""
        return self.body if self.edited is None else self.edited

    @property
    def thread(self) -> str | None:
        """The root of the thread it stands in."""
        return self.relates.get("event_id") if self.relates.get("rel_type") == "m.thread" else None

    @property
    def reply_to(self) -> str | None:
        target = self.relates.get("m.in_reply_to")
        return target.get("event_id") if isinstance(target, dict) else None


@dataclass(frozen=True)
class Reaction:
    event_id: str
    sender: str
    target: str
    key: str


class _RoomLog:
    """What was heard in one room. Guarded by the person's condition."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.position: dict[str, int] = {}  # event id -> how many versions came before it
        self.versions: list[Heard] = []  # messages and edits, in order of arrival
        self.messages: dict[str, Heard] = {}
        self.early_edits: dict[str, list[Heard]] = {}
        self.reactions: dict[str, Reaction] = {}
        self.redacted: set[str] = set()
        self.unreadable: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []


class _Client(nio.AsyncClient):  # type: ignore[misc]
    """nio with the holes closed through which junk from other users ends a sync (NOTES, section 5)."""

    def _handle_decrypt_to_device(self, to_device_event: Any) -> Any:
        if isinstance(to_device_event, nio.KeyVerificationEvent):
            return None  # nio would answer, and wrongly; whoever verifies reads `Person.whispers`
        try:
            return super()._handle_decrypt_to_device(to_device_event)
        except Exception:  # junk raises whatever the crypto library finds apt
            log.debug("a junk to-device event was passed over", exc_info=True)
            return None

    def _handle_timeline_event(self, event: Any, *rest: Any) -> Any:
        try:
            return super()._handle_timeline_event(event, *rest)
        except Exception:
            log.debug("a junk event was passed over", exc_info=True)
            return None

    def _handle_messages_response(self, response: Any) -> None:
        for index, event in enumerate(response.chunk):
            response.chunk[index] = self.readable(event)

    def _handle_olm_events(self, response: Any) -> None:
        if response.device_key_count.signed_curve25519 == 0:
            self.olm.uploaded_key_count = 0
        super()._handle_olm_events(response)

    async def share_group_session(self, room_id: str, ignore_unverified_devices: bool = False) -> Any:
        try:
            return await super().share_group_session(room_id, ignore_unverified_devices)
        finally:
            waiting = self.sharing_session.pop(room_id, None)
            if waiting is not None:
                waiting.set()

    def readable(self, event: Any) -> Any:
        """The decrypted event, or the same one when it cannot be read (yet)."""
        if not isinstance(event, nio.MegolmEvent) or not self.olm:
            return event
        try:
            return self.olm._decrypt_megolm_no_error(event) or event
        except Exception:
            log.debug("a junk payload was passed over", exc_info=True)
            return event


class People:
    """Owns the one thread, with one asyncio loop, on which every Matrix client of this process runs."""

    def __init__(self) -> None:
        self._name = f"people-{next(_counter)}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._persons: list[Person] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Every person leaves, then the thread ends."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or not thread.is_alive():
            return
        with self._lock:
            persons, self._persons = self._persons, []
        for person in persons:
            try:
                person.close()
            except (TimeoutError, OSError) as error:
                log.warning("%s did not leave in good order: %s", person.user_id, error)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)

    @property
    def threads(self) -> set[threading.Thread]:
        """The threads that belong to it (the loop's, and the loop's helpers for name look-ups)."""
        return {thread for thread in threading.enumerate() if thread.name.startswith(self._name)}

    def person(self, hs_url: str, account: Account, store: Path, *, timeout: float = 60.0) -> Person:
        """Sign somebody in; returns when the first sync is through and the device's keys are on the server."""
        if self._loop is None:
            raise RuntimeError("People must be entered first")
        person = Person(self._loop, hs_url, account, store)
        try:
            person.run(person._begin(), timeout)
        except BaseException:
            person.close()
            raise
        with self._lock:
            self._persons.append(person)
        return person

    def _live(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(2, thread_name_prefix=f"{self._name}-helper"))
        self._loop = loop
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
            loop.run_until_complete(self._settle())
        finally:
            loop.close()

    @staticmethod
    async def _settle() -> None:
        loop = asyncio.get_running_loop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()


class Person:
    """One user on one device. `client` and everything `async` belong to the loop thread; what was heard is guarded
    by one condition; all other methods may be called from any other thread, and each ends within its timeout."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hs_url: str, account: Account, store: Path) -> None:
        self.user_id = account.user_id
        self.account = account
        self._loop = loop
        self._url = hs_url.rstrip("/")
        self._store = store
        self._heard = threading.Condition()
        self._logs: dict[str, _RoomLog] = {}
        self._whispers: list[dict[str, Any]] = []
        self._closed = False
        # On the loop thread only:
        self.client: Any = None
        self._http: aiohttp.ClientSession | None = None
        self._since: str | None = None
        self._sync_task: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()
        self._sending: dict[str, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"<Person {self.user_id}>"

    def close(self, timeout: float = 10.0) -> None:
        """Stop listening and free everything. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self.run(self._end(), timeout)

    def run(self, coro: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run something odd on the loop thread, where `client` may be used. It is cancelled when the time is up."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(coro, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.cancel():
                raise TimeoutError(f"{self.user_id}: not done within {timeout:g} s") from None
            raise

    # Rooms

    def create_room(
        self,
        name: str,
        *,
        encrypted: bool = False,
        invite: Iterable[str] = (),
        timeout: float = 30.0,
        **more: Any,
    ) -> str:
        """Make a private room; returns when it is here, encryption included. `more` goes into the request."""
        body: dict[str, Any] = {"name": name, "preset": "private_chat", "invite": list(invite), **more}
        if encrypted:
            state = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
            body["initial_state"] = [*body.get("initial_state", []), state]

        async def create() -> str:
            made = await self._insist("POST", f"{_API}/createRoom", body, timeout)
            room_id = str(made["room_id"])
            await self._until(lambda: self._is_in(room_id) and (not encrypted or self.client.rooms[room_id].encrypted))
            return room_id

        return self.run(create(), timeout)

    def join(self, room_id: str, *, timeout: float = 30.0) -> None:
        """Accept an invitation (or enter a public room); returns when the room is here."""

        async def join() -> None:
            await self._insist("POST", f"{_API}/join/{quote(room_id)}", {}, timeout)
            await self._until(lambda: self._is_in(room_id))

        self.run(join(), timeout)

    def leave(self, room_id: str, *, timeout: float = 30.0) -> None:
        async def leave() -> None:
            await self._insist("POST", f"{_API}/rooms/{quote(room_id)}/leave", {}, timeout)
            await self._until(lambda: room_id not in self.client.rooms)

        self.run(leave(), timeout)

    def invite(self, room_id: str, user: str, *, timeout: float = 30.0) -> None:
        path = f"{_API}/rooms/{quote(room_id)}/invite"
        self.run(self._insist("POST", path, {"user_id": user}, timeout), timeout)

    def kick(self, room_id: str, user: str, *, reason: str = "", timeout: float = 30.0) -> None:
        path = f"{_API}/rooms/{quote(room_id)}/kick"
        self.run(self._insist("POST", path, {"user_id": user, "reason": reason}, timeout), timeout)

    def enable_encryption(self, room_id: str, *, timeout: float = 30.0) -> None:
        """Switch encryption on; returns when this person's client has seen it."""

        async def switch() -> None:
            path = f"{_API}/rooms/{quote(room_id)}/state/m.room.encryption/"
            await self._insist("PUT", path, {"algorithm": "m.megolm.v1.aes-sha2"}, timeout)
            await self._until(lambda: self._is_in(room_id) and self.client.rooms[room_id].encrypted)

        self.run(switch(), timeout)

    def set_state(
        self, room_id: str, kind: str, content: Mapping[str, Any], *, state_key: str = "", timeout: float = 30.0
    ) -> str:
        path = f"{_API}/rooms/{quote(room_id)}/state/{quote(kind)}/{quote(state_key)}"
        return str(self.run(self._insist("PUT", path, content, timeout), timeout)["event_id"])

    def members(self, room_id: str, *, timeout: float = 30.0) -> list[str]:
        """Who has joined, according to the server."""
        path = f"{_API}/rooms/{quote(room_id)}/joined_members"
        return sorted(self.run(self._insist("GET", path, None, timeout), timeout)["joined"])

    def wait_member(self, room_id: str, user: str, *, timeout: float = 30.0) -> None:
        """Wait until this person's client knows that the user has joined."""

        def joined() -> bool:
            room = self.client.rooms.get(room_id)
            return room is not None and user in room.users and user not in room.invited_users

        self.run(self._until(joined), timeout)

    def wait_gone(self, room_id: str, user: str, *, timeout: float = 30.0) -> None:
        """Wait until this person's client knows that the user is not in the room."""

        def gone() -> bool:
            room = self.client.rooms.get(room_id)
            return room is None or user not in room.users

        self.run(self._until(gone), timeout)

    def wait_invite(self, room_id: str, *, timeout: float = 30.0) -> None:
        self.run(self._until(lambda: room_id in self.client.invited_rooms), timeout)

    # Sending

    def send(
        self,
        room_id: str,
        body: str,
        *,
        thread: str | None = None,
        reply_to: str | None = None,
        html: str | None = None,
        edit_of: str | None = None,
        msgtype: str = "m.text",
        clear: bool = False,
        mentions: Iterable[str] = (),
        timeout: float = 30.0,
    ) -> str:
        """Say something; encrypted when the room is, unless `clear`. Repeated, with the same transaction id, while the
        server is away or wants a pause."""
        content = message_content(
            body, thread=thread, reply_to=reply_to, html=html, edit_of=edit_of, msgtype=msgtype, mentions=mentions
        )
        return self.send_content(room_id, content, clear=clear, timeout=timeout)

    def send_content(
        self,
        room_id: str,
        content: Mapping[str, Any],
        *,
        kind: str = "m.room.message",
        clear: bool = False,
        txn: str | None = None,
        timeout: float = 30.0,
    ) -> str:
        """Send any content as an event of any kind (in rooms with encryption: encrypted, unless `clear`)."""
        return self.run(self._send(room_id, kind, content, clear, txn, timeout), timeout)

    def send_many(
        self, messages: Sequence[tuple[str, str]], *, clear: bool = False, timeout: float = 120.0
    ) -> list[str]:
        """Send (room, body) pairs as fast as the server takes them: in order within a room, rooms side by side.
        Returns the event ids in the order of the arguments."""

        async def one_room(room_id: str, bodies: list[tuple[int, str]]) -> list[tuple[int, str]]:
            sent = []
            for number, body in bodies:
                content = message_content(body)
                sent.append((number, await self._send(room_id, "m.room.message", content, clear, None, timeout)))
            return sent

        async def all_rooms() -> list[str]:
            rooms: dict[str, list[tuple[int, str]]] = {}
            for number, (room_id, body) in enumerate(messages):
                rooms.setdefault(room_id, []).append((number, body))
            done = await asyncio.gather(*(one_room(room_id, bodies) for room_id, bodies in rooms.items()))
            return [event_id for _, event_id in sorted(itertools.chain.from_iterable(done))]

        return self.run(all_rooms(), timeout)

    def react(self, room_id: str, event_id: str, key: str, *, timeout: float = 30.0) -> str:
        content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key}}
        return self.run(self._send(room_id, "m.reaction", content, True, None, timeout), timeout)

    def redact(self, room_id: str, event_id: str, *, reason: str | None = None, timeout: float = 30.0) -> str:
        path = f"{_API}/rooms/{quote(room_id)}/redact/{quote(event_id)}/{uuid.uuid4().hex}"
        body = {} if reason is None else {"reason": reason}
        return str(self.run(self._insist("PUT", path, body, timeout), timeout)["event_id"])

    def raw(self, method: str, path: str, json: Any = None, *, timeout: float = 30.0) -> Answer:
        """One request with this person's token, as it is: no repeats, no judgement. `path` may start at /_matrix or,
        for short, after /_matrix/client/v3."""
        full = path if path.startswith("/_") else _API + path
        return self.run(self._call(method, full, json, timeout), timeout)

    # Hearing

    def messages(self, room_id: str) -> list[Heard]:
        """Everything heard so far, one's own words included, in order; edits are in `edited`."""
        with self._heard:
            return list(self._log(room_id).messages.values())

    def versions(self, room_id: str) -> list[Heard]:
        """Every message and every edit on its own, in order of arrival."""
        with self._heard:
            return list(self._log(room_id).versions)

    def events(self, room_id: str) -> list[dict[str, Any]]:
        """Every timeline event as it came (decrypted where possible), state included."""
        with self._heard:
            return list(self._log(room_id).events)

    def whispers(self) -> list[dict[str, Any]]:
        """Every to-device event of a verification so far, in order."""
        with self._heard:
            return list(self._whispers)

    def unreadable(self, room_id: str) -> list[str]:
        """Encrypted events for which there is no key, or whose payload is junk."""
        with self._heard:
            return list(self._log(room_id).unreadable)

    def redacted(self, room_id: str) -> set[str]:
        with self._heard:
            return set(self._log(room_id).redacted)

    def reactions(self, room_id: str, event_id: str | None = None) -> list[Reaction]:
        """Reactions that stand (taken back ones are not among them), to one event or to all."""
        with self._heard:
            found = self._log(room_id).reactions.values()
            return [reaction for reaction in found if event_id in (None, reaction.target)]

    def wait(
        self, predicate: Callable[[Heard], bool], *, room_id: str, after: str | None = None, timeout: float = 30.0
    ) -> Heard:
        """The first message or edit, among those heard and those to come, for which the predicate holds.

        With `after` only what came after that event counts: new messages, and edits of older ones. One's own messages
        are tried as well.
        """
        deadline = time.monotonic() + timeout
        index: int | None = None if after else 0
        with self._heard:
            heard = self._log(room_id)
            while True:
                if index is None and after is not None and after in heard.position:
                    index = heard.position[after]
                while index is not None and index < len(heard.versions):
                    version = heard.versions[index]
                    index += 1
                    new = version.event_id != after or version.edited is not None
                    if new and predicate(version):
                        return version
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(self._what_was_heard(room_id, after, index, timeout))
                self._heard.wait(left)

    def wait_reaction(
        self,
        room_id: str,
        event_id: str,
        key: str | None = None,
        *,
        sender: str | None = None,
        timeout: float = 30.0,
    ) -> Reaction:
        """Wait until the event has a reaction (with that key, by that sender)."""

        def find() -> Reaction | None:
            for reaction in self.reactions(room_id, event_id):
                if key in (None, reaction.key) and sender in (None, reaction.sender):
                    return reaction
            return None

        return self.wait_for(find, timeout=timeout, what=f"a reaction {key or ''} to {event_id}")

    def wait_for(self, probe: Callable[[], T | None], *, timeout: float = 30.0, what: str = "it") -> T:
        """Wait until a probe of one's own, tried after every sync, returns something that is neither None nor False."""
        deadline = time.monotonic() + timeout
        with self._heard:
            while True:
                found = probe()
                if found is not None and found is not False:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.user_id} waited {timeout:g} s in vain for {what}")
                self._heard.wait(left)

    def download(self, heard: Heard, *, timeout: float = 30.0) -> bytes:
        """The bytes of a file message, decrypted when it came encrypted."""
        secret = heard.content.get("file")
        uri = secret["url"] if secret else heard.content["url"]
        parts = urlsplit(uri)

        async def fetch() -> bytes:
            path = f"/_matrix/client/v1/media/download/{parts.netloc}{parts.path}"
            async with self._request("GET", path, None, timeout) as answer:
                data: bytes = await answer.read()
                if answer.status != 200:
                    raise MatrixError(answer.status, {"error": data.decode("utf-8", "replace")})
                return data

        data = self.run(fetch(), timeout)
        if secret:
            plain: bytes = decrypt_attachment(data, secret["key"]["k"], secret["hashes"]["sha256"], secret["iv"])
            return plain
        return data

    # Below: on the loop thread, apart from the helpers that say otherwise.

    async def _begin(self) -> None:
        self._store.mkdir(parents=True, exist_ok=True)
        config = nio.AsyncClientConfig(
            encryption_enabled=True, store_sync_tokens=False, max_limit_exceeded=0, max_timeouts=0, request_timeout=60
        )
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.account.access_token}"})
        self.client = _Client(self._url, self.user_id, self.account.device_id, str(self._store), config)
        self.client.restore_login(self.user_id, self.account.device_id, self.account.access_token)
        pause = 0.1
        while self._since is None:
            try:
                await self._sync_once()
            except (aiohttp.ClientConnectionError, TimeoutError) as error:
                log.debug("%s cannot sync yet: %s", self.user_id, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
        self._sync_task = asyncio.get_running_loop().create_task(self._sync_for_ever())

    async def _end(self) -> None:
        if self._sync_task is not None:
            while not self._sync_task.done():
                self._sync_task.cancel()
                await asyncio.wait({self._sync_task}, timeout=0.5)
        if self._http is not None:
            await self._http.close()
        if self.client is not None:
            await self.client.close()
            if self.client.store is not None:
                self.client.store.database.close()

    async def _sync_for_ever(self) -> None:
        pause = 0.1
        while not self._closed:
            try:
                await self._sync_once()
                pause = 0.1
            except Exception as error:  # noqa: BLE001  # whatever it was: a person goes on listening
                log.info("%s: the sync failed and is tried again: %r", self.user_id, error)
                self.client.next_batch = ""
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _sync_once(self) -> None:
        first = self._since is None
        async with asyncio.timeout(120):  # not wait_for: in Python 3.11 that can swallow a cancellation
            response = await self.client.sync(
                timeout=0 if first else _LONG_POLL_MS,
                sync_filter=_FILTER,
                since=self._since,
                full_state=True if first else None,
            )
        if not isinstance(response, nio.SyncResponse):
            raise MatrixError(0, {"error": f"sync: {response}"})
        batches = []
        for room_id, info in response.rooms.join.items():
            events = list(info.timeline.events)
            if info.timeline.limited and not first:
                events = await self._fill_gap(room_id, info.timeline.prev_batch) + events
            batches.append((room_id, events))
        with self._heard:
            for room_id, events in batches:
                for event in events:
                    self._take(room_id, event)
            self._whispers += [event.source for event in response.to_device_events if _verifies(event.source)]
            if response.to_device_events:
                self._try_unreadable()
            for room_id in response.rooms.leave:
                self.client.rooms.pop(room_id, None)
                self.client.invited_rooms.pop(room_id, None)
            self._heard.notify_all()
        self._since = response.next_batch
        self._wake()
        await self._housekeeping()

    async def _housekeeping(self) -> None:
        """What nio owes the server between two syncs."""
        await self.client.send_to_device_messages()
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()
        if self.client.should_claim_keys:
            await self.client.keys_claim(self.client.get_users_for_key_claiming())

    async def _fill_gap(self, room_id: str, start: str | None) -> list[Any]:
        """The events between the last sync and this one that the server left out, oldest first."""
        found: list[Any] = []
        while start:
            page = await self.client.room_messages(
                room_id, start=start, end=self._since, direction=nio.MessageDirection.back, limit=100
            )
            if not isinstance(page, nio.RoomMessagesResponse):
                raise MatrixError(0, {"error": f"messages: {page}"})
            found.extend(page.chunk)
            own_join = any(
                isinstance(event, nio.RoomMemberEvent)
                and event.state_key == self.user_id
                and event.membership == "join"
                and event.prev_membership != "join"
                for event in page.chunk
            )
            start = page.end if page.chunk and not own_join and page.end != start else None
        return found[::-1]

    def _log(self, room_id: str) -> _RoomLog:
        """Any thread; with the condition held."""
        return self._logs.setdefault(room_id, _RoomLog())

    def _take(self, room_id: str, event: Any) -> None:
        """Write one event down. With the condition held."""
        heard = self._log(room_id)
        source = event.source
        event_id = str(getattr(event, "event_id", None) or source.get("event_id", ""))
        if event_id in heard.seen:
            return
        heard.seen.add(event_id)
        heard.position[event_id] = len(heard.versions)
        if isinstance(event, nio.MegolmEvent):
            heard.unreadable[event_id] = event
            heard.events.append(source)
            return
        self._take_source(heard, event_id, event, source)

    def _take_source(self, heard: _RoomLog, event_id: str, event: Any, source: dict[str, Any]) -> None:
        heard.events.append(source)
        content = source.get("content")
        content = content if isinstance(content, dict) else {}
        relates = content.get("m.relates_to")
        relates = relates if isinstance(relates, dict) else {}
        sender = str(getattr(event, "sender", None) or source.get("sender", ""))
        kind = source.get("type")
        if kind == "m.room.message" and content:
            encrypted = bool(getattr(event, "decrypted", False))
            stamp = getattr(event, "server_timestamp", None) or source.get("origin_server_ts", 0)
            new = content.get("m.new_content")
            if relates.get("rel_type") == "m.replace" and isinstance(new, dict):
                target = str(relates.get("event_id"))
                version = _heard(target, sender, new, {}, encrypted, stamp)
                self._edit(heard, replace(version, edited=version.body))
                return
            version = _heard(event_id, sender, content, relates, encrypted, stamp)
            heard.messages[event_id] = version
            heard.versions.append(version)
            for edit in heard.early_edits.pop(event_id, []):
                self._edit(heard, edit)
        elif kind == "m.reaction" and relates.get("rel_type") == "m.annotation":
            target, key = str(relates.get("event_id")), str(relates.get("key"))
            heard.reactions[event_id] = Reaction(event_id, sender, target, key)
        elif kind == "m.room.redaction":
            gone = content.get("redacts") or source.get("redacts")
            if isinstance(gone, str):
                heard.redacted.add(gone)
                heard.reactions.pop(gone, None)

    @staticmethod
    def _edit(heard: _RoomLog, edit: Heard) -> None:
        first = heard.messages.get(edit.event_id)
        if first is None:
            heard.early_edits.setdefault(edit.event_id, []).append(edit)
        elif first.sender == edit.sender:
            heard.messages[edit.event_id] = replace(first, edited=edit.body)
            heard.versions.append(replace(edit, relates=first.relates))

    def _try_unreadable(self) -> None:
        """Keys may have come after the events they open. With the condition held."""
        for heard in self._logs.values():
            for event_id, event in list(heard.unreadable.items()):
                opened = self.client.readable(event)
                if opened is not event:
                    del heard.unreadable[event_id]
                    self._take_source(heard, event_id, opened, opened.source)

    def _what_was_heard(self, room_id: str, after: str | None, index: int | None, timeout: float) -> str:
        """Any thread; with the condition held."""
        heard = self._log(room_id)
        last = [f"  {one.sender}: {one.body[:200]!r}" for one in heard.versions[-8:]] or ["  (nothing)"]
        lost = f" The event {after} itself was never heard." if index is None else ""
        unreadable = f" {len(heard.unreadable)} unreadable." if heard.unreadable else ""
        said = "\n".join(last)
        return f"{self.user_id} waited {timeout:g} s in vain in {room_id}.{lost}{unreadable} Last heard:\n{said}"

    def _is_in(self, room_id: str) -> bool:
        return room_id in self.client.rooms

    def _wake(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait, sync by sync, until it holds. The caller's timeout ends it."""
        while not holds():
            await self._turn.wait()

    async def _send(
        self, room_id: str, kind: str, content: Mapping[str, Any], clear: bool, txn: str | None, timeout: float
    ) -> str:
        deadline = time.monotonic() + timeout
        txn = txn or uuid.uuid4().hex
        async with self._sending.setdefault(room_id, asyncio.Lock()):  # one in flight per room keeps the order
            body = dict(content)
            if not clear:
                await self._until(lambda: self._is_in(room_id))
                if self.client.rooms[room_id].encrypted and kind != "m.reaction":
                    kind, body = await self._encrypt(room_id, kind, body)
            path = f"{_API}/rooms/{quote(room_id)}/send/{quote(kind)}/{quote(txn)}"
            answer = await self._insist("PUT", path, body, deadline - time.monotonic())
            return str(answer["event_id"])

    async def _encrypt(self, room_id: str, kind: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        client = self.client
        if not client.rooms[room_id].members_synced:
            await client.joined_members(room_id)
        if client.should_query_keys:
            await client.keys_query()
        if client.olm.should_share_group_session(room_id):
            await client.share_group_session(room_id, ignore_unverified_devices=True)
        encrypted: tuple[str, dict[str, Any]] = client.encrypt(room_id, kind, content)
        return encrypted

    async def _insist(self, method: str, path: str, body: Any, timeout: float) -> Answer:
        """A request that is repeated while the server is away, broken or wants a pause; MatrixError when it refuses."""
        deadline = time.monotonic() + timeout
        while True:
            pause = 0.25
            problem: Exception
            try:
                answer = await self._call(method, path, body, max(deadline - time.monotonic(), 1.0))
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = error
            else:
                if answer.ok:
                    return answer
                problem = MatrixError(answer.status_code, answer)
                if answer.status_code == 429:
                    pause = float(answer.get("retry_after_ms", 500)) / 1000
                elif answer.status_code < 500:
                    raise problem
            if time.monotonic() + pause > deadline:
                raise problem
            await asyncio.sleep(pause)

    async def _call(self, method: str, path: str, body: Any, timeout: float) -> Answer:
        async with self._request(method, path, body, timeout) as answer:
            data = await answer.read()
        try:
            parsed = jsonlib.loads(data)
        except ValueError:
            parsed = {"error": data.decode("utf-8", "replace")}
        return Answer(answer.status, parsed if isinstance(parsed, dict) else {"value": parsed})

    def _request(self, method: str, path: str, body: Any, timeout: float) -> Any:
        if self._http is None:
            raise RuntimeError(f"{self.user_id} is not signed in")
        payload = None if body is None else jsonlib.dumps(body).encode()
        headers = {} if payload is None else {"Content-Type": "application/json"}
        limit = aiohttp.ClientTimeout(total=timeout)
        return self._http.request(method, self._url + path, data=payload, headers=headers, timeout=limit)


def message_content(
    body: str,
    *,
    thread: str | None = None,
    reply_to: str | None = None,
    html: str | None = None,
    edit_of: str | None = None,
    msgtype: str = "m.text",
    mentions: Iterable[str] = (),
) -> dict[str, Any]:
    """The content of an `m.room.message` as Element would make it."""
    content: dict[str, Any] = {"msgtype": msgtype, "body": body}
    if html is not None:
        content.update(format="org.matrix.custom.html", formatted_body=html)
    users = list(mentions)
    content["m.mentions"] = {"user_ids": users} if users else {}
    if edit_of is not None:
        outer: dict[str, Any] = {**content, "body": f"* {body}", "m.new_content": content}
        if html is not None:
            outer["formatted_body"] = f"* {html}"
        outer["m.relates_to"] = {"rel_type": "m.replace", "event_id": edit_of}
        return outer
    if thread is not None:
        content["m.relates_to"] = {
            "rel_type": "m.thread",
            "event_id": thread,
            "is_falling_back": reply_to is None,
            "m.in_reply_to": {"event_id": reply_to or thread},
        }
    elif reply_to is not None:
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": reply_to}}
    return content


def _verifies(source: Mapping[str, Any]) -> bool:
    return str(source.get("type")).startswith("m.key.verification.")


def _heard(
    event_id: str, sender: str, content: dict[str, Any], relates: dict[str, Any], encrypted: bool, stamp: Any
) -> Heard:
    html = content.get("formatted_body")
    mentions = content.get("m.mentions")
    return Heard(
        event_id=event_id,
        sender=sender,
        body=str(content.get("body", "")),
        html=html if isinstance(html, str) else None,
        msgtype=str(content.get("msgtype", "")),
        relates=relates,
        encrypted=encrypted,
        edited=None,
        mentions=mentions if isinstance(mentions, dict) else None,
        ts=stamp if isinstance(stamp, int) else 0,
        content=content,
    )
