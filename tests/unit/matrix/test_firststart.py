"""The wizard's door to the homeserver: what it says without a login, when it is stopped, and beside a running bot."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pytest

from chatrixcd_threads.errors import Fatal, UserError
from chatrixcd_threads.journal.alone import StoreLock
from chatrixcd_threads.matrix import discovery, firststart
from chatrixcd_threads.matrix.crosssign import Seeds, seeds_file
from chatrixcd_threads.matrix.firststart import FirstStart
from chatrixcd_threads.matrix.login import LoggedOut, Session
from chatrixcd_threads.matrix.patience import Retry
from chatrixcd_threads.settings.model import MatrixSettings
from chatrixcd_threads.wizard.doors import AdminRoom, Stopped

SETTINGS = MatrixSettings(homeserver="http://127.0.0.1:9", user_id="@bot:example.org", password="pw")


def test_a_bot_that_runs_here_is_left_alone(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "store")
    door = FirstStart(tmp_path / "store")
    with pytest.raises(UserError, match="The bot runs already"):
        door.log_in(SETTINGS)
    door.close(keep=False)
    lock.release()
    assert (tmp_path / "store").exists()


def test_a_login_that_fails_leaves_nothing(tmp_path: Path) -> None:
    door = FirstStart(tmp_path / "store")
    with pytest.raises(UserError, match="no connection"):
        door.log_in(SETTINGS)
    assert door.close(keep=False) == ""
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be used for the bot's keys"):
        FirstStart(tmp_path / "file" / "store").log_in(SETTINGS)


def test_without_encryption_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firststart, "ENCRYPTION_ENABLED", False)
    with pytest.raises(UserError, match="pip install 'matrix-nio"):
        FirstStart(tmp_path / "store").log_in(SETTINGS)


def test_rooms_need_a_login(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not logged in yet"):
        FirstStart(tmp_path / "store").make_room("@ann:example.org")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Fatal("the homeserver refuses"), "^The homeserver refuses$"),
        (Retry("login: M_LIMIT_EXCEEDED", 12.0), r"M_LIMIT_EXCEEDED\). It asks for a pause of 12 s. Try again"),
        (LoggedOut(), "log in again"),
        (TimeoutError(), "no answer"),
    ],
)
def test_every_trouble_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    async def fails(server: str) -> str:
        raise error

    monkeypatch.setattr(discovery, "find", fails)
    with pytest.raises(UserError, match=sentence):
        FirstStart(tmp_path / "store").find("example.org")


def test_a_check_that_waits_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()

    async def hangs(server: str) -> str:
        waits.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(discovery, "find", hangs)
    door = FirstStart(tmp_path / "store")
    door.cancel()  # nothing runs yet: nothing happens

    def stop() -> None:
        assert waits.wait(20)
        door.cancel()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Stopped):
        door.find("example.org")
    stopper.join()


@pytest.mark.parametrize(("way", "ended"), [("password", ["@ann:example.org"]), ("token", [])])
def test_a_token_that_was_given_by_mistake_stays_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Literal["password", "token"], ended: list[str]
) -> None:
    """Ending its login would throw away the device, and the keys, that the person reads messages with."""
    ends: list[str] = []

    async def renew(settings: MatrixSettings) -> Session:
        return Session("http://127.0.0.1:9", settings.user_id, "LAPTOP", "token")

    async def sign_out(session: Session) -> None:
        ends.append(session.user_id)

    monkeypatch.setattr(firststart, "renew", renew)
    monkeypatch.setattr(firststart, "sign_out", sign_out)
    door = FirstStart(tmp_path / "store")
    for user in ("@ann:example.org", "@bot:example.org"):
        door.log_in(MatrixSettings(homeserver="http://127.0.0.1:9", user_id=user, auth_type=way))
    assert ends == ended


def test_the_room_of_an_owner_who_was_corrected_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    async def leave(room_id: str) -> None:
        left.append(room_id)

    async def with_client(work: Any) -> Any:
        return await work(SimpleNamespace(room_leave=leave))

    async def make_room(client: object, owner: str) -> AdminRoom:
        return AdminRoom(f"!room of {owner}", encrypted=True)

    async def signed(client: object, room: Any) -> Any:
        return await room

    monkeypatch.setattr(firststart, "_make_room", make_room)
    monkeypatch.setattr(firststart, "_signed", signed)
    door = FirstStart(tmp_path / "store")
    monkeypatch.setattr(door, "_with_client", with_client)
    for owner in ("@Ann:x", "@Ann:x", "@ann:x"):
        assert door.make_room(owner).room_id == f"!room of {owner}"
    assert left == ["!room of @Ann:x"]


def test_who_stops_while_a_room_is_left_invites_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def make_room(client: object, owner: str) -> AdminRoom:
        made.append(owner)
        return AdminRoom("!r:x", encrypted=True)

    async def signed(client: object, room: Any) -> Any:
        return await room

    async def with_client(work: Any) -> Any:
        return await work(SimpleNamespace(room_leave=stopped))

    async def stopped(room_id: str) -> None:
        door.cancel()
        await asyncio.sleep(60)

    monkeypatch.setattr(firststart, "_make_room", make_room)
    monkeypatch.setattr(firststart, "_signed", signed)
    door = FirstStart(tmp_path / "store")
    monkeypatch.setattr(door, "_with_client", with_client)
    door.make_room("@Ann:x")
    with pytest.raises(Stopped):
        door.make_room("@ann:x")
    assert made == ["@Ann:x"]


def test_the_seeds_of_another_account_are_never_written_over(tmp_path: Path) -> None:
    first = seeds_file(tmp_path, "@bot:example.org")
    first.write_bytes(msgspec.json.encode(Seeds("@bot:example.org", b"1", b"2", b"3")))
    second = seeds_file(tmp_path, "@other:example.org")
    assert seeds_file(tmp_path, "@bot:example.org") == first
    assert second != first
    second.write_bytes(msgspec.json.encode(Seeds("@other:example.org", b"4", b"5", b"6")))
    assert seeds_file(tmp_path, "@other:example.org") == second
