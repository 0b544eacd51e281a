"""Verification of devices: who may ask for one, the way of its messages, its time limits, and what comes of it.

Requests come over to-device messages (a single device asks) or in a room (a person asks, as Element X does). A
request is shown only when it comes from an admin, a member of a room the bot is in, or the bot's own account; nobody is
answered by itself: a person here accepts, compares and decides. A flood of requests is a flood of cancels.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

import msgspec
from nio import JoinedMembersResponse, RoomSendResponse, SyncResponse

from chatrixcd_threads.events import Devices, Stage, Verification, VerifyWish
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix.client import CRYPTO_TROUBLE, GuardedClient
from chatrixcd_threads.matrix.crosssign import own_master, vouch_for
from chatrixcd_threads.matrix.devices import DeviceBook
from chatrixcd_threads.matrix.patience import Backoff, Retry
from chatrixcd_threads.matrix.sas import METHOD, PREFIX, Dialogue, Message, Party
from chatrixcd_threads.matrix.sync import TROUBLE

log = logging.getLogger("chatrixcd.verify")

SECONDS: Final = 600.0  # from the request to its end, as the specification says
KEPT_SECONDS: Final = 120.0  # how long an ended one is still shown
MOST_KEPT: Final = 3
OLDEST, NEWEST = 600.0, 300.0  # a request from further back, or from further ahead, is not looked at
MOST: Final = 8  # running ones, those with admins not counted
MOST_EVER: Final = 24
MOST_OF_ONE: Final = 2
MOST_WAITING: Final = 200  # events that nobody has looked at yet
MOST_REMEMBERED: Final = 500
QUIET_SECONDS: Final = (
    60.0  # between two lines of log about one person, and refusals in rooms, where each costs a message
)
TRIES: Final = 3
LONGEST_NAME: Final = 255
REQUEST: Final = "m.key.verification.request"
_ANSWERED: Final = ("ready", "accept", "key", "mac")  # of dialogues that are not known here any more


class Opening(msgspec.Struct):
    """A request or, without one, a start."""

    from_device: str
    methods: list[str] = []
    method: str = ""
    timestamp: int | None = None  # milliseconds


@dataclass(frozen=True, slots=True)
class Word:
    """One event of a verification. `room_id` is empty for a to-device message; `at` is in seconds since the epoch."""

    kind: str
    sender: str
    txn: str
    content: dict[str, Any]
    room_id: str = ""
    at: float = 0.0


@dataclass(slots=True)
class Flow:
    """Owner: the sync thread's loop. One verification; `name` is what people here call it by."""

    dialogue: Dialogue
    room_id: str
    began_here: bool
    ends_at: float
    opening: Word | None = None  # a start without a request, until somebody accepts it
    wanted: bool = False  # somebody here has begun or accepted it
    name: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def peer(self) -> tuple[str, str]:
        """User and device of the other side."""
        return self.dialogue.theirs.user_id, self.dialogue.theirs.device_id


