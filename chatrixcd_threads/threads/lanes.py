"""Lanes: jobs of one key run in order, keys run in parallel, and nobody's stuck job holds up anybody else.

A ThreadPoolExecutor lends the threads and never holds a backlog: each lane has at most one turn in it. Job limits are
checked by `overdue(now)`, called from the main thread. A stuck thread cannot be ended in Python; its job is given up,
the lane goes on in a fresh executor, and whatever the job does later is thrown away by whoever commits its result.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chatrixcd_threads.threads.diagnose import stack_of
from chatrixcd_threads.threads.service import name_thread

log = logging.getLogger("chatrixcd.lanes")

LEAST_WAIT = 0.05  # for a job to end, also when the machine has stood still until after the deadline


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work in a lane. `name` is for people; `about` is handed to the limit callbacks."""

    key: Hashable
    name: str
    call: Callable[[], None]
    about: object = None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    started: float | None = None
    thread: int | None = None
    told: bool = False
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """Figures for people: lanes in use, jobs running and waiting, threads given up since the start."""

    lanes: int
    running: int
    waiting: int
    given_up: int


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """One lane in use. `age` is for how long its job runs (seconds); None: it has no turn yet. `thread` is an ident."""

    key: Hashable
    waiting: int
    job: str
    age: float | None
    thread: int | None


