"""Verification of devices on a real homeserver: asked for by the person, by the bot, in a room, and not the same."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from chatrixcd_threads.demo.person import quote
from chatrixcd_threads.matrix.crosssign import SigningKey
from tests.e2e.emoji import Message, Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrixcd_threads.demo.person import Person
    from tests.e2e.conftest import Room, Stage

pytestmark = pytest.mark.e2e

PREFIX = "m.key.verification."
DEVICE = "CHATRIXCD"


class Side:
    """A person whose client can compare emoji; room events in clear, as Element sends them."""

    def __init__(self, person: Person, bot_id: str, room: Room | None = None) -> None:
        self.person, self.bot_id, self.room = person, bot_id, room
        self.device = person.account.device_id
        key = person.run(self._own_key())
        self.peer = Peer(person.user_id, self.device, {f"ed25519:{self.device}": key}, (bot_id, DEVICE))
        self.peer.bot_keys = self._keys_of_bot()
        self._read = len(self._events())

    async def _own_key(self) -> str:
        return str(self.person.client.olm.account.identity_keys["ed25519"])

    def _keys_of_bot(self) -> dict[str, str]:
        answer = self.person.raw("POST", "/keys/query", {"device_keys": {self.bot_id: []}}).raise_for_status()
        master = answer["master_keys"][self.bot_id]["keys"]
        return {**master, f"ed25519:{DEVICE}": answer["device_keys"][self.bot_id][DEVICE]["keys"][f"ed25519:{DEVICE}"]}

    def _events(self) -> list[dict[str, Any]]:
        if self.room is None:
            return self.person.whispers()
        found = self.person.events(self.room.room_id)
        return [event for event in found if event["type"].startswith(PREFIX) and event["sender"] == self.bot_id]

    def say(self, *messages: Message) -> None:
        for kind, content in messages:
            if self.room is not None:
                self.person.send_content(self.room.room_id, content, kind=PREFIX + kind, clear=True)
            else:
                path = f"/sendToDevice/{PREFIX}{kind}/{uuid.uuid4().hex}"
                self.person.raw("PUT", path, {"messages": {self.bot_id: {DEVICE: content}}}).raise_for_status()

    def hear(self, until: Callable[[], object], what: str) -> None:
        """Answers as a client does by itself, until something holds."""

        def step() -> bool:
            fresh = self._events()[self._read :]
            self._read += len(fresh)
            for event in fresh:
                kind = event["type"].removeprefix(PREFIX)
                pending.extend(self.peer.hear(kind, event["content"]) if kind != "request" else [])
            return bool(pending) or bool(until())

        pending: list[Message] = []
        while not until():
            self.person.wait_for(step, what=what)
            self.say(*pending)
            pending.clear()

    def next(self, kind: str) -> dict[str, Any]:
        """The newest event of a kind that the bot has sent by itself."""

        def find() -> dict[str, Any] | None:
            fresh = [event for event in self._events()[self._read :] if event["type"] == PREFIX + kind]
            return fresh[-1] if fresh else None

        found = self.person.wait_for(find, what=f"a {kind}")
        self._read = len(self._events())
        return found

    def compare(self) -> None:
        self.hear(lambda: self.peer.decimals, "the key")


def flow_named(stage: Stage, regex: str) -> str:
    """The operator looks until there is a verification like this that was not looked at before, and reads its name."""
    known = "|".join(_named) or "-"
    for _ in range(60):
        stage.bot.type("verify")
        try:
            found = stage.bot.wait_log(rf"^• (?!{known})(\w{{6}}) {regex}", timeout=0.5)
        except TimeoutError:
            continue
        _named.append(found[1])
        return found[1]
    raise TimeoutError(f"no verification is {regex}")


_named: list[str] = []


def compared_at_console(stage: Stage, side: Side) -> None:
    """What the operator sees is what the person sees."""
    numbers = "^Numbers: " + " ".join(map(str, side.peer.decimals))
    for _ in range(60):
        stage.bot.type("verify")
        with contextlib.suppress(TimeoutError):
            stage.bot.wait_log(numbers, timeout=0.5)
            return
    raise TimeoutError(f"nothing shows {numbers}")


def trust(stage: Stage, room: Room, device: str) -> str:
    return next(line for line in room.ask("!cd devices").body.splitlines() if device in line)


def sign(person: Person) -> tuple[str, str]:
    """Cross-signing keys for the person; the public master key and self-signing key."""
    user, device = person.user_id, person.account.device_id
    master, between, over = (SigningKey(uuid.uuid4().bytes * 2) for _ in range(3))
    body: dict[str, Any] = {}
    for usage, key in (("master", master), ("self_signing", between), ("user_signing", over)):
        thing = {"user_id": user, "usage": [usage], "keys": {f"ed25519:{key.public}": key.public}}
        body[f"{usage}_key"] = thing if usage == "master" else master.signed(thing, user)
    person.raw("POST", "/keys/device_signing/upload", body).raise_for_status()
    answer = person.raw("POST", "/keys/query", {"device_keys": {user: []}}).raise_for_status()
    signed = between.signed(answer["device_keys"][user][device], user)
    person.raw("POST", "/keys/signatures/upload", {user: {device: signed}}).raise_for_status()
    return master.public, between.public


def test_a_person_asks(operated: Stage, person: Callable[[str], Person]) -> None:
    """Once until somebody says that it is not the same, once the whole way."""
    carl = person("carl")
    master, _ = sign(carl)
    room = operated.room(encrypted=True, guests=[carl])
    room.ask("!cd ping")
    side = Side(carl, operated.user_id)
    side.peer.by_message("first")
    side.say(side.peer.request(time.time()))
    name = flow_named(operated, rf"{carl.user_id} \({side.device}\) asks to be verified")
    operated.bot.type(f"verify accept {name}")
    assert side.next("ready")["content"]["transaction_id"] == "first"
    side.say(side.peer.start())
    side.compare()
    compared_at_console(operated, side)
    refused = room.ask(f"!cd verify yes {name}")  # the admin herself, but in a room
    assert "only at my console" in refused.body
    assert "Numbers" not in room.ask("!cd verify").body
    operated.bot.type(f"verify no {name}")
    side.hear(lambda: side.peer.cancelled, "a cancel")
    assert side.peer.cancelled == "m.mismatched_sas"
    assert "signed by its owner" in trust(operated, room, side.device)

    side = Side(carl, operated.user_id)
    side.peer.keys[f"ed25519:{master}"] = master
    side.peer.by_message("second")
    side.say(side.peer.request(time.time()))
    name = flow_named(operated, rf"{carl.user_id} \({side.device}\) asks to be verified")
    operated.bot.type(f"verify accept {name}")
    side.next("ready")
    side.say(side.peer.start())
    side.compare()
    side.say(side.peer.match())
    compared_at_console(operated, side)
    operated.bot.type(f"verify yes {name}")
    side.hear(lambda: side.peer.done, "a done")
    assert side.peer.vouched == set(side.peer.bot_keys)
    operated.bot.wait_log(f"device {side.device} of {carl.user_id} is verified")
    assert "✅ verified" in trust(operated, room, side.device)
    operated.restart()
    assert room.ask("!cd ping").encrypted
    assert "✅ verified" in trust(operated, room, side.device)


def test_the_bot_asks_in_a_room_and_by_message(operated: Stage, person: Callable[[str], Person]) -> None:
    dora = person("dora")
    room = operated.room(encrypted=True, guests=[dora])
    room.ask("!cd ping")
    side = Side(dora, operated.user_id, room)
    assert "asks" not in room.ask(f"!cd verify {dora.user_id}").body.splitlines()[0]
    request = dora.wait(lambda heard: heard.msgtype == "m.key.verification.request", room_id=room.room_id)
    assert (request.content["to"], request.content["from_device"]) == (dora.user_id, DEVICE)
    side.peer.in_room(request.event_id)
    side.say(side.peer.ready())
    side.compare()
    side.say(side.peer.match())
    name = flow_named(operated, r"\S+ \(\w+\) waits for the comparison")
    compared_at_console(operated, side)
    operated.bot.type(f"verify yes {name}")
    side.hear(lambda: side.peer.done, "a done")
    operated.bot.wait_log(f"device {side.device} of {dora.user_id} is verified")

    side = Side(dora, operated.user_id)
    room.ask(f"!cd verify {dora.user_id} {side.device}")
    side.peer.by_message(side.next("request")["content"]["transaction_id"])
    side.say(side.peer.ready())
    side.compare()
    side.say(side.peer.cancel())
    flow_named(operated, r"\S+ \(\w+\) ✖ was not verified: the other side ended it: I do not want to")


def test_junk_and_strangers(operated: Stage, person: Callable[[str], Person]) -> None:
    room = operated.room(encrypted=True)
    room.ask("!cd ping")
    eve = Side(person("eve"), operated.user_id)
    eve.peer.by_message("stranger")
    eve.say(eve.peer.request(time.time()))
    eve.hear(lambda: eve.peer.cancelled, "a cancel")
    ann = Side(room.person, operated.user_id, room)
    for kind in ("request", "ready", "start", "accept", "key", "mac", "done", "cancel", "odd"):
        junk: Any
        for junk in (None, 5, "junk", [], {"a": []}):
            content = {"transaction_id": "t", "from_device": junk, "key": junk, "mac": junk, "methods": junk}
            for side in (eve, Side(room.person, operated.user_id)):
                side.say((kind, content))
        relation = {"rel_type": "m.reference", "event_id": room.say("good morning")}
        ann.say((kind, {"from_device": 5, "m.relates_to": relation}))
    path = f"/rooms/{quote(room.room_id)}/send/m.room.message/{uuid.uuid4().hex}"
    request = {"msgtype": "m.key.verification.request", "body": "x", "to": operated.user_id, "methods": 5}
    room.person.raw("PUT", path, request).raise_for_status()
    assert "asks to be verified" not in room.ask("!cd verify").body
    assert eve.person.user_id not in room.ask("!cd verify").body
    assert "Traceback" not in operated.bot.log()
