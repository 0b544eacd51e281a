"""The newest log lines, shared between all threads that log and the one that shows them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final

KEPT_LINES: Final = 20_000
MOST_AT_ONCE: Final = 5_000
LONGEST_LINE: Final = 4_000


class Ring:
    """The last `size` lines with numbers that never repeat. May be used from any thread."""

    def __init__(self, size: int = KEPT_LINES) -> None:
        self._lock = threading.Lock()
        self._lines = [""] * size
        self._size = size
        self._next = 0

    def add(self, text: str) -> None:
        """One record; each of its lines counts as a line."""
        self.extend((text,) if "\n" not in text else text.split("\n"))

    def extend(self, lines: Iterable[str]) -> None:
        """Several lines at once."""
        with self._lock:
            for line in lines:
                self._lines[self._next % self._size] = line[:LONGEST_LINE]
                self._next += 1

    def span(self) -> tuple[int, int]:
        """Numbers of the first kept line and of the one that comes next."""
        with self._lock:
            return max(0, self._next - self._size), self._next

    def at(self, number: int) -> str:
        """A line; empty when it is not kept any more."""
        with self._lock:
            if not self._next - self._size <= number < self._next or number < 0:
                return ""
            return self._lines[number % self._size]

    def since(self, cursor: int) -> tuple[int, tuple[str, ...]]:
        """The lines from `cursor` on, a bounded number, and the cursor for the next call: `Doors.log_lines`."""
        with self._lock:
            first = min(max(cursor, self._next - self._size, 0), self._next)
            end = min(self._next, first + MOST_AT_ONCE)
            low, high = first % self._size, end % self._size
            if first == end:
                return end, ()
            if low < high:
                return end, tuple(self._lines[low:high])
            return end, tuple(self._lines[low:] + self._lines[:high])


class _Stream:
    """What a StreamHandler writes to. May be used from any thread: the handler holds its own lock."""

    def __init__(self, ring: Ring, poke: Callable[[], None]) -> None:
        self._ring, self._poke = ring, poke

    def write(self, text: str) -> None:
        """One record with its line break."""
        self._ring.add(text.removesuffix("\n"))

    def flush(self) -> None:
        """The record is complete."""
        self._poke()


class RingHandler(logging.StreamHandler[_Stream]):
    """Puts formatted records into a ring and says that there is something to draw."""

    def __init__(self, ring: Ring, poke: Callable[[], None] = lambda: None) -> None:
        super().__init__(_Stream(ring, poke))
