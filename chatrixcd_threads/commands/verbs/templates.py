"""`templates`: what can be run in a project."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.targets import find_project
from chatrixcd_threads.semaphore.find import fold, in_project, likeness, nothing, of_project, reading
from chatrixcd_threads.semaphore.models import Project, Template
from chatrixcd_threads.semaphore.targets import split_slash
from chatrixcd_threads.text.markup import bold, code, lines, table, text


@command(
    "templates",
    "lists the templates of a project",
    example="templates 1",
    args=(
        Arg(
            "project",
            "number or name; may be left out when there is only one. PROJECT/WORDS lists only what fits the words",
            rest=True,
        ),
    ),
)
def templates(call: Call) -> Reply:
    """With the result of each template's last task."""
    semaphore = call.tools.semaphore
    named, words = _divided(call)
    project = find_project(call, named)
    found = semaphore.templates(project.id)
    title = bold(project.name) + f" (project {project.id})"
    if not found:
        return Reply(lines(title, "There are no templates in this project."))
    shown = _fitting(call, project, found, words)
    rows = [
        (
            bold(each.id),
            each.name,
            each.app or "ansible",
            status(each.last_task.status) if each.last_task else "never run",
        )
        for each in shown
    ]
    hint = text("Run one: ") + code(f"{call.prefix} run {project.id} {shown[0].id}")
    return Reply(lines(title, table(("id", "template", "app", "last result"), rows), hint), greet=True)


def _divided(call: Call) -> tuple[str | None, str | None]:
    """Project and words. A slash that belongs to a project's name divides nothing."""
    typed = call.values.get("project")
    if (
        typed is None
        or "/" not in typed
        or any(fold(each.name) == fold(typed) for each in call.tools.semaphore.projects())
    ):
        return typed, None
    return split_slash(typed)


def _fitting(call: Call, project: Project, found: list[Template], words: str | None) -> list[Template]:
    """Those that fit the words, all without words. Raises what says which are near when none fits."""
    picked = call.picked.get("template")
    if words is None:
        return found
    if picked is not None:
        return [each for each in found if each.id == picked.id] or found
    shown = [each for each in found if reading(words, each.id, each.name) is not None]
    if shown:
        return shown
    raise nothing(
        "template",
        words,
        {of_project(project, each): likeness(words, each.name) for each in found},
        in_project(project),
    )
