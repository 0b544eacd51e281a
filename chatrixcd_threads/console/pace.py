"""How far a task is, in words and as a bar that needs no colour."""

from __future__ import annotations

from typing import Final

from chatrixcd_threads.console.board import TaskLine
from chatrixcd_threads.console.cells import can_unicode, many, shown, span
from chatrixcd_threads.semaphore.models import WAITS

CELLS: Final = 5
LATE_SHARE: Final = 1.5  # of the usual time, from which on a task is late
LATE_SECONDS: Final = 60.0


def elapsed(task: TaskLine, now: float) -> float | None:
    """Seconds since it began; None before that, or where it is not known."""
    return max(0.0, now - task.started) if task.started else None


def share(task: TaskLine, now: float) -> float | None:
    """The part of its usual time that has gone by; None where one of both is not known."""
    gone = elapsed(task, now)
    return gone / task.usual if gone is not None and task.usual > 0 else None


def is_late(task: TaskLine, now: float) -> bool:
    """Whether it takes much longer than usual."""
    gone, part = elapsed(task, now), share(task, now)
    return gone is not None and part is not None and part >= LATE_SHARE and gone - task.usual >= LATE_SECONDS


def bar(part: float) -> str:
    """Filled cells and the number: what is over the usual time shows in the number alone."""
    full = max(0, min(CELLS, int(part * CELLS)))
    done, rest = ("█", "░") if can_unicode() else ("#", "-")
    return f"{done * full}{rest * (CELLS - full)} {min(part, 9.99) * 100:.0f} %"


def brief(task: TaskLine, now: float) -> str:
    """What stands in the list: what it waits for, the bar, or the time alone."""
    if task.status == WAITS:
        return "to be confirmed"
    if task.status == "waiting":
        return f"for {shown(task.waits_for)}" if task.waits_for else "in the queue"
    gone, part = elapsed(task, now), share(task, now)
    if part is not None:
        return bar(part)
    return span(gone) if gone is not None else ""


def full(task: TaskLine, now: float) -> str:
    """Everything that is known: the time against the usual one, what is waited for, who has to act."""
    if task.status == WAITS:
        return "waits for somebody to confirm or reject it in Semaphore"
    if task.status == "waiting":
        return f"waits for {shown(task.waits_for)}" if task.waits_for else "waits in Semaphore's queue"
    gone = elapsed(task, now)
    if gone is None:
        return ""
    if task.earlier < 0:
        return f"runs for {span(gone)}"
    if not task.usual:
        return f"runs for {span(gone)}, no earlier run"
    of = f"runs for {span(gone)}, usually {span(task.usual)} ({many(task.earlier, 'run')})"
    return f"{of}, late" if is_late(task, now) else of
