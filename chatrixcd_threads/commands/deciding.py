"""A plan of Terraform that waits: confirmed or rejected once, only while it waits, and never after somebody asked to stop.

`confirm` of Semaphore is obeyed in every state: a plan that nobody has seen yet, or one that was stopped, would be applied
(API.md 5.6, 20.7). So the task is read immediately before.
"""

from __future__ import annotations

import sqlite3

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Note, Reply
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.tasks import Found
from chatrixcd_threads.commands.witness import expectation
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import begun, launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.begun import Begun
from chatrixcd_threads.journal.db import get_meta, set_meta
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.gates import PARAMS_SINCE, older
from chatrixcd_threads.semaphore.models import WAITS
from chatrixcd_threads.text.markup import bold, lines, person, text

TURN_SECONDS = 15.0  # Semaphore shows an answer after 3 s at most


def decide(call: Call, found: Found, *, apply: bool) -> Reply:
    """Sends the one answer. Raises UserError when the task does not wait for one."""
    task = found.task
    named = text("Task ") + bold(f"#{task.id}")
    if task.status == WAITS and call.late and _began(call, found):
        raise UserError(
            f"I was interrupted while I sent your answer to the plan of task #{task.id}, and it waits for one still. "
            f"If it is still what you want: {call.prefix} {'confirm' if apply else 'reject'} {task.id}."
        )
    if task.status != WAITS and _began(call, found):
        raise UserError(
            f"I was interrupted while I sent your answer to the plan of task #{task.id}, and nobody told me what came of it. "
            f"It is “{status(task.status).plain}” now; I tell you here how it ends."
        )
    if task.status != WAITS:
        raise UserError(
            f"I sent nothing: task #{task.id} does not wait for a confirmation, it is “{status(task.status).plain}”. "
            "Semaphore would obey all the same, so I answer only while it waits."
        )
    known = launches.follows_of(call.tools.journal.read(), found.project_id, task.id)
    follows = [each for each in known if not each.done]  # else of another task: a restored Semaphore repeats numbers
    if apply and any(expectation(each).plan_only for each in follows):
        raise UserError(f"I sent nothing: task #{task.id} was to be a plan only, and a confirmation would apply it.")
    stopper = next((each.stopper for each in follows if each.stopper), None)
    if stopper is not None and apply:
        raise UserError(
            f"I sent nothing: {stopper} has asked to stop task #{task.id}, and a confirmation would apply its plan."
        )
    by_stop = not apply and older(call.tools.semaphore.server_version(), PARAMS_SINCE)  # before a turn is taken for it
    _take_turn(call, found, apply=apply)
    try:
        said, then = _send(call, found, apply=apply, by_stop=by_stop)
    except SemaphoreError as error:
        if error.had_no_effect:
            with call.tools.journal.write() as tx:
                set_meta(tx, _turn_of(found), "")
                forget_rejection(tx, found.project_id, task.id)
                begun.forget(tx, call.seq)
        raise
    call.tools.follow_now()
    note = Note(
        Deed.CONFIRMED if apply else Deed.DECLINED, f"the plan of task #{task.id}", f"project {found.project_id}"
    )
    return Reply(lines(text("👍 " if apply else "👎 ") + named + said + person(call.sender) + ".", then), notes=(note,))


def _send(call: Call, found: Found, *, apply: bool, by_stop: bool) -> tuple[str, str]:
    semaphore, number = call.tools.semaphore, found.task.id
    if apply:
        semaphore.confirm(found.project_id, number)
        return " is confirmed by ", "It applies its plan now; I tell you here how it ends."
    if by_stop:
        semaphore.stop(found.project_id, number, force=True)
        return (
            " is rejected by ",
            "This server knows no rejection, so I stopped it by force; nothing was applied.",
        )
    semaphore.reject(found.project_id, number)
    return " is rejected by ", "Nothing of its plan is applied."


def _take_turn(call: Call, found: Found, *, apply: bool) -> None:
    """One answer at a time: another one, sent before the first is seen, would overwrite it (NEWER.md 1.22)."""
    now, key = call.tools.now(), _turn_of(found)
    with call.tools.journal.write() as tx:
        at, who, event = _claim(get_meta(tx, key))
        if event != call.event_id and 0 <= now - at < TURN_SECONDS:
            raise UserError(
                f"I sent nothing: {who} has answered the plan of task #{found.task.id} a moment ago. "
                "See what becomes of it first."
            )
        set_meta(tx, key, f"{now} {call.sender} {call.event_id}")
        begun.mark(tx, call.seq, Begun(found.project_id, found.task.id))
        if apply:
            forget_rejection(tx, found.project_id, found.task.id)
        else:
            set_meta(tx, _rejection_of(found.project_id, found.task.id), call.sender)


def rejecter(connection: sqlite3.Connection, project_id: int, task_id: int) -> str:
    """Who has rejected the plan of this task; empty: nobody. Semaphore shows it as failed, or as stopped (API.md 5.3, 5.6)."""
    return get_meta(connection, _rejection_of(project_id, task_id)) or ""


def forget_rejection(tx: sqlite3.Connection, project_id: int, task_id: int) -> None:
    """It is told, or was none."""
    tx.execute("DELETE FROM meta WHERE key = ?", (_rejection_of(project_id, task_id),))


def _rejection_of(project_id: int, task_id: int) -> str:
    return f"rejected {project_id} {task_id}"


def _began(call: Call, found: Found) -> bool:
    """Whether the handling of this very answer had come as far as the sending before a crash."""
    return _claim(get_meta(call.tools.journal.read(), _turn_of(found)))[2] == call.event_id


def _claim(kept: str | None) -> tuple[float, str, str]:
    """When, who, and in which event; a turn that was given back, or that nobody took, is long ago."""
    at, _, rest = (kept or "").partition(" ")
    who, _, event = rest.partition(" ")
    return float(at or "-inf"), who, event


def _turn_of(found: Found) -> str:
    return f"decided {found.project_id} {found.task.id}"
