"""Who owns the bot: only the right code, from the right person, in the room, believed only when it is really theirs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nio import MegolmEvent, SyncResponse

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.matrix import claim as module
from chatrixcd_threads.matrix.claim import Listener, said_code
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.patience import Backoff
from chatrixcd_threads.wizard.doors import Claim

ANN, EVE, BOT, ROOM = "@ann:example.org", "@eve:example.org", "@bot:example.org", "!admins:example.org"
CLAIM = Claim(ROOM, ANN, "K7QX2M", "!cd", tries=3, seconds=300)
OPEN = Claim(ROOM, "", "K7QX2M", "!cd", tries=3, seconds=300)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("claim K7QX2M", "k7qx2m"),
        ("  Claim   k7qx2m ", "k7qx2m"),
        ("!cd claim K7QX2M", "k7qx2m"),
        ("  !cd claim K7QX2M", "k7qx2m"),
        ("claim", None),
        ("claim K7 QX2M", None),
        ("I claim K7QX2M", None),
        ("K7QX2M", None),
        (5, None),
        (None, None),
    ],
)
def test_how_a_claim_is_said(body: object, code: str | None) -> None:
    assert said_code(body, "!cd") == code


class Event(SimpleNamespace):
    """A decrypted message."""


def message(body: object, sender: str = ANN, *, decrypted: bool = True, **content: Any) -> Event:
    source = {"type": "m.room.message", "content": {"msgtype": "m.text", "body": body, **content}}
    return Event(event_id=f"${body}", sender=sender, decrypted=decrypted, sender_key="key of ann", source=source)


def joins(sender: str) -> Event:
    source = {"type": "m.room.member", "content": {"membership": "join"}}
    return Event(event_id=f"$join{sender}", sender=sender, source=source)


class Client:
    """Answers each sync with the next list of events; then it waits for ever."""

    user_id = BOT

    def __init__(self, *syncs: list[Any] | Exception, encrypted: bool = True) -> None:
        self.syncs, self.sent = list(syncs), list[str]()
        self.next_batch = ""
        self.asked: list[tuple[Any, bool]] = []
        self.rooms = {ROOM: SimpleNamespace(encrypted=encrypted)}
        self.keys: dict[str, Event] = {}

    async def sync(self, timeout: int, filter: object, since: str | None, full_state: bool) -> Any:
        self.asked.append((since, full_state))
        if not self.syncs:
            await asyncio.Event().wait()
        events = self.syncs.pop(0)
        if isinstance(events, Exception):
            raise events
        response = SyncResponse.__new__(SyncResponse)
        response.next_batch = "next"
        response.rooms = SimpleNamespace(join={ROOM: SimpleNamespace(timeline=SimpleNamespace(events=events))})
        return response

    async def owns(self, sender: str, sender_key: str) -> bool:
        return sender == EVE or (sender == ANN and sender_key == "key of ann")

    def _opened(self, event: Any) -> Any:
        return self.keys.get(event.event_id)

    async def ready_to_encrypt(self, room_id: str) -> None:
        pass

    async def room_send(self, room_id: str, kind: str, body: dict[str, Any], **_: object) -> None:
        self.sent.append(body["body"])


@pytest.fixture(autouse=True)
def keys_are_tended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(client: object) -> None:
        pass

    monkeypatch.setattr(module, "tend_keys", nothing)


def listen(client: Client, claim: Claim = CLAIM) -> tuple[str, list[str]]:
    told: list[str] = []
    return asyncio.run(Listener(cast(GuardedClient, client), claim, told.append).run()), told


def test_the_owner_says_the_code() -> None:
    client = Client([], [joins(ANN), message("hello"), message("claim k7qx2m")])
    owner, told = listen(client)
    assert owner == ANN
    assert told == [f"{ANN} is in the room."]
    assert client.sent == [f"✅ {ANN} owns me now."]


def test_a_code_that_was_said_before_the_first_look_counts() -> None:
    assert listen(Client([message("claim OLD"), message("claim K7QX2M")]))[0] == ANN


def test_the_code_alone_counts_and_other_talk_is_no_try() -> None:
    owner, told = listen(Client([], [message("K7QX2N"), message("what now?"), message(" k7qx2m ")]))
    assert (owner, told) == (ANN, [])


def test_another_wait_begins_where_the_first_has_ended() -> None:
    """A homeserver may give its first answer once more, with a code in it that was counted already."""
    client = Client([message("claim A")], [message("claim K7QX2M")])
    told: list[str] = []
    listener = Listener(cast(GuardedClient, client), CLAIM, told.append, "before")
    assert asyncio.run(listener.run()) == ANN
    assert told == []
    assert client.asked == [("before", True), ("next", False)]
    assert listener.since == "next"


def test_nobody_else_may() -> None:
    others = [message("claim A", EVE), message("claim K7QX2M", EVE), message("claim K7QX2M", EVE)]
    owner, told = listen(Client([], [*others, message("claim K7QX2M", BOT), message("claim K7QX2M")]))
    assert owner == ANN
    (said,) = told
    assert said.startswith(f"{EVE} typed the code, but I wait for {ANN}.")


def test_without_a_named_owner_the_first_one_counts() -> None:
    assert listen(Client([], [message("claim K7QX2M", EVE), message("claim K7QX2M")]), OPEN)[0] == EVE


def test_the_tries_are_counted() -> None:
    client = Client([message("claim HISTORY")], [message("claim A"), message("claim B")], [message("claim C")])
    with pytest.raises(UserError, match="3 wrong codes"):
        listen(client)


def test_what_is_no_claim_costs_no_try() -> None:
    noise = [message("claims are fun")] * 5 + [message("claim X", msgtype="m.notice")] * 5
    assert listen(Client([], noise, [message("claim K7QX2M")]))[0] == ANN


def test_a_forged_sender_is_not_believed() -> None:
    forged = message("claim K7QX2M")
    forged.sender_key = "key of somebody else"
    with pytest.raises(UserError, match="Nobody typed the code"):
        listen(Client([], [forged]), Claim(ROOM, ANN, "K7QX2M", "!cd", 3, 0.1))
    owner, told = listen(Client([], [forged], [message("claim K7QX2M")]))
    assert owner == ANN
    assert "does not vouch for: please verify that session" in told[0]


def test_clear_text_in_an_encrypted_room_is_not_believed() -> None:
    clear = message("claim K7QX2M", decrypted=False)
    owner, told = listen(Client([], [clear], [message("claim K7QX2M")]))
    assert owner == ANN
    assert "unencrypted" in told[0]
    assert listen(Client([], [clear], encrypted=False))[0] == ANN


def test_a_message_whose_key_comes_later() -> None:
    sealed = MegolmEvent.__new__(MegolmEvent)
    sealed.event_id, sealed.sender = "$sealed", ANN
    client = Client([], [sealed], [])
    client.keys["$sealed"] = message("claim K7QX2M")
    client.keys["$sealed"].event_id = "$sealed"
    assert listen(client)[0] == ANN


def test_a_homeserver_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, asked=0.0: 0.0)
    owner, told = listen(Client(TimeoutError(), [], [message("claim K7QX2M")]))
    assert owner == ANN
    assert "does not answer now" in told[0]


def test_the_time_ends() -> None:
    with pytest.raises(UserError, match="Nobody typed the code within"):
        listen(Client([]), Claim(ROOM, ANN, "K7QX2M", "!cd", 3, 0.05))
