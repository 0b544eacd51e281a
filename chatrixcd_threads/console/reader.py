"""A long text: follow, search, and a filter that is applied to each line once."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.rows import Part, Row, Rows

_BAD: Final = re.compile(
    r"\b(?:error|errors|fatal|traceback|exception|panic|critical)\b(?!=0)|\b(?:failed|unreachable)\b(?!\s*=\s*0)",
    re.IGNORECASE,
)


def looks_bad(line: str) -> bool:
    """Whether a line of output speaks of a failure. A count of zero failures does not."""
    return _BAD.search(line) is not None


class Reader:
    """Owner: the ui thread. Lines have numbers that stay; lines may come at the end and go at the beginning."""

    def __init__(self, style: Callable[[int, str], str]) -> None:
        self.pane = Pane(choosing=False, following=True)
        self.needle = ""
        self._style = style
        self._low = self._high = 0
        self._at: Callable[[int], str] = lambda number: ""
        self._keep: Callable[[int, int], Iterable[int]] | None = None
        self._kept: deque[int] = deque()
        self._dropped = self._scanned = 0
        self._pattern: re.Pattern[str] | None = None

    @property
    def filtering(self) -> bool:
        """Whether some lines are hidden."""
        return self._keep is not None

    @property
    def filled(self) -> bool:
        """Whether there is any text."""
        return self._high > self._low

    def filter(self, keep: Callable[[int, str], bool] | None) -> None:
        """Shows only lines that are kept; None shows all."""

        def pick(low: int, high: int) -> Iterable[int]:
            return (number for number in range(low, high) if keep is not None and keep(number, self._at(number)))

        self.pick(None if keep is None else pick)

    def pick(self, keep: Callable[[int, int], Iterable[int]] | None) -> None:
        """Like `filter`, but `keep` gives the numbers of a whole range (low, high) without having lines read."""
        self._keep = keep
        self._kept.clear()
        self._dropped = self._scanned = 0
        self.marked = None
        self.pane.following = True
        self.show()

    def give(self, low: int, high: int, at: Callable[[int], str]) -> None:
        """What there is now."""
        if high < self._high:  # another text
            self._kept.clear()
            self._dropped = self._scanned = 0
            self.marked = None
        self._low, self._high, self._at = low, high, at
        self.show()

    def show(self) -> None:
        """Hands the rows to the pane."""
        if self._keep is None:
            self.pane.give(Rows(self._low, self._high, self._row))
            return
        self._kept.extend(self._keep(max(self._scanned, self._low), self._high))
        self._scanned = self._high
        while self._kept and self._kept[0] < self._low:
            self._kept.popleft()
            self._dropped += 1
        first = self._dropped
        self.pane.give(Rows(first, first + len(self._kept), lambda place: self._row(self._kept[place - first])))

    def search(self, needle: str) -> bool:
        """Marks the text everywhere and goes to the last place. False: it is nowhere."""
        self.needle = needle
        self._pattern = re.compile(re.escape(needle), re.IGNORECASE) if needle else None
        self.show()
        return not needle or self.step(-1, around=True)

    def step(self, direction: int, *, around: bool = False) -> bool:
        """Goes to the next (1) or the previous (-1) line that was searched for; `around` begins at the end."""
        rows = self.pane.rows_shown
        pattern = self._pattern
        if pattern is None:
            return False
        here = rows.high if around else self._mark
        places = range(here + 1, rows.high) if direction > 0 else range(min(here, rows.high) - 1, rows.low - 1, -1)
        for place in places:
            if any(pattern.search(text) for _, text in rows.at(place).parts):
                self._point(place)
                return True
        return False

    def jump(self, direction: int, wanted: Callable[[int], bool]) -> bool:
        """Goes to the next (1) or the previous (-1) line whose number is wanted, from the marked line or the screen on."""
        rows, (first, last) = self.pane.rows_shown, self.pane.span
        if self.pane.following:
            here = rows.high
        elif self.marked is not None and first <= self._mark < last:
            here = self._mark
        else:
            here = first - 1 if direction > 0 else last
        places = range(here + 1, rows.high) if direction > 0 else range(min(here, rows.high) - 1, rows.low - 1, -1)
        for place in places:
            if wanted(self._number(place)):
                self._point(place)
                return True
        return False

    def line(self) -> str:
        """The marked line when it is on screen, else the last line that is."""
        first, last = self.pane.span
        if last <= first:
            return ""
        marked = self.marked is not None and not self.pane.following and first <= self._mark < last
        return self._at(self._number(self._mark if marked else last - 1))

    def on_screen(self) -> list[str]:
        """The lines that are on screen, whole."""
        return [self._at(self._number(place)) for place in range(*self.pane.span)]

    def act(self, command: str) -> bool:
        """What every text understands."""
        match command:
            case "follow":
                self.pane.following = not self.pane.following
                self.show()
            case "next match":
                self.step(1)
            case "previous match":
                self.step(-1)
            case "last":
                self.pane.following = True
                self.show()
            case _:
                return self.pane.move(command)
        return True

    def state(self) -> str:
        """For the heading, in words."""
        said = ["following" if self.pane.following else "standing still"]
        if self.needle:
            said.append(f"/{self.needle}")
        return ", ".join(said)

    _mark = 0
    marked: int | None = None
    """The number of the line that was gone to."""

    def _number(self, place: int) -> int:
        return place if self._keep is None else self._kept[place - self.pane.rows_shown.low]

    def _point(self, place: int) -> None:
        self._mark, self.marked = place, self._number(place)
        self.pane.go(place)

    def _row(self, number: int) -> Row:
        line = self._at(number)
        style = self._style(number, line) if number != self.marked else "focus"
        if self._pattern is None:
            return Row(((style, line),))
        parts: list[Part] = []
        end = 0
        for found in self._pattern.finditer(line):
            parts += [(style, line[end : found.start()]), ("match", found.group())]
            end = found.end()
        parts.append((style, line[end:]))
        return Row(tuple(part for part in parts if part[1]))
