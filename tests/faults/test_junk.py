"""What strangers, members and a lying homeserver may send: the bot goes on, believes nothing and does nothing wrong."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import nio
import pytest
import vodozemac
from nio import Api

from chatrixcd_threads.demo.person import Person, quote

from .conftest import Rig, eventually
from .proxy import GATEWAY_PAGE, edits, says

pytestmark = pytest.mark.e2e

DEVICE = "CHATRIXCD"
JUNK: list[Any] = [None, 5, True, "", "junk", "é", [], {}, [1], {"a": []}, 2**40]


def to_device(sender: Person, rig: Rig, events: list[tuple[str, Any]]) -> None:
    async def send() -> None:
        calls = []
        for kind, content in events:
            path = f"/_matrix/client/v3/sendToDevice/{quote(kind)}/{uuid.uuid4().hex}"
            body = {"messages": {rig.account.user_id: {DEVICE: content}}}
            calls.append(sender._call("PUT", path, body, 30))
        for answer in await asyncio.gather(*calls):
            answer.raise_for_status()

    sender.run(send(), 60)


def own_key(rig: Rig, kind: str = "curve25519") -> str:
    answer = rig.boss.raw("POST", "/keys/query", {"device_keys": {rig.account.user_id: []}}).json()
    return str(answer["device_keys"][rig.account.user_id][DEVICE]["keys"][f"{kind}:{DEVICE}"])


def send_raw(person: Person, room: str, kind: str, content: Any) -> str:
    path = f"/rooms/{quote(room)}/send/{quote(kind)}/{uuid.uuid4().hex}"
    return str(person.raw("PUT", path, content).raise_for_status()["event_id"])


def send_all(person: Person, room: str, contents: list[tuple[str, Any]]) -> list[str]:
    """Many at once, in no order; the ids of those that the server took."""

    where = f"/rooms/{quote(room)}/send"
    return put_all(person, [(f"{where}/{quote(kind)}/{uuid.uuid4().hex}", content) for kind, content in contents])


def put_all(person: Person, requests: list[tuple[str, Any]]) -> list[str]:
    async def put() -> list[str]:
        calls = (person._call("PUT", f"/_matrix/client/v3{path}", content, 30) for path, content in requests)
        return [str(answer.get("event_id", "")) for answer in await asyncio.gather(*calls)]

    return person.run(put(), 60)


def send_payloads(person: Person, room: str, payloads: list[bytes]) -> list[str]:
    """Events whose Megolm ciphertext is genuine and holds whatever one likes."""

    async def seal() -> list[tuple[str, Any]]:
        client = person.client
        if not client.rooms[room].members_synced:
            await client.joined_members(room)
        if client.should_query_keys:
            await client.keys_query()
        if client.olm.should_share_group_session(room):
            await client.share_group_session(room, ignore_unverified_devices=True)
        session = client.olm.outbound_group_sessions[room]
        frame = {
            "algorithm": "m.megolm.v1.aes-sha2",
            "sender_key": client.olm.account.identity_keys["curve25519"],
            "session_id": session.id,
            "device_id": client.device_id,
        }
        sealed = [frame | {"ciphertext": session._session.encrypt(payload).to_base64()} for payload in payloads]
        return [("m.room.encrypted", content) for content in sealed]

    return send_all(person, room, person.run(seal()))


# --- to-device --------------------------------------------------------------------------------------------------


def test_to_device_junk_from_a_stranger_ends_nothing(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    stranger, key = rig.person("stranger"), own_key(rig)
    olm = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "A" * 43}
    encrypted, junk = "m.room.encrypted", list[tuple[str, Any]]()
    for body in (*JUNK, "A" * 300, "AwogAAAA", "A" * 50_000):
        for number in (0, 1):
            junk.append((encrypted, olm | {"ciphertext": {key: {"type": number, "body": body}}}))
    for sender_key in JUNK:
        broken = {"sender_key": sender_key, "ciphertext": {key: {"type": 0, "body": "A" * 200}}}
        junk.append((encrypted, olm | broken))
    for kind in ("m.room_key", "m.forwarded_room_key", "m.room_key_request", "m.dummy", "m.secret.send", "m.odd"):
        junk += [(kind, {"algorithm": value, "body": value, "request_id": value}) for value in JUNK]
    for step in ("request", "ready", "start", "accept", "key", "mac", "done", "cancel"):
        junk.append((f"m.key.verification.{step}", {"transaction_id": "t", "from_device": "X", "key": 5}))
    to_device(stranger, rig, junk)
    rig.ask(room)
    rig.bot.kill9()
    to_device(stranger, rig, [(encrypted, olm | {"ciphertext": {key: {"type": 0, "body": "junk"}}})])
    rig.start()
    assert rig.ask(room).encrypted
    assert "Traceback" not in rig.bot.log()


def test_a_genuine_olm_message_with_a_junk_room_key_ends_nothing(shared: Rig) -> None:
    mallory = shared.person("mallory")
    room = shared.room(others=(mallory,))
    shared.ask(room)

    async def whisper() -> None:
        client = mallory.client
        client.olm.users_for_key_query.add(shared.account.user_id)
        await client.keys_query()
        device = client.device_store[shared.account.user_id][DEVICE]
        await client.keys_claim({shared.account.user_id: [DEVICE]})
        session = client.olm.session_store.get(device.curve25519)
        key = {"algorithm": "m.megolm.v1.aes-sha2", "room_id": room, "session_id": "s", "session_key": "junk"}
        keys = [key | {"session_key": junk} for junk in ("junk", "", "AgAAAAAA", "A" * 400)]
        odd: list[Any] = [*keys, key | {"session_id": 5}, key | {"room_id": None}, [], 5, None]
        for content in odd:
            sealed = client.olm._olm_encrypt(session, device, "m.room_key", content)
            body = {"messages": {shared.account.user_id: {DEVICE: sealed}}}
            path = f"/_matrix/client/v3/sendToDevice/m.room.encrypted/{uuid.uuid4().hex}"
            (await mallory._call("PUT", path, body, 15)).raise_for_status()

    mallory.run(whisper())
    assert shared.ask(room).encrypted
    assert shared.ask(room, "!cd help", mallory).encrypted


# --- Megolm payloads --------------------------------------------------------------------------------------------


def test_junk_in_payloads_ends_nothing(shared: Rig) -> None:
    mallory = shared.person("mallory")
    room = shared.room(others=(mallory,))
    shared.ask(room)
    message: dict[str, Any] = {
        "type": "m.room.message",
        "room_id": room,
        "content": {"msgtype": "m.text", "body": "!cd help"},
    }
    payloads: list[bytes] = [b"\xff\xfe\x00", b"", b"[]", b"5", b"null", b'"!cd help"', b"{", b"{}", b"x" * 40_000]
    payloads += [b'{"type": 5, "content": {}}', b'{"content": {"body": "!cd help"}}', b'{"type": "m.room.message"}']
    payloads += [json.dumps(message | {"type": value}).encode() for value in JUNK]
    payloads += [json.dumps(message | {"content": value}).encode() for value in JUNK]
    for field in ("msgtype", "body", "format", "formatted_body", "m.relates_to", "m.mentions", "m.new_content"):
        content: dict[str, Any] = message["content"]
        few: list[Any] = [None, 5, "", [], {"a": []}, "\ud800"]  # test_parsers_of_nio_… has all of JUNK in each field
        for value in few:
            if field != "body" or not isinstance(value, str):
                value = {"rel_type": value, "event_id": value} if value == "\ud800" else value
            payloads.append(json.dumps(message | {"content": content | {field: value}}).encode())
    payloads.append(json.dumps(message | {"content": {"msgtype": "m.text", "body": "!cd \ud800 half a pair"}}).encode())
    payloads.append(json.dumps(message | {"content": {"msgtype": "m.text", "body": "yes \udfff"}}).encode())
    sent = send_payloads(mallory, room, payloads)
    assert shared.ask(room).encrypted
    half = shared.answer(room, sent[-2], mallory)  # half a surrogate pair is a word like any other
    assert half.encrypted
    assert shared.bot.alive
    assert "Traceback" not in shared.bot.log()


def test_state_hidden_in_a_payload_is_not_believed(shared: Rig) -> None:
    mallory = shared.person("mallory")
    room = shared.room(others=(mallory,))
    shared.ask(room)
    names = {"type": "m.room.name", "content": {"name": "MINE NOW"}}
    power = {"type": "m.room.power_levels", "content": {"users": {mallory.user_id: 100}, "users_default": 100}}
    gone = {"type": "m.room.member", "content": {"membership": "leave"}, "sender": shared.boss.user_id}
    lifted = {"type": "m.room.encryption", "content": {"algorithm": "none"}}
    keys: list[dict[str, str]] = [
        {},
        *({"state_key": key} for key in ("", shared.boss.user_id, shared.account.user_id)),
    ]
    payloads = [{"room_id": room, **hidden, **key} for hidden in (names, power, gone, lifted) for key in keys]
    send_payloads(mallory, room, [json.dumps(payload).encode() for payload in payloads])
    # A forged join of the bot itself would make the command before it history.
    text = {"msgtype": "m.text", "body": "!cd help"}
    command = {"type": "m.room.message", "content": text, "room_id": room}
    own = {"type": "m.room.member", "content": {"membership": "join"}, "state_key": shared.account.user_id}
    sent = send_payloads(mallory, room, [json.dumps(payload).encode() for payload in (command, own)])
    shared.answer(room, sent[0])
    # The people's clients are plain nio and believed all of it: only a new login can still encrypt for the bot.
    listed = shared.ask(room, "!cd rooms", shared.device_of(shared.boss))
    assert listed.encrypted
    assert "MINE NOW" not in listed.text
    assert f"ops {room} 🔒" in listed.text.replace("`", "")
    assert "hides a 'm.room.name'" in shared.bot.log()


# --- keys of others ---------------------------------------------------------------------------------------------


def test_junk_keys_of_one_member_hurt_nobody_else(rig: Rig) -> None:
    """Device keys and one-time keys that no library accepts, well signed: their owner gets nothing, the others all."""
    rig.start()
    mallory = rig.person("mallory")
    room = rig.room(others=(mallory,))
    signer = vodozemac.Account()
    for number, (curve, ed25519, one_time) in enumerate(
        [
            ("junk", signer.ed25519_key.to_base64(), "junk"),
            (signer.curve25519_key.to_base64(), "junk", "junk"),
            (signer.curve25519_key.to_base64(), signer.ed25519_key.to_base64(), "junk"),
            (signer.curve25519_key.to_base64(), signer.ed25519_key.to_base64(), ""),
        ]
    ):
        account = rig.device_of(mallory).account

        def sign(thing: dict[str, Any], device: str = account.device_id) -> dict[str, Any]:
            signature = signer.sign(Api.to_canonical_json(thing).encode()).to_base64()
            return thing | {"signatures": {mallory.user_id: {f"ed25519:{device}": signature}}}

        keys = {f"curve25519:{account.device_id}": curve, f"ed25519:{account.device_id}": ed25519}
        device = {"algorithms": ["m.megolm.v1.aes-sha2"], "user_id": mallory.user_id, "device_id": account.device_id}
        junk = {f"signed_curve25519:{name}{number}": sign({"key": one_time}) for name in ("AAAA", "AAAB", "AAAC")}
        rig_keys = {"device_keys": sign(device | {"keys": keys}), "one_time_keys": junk}
        upload(rig, account.access_token, rig_keys)
    for text in ("!cd admins", "!cd help"):
        assert rig.ask(room, text).encrypted
        assert rig.ask(room, text, mallory).encrypted
    assert "are junk; it is left out" in rig.bot.log()
    assert "Traceback" not in rig.bot.log()


def upload(rig: Rig, token: str, body: dict[str, Any]) -> None:
    """Replaces the keys of a device that a client has made before: the proxy's answers carry them to the bot."""
    user_devices = body["device_keys"]
    device, user = user_devices["device_id"], user_devices["user_id"]

    def query(answer: Any) -> Any:
        if user in answer.get("device_keys", {}):
            answer["device_keys"][user][device] = user_devices
        return answer

    def claim(answer: Any) -> Any:
        if device in answer.get("one_time_keys", {}).get(user, {}):
            name, key = next(iter(body["one_time_keys"].items()))
            answer["one_time_keys"][user][device] = {name: key}
        return answer

    chain(rig, r"POST .*/keys/query", query)
    chain(rig, r"POST .*/keys/claim", claim)


