"""`projects`: what Semaphore lets the bot see."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.errors import Candidate
from chatrixcd_threads.semaphore.find import likeness, nothing, reading
from chatrixcd_threads.semaphore.models import Project
from chatrixcd_threads.text.markup import bold, code, lines, table, text


@command(
    "projects",
    "lists the projects in Semaphore",
    example="projects web",
    args=(Arg("words", "only those whose name they fit", rest=True),),
)
def projects(call: Call) -> Reply:
    """An error of Semaphore is told as an error, never as an empty list."""
    found = call.tools.semaphore.projects()
    if not found:
        return Reply(
            text(
                "Semaphore answered, but shows me no project: make its user for the bot a member of one (role task_runner)."
            )
        )
    found = _fitting(call, found)
    rows = [(bold(each.id), each.name) for each in found]
    hint = text("Their templates: ") + code(f"{call.prefix} templates {found[0].id}")
    return Reply(lines(table(("id", "project"), rows), hint), greet=True)


def _fitting(call: Call, found: list[Project]) -> list[Project]:
    """Those that fit the words, all without words. Raises what says which are near when none fits."""
    words, picked = call.values.get("words"), call.picked.get("project")
    if picked is not None:
        return [each for each in found if each.id == picked.id] or found
    if words is None:
        return found
    shown = [each for each in found if reading(words, each.id, each.name) is not None]
    if shown:
        return shown
    raise nothing("project", words, {Candidate(each.id, each.name): likeness(words, each.name) for each in found})
