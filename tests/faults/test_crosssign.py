"""The bot vouches for its own device: once, with the same keys for ever, and never over somebody else's."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix import trust
from chatrixcd_threads.matrix.crosssign import SEEDS_FILE

from .conftest import Rig

pytestmark = pytest.mark.e2e

UPLOADS = r"POST .*/keys/(device_signing|signatures)/upload"


def test_the_device_is_signed_before_the_first_word(rig: Rig) -> None:
    rig.bot.start()
    room = rig.room()
    assert rig.ask(room).encrypted
    answer = rig.boss.raw("POST", "/keys/query", {"device_keys": {rig.account.user_id: []}}).json()
    assert trust.chain_holds(answer, rig.account.user_id, "CHATRIXCD")
    assert not trust.chain_holds(answer, rig.account.user_id, rig.account.device_id)  # never signed by anybody
    seeds = rig.store / SEEDS_FILE
    assert stat.S_IMODE(seeds.stat().st_mode) == 0o600
    signed = rig.proxy.seen(UPLOADS)[-1].at
    assert signed < rig.proxy.seen(r"PUT .*/send/m.room.encrypted")[0].at

    rig.bot.kill9()
    again = rig.proxy.seen()[-1].at + 1e-6
    rig.bot.start()
    rig.ask(room)
    assert rig.proxy.seen(UPLOADS, again) == []  # the second start has nothing to add

    # After a logout the server has forgotten the device; the same seeds vouch for it again.
    rig.bot_calls("POST", "/logout", {})
    later = rig.proxy.seen()[-1].at + 1e-6
    rig.bot.wait_log("logged in as")
    assert rig.ask(room).encrypted
    after = rig.boss.raw("POST", "/keys/query", {"device_keys": {rig.account.user_id: []}}).json()
    assert trust.chain_holds(after, rig.account.user_id, "CHATRIXCD")
    assert trust.master_key(after, rig.account.user_id) == trust.master_key(answer, rig.account.user_id)
    assert rig.proxy.seen(r"POST .*/device_signing/upload", later) == []


def test_lost_seeds_are_not_replaced_silently(rig: Rig) -> None:
    rig.bot.start()
    room = rig.room()
    rig.ask(room)
    rig.bot.kill9()
    (rig.store / SEEDS_FILE).unlink()
    before = rig.proxy.seen()[-1].at + 1e-6
    rig.bot.start()
    rig.bot.wait_log("already has cross-signing keys")
    assert rig.ask(room).encrypted  # it goes on all the same
    assert rig.proxy.seen(UPLOADS, before) == []
    assert not (rig.store / SEEDS_FILE).exists()


def test_a_forged_chain_does_not_hold(rig: Rig) -> None:
    rig.bot.start()
    rig.ask(rig.room())
    user = rig.account.user_id
    answer = rig.boss.raw("POST", "/keys/query", {"device_keys": {user: []}}).json()
    for change in ("device", "self_signing", "master", "signature"):
        forged = json.loads(json.dumps(answer))
        device = forged["device_keys"][user]["CHATRIXCD"]
        if change == "device":
            device["keys"]["curve25519:CHATRIXCD"] = "A" * 43
        elif change == "self_signing":
            forged["self_signing_keys"][user]["usage"] = ["master"]
        elif change == "master":
            forged["master_keys"][user]["keys"] = {"ed25519:" + "A" * 43: "A" * 43}
        else:
            device["signatures"][user] = dict.fromkeys(device["signatures"][user], "junk")
        assert not trust.chain_holds(forged, user, "CHATRIXCD"), change


def test_the_first_master_key_is_pinned_and_a_change_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    try:
        with journal.write() as tx:
            assert trust.identity(tx, "@a:b", None) is trust.Identity.NONE
            assert trust.identity(tx, "@a:b", "KEY1") is trust.Identity.PINNED
        with journal.write() as tx:
            assert trust.identity(tx, "@a:b", "KEY1") is trust.Identity.PINNED
            assert trust.identity(tx, "@a:b", "KEY2") is trust.Identity.CHANGED
            assert trust.identity(tx, "@a:b", "KEY2") is trust.Identity.CHANGED  # until an admin removes the pin
            assert trust.identity(tx, "@a:b", None) is trust.Identity.CHANGED
            assert trust.identity(tx, "@c:b", "KEY2") is trust.Identity.PINNED
    finally:
        journal.close()