_chains: dict[tuple[int, str], list[Any]] = {}


def chain(rig: Rig, pattern: str, change: Any) -> None:
    changes = _chains.setdefault((id(rig), pattern), [])
    changes.append(change)
    if len(changes) == 1:

        def all_of_them(answer: Any) -> Any:
            for each in changes:
                answer = each(answer)
            return answer

        rig.proxy.on(pattern, edits(all_of_them))


# --- odd events -------------------------------------------------------------------------------------------------


def odd_states() -> list[tuple[str, Any]]:
    kinds = {"name": "m.room.name", "alias": "m.room.canonical_alias", "replacement_room": "m.room.tombstone"}
    return [(kind, {field: value}) for field, kind in kinds.items() for value in JUNK]


def odd_contents() -> list[Any]:
    text = {"msgtype": "m.text", "body": "!cd rooms"}
    odd: list[Any] = [{}, {"msgtype": "m.text"}, {"body": "!cd help"}, text | {"msgtype": "m.odd"}]
    odd += [text | {"body": value} for value in JUNK] + [text | {"m.relates_to": value} for value in JUNK]
    return odd + [{name: value} for name in ("body", "msgtype", "url", "file", "info") for value in JUNK]


def test_events_that_no_server_should_hand_out_are_passed_over(rig: Rig) -> None:
    """Synapse refuses to take them, so the proxy writes them into the sync."""
    rig.start()
    room = rig.room(encrypted=False)
    rig.ask(room)
    base = {"type": "m.room.message", "sender": rig.boss.user_id, "origin_server_ts": 1, "content": {}}
    odd: list[Any] = [5, None, "x", [], {}]
    odd += [base | {"event_id": f"$odd{number}", "content": content} for number, content in enumerate(odd_contents())]
    command = base | {"content": {"msgtype": "m.text", "body": "!cd help"}}
    for number, value in enumerate([*JUNK, "\ud800", "$" * 9000, -1, 2**70, 1e300]):
        for field in ("content", "type", "event_id", "sender", "unsigned", "origin_server_ts", "state_key"):
            odd.append(command | {"event_id": f"$frame{number}{field}"} | {field: value})
        member = base | {"event_id": f"$member{number}", "type": "m.room.member", "state_key": rig.boss.user_id}
        odd.append(member | {"content": {"membership": "join"}, "unsigned": {"prev_content": value}})
        odd.append(member | {"content": {"membership": value}, "unsigned": {"prev_content": {"membership": value}}})
    added: list[int] = []

    def add(answer: Any) -> Any:
        for info in answer.get("rooms", {}).get("join", {}).values():
            info["timeline"]["events"] = odd + info["timeline"]["events"]
            info["state"] = {"events": odd}
            added.append(1)
        return answer

    rule = rig.proxy.on(r"GET .*/sync", edits(add))
    rig.proxy.cut_polls()  # the one under way was let through before there was a rule
    assert rig.ask(room, "!cd help").text
    assert added
    rig.proxy.off(rule)
    assert rig.ask(room, "!cd rooms").text
    assert "Traceback" not in rig.bot.log()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_odd_events_are_passed_over(shared: Rig, encrypted: bool) -> None:
    mallory = shared.person("mallory")
    room = shared.room(encrypted=encrypted, others=(mallory,))
    first = shared.ask(room)
    odd = [("m.room.message", content) for content in odd_contents()]
    for kind in ("m.reaction", "m.room.encrypted", "m.sticker", "m.room.name", "m.room.redaction", "org.odd"):
        for content in ({}, {"m.relates_to": "x"}, {"m.relates_to": {"rel_type": "m.annotation"}}, {"ciphertext": 5}):
            odd.append((kind, content))
    reactions: list[Any] = [None, 5, [], "👍" * 500]
    for key in reactions:
        annotation = {"rel_type": "m.annotation", "event_id": first.event_id, "key": key}
        odd.append(("m.reaction", {"m.relates_to": annotation}))
    send_all(mallory, room, odd)
    put_all(shared.boss, [(f"/rooms/{quote(room)}/state/{name}/", state) for name, state in odd_states()])
    shared.boss.raw("PUT", f"/rooms/{quote(room)}/state/m.room.name/", {"name": "<b>\u202eops</b> 🚀"})
    names = ("<script>", "\u202e\u202dtxet", "a" * 200, "!cd help")
    put_all(mallory, [(f"/profile/{quote(mallory.user_id)}/displayname", {"displayname": name}) for name in names])
    mallory.leave(room)
    shared.boss.invite(room, mallory.user_id)
    shared.boss.kick(room, mallory.user_id, reason="!cd help")
    listed = shared.ask(room, "!cd rooms")
    assert room in listed.text
    assert "Traceback" not in shared.bot.log()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_odd_texts_are_answered_or_not_commands(shared: Rig, encrypted: bool) -> None:
    room = shared.room(encrypted=encrypted)
    boss = shared.boss
    answered = [
        "!cd 🚀",
        "!cd \u202ehelp",
        "!cd <b>x</b> & co",
        "!CD help",
        "!cd " + "x" * 40_000,
        "!cd 'x",
        '!cd "',
        "!cd \\",
    ]
    answered += ["!cd help\nsecond line", "  !cd help", "!cd \u200fhelp", "!cd ﷽" * 50, "!cd -1", "!cd " + "9" * 3000]
    silent = [
        "!cdhelp",
        "cd help",
        "\u202e!cd help",
        "> !cd help",
        "x\n!cd help",
        "",
        " ",
        "👍",
        "é" * 5_000,
        "x" * 44_000,
    ]
    sent = [(text, boss.send(room, text)) for pair in zip(answered, silent, strict=False) for text in pair]
    sent += [(text, boss.send(room, text)) for text in answered[len(silent) :]]
    for text, event_id in sent:
        if text in answered:
            assert shared.answer(room, event_id).text, text
    last = shared.ask(room, "!cd help")
    boss.wait(lambda heard: heard.event_id == last.event_id, room_id=room)
    for text, event_id in sent:
        assert len(shared.answers(room, event_id)) == (1 if text in answered else 0), text


