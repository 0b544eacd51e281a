"""`templates`: what can be run in a project."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.semaphore.find import resolve_project
from chatrixcd_threads.text.markup import bold, code, lines, table, text


@command(
    "templates",
    "lists the templates of a project",
    example="templates 1",
    args=(Arg("project", "number or name; may be left out when there is only one", rest=True),),
)
def templates(call: Call) -> Reply:
    """With the result of each template's last task."""
    semaphore = call.tools.semaphore
    project = resolve_project(semaphore, call.values.get("project"))
    found = semaphore.templates(project.id)
    title = bold(project.name) + f" (project {project.id})"
    if not found:
        return Reply(lines(title, "There are no templates in this project."))
    rows = [
        (
            bold(each.id),
            each.name,
            each.app or "ansible",
            status(each.last_task.status) if each.last_task else "never run",
        )
        for each in found
    ]
    hint = text("Run one: ") + code(f"{call.prefix} run {project.id} {found[0].id}")
    return Reply(lines(title, table(("id", "template", "app", "last result"), rows), hint), greet=True)
