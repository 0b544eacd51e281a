"""`projects`: what Semaphore lets the bot see."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.text.markup import bold, code, lines, table, text


@command("projects", "lists the projects in Semaphore")
def projects(call: Call) -> Reply:
    """An error of Semaphore is told as an error, never as an empty list."""
    found = call.tools.semaphore.projects()
    if not found:
        return Reply(
            text(
                "Semaphore answered, but shows me no project: make its user for the bot a member of one (role task_runner)."
            )
        )
    rows = [(bold(each.id), each.name) for each in found]
    hint = text("Their templates: ") + code(f"{call.prefix} templates {found[0].id}")
    return Reply(lines(table(("id", "project"), rows), hint), greet=True)