def test_edits_redactions_and_notices_run_nothing(shared: Rig) -> None:
    room, boss = shared.room(), shared.boss
    said = boss.send(room, "good morning")
    edit = boss.send(room, "!cd help", edit_of=said)
    notice = boss.send(room, "!cd help", msgtype="m.notice")
    emote = boss.send(room, "!cd help", msgtype="m.emote")
    asked = boss.send(room, "!cd rooms")
    shared.answer(room, asked)
    changed = boss.send(room, "!cd help", edit_of=asked)
    boss.redact(room, asked)
    boss.redact(room, said)
    shared.ask(room)
    for event_id in (said, edit, notice, emote, changed):
        assert shared.answers(room, event_id) == []
    assert len(shared.answers(room, asked)) == 1


def test_clear_text_in_an_encrypted_room_is_refused(shared: Rig) -> None:
    room, boss = shared.room(), shared.boss
    said = shared.answer(room, boss.send(room, "!cd exit", clear=True))
    assert "clear text" in said.text
    boss.send(room, "yes", clear=True)
    shared.ask(room)
    assert shared.bot.alive


# --- invitations ------------------------------------------------------------------------------------------------


def test_an_invitation_is_judged_by_who_sent_it(shared: Rig) -> None:
    """A server that invites may send made-up state with it, an invitation by our admin included."""
    stranger = shared.person("stranger")
    shared.ask(shared.room())
    fake = {
        "type": "m.room.member",
        "state_key": shared.account.user_id,
        "sender": shared.boss.user_id,
        "content": {"membership": "invite"},
    }
    junk = [5, None, "x", {}, {"type": "m.room.name", "content": 5}, {"type": "m.room.member", "content": {}}]

    def add(answer: Any) -> Any:
        for info in answer.get("rooms", {}).get("invite", {}).values():
            events = info["invite_state"]["events"]
            if all(event.get("sender") != shared.boss.user_id for event in events):
                info["invite_state"]["events"] = [each for each in junk if isinstance(each, dict)] + [fake] + events
        return answer

    rule = shared.proxy.on(r"GET .*/sync", edits(add))
    shared.proxy.cut_polls()
    evil = stranger.create_room("evil", invite=[shared.account.user_id])
    good = shared.room()  # comes later, and the bot is in it: it has seen the other one
    joined, _, invited = shared.ask(good, "!cd rooms").text.partition("invited to")
    assert evil not in joined
    assert stranger.user_id in invited  # by whom it really was
    assert shared.account.user_id not in stranger.members(evil)
    shared.proxy.off(rule)


