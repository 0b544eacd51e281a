"""`ping`: is everything that the bot needs there?"""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.commands.phrases import phrase
from chatrixcd_threads.commands.stills import hanging
from chatrixcd_threads.text.markup import lines, text


@command("ping", "asks Semaphore whether it is there, and says how long it took")
def ping(call: Call) -> Reply:
    """Raises one of Semaphore's errors, which then says what is wrong."""
    seconds = call.tools.semaphore.ping()
    cheer = phrase(call.tools.messages, "ping_success", tone=call.tone, user_name=call.sender)
    hangs = hanging(call.tools.journal.read())
    return Reply(
        lines(
            text("🏓 ") + cheer if cheer and not hangs else "",
            f"Semaphore answered in {seconds * 1000:.0f} ms.",
            f"⛔ {hangs}" if hangs else "",
        )
    )
