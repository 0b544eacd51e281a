"""The homeserver is away, broken, slow or lies about itself: back-off, no busy loop, and everything is answered later."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from .conftest import Rig, eventually
from .proxy import GATEWAY_PAGE, cuts, hangs, says

pytestmark = pytest.mark.e2e

SECONDS = 2.5  # a loop without a pause would have asked hundreds of times
MOST_REQUESTS = 10
SYNC = r"GET .*/sync"
EVERYTHING = r"^[A-Z]+ /_matrix"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, says(502, GATEWAY_PAGE, "text/html")), id="502"),
        pytest.param(lambda rig: rig.proxy.shut(), id="refused"),
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, cuts()), id="cut"),
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, hangs()), id="hanging"),
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, says(200, b"\xff\xfe\x00{")), id="undecodable"),
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, says(200, [])), id="list"),
        pytest.param(lambda rig: rig.proxy.on(EVERYTHING, says(200, {"next_batch": 5, "rooms": "x"})), id="nonsense"),
        pytest.param(
            lambda rig: rig.proxy.on(EVERYTHING, says(500, {"errcode": "M_UNKNOWN", "error": "database"})), id="500"
        ),
    ],
)
def test_trouble_is_waited_out(shared: Rig, trouble: Callable[[Rig], object]) -> None:
    room = shared.room()
    shared.ask(room)
    trouble(shared)
    shared.proxy.cut_polls()
    asked = [shared.boss.send(room, f"!cd {word}") for word in ("help", "rooms", "admins")]
    came = shared.proxy.requests_within(SECONDS)
    assert len(came) <= MOST_REQUESTS, [f"{each.method} {each.path[:60]}" for each in came]
    shared.proxy.heal()
    for event_id in asked:
        assert shared.answer(room, event_id, timeout=40).encrypted
    assert "Traceback" not in shared.bot.log()
    for event_id in asked:
        assert len(shared.answers(room, event_id)) == 1


def test_answers_survive_a_homeserver_that_goes_away_while_sending(rig: Rig) -> None:
    """Restarted for real, while keys are shared and messages are sent."""
    rig.start()
    rooms = [rig.room(), rig.room(encrypted=False)]
    held = rig.proxy.on(r"PUT .*/(send|sendToDevice)/", hangs())
    asked = [(room, rig.boss.send(room, f"!cd {word}")) for word in ("help", "admins", "rooms") for room in rooms]
    rig.proxy.wait_seen(r"PUT .*/(send|sendToDevice)/", 2)
    try:
        rig.homeserver.stop()
        rig.proxy.off(held)
        rig.proxy.shut()
        rig.proxy.open()
        rig.bot.wait_log("did not take a message")
        came = rig.proxy.requests_within(SECONDS)
        assert len(came) <= 2 * MOST_REQUESTS, [f"{each.method} {each.path[:60]}" for each in came]
    finally:
        rig.homeserver.start()
    for room, event_id in asked:
        assert rig.answer(room, event_id, timeout=60).text
    for room, event_id in asked:
        assert len(rig.answers(room, event_id)) == 1
    assert rig.boss.unreadable(rooms[0]) == []


def test_an_answer_that_arrived_although_nobody_said_so_is_not_repeated(shared: Rig) -> None:
    room = shared.room()
    shared.ask(room)
    shared.proxy.on(r"PUT .*/send/m.room.encrypted/", cuts(after=True), times=2)
    first = shared.boss.send(room, "!cd help")
    shared.answer(room, first)
    shared.ask(room)
    assert len(shared.answers(room, first)) == 1


@pytest.mark.parametrize("soft", [False, True], ids=["logged out", "soft logout"])
def test_a_lost_token_is_followed_by_a_new_login(rig: Rig, soft: bool) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    rig.proxy.shut()
    asked = rig.boss.send(room, "!cd help")  # encrypted with the session that the bot has had since the first answer
    if soft:
        gone = {"errcode": "M_UNKNOWN_TOKEN", "error": "expired", "soft_logout": True}
        rig.proxy.on(SYNC, says(401, gone), times=1)
    else:
        rig.bot_calls("POST", "/logout", {})
    rig.proxy.open()
    assert "could not decrypt" not in rig.answer(room, asked, timeout=30).text
    assert len(rig.proxy.seen(r"POST .*/login")) == 2
    assert set(re.findall(r"logged in as \S+ device (\w+)", rig.bot.log())) == {"CHATRIXCD"}
    # A plain nio client never believes that a device can come back, so the next question is from a new login.
    assert "could not decrypt" not in rig.ask(room, "!cd help", rig.device_of(rig.boss)).text
    assert rig.boss.unreadable(room) == []


def test_an_account_that_was_locked_goes_on_with_its_token(rig: Rig) -> None:
    """Nobody logs in to a locked account; with `matrix.auth_type` token the bot would have ended for good."""
    rig.start()
    room = rig.room()
    rig.ask(room)
    locked = {"errcode": "M_USER_LOCKED", "error": "User account has been locked", "soft_logout": True}
    rig.proxy.on(SYNC, says(401, locked), times=2)
    rig.ask(room, timeout=40)
    assert len(rig.proxy.seen(r"POST .*/login")) == 1
    assert "M_USER_LOCKED" in rig.bot.log()


def test_a_token_that_is_lost_while_sending_loses_no_answer(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    gone = {"errcode": "M_UNKNOWN_TOKEN", "error": "expired", "soft_logout": True}
    rig.proxy.on(r"PUT .*/send/", says(401, gone), times=1)
    assert rig.ask(room, "!cd help", timeout=30).encrypted
    assert "given up" not in rig.bot.log()


def test_a_wrong_password_ends_the_bot_with_a_sentence(rig: Rig) -> None:
    rig.bot.write_config(rig.config(password="wrong"))
    rig.bot.start()
    assert rig.bot.wait() == 78
    assert "refuses to log" in rig.bot.log()
    assert "matrix.password" in rig.bot.log()
    assert len(rig.proxy.seen(r"POST .*/login")) == 1


def test_a_limited_login_waits_as_long_as_it_was_told(rig: Rig) -> None:
    limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": 2500}
    rig.proxy.on(r"POST .*/login", says(429, limited), times=1)
    rig.bot.start()
    first, second = rig.proxy.wait_seen(r"POST .*/login", 2)
    assert 2.4 < second.at - first.at < 30
    rig.ask(rig.room())


def test_a_sync_token_that_the_homeserver_does_not_know_any_more(rig: Rig) -> None:
    """It was put back from a backup, or another program has its address now."""
    rig.start()
    room = rig.room()
    rig.ask(room)
    refused = {"errcode": "M_UNKNOWN", "error": "Invalid stream token"}
    rig.proxy.on(r"GET .*/sync\?.*since=", says(400, refused), times=5)
    rig.bot.wait_log("does not know where the last sync ended")
    rig.ask(room, timeout=40)


def test_a_bot_without_a_homeserver_waits_for_it(rig: Rig) -> None:
    rig.proxy.shut()
    rig.bot.start()
    rig.bot.wait_log("no connection to the homeserver")
    rig.proxy.on(EVERYTHING, says(502, GATEWAY_PAGE, "text/html"), times=2)
    rig.proxy.open()
    rig.ask(rig.room(), timeout=40)


def test_a_gap_is_filled_and_every_command_is_answered_once(rig: Rig) -> None:
    """70 messages while the bot is killed, most of them before the gap has trouble; the timeline of its sync holds 50."""
    rig.start()
    room = rig.room()
    rig.ask(room)
    rig.bot.kill9()
    texts = ["!cd admins" if number % 10 == 0 else f"chatter {number}" for number in range(70)]
    first = rig.boss.send_many([(room, text) for text in texts[:55]])
    rig.proxy.on(r"GET .*/messages", says(502, GATEWAY_PAGE, "text/html"), times=1)  # the gap itself has trouble
    rig.start()
    rig.proxy.wait_seen(r"GET .*/messages", 1)
    rig.bot.kill9()
    second = rig.boss.send_many([(room, text) for text in texts[55:]])
    rig.start()
    commands = [event_id for event_id, text in zip(first + second, texts, strict=True) if "!cd" in text]
    for event_id in commands:
        assert rig.answer(room, event_id, timeout=40).encrypted
    rig.ask(room)
    assert [len(rig.answers(room, event_id)) for event_id in commands] == [1] * len(commands)
    assert len(rig.proxy.seen(r"GET .*/messages")) >= 2


def test_a_room_with_trouble_of_its_own_holds_no_other_up(shared: Rig) -> None:
    bad, good = shared.room(), shared.room()
    shared.ask(good)
    trouble = says(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"})
    rule = shared.proxy.on(rf"PUT .*{re.escape(bad[1:])}/send/", trouble)
    waiting = shared.boss.send(bad, "!cd help")
    eventually(lambda: rule.used >= 3, "three refusals")
    for _ in range(5):
        shared.ask(good)
    shared.proxy.off(rule)
    assert shared.answer(bad, waiting, timeout=40).encrypted


def test_a_room_whose_members_are_not_told_holds_no_other_up(rig: Rig) -> None:
    rig.start()
    bad, good = rig.room(), rig.room()
    rule = rig.proxy.on(
        rf"GET .*{re.escape(bad[1:])}/joined_members",
        says(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"}),
    )
    waiting = rig.boss.send(bad, "!cd help")
    eventually(lambda: rule.used >= 5, "five refusals", timeout=60)  # the pauses double: the next one has 4 s or more
    before = time.monotonic()
    rig.ask(good)
    assert time.monotonic() - before < 3
    rig.proxy.off(rule)
    assert rig.answer(bad, waiting, timeout=60).encrypted


def test_a_join_that_takes_long_holds_nobody_up(shared: Rig) -> None:
    room = shared.room()
    shared.ask(room)
    rule = shared.proxy.on(r"POST .*/join/", hangs(), times=1)
    slow = shared.boss.create_room("slow", invite=[shared.account.user_id])
    eventually(lambda: rule.used, "the join")
    shared.ask(room)
    shared.proxy.heal()
    shared.boss.wait_member(slow, shared.account.user_id)


def test_a_join_that_fails_is_told_at_once(shared: Rig) -> None:
    room = shared.room()
    shared.ask(room)
    other = shared.boss.create_room("other", preset="public_chat")
    rule = shared.proxy.on(r"POST .*/join/", cuts())
    said = shared.ask(room, f"!cd rooms join {other}")
    assert "could not be reached" in said.text
    shared.proxy.off(rule)
    rule = shared.proxy.on(r"POST .*/join/", says(200, GATEWAY_PAGE, "text/html"))
    assert "was not a homeserver" in shared.ask(room, f"!cd rooms join {other}").text
    shared.proxy.off(rule)
    assert other in shared.ask(room, f"!cd rooms join {other}").text


def test_a_kick_in_the_middle_gives_one_message_up_and_no_other_room(rig: Rig) -> None:
    rig.start()
    gone, stays = rig.room(), rig.room()
    rig.ask(gone)
    held = rig.proxy.on(r"PUT .*/send/", hangs())
    rig.boss.send(gone, "!cd help")
    asked = rig.boss.send(stays, "!cd help")
    rig.proxy.wait_seen(r"PUT .*/send/", 3)
    rig.boss.kick(gone, rig.account.user_id, reason="later")
    rig.proxy.off(held)
    rig.proxy.shut()
    rig.proxy.open()
    assert rig.answer(stays, asked).encrypted
    rig.bot.wait_log(f"a message for {re.escape(gone)} cannot be sent and was given up")
    assert gone not in rig.ask(stays, "!cd rooms").text
    assert eventually(lambda: rig.bot.alive, "the bot to be alive")
