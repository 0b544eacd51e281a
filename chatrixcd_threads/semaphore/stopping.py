"""A stop that is obeyed: Semaphore takes one in `starting` as well, and the job runs to its end all the same (NEWER.md 4).

Nothing can stop such a job afterwards, so the stop waits for the moments that a start takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.models import NOT_YET_RUN, Task

LOOKS: Final = 12
PAUSE: Final = 0.25  # seconds between two looks; 2.20 starts a task a second after it left the queue
STARTS: Final = "starting"


def stop_when_started(
    semaphore: Semaphore,
    project_id: int,
    task: Task,
    *,
    force: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Task:
    """Stops the task unless it is over; gives it as it was then. One that waits for two looks stands in a queue and leaves it."""
    queued = False
    for _ in range(LOOKS):
        if task.status not in NOT_YET_RUN or (queued and task.status != STARTS):
            break
        queued = task.status != STARTS
        pause(PAUSE)
        try:
            task = semaphore.task(project_id, task.id)
        except SemaphoreError as error:
            error.sent = False  # of the stop, which was to come
            raise
    if not task.finished:
        semaphore.stop(project_id, task.id, force=force)
    return task


def doubt_of(task: Task) -> str:
    """What is to be said of a stop that was sent all the same while the task was starting."""
    return "It was just starting, so its job may run to its end." if task.status == STARTS else ""
