"""A plan of Terraform that waits: confirmed or rejected once, only while it waits, and never after somebody asked to stop.

`confirm` of Semaphore is obeyed in every state: a plan that nobody has seen yet, or one that was stopped, would be applied
(API.md 5.6, 20.7). So the task is read immediately before.
"""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Note, Reply
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.tasks import Found
from chatrixcd_threads.commands.witness import expectation
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.semaphore.gates import PARAMS_SINCE, older
from chatrixcd_threads.text.markup import bold, lines, person, text

WAITS = "waiting_confirmation"


def decide(call: Call, found: Found, *, apply: bool) -> Reply:
    """Sends the one answer. Raises UserError when the task does not wait for one."""
    task, semaphore = found.task, call.tools.semaphore
    named = text("Task ") + bold(f"#{task.id}")
    if task.status != WAITS:
        raise UserError(
            f"I sent nothing: task #{task.id} does not wait for a confirmation, it is “{status(task.status).plain}”. "
            "Semaphore would obey all the same, so I answer only while it waits."
        )
    follows = launches.follows_of(call.tools.journal.read(), found.project_id, task.id)
    if apply and any(expectation(each).plan_only for each in follows):
        raise UserError(f"I sent nothing: task #{task.id} was to be a plan only, and a confirmation would apply it.")
    stopper = next((each.stopper for each in follows if each.stopper), None)
    if stopper is not None and apply:
        raise UserError(
            f"I sent nothing: {stopper} has asked to stop task #{task.id}, and a confirmation would apply its plan."
        )
    if apply:
        semaphore.confirm(found.project_id, task.id)
        said, then = " is confirmed by ", "It applies its plan now; I tell you here how it ends."
    elif older(semaphore.server_version(), PARAMS_SINCE):
        semaphore.stop(found.project_id, task.id, force=True)
        said, then = (
            " is rejected by ",
            "This server knows no rejection, so I stopped it by force; nothing was applied.",
        )
    else:
        semaphore.reject(found.project_id, task.id)
        said, then = " is rejected by ", "Nothing of its plan is applied."
    call.tools.follow_now()
    note = Note(
        Deed.CONFIRMED if apply else Deed.DECLINED, f"the plan of task #{task.id}", f"project {found.project_id}"
    )
    return Reply(lines(text("👍 " if apply else "👎 ") + named + said + person(call.sender) + ".", then), notes=(note,))
