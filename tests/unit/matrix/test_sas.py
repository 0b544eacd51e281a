"""The dialogue of a verification: the whole way from both ends, and whatever else may come instead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.events import Stage
from chatrixcd_threads.matrix.sas import EMOJI, Dialogue, Message, Party
from tests.e2e.emoji import SAS, Peer

BOT = Party("@bot:x", "BOT", {"ed25519:BOT": "botkey", "ed25519:botmaster": "botmaster"})
ANN = Party("@ann:x", "PHONE", {"ed25519:PHONE": "annkey", "ed25519:annmaster": "annmaster"})
FRAME = {"transaction_id": "t1"}


def sides(*, asked: bool, user: str = ANN.user_id) -> tuple[Dialogue, Peer]:
    theirs = Party(user, "PHONE", ANN.keys)
    peer = Peer(user, "PHONE", ANN.keys, (BOT.user_id, BOT.device_id))
    peer.bot_keys = dict(BOT.keys)
    peer.by_message("t1")
    return Dialogue(BOT, theirs, "t1", FRAME, asked=asked), peer


def talk(dialogue: Dialogue, peer: Peer, *, to_peer: list[Message] = [], to_bot: list[Message] = []) -> None:  # noqa: B006
    """Carries messages to and fro until nobody has more to say."""
    while to_peer or to_bot:
        heard = [answer for kind, content in to_peer for answer in peer.hear(kind, content)]
        to_peer = [answer for kind, content in [*to_bot, *heard] for answer in dialogue.hear(kind, content)]
        to_bot = []


def compared(*, asked: bool = True, bot_starts: bool = False) -> tuple[Dialogue, Peer]:
    """Both sides show their emoji."""
    dialogue, peer = sides(asked=asked)
    if not asked:
        talk(dialogue, peer, to_bot=[peer.ready()])
    else:
        talk(dialogue, peer, to_peer=dialogue.ready())
        if bot_starts:
            talk(dialogue, peer, to_peer=dialogue.start())
        else:
            talk(dialogue, peer, to_bot=[peer.start()])
    assert dialogue.stage is Stage.COMPARE
    return dialogue, peer


@pytest.mark.parametrize(("asked", "bot_starts"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("first", ["bot", "peer"])
def test_the_whole_way(asked: bool, bot_starts: bool, first: str) -> None:
    dialogue, peer = compared(asked=asked, bot_starts=bot_starts)
    assert dialogue.decimals == peer.decimals
    assert dialogue.emoji == tuple(EMOJI[index] for index in peer.indices)
    if first == "bot":
        talk(dialogue, peer, to_peer=dialogue.match())
        assert not dialogue.over
        talk(dialogue, peer, to_bot=[peer.match()])
    else:
        talk(dialogue, peer, to_bot=[peer.match()])
        assert not dialogue.over
        talk(dialogue, peer, to_peer=dialogue.match())
    assert dialogue.stage is Stage.DONE
    assert peer.done
    assert dialogue.proven == set(ANN.keys)
    assert peer.vouched == set(BOT.keys)


def test_the_emoji_are_those_of_the_specification() -> None:
    assert len(EMOJI) == 64
    assert [EMOJI[index] for index in (0, 34, 36, 41, 53, 63)] == [
        ("🐶", "Dog"),
        ("🔧", "Spanner"),
        ("👍", "Thumbs Up"),
        ("💡", "Light Bulb"),
        ("✈️", "Aeroplane"),
        ("📌", "Pin"),
    ]


@pytest.mark.parametrize(("user", "winner"), [("@zoe:x", "bot"), ("@ann:x", "peer")])
def test_both_start_at_once(user: str, winner: str) -> None:
    dialogue, peer = sides(asked=True, user=user)
    dialogue.ready()
    mine, theirs = dialogue.start(), peer.start()
    answer = dialogue.hear(*theirs)
    assert [kind for kind, _ in answer] == ([] if winner == "bot" else ["accept"])
    if winner == "bot":
        peer.started_by_me = False
        talk(dialogue, peer, to_peer=mine)
    else:
        talk(dialogue, peer, to_peer=answer)
    assert dialogue.stage is Stage.COMPARE
    assert dialogue.decimals == peer.decimals


@pytest.mark.parametrize("changed", ["mac", "keys", "device", "master"])
def test_another_key_than_the_known_one_is_not_verified(changed: str) -> None:
    dialogue, peer = compared()
    if changed in ("device", "master"):
        peer.keys["ed25519:PHONE" if changed == "device" else "ed25519:annmaster"] = "another"
    kind, content = peer.match()
    if changed == "mac":
        content["mac"]["ed25519:PHONE"] = content["mac"]["ed25519:annmaster"]
    elif changed == "keys":
        del content["mac"]["ed25519:annmaster"]
    talk(dialogue, peer, to_peer=dialogue.match())
    answer = dialogue.hear(kind, content)
    assert [(name, said["code"]) for name, said in answer] == [("cancel", "m.key_mismatch")]
    assert dialogue.stage is Stage.ENDED
    assert dialogue.proven == frozenset()


def test_a_device_that_vouches_only_for_others_is_not_verified() -> None:
    dialogue, peer = compared()
    del peer.keys["ed25519:PHONE"]
    assert dialogue.hear(*peer.match())[0][1]["code"] == "m.key_mismatch"


def test_a_key_that_was_not_committed_to_ends_it() -> None:
    dialogue, peer = sides(asked=False)
    start = dialogue.hear(*peer.ready())
    key = dialogue.hear(*peer.hear(*start[0])[0])
    peer.hear(*key[0])
    other = Peer("@ann:x", "PHONE", {}, ("@bot:x", "BOT")).public
    assert dialogue.hear("key", {"key": other, **FRAME})[0][1]["code"] == "m.mismatched_commitment"
    assert dialogue.decimals == ()


def test_not_the_same_tells_the_other_side() -> None:
    dialogue, peer = compared()
    talk(dialogue, peer, to_peer=dialogue.cancel("m.mismatched_sas", "the emoji were not the same"))
    assert peer.cancelled == "m.mismatched_sas"
    assert dialogue.hear(*peer.match()) == []
    assert dialogue.match() == []
    assert dialogue.stage is Stage.ENDED


def test_the_other_side_may_end_it_at_any_time() -> None:
    for dialogue, peer in (sides(asked=True), sides(asked=False), compared()):
        assert dialogue.hear(*peer.cancel()) == []
        assert dialogue.stage is Stage.ENDED
        assert "I do not want to" in dialogue.note


def test_a_long_reason_is_cut() -> None:
    dialogue, _ = sides(asked=True)
    dialogue.hear("cancel", {"code": "m.user", "reason": "no " * 10_000})
    assert len(dialogue.note) < 300


def messages() -> dict[str, dict[str, Any]]:
    """One good message of each kind."""
    _, peer = compared()
    key = {"key": peer.public, **FRAME}
    accept = sides(asked=True)[1].hear("start", peer.start_content)[0][1]
    return dict([peer.ready(), peer.start(), ("accept", accept), ("key", key), peer.match(), ("done", dict(FRAME))])


@pytest.mark.parametrize("kind", ["ready", "start", "accept", "key", "mac", "done"])
def test_what_comes_out_of_turn_ends_it(kind: str) -> None:
    good = messages()[kind]
    fitting = {"ready": "asking", "start": "ready", "accept": "", "key": "", "mac": "compare", "done": ""}[kind]
    stages = {"asked": sides(asked=True)[0], "asking": sides(asked=False)[0], "compare": compared()[0]}
    stages["ready"] = sides(asked=True)[0]
    stages["ready"].ready()
    for stage, dialogue in stages.items():
        if stage == fitting:
            continue
        answer = dialogue.hear(kind, good)
        assert [(name, said["code"]) for name, said in answer] == [("cancel", "m.unexpected_message")], stage
        assert dialogue.stage is Stage.ENDED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "m.qr_code.show.v1"),
        ("key_agreement_protocols", ["curve25519"]),
        ("hashes", []),
        ("message_authentication_codes", ["hkdf-hmac-sha256"]),
        ("short_authentication_string", ["emoji"]),
    ],
)
def test_methods_that_are_not_known_are_refused(field: str, value: Any) -> None:
    dialogue, peer = sides(asked=True)
    dialogue.ready()
    kind, content = peer.start()
    assert dialogue.hear(kind, content | {field: value})[0][1]["code"] == "m.unknown_method"
    dialogue, peer = sides(asked=False)
    assert dialogue.hear("ready", {"from_device": "PHONE", "methods": ["m.qr_code.scan.v1"]})[0][1]["code"] == (
        "m.unknown_method"
    )


def test_a_method_that_was_not_offered_cannot_be_chosen() -> None:
    dialogue, peer = sides(asked=False)
    start = dialogue.hear(*peer.ready())
    kind, content = peer.hear(*start[0])[0]
    content["message_authentication_code"] = "hkdf-hmac-sha256"
    assert dialogue.hear(kind, content)[0][1]["code"] == "m.unknown_method"


def test_another_device_cannot_take_part() -> None:
    for asked in (True, False):
        dialogue, peer = sides(asked=asked)
        dialogue.ready()
        peer.device = "OTHER"
        answer = dialogue.hear(*(peer.start() if asked else peer.ready()))
        assert answer[0][1]["code"] == "m.invalid_message"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = ("ready", "start", "accept", "key", "mac", "done", "cancel", "request", "odd")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_junk_raises_and_none_verifies(data: st.DataObject) -> None:
    """Good messages with some fields replaced, in any order, at any stage."""
    where = data.draw(st.sampled_from(["asked", "asking", "ready", "compare", "matched"]))
    dialogue = compared()[0] if where in ("compare", "matched") else sides(asked=where != "asking")[0]
    dialogue.ready() if where == "ready" else dialogue.match() if where == "matched" else None
    good = messages()
    for _ in range(4):
        kind = data.draw(st.sampled_from(KINDS))
        content = dict(good.get(kind, {}))
        for name in data.draw(st.lists(st.sampled_from([*content, "key", "mac"]), max_size=3)):
            content[name] = data.draw(JSON)
        for _, said in dialogue.hear(kind, content):
            assert said["transaction_id"] == "t1"
    assert dialogue.stage is not Stage.DONE
    assert dialogue.proven == frozenset()


def test_methods_are_named_as_the_specification_does() -> None:
    assert sides(asked=True)[0].ready()[0][1]["methods"] == [SAS]
