"""Logins, syncs and what is kept with them, through refusals and ends at the worst moment."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import msgspec
import pytest
from nio import RoomMessagesError, SyncResponse

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.journal import invites
from chatrixcd_threads.journal.db import Journal, get_meta, set_meta
from chatrixcd_threads.matrix import service as service_module
from chatrixcd_threads.matrix.login import LoggedOut
from chatrixcd_threads.matrix.patience import Backoff, Retry
from chatrixcd_threads.matrix.service import MatrixService
from chatrixcd_threads.matrix.session import Session
from chatrixcd_threads.matrix.sync import GAP_TRIES, Syncer
from chatrixcd_threads.settings.model import MatrixSettings, Settings

BOT, EVE = "@bot:x", "@eve:x"
LIMIT = 30.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.sqlite3")
    yield made
    made.close()


def answered(**rooms: Any) -> SyncResponse:
    """An answer to /sync with these rooms."""
    body = {
        "next_batch": "s2",
        "rooms": {"invite": {}, "join": {}, "leave": {}} | rooms,
        "device_one_time_keys_count": {},
        "to_device": {"events": []},
        "device_lists": {},
    }
    response = SyncResponse.from_dict(body)
    assert isinstance(response, SyncResponse)
    response.transport_response = None
    return response


@pytest.mark.parametrize("how", ["password", "token"])
def test_a_login_that_is_refused_for_good_gives_way_to_the_one_in_the_settings(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Literal["password", "token"]
) -> None:
    old = MatrixSettings(user_id=BOT, password="first", access_token="first", auth_type=how, store_path=str(tmp_path))
    new = msgspec.structs.replace(old, password="second", access_token="second")
    now, tried = [old], []
    bot = MatrixService(lambda: Settings(matrix=now[0]), journal, queue.Queue())
    now[0] = new  # saved, tried, refused: "I stay with the old connection"; then the server's password is changed

    async def live() -> None:
        stopping = asyncio.Event()

        async def log_in(settings: MatrixSettings) -> Any:
            tried.append(settings.password)
            if how == "token" and len(tried) == 1:
                raise LoggedOut
            if settings.password == "first":
                raise Fatal("the homeserver refuses to log @bot:x in")
            stopping.set()
            raise Retry("it got in")

        monkeypatch.setattr(service_module, "log_in", log_in)
        await asyncio.wait_for(bot._live(stopping, lambda: None), LIMIT)

    asyncio.run(live())
    assert tried == ["first", "second"]
    now[0] = bot._login = old
    if how == "password":
        with pytest.raises(Fatal):  # the settings say nothing else
            asyncio.run(live())


def test_what_a_worker_has_given_up_is_not_begun_later(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The homeserver was away for more than a minute; the person was told that it failed."""
    monkeypatch.setattr(service_module, "ROOM_ANSWER_SECONDS", 0.01)
    bot, begun = MatrixService(Settings, journal, queue.Queue()), []
    assert "did not answer" in bot.ask("part", "!ops:x").problem
    session = SimpleNamespace(carry_out=lambda request: begun.append(request.room))
    bot._session = cast(Session, session)
    bot._take_requests()
    assert begun == []


def test_a_login_that_was_given_up_does_not_come_true_later(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = MatrixSettings(user_id=BOT, password="first", store_path=str(tmp_path))
    bot = MatrixService(lambda: Settings(matrix=old), journal, queue.Queue())
    monkeypatch.setattr(service_module, "LOGIN_SECONDS", 0.01)
    answers = asyncio.Event()

    async def renew(settings: MatrixSettings) -> None:
        await answers.wait()

    monkeypatch.setattr(service_module, "renew", renew)

    async def live() -> None:
        bot._loop = asyncio.get_running_loop()
        new = msgspec.structs.replace(old, password="second")
        assert "did not answer" in await asyncio.to_thread(bot.change_login, new)
        answers.set()
        await asyncio.sleep(0.01)

    asyncio.run(live())
    assert bot._login == old


def test_an_invitation_is_kept_by_the_transaction_that_moves_the_token(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = SimpleNamespace(look=lambda response: None, show=lambda: None)
    monkeypatch.setattr("chatrixcd_threads.matrix.session.Verifier", lambda *parts: quiet)
    member = {"type": "m.room.member", "state_key": BOT, "sender": EVE, "content": {"membership": "invite"}}
    answer = answered(invite={"!new:x": {"invite_state": {"events": [member]}}})

    async def story() -> None:
        at_keys = asyncio.Event()

        async def tending() -> None:
            at_keys.set()
            await asyncio.Event().wait()  # a slow /sendToDevice or /keys/upload

        async def sync(*args: Any, **more: Any) -> SyncResponse:
            return answer

        client = SimpleNamespace(
            user_id=BOT,
            device_id="D",
            homeserver="http://h",
            rooms={},
            invited_rooms={},
            refused=set(),
            masters={},
            sync=sync,
            send_to_device_messages=tending,
            next_batch="",
            logged_in=True,
        )
        session = Session(
            cast(Any, client), Settings, journal, queue.Queue(), lambda _: None, lambda *_: None, time.monotonic
        )
        running = asyncio.create_task(session._sync(Backoff()))
        await asyncio.wait_for(at_keys.wait(), LIMIT)
        running.cancel()  # SIGTERM, kill -9, a lost login: what counts is what stands in the journal here

    asyncio.run(story())
    assert get_meta(journal.read(), f"sync_token {BOT} http://h") == "s2"
    assert invites.waiting(journal.read()) == [("!new:x", EVE)]


def test_rooms_whose_history_is_withheld_make_the_bot_deaf_nowhere_else(journal: Journal) -> None:
    with journal.write() as tx:
        set_meta(tx, f"sync_token {BOT} http://h", "s1")
    asked: list[str] = []

    def room(event_id: str, *, limited: bool) -> dict[str, Any]:
        said = {
            "type": "m.room.message",
            "event_id": event_id,
            "sender": EVE,
            "origin_server_ts": 1_000,
            "content": {"msgtype": "m.text", "body": "!cd help"},
        }
        nothing: dict[str, Any] = {"events": []}
        timeline = {"events": [said], "limited": limited, "prev_batch": "p"}
        return {"timeline": timeline, "state": nothing, "ephemeral": nothing, "account_data": nothing}

    sick = {f"!sick{number}:x": room(f"$s{number}", limited=True) for number in range(3)}
    answer = answered(join={**sick, "!well:x": room("$w", limited=False)})

    async def sync(*args: Any, **more: Any) -> SyncResponse:
        return answer

    async def room_messages(room_id: str, *args: Any, **more: Any) -> Any:
        asked.append(room_id)
        error = RoomMessagesError("Internal server error", "M_UNKNOWN", None, room_id)
        error.transport_response = SimpleNamespace(status=500, headers={})
        return error

    async def story() -> list[str]:
        client = SimpleNamespace(
            user_id=BOT,
            homeserver="http://h",
            rooms={},
            refused=set(),
            sync=sync,
            room_messages=room_messages,
            next_batch="",
            logged_in=True,
        )
        syncer = Syncer(cast(Any, client), journal, lambda: "!cd")
        for _ in range(GAP_TRIES):  # for all of them together: the pauses between grow to half a minute
            try:
                fresh, _ = await syncer.turn()
            except Retry:
                continue
            return [each.event_id for each in fresh]
        return []

    assert sorted(asyncio.run(story())) == ["$s0", "$s1", "$s2", "$w"]
    assert [asked.count(room_id) for room_id in sick] == [GAP_TRIES] * 3
