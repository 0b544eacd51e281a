"""Tasks: the list, and the output of the selected one."""

from __future__ import annotations

import re
from typing import Any, Final

import urwid

from chatrixcd_threads.console import pace
from chatrixcd_threads.console.board import Board, TaskLine
from chatrixcd_threads.console.cells import can_unicode, fit, many, shown, shown_line
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.reader import Reader, looks_bad
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, is_over, style, symbol, task_grade, task_word
from chatrixcd_threads.console.views.base import Filtered, Hands, table
from chatrixcd_threads.semaphore.models import WAITS

_BOTH: Final = 14  # rows from which list and output stand together
_ROOMY: Final = 110  # columns from which the times have a column of their own
_ODD: Final = re.compile(r"\bwarn(?:ing|ings)?\b|\bdeprecat", re.IGNORECASE)
_TOLD: Final = ("waiting", WAITS)  # where the state says already what would stand at the right
_LEVELS: Final = ("all", "warnings and errors", "errors only")


def looks_odd(line: str) -> bool:
    """Whether a line of output warns of something, or is worse."""
    return looks_bad(line) or _ODD.search(line) is not None


class Tasks(Filtered):
    """Owner: the ui thread."""

    name = "tasks"
    title = "Tasks"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self.reader = Reader(lambda number, line: _look(line))
        self._rule = Pane(choosing=False)
        self._pile: urwid.Pile = urwid.Pile([("weight", 1, self.pane)])
        self._tasks: tuple[TaskLine, ...] = ()
        self._reading = False
        self._level = 0
        self._now = 0.0
        self._raw: tuple[str, ...] = ()
        self._of: tuple[int, int] | None = None

    @property
    def context(self) -> str:
        return "output" if self._reading else "tasks"

    @property
    def widget(self) -> urwid.Widget:
        return self._pile

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Running tasks first, newest first; the output of the selected one below it. A task that moves on stays in place."""
        self._now = board.now
        kept = (each for each in board.tasks if self._is_shown(each))
        self._tasks = tuple(sorted(kept, key=lambda each: (is_over(each), -each.task_id, each.project_id)))
        keys = [(each.project_id, each.task_id) for each in self._tasks]
        digits = max((len(str(each.task_id)) for each in self._tasks), default=0)
        nobody = self.nothing("No task is followed. Start one with  :run")
        rows = (
            Rows(0, len(keys), lambda n: _row(self._tasks[n], columns, board.now, digits), keys)
            if keys
            else Rows.of([nobody])
        )
        gone = self._reading and self.pane.chosen not in keys
        self.pane.give(rows)
        if gone:  # what takes its place in the list is not what was being read
            self._reading = False
            self.hands.notice("The task whose output was shown is not in the list any more.")
        task = self._selected()
        self._reading = self._reading and task is not None
        both = height >= _BOTH and task is not None
        self._arrange(both, min(max(3, len(keys)), height // 3) if both else height)
        if task is not None and (both or self._reading):
            self._read(task, columns)

    def act(self, command: str) -> bool:
        task = self._selected()
        match command:
            case "open" if task is not None:
                self._reading = True
                self.reader.pane.following = True
            case "back" if self._reading:
                self._reading = False
            case "stop" if task is not None:
                self.hands.ask(
                    f"Stop task #{task.task_id} {shown(task.name)}? What it has started on its hosts may go on.",
                    lambda: self.hands.type(f"stop {task.task_id}"),
                )
            case "details" if task is not None:
                self.hands.type(f"status {task.task_id}")
            case "errors only":
                self._from(0 if self._level == 2 else 2)
            case "level":
                self._from((self._level + 1) % len(_LEVELS))
            case _:
                return self.reader.act(command) if self._reading else super().act(command)
        return True

    def heading(self, board: Board) -> str:
        going = [each for each in board.tasks if not is_over(each)]
        asking = sum(each.status == WAITS for each in going)
        late = sum(pace.is_late(each, board.now) for each in going)
        said = [self.filtered(f"{many(len(board.tasks), 'task')}, {len(going)} not over", len(self._tasks))]
        said += [f"{asking} to be confirmed"] if asking else []
        said += [f"{late} late"] if late else []
        return ", ".join(said)

    def search(self, needle: str) -> bool | None:
        return self.reader.search(needle) if self._reading else super().search(needle)

    def on_screen(self) -> list[str]:
        return self.reader.on_screen() if self._reading else []

    def line(self) -> str:
        return self.reader.line() if self._reading else ""

    def _is_shown(self, task: TaskLine) -> bool:
        """What is being read stays, whatever becomes of it."""
        if not self.needle or (self._reading and self.pane.chosen == (task.project_id, task.task_id)):
            return True
        late = "late" if not is_over(task) and pace.is_late(task, self._now) else ""
        return self.has(f"#{task.task_id}", task.name, task.person, task.stopper or "", task_word(task.status), late)

    def _from(self, level: int) -> None:
        self._level = level
        self.reader.filter((None, lambda number, line: looks_odd(line), lambda number, line: looks_bad(line))[level])

    def _selected(self) -> TaskLine | None:
        number = self.pane.selected
        return self._tasks[number] if number is not None and number < len(self._tasks) else None

    def _arrange(self, both: bool, rows: int) -> None:
        """Both, or only what has the keys."""
        wanted: list[tuple[urwid.Widget, tuple[Any, ...]]] = [(self.pane, ("weight", 1))]
        if both:
            wanted = [(self.pane, ("given", rows)), (self._rule, ("given", 1)), (self.reader.pane, ("weight", 1))]
        elif self._reading:
            wanted = [(self._rule, ("given", 1)), (self.reader.pane, ("weight", 1))]
        if [(each, tuple(how)) for each, how in self._pile.contents] != wanted:
            self._pile.contents[:] = wanted

    def _read(self, task: TaskLine, columns: int) -> None:
        raw = self.hands.doors.task_output(task.project_id, task.task_id)
        if (task.project_id, task.task_id) != self._of:
            self._of = (task.project_id, task.task_id)
            self.reader.give(0, 0, str)
        if raw is not self._raw or not raw:
            self._raw = raw
            self.reader.give(0, len(raw), lambda number: shown_line(raw[number]) if number < len(raw) else "")
        line = "──" if can_unicode() else "--"
        far, level = pace.full(task, self._now), _LEVELS[self._level] if self._level else ""
        of_text = [self.reader.state(), level, many(len(raw), "line")]
        parts = [f"{line} #{task.task_id} {shown(task.name)}", *((*of_text, far) if self._reading else (far, *of_text))]
        said = (" · " if can_unicode() else ", ").join(part for part in parts if part)
        mark = "title" if self._reading else "dim"
        self._rule.give(Rows.of([Row(((mark, fit(said, columns)),))]))


def _look(line: str) -> str:
    return "bad" if looks_bad(line) else "warn" if _ODD.search(line) else "body"


def _row(task: TaskLine, columns: int, now: float, digits: int) -> Row:
    late = not is_over(task) and pace.is_late(task, now)
    grade = Grade.WARN if late else task_grade(task.status)
    state = (style(grade), f"{symbol(grade)} {task_word(task.status)}", 10)
    number = ("title", f"#{task.task_id}", max(6, 1 + digits))
    name = ("body" if grade != Grade.OK else "dim", shown(task.name), 0)
    far = "" if is_over(task) else pace.brief(task, now)
    marked = style(grade) if late or task.status == WAITS else "body"
    if columns < 60:
        told = bool(far) and not (task.status in _TOLD and not task.waits_for)
        return table(columns, [number, state, name, (marked, far, 11)] if told else [number, state, name])
    person = shown(task.person) + (f", stopped by {shown(task.stopper)}" if task.stopper else "")
    cells = [number, state, name, (marked, far, 15), ("body", person, min(40, columns // 4))]
    if columns >= _ROOMY:
        cells.insert(4, ("dim", "" if is_over(task) else pace.full(task, now), min(56, columns * 28 // 100)))
    return table(columns, cells)