class Lanes:
    """Any thread may submit. The lock guards the table of lanes and is never held while calling out."""

    def __init__(
        self,
        workers: int,
        *,
        per_lane: int = 100,
        clock: Callable[[], float] = time.monotonic,
        failed: Callable[[Job, BaseException], None],
        freed: Callable[[Hashable], None] = lambda key: None,
    ) -> None:
        self._workers, self._per_lane, self._clock = workers, per_lane, clock
        self._failed, self._freed = failed, freed
        self.changed: Callable[[], None] = lambda: None  # a job has begun or ended; set before the start
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._running: dict[Hashable, Job] = {}
        self._refused: set[Hashable] = set()
        self._stuck: list[Job] = []
        self._given_up = 0
        self._closed = False
        self._pools = itertools.count(1)
        self._pool = self._new_pool()

    def submit(self, job: Job) -> bool:
        """Takes a job. False when its lane is full or the lanes are closed: the caller keeps the job where it is safe."""
        with self._lock:
            lane = self._lanes.get(job.key)
            if self._closed or (lane is not None and len(lane) >= self._per_lane):
                self._refused.add(job.key)
                return False
            if lane is not None:  # running or queued: its turn will come
                lane.append(job)
                return True
            self._lanes[job.key] = deque([job])
            pool = self._pool
        self._hand_out(pool, job.key)
        return True

    def overdue(self, now: float, soft: float, hard: float) -> tuple[list[Job], list[Job]]:
        """Jobs that just passed the soft limit, and jobs given up now because they passed the hard one (seconds)."""
        slow: list[Job] = []
        lost: list[Job] = []
        freed: list[Hashable] = []
        with self._lock:
            for key, job in list(self._running.items()):
                age = now - (job.started if job.started is not None else now)
                if age >= hard:
                    job.given_up = True
                    lost.append(job)
                    self._stuck.append(job)
                    del self._running[key]
                    self._advance(key)
                    freed += [key] if self._is_free(key) else []
                elif age >= soft and not job.told:
                    job.told = True
                    slow.append(job)
            if lost:
                self._given_up += len(lost)
                old, self._pool = self._pool, self._new_pool()
            pool, again = self._pool, [key for key in self._lanes if key not in self._running]
        for job in lost:
            log.error("job %s is stuck and was given up; it is here:\n%s", job.name, stack_of(job.thread))
        if lost:
            # Turns that still wait in the old pool might wait behind stuck threads: every idle lane gets a new one.
            old.shutdown(wait=False, cancel_futures=True)
            for key in again:
                self._hand_out(pool, key)
        for key in freed:
            self._freed(key)
        return slow, lost

    def close(self) -> None:
        """No new jobs and no new turns: running jobs finish, waiting ones are dropped here (the journal has them)."""
        with self._lock:
            self._closed = True
            self._lanes = {key: deque([job]) for key, job in self._running.items()}
            self._idle.notify_all()

    def wait_idle(self, deadline: float) -> list[Job]:
        """Waits until no job runs or the deadline (clock time) has come; then the jobs that are still running."""
        with self._idle:
            self._idle.wait_for(
                lambda: not self._running and not self._lanes, max(LEAST_WAIT, deadline - self._clock())
            )
            left = list(self._running.values()) + [j for j in self._stuck if j.started is not None]
            pool = self._pool
        pool.shutdown(wait=False, cancel_futures=True)
        return left

    def busy(self, key: Hashable) -> bool:
        """Whether a job of this lane runs or waits."""
        with self._lock:
            return key in self._lanes

    def counts(self) -> LaneCounts:
        """How busy the lanes are."""
        with self._lock:
            waiting = sum(len(lane) for lane in self._lanes.values()) - len(self._running)
            return LaneCounts(len(self._lanes), len(self._running), max(0, waiting), self._given_up)

    def longest(self, most: int) -> tuple[LaneInfo, ...]:
        """The lanes in use, the longest first and then the one whose job runs longest."""
        now = self._clock()
        with self._lock:
            found = [self._info(key, lane, now) for key, lane in self._lanes.items() if lane]
        return tuple(sorted(found, key=lambda each: (-each.waiting, -(each.age or 0.0)))[:most])

    def _info(self, key: Hashable, lane: deque[Job], now: float) -> LaneInfo:
        job = self._running.get(key)
        if job is None:
            return LaneInfo(key, len(lane), lane[0].name, None, None)
        return LaneInfo(key, len(lane) - 1, job.name, now - (now if job.started is None else job.started), job.thread)

    def _new_pool(self) -> ThreadPoolExecutor:
        prefix = f"work-{next(self._pools)}"
        return ThreadPoolExecutor(self._workers, thread_name_prefix=prefix, initializer=lambda: name_thread(prefix))

    def _turn(self, key: Hashable) -> None:
        with self._lock:
            if key in self._running or key not in self._lanes:
                return  # a second turn, handed out when the pool was replaced
            job = self._lanes[key][0]
            job.started, job.thread = self._clock(), threading.get_ident()
            self._running[key] = job
        self.changed()
        try:
            job.context.run(job.call)
        except BaseException as error:  # noqa: BLE001 - one of the three places: a job may end, its worker never
            if not job.given_up:
                self._failed(job, error)
        finally:  # also when the failure could not be told
            self._end(job)

    def _end(self, job: Job) -> None:
        with self._lock:
            if job.given_up:
                self._stuck.remove(job)
                return
            del self._running[job.key]
            more = self._advance(job.key)
            pool = self._pool
            free = self._is_free(job.key)
        if more:
            self._hand_out(pool, job.key)  # to the back: lanes take turns
        if free:
            self._freed(job.key)
        self.changed()

    def _hand_out(self, pool: ThreadPoolExecutor, key: Hashable) -> None:
        """Gives a lane its next turn (lock not held)."""
        try:
            pool.submit(self._turn, key)
        except RuntimeError:  # shut down meanwhile: `overdue` hands it to the new pool, or we stop
            log.debug("the turn of lane %s was not taken by its pool", key)

    def _is_free(self, key: Hashable) -> bool:
        """Whether a lane that refused jobs has room again (lock held). True once; never after the end."""
        if self._closed or key not in self._refused or len(self._lanes.get(key, ())) > self._per_lane // 2:
            return False
        self._refused.discard(key)
        return True

    def _advance(self, key: Hashable) -> bool:
        """Takes the finished job off its lane (lock held). True when another one waits and may have its turn."""
        lane = self._lanes[key]
        lane.popleft()
        if lane and not self._closed:
            return True
        del self._lanes[key]
        self._idle.notify_all()
        return False
