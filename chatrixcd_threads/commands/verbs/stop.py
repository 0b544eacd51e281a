"""`stop`: asks Semaphore to stop a task, and tells when it has stopped."""

from __future__ import annotations

from collections.abc import Iterable

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Opt, Reply, command
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.tasks import TASK, Found, find_running
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import audit, begun, launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.begun import Begun
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.models import NOT_YET_RUN, WAITS, Task
from chatrixcd_threads.semaphore.stopping import doubt_of, stop_when_started
from chatrixcd_threads.text.markup import bold, code, lines, person, text


@command(
    "stop",
    "stops a task, and says when it has really stopped",
    example="stop 42",
    right=Right.RUN,
    deed="stop tasks",
    args=(Arg("task", f"{TASK}; in its thread, or when only one of yours runs here, it may be left out", rest=True),),
    options=(Opt("force", "kills it, when a plain stop does not help"),),
)
def stop(call: Call) -> Reply:
    """Reads the task first: a stop would rewrite the result of a finished one (API.md 5.5), so none is sent then."""
    found, force = find_running(call, "stop"), "force" in call.options
    task = found.task
    if (marked := begun.of(call.tools.journal.read(), call.seq)) is not None and (task.finished or call.late):
        return _interrupted(call, task, marked)
    named = text("Task ") + bold(f"#{task.id}")
    if task.finished:
        return _over(task)
    if force:
        refuse_to_kill_what_waits(task)
    name = task.tpl_alias or call.tools.semaphore.template(found.project_id, task.template_id).name
    again = task.status == "stopping" and not force
    task = task if again else _ask_semaphore(call, found, force)
    if task.finished:
        return _over(task)
    with call.tools.journal.write() as tx:
        launches.follow_stop(
            tx,
            project_id=found.project_id,
            task_id=task.id,
            template_name=name,
            room_id=call.room_id,
            thread=call.thread,
            person=call.sender,
            slot=call.slot,
        )
        audit.note(
            tx,
            Deed.STOPPED,
            who=call.sender,
            room_id=call.room_id,
            subject=f"#{task.id} {name}",
            detail="it was being stopped already" if again else f"project {found.project_id}",
            now=call.tools.now(),
        )
    call.tools.follow_now()
    asked = text("🛑 It is being stopped already: ") if again else text("🛑 I asked Semaphore to stop ")
    plan = task.status == WAITS and not force  # on servers up to 2.16 it stays stopping there (NEWER.md 1.12)
    hangs = plan or (again and task.start is not None)
    hint = f"If it hangs: {call.prefix} stop {task.id} --force" if hangs else ""
    return Reply(
        lines(
            asked + named + f" ({name}), for " + person(call.sender) + (" by force." if force else "."),
            "I say here when it has stopped. What it has already started on its hosts may go on.",
            doubt_of(task),
            hint,
        )
    )


def _interrupted(call: Call, task: Task, marked: Begun) -> Reply:
    """After a crash. Nothing is sent that is not expected any more."""
    said = f"I was interrupted while I sent your stop of task #{task.id}, and nobody told me what came of it."
    now = text("Task ") + bold(f"#{task.id}") + " is " + status(task.status)
    if task.finished:
        return Reply(lines(f"🛑 {said}", now, "There is nothing left to stop."))
    again = text("It goes on. If it is still to be stopped: ") + code(f"{call.prefix} stop {task.id}")
    return Reply(lines(f"🛑 {said}", now, again), deed=lambda tx: launches.stop_was_none(tx, marked.follows))


def _over(task: Task) -> Reply:
    over = text("Task ") + bold(f"#{task.id}") + " is over already: " + status(task.status)
    return Reply(lines(over, "There is nothing left to stop."))


def refuse_to_kill_what_waits(task: Task) -> None:
    """A forced stop of a task in the queue shows it as stopped, and the server runs it later all the same (API.md 5.5).

    One that is stopping and never ran is still in the queue, or its job runs to its end whatever is sent.
    """
    if task.status in NOT_YET_RUN:
        raise UserError(
            f"I did not force task #{task.id}: it is {task.status}, and Semaphore would show it as stopped and run it later "
            "all the same. A plain stop takes it out of the queue; I send that when you leave out --force."
        )
    if task.status == "stopping" and task.start is None:
        raise UserError(
            f"I did not force task #{task.id}: it was asked to stop before it ran, and Semaphore would only show it as "
            "stopped and might run it all the same. It leaves the queue by itself, when its turn comes."
        )


def _ask_semaphore(call: Call, found: Found, force: bool) -> Task:
    """An answer that never came may still have stopped the task: then it is watched like any other stop."""
    with call.tools.journal.write() as tx:
        before = begun.of(tx, call.seq)  # a handling of this event that was interrupted
        follows = launches.stop_begins(tx, found.project_id, found.task.id, call.sender)
        follows = (*follows, *(before.follows if before is not None else ()))
        begun.mark(tx, call.seq, Begun(found.project_id, found.task.id, follows))
    try:
        task = stop_when_started(call.tools.semaphore, found.project_id, found.task, force=force)
    except SemaphoreError as error:
        if error.had_no_effect:
            _take_back(call, follows)
            raise
        return found.task
    if task.finished:
        _take_back(call, follows)
    return task


def _take_back(call: Call, follows: Iterable[int]) -> None:
    with call.tools.journal.write() as tx:
        launches.stop_was_none(tx, follows)
        begun.forget(tx, call.seq)
