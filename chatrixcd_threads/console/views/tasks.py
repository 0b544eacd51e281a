"""Tasks: the list, and the output of the selected one."""

from __future__ import annotations

from typing import Any, Final

import urwid

from chatrixcd_threads.console.board import Board, TaskLine
from chatrixcd_threads.console.cells import fit, many, shown, shown_line
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.reader import Reader, looks_bad
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, is_over, style, symbol, task_grade, task_word
from chatrixcd_threads.console.views.base import Hands, View, table

_BOTH: Final = 14  # rows from which list and output stand together


class Tasks(View):
    """Owner: the ui thread."""

    name = "tasks"
    title = "Tasks"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self.reader = Reader(lambda number, line: "bad" if looks_bad(line) else "body")
        self._rule = Pane(choosing=False)
        self._pile: urwid.Pile = urwid.Pile([("weight", 1, self.pane)])
        self._tasks: tuple[TaskLine, ...] = ()
        self._reading = False
        self._raw: tuple[str, ...] = ()
        self._of: tuple[int, int] | None = None

    @property
    def context(self) -> str:
        return "output" if self._reading else "tasks"

    @property
    def widget(self) -> urwid.Widget:
        return self._pile

    def draw(self, board: Board, columns: int, height: int) -> None:
        """Running tasks first, newest first; the output of the selected one below it."""
        self._tasks = tuple(sorted(board.tasks, key=lambda each: (is_over(each), -each.task_id)))
        keys = [(each.project_id, each.task_id) for each in self._tasks]
        nobody = Row((("dim", "No task is followed. Start one with  :run"),))
        rows = Rows(0, len(keys), lambda n: _row(self._tasks[n], columns), keys) if keys else Rows.of([nobody])
        self.pane.give(rows)
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
                self.reader.filter(None if self.reader.filtering else lambda number, line: looks_bad(line))
            case _:
                return self.reader.act(command) if self._reading else super().act(command)
        return True

    def heading(self, board: Board) -> str:
        going = sum(not is_over(each) for each in board.tasks)
        return f"{many(len(board.tasks), 'task')}, {going} not over"

    def search(self, needle: str) -> bool | None:
        return self.reader.search(needle) if self._reading else None

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
        said = f"── #{task.task_id} {shown(task.name)} · {many(len(raw), 'line')} · {self.reader.state()}"
        if self.reader.filtering:
            said += " · errors only"
        mark = "title" if self._reading else "dim"
        self._rule.give(Rows.of([Row(((mark, fit(said, columns)),))]))


def _row(task: TaskLine, columns: int) -> Row:
    grade = task_grade(task.status)
    state = (style(grade), f"{symbol(grade)} {task_word(task.status)}", 10)
    number = ("title", f"#{task.task_id}", 6)
    name = ("body" if grade != Grade.OK else "dim", shown(task.name), 0)
    if columns < 60:
        return table(columns, [number, state, name])
    person = shown(task.person) + (f", stopped by {shown(task.stopper)}" if task.stopper else "")
    return table(columns, [number, state, name, ("body", person, min(40, columns // 3))])
