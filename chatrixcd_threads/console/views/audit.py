"""The audit: who asked, confirmed, started, stopped and changed what, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from chatrixcd_threads.console.board import AuditLine, Board
from chatrixcd_threads.console.cells import many, shown
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, symbol
from chatrixcd_threads.console.views.base import Hands, View, table

MOST: Final = 500
PAUSE: Final = 1.0  # seconds between two readings
_LOOKS: Final = {
    "refused": "bad",
    "config refused": "warn",
    "in doubt": "bad",
    "not started": "warn",
    "expired": "dim",
    "declined": "dim",
    "identity reset": "bad",
    "put out": "warn",
}


class Audit(View):
    """Owner: the ui thread. `/` keeps the lines in which a word stands: a person, a kind, a template, a room."""

    name = "audit"
    title = "Audit"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self._lines: tuple[AuditLine, ...] = ()
        self._all: tuple[AuditLine, ...] = ()
        self._asked = -PAUSE
        self._needle = ""

    def draw(self, board: Board, columns: int, height: int) -> None:
        """A broken chain stands above everything."""
        if abs(board.now - self._asked) >= PAUSE:
            self._all, self._asked = self.hands.doors.audit(MOST), board.now
        lines = self._lines = self._found()
        above: list[Row] = []
        if board.audit_broken:
            said = f"Line {board.audit_broken} was changed or taken out: do not trust what follows it."
            above.append(Row((("bad", f"{symbol(Grade.BAD)} {said}"),)))
        if not lines:
            none = f"None of the newest {MOST} lines has" if self._is_part() else "No line has"
            said = f"{none} “{self._needle}” in it." if self._needle else "Nothing stands in the audit yet."
            above.append(Row((("dim", said),)))
        first = len(above)
        keys = [*range(-first, 0), *(each.seq for each in lines)]
        self.pane.give(Rows(0, len(keys), lambda n: above[n] if n < first else _row(lines[n - first], columns), keys))

    def act(self, command: str) -> bool:
        line = next((each for each in self._lines if each.seq == self.pane.chosen), None)
        if command == "open" and line is not None:
            self.hands.tell(f"Line {line.seq}", lambda: _explain(line))
            return True
        return super().act(command)

    def search(self, needle: str) -> bool | None:
        """Filters; an empty word shows everything again."""
        self._needle = needle.strip()
        return bool(self._found()) or not self._needle or self._is_part()  # then the view says how far it has looked

    def heading(self, board: Board) -> str:
        said = many(len(self._lines), "line")
        said = f"{said} of the newest {MOST}" if self._is_part() else said
        return f"{said} with /{self._needle}" if self._needle else said

    def _is_part(self) -> bool:
        """Whether there may be earlier lines than those that are looked at."""
        return len(self._all) >= MOST

    def _found(self) -> tuple[AuditLine, ...]:
        wanted = self._needle.casefold()
        return tuple(each for each in self._all if wanted in _words(each)) if wanted else self._all


def _words(line: AuditLine) -> str:
    return f"{line.who} {line.what} {line.subject} {line.room_id} {line.detail}".casefold()


def _row(line: AuditLine, columns: int) -> Row:
    what = (_LOOKS.get(line.what, "title"), shown(line.what), 14)
    subject = shown(line.subject or line.detail)
    if columns < 60:
        return table(columns, [("dim", _clock(line.at, "%H:%M"), 5), what, ("body", subject, 0)])
    said = f"{subject}: {shown(line.detail)}" if line.subject and line.detail else subject
    who = ("body", shown(line.who or "-"), max(18, columns // 5))
    return table(columns, [("dim", _clock(line.at, "%m-%d %H:%M:%S"), 14), what, who, ("body", said, 0)])


def _clock(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime(form)


def _explain(line: AuditLine) -> list[str]:
    facts = {
        "When": _clock(line.at, "%Y-%m-%d %H:%M:%S %z"),
        "Who": line.who or "the bot itself, or somebody who may write its files",
        "What": line.what,
        "About": line.subject,
        "Where": line.room_id,
        "Detail": line.detail,
    }
    return [f"{name}: {shown(value)}" for name, value in facts.items() if value]
