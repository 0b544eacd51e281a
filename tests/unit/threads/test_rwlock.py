"""The read-write lock: readers together, a writer alone and first, and nobody locked out by an exception."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chatrixcd_threads.threads.rwlock import RWLock

LIMIT = 30.0


@contextmanager
def running(*works: Callable[[], None]) -> Iterator[None]:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def waits(lock: RWLock, *, writers: int) -> None:
    """Returns when so many writers wait: they have said so under the lock's own condition."""
    with lock._turn:
        seen = threading.Event()
        while lock._writers_waiting < writers:
            lock._turn.release()
            seen.wait(0.001)
            lock._turn.acquire()


def test_readers_read_together() -> None:
    lock, together = RWLock(), threading.Barrier(4)

    def read() -> None:
        with lock.reading():
            together.wait(LIMIT)

    with running(*[read] * 4):
        pass
    assert not together.broken


def test_a_writer_is_alone() -> None:
    lock, entered, leave, read = RWLock(), threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        with lock.writing():
            entered.set()
            assert leave.wait(LIMIT)

    def reader() -> None:
        assert entered.wait(LIMIT)
        with lock.reading():
            assert leave.is_set()
            read.set()

    def second() -> None:
        assert entered.wait(LIMIT)
        with lock.writing():
            assert leave.is_set()

    with running(write, reader, second):
        waits(lock, writers=1)
        assert not read.is_set()
        leave.set()


def test_a_waiting_writer_goes_before_later_readers() -> None:
    lock, order = RWLock(), []
    first_in, first_out, started = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with lock.reading():
            first_in.set()
            assert first_out.wait(LIMIT)

    def writer() -> None:
        assert first_in.wait(LIMIT)
        with lock.writing():
            order.append("writer")

    def later() -> None:
        waits(lock, writers=1)
        started.set()
        with lock.reading():
            order.append("reader")

    with running(first, writer, later):
        assert started.wait(LIMIT)
        first_out.set()
    assert order == ["writer", "reader"]


def test_an_exception_releases() -> None:
    lock = RWLock()
    for side in (lock.reading, lock.writing, lock.reading):
        with pytest.raises(ZeroDivisionError), side():
            raise ZeroDivisionError
    with lock.writing():
        pass
    with lock.reading():
        pass


def test_a_writer_that_is_interrupted_while_it_waits_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RWLock()

    def interrupted(_ready: Callable[[], bool]) -> bool:
        raise KeyboardInterrupt

    with lock.reading(), monkeypatch.context() as patch:
        patch.setattr(lock._turn, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), lock.writing():
            pytest.fail("not reached")
    done = threading.Event()

    def read() -> None:
        with lock.reading():
            done.set()

    with running(read):
        assert done.wait(LIMIT)


@pytest.mark.stress
def test_stress() -> None:
    """Two values that writers move together: no reader sees them apart, no addition is lost, everybody gets in."""
    lock, values, torn, reads = RWLock(), [0, 0], [], []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def write() -> None:
        for _ in range(400):
            with lock.writing():
                value = values[0]
                values[0] = value + 1
                values[1] = value + 1

    def read() -> None:
        count = 0
        while values[0] < 1600 or count == 0:
            with lock.reading():
                if values[0] != values[1]:
                    torn.append(tuple(values))
            count += 1
        reads.append(count)

    try:
        with running(*[write] * 4, *[read] * 4):
            pass
    finally:
        sys.setswitchinterval(before)
    assert (values, torn, len(reads)) == ([1600, 1600], [], 4)
    assert (lock._readers, lock._writing, lock._writers_waiting) == (0, False, 0)
