"""`confirm`: lets a waiting plan be applied; the reaction on its announcement does the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import humanize

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.deciding import decide
from chatrixcd_threads.commands.declare import Answer, Arg, Reply, command
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.commands.tasks import TASK, Found, find_running
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import begun
from chatrixcd_threads.policy.access import Right


@command(
    "confirm",
    "lets a plan that waits be applied",
    example="confirm 42",
    right=Right.RUN,
    deed="confirm plans",
    args=(Arg("task", f"{TASK}; may be left out in its thread", rest=True),),
)
def confirm(call: Call) -> Reply:
    """Only while it waits."""
    return decide(call, find_running(call, "confirm"), apply=True)


@confirm.confirmed
def apply(call: Call, payload: Mapping[str, object]) -> Answer:
    """👍 on the announcement; like the command it does nothing much later, behind somebody's back."""
    found = _announced(call, payload)
    if call.late and begun.of(call.tools.journal.read(), call.seq) is None:
        age = humanize.precisedelta(timedelta(seconds=call.late), minimum_unit="minutes", format="%0.0f")
        raise UserError(
            f"I sent nothing: your yes to the plan of task #{found.task.id} is {age} old, and I was not there. It is "
            f"“{status(found.task.status).plain}” now. If the plan is still to be applied: {call.prefix} confirm {found.task.id}."
        )
    return decide(call, found, apply=True)


@confirm.declined
def reject(call: Call, payload: Mapping[str, object]) -> Answer:
    """👎 on the announcement."""
    return decide(call, _announced(call, payload), apply=False)


def _announced(call: Call, payload: Mapping[str, object]) -> Found:
    project_id, task_id = int(str(payload["project_id"])), int(str(payload["task_id"]))
    return Found(project_id, call.tools.semaphore.task(project_id, task_id))
