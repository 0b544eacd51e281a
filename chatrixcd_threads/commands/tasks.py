"""Which task is meant: by its number, a word, a link, its template's name, or by where it is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.targets import find_template
from chatrixcd_threads.errors import Candidate, Choice, NotFound, UsageError, UserError
from chatrixcd_threads.journal import begun, launches
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Forbidden, Missing
from chatrixcd_threads.semaphore.models import Task, Template

TASK: Final = "number, last, mine, a link to its message, or its template's name"  # for the help of such an argument
KNOWN: Final = 3
_LINK: Final = re.compile(r"(?:https?://matrix\.to/#/[^/?]+/\$|matrix:r(?:oomid)?/[^/?]+/e(?:vent)?/)([^/?]+)(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class Found:
    """A task with the project it belongs to (tasks are only reachable through their project)."""

    project_id: int
    task: Task


def find_task(call: Call, verb: str) -> Found:
    """The task named by `task`, else the one it is said to, else the one the room last heard of. Raises UserError.

    `verb` is the command, for the line that a refusal proposes.
    """
    named = call.values.get("task")
    if named is None:
        return _implied(call) or _last(call, verb)
    return _named(call, named, verb) or _newest_of_template(call, named)


def find_running(call: Call, verb: str) -> Found:
    """For what changes a task: named, the one it is said to, or the only running one of this person here. Never a guess."""
    if (marked := begun.of(call.tools.journal.read(), call.seq)) is not None:  # before a crash; it may be over by now
        return _read(call, marked.project_id, marked.task_id)
    if (named := call.values.get("task")) is not None:
        if named.casefold() == "mine":
            return _only(call, _running(call), "mine")
        return _named(call, named, verb) or _running_of_template(call, named)
    return _picked(call) or _still_that(call, _implied(call), verb) or _only(call, _running(call), "")


def _still_that(call: Call, found: Found | None, verb: str) -> Found | None:
    """Raises UserError for a task that is over for the room and goes on in Semaphore: there its number was given anew."""
    if found is None or found.task.finished:
        return found
    number = found.task.id
    if all(each.done for each in launches.follows_of(call.tools.journal.read(), found.project_id, number)):
        raise UserError(
            f"I did nothing: the task #{number} that was spoken of here is over, but Semaphore has one of that number that is "
            f"“{status(found.task.status).plain}”. If you mean that one: {call.prefix} {verb} {number}."
        )
    return found


def _named(call: Call, named: str, verb: str) -> Found | None:
    """By what can only be a task; None for what may be the name of a template."""
    if (picked := _picked(call)) is not None:
        return picked
    number = named.removeprefix("#")
    if number.isdecimal() and len(number) <= 18:
        return _numbered(call, int(number))
    first, *more = number.split() or [""]
    if more and first.isdecimal() and not more[0].startswith("/"):  # never task 1 for one word and another for more
        raise UsageError(
            f"I did nothing: I do not know what to do with “{more[0]}” after the number of a task. "
            f"Try {call.prefix} {verb} {first}."
        )
    if not named.strip() or number.isdecimal():
        raise UsageError(f"I did nothing: “{named}” is no task number. Try {call.prefix} {verb} 42.")
    read = call.tools.journal.read()
    if named.casefold() in ("last", "mine"):
        newest = launches.newest_in(read, call.room_id, call.sender if named.casefold() == "mine" else None)
        if not newest:
            raise NotFound(f"No such task was started from this room yet. Name one: {call.prefix} {verb} 42.")
        return _read(call, newest[0].project_id, newest[0].task_id)
    if (link := _LINK.fullmatch(unquote(named))) is not None:
        found = launches.of_message(read, f"${link[1]}")
        if found is None:
            raise NotFound(f"That message is about no task that I know.{_known(call)}")
        return _read(call, *found)
    return None


def _picked(call: Call) -> Found | None:
    picked = call.picked.get("task")
    return None if picked is None else _read(call, picked.project_id, picked.id)


def _implied(call: Call) -> Found | None:
    """The task of the message that is replied to, or of the thread."""
    for event_id in (call.replied, call.thread):
        found = launches.in_thread(call.tools.journal.read(), call.room_id, event_id) if event_id else None
        if found is not None:
            return _read(call, *found)
    return None


def _last(call: Call, verb: str) -> Found:
    last = launches.last_in(call.tools.journal.read(), call.room_id, call.sender)
    if last is None:
        raise NotFound(f"No task was started from this room yet. Name one: {call.prefix} {verb} 42.")
    return _read(call, *last)


def _running(call: Call) -> list[Follow]:
    return launches.running_of(call.tools.journal.read(), call.room_id, call.sender)


def _only(call: Call, mine: Sequence[Follow], typed: str) -> Found:
    if len(mine) == 1:
        return _read(call, mine[0].project_id, mine[0].task_id)
    if picked := _picked(call):
        return picked
    if mine:
        known = [Candidate(each.task_id, f"#{each.task_id} {each.template_name}", each.project_id) for each in mine]
        said = f"“{typed}” fits more than one running task." if typed else "More than one of yours runs here."
        raise Choice(said, "task", known)
    raise UsageError(
        "I did nothing: which task? Name one (none of yours runs here), or say it in the task's thread." + _known(call)
    )


def _newest_of_template(call: Call, named: str) -> Found:
    """For reading: the last task of the template with this name."""
    template, tasks = _tasks_of(call, named)
    if not tasks:
        raise NotFound(f"{template.name} (project {template.project_id}, template {template.id}) has never run.")
    return _read(call, template.project_id, tasks[0].id)


def _running_of_template(call: Call, named: str) -> Found:
    """For what changes a task: the only one of the template that is not over."""
    template, tasks = _tasks_of(call, named)
    running = [each for each in tasks if not each.finished]
    if len(running) > 1:
        known = [
            Candidate(each.id, f"#{each.id} {template.name}, {status(each.status).plain}", template.project_id)
            for each in running
        ]
        raise Choice(f"“{named}” fits more than one running task.", "task", known)
    if not running:
        last = f", the last was #{tasks[0].id} ({status(tasks[0].status).plain})" if tasks else ""
        raise UserError(f"I did nothing: no task of {template.name} (project {template.project_id}) runs{last}.")
    return _read(call, template.project_id, running[0].id)


def _tasks_of(call: Call, named: str) -> tuple[Template, list[Task]]:
    first, _, rest = named.strip().partition(" ")
    try:
        project, template = find_template(call, first, rest.strip() or None)
    except NotFound as error:
        raise NotFound(f"“{named[:100]}” is no task number. {error.sentence}") from error
    return template, call.tools.semaphore.template_tasks(project.id, template.id)


def _read(call: Call, project_id: int, task_id: int) -> Found:
    return Found(project_id, call.tools.semaphore.task(project_id, task_id))


def _known(call: Call) -> str:
    """The tasks that this room heard of last, for an answer that found none."""
    newest = launches.newest_in(call.tools.journal.read(), call.room_id, most=KNOWN)
    named = ", ".join(f"#{each.task_id} {each.template_name}" for each in newest)
    return f" The last ones here: {named}." if named else ""


def _first(met: list[int], semaphore: Semaphore) -> Iterator[int]:
    """The projects in which the bot has met the task, then all others: a restored Semaphore repeats numbers elsewhere."""
    yield from met
    yield from (project.id for project in semaphore.projects() if project.id not in met)


def _numbered(call: Call, task_id: int) -> Found:
    semaphore = call.tools.semaphore
    met = launches.project_of(call.tools.journal.read(), task_id)
    forbidden: Forbidden | None = None
    for project_id in _first(met, semaphore):
        try:
            return Found(project_id, semaphore.task(project_id, task_id))
        except Missing:
            continue
        except Forbidden as error:
            forbidden = error
    if forbidden is not None:  # it may well be there
        raise forbidden
    raise NotFound(f"Semaphore has no task #{task_id} in any project that I can see.{_known(call)}")
