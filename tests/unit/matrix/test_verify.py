"""Verifications between the bot's real client (nio, its store, its Olm account) and people, on a homeserver in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nio
import pytest
import vodozemac
from nio import Api, SyncResponse

from chatrixcd_threads.events import Devices, Stage, Verification, VerifyWish
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix import crosssign, verify
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.crosssign import SigningKey
from chatrixcd_threads.matrix.trust import changed_identities, signed_by
from chatrixcd_threads.matrix.verify import Verifier
from chatrixcd_threads.matrix.vetting import whole_characters
from tests.e2e.emoji import Message, Peer

BOT, ANN, EVE = "@bot:x", "@ann:x", "@eve:x"
NOW = 1_800_000_000.0
PREFIX = "m.key.verification."


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status, self._body = status, body
        self.headers: dict[str, str] = {}
        self.content_type, self.content_disposition = "application/json", None

    async def read(self) -> bytes:
        return json.dumps(self._body).encode()


class House:
    """What a homeserver keeps of keys, and what was sent to whom."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.cross: dict[str, dict[str, Any]] = {"master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {}}
        self.whispers: list[tuple[str, str, str, dict[str, Any]]] = []  # user, device, kind, content
        self.said: list[tuple[str, str, dict[str, Any]]] = []  # room, kind, content
        self.signatures: list[dict[str, Any]] = []
        self.queries = 0
        self.down = False
        self.silent: set[str] = set()  # whose devices it does not tell
        self.limited = 0

    async def send(self, method: str, path: str, data: Any = None, *_: Any, **__: Any) -> Answer:
        if self.down:
            raise TimeoutError
        parts = [unquote(part) for part in path.partition("?")[0].split("/")[4:]]
        body = json.loads(data) if data else {}
        match parts:
            case ["keys", "query"]:
                self.queries += 1
                users = [user for user in body["device_keys"] if user not in self.silent]
                return Answer(200, {"device_keys": {u: self.devices.get(u, {}) for u in users}, **self.cross})
            case ["sendToDevice", kind, _]:
                for user, devices in body["messages"].items():
                    self.whispers += [(user, device, kind, content) for device, content in devices.items()]
                return Answer(200, {})
            case ["rooms", room, "send", kind, _]:
                if self.limited:
                    self.limited -= 1
                    return Answer(429, {"errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 1})
                self.said.append((room, kind, body))
                return Answer(200, {"event_id": f"$said{len(self.said)}"})
            case ["rooms", _, "joined_members"]:
                return Answer(200, {"joined": {user: {} for user in (BOT, ANN)}})
            case ["keys", "device_signing", "upload"]:
                for usage in ("master", "self_signing", "user_signing"):
                    self.cross[f"{usage}_keys"][BOT] = body[f"{usage}_key"]
                return Answer(200, {})
            case ["keys", "signatures", "upload"]:
                self.signatures.append(body)
                if device := body.get(BOT, {}).get("BOT"):
                    self.devices[BOT]["BOT"] = device
                return Answer(200, {"failures": {}})
        raise AssertionError(f"{method} {path}")

    def person(self, user: str, device: str, *, signed: bool = False) -> Peer:
        """Somebody with a device, and with cross-signing keys when `signed`."""
        account = vodozemac.Account()
        keys = {
            f"ed25519:{device}": account.ed25519_key.to_base64(),
            f"curve25519:{device}": account.curve25519_key.to_base64(),
        }
        thing = {"algorithms": [], "device_id": device, "user_id": user, "keys": keys}
        signature = account.sign(Api.to_canonical_json(thing).encode()).to_base64()
        full: dict[str, Any] = thing | {"signatures": {user: {f"ed25519:{device}": signature}}}
        full["unsigned"] = {"device_display_name": "a phone"}
        mine = {f"ed25519:{device}": keys[f"ed25519:{device}"]}
        if signed:
            master, between = SigningKey(b"m" * 32), SigningKey(b"s" * 32)
            self.cross["master_keys"][user] = crosssign._key_object(user, "master", master)
            self.cross["self_signing_keys"][user] = master.signed(
                crosssign._key_object(user, "self_signing", between), user
            )
            full = between.signed(full, user) | {"unsigned": full["unsigned"]}
            mine[f"ed25519:{master.public}"] = master.public
        self.devices.setdefault(user, {})[device] = full
        return Peer(user, device, mine, (BOT, "BOT"))


class Bot:
    """The verifier with a real client; time stands still unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.house = House()
        self.folder = folder
        self.now = NOW
        self.shown = Devices()
        self.admins = {ANN}
        self.journal = Journal(folder / "journal.sqlite3")
        self.client = GuardedClient("https://x", BOT, "BOT", folder)
        self.client.restore_login(BOT, "BOT", "token")
        self.client.send = self.house.send
        keys = self.client._device_keys()
        self.house.devices[BOT] = {"BOT": self.client._signed(keys)}
        self.verifier: Verifier

    async def live(self) -> Verifier:
        """The session begins: keys are published, devices told."""
        await crosssign.vouch(self.client, self.folder, "")
        self.verifier = Verifier(
            self.client, self.journal, lambda user: user in self.admins, self._show, lambda: self.now
        )
        await self.told(BOT)
        return self.verifier

    async def told(self, *users: str) -> None:
        await self.client.learn(*users)
        masters, self.client.masters = self.client.masters, {}
        self.verifier.devices_told(masters)

    def room(self, *users: str, room_id: str = "!r:x", encrypted: bool = False) -> str:
        room = nio.MatrixRoom(room_id, BOT, encrypted)
        for user in (BOT, *users):
            room.add_member(user, user, None)
        room.members_synced = True
        self.client.rooms[room_id] = room
        return room_id

    def _show(self, devices: Devices) -> None:
        self.shown = devices

    @property
    def flow(self) -> Verification:
        return self.shown.running[0]

    @property
    def stages(self) -> list[str]:
        return [str(each.stage) for each in self.shown.running]

    async def hears(self, sender: str, *messages: Message, room: str = "", at: float | None = None) -> None:
        """A sync with these events, through nio and its guards, and the handling of all of them."""
        events = []
        for number, (kind, content) in enumerate(messages):
            named = kind if kind.startswith("m.") else PREFIX + kind
            event = {"type": named, "sender": sender, "content": content}
            stamp = int((self.now if at is None else at) * 1000)
            more = {"event_id": f"$e{number}", "origin_server_ts": stamp}
            events.append(event | more if room else event)
        body: dict[str, Any] = {"next_batch": "n", "device_one_time_keys_count": {}, "rooms": {}, "to_device": {}}
        if room:
            timeline = {"events": events, "limited": False, "prev_batch": "p"}
            joined = {"timeline": timeline, "state": {"events": []}, "ephemeral": {"events": []}}
            body["rooms"] = {"join": {room: joined | {"account_data": {"events": []}}}, "invite": {}, "leave": {}}
        else:
            body["to_device"] = {"events": events}
        response = SyncResponse.from_dict(body)
        assert isinstance(response, SyncResponse)
        await self.client.receive_response(response)
        self.verifier.look(response)
        await self.settle()

    async def settle(self) -> None:
        while not self.verifier._due.empty():
            await self.verifier.handle(self.verifier._due.get_nowait())

    async def wishes(self, verb: str, what: str = "", device: str = "") -> None:
        self.verifier.wish(VerifyWish(verb, what or self.flow.flow, device))
        await self.settle()

    def sent(self) -> list[Message]:
        """What was sent since the last call."""
        found = [(kind.removeprefix(PREFIX), content) for _, _, kind, content in self.house.whispers]
        found += [(kind.removeprefix(PREFIX), content) for _, kind, content in self.house.said]
        self.house.whispers.clear()
        self.house.said.clear()
        return found

    async def talks(self, peer: Peer, *first: Message, room: str = "") -> None:
        """Carries messages to and fro until nobody has more to say."""
        to_bot = list(first)
        while True:
            if to_bot:
                await self.hears(peer.user, *to_bot, room=room)
            to_bot = [answer for kind, content in self.sent() for answer in peer.hear(kind, content)]
            if not to_bot:
                return

    def trusted(self, user: str, device: str) -> bool:
        """As a client finds it that loads the store anew."""
        again = GuardedClient("https://x", BOT, "BOT", self.folder)
        again.restore_login(BOT, "BOT", "token")
        try:
            return bool(again.device_store[user][device].verified)
        finally:
            again.store.database.close()


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    monkeypatch.setattr(verify, "Backoff", lambda: type("None_", (), {"pause": lambda self, after: 0.0})())
    made = Bot(tmp_path)
    yield made
    made.client.store.database.close()
    made.journal.close()


async def to_compare(bot: Bot, peer: Peer) -> None:
    """A request of the peer, accepted, as far as the emoji."""
    peer.by_message("t1")
    await bot.hears(peer.user, peer.request(bot.now))
    await bot.wishes("accept")
    await bot.talks(peer, peer.start())
    assert bot.flow.stage is Stage.COMPARE


def test_a_person_asks_and_is_verified(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE", signed=True)

    async def story() -> None:
        await bot.live()
        peer.bot_keys = own_keys(bot)
        peer.by_message("t1")
        await bot.hears(ANN, peer.request(bot.now))
        assert bot.stages == ["asked"]
        assert bot.sent() == []  # nobody is answered by itself
        await bot.wishes("accept")
        await bot.talks(peer, peer.start())
        assert bot.flow.decimals == peer.decimals
        assert len(bot.flow.emoji) == 7
        await bot.wishes("match")
        await bot.talks(peer, peer.match())

    asyncio.run(story())
    assert bot.stages == ["done"]
    assert peer.done
    assert peer.vouched == set(peer.bot_keys)
    assert len(peer.vouched) == 2  # device and master key
    assert bot.trusted(ANN, "PHONE")
    signature = bot.house.signatures[-1][ANN]
    (master,) = signature.values()
    user_signing = next(iter(bot.house.cross["user_signing_keys"][BOT]["keys"].values()))
    assert signed_by(master, BOT, user_signing, user_signing)


def own_keys(bot: Bot) -> dict[str, str]:
    master = next(iter(bot.house.cross["master_keys"][BOT]["keys"].values()))
    device = bot.house.devices[BOT]["BOT"]["keys"]["ed25519:BOT"]
    return {f"ed25519:{master}": master, "ed25519:BOT": device}


def test_a_device_that_its_owner_does_not_vouch_for_speaks_for_nobody(bot: Bot) -> None:
    """A homeserver can tell of one more device of somebody; it cannot sign it."""
    house = bot.house
    house.person(ANN, "PHONE", signed=True)
    house.person(ANN, "SLIPPED_IN")
    house.person(EVE, "OLD")  # no cross-signing at all

    def key(user: str, device: str) -> str:
        return str(house.devices[user][device]["keys"][f"curve25519:{device}"])

    async def owns(user: str, device: str) -> bool:
        return await bot.client.owns(user, key(user, device))

    async def story() -> None:
        await bot.live()
        await bot.told(ANN, EVE)
        assert await owns(ANN, "PHONE")
        assert not await owns(ANN, "SLIPPED_IN")
        assert await owns(EVE, "OLD")
        assert not await bot.client.owns(EVE, key(ANN, "PHONE"))
        bot.client.verify_device(bot.client.device_store[ANN]["SLIPPED_IN"])  # somebody compared emoji with its owner
        assert await owns(ANN, "SLIPPED_IN")
        bot.client.owners.clear()  # as after a restart, when only the store is known
        queries = house.queries
        assert await owns(ANN, "PHONE")
        assert await owns(ANN, "PHONE")
        assert house.queries == queries + 1

    asyncio.run(story())


def test_silence_after_a_restart_makes_no_device_of_somebody_elses_theirs(bot: Bot) -> None:
    """It is in nio's store already; only the signatures are told anew, by whom they protect from."""
    house = bot.house
    house.person(ANN, "PHONE", signed=True)
    house.person(ANN, "SLIPPED_IN")
    house.person(EVE, "OLD")

    def key(user: str, device: str) -> str:
        return str(house.devices[user][device]["keys"][f"curve25519:{device}"])

    async def story() -> None:
        await bot.live()
        await bot.told(ANN, EVE)
        bot.client.pinned = lambda user: user == ANN
        assert not await bot.client.owns(ANN, key(ANN, "SLIPPED_IN"))
        bot.client.owners.clear()  # as after a restart
        bot.client._disowned.clear()
        house.silent = {ANN, EVE}
        assert not await bot.client.owns(ANN, key(ANN, "SLIPPED_IN"))
        assert await bot.client.owns(EVE, key(EVE, "OLD"))  # never had any cross-signing
        house.silent = set()
        assert await bot.client.owns(ANN, key(ANN, "PHONE"))

    asyncio.run(story())


def test_a_flood_from_an_unsigned_session_asks_once_for_each_sync(bot: Bot) -> None:
    """Each message had waited for an answer of the homeserver, and everybody's commands of that sync with it."""
    house = bot.house
    house.person(ANN, "PHONE", signed=True)
    house.person(ANN, "NEW")
    fresh = str(house.devices[ANN]["NEW"]["keys"]["curve25519:NEW"])

    async def story() -> None:
        await bot.live()
        await bot.told(ANN)
        queries = house.queries
        for _ in range(50):
            assert not await bot.client.owns(ANN, fresh)
        assert house.queries == queries + 1
        device = house.devices[ANN]["NEW"]
        signed = SigningKey(b"s" * 32).signed({k: v for k, v in device.items() if k != "unsigned"}, ANN)
        house.devices[ANN]["NEW"] = signed | {"unsigned": device["unsigned"]}
        bot.client.next_batch = ""
        await bot.hears(ANN)
        assert await bot.client.owns(ANN, fresh)  # what is said after it was verified
        assert house.queries == queries + 2

    asyncio.run(story())


def test_the_name_of_a_device_alone_is_not_vouched_for(bot: Bot) -> None:
    """Keys that were told under a name before the real ones stay in nio's store."""
    house = bot.house
    house.person(ANN, "PHONE")
    evil = str(house.devices[ANN]["PHONE"]["keys"]["curve25519:PHONE"])

    async def story() -> None:
        await bot.live()
        await bot.told(ANN)
        house.person(ANN, "PHONE", signed=True)
        await bot.told(ANN)
        assert not await bot.client.owns(ANN, evil)

    asyncio.run(story())


def test_half_a_character_in_the_keys_of_a_stranger_costs_nobody_anything(bot: Bot) -> None:
    """Their homeserver may say anything of their devices and identity; it came into the same answer as everybody's keys."""
    house = bot.house
    house.person(ANN, "PHONE", signed=True)
    house.person(EVE, "X")
    house.devices[EVE]["X"]["unsigned"]["device_display_name"] = "\ud800 \U0001f986"
    house.cross["master_keys"][EVE] = {"user_id": EVE, "usage": ["master"], "keys": {"ed25519:x": "\ud800"}}

    async def story() -> None:
        await bot.live()
        await bot.told(ANN, EVE)
        assert bot.client.device_store[EVE]["X"].display_name == "? \U0001f986"
        with bot.journal.write() as tx:
            assert changed_identities(tx, {EVE: bot.client.owners[EVE].master}) == []
        assert await bot.client.owns(ANN, house.devices[ANN]["PHONE"]["keys"]["curve25519:PHONE"])

    asyncio.run(story())


@pytest.mark.parametrize("half", [rb"\ud800", b"\xed\xa0\x80"])
def test_half_a_character_in_an_answer_is_none_however_it_is_written(half: bytes) -> None:
    whole_characters(b'{"a": "%s"}' % half)["a"].encode()
    assert (
        whole_characters('{"a": "\U0001f986"}'.encode())
        == whole_characters(rb'{"a": "\ud83e\udd86"}')
        == {"a": "\U0001f986"}
    )


def test_the_bot_asks_a_device(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        await bot.live()
        await bot.wishes("start", ANN, "PHONE")
        ((kind, request),) = bot.sent()
        assert kind == "request"
        assert request["timestamp"] == int(NOW * 1000)
        peer.by_message(request["transaction_id"])
        await bot.talks(peer, peer.ready())
        assert bot.flow.stage is Stage.COMPARE
        assert bot.flow.decimals == peer.decimals
        await bot.talks(peer, peer.match())
        await bot.wishes("match")
        await bot.talks(peer)

    asyncio.run(story())
    assert bot.stages == ["done"]
    assert bot.trusted(ANN, "PHONE")
    assert len(bot.house.signatures) == 1  # only that of the bot's own device


@pytest.mark.parametrize("bot_asks", [True, False])
def test_in_a_room(bot: Bot, bot_asks: bool) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        await bot.live()
        room = bot.room(ANN)
        bot.room(ANN, EVE, "@more:x", room_id="!large:x")
        bot.house.limited = 1
        if bot_asks:
            await bot.wishes("start", ANN)
            assert bot.house.said[0][0] == room  # the smallest that they share
            ((kind, content),) = bot.sent()
            assert (kind, content["msgtype"], content["to"]) == ("m.room.message", verify.REQUEST, ANN)
            peer.in_room("$said1")
            await bot.talks(peer, peer.ready(), room=room)
        else:
            peer.in_room("$e0")
            request = {"msgtype": verify.REQUEST, "to": BOT, **peer.request(0)[1]}
            del request["m.relates_to"]
            await bot.hears(ANN, ("m.room.message", request), room=room)
            await bot.wishes("accept")
            await bot.talks(peer, peer.start(), room=room)
        assert bot.flow.device_id == "PHONE"
        assert bot.flow.decimals == peer.decimals
        await bot.wishes("match")
        await bot.talks(peer, peer.match(), room=room)

    asyncio.run(story())
    assert bot.stages == ["done"]
    assert bot.house.whispers == []
    assert bot.trusted(ANN, "PHONE")


def test_a_room_that_the_bot_has_left_meanwhile(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        verifier = await bot.live()
        room = bot.room(ANN)
        peer.in_room("$e0")
        request = {"msgtype": verify.REQUEST, "to": BOT, "from_device": "PHONE", "methods": ["m.sas.v1"]}
        await bot.hears(ANN, ("m.room.message", request), room=room)
        del bot.client.rooms[room]
        await bot.wishes("accept")
        assert "not in that room" in bot.flow.note
        bot.now += verify.SECONDS + 1
        await verifier.expire()

    asyncio.run(story())
    assert bot.stages == []


def test_a_start_without_a_request_waits_for_a_person_too(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        await bot.live()
        peer.by_message("t1")
        await bot.hears(ANN, peer.start())
        assert bot.stages == ["asked"]
        assert bot.sent() == []
        await bot.wishes("accept")
        await bot.talks(peer)
        assert bot.flow.decimals == peer.decimals != ()

    asyncio.run(story())


@pytest.mark.parametrize("last", ["bot", "peer"])
def test_the_last_word_need_not_arrive(bot: Bot, last: str) -> None:
    peer = bot.house.person(ANN, "PHONE", signed=True)

    async def story() -> None:
        await bot.live()
        await to_compare(bot, peer)
        if last == "bot":
            await bot.hears(ANN, peer.match())
            await bot.wishes("match")
        else:
            await bot.wishes("match")
            await bot.hears(ANN, peer.match())
        assert bot.stages == ["done"]
        count = len(bot.house.signatures)
        await bot.hears(ANN, ("done", dict(peer.frame)))
        assert len(bot.house.signatures) == count  # done once

    asyncio.run(story())
    assert bot.trusted(ANN, "PHONE")


def test_not_the_same_verifies_nobody(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        await bot.live()
        await to_compare(bot, peer)
        await bot.wishes("mismatch")
        await bot.talks(peer)
        await bot.talks(peer, peer.match())  # the other person pressed the wrong button
        await bot.wishes("match")

    asyncio.run(story())
    assert peer.cancelled == "m.mismatched_sas"
    assert bot.stages == ["ended"]
    assert not bot.trusted(ANN, "PHONE")


def test_a_device_with_other_keys_than_the_homeserver_shows_is_not_verified(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")
    peer.keys["ed25519:PHONE"] = bot.house.person(EVE, "PHONE").keys["ed25519:PHONE"]

    async def story() -> None:
        await bot.live()
        await to_compare(bot, peer)
        await bot.wishes("match")
        await bot.talks(peer, peer.match())

    asyncio.run(story())
    assert peer.cancelled == "m.key_mismatch"
    assert not bot.trusted(ANN, "PHONE")


def test_a_device_without_keys_cannot_be_accepted(bot: Bot) -> None:
    peer = Peer(ANN, "GHOST", {}, (BOT, "BOT"))

    async def story() -> None:
        await bot.live()
        peer.by_message("t1")
        await bot.hears(ANN, peer.request(bot.now))
        await bot.wishes("accept")
        await bot.talks(peer)

    asyncio.run(story())
    assert peer.cancelled == "m.user"
    assert "no keys" in bot.flow.note


def test_what_takes_too_long_ends_and_is_forgotten_later(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        verifier = await bot.live()
        await to_compare(bot, peer)
        bot.now += verify.SECONDS - 1
        await verifier.expire()
        assert bot.stages == ["compare"]
        bot.now += 2
        await verifier.expire()
        await bot.talks(peer)
        assert bot.stages == ["ended"]
        assert bot.flow.note == "it took too long"
        await bot.wishes("match")
        bot.now += verify.KEPT_SECONDS + 1
        await verifier.expire()

    asyncio.run(story())
    assert peer.cancelled == "m.timeout"
    assert bot.stages == []
    assert not bot.trusted(ANN, "PHONE")


def test_the_loop_wakes_by_itself_when_time_is_up(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        verifier = await bot.live()
        peer.by_message("t1")
        await bot.hears(ANN, peer.request(bot.now))
        bot.now += verify.SECONDS + 1
        running = asyncio.create_task(verifier.run())
        async with asyncio.timeout(10):
            while not bot.house.whispers:
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(story())
    assert [kind for kind, _ in bot.sent()] == ["cancel"]


@pytest.mark.parametrize("age", [-400.0, 700.0])
def test_old_requests_and_those_from_the_future_are_nobodys(bot: Bot, age: float) -> None:
    peer = bot.house.person(ANN, "PHONE")
    peer.by_message("t1")

    async def story() -> None:
        await bot.live()
        await bot.hears(ANN, peer.request(bot.now - age))
        room = bot.room(ANN)
        request = {"msgtype": verify.REQUEST, "to": BOT, **peer.request(0)[1]}
        await bot.hears(ANN, ("m.room.message", request), room=room, at=bot.now - age)

    asyncio.run(story())
    assert bot.stages == []
    assert bot.sent() == []


def test_strangers_are_cancelled_and_not_shown(bot: Bot) -> None:
    peers = [bot.house.person(EVE, f"D{number}") for number in range(50)]

    async def story() -> None:
        await bot.live()
        bot.room(ANN)
        for number, peer in enumerate(peers):
            peer.by_message(f"t{number}")
            await bot.hears(EVE, peer.request(bot.now))
        assert bot.stages == []
        sent = bot.sent()
        assert [(kind, content["code"]) for kind, content in sent] == [("cancel", "m.user")] * 50
        peers[0].by_message("again")
        await bot.hears(EVE, peers[0].start())
        assert [kind for kind, _ in bot.sent()] == ["cancel"]
        await bot.hears(EVE, *[("key", {"key": "x", "transaction_id": "never"})])
        assert bot.sent() == []

    asyncio.run(story())
    assert bot.stages == []


def test_a_member_whom_the_bot_was_not_told_of_is_known(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")
    bot.admins = set()

    async def story() -> None:
        await bot.live()
        room = bot.room()
        bot.client.rooms[room].members_synced = False
        peer.by_message("t1")
        await bot.hears(ANN, peer.request(bot.now))

    asyncio.run(story())
    assert bot.stages == ["asked"]


def test_a_flood_of_a_member_is_bounded(bot: Bot) -> None:
    bot.admins = set()
    users = [f"@u{number}:x" for number in range(30)]
    peers = [bot.house.person(user, f"D{number}") for user in users for number in range(4)]

    async def story() -> None:
        await bot.live()
        room = bot.room(*users)
        for number, peer in enumerate(peers):
            peer.by_message(f"t{number}")
            await bot.hears(peer.user, peer.request(bot.now))
        assert len(bot.stages) <= verify.MOST
        assert len([flow for flow in bot.shown.running if flow.user_id == users[0]]) == verify.MOST_OF_ONE
        bot.admins = {ANN}
        ann = bot.house.person(ANN, "PHONE")
        ann.by_message("late")
        await bot.hears(ANN, ann.request(bot.now))
        assert bot.flow.user_id == ANN  # an admin always comes through
        bot.sent()
        request = {"msgtype": verify.REQUEST, "to": BOT, "from_device": "X", "methods": ["m.sas.v1"]}
        for number in range(20):
            await bot.hears(users[0], ("m.room.message", request | {"from_device": f"X{number}"}), room=room)
        assert len(bot.sent()) <= 1  # in a room each refusal costs a message

    asyncio.run(story())


def test_one_verification_for_each_device(bot: Bot) -> None:
    first, second = bot.house.person(ANN, "PHONE"), Peer(ANN, "PHONE", {}, (BOT, "BOT"))

    async def story() -> None:
        await bot.live()
        await to_compare(bot, first)
        shown = bot.flow.flow
        second.by_message("t2")
        await bot.hears(ANN, second.request(bot.now))
        await bot.talks(first)
        assert first.cancelled == "m.user"
        assert bot.stages == ["asked", "ended"]
        for number in range(20):  # again and again: what nobody here has accepted leaves nothing behind
            second.by_message(f"again{number}")
            await bot.hears(ANN, second.request(bot.now))
        assert bot.stages == ["asked", "ended"]
        await bot.wishes("match", shown)  # meant for the one that was on the screen
        assert bot.stages == ["asked", "ended"]

    asyncio.run(story())
    assert not bot.trusted(ANN, "PHONE")


def test_what_nobody_knows_any_more_is_cancelled_for_people_one_knows(bot: Bot) -> None:
    """After a restart the other side must not wait for ever."""

    async def story() -> None:
        await bot.live()
        bot.room(ANN)
        await bot.hears(ANN, ("mac", {"mac": {}, "keys": "", "transaction_id": "gone"}))
        assert [(kind, content["code"]) for kind, content in bot.sent()] == [("cancel", "m.unknown_transaction")]
        relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": "$others"}}
        await bot.hears(ANN, ("key", {"key": "x", **relation}), room="!r:x")  # between two other people
        assert bot.sent() == []

    asyncio.run(story())


def test_a_stop_ends_what_runs(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        verifier = await bot.live()
        await to_compare(bot, peer)
        await verifier.close()
        await bot.talks(peer)

    asyncio.run(story())
    assert peer.cancelled == "m.user"


def test_a_homeserver_that_is_away_ends_one_verification_and_nothing_else(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")

    async def story() -> None:
        await bot.live()
        peer.by_message("t1")
        await bot.hears(ANN, peer.request(bot.now))
        bot.house.down = True
        await bot.wishes("accept")
        assert bot.stages == ["ended"]
        await bot.wishes("start", ANN, "PHONE")
        assert bot.stages == ["ended", "ended"]
        await bot.wishes("start", EVE)
        assert "no room with that person" in bot.flow.note
        bot.room(ANN)
        await bot.wishes("start", ANN)
        assert "did not take the request" in bot.flow.note
        bot.house.down = False
        await bot.wishes("start", ANN, "PHONE")
        assert bot.stages == ["asking", "ended", "ended", "ended"]  # a few are kept

    asyncio.run(story())


JUNK: list[Any] = [None, 5, True, "", "junk", "\ud800", [], {}, [1], {"a": []}, 2**70, -1, "A" * 100_000]


def test_junk_of_all_kinds_ends_nothing(bot: Bot) -> None:
    peer = bot.house.person(ANN, "PHONE")
    kinds = ("request", "ready", "start", "accept", "key", "mac", "done", "cancel", "odd", "")

    async def story() -> None:
        await bot.live()
        room = bot.room(ANN)
        for kind in kinds:
            for junk in JUNK:
                contents = [junk, {"transaction_id": junk}, {"transaction_id": "t", "from_device": junk}]
                contents += [
                    {**peer.request(bot.now)[1], "transaction_id": "u", name: junk} for name in ("methods", "timestamp")
                ]
                contents += [
                    {"m.relates_to": junk},
                    {"m.relates_to": {"event_id": junk}},
                    {"msgtype": verify.REQUEST, "to": junk},
                ]
                messages = [(kind, content) for content in contents]
                await bot.hears(ANN, *messages)
                usable = [(k, c) for k, c in messages if isinstance(c, dict)]  # others the client leaves out before
                await bot.hears(ANN, *usable, *(("m.room.message", c) for _, c in usable), room=room)
        await bot.wishes("match", "nothing")
        await bot.wishes("odd", "nothing")

    asyncio.run(story())
    assert all(stage in ("asked", "ended") for stage in bot.stages)

    async def still() -> None:
        bot.sent()
        await to_compare(bot, peer)

    asyncio.run(still())


def test_devices_are_told_admins_first_then_the_newest(bot: Bot) -> None:
    bot.house.person(EVE, "OLD")
    bot.house.person(ANN, "PHONE", signed=True)
    bot.house.person("@away:x", "GONE")

    async def story() -> None:
        await bot.live()
        bot.room(ANN, EVE)
        await bot.told(EVE, ANN, "@away:x")
        bot.now += 3_600
        bot.house.person(EVE, "NEW")
        await bot.told(EVE)
        found = [(each.device_id, each.trust, each.since - NOW, each.admin) for each in bot.shown.known]
        assert found == [
            ("PHONE", "signed", 0, True),
            ("NEW", "unsigned", 3_600, False),
            ("OLD", "unsigned", 0, False),
        ]
        assert bot.shown.known[0].name == "a phone"
        assert bot.shown.cross_signed
        assert bot.shown.fingerprint == bot.client.olm.account.identity_keys["ed25519"]
        bot.client.blacklist_device(bot.client.device_store[EVE]["NEW"])
        del bot.house.devices[EVE]["OLD"]
        await bot.told(EVE)
        assert [(each.device_id, each.trust) for each in bot.shown.known[1:]] == [("NEW", "blocked")]

    asyncio.run(story())
    rows = bot.journal.read().execute("SELECT key FROM meta WHERE key LIKE 'device:@eve%'").fetchall()
    assert [row[0] for row in rows] == ["device:@eve:x NEW"]
