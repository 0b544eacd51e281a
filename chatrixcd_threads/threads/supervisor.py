"""The supervisor: starts services, restarts them with back-off, watches their beats, stops them in order.

The main thread calls `tick(now)`; time comes in as an argument, so tests need no sleep.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.threads.diagnose import stack_of
from chatrixcd_threads.threads.service import Service, State, ThreadInfo, name_thread

log = logging.getLogger("chatrixcd.threads")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
PROVEN_AFTER = 5.0  # a service counts as running only after it stayed up this long
LEAST_WAIT = 0.5  # for a thread to end, also when the machine has stood still until after the deadline
FORGIVEN_AFTER = 60.0  # and its failures are forgotten after this


@dataclass(slots=True)
class _Life:
    """Owner: the main thread. `ended` and `beat` are single references written by the service's own thread."""

    service: Service
    state: State = State.STOPPED
    since: float = 0.0
    thread: threading.Thread | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    beat: float = 0.0
    failures: int = 0
    restarts: int = 0
    start_at: float = 0.0
    ended: BaseException | bool | None = None
    late: bool = False
    problem: str = ""


class Supervisor:
    """Owner: the main thread. `snapshot` may be called from any thread."""

    def __init__(self, services: Iterable[Service], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lives = {service.name: _Life(service) for service in services}
        self.moved: Callable[[], None] = lambda: None  # a service has another state; set before the start
        self.changed = threading.Event()  # a thread ended or a stop was asked for: the main thread should look now

    def start(self, names: Iterable[str] | None = None) -> None:
        """Starts the named services (default: all), in the order in which they were given."""
        for name in names if names is not None else list(self._lives):
            self._launch(self._lives[name])

    def tick(self, now: float) -> None:
        """One look at every service: ended ones are restarted when their pause is over, late beats are logged."""
        for life in self._lives.values():
            if life.ended is not None and life.state is not State.STOPPING:
                self._bury(life, now)
            if life.state is State.BACKOFF and now >= life.start_at:
                life.restarts += 1
                self._launch(life)
            elif life.state is State.STARTING and now - life.since >= PROVEN_AFTER:
                self._move(life, State.RUNNING, now)
            elif life.state is State.RUNNING and now - life.since >= FORGIVEN_AFTER:
                life.failures = 0
            self._check_beat(life, now)

    def stop(self, name: str, deadline: float) -> bool:
        """Stops one service; waits until `deadline` (clock time) at most. False: its thread is stuck."""
        life = self._lives[name]
        if life.thread is None or not life.thread.is_alive():
            if life.state is not State.FATAL:  # what was fatal stays known: the exit code is made of it
                self._move(life, State.STOPPED, self._clock())
            return True
        self._move(life, State.STOPPING, self._clock())
        life.stop.set()
        life.service.wake()
        life.thread.join(max(LEAST_WAIT, deadline - self._clock()))
        if life.thread.is_alive():
            log.error("thread %s did not stop in time; it is here:\n%s", name, stack_of(life.thread.ident))
            return False
        self._move(life, State.STOPPED, self._clock())
        return True

    def fatal(self) -> str:
        """The problem of a service that gave up for good, or an empty string."""
        return next((f"{n}: {x.problem}" for n, x in self._lives.items() if x.state is State.FATAL), "")

    def snapshot(self) -> tuple[ThreadInfo, ...]:
        """How every service is doing."""
        now = self._clock()
        return tuple(
            ThreadInfo(name, x.state, now - x.since, now - x.beat, x.restarts, x.problem)
            for name, x in self._lives.items()
        )

    def _launch(self, life: _Life) -> None:
        now = self._clock()
        life.stop, life.ended, life.beat, life.late = threading.Event(), None, now, False
        self._move(life, State.STARTING, now)
        life.thread = threading.Thread(target=self._live, args=(life, life.stop), name=life.service.name, daemon=True)
        life.thread.start()

    def _live(self, life: _Life, stop: threading.Event) -> None:
        """The one wrapper around every service thread."""
        name_thread(life.service.name)

        def beat() -> None:
            life.beat = self._clock()

        try:
            life.service.run(stop, beat)
            life.ended = True
        except BaseException as error:  # noqa: BLE001 - one of the three places: nothing may end silently
            life.ended = error
        self.changed.set()

    def _bury(self, life: _Life, now: float) -> None:
        error, life.ended = life.ended, None
        if isinstance(error, Fatal):
            life.problem = str(error)
            log.critical("thread %s cannot work: %s", life.service.name, error)
            self._move(life, State.FATAL, now)
            return
        life.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(life.failures - 1, 20))  # 2 ** 1024 is no float
        life.start_at = now + pause
        life.problem = f"{type(error).__name__}" if isinstance(error, BaseException) else "ended by itself"
        log.error(
            "thread %s failed and starts again in %.1f s",
            life.service.name,
            pause,
            exc_info=error if isinstance(error, BaseException) else None,
        )
        self._move(life, State.BACKOFF, now)

    def _check_beat(self, life: _Life, now: float) -> None:
        if life.state not in (State.STARTING, State.RUNNING):
            return
        late = now - life.beat > life.service.patience
        if late and not life.late and life.thread is not None:
            log.error(
                "thread %s has not moved for %.0f s:\n%s",
                life.service.name,
                now - life.beat,
                stack_of(life.thread.ident),
            )
        life.late = late

    def _move(self, life: _Life, state: State, now: float) -> None:
        if state is not life.state:
            log.debug("thread %s: %s -> %s", life.service.name, life.state, state)
            life.state, life.since = state, now
            self.moved()
