"""What the audit holds of each thing, in the transaction of that thing; and the commands audit, resolve and withdraw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrixcd_threads.commands.notices import Notices
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.events import FileNotice, Kind, RoomOutcome
from chatrixcd_threads.journal import audit, invites, launches, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.policy.access import OPERATOR, OPERATOR_ROOM
from chatrixcd_threads.semaphore.errors import Forbidden, TimedOut, Unreachable
from chatrixcd_threads.semaphore.launch import STALE
from chatrixcd_threads.text.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Bench

ROOM, PERSON, SECRET = "!room:x", "@ann:x", "tok-very-secret"
LOST = TimedOut("I got no answer within 15 s.", sent=True)


def book(bench: Bench) -> list[tuple[str, str, str]]:
    """(who, what, about) of every line, oldest first; the chain must be whole."""
    assert audit.verify(bench.journal.read()).broken == 0
    return [(line.who, line.what, line.subject) for line in reversed(audit.newest(bench.journal.read(), 99))]


def last(bench: Bench) -> audit.Line:
    return audit.newest(bench.journal.read(), 1)[0]


def doubtful(bench: Bench) -> str:
    """A launch of which nobody knows: its token."""
    bench.semaphore.fails = {"start": LOST, "template_tasks": Unreachable("no connection")}
    bench.react(bench.asked())
    bench.semaphore.fails = {}
    bench.deliver()
    return launches.unsettled(bench.journal.read())[0].token


# --- what is noted


def test_a_run_from_the_question_to_the_stop(bench: Bench) -> None:
    task = bench.started()
    bench.say(f"stop {task}")
    assert book(bench) == [
        (PERSON, "asked", "Deploy"),
        (PERSON, "confirmed", "Deploy"),
        (PERSON, "launched", "Deploy"),
        (PERSON, "started", "Deploy"),
        (PERSON, "stopped", f"#{task} Deploy"),
    ]
    lines = audit.newest(bench.journal.read(), 9)
    assert {line.room_id for line in lines} == {ROOM}
    assert lines[1].detail.startswith(f"#{task}, token ")


def test_no_and_the_end_of_the_time(bench: Bench) -> None:
    bench.react(bench.asked(), "no")
    bench.asked()
    (question,) = questions.all_open(bench.journal.read())
    bench.desk.expire(question)
    bench.desk.expire(question)
    assert [line[:2] for line in book(bench)] == [
        (PERSON, "asked"),
        (PERSON, "declined"),
        (PERSON, "asked"),
        ("", "expired"),
    ]


def test_a_yes_that_comes_twice_is_noted_once(bench: Bench) -> None:
    asked = bench.asked()
    bench.react(asked)
    bench.react(asked)
    bench.react(asked, "no")
    assert [what for _, what, _ in book(bench)].count("confirmed") == 1
    assert [what for _, what, _ in book(bench)].count("declined") == 0


def test_what_somebody_had_no_right_to(bench: Bench) -> None:
    bench.say("run 1 5 --password=hunter2", sender="@eve:x")  # the words of the command are not kept, its name is
    bench.say("config show", sender="@eve:x")
    bench.bot(allowed_rooms=("!other:x",))
    bench.say("stop 42 hunter2")
    assert book(bench) == [("@eve:x", "refused", "config"), (PERSON, "refused", "stop")]
    assert "not in bot.admin_users" in audit.newest(bench.journal.read(), 2)[1].detail
    assert not any("hunter2" in line.detail for line in audit.newest(bench.journal.read(), 9))


def test_a_question_whose_asker_has_lost_the_right(bench: Bench) -> None:
    asked = bench.asked()
    bench.bot(admin_users=("@bob:x",))
    bench.react(asked)
    assert [what for _, what, _ in book(bench)] == ["asked", "confirmed", "refused"]
    assert bench.semaphore.posts == []


@pytest.mark.parametrize("kind", [Kind.CLEAR, Kind.FORGED])
def test_a_message_that_cannot_be_trusted_leaves_no_words(bench: Bench, kind: Kind) -> None:
    bench.desk.handle(bench.event("run 1 5 my secret plan", kind, sender="@eve:x"))
    assert book(bench) == [("@eve:x", "refused", "")]
    assert "secret" not in str(last(bench))


def test_what_is_no_deed_is_not_noted(bench: Bench) -> None:
    for line in ("ping", "status", "help", "projects", "rnu", "rooms"):
        bench.say(line)
    bench.word("yes")
    assert book(bench) == []


def test_rooms(bench: Bench) -> None:
    bench.say("rooms join #new:x")
    bench.say("rooms leave !new:x")
    bench.say("rooms reject !new:x")
    assert [verb for verb, _ in bench.asked_rooms] == ["join", "part", "refuse"]
    assert [what for _, what, _ in book(bench)] == ["joined", "left", "invite refused"]
    bench.room_outcome = RoomOutcome("!new:x", "no")
    bench.say("rooms join !new:x")
    assert len(book(bench)) == 3


def test_invites_are_listed_for_those_who_may_settle_them(bench: Bench) -> None:
    assert "invited" not in bench.say("rooms")
    with bench.journal.write() as tx:
        invites.remember(tx, "!new:x", "@eve:x")
        invites.remember(tx, "!old:x", "@eve:x")
        invites.refuse(tx, "!old:x")
    said = bench.say("rooms")
    assert "• !new:x from @eve:x" in said
    assert "!old:x" not in said
    assert "!new:x" not in bench.say("rooms", sender="@bob:x")


def test_a_launch_that_failed_and_one_in_doubt(bench: Bench) -> None:
    bench.semaphore.fails["start"] = Forbidden("Semaphore forbids it (403).", sent=True, status=403)
    bench.react(bench.asked())
    assert last(bench).what == "not started"
    doubtful(bench)
    *_, doubt, asked = audit.newest(bench.journal.read(), 100)[::-1]
    assert (doubt.what, asked.what) == ("in doubt", "asked")
    assert "I cannot read its tasks either." in doubt.detail
    (launch,) = launches.unsettled(bench.journal.read())
    assert launch.looked == f"{LOST.sentence} I cannot read its tasks either."


@pytest.mark.parametrize("room", ["", ROOM])
def test_settings(bench: Bench, room: str) -> None:
    bench.bot(admin_room=room)
    notices = Notices(bench.tools, Poster(Redactor(lambda: (SECRET,))), lambda: None, list)
    notices.tell(FileNotice("config.json", "⚙", (f"a: 1 → {SECRET}",), by=PERSON, deed=Deed.CONFIG_UNDONE))
    notices.tell(FileNotice("aliases.json", "⛔", ("line 4",), deed=Deed.CONFIG_REFUSED))
    notices.tell(FileNotice("aliases.json", "✅ is fine again"))
    assert book(bench) == [(PERSON, "config undone", "config.json"), ("", "config refused", "aliases.json")]
    assert audit.newest(bench.journal.read(), 2)[1].detail == "a: 1 → ********"


def test_who_changes_a_file_by_a_command_is_known(bench: Bench) -> None:
    bench.say("aliases add deploy run 1 5")
    bench.say("messages use pirate")
    assert [(by, deed) for _, by, deed in bench.told] == [(PERSON, ""), (PERSON, "")]


# --- audit


def test_the_list_is_newest_first_and_for_admins(bench: Bench) -> None:
    assert "Nothing stands in the audit yet." in bench.say("audit")
    bench.started()
    said = bench.say("audit 2")
    assert said.index("started") < said.index("launched")
    assert "confirmed" not in said
    assert "The chain of all lines is whole." in said
    assert "not in bot.admin_users" in bench.say("audit", sender="@eve:x")
    for odd in ("0", "-1", "many", "501"):
        assert "I did nothing" in bench.say(f"audit {odd}")


def test_a_broken_chain_is_said_first(bench: Bench) -> None:
    bench.started()
    with bench.journal.write() as tx:
        tx.execute("DROP TRIGGER audit_changes_nothing")
        tx.execute("UPDATE audit SET who = '@bob:x' WHERE seq = 2")
    assert bench.say("audit").startswith("⛔ Line 2 of the audit was changed or taken out")


# --- withdraw


def test_a_withdrawn_question_cannot_be_answered(bench: Bench) -> None:
    asked = bench.asked()
    number = questions.all_open(bench.journal.read())[0].id
    assert f"{number}" in bench.say("withdraw")
    answer = bench.event(f"withdraw {number}", sender=OPERATOR, room_id=OPERATOR_ROOM)
    bench.desk.handle(answer)
    assert "is withdrawn" in bench.answer(answer)
    assert f"Withdrawn by {OPERATOR}, so nothing was done: Deploy." in bench.answer(asked)
    bench.react(asked)
    assert bench.semaphore.posts == []
    assert book(bench)[-1] == (OPERATOR, "withdrawn", "Deploy")
    assert f"no question {number} waits" in bench.say(f"withdraw {number}")
    assert "is no number" in bench.say("withdraw all")
    assert "No question waits" in bench.say("withdraw")
    assert "not in bot.admin_users" in bench.say("withdraw", sender="@eve:x")


def test_an_answer_that_was_quicker_wins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading of the question and its transaction somebody said yes: nothing of the withdrawal holds."""
    asked = bench.asked()
    (question,) = questions.all_open(bench.journal.read())
    bench.react(asked)
    monkeypatch.setattr(questions, "get", lambda read, number: question)
    before = bench.answer(asked)
    assert "answered or expired just now" in bench.say(f"withdraw {question.id}")
    assert bench.answer(asked) == before
    assert [what for _, what, _ in book(bench)].count("withdrawn") == 0
    assert bench.unhandled() == []


