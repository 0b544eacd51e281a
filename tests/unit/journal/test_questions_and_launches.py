"""Questions are settled once; launches and follows survive everything and are told once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from chatrixcd_threads.journal import launches, outbox, questions
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.journal.questions import Question


def ask(journal: Journal, slot: str, *, now: float = 0.0, **more: Any) -> Question:
    facts: dict[str, Any] = {"room_id": "!r", "thread": None, "asker": "@a", "action": "run", "payload": {"n": 1}}
    facts |= {"command_event": f"${slot}", "now": now, "seconds": 300.0} | more
    with journal.write() as tx:
        questions.ask(tx, slot=slot, **facts)
    return next(each for each in questions.open_for(journal.read(), facts["room_id"], facts["asker"]))


def confirm(journal: Journal, token: str = "t1", **more: Any) -> Launch:
    facts: dict[str, Any] = {"slot": "answer:$1", "room_id": "!r", "thread": None, "sender": "@a", "project_id": 1}
    facts |= {"template_id": 2, "template_name": "Deploy", "body": {"template_id": 2, "message": "m"}, "now": 5.0}
    with journal.write() as tx:
        launches.confirm(tx, token=token, **(facts | more))
    launch = launches.by_token(journal.read(), token)
    assert launch is not None
    return launch


def test_a_question_is_settled_once(journal: Journal) -> None:
    question = ask(journal, "s")
    with journal.write() as tx:
        assert questions.settle(tx, question.id, "yes")
        assert not questions.settle(tx, question.id, "no")
        assert not questions.settle(tx, question.id, "expired")
    assert questions.open_for(journal.read(), "!r", "@a") == []


def test_asking_twice_is_asking_once(journal: Journal) -> None:
    first = ask(journal, "s", payload={"n": 1})
    assert ask(journal, "s", payload={"n": 2}) == first


def test_the_newest_question_comes_first(journal: Journal) -> None:
    ask(journal, "one")
    ask(journal, "two")
    assert [each.slot for each in questions.open_for(journal.read(), "!r", "@a")] == ["two", "one"]


def test_questions_expire_at_their_time(journal: Journal) -> None:
    ask(journal, "late", now=100.0)
    ask(journal, "soon", now=50.0)
    read = journal.read()
    assert questions.next_expiry(read) == 350.0
    assert questions.expired(read, 349.9) == []
    assert [each.slot for each in questions.expired(read, 350.0)] == ["soon"]
    with journal.write() as tx:
        questions.settle(tx, 2, "expired")
    assert questions.next_expiry(read) == 400.0


def test_the_nudge_is_given_once(journal: Journal) -> None:
    question = ask(journal, "s")
    with journal.write() as tx:
        assert questions.nudge(tx, question.id)
        assert not questions.nudge(tx, question.id)


def test_a_question_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    with journal.write() as tx:
        outbox.put(tx, "s", "!r", {"plain": "?"}, outbox.Priority.ANSWER)
        outbox.sent(tx, outbox.begin(tx, 1), "$q")
    before = ask(journal, "s", thread="$t", payload={"token": "abc", "deep": [1, {"x": None}]})
    journal.close()
    again = Journal(path)
    assert questions.by_event(again.read(), "$q") == before
    assert questions.by_event(again.read(), "$other") is None
    assert before.payload == {"token": "abc", "deep": [1, {"x": None}]}
    again.close()


def test_confirming_twice_is_confirming_once(journal: Journal) -> None:
    first = confirm(journal)
    assert confirm(journal, template_name="Something else") == first
    assert (first.state, first.task_id, first.body) == ("confirmed", None, {"template_id": 2, "message": "m"})


def test_a_launch_keeps_its_task_whatever_comes_later(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        launches.move(tx, launch.id, "started", 6.0, 42)
        launches.move(tx, launch.id, "doubt", 7.0)
    moved = launches.by_token(journal.read(), "t1")
    assert moved is not None
    assert (moved.state, moved.task_id, moved.changed_at) == ("doubt", 42, 7.0)
    assert launches.by_token(journal.read(), "t2") is None


def test_a_task_is_followed_once_in_a_room_and_told_once(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        launches.follow(tx, launch, 42)
        launches.follow(tx, launch, 42)
    (follow,) = launches.followed(journal.read())
    assert (follow.task_id, follow.person, follow.status, follow.stopper) == (42, "@a", "", None)
    with journal.write() as tx:
        assert launches.saw(tx, follow.id, "running")
        assert not launches.saw(tx, follow.id, "running")
        assert launches.told(tx, follow.id, "success")
        assert not launches.told(tx, follow.id, "success")
        assert not launches.saw(tx, follow.id, "success")
    assert launches.followed(journal.read()) == []
    kept = launches.get_follow(journal.read(), follow.id)
    assert kept is not None
    assert kept.done
    assert [(row[1], row[3]) for row in launches.listed_lines(journal.read())] == [(42, "success")]
    assert kept.status == "success"
    assert launches.get_follow(journal.read(), 99) is None


def stop(journal: Journal, *, room: str, person: str, slot: str) -> None:
    with journal.write() as tx:
        launches.follow_stop(
            tx,
            project_id=1,
            task_id=42,
            template_name="Deploy",
            room_id=room,
            thread=None,
            person=person,
            slot=slot,
        )


def test_followed_tasks_can_be_had_as_plain_lines(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        for task in (42, 43, 44):
            launches.follow(tx, launch, task)
        _, second, third = launches.followed(tx)
        launches.saw(tx, second.id, "running")
        tx.execute("UPDATE follows SET done = 1 WHERE id = ?", (third.id,))
    stop(journal, room="!r", person="@b", slot="answer:$stop")
    assert launches.listed_lines(journal.read()) == [
        (1, 42, second.template_name, "waiting", "@a", "!r", "@b"),
        (1, 43, second.template_name, "running", "@a", "!r", None),
        (1, 44, second.template_name, "waiting", "@a", "!r", None),
    ]
    assert len(launches.listed_lines(journal.read(), ended=0)) == 2


def test_who_stops_a_task_is_told_to_every_room_that_follows_it(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        launches.follow(tx, launch, 42)
    stop(journal, room="!other", person="@b", slot="answer:$stop")
    stop(journal, room="!other", person="@c", slot="answer:$stop2")
    mine, theirs = launches.followed(journal.read())
    assert (mine.room_id, mine.person, mine.stopper, mine.stop_slot) == ("!r", "@a", "@b", None)
    assert (theirs.room_id, theirs.stopper, theirs.stop_slot) == ("!other", "@b", "answer:$stop2")


def test_a_stop_in_the_same_room_is_the_same_follow(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        launches.follow(tx, launch, 42)
    stop(journal, room="!r", person="@b", slot="answer:$stop")
    (follow,) = launches.followed(journal.read())
    assert (follow.person, follow.stopper, follow.stop_slot) == ("@a", "@b", "answer:$stop")


def test_a_task_is_found_again_by_number_and_by_room(journal: Journal) -> None:
    read = journal.read()
    assert launches.project_of(read, 42) == []
    assert launches.last_in(read, "!r", "@a") is None
    for token, task, person, project in (("t1", 42, "@a", 1), ("t2", 43, "@b", 3)):
        launch = confirm(journal, token, sender=person, project_id=project)
        with journal.write() as tx:
            launches.move(tx, launch.id, "started", 6.0, task)
            launches.follow(tx, launch, task)
    assert launches.project_of(read, 42) == [1]
    assert launches.last_in(read, "!r", "@a") == (1, 42)  # one's own running task first
    assert launches.last_in(read, "!r", "@c") == (3, 43)  # else the newest
    with journal.write() as tx:
        launches.told(tx, 1, "success")
    assert launches.last_in(read, "!r", "@a") == (3, 43)


def said(journal: Journal, slot: str) -> str:
    """The event of a message of the bot."""
    with journal.write() as tx:
        outbox.put(tx, slot, "!r", {"plain": slot}, outbox.Priority.ANSWER)
        (row,) = tx.execute("SELECT id FROM outbox WHERE slot = ?", (slot,)).fetchall()
        outbox.sent(tx, outbox.begin(tx, row["id"]), f"$event of {slot}")
    return f"$event of {slot}"


def test_every_message_about_a_task_leads_to_it(journal: Journal) -> None:
    launch = confirm(journal)
    with journal.write() as tx:
        for task in (41, 42, 43):
            launches.follow(tx, replace(launch, slot=f"answer:$of {task}"), task)
    stop(journal, room="!r", person="@a", slot="answer:$stop")
    kinds = ("end", "waits", "against", "plan", "still", "hang")
    slots = ["answer:$of 42", "answer:$of 42+", "answer:$stop", "hang:2:1795", *(f"{kind}:2" for kind in kinds)]
    for event in ("$of 42", *(said(journal, slot) for slot in slots)):
        assert launches.of_message(journal.read(), event) == (1, 42), event
        assert launches.in_thread(journal.read(), "!r", event) == (1, 42), event
        assert launches.in_thread(journal.read(), "!elsewhere", event) is None
    for event in ("$unknown", said(journal, "answer:$else"), said(journal, "file:2"), said(journal, "end:99")):
        assert launches.of_message(journal.read(), event) is None, event
        assert launches.in_thread(journal.read(), "!r", event) is None, event
