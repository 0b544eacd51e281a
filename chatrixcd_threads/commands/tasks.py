"""Which task is meant: by its number, or the one this room last heard of."""

from __future__ import annotations

from dataclasses import dataclass

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.errors import NotFound, UsageError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.semaphore.errors import Forbidden, Missing
from chatrixcd_threads.semaphore.models import Task


@dataclass(frozen=True, slots=True)
class Found:
    """A task with the project it belongs to (tasks are only reachable through their project)."""

    project_id: int
    task: Task


def find_task(call: Call) -> Found:
    """The task named by `task`, else the thread's, else the one the room last heard of. Raises NotFound or UsageError."""
    named = call.values.get("task")
    if named is None:
        return _of_thread(call) or _last(call)
    number = named.removeprefix("#")
    if not number.isdecimal() or len(number) > 18:
        raise UsageError(f"I did nothing: “{named}” is no task number. Try {call.prefix} status 42.")
    return _numbered(call, int(number))


def find_running(call: Call) -> Found:
    """For what changes a task: named, the thread's, or the only running one of this person here. Never a guess."""
    if "task" in call.values:
        return find_task(call)
    if found := _of_thread(call):
        return found
    mine = launches.running_of(call.tools.journal.read(), call.room_id, call.sender)
    if len(mine) == 1:
        return Found(mine[0].project_id, call.tools.semaphore.task(mine[0].project_id, mine[0].task_id))
    named = ", ".join(f"#{each.task_id} {each.template_name}" for each in mine) or "none of yours runs here"
    raise UsageError(f"I did nothing: which task? Name one ({named}), or say it in the task's thread.")


def _of_thread(call: Call) -> Found | None:
    if call.thread is None:
        return None
    found = launches.in_thread(call.tools.journal.read(), call.room_id, call.thread)
    return None if found is None else Found(found[0], call.tools.semaphore.task(*found))


def _last(call: Call) -> Found:
    last = launches.last_in(call.tools.journal.read(), call.room_id, call.sender)
    if last is None:
        raise NotFound(f"No task was started from this room yet. Name one: {call.prefix} status 42.")
    project_id, task_id = last
    return Found(project_id, call.tools.semaphore.task(project_id, task_id))


def _numbered(call: Call, task_id: int) -> Found:
    semaphore = call.tools.semaphore
    met = launches.project_of(call.tools.journal.read(), task_id)
    others = [project.id for project in semaphore.projects() if project.id not in met] if not met else []
    forbidden: Forbidden | None = None
    for project_id in [*met, *others]:
        try:
            return Found(project_id, semaphore.task(project_id, task_id))
        except Missing:
            continue
        except Forbidden as error:
            forbidden = error
    if forbidden is not None:  # it may well be there
        raise forbidden
    raise NotFound(f"Semaphore has no task #{task_id} in any project that I can see.")