# --- resolve


def test_a_launch_that_was_started(bench: Bench) -> None:
    token = doubtful(bench)
    bench.semaphore.runs(77, message=f"asked by {PERSON} [{token}]")
    said = bench.say(f"resolve {token} started 77", sender=OPERATOR, room_id=OPERATOR_ROOM)
    assert "Its message ends with the token." in said
    assert "I follow it from now on." in said
    told = bench.content(f"resolved:{token}")
    assert f"was started as task #77 ({OPERATOR} has looked in Semaphore)" in told["plain"]
    assert told["mention"] == [PERSON]
    assert launches.unsettled(bench.journal.read()) == []
    assert [each.task_id for each in launches.followed(bench.journal.read())] == [77]
    assert bench.looked == 1
    assert book(bench)[-1] == (OPERATOR, "resolved", "Deploy")
    bench.semaphore.ends(77, "success")
    assert "✅" in bench.reported(77)
    assert "is not in doubt, it is “started” (task #77)" in bench.say(f"resolve {token} not-started")


def test_a_launch_whose_handling_was_given_up_while_it_was_sent(bench: Bench) -> None:
    token = doubtful(bench)
    with bench.journal.write() as tx:
        launches.move(tx, launches.unsettled(tx)[0].id, "sending", bench.now)
    assert "I am just sending the launch" in bench.say(f"resolve {token} not-started")
    bench.now += STALE + 1
    assert "counts as not started" in bench.say(f"resolve {token} not-started")


