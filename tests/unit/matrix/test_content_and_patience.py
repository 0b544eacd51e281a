"""Contents of events, and how long to wait."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chatrixcd_threads.matrix import content
from chatrixcd_threads.matrix.patience import FIRST, LONGEST, Backoff, Retry

ROW: dict[str, Any] = {"plain": "a <b>", "html": "a &lt;b&gt;", "mention": []}


def test_a_message_is_a_notice_in_both_forms_that_rings_nobodys_phone() -> None:
    assert content.message(ROW, None) == {
        "msgtype": "m.notice",
        "body": "a <b>",
        "format": "org.matrix.custom.html",
        "formatted_body": "a &lt;b&gt;",
        "m.mentions": {},
    }


def test_only_the_people_who_are_meant_are_notified() -> None:
    row = ROW | {"mention": ["@a:x"], "plain": "@b:x did it"}
    assert content.message(row, None)["m.mentions"] == {"user_ids": ["@a:x"]}


def test_an_edit_carries_the_new_content_inside_and_relates_to_the_first() -> None:
    made = content.message(ROW | {"thread": "$t", "reply_to": "$r"}, "$first")
    assert made["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$first"}
    assert made["m.new_content"] == content.message(ROW, None)
    assert (made["body"], made["formatted_body"]) == ("* a <b>", "* a &lt;b&gt;")


@pytest.mark.parametrize(
    ("thread", "reply_to", "relation"),
    [
        (None, None, {}),
        (None, "$r", {"m.in_reply_to": {"event_id": "$r"}}),
        (
            "$t",
            "$r",
            {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True, "m.in_reply_to": {"event_id": "$r"}},
        ),
        (
            "$t",
            None,
            {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True, "m.in_reply_to": {"event_id": "$t"}},
        ),
    ],
)
def test_relations(thread: str | None, reply_to: str | None, relation: dict[str, Any]) -> None:
    made = content.message(ROW | {"thread": thread, "reply_to": reply_to}, None)
    assert made.get("m.relates_to", {}) == relation


def test_a_file_in_clear_and_encrypted() -> None:
    row = {"file_name": "task-7.log", "size": 12, "mention": [], "reply_to": "$r"}
    plain = content.file(row, "mxc://x/1", None)
    assert (plain["msgtype"], plain["body"], plain["filename"], plain["url"]) == (
        "m.file",
        "task-7.log",
        "task-7.log",
        "mxc://x/1",
    )
    assert plain["info"] == {"mimetype": "text/plain", "size": 12}
    assert plain["m.relates_to"] == {"m.in_reply_to": {"event_id": "$r"}}
    hidden = content.file(row, "mxc://x/1", {"key": {"k": "…"}, "v": "v2"})
    assert "url" not in hidden
    assert hidden["file"] == {"url": "mxc://x/1", "key": {"k": "…"}, "v": "v2"}


def test_pauses_double_with_jitter_up_to_a_longest() -> None:
    backoff = Backoff(random.Random(1))
    for number in range(2_000):  # also after a night without a homeserver
        bound = min(LONGEST, FIRST * 2 ** min(number, 20))
        assert bound / 2 <= backoff.pause() <= bound
    backoff.worked()
    assert backoff.pause() <= FIRST


def test_never_less_than_the_server_asked_for() -> None:
    assert Backoff(random.Random(1)).pause(120.0) == 120.0


def test_what_the_server_asked_for_travels_with_the_error() -> None:
    assert Retry("slow down", 2.5).after == 2.5
    assert Retry("gone").after == 0.0
