"""`devices` and `verify`: what a room may see and do, and what only the operator may."""

from __future__ import annotations

import pytest

from chatrixcd_threads.events import DeviceInfo, Devices, Stage, Verification, VerifyWish
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from tests.unit.commands.conftest import PERSON, Bench

KEY = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
EMOJI = (("🐶", "Dog"), ("🔑", "Key"))


def device(name: str, trust: str = "signed", user: str = "@ann:x") -> DeviceInfo:
    return DeviceInfo(user, name, "a <phone>", KEY, trust, 1_767_225_600.0 - 7_200, True)


def running(stage: Stage) -> Verification:
    return Verification("a1b2c3", "@ann:x", "PHONE", stage, False, 0.0, EMOJI, (1234, 5678, 9012))


@pytest.fixture
def known(bench: Bench) -> Bench:
    found = (device("PHONE"), device("LAPTOP", "verified"), device("ODD", "unsigned", "@eve:x"))
    bench.devices = Devices("@bot:x", "BOT", KEY, True, found, (running(Stage.COMPARE),))
    return bench


def at_console(bench: Bench, text: str) -> str:
    return bench.say(text, sender=OPERATOR, room_id=OPERATOR_ROOM)


def test_devices_are_listed_with_their_trust(known: Bench) -> None:
    said = known.say("devices")
    assert "BOT, signed by my own cross-signing key. Fingerprint: abcd efgh ijkl" in said
    assert "PHONE (a <phone>)" in said
    assert "signed by its owner" in said
    assert "⚠ signed by nobody" in said
    assert "2 hours" in said
    one = known.say("devices @ann:x")
    assert "abcd efgh ijkl" in one
    assert "ODD" not in one
    assert "no device of @bob:x" in known.say("devices @bob:x")


def test_they_are_for_admins(known: Bench) -> None:
    for words in ("devices", "verify", "verify @ann:x PHONE", "verify no a1b2c3"):
        assert "bot.admin_users" in known.say(words, sender="@bob:x")
    assert known.wishes == []


def test_a_verification_is_begun_with_a_device_or_in_a_room(known: Bench) -> None:
    assert "at my console, not here" in known.say("verify @ann:x PHONE")
    known.say("verify @ann:x")
    assert known.wishes == [VerifyWish("start", "@ann:x", "PHONE"), VerifyWish("start", "@ann:x")]
    assert "I know PHONE, LAPTOP" in known.say("verify @ann:x PHON")
    assert "is no Matrix id" in known.say("verify ann PHONE")
    assert len(known.wishes) == 2


def test_a_room_neither_sees_the_emoji_nor_says_yes(known: Bench) -> None:
    said = known.say("verify")
    assert "waits for the comparison" in said
    assert "Dog" not in said
    assert "1234" not in said
    assert "only at my console" in known.say("verify yes a1b2c3")
    assert known.wishes == []
    for verb, wish in (("no", "mismatch"), ("cancel", "cancel"), ("accept", "accept")):
        known.say(f"verify {verb} a1b2c3")
        assert known.wishes.pop() == VerifyWish(wish, "a1b2c3")


def test_the_operator_compares(known: Bench) -> None:
    said = at_console(known, "verify")
    assert "Dog, Key" in said
    assert "1234 5678 9012" in said
    at_console(known, "verify yes a1b2c3")
    assert known.wishes == [VerifyWish("match", "a1b2c3")]


def test_yes_counts_only_for_what_is_being_compared(known: Bench) -> None:
    for stage in set(Stage) - {Stage.COMPARE}:
        known.devices = Devices(running=(running(stage),))
        assert "I did nothing" in at_console(known, "verify yes a1b2c3"), stage
    assert "I did nothing" in at_console(known, "verify yes ffffff")
    assert "I did nothing" in at_console(known, "verify yes")
    assert known.wishes == []


def test_nothing_runs(bench: Bench) -> None:
    assert "No verification is running" in bench.say("verify")
    assert PERSON in bench.say("admins")