def test_a_launch_that_was_not_started(bench: Bench) -> None:
    token = doubtful(bench)
    said = bench.say(f"resolve [{token}] not-started")
    assert "counts as not started" in said
    assert f"resolved:{token}" not in bench.slots()  # it was asked for in this room: the answer is enough
    assert bench.looked == 0
    assert launches.by_token(bench.journal.read(), token).state == "failed"  # type: ignore[union-attr]


def test_a_task_without_the_token_is_taken_only_after_a_yes(bench: Bench) -> None:
    token = doubtful(bench)
    bench.semaphore.runs(77, message="by hand")
    asked = bench.event(f"resolve {token} started #77")
    bench.desk.handle(asked)
    bench.deliver()
    assert "does not end with the token" in bench.answer(asked)
    assert "It says: by hand" in bench.answer(asked)
    assert launches.followed(bench.journal.read()) == []
    bench.react(asked)
    assert "was started as task #77" in bench.answer(asked)
    assert last(bench).detail.endswith("task #77. Its message does not end with the token.")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("resolve {} started", "which task?"),
        ("resolve {} started soon", "which task?"),
        ("resolve {} started 99", "not found (404)"),
        ("resolve {} started 78", "is of template 6"),
        ("resolve {} not-started 77", "has no task"),
        ("resolve {} maybe", "I do not know “maybe”"),
        ("resolve 00000000 started 77", "I know no launch"),
        ("resolve", "token is missing"),
    ],
)
def test_what_cannot_be_settled_so(bench: Bench, line: str, problem: str) -> None:
    token = doubtful(bench)
    bench.semaphore.runs(77, message=f"[{token}]")
    bench.semaphore.runs(78, template_id=6, message=f"[{token}]")
    before = len(book(bench))
    assert problem in bench.say(line.format(token))
    assert "not in bot.admin_users" in bench.say(f"resolve {token} started 77", sender="@eve:x")
    assert [each.token for each in launches.unsettled(bench.journal.read())] == [token]
    assert [what for _, what, _ in book(bench)[before:]] == ["refused"]


def test_two_who_settle_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    token = doubtful(bench)
    (launch,) = launches.unsettled(bench.journal.read())
    bench.say(f"resolve {token} not-started")
    monkeypatch.setattr(launches, "by_token", lambda read, wanted: launch)
    bench.semaphore.runs(77, message=f"[{token}]")
    assert "somebody has settled the launch" in bench.say(f"resolve {token} started 77")
    assert launches.followed(bench.journal.read()) == []
    assert bench.unhandled() == []
