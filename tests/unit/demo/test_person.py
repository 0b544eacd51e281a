"""A person hears and says everything that a chat can hold, in plain and in encrypted rooms."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.demo.homeserver import Homeserver
from chatrixcd_threads.demo.person import MatrixError, People, Person, message_content

if TYPE_CHECKING:
    from tests.conftest import Leaks

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(leaks: Leaks) -> Iterator[Homeserver]:
    with Homeserver() as hs:
        leaks.allow_pids(lambda: [hs.pid])
        yield hs


@pytest.fixture(scope="module")
def people(leaks: Leaks) -> Iterator[People]:
    with People() as crowd:
        leaks.allow_threads(lambda: crowd.threads)
        yield crowd


@pytest.fixture(scope="module")
def ann(server: Homeserver, people: People, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return people.person(server.url, server.register("ann", "x"), tmp_path_factory.mktemp("ann"))


@pytest.fixture(scope="module")
def bob(server: Homeserver, people: People, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return people.person(server.url, server.register("bob", "x"), tmp_path_factory.mktemp("bob"))


@pytest.fixture(params=["plain", "encrypted"])
def encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "encrypted")


@pytest.fixture
def room(ann: Person, bob: Person, encrypted: bool) -> str:
    return make_room(ann, bob, encrypted=encrypted)


def make_room(ann: Person, bob: Person, *, encrypted: bool) -> str:
    room_id = ann.create_room("a room", encrypted=encrypted, invite=[bob.user_id])
    bob.join(room_id)
    ann.wait_member(room_id, bob.user_id)
    return room_id


def test_a_message_is_heard_by_both(ann: Person, bob: Person, room: str, encrypted: bool) -> None:
    event_id = ann.send(room, "good morning", html="<b>good morning</b>", mentions=[bob.user_id])

    for listener in (bob, ann):
        heard = listener.wait(lambda h: h.event_id == event_id, room_id=room)
        assert (heard.sender, heard.body, heard.html) == (ann.user_id, "good morning", "<b>good morning</b>")
        assert (heard.msgtype, heard.encrypted, heard.edited) == ("m.text", encrypted, None)
        assert heard.mentions == {"user_ids": [bob.user_id]}
        assert heard.ts > 0


def test_an_edit_is_heard_and_kept_beside_the_first_words(ann: Person, bob: Person, room: str) -> None:
    event_id = ann.send(room, "half done")
    bob.wait(lambda h: h.body == "half done", room_id=room)
    ann.send(room, "all done", edit_of=event_id)

    edited = bob.wait(lambda h: "all done" in h.body, room_id=room, after=event_id)

    assert edited.event_id == event_id
    (kept,) = bob.messages(room)
    assert (kept.body, kept.edited, kept.text) == ("half done", "all done", "all done")


def test_somebody_elses_edit_changes_nothing(ann: Person, bob: Person, room: str) -> None:
    event_id = ann.send(room, "mine")
    bob.wait(lambda h: h.event_id == event_id, room_id=room)
    bob.send(room, "not yours", edit_of=event_id)
    last = bob.send(room, "the end")

    ann.wait(lambda h: h.event_id == last, room_id=room)
    assert [heard.text for heard in ann.messages(room)] == ["mine", "the end"]


def test_replies_and_threads_name_what_they_belong_to(ann: Person, bob: Person, room: str) -> None:
    root = ann.send(room, "root")
    bob.wait(lambda h: h.event_id == root, room_id=room)
    bob.send(room, "a reply", reply_to=root)
    bob.send(room, "in the thread", thread=root)

    reply = ann.wait(lambda h: h.body == "a reply", room_id=room, after=root)
    threaded = ann.wait(lambda h: h.body == "in the thread", room_id=room, after=reply.event_id)
    assert (reply.reply_to, reply.thread) == (root, None)
    assert (threaded.reply_to, threaded.thread) == (root, root)


def test_a_reaction_comes_and_goes(ann: Person, bob: Person, room: str) -> None:
    event_id = ann.send(room, "well?")
    bob.wait(lambda h: h.event_id == event_id, room_id=room)
    reaction = bob.react(room, event_id, "👍")

    assert ann.wait_reaction(room, event_id, "👍", sender=bob.user_id).event_id == reaction
    bob.redact(room, reaction)
    ann.wait_for(lambda: not ann.reactions(room, event_id), what="the reaction to go")
    assert reaction in ann.redacted(room)


def test_what_was_said_before_is_no_answer(ann: Person, bob: Person, room: str) -> None:
    bob.send(room, "yes")
    question = bob.send(room, "is it?")
    ann.wait(lambda h: h.event_id == question, room_id=room)

    with pytest.raises(TimeoutError, match="in vain"):
        ann.wait(lambda h: h.body == "yes", room_id=room, after=question, timeout=0.2)
    second = bob.send(room, "yes")
    assert ann.wait(lambda h: h.body == "yes", room_id=room, after=question).event_id == second


def test_a_burst_is_heard_whole_and_in_order(ann: Person, bob: Person, room: str) -> None:
    bodies = [f"number {number}" for number in range(40)]

    sent = ann.send_many([(room, body) for body in bodies])

    bob.wait(lambda h: h.body == bodies[-1], room_id=room)
    assert [heard.body for heard in bob.messages(room)] == bodies
    assert [heard.event_id for heard in bob.messages(room)] == sent
    assert bob.unreadable(room) == []


def test_what_was_said_behind_ones_back_is_fetched(ann: Person, bob: Person) -> None:
    """While Bob's sync stands still, more is said than one sync holds (Synapse: 100 events)."""
    room = make_room(ann, bob, encrypted=True)
    bob.run(_pause(bob))
    bodies = [f"line {number}" for number in range(105)]
    ann.send_many([(room, body) for body in bodies])
    bob.run(_resume(bob))

    bob.wait(lambda h: h.body == bodies[-1], room_id=room)
    assert [heard.body for heard in bob.messages(room)] == bodies


