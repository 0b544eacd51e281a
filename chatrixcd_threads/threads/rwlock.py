"""A read-write lock: many readers or one writer, and a waiting writer goes first.

Own code instead of a library: the known one (readerwriterlock) has not changed since 2023 and is slower than this.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RWLock:
    """Not re-entrant. Guards the swap of things that must change together; never held while loading or calling out."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._readers = 0
        self._writers_waiting = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several reads that must agree with each other."""
        with self._turn:
            self._turn.wait_for(lambda: not self._writing and not self._writers_waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._turn:
                self._readers -= 1
                self._turn.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Alone. Keep it to a few assignments."""
        with self._turn:
            self._writers_waiting += 1
            try:
                self._turn.wait_for(lambda: not self._writing and not self._readers)
                self._writing = True
            finally:  # a signal may end the waiting: then nobody waits for this writer any more
                self._writers_waiting -= 1
                self._turn.notify_all()
        try:
            yield
        finally:
            with self._turn:
                self._writing = False
                self._turn.notify_all()
