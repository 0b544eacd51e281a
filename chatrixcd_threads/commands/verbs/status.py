"""`status`: how a task is."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.show import asker, duration, status
from chatrixcd_threads.commands.tasks import TASK, find_task
from chatrixcd_threads.text.markup import bold, lines, text


@command(
    "status",
    "shows how a task is",
    example="status 42",
    args=(Arg("task", f"{TASK}; else the one this room last heard of", rest=True),),
)
def show_status(call: Call) -> Reply:
    """Running or not, also after a restart of the bot, also of tasks it did not start."""
    found = find_task(call, "status")
    task = found.task
    template = call.tools.semaphore.template(found.project_id, task.template_id) if not task.tpl_alias else None
    name = template.name if template else task.tpl_alias
    head = text("Task ") + bold(f"#{task.id}") + f" {name} (project {found.project_id}): " + status(task.status)
    took = duration(task, call.tools.now())
    verb = "It took" if task.finished else "It has been running for"
    who = asker(task)
    return Reply(
        lines(
            head,
            f"{verb} {took}." if took else "It has not started yet." if not task.finished else "",
            f"Asked by {who}." if who else "",
        ),
        greet=True,
    )
