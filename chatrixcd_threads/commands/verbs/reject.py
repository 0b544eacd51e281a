"""`reject`: refuses a waiting plan."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.deciding import decide
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.tasks import TASK, find_running
from chatrixcd_threads.policy.access import Right


@command(
    "reject",
    "refuses a plan that waits; nothing of it is applied",
    example="reject 42",
    right=Right.RUN,
    deed="reject plans",
    args=(Arg("task", f"{TASK}; may be left out in its thread", rest=True),),
)
def reject(call: Call) -> Reply:
    """Only while it waits."""
    return decide(call, find_running(call, "reject"), apply=False)
