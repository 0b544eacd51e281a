"""A room's key that nio throws away in the moment in which it has reached everybody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nio import AsyncClient, LocalProtocolError, SyncResponse

from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.patience import Retry

ROOM = "!r:x"


def share(folder: Path, monkeypatch: pytest.MonkeyPatch, left: dict[str, Any]) -> GuardedClient:
    """What nio does at the end of a sharing, when `left` is what it still has of the keys."""

    async def shares(self: Any, room_id: str, ignore_unverified_devices: bool) -> None:
        self.sharing_session[room_id] = asyncio.Event()
        self.olm.outbound_group_sessions[room_id].shared = True
        raise KeyError("another mistake")

    monkeypatch.setattr(AsyncClient, "share_group_session", shares)
    client = GuardedClient("http://x", "@bot:x", "DEVICE", folder)
    client.olm = SimpleNamespace(outbound_group_sessions=left)
    return client


def test_somebody_left_at_that_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nio takes a key away that was shared, and then marks it as shared: a KeyError that ended the whole session."""
    client = share(tmp_path, monkeypatch, {})
    with pytest.raises(Retry, match="changed while its key was shared"):
        asyncio.run(client.share_group_session(ROOM, True))
    assert client.sharing_session == {}


def test_another_mistake_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = share(tmp_path, monkeypatch, {ROOM: SimpleNamespace(shared=False)})
    with pytest.raises(KeyError, match="another mistake"):
        asyncio.run(client.share_group_session(ROOM, True))
    assert client.sharing_session == {}


def test_the_bot_was_put_out_just_before(tmp_path: Path) -> None:
    """While a file was uploaded: the sender gives that message up, and ended the whole session before."""
    client = GuardedClient("http://x", "@bot:x", "DEVICE", tmp_path)
    with pytest.raises(LocalProtocolError, match="not in !r:x any more"):
        asyncio.run(client.ready_to_encrypt(ROOM))


def test_whose_devices_have_changed_is_asked_for_again_where_they_are_met_later(tmp_path: Path) -> None:
    """An admin in a plain room logs in once more. Of the members of a larger encrypted room the bot learns before it speaks."""
    client = GuardedClient("http://x", "@bot:x", "DEVICE", tmp_path)
    client.user_id = "@bot:x"
    client.load_store()
    client.olm.tracked_users = {"@ann:x", "@bob:x"}
    body = {"next_batch": "s2", "rooms": {}, "device_lists": {"changed": ["@bob:x"], "left": []}}
    body |= {"device_one_time_keys_count": {}, "to_device": {"events": []}}
    client._handle_olm_events(SyncResponse.from_dict(body))
    client.olm.update_tracked_users(SimpleNamespace(users={"@ann:x": None, "@bob:x": None}))
    assert client.olm.users_for_key_query == {"@bob:x"}
    asyncio.run(client.aclose())