# --- whose message is it ----------------------------------------------------------------------------------------


def test_a_forged_sender_is_refused_with_a_sentence(rig: Rig) -> None:
    rig.start()
    mallory = rig.person("mallory")
    room = rig.room(others=(mallory,))
    rig.ask(room)
    forged: list[str] = []

    def rewrite(answer: Any) -> Any:
        for info in answer.get("rooms", {}).get("join", {}).values():
            for event in info["timeline"]["events"]:
                if event["type"] == "m.room.encrypted" and event["sender"] == mallory.user_id:
                    event["sender"] = rig.boss.user_id
                    forged.append(event["event_id"])
        return answer

    rule = rig.proxy.on(r"GET .*/sync", edits(rewrite))
    rig.proxy.cut_polls()  # the one under way was let through before there was a rule
    said = rig.answer(room, mallory.send(room, "!cd exit"))
    assert forged
    assert "not encrypted by any device of that person" in said.text
    mallory.send(room, "yes")
    rig.proxy.off(rule)
    assert rig.ask(room).encrypted
    assert rig.bot.alive
    assert "its key is not; it is refused" in rig.bot.log()


def test_a_new_device_is_asked_for_and_accepted(shared: Rig) -> None:
    room = shared.room()
    shared.ask(room)
    second = shared.device_of(shared.boss)
    assert shared.ask(room, "!cd rooms", second).encrypted
    assert shared.ask(room, "!cd admins", shared.boss).encrypted


