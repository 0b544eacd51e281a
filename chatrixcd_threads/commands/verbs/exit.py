"""`exit`: stops the bot, after a question."""

from __future__ import annotations

from collections.abc import Mapping

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Ask, Note, Reply, command
from chatrixcd_threads.journal import launches, outbox, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.policy.access import OPERATOR_ROOM, Right
from chatrixcd_threads.text.markup import Text, code, lines, text

STOPPING = "stopping the bot"


@command("exit", "stops the bot (I ask first)", right=Right.MANAGE, deed="stop the bot")
def exit_(call: Call) -> Answer:
    """Says what is still running, and that it will be followed again. Said once more while it asks, it is the yes."""
    asked = tuple(each for each in questions.all_open(call.tools.journal.read()) if _is_mine(each, call))
    if asked:
        note = Note(Deed.CONFIRMED, STOPPING, "exit")
        return Reply(_leave(call), accepted=asked, notes=(note,))
    running = launches.followed(call.tools.journal.read())
    kept = (
        "Nothing that I follow is running."
        if not running
        else (
            "Tasks I follow: "
            + ", ".join(f"#{each.task_id} {each.template_name}" for each in running[:10])
            + ". They go on in Semaphore, and I follow them again when I am back."
        )
    )
    again = text("To say ") + code(f"{call.prefix} exit") + " again does it, too."
    return Ask(lines("Shall I stop?", text(kept), again), {"summary": STOPPING})


def _is_mine(question: Question, call: Call) -> bool:
    """Whether it is this person's question of this room about a stop, still in time, and there to be read: who says the
    command twice because nothing has come yet has not said yes."""
    asked = (question.action, question.asker, question.room_id) == ("exit", call.sender, call.room_id)
    seen = call.room_id == OPERATOR_ROOM or outbox.in_sight(call.tools.journal.read(), question.slot)
    return asked and seen and question.expires_at > call.tools.now()


@exit_.confirmed
def leave(call: Call, payload: Mapping[str, object]) -> Reply:
    """The stop begins once this answer has been sent."""
    return Reply(_leave(call))


def _leave(call: Call) -> Text:
    call.tools.leave()
    return text("👋 I am stopping now. Somebody has to start me again.")
