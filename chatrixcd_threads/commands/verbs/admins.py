"""`admins`: who may start, stop and change things."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.settings.model import EVERYBODY
from chatrixcd_threads.text.markup import bullets, lines, person, text


@command("admins", "lists who may start and stop tasks and manage the bot")
def admins(call: Call) -> Reply:
    """Says plainly when that is nobody or everybody."""
    listed = call.tools.settings.bot.admin_users
    if not listed:
        return Reply(
            text(
                "There are no admins: bot.admin_users in config.json is empty, so nobody may start, stop or change anything."
            )
        )
    if EVERYBODY in listed:
        return Reply(text('⚠ Everybody is an admin: bot.admin_users contains "*".'))
    return Reply(
        lines("These people may start and stop tasks and manage me:", bullets([person(each) for each in listed]))
    )
