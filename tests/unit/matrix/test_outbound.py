"""The sender against a homeserver that is a small class: order, pauses, refusals, crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from nio import RoomRedactResponse, RoomSendError, RoomSendResponse, UploadError, UploadResponse

from chatrixcd_threads.journal import outbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix.client import GuardedClient
from chatrixcd_threads.matrix.login import LoggedOut
from chatrixcd_threads.matrix.outbound import Sender

LIMIT = 30.0


class House:
    """Takes messages; `answers` are given first, in order: an exception, or an (errcode, status, retry ms)."""

    def __init__(self) -> None:
        self.rooms = {room: SimpleNamespace(encrypted=False) for room in ("!a", "!b")}
        self.logged_in = True
        self.answers: list[Any] = []
        self.taken: list[tuple[str, str, dict[str, Any]]] = []
        self.tries: list[str] = []
        self.uploads: list[bytes] = []
        self.hold: Callable[[str], Awaitable[None]] | None = None

    async def ready_to_encrypt(self, room_id: str) -> None:
        return

    async def room_send(self, room_id: str, kind: str, body: dict[str, Any], txn: str, **more: Any) -> Any:
        self.tries.append(txn)
        if self.hold is not None:
            await self.hold(room_id)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            code, status, retry = answer
            error = RoomSendError("no", code, retry)
            error.transport_response = SimpleNamespace(status=status, headers={})
            return error
        self.taken.append((room_id, txn, body))
        return RoomSendResponse(f"$for {txn}", room_id)

    async def room_redact(self, room_id: str, event_id: str, reason: str, tx_id: str) -> Any:
        answer = await self.room_send(room_id, "m.room.redaction", {"redacts": event_id, "reason": reason}, tx_id)
        return RoomRedactResponse(answer.event_id, room_id) if isinstance(answer, RoomSendResponse) else answer

    async def upload(self, provider: Callable[..., Any], *args: Any, **more: Any) -> tuple[Any, None]:
        self.uploads.append(provider(0, 0).read())
        return UploadResponse("mxc://x/1"), None


class Post:
    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.house = House()
        self.clock = 100.0

    def put(self, slot: str, room: str = "!a", value: str = "x", file: bytes | None = None) -> None:
        content = {"plain": value, "html": value} if file is None else {"file_name": value, "size": len(file)}
        with self.journal.write() as tx:
            outbox.put(tx, slot, room, content, outbox.Priority.ANSWER, file)

    def send(self) -> None:
        """Everything that is owed, with pauses that do not take time."""

        async def work() -> None:
            sender = Sender(cast(GuardedClient, self.house), self.journal, lambda: self.clock)

            async def no_pause() -> None:
                self.clock = max(self.clock, sender._not_before)

            sender._pause = no_pause  # type: ignore[method-assign]
            running = asyncio.create_task(sender.run())
            drained = asyncio.create_task(sender.drained())
            try:
                await asyncio.wait({running, drained}, timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    running.result()
                assert drained.done()
            finally:
                for task in (running, drained):
                    task.cancel()
                await asyncio.gather(running, drained, return_exceptions=True)
                await sender.cancel()

        asyncio.run(work())

    def failed(self) -> dict[str, str]:
        rows = self.journal.read().execute("SELECT slot, failed FROM outbox WHERE failed IS NOT NULL").fetchall()
        return {row[0]: row[1] for row in rows}


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.journal.close()


def test_messages_of_a_room_go_out_in_order(post: Post) -> None:
    for number in range(20):
        post.put(f"s{number}", "!a" if number % 2 else "!b", str(number))
    post.send()
    said = {room: [body["body"] for where, _, body in post.house.taken if where == room] for room in ("!a", "!b")}
    assert said == {"!a": [str(n) for n in range(1, 20, 2)], "!b": [str(n) for n in range(0, 20, 2)]}
    assert len(set(post.house.tries)) == 20


@pytest.mark.parametrize(
    "trouble",
    [
        aiohttp.ClientError("refused"),
        TimeoutError(),
        OSError("reset"),
        ("M_LIMIT_EXCEEDED", 429, 2_000),
        ("M_UNKNOWN", 502, None),
        (None, 504, None),
        ("M_UNKNOWN", 401, None),
        ("M_RESOURCE_LIMIT_EXCEEDED", 403, None),
        ("M_USER_SUSPENDED", 403, None),
        ("M_CONSENT_NOT_GIVEN", 403, None),
    ],
    ids=repr,
)
def test_what_passes_is_tried_again_under_the_same_transaction_id(post: Post, trouble: Any) -> None:
    post.house.answers = [trouble] * 3
    post.put("s")
    post.send()
    assert len(post.house.tries) == 4
    assert len(set(post.house.tries)) == 1
    assert len(post.house.taken) == 1
    assert post.failed() == {}


def test_the_pause_that_the_server_asks_for_holds_for_all_rooms(post: Post) -> None:
    post.house.answers = [("M_LIMIT_EXCEEDED", 429, 7_000)]
    post.put("s")
    post.put("t", "!b")
    post.send()
    assert post.clock >= 107.0
    assert len(post.house.taken) == 2


@pytest.mark.parametrize(("told", "least", "most"), [(0, 0.05, 1.0), (-20, 0.05, 1.0), (None, 4.9, 6.0)])
def test_a_pause_of_nothing_is_short_and_one_that_was_not_told_is_long(
    post: Post, told: int | None, least: float, most: float
) -> None:
    begun = post.clock
    post.house.answers = [("M_LIMIT_EXCEEDED", 429, told)]
    post.put("s")
    post.send()
    assert least <= post.clock - begun <= most
    assert len(post.house.taken) == 1


def test_an_answer_whose_thread_the_homeserver_does_not_take_stands_in_the_room(post: Post) -> None:
    """The command came from a server that lets a thread begin anywhere; Synapse says 400 to the answer."""
    content = {"plain": "x", "html": "x", "thread": "$root", "reply_to": "$command"}
    with post.journal.write() as tx:
        outbox.put(tx, "s", "!a", content, outbox.Priority.ANSWER)
    post.house.answers = [("M_UNKNOWN", 400, None)]
    post.send()
    ((_, _, body),) = post.house.taken
    assert body["m.relates_to"] == {"m.in_reply_to": {"event_id": "$command"}}
    assert post.failed() == {}


def test_an_edit_of_what_the_homeserver_has_lost_is_a_message_of_its_own(post: Post) -> None:
    post.put("s", value="one")
    post.send()
    post.put("s", value="two")
    post.house.answers = [("M_UNKNOWN", 400, None)]
    post.send()
    _, (_, txn, body) = post.house.taken
    assert body["body"] == "two"
    assert "m.relates_to" not in body
    assert outbox.slot_of(post.journal.read(), f"$for {txn}") == "s"


def test_what_is_refused_without_a_relation_is_not_tried_again(post: Post) -> None:
    post.put("s")
    post.house.answers = [("M_BAD_JSON", 400, None)]
    post.send()
    assert post.failed() == {"s": "M_BAD_JSON: no"}


def test_what_is_refused_for_good_is_given_up_and_the_rest_goes_on(post: Post) -> None:
    post.house.answers = [("M_FORBIDDEN", 403, None)]
    post.put("s")
    post.put("t")
    post.send()
    assert post.failed() == {"s": "M_FORBIDDEN: no"}
    assert len(post.house.taken) == 1


def test_a_room_that_the_bot_has_left(post: Post) -> None:
    post.put("s", "!gone")
    post.put("t", "!a")
    post.send()
    assert post.failed() == {"s": "the bot is not in this room"}


def test_news_for_a_room_that_the_bot_was_put_out_of_end_nothing_and_come_when_it_is_back(post: Post) -> None:
    post.put("s", value="0 %")
    post.send()
    room = post.house.rooms.pop("!a")
    for value in ("50 %", "90 %"):
        post.put("s", value=value)
        post.send()
    assert post.failed() == {"s": "the bot is not in this room"}
    post.house.rooms["!a"] = room
    post.put("s", value="done")
    post.send()
    assert post.house.taken[-1][2]["m.new_content"]["body"] == "done"


def test_after_an_older_copy_of_the_journal_was_put_in_place_no_message_is_taken_for_an_earlier_one(
    tmp_path: Path,
) -> None:
    """The rows are counted once more; of a transaction id that it knows the homeserver takes no second message."""
    post = Post(tmp_path)
    copy = tmp_path / "backup"  # made by somebody, not by the bot
    post.journal.read().execute("VACUUM INTO ?", (str(copy),))
    post.put("yesterday")
    post.send()
    post.journal.close()
    for file in tmp_path.glob("journal.sqlite3*"):
        file.unlink()
    copy.rename(tmp_path / "journal.sqlite3")
    again = Post(tmp_path)
    again.put("today")
    again.send()
    (_, first, _), (_, second, _) = (*post.house.taken, *again.house.taken)
    assert first != second
    again.put("today", value="edited")
    row = again.journal.read().execute("SELECT id FROM outbox WHERE slot = 'today'").fetchone()[0]
    with again.journal.write() as tx:  # the earlier one comes back, since the sync begins where the copy was made
        outbox.echoed(tx, "$yesterday", row, outbox.life_of_txn(first))
    assert outbox.slot_of(again.journal.read(), "$yesterday") is None
    assert not outbox.in_sight(again.journal.read(), "today")
    again.journal.close()


@pytest.mark.parametrize("code", ["M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"])
def test_a_lost_login_ends_the_session_and_loses_nothing(post: Post, code: str) -> None:
    post.house.answers = [(code, 401, None)]
    post.put("s")
    with pytest.raises(LoggedOut):
        post.send()
    post.send()
    assert len(post.house.taken) == 1


def test_newer_content_is_an_edit_of_the_first_message(post: Post) -> None:
    post.put("s", value="one")
    post.send()
    post.put("s", value="two")
    post.send()
    (_, first, _), (_, _, edit) = post.house.taken
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": f"$for {first}"}
    assert edit["m.new_content"]["body"] == "two"


def test_a_file_is_uploaded_and_sent(post: Post) -> None:
    post.put("s", value="x.log", file=b"all of it")
    post.send()
    assert post.house.uploads == [b"all of it"]
    assert post.house.taken[0][2]["msgtype"] == "m.file"


def test_another_file_in_the_same_place_is_another_message(post: Post) -> None:
    """A question with an attachment whose outcome has one too: the sender must survive it."""
    post.put("s", value="x.log", file=b"one")
    post.send()
    post.put("s", value="x.log", file=b"other")
    post.send()
    assert post.house.uploads == [b"one", b"other"]
    assert [body["msgtype"] for _, _, body in post.house.taken] == ["m.file", "m.file"]


def test_a_slow_room_holds_up_no_other(post: Post) -> None:
    async def hold(room_id: str) -> None:
        while room_id == "!a" and len(post.house.taken) < 5:
            await asyncio.sleep(0)

    post.house.hold = hold
    post.put("slow", "!a")
    for number in range(5):
        post.put(f"s{number}", "!b")
    post.send()
    assert [room for room, _, _ in post.house.taken] == ["!b"] * 5 + ["!a"]


def test_a_deletion_is_tried_until_it_is_done_and_happens_once(post: Post) -> None:
    post.house.answers = [aiohttp.ClientError(), ("M_UNKNOWN", 500, None)]
    for _ in range(2):
        with post.journal.write() as tx:
            outbox.delete(tx, "!a", "$theirs", "a secret was in it")
    post.send()
    (taken,) = post.house.taken
    assert (taken[0], taken[2]) == ("!a", {"redacts": "$theirs", "reason": "a secret was in it"})
    assert len(set(post.house.tries)) == 1
    assert post.failed() == {}


def test_a_deletion_without_the_power_is_given_up(post: Post) -> None:
    post.house.answers = [("M_FORBIDDEN", 403, None)]
    with post.journal.write() as tx:
        outbox.delete(tx, "!a", "$theirs", "a secret was in it")
    post.send()
    assert list(post.failed()) == ["delete:$theirs"]


def test_a_file_that_a_proxy_finds_too_large_is_given_up_and_told(post: Post) -> None:
    tries: list[int] = []

    async def upload(*args: Any, **more: Any) -> tuple[Any, None]:
        tries.append(1)
        answer = UploadError("status 413 and no answer of a homeserver")
        answer.transport_response = SimpleNamespace(status=413, headers={})
        return answer, None

    post.house.upload = upload  # type: ignore[method-assign]
    post.put("s/file0", value="task-7.log", file=b"x" * 5_000)
    post.put("after", "!a", "behind it")
    post.send()
    assert tries == [1]
    said = [body["body"] for _, _, body in post.house.taken]
    assert "behind it" in said
    assert any("task-7.log (5,000 bytes) did not come through" in each for each in said)


@pytest.mark.parametrize("shown", ["first", ""], ids=["edit", "first message"])
def test_what_is_said_after_something_was_given_up_is_sent(post: Post, shown: str) -> None:
    """A room where the bot may not speak for a while, or a text that is too long once."""
    if shown:
        post.put("s", value=shown)
        post.send()
    post.house.answers = [("M_FORBIDDEN", 403, None)]
    post.put("s", value="given up")
    post.send()
    post.put("s", value="newer")
    post.put("other", "!b", "elsewhere")
    post.send()
    said = [body.get("m.new_content", body)["body"] for _, _, body in post.house.taken]
    assert said == [*([shown] if shown else []), "newer", "elsewhere"]
    assert post.failed() == {}
    assert len(set(post.house.tries)) == len(post.house.tries)  # other words never go under the same transaction id


def test_what_is_written_while_the_older_is_given_up_is_sent(post: Post) -> None:
    async def newer(room_id: str) -> None:
        post.house.hold = None
        post.put("s", value="newer")

    post.house.hold = newer
    post.house.answers = [("M_FORBIDDEN", 403, None)]
    post.put("s", value="older")
    post.send()
    assert [body["body"] for _, _, body in post.house.taken] == ["newer"]
