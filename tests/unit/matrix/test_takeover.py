"""The folder in which ChatrixCD ran before: the same device goes on, with its keys, and nobody counts as verified."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from nio import AsyncClient, AsyncClientConfig
from nio.crypto import OlmDevice
from nio.store import DefaultStore

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.matrix import login
from chatrixcd_threads.matrix.takeover import take_over
from chatrixcd_threads.settings.model import MatrixSettings

BOT, DEVICE, SERVER, ROOM = "@chatrixcd:x", "CHATRIXCD", "https://m.example.org", "!room:x"
FILE = f"{BOT}_{DEVICE}.db"
ANN = OlmDevice("@ann:x", "PHONE", {"ed25519": "ed", "curve25519": "curve"})


@pytest.fixture(autouse=True)
def without_a_homeserver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(login, "vouch", nothing)
    monkeypatch.setattr(login, "_check_device", nothing)


async def ran_before(store: Path, passphrase: str = "DEFAULT_KEY") -> tuple[str, str]:
    """A bot on plain nio; returns its fingerprint and the id of a session in a room."""
    config = AsyncClientConfig(store_sync_tokens=True, encryption_enabled=True, pickle_key=passphrase)
    client = AsyncClient(SERVER, BOT, DEVICE, str(store), config)
    client.restore_login(BOT, DEVICE, "token")
    client.olm.create_outbound_group_session(ROOM)
    (session,) = client.olm.inbound_group_store
    client.olm.store.verify_device(ANN)
    kept = {"user_id": BOT, "device_id": DEVICE, "access_token": "token", "homeserver": SERVER}
    (store / "session.json").write_text(json.dumps(kept))
    await client.close()
    return client.olm.account.identity_keys["ed25519"], session.id


async def now(store: Path) -> tuple[str, list[str], bool]:
    client = await login.log_in(MatrixSettings(homeserver=SERVER, user_id=BOT, password="pw", store_path=str(store)))
    known = client.olm.account.identity_keys["ed25519"], [each.id for each in client.olm.inbound_group_store]
    trusted = client.olm.store.is_device_verified(ANN)
    await client.aclose()
    return *known, trusted


def test_the_device_goes_on_with_its_keys(tmp_path: Path) -> None:
    fingerprint, session = asyncio.run(ran_before(tmp_path))
    before = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).chmod(0o666)
    assert asyncio.run(now(tmp_path)) == (fingerprint, [session], False)
    assert asyncio.run(now(tmp_path)) == (fingerprint, [session], False)
    assert (tmp_path / f"{FILE}.before").read_bytes() == before
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob(f"{FILE}*")} == {0o600}
    assert (tmp_path / f"{BOT}_{DEVICE}.trusted_devices.before").exists()
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]


def test_thousands_of_keys_are_one_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that ran for years has the sessions of years; the thread that reads them may not be silent for long."""
    asyncio.run(ran_before(tmp_path))
    inside: list[bool] = []
    plain = DefaultStore.save_inbound_group_session

    def saves(keys: DefaultStore, session: Any) -> None:
        inside.append(keys.database.in_transaction())
        plain(keys, session)

    monkeypatch.setattr(DefaultStore, "save_inbound_group_session", saves)
    take_over(tmp_path, BOT, DEVICE, "another")
    assert inside == [True]


def test_keys_that_nobody_can_read_are_left_and_told(tmp_path: Path) -> None:
    asyncio.run(ran_before(tmp_path, "another passphrase"))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(Fatal, match=r"move that file and session\.json away, and choose another matrix\.device_id"):
        asyncio.run(now(tmp_path))
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