def test_a_homeserver_that_cannot_tell_the_devices_makes_nobody_a_forger(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    rig.proxy.on(r"POST .*/keys/query", says(502, GATEWAY_PAGE, "text/html"), times=3)
    second = rig.device_of(rig.boss)
    said = rig.ask(room, "!cd admins", second)
    assert "I did nothing" not in said.text


# --- answers of questions ---------------------------------------------------------------------------------------


def test_a_clear_reaction_counts_when_it_is_the_askers(rig: Rig) -> None:
    rig.start()
    other = rig.person("bert")
    room = rig.room(others=(other,))
    question = rig.ask(room, "!cd exit")
    assert question.encrypted
    other.react(room, question.event_id, "👍")
    other.react(room, question.event_id, "👎")
    rig.ask(room, "!cd help", other)
    assert rig.bot.alive
    reaction = {"rel_type": "m.annotation", "event_id": question.event_id, "key": "👍"}
    said = send_raw(rig.boss, room, "m.reaction", {"m.relates_to": reaction})
    assert said
    assert rig.bot.wait() == 0
    assert eventually(lambda: "stopped" in rig.bot.log(), "the last line of the log")


def test_parsers_of_nio_let_nothing_through() -> None:
    """Whatever stands in an event: nio must not raise while it reads a sync, since that ends the whole answer."""
    kinds = ["m.room.message", "m.room.encrypted", "m.room.member", "m.room.name", "m.room.power_levels", "m.reaction"]
    for kind in [*kinds, "m.room.canonical_alias", "m.room.encryption", "m.room.tombstone", "m.room.create", "org.odd"]:
        for field in ("body", "membership", "name", "users", "algorithm", "alias", "ciphertext", "m.relates_to"):
            for value in JUNK:
                event = {"type": kind, "content": {field: value}, "sender": "@a:b", "event_id": "$e"}
                for more in ({}, {"state_key": ""}, {"state_key": "@a:b"}):
                    nio.Event.parse_event({**event, **more, "origin_server_ts": 1})
                    nio.InviteEvent.parse_event({**event, **more})
                nio.ToDeviceEvent.parse_event(event)
