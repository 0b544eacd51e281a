"""The newest log lines, shared between all threads that log and the one that shows them."""

from __future__ import annotations

import logging
import logging.handlers
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

KEPT_LINES: Final = 20_000
MOST_AT_ONCE: Final = 5_000
LONGEST_LINE: Final = 4_000
_T = TypeVar("_T")
_LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


Raw = tuple[str, int, float, float, str | None, str]
"""A record of one line that nobody has read yet: text, level, created, msecs, thread, logger. It may hold secrets.

A plain tuple of plain values, because the garbage collector does not visit those: thousands are made each second.
"""


class Ring:
    """The last `size` lines with numbers that never repeat. May be used from any thread.

    A raw record is turned into its line, without secrets, when somebody reads it: of a flood that is the few lines on
    the screen. `form` does it; the handler that puts raw records in sets it before the first.
    """

    def __init__(self, size: int = KEPT_LINES) -> None:
        self.form: Callable[[Raw], str] = _nothing
        self._lock = threading.Lock()
        self._lines: list[str | Raw] = [""] * size
        self._levels = [0] * size
        self._size = size
        self._next = 0
        self._last_level = logging.INFO

    def add(self, text: str, level: int | None = None) -> None:
        """One record; each of its lines counts as a line."""
        self.extend((text,) if "\n" not in text else text.split("\n"), level)

    def extend(self, lines: Iterable[str], level: int | None = None) -> None:
        """Several lines at once. Without a level each line tells its own, or belongs to the line before."""
        with self._lock:
            for line in lines:
                self._last_level = level or _LEVELS.get(line[24:32].partition(" ")[0], self._last_level)
                place = self._next % self._size
                self._lines[place] = line[:LONGEST_LINE]
                self._levels[place] = self._last_level
                self._next += 1

    def put(self, raw: Raw) -> None:
        """One record that is not read yet."""
        with self._lock:
            place = self._next % self._size
            self._lines[place] = raw
            self._levels[place] = raw[1]
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
            line = self._lines[number % self._size]
        return line if isinstance(line, str) else self._read(number, line)

    def level(self, number: int) -> int:
        """The level of a line, in numbers of `logging`; 0 when it is not kept any more."""
        return next(iter(self.levels(number, number + 1)), 0)

    def levels(self, low: int, high: int) -> list[int]:
        """The levels of lines `low` to `high` (not included); 0 for those that are not kept any more."""
        with self._lock:
            first, end = max(low, self._next - self._size, 0), min(high, self._next)
            return [0] * (min(first, high) - low) + _cut(self._levels, first, end)

    def since(self, cursor: int) -> tuple[int, tuple[str, ...]]:
        """The lines from `cursor` on, a bounded number, and the cursor for the next call: `Doors.log_lines`."""
        with self._lock:
            first = min(max(cursor, self._next - self._size, 0), self._next)
            end = min(self._next, first + MOST_AT_ONCE)
            lines = _cut(self._lines, first, end)
        read = (x if isinstance(x, str) else self._read(number, x) for number, x in enumerate(lines, first))
        return end, tuple(read)

    def _read(self, number: int, raw: Raw) -> str:
        """The line of a record; it is kept, so that reading it again costs nothing."""
        line = self.form(raw)[:LONGEST_LINE]
        with self._lock:
            if self._lines[number % self._size] is raw:
                self._lines[number % self._size] = line
        return line


def _nothing(raw: Raw) -> str:
    return ""


def _cut(kept: list[_T], first: int, end: int) -> list[_T]:
    """The entries of a ring with these numbers; `first` and `end` are at most one round apart."""
    if first >= end:
        return []
    low, high = first % len(kept), end % len(kept)
    return kept[low:high] if low < high else kept[low:] + kept[:high]


class RingHandler(logging.handlers.QueueHandler):
    """Puts records into a ring and says that there is something to draw. May be used from any thread.

    What a record says is put together at once, because its arguments may change. Time, level and names are put before it,
    and secrets are taken out of it, when the line is read: by the same formatter, which knows no fewer secrets by then.
    """

    def __init__(self, ring: Ring, poke: Callable[[], None] = lambda: None) -> None:
        super().__init__(ring)  # type: ignore[arg-type]  # it is only handed to `enqueue`
        self._ring, self._poke = ring, poke
        ring.form = self._form

    def handle(self, record: logging.LogRecord) -> Any:
        """Without the lock of a handler: the ring has its own."""
        passed = self.filter(record)
        if passed:
            self.emit(record)
        return passed

    def prepare(self, record: logging.LogRecord) -> Any:
        """Raw if the record is one line and not longer than what is kept of a line: a secret must never be cut in two."""
        text = record.getMessage()
        if record.exc_info or record.exc_text or record.stack_info or len(text) > LONGEST_LINE or "\n" in text:
            return self.format(record), record.levelno
        return text, record.levelno, record.created, record.msecs, record.threadName, record.name

    def enqueue(self, record: Any) -> None:
        """Called by `emit`, which tells errors of both by logging's own way."""
        if len(record) > 2:
            self._ring.put(record)
        else:
            self._ring.add(*record)
        self._poke()

    def _form(self, raw: Raw) -> str:
        text, level, created, msecs, thread, name = raw
        record = logging.LogRecord(name, level, "", 0, text, None, None)
        record.created, record.msecs, record.threadName = created, msecs, thread
        return self.format(record)
