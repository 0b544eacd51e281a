"""`withdraw`: takes back a question that waits for an answer; nobody can answer it any more."""

from __future__ import annotations

import sqlite3

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.desk import still_in_doubt
from chatrixcd_threads.commands.notices import ANY_ADMIN
from chatrixcd_threads.commands.post import Also, Where, home_of
from chatrixcd_threads.errors import NotFound, UsageError
from chatrixcd_threads.journal import audit, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import Text, bold, code, lines, person, table, text


@command(
    "withdraw",
    "takes back a question that waits for an answer, or lists those that wait",
    example="withdraw 7",
    right=Right.MANAGE,
    deed="withdraw questions",
    args=(Arg("question", "the question's number in the list"),),
)
def withdraw(call: Call) -> Reply:
    """The question's message says who withdrew it. An answer that comes at the same moment wins or loses as a whole."""
    read = call.tools.journal.read()
    named = call.values.get("question")
    if named is None:
        return _listed(call, questions.all_open(read))
    if not named.isdecimal() or len(named) > 18:
        raise UsageError(f"I did nothing: “{named}” is no number of a question. {call.prefix} withdraw lists them.")
    question = questions.get(read, int(named))
    if question is None or question.state != "open":
        raise NotFound(f"I did nothing: no question {named} waits for an answer. {call.prefix} withdraw lists them.")
    summary = str(question.payload.get("summary", ""))

    def settle(tx: sqlite3.Connection) -> None:
        if not questions.settle(tx, question.id, "withdrawn", call.event_id):
            raise NotFound(f"I did nothing: question {question.id} was answered or expired just now.")
        audit.note(
            tx,
            Deed.WITHDRAWN,
            who=call.sender,
            room_id=question.room_id,
            subject=summary,
            detail=f"asked by {question.asker}" if question.asker else "",
            now=call.tools.now(),
        )

    replied = question.command_event if question.command_event != question.slot else None
    where = Where(question.slot, question.room_id, question.thread, replied)
    doubt = still_in_doubt(question, call.tools)
    done = f". {doubt}" if doubt else f", so nothing was done: {summary}."
    said = lines(text("✖ Withdrawn by ") + person(call.sender) + text(done))
    also = tuple(Also(each, said) for each in (where, home_of(question)) if each is not None)
    return Reply(text("✖ The question about ") + bold(summary) + " is withdrawn.", deed=settle, also=also)


def _listed(call: Call, waiting: list[Question]) -> Reply:
    if not waiting:
        return Reply(text("No question waits for an answer."))
    rows = [(bold(each.id), str(each.payload.get("summary", "")), _asker(each), each.room_id) for each in waiting]
    how = text("Take one back: ") + code(f"{call.prefix} withdraw {waiting[0].id}")
    return Reply(lines("These questions wait for an answer:", table(("number", "about", "of", "in"), rows), how))


def _asker(question: Question) -> Text:
    return text("any admin") if question.asker == ANY_ADMIN else person(question.asker)
