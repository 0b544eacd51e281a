"""Keys: they run out, the upload's answer is lost, the server forgets the device, the sharing fails half-way."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Rig, eventually
from .proxy import GATEWAY_PAGE, cuts, edits, hangs, says

pytestmark = pytest.mark.e2e

UPLOAD = r"POST .*/keys/upload"
DEVICE = "CHATRIXCD"


def claim(rig: Rig) -> dict[str, Any]:
    """Takes one of the bot's one-time keys, or the fallback key when there is none: id -> key object."""
    body = {"one_time_keys": {rig.account.user_id: {DEVICE: "signed_curve25519"}}}
    answer = rig.boss.raw("POST", "/keys/claim", body).raise_for_status()
    found: dict[str, Any] = answer["one_time_keys"].get(rig.account.user_id, {}).get(DEVICE, {})
    return found


def test_the_fallback_key_is_there_when_all_others_are_gone(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    uploaded = eventually(
        lambda: [each for each in rig.proxy.seen(UPLOAD) if "fallback_keys" in each.json], "a fallback key"
    )
    rig.bot.kill9()
    fallback = [key["key"] for each in uploaded for key in each.json["fallback_keys"].values()]
    last: dict[str, Any] = {}
    for _ in range(60):
        last = claim(rig)
        if next(iter(last.values())).get("fallback"):
            break
    key = next(iter(last.values()))
    assert key["fallback"] is True
    assert key["key"] in fallback
    second = rig.device_of(rig.boss)  # can only begin with the fallback key
    asked = second.send(room, "!cd help")
    before = rig.proxy.seen()[-1].at + 1e-6
    rig.start()
    assert rig.answer(room, asked, second).encrypted
    # The count was zero: new ones come, and a new fallback key since the old one was used.
    again = rig.proxy.wait_seen(UPLOAD, 1, since=before)
    assert any(len(each.json.get("one_time_keys", {})) >= 49 for each in again)
    assert eventually(
        lambda: [each for each in rig.proxy.seen(UPLOAD, before) if "fallback_keys" in each.json], "a new fallback key"
    )
    assert not next(iter(claim(rig).values())).get("fallback")


def test_a_count_of_zero_brings_new_keys(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    before = rig.proxy.seen()[-1].at + 1e-6

    def empty(answer: Any) -> Any:
        return answer | {"device_one_time_keys_count": {"signed_curve25519": 0}}

    rule = rig.proxy.on(r"GET .*/sync", edits(empty), times=1)
    rig.ask(room)
    found = rig.proxy.wait_seen(UPLOAD, 1, since=before)
    rig.ask(room)
    assert rule.used == 1
    assert len(found[0].json["one_time_keys"]) == 50


def test_a_lost_answer_to_the_upload_is_no_endless_error(rig: Rig) -> None:
    """kill -9 between the homeserver's yes and the note of it."""
    rig.proxy.on(UPLOAD, cuts(after=True), times=1)
    rig.bot.start()
    rig.proxy.wait_seen(UPLOAD, 1)
    rig.bot.kill9()
    rig.start()
    room = rig.room()
    assert rig.ask(room).encrypted
    uploads = rig.proxy.seen(UPLOAD)
    assert len(uploads) <= 5
    assert uploads[0].json["device_keys"] == uploads[1].json["device_keys"]
    assert uploads[0].json["one_time_keys"] == uploads[1].json["one_time_keys"]
    before = rig.proxy.seen()[-1].at + 1e-6
    rig.proxy.on(UPLOAD, cuts(after=True), times=3)  # in the middle of life, and again and again
    for _ in range(3):
        rig.device_of(rig.boss).send(room, "good morning")
    rig.ask(room)
    eventually(lambda: "keys could not be looked after" in rig.bot.log(), "a failed upload")
    rig.bot.kill9()
    rig.start()
    assert rig.ask(room).encrypted
    for each in rig.proxy.seen(UPLOAD, before):
        assert len(each.json.get("one_time_keys", {})) <= 50
    assert "already exists" not in rig.bot.log()


def test_a_bot_that_has_lost_its_keys_can_be_spoken_to(rig: Rig) -> None:
    """The journal and the login are there, the key store is not; people's devices would begin with keys that are gone."""
    rig.start()
    rig.proxy.wait_seen(UPLOAD)
    rig.bot.kill9()
    for file in [file for file in rig.store.iterdir() if file.name.startswith(rig.account.user_id)]:
        file.unlink()
    rig.start()
    assert rig.boss.user_id in rig.ask(rig.room()).text


def test_an_older_copy_of_the_store_still_brings_new_keys(rig: Rig) -> None:
    """What was uploaded since the copy was made stands on the server under the names that come next."""
    rig.start()
    rig.proxy.wait_seen(UPLOAD)
    rig.ask(rig.room())
    rig.bot.kill9()
    keys = [file for file in rig.store.iterdir() if file.name.startswith(rig.account.user_id)]
    copy = {file: file.read_bytes() for file in keys}
    for _ in range(30):
        claim(rig)
    before = rig.proxy.seen()[-1].at + 1e-6
    rig.start()
    rig.proxy.wait_seen(UPLOAD, since=before)
    rig.ask(rig.room())
    rig.bot.kill9()
    for file, data in copy.items():
        file.write_bytes(data)
    for _ in range(30):
        claim(rig)
    rig.start()
    room = rig.room()
    count: dict[str, Any] = {"device_one_time_keys_count": {}}

    def look(answer: Any) -> Any:
        count.update(answer)
        return answer

    rig.proxy.on(r"GET .*/sync", edits(look))

    def full() -> bool:
        rig.boss.send(room, "well?")  # each brings another sync
        return int(count["device_one_time_keys_count"].get("signed_curve25519", 0)) >= 45

    eventually(full, "one-time keys on the server")


def test_a_device_that_the_server_forgot_uploads_its_keys_again(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    rig.bot.kill9()
    proof = {"type": "m.login.password", "user": rig.account.user_id, "password": rig.account.password}
    asked = rig.bot_calls("DELETE", f"/devices/{DEVICE}", {})
    done = rig.bot_calls("DELETE", f"/devices/{DEVICE}", {"auth": proof | {"session": asked["session"]}})
    assert done == {}
    before = rig.proxy.seen()[-1].at + 1e-6
    rig.start()
    uploads = rig.proxy.wait_seen(UPLOAD, 1, since=before)
    assert "device_keys" in uploads[0].json
    assert rig.ask(room, "!cd help", rig.device_of(rig.boss)).encrypted
    assert rig.ask(room).encrypted
    assert rig.boss.unreadable(room) == []


@pytest.mark.parametrize(
    ("path", "action"),
    [
        (r"POST .*/keys/claim", says(502, GATEWAY_PAGE, "text/html")),
        (r"PUT .*/sendToDevice/m.room.encrypted", says(502, GATEWAY_PAGE, "text/html")),
        (r"PUT .*/sendToDevice/m.room.encrypted", cuts()),
        (r"GET .*/joined_members", says(500, {"errcode": "M_UNKNOWN", "error": "database"})),
        (r"POST .*/keys/query", cuts()),
    ],
    ids=["claim 502", "share 502", "share cut", "members 500", "query cut"],
)
def test_a_sharing_that_fails_half_way_is_done_again(shared: Rig, path: str, action: Any) -> None:
    """Nobody gets a message that cannot be read, and the room goes on."""
    other = shared.person("bert")
    rule = shared.proxy.on(path, action, times=2)
    room = shared.room(others=(other,))
    said = shared.ask(room)
    assert said.encrypted
    assert rule.used == 2
    other.wait(lambda heard: heard.event_id == said.event_id, room_id=room)  # read by everybody
    assert shared.ask(room, "!cd help", other).encrypted
    assert other.unreadable(room) == []
    assert shared.boss.unreadable(room) == []


def test_one_room_whose_sharing_hangs_does_not_hold_the_others(rig: Rig) -> None:
    rig.start()
    fine, stuck = rig.room(), rig.room()
    rig.ask(fine)
    rule = rig.proxy.on(r"PUT .*/sendToDevice/m.room.encrypted", hangs(), times=1)
    waiting = rig.boss.send(stuck, "!cd help")
    rig.proxy.wait_seen(r"PUT .*/sendToDevice", 1)
    eventually(lambda: rule.used, "the hanging request")
    assert rig.ask(fine, "!cd admins").encrypted
    rig.proxy.heal()
    assert rig.answer(stuck, waiting, timeout=30).encrypted
    assert rig.boss.unreadable(stuck) == []
