"""`scold`: a word of blame for the bot."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.commands.phrases import phrase
from chatrixcd_threads.text.markup import text


@command("scold", "blames the bot", hidden=True)
def scold(call: Call) -> Reply:
    """Charm only."""
    return Reply(phrase(call.tools.messages, "scold", tone=call.tone, user_name=call.sender) or text("🫡"))
