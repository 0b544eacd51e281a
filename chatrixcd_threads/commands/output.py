"""The output of a task that has just ended: Semaphore stores the last lines after the end (API.md 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.models import Line, Task

READS: Final = 6
BETWEEN_READS: Final = 1.0  # seconds; 2.16 writes the last records up to this long after the end
RECENT: Final = 10.0  # seconds; the slowest that was seen, 20,000 lines on 2.10, were all there after 5


def settled_output(
    semaphore: Semaphore, project_id: int, task_id: int, reads: int, pause: Callable[[float], None]
) -> tuple[list[Line], bool]:
    """The output once it has stopped growing (True), or what there is after so many more reads (False)."""
    records = semaphore.output(project_id, task_id)
    for _ in range(reads):
        pause(BETWEEN_READS)
        again = semaphore.output(project_id, task_id)
        if len(again) == len(records):
            return again, True
        records = again
    return records, False


def just_ended(task: Task, now: float) -> bool:
    """Whether lines may still be on their way. `now`: seconds since the epoch."""
    return task.end is not None and now - task.end.timestamp() < RECENT