async def _pause(person: Person) -> None:
    assert person._sync_task is not None
    person._sync_task.cancel()


async def _resume(person: Person) -> None:
    person._sync_task = asyncio.get_running_loop().create_task(person._sync_for_ever())


def test_in_clear_in_an_encrypted_room(ann: Person, bob: Person) -> None:
    room = make_room(ann, bob, encrypted=True)
    ann.send(room, "for all to see", clear=True)

    assert not bob.wait(lambda h: h.body == "for all to see", room_id=room).encrypted


def test_encryption_switched_on_later(ann: Person, bob: Person) -> None:
    room = make_room(ann, bob, encrypted=False)
    ann.send(room, "open")
    ann.enable_encryption(room)
    ann.send(room, "closed")

    assert bob.wait(lambda h: h.body == "closed", room_id=room).encrypted
    assert [heard.encrypted for heard in bob.messages(room)] == [False, True]


def test_the_same_store_again_still_reads_and_writes(
    server: Homeserver, people: People, ann: Person, tmp_path: Path
) -> None:
    account = server.register("again", "x")
    first = people.person(server.url, account, tmp_path)
    room = make_room(ann, first, encrypted=True)
    ann.send(room, "before")
    first.wait(lambda h: h.body == "before", room_id=room)
    first.close()

    second = people.person(server.url, account, tmp_path)
    after = ann.send(room, "after")
    assert second.wait(lambda h: h.event_id == after, room_id=room).encrypted
    assert [heard.body for heard in second.messages(room)] == ["before", "after"]
    answer = second.send(room, "I am back")
    assert ann.wait(lambda h: h.event_id == answer, room_id=room).body == "I am back"
    second.close()


def test_junk_does_not_deafen(ann: Person, bob: Person, room: str) -> None:
    ciphertext = {bob.run(_own_curve_key(bob)): {"type": 0, "body": "junk"}}
    junk = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "junk", "ciphertext": ciphertext}
    path = f"/sendToDevice/m.room.encrypted/{room[1:10]}"
    assert ann.raw("PUT", path, {"messages": {bob.user_id: {"*": junk}}}).ok
    megolm = {"algorithm": "m.megolm.v1.aes-sha2", "sender_key": "x", "ciphertext": "x", "session_id": "x"}
    ann.send_content(room, {**megolm, "device_id": "x"}, kind="m.room.encrypted", clear=True)
    ann.send_content(room, {"msgtype": "m.image", "body": "without a url"}, clear=True)
    last = ann.send(room, "still there?")

    assert bob.wait(lambda h: h.event_id == last, room_id=room)
    assert len(bob.unreadable(room)) == 1


async def _own_curve_key(person: Person) -> str:
    return str(person.client.olm.account.identity_keys["curve25519"])


def test_the_server_goes_away_and_comes_back(server: Homeserver, ann: Person, bob: Person, room: str) -> None:
    ann.send(room, "one")
    server.stop()
    with pytest.raises(OSError, match="Connect"):
        ann.send(room, "lost", timeout=0.5)
    started = threading.Event()

    def send_meanwhile() -> None:
        started.set()
        ann.send(room, "two")

    sender = threading.Thread(target=send_meanwhile)
    sender.start()
    started.wait(5)
    server.start()
    sender.join(30)

    bob.wait(lambda h: h.body == "two", room_id=room)
    assert [heard.body for heard in bob.messages(room)] == ["one", "two"]


def test_leaving_and_asking_the_server(ann: Person, bob: Person, room: str) -> None:
    assert ann.members(room) == sorted([ann.user_id, bob.user_id])
    bob.leave(room)
    ann.wait_gone(room, bob.user_id)
    assert ann.members(room) == [ann.user_id]
    with pytest.raises(MatrixError) as refused:
        bob.send(room, "anybody?", clear=True)
    assert refused.value.status == 403
    refusal = bob.raw("GET", f"/rooms/{room}/joined_members")
    assert (refusal.ok, refusal["errcode"]) == (False, "M_FORBIDDEN")


def test_an_edit_with_html_holds_both_texts_twice() -> None:
    content = message_content("new", html="<i>new</i>", edit_of="$first")

    assert content["body"] == "* new"
    assert content["m.new_content"]["formatted_body"] == "<i>new</i>"
    assert content["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$first"}


def test_the_thread_ends_with_the_people() -> None:
    with People() as crowd:
        assert len(crowd.threads) == 1
    assert not crowd.threads