class Verifier:
    """Owner: the sync thread's loop. Events and wishes wait in one queue, so that one is handled after the other."""

    def __init__(
        self,
        client: GuardedClient,
        journal: Journal,
        is_admin: Callable[[str], bool],
        publish: Callable[[Devices], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._is_admin, self._publish, self._clock = client, is_admin, publish, clock
        self._book = DeviceBook(client, journal, is_admin, clock)
        self._known = self._book.known()
        self._due: asyncio.Queue[Word | VerifyWish] = asyncio.Queue()
        self._flows: dict[tuple[str, str], Flow] = {}  # (user, transaction) -> running, or ended and still shown
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()  # who was refused something in a room, and when
        self._announced: OrderedDict[str, float] = OrderedDict()  # whose request was logged, and when

    # --- from the sync loop and from people ---------------------------------------------------------------------------

    def look(self, response: SyncResponse) -> None:
        """Takes the verification events out of a sync. What does not fit is left out: the other side asks again."""
        for word in words(response, self._client.user_id):
            if self._due.qsize() >= MOST_WAITING:
                log.debug("too many verification events at once; one is left out")
            else:
                self._due.put_nowait(word)

    def wish(self, wish: VerifyWish) -> None:
        """Something that a person here wants."""
        self._due.put_nowait(wish)

    def devices_told(self, users: Iterable[str]) -> None:
        """The homeserver has told the devices of these people."""
        self._book.look(users)
        self.show()

    def show(self) -> None:
        """Publishes anew: devices, or who is in which room, may have changed."""
        self._known = self._book.known()
        self._show()

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Handles what comes, for ever."""
        while True:
            try:
                item = await asyncio.wait_for(self._due.get(), self._wait())
            except TimeoutError:
                await self.expire()
            else:
                await self.handle(item)

    async def handle(self, item: Word | VerifyWish) -> None:
        """One event or wish. Trouble with the homeserver ends the verification concerned, and nothing else."""
        await (self._hear(item) if isinstance(item, Word) else self._carry_out(item))
        self._show()

    async def expire(self) -> None:
        """Ends what took too long, and forgets what ended a while ago."""
        now = self._clock()
        for key, flow in list(self._flows.items()):
            if flow.ends_at > now:
                continue
            if flow.dialogue.over:
                self._flows.pop(key, None)
            else:
                await self._say(flow, flow.dialogue.cancel("m.timeout", "it took too long"))
        self._show()

    async def close(self) -> None:
        """Tells the others that nobody is here any more."""
        for flow in self._running():
            await self._say(flow, flow.dialogue.cancel("m.user", "the bot is being stopped"))

    def _wait(self) -> float | None:
        if not self._flows:
            return None
        return max(0.05, min(flow.ends_at for flow in self._flows.values()) - self._clock())

    # --- what people here want ----------------------------------------------------------------------------------------

    async def _carry_out(self, wish: VerifyWish) -> None:
        if wish.verb == "start":
            await self._ask(wish.what, wish.device)
            return
        flow = next((each for each in self._running() if each.name == wish.what), None)
        if flow is None:
            log.info("verification %s has ended already", wish.what)
            return
        dialogue = flow.dialogue
        match wish.verb:
            case "accept" if dialogue.stage is Stage.ASKED:
                await self._accept(flow)
            case "accept":
                await self._say(flow, dialogue.start())
            case "match":
                await self._say(flow, dialogue.match())
            case "mismatch":
                log.warning("verification of %s (%s): the emoji are not the same", *flow.peer)
                await self._say(flow, dialogue.cancel("m.mismatched_sas", "the emoji were not the same"))
            case "cancel":
                await self._say(flow, dialogue.cancel("m.user", "it was cancelled here"))

    async def _ask(self, user_id: str, device_id: str) -> None:
        """A request to one device, or in a room to all devices of a person: the first that answers is it."""
        await self._replace(user_id, device_id)
        mine, theirs, txn = self._me(), Party(user_id, device_id), uuid.uuid4().hex
        content: dict[str, Any] = {"from_device": mine.device_id, "methods": [METHOD]}
        room_id = "" if device_id else self._room_with(user_id)
        problem = "" if device_id or room_id else "there is no room with that person"
        frame: dict[str, Any] = {"transaction_id": txn}
        if room_id:
            try:
                txn = await self._in_room(room_id, "m.room.message", content | _invitation(mine.user_id, user_id), txn)
                frame = _relation(txn)
            except (Retry, *CRYPTO_TROUBLE, *TROUBLE) as error:
                problem = f"the homeserver did not take the request: {str(error) or type(error).__name__}"
        flow = self._flow(Dialogue(mine, theirs, txn, frame, asked=False), room_id, began_here=True)
        self._flows[user_id, txn] = flow
        if problem:
            flow.dialogue.cancel("m.user", problem)
            self._settle(flow)
        elif device_id:
            await self._say(flow, [("request", content | frame | {"timestamp": int(self._clock() * 1000)})])

    async def _accept(self, flow: Flow) -> None:
        flow.wanted = True
        if not await self._learn(flow):
            return
        opening, flow.opening = flow.opening, None
        ready = flow.dialogue.ready()
        await self._say(flow, ready if opening is None else flow.dialogue.hear("start", opening.content))

    # --- what others say ----------------------------------------------------------------------------------------------

    async def _hear(self, word: Word) -> None:
        flow = self._flows.get((word.sender, word.txn))
        if flow is not None:
            if flow.room_id == word.room_id and word.kind != "request":
                await self._continue(flow, word)
        elif (word.sender, word.txn) in self._ended:
            return
        elif word.kind == "request" or (word.kind == "start" and not word.room_id):
            await self._open(word)
        elif word.kind in _ANSWERED and not word.room_id and await self._is_known(word.sender):
            # That person waits for a verification of which nobody here knows, since a restart for example.
            await self._refuse(word, "*", "m.unknown_transaction", "this verification is not known here any more")

    async def _continue(self, flow: Flow, word: Word) -> None:
        dialogue = flow.dialogue
        if flow.opening is not None and word.kind != "cancel":
            await self._say(
                flow, dialogue.cancel("m.unexpected_message", f"the other side sent a {word.kind} too early")
            )
            return
        if word.kind == "ready" and dialogue.stage is Stage.ASKING:
            device = word.content.get("from_device")
            if flow.room_id and _usable(device):
                await self._replace(word.sender, device, but=flow)
                dialogue.theirs = Party(word.sender, device)
            if not await self._learn(flow):
                return
        await self._say(flow, dialogue.hear(word.kind, word.content))

    async def _open(self, word: Word) -> None:
        try:
            opening = msgspec.convert(word.content, Opening)
        except ValueError:  # msgspec's own, and half a surrogate pair
            return  # it does not even say whom to answer
        if not _usable(opening.from_device):
            return
        device, now = opening.from_device, self._clock()
        at = now if word.kind == "start" else word.at if word.room_id else (opening.timestamp or 0) / 1000
        if not now - OLDEST < at < now + NEWEST:
            return
        refusal = await self._refusal(word, opening)
        if refusal:
            log.debug("a verification of %s is refused: %s", word.sender, refusal)
            await self._refuse(word, device, "m.unknown_method" if METHOD in refusal else "m.user", refusal)
            return
        await self._replace(word.sender, device)
        frame = _relation(word.txn) if word.room_id else {"transaction_id": word.txn}
        dialogue = Dialogue(self._me(), Party(word.sender, device), word.txn, frame, asked=True)
        flow = self._flow(dialogue, word.room_id, began_here=False, since=at)
        flow.opening = word if word.kind == "start" else None
        self._flows[word.sender, word.txn] = flow
        if self._clock() - self._announced.get(word.sender, 0.0) >= QUIET_SECONDS:
            log.info("%s asks to verify device %.60s: it can be accepted in the console", word.sender, device)
            _note(self._announced, word.sender, self._clock())

    async def _refusal(self, word: Word, opening: Opening) -> str:
        """Why a request is not shown; empty when it is."""
        if METHOD not in (*opening.methods, opening.method):
            return f"I know only {METHOD}"
        if not (word.room_id or await self._is_known(word.sender)):
            return "I do not verify devices of people I share no room with"
        others = [flow for flow in self._running() if flow.peer != (word.sender, opening.from_device)]
        if sum(flow.peer[0] == word.sender for flow in others) >= MOST_OF_ONE:
            return "two verifications with you are running already"
        strangers = sum(not self._is_admin(flow.peer[0]) for flow in others)
        if (strangers >= MOST and not self._is_admin(word.sender)) or len(others) >= MOST_EVER:
            return "too many verifications are running"
        return ""

    async def _is_known(self, user_id: str) -> bool:
        """An admin, the bot's own account, or a member of a room: members that were not told yet are asked for once."""
        if self._is_admin(user_id) or user_id == self._client.user_id or user_id in self._book.people():
            return True
        for room_id, room in list(self._client.rooms.items()):
            if not room.members_synced:
                try:
                    answer = await self._client.joined_members(room_id)
                except TROUBLE:
                    return False
                if not isinstance(answer, JoinedMembersResponse):
                    return False
                if user_id in room.users:
                    return True
        return False

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def _learn(self, flow: Flow) -> bool:
        """Asks for both sides' keys anew. False: the verification has ended, because that device has none."""
        user_id, device_id = flow.peer
        try:
            await self._client.learn(user_id, self._client.user_id)
        except (Retry, *TROUBLE) as error:
            await self._failed(flow, error)
            return False
        device = self._client.device_store[user_id].get(device_id)
        if device is None or device.deleted:
            await self._say(flow, flow.dialogue.cancel("m.user", "the homeserver shows no keys of that device"))
            return False
        owner = self._client.owners.get(user_id)
        keys = {f"ed25519:{device_id}": str(device.ed25519)}
        if owner is not None and owner.master:
            keys[f"ed25519:{owner.master}"] = owner.master
        flow.dialogue.mine, flow.dialogue.theirs = self._me(), Party(user_id, device_id, keys)
        return True

    def _me(self) -> Party:
        client = self._client
        keys = {f"ed25519:{client.device_id}": str(client.olm.account.identity_keys["ed25519"])}
        master = own_master(client)
        if master is not None:
            keys[f"ed25519:{master}"] = master
        return Party(client.user_id, client.device_id, keys)

    async def _remember(self, flow: Flow) -> None:
        """nio's store keeps what was verified; a person's own identity is signed where it was part of it."""
        user_id, device_id = flow.peer
        device = self._client.device_store[user_id][device_id]
        if device.ed25519 != flow.dialogue.theirs.keys[f"ed25519:{device_id}"]:
            log.error("device %s of %s has other keys than it was verified with", device_id, user_id)
            return
        self._client.verify_device(device)
        log.info("device %s of %s is verified", device_id, user_id)
        self._known = self._book.known()
        owner = self._client.owners.get(user_id)
        if owner is None or f"ed25519:{owner.master}" not in flow.dialogue.proven or user_id == self._client.user_id:
            return
        try:
            await vouch_for(self._client, user_id, str(owner.master))
        except (Retry, *TROUBLE) as error:
            log.warning("the identity of %s could not be signed: %s", user_id, str(error) or type(error).__name__)

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _say(self, flow: Flow, messages: list[Message]) -> None:
        """Sends what the dialogue has to say. What is proven is remembered first, whether or not the last word arrives."""
        if flow.dialogue.stage is Stage.DONE and messages:
            await self._remember(flow)
        self._show()  # before the other side hears of it and asks here
        try:
            for kind, content in messages:
                if flow.room_id:
                    await self._in_room(flow.room_id, PREFIX + kind, content, uuid.uuid4().hex)
                else:
                    await self._to_device(flow.peer, kind, content)
        except (Retry, *CRYPTO_TROUBLE, *TROUBLE) as error:
            await self._failed(flow, error)
        self._settle(flow)

    async def _failed(self, flow: Flow, error: BaseException) -> None:
        reason = str(error) or type(error).__name__
        log.warning("verification with %s (%s) cannot go on: %s", *flow.peer, reason)
        flow.dialogue.cancel("m.user", f"the homeserver did not take part: {reason}")
        self._settle(flow)

    def _settle(self, flow: Flow) -> None:
        """What is over is shown for a while, with few others; what nobody here wanted is not."""
        key = (flow.peer[0], flow.dialogue.txn)
        if not flow.dialogue.over or key in self._ended:
            return
        _note(self._ended, key, None)
        flow.ends_at = self._clock() + KEPT_SECONDS
        if not flow.wanted:
            del self._flows[key]
        for old in [name for name, each in self._flows.items() if each.dialogue.over][:-MOST_KEPT]:
            del self._flows[old]
        level = logging.INFO if flow.wanted else logging.DEBUG
        if flow.dialogue.note:
            log.log(level, "verification with %s (%s) has ended: %s", *flow.peer, flow.dialogue.note)

    async def _refuse(self, word: Word, device_id: str, code: str, reason: str) -> None:
        content = {"code": code, "reason": reason}
        try:
            if not word.room_id:
                await self._to_device((word.sender, device_id), "cancel", content | {"transaction_id": word.txn})
            elif self._clock() - self._refused.get(word.sender, 0.0) >= QUIET_SECONDS:
                _note(self._refused, word.sender, self._clock())
                await self._in_room(word.room_id, PREFIX + "cancel", content | _relation(word.txn), uuid.uuid4().hex)
        except (Retry, *CRYPTO_TROUBLE, *TROUBLE) as error:
            log.debug("%s could not be refused: %s", word.sender, str(error) or type(error).__name__)
        _note(self._ended, (word.sender, word.txn), None)

    async def _to_device(self, peer: tuple[str, str], kind: str, content: dict[str, Any]) -> None:
        user_id, device_id = peer
        path = f"sendToDevice/{PREFIX}{kind}/{uuid.uuid4().hex}"
        body = {"messages": {user_id: {device_id: content}}}

        async def once() -> Retry | None:
            status, answer = await self._client.ask("PUT", path, body)
            return None if status == 200 else _refused(status, answer)

        await _patiently(once)

    async def _in_room(self, room_id: str, kind: str, content: dict[str, Any], txn: str) -> str:
        """The id of the event. Encrypted where the room is; other clients take both."""
        event_id = ""

        async def once() -> Retry | None:
            nonlocal event_id
            if room_id not in self._client.rooms:
                return Retry("I am not in that room any more")
            await self._client.ready_to_encrypt(room_id)
            answer = await self._client.room_send(room_id, kind, content, txn, ignore_unverified_devices=True)
            if isinstance(answer, RoomSendResponse):
                event_id = answer.event_id
                return None
            return Retry(answer.status_code or answer.message, (answer.retry_after_ms or 0) / 1000)

        await _patiently(once)
        return event_id

    # --- small things -------------------------------------------------------------------------------------------------

    def _flow(self, dialogue: Dialogue, room_id: str, *, began_here: bool, since: float | None = None) -> Flow:
        now = self._clock()
        ends_at = min(now, now if since is None else since) + SECONDS
        return Flow(dialogue, room_id, began_here, ends_at, wanted=began_here)

    def _running(self) -> list[Flow]:
        return [flow for flow in self._flows.values() if not flow.dialogue.over]

    async def _replace(self, user_id: str, device_id: str, but: Flow | None = None) -> None:
        """One verification for each device: a new one takes the place of what was left lying.

        A request in a room that was not accepted is dropped without a word: each word there costs a message.
        """
        for flow in self._running():
            if flow is not but and flow.peer == (user_id, device_id):
                silent = flow.room_id and flow.dialogue.stage is Stage.ASKED
                said = flow.dialogue.cancel("m.user", "another verification of this device was begun")
                await self._say(flow, [] if silent else said)

    def _room_with(self, user_id: str) -> str:
        """The room with the fewest others in it."""
        shared = [room for room in self._client.rooms.values() if user_id in room.users]
        return str(min(shared, key=lambda room: room.member_count).room_id) if shared else ""

    def _show(self) -> None:
        client = self._client
        owner = client.owners.get(client.user_id)
        self._publish(
            Devices(
                user_id=client.user_id,
                device_id=client.device_id,
                fingerprint=client.olm.account.identity_keys["ed25519"],
                cross_signed=owner is not None and client.device_id in owner.devices,
                known=self._known,
                running=tuple(_shown(flow) for flow in reversed(self._flows.values())),
            )
        )


def words(response: SyncResponse, own_id: str) -> list[Word]:
    """The verification events in a sync that may concern the bot; whatever has no usable form is left out."""
    found = [_to_device_word(_source(event)) for event in response.to_device_events]
    for room_id, info in response.rooms.join.items():
        found += [_room_word(room_id, _source(event), own_id) for event in info.timeline.events]
    return [word for word in found if word is not None]


def _to_device_word(source: dict[str, Any]) -> Word | None:
    kind, sender, content = source.get("type"), source.get("sender"), source.get("content")
    if not (
        isinstance(kind, str) and kind.startswith(PREFIX) and isinstance(sender, str) and isinstance(content, dict)
    ):
        return None
    txn = content.get("transaction_id")
    return Word(kind.removeprefix(PREFIX), sender, txn, content) if _usable(txn) else None


def _room_word(room_id: str, source: dict[str, Any], own_id: str) -> Word | None:
    kind, sender, content = source.get("type"), source.get("sender"), source.get("content")
    if not (isinstance(kind, str) and isinstance(sender, str) and isinstance(content, dict)) or sender == own_id:
        return None
    stamp = source.get("origin_server_ts")
    at = stamp / 1000 if isinstance(stamp, int) else 0.0
    if kind == "m.room.message" and content.get("msgtype") == REQUEST and content.get("to") == own_id:
        return Word("request", sender, str(source.get("event_id")), content, room_id, at)
    relation = content.get("m.relates_to")
    if not kind.startswith(PREFIX) or not isinstance(relation, dict):
        return None
    txn = relation.get("event_id")
    return Word(kind.removeprefix(PREFIX), sender, txn, content, room_id, at) if _usable(txn) else None


def _source(event: Any) -> dict[str, Any]:
    source = getattr(event, "source", None)
    return source if isinstance(source, dict) else {}


def _usable(name: object) -> TypeGuard[str]:
    """Whether this can be the name of a transaction or a device; half a surrogate pair can be sent to nobody."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and not any("\ud800" <= c <= "\udfff" for c in name)


def _invitation(mine: str, theirs: str) -> dict[str, Any]:
    body = f"{mine} asks to verify your device, but your client does not support this here."
    return {"msgtype": REQUEST, "to": theirs, "body": body, "m.mentions": {"user_ids": [theirs]}}


def _note(kept: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Remembers for a while: the oldest give way."""
    kept[key] = value
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)


def _relation(event_id: str) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.reference", "event_id": event_id}}


def _shown(flow: Flow) -> Verification:
    dialogue = flow.dialogue
    user_id, device_id = flow.peer
    return Verification(
        flow.name,
        user_id,
        device_id,
        dialogue.stage,
        flow.began_here,
        flow.ends_at,
        dialogue.emoji,
        dialogue.decimals,
        dialogue.note,
    )


def _refused(status: int, answer: dict[str, Any]) -> Retry:
    pause = answer.get("retry_after_ms")
    said = answer.get("errcode") or answer.get("error") or f"status {status}"
    return Retry(str(said), pause / 1000 if isinstance(pause, int) else 0.0)


async def _patiently(once: Callable[[], Awaitable[Retry | None]]) -> None:
    """Tries a few times. Raises Retry with the last reason."""
    backoff, last = Backoff(), Retry("")
    for number in range(TRIES):
        if number:
            await asyncio.sleep(backoff.pause(last.after))
        try:
            trouble = await once()
        except TROUBLE as error:
            trouble = Retry(type(error).__name__)
        if trouble is None:
            return
        last = trouble
    raise last
