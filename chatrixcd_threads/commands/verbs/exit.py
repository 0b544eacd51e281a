"""`exit`: stops the bot, after a question."""

from __future__ import annotations

from collections.abc import Mapping

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Ask, Reply, command
from chatrixcd_threads.journal import launches
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import lines, text


@command("exit", "stops the bot (I ask first)", right=Right.MANAGE, deed="stop the bot")
def exit_(call: Call) -> Ask:
    """Says what is still running, and that it will be followed again."""
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
    return Ask(lines("Shall I stop?", text(kept)), {"summary": "stopping the bot"})


@exit_.confirmed
def leave(call: Call, payload: Mapping[str, object]) -> Reply:
    """The stop begins once this answer has been sent."""
    call.tools.leave()
    return Reply(text("👋 I am stopping now. Somebody has to start me again."))
