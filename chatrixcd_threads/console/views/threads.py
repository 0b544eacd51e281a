"""Threads: state, last beat, restarts, and the stack on demand."""

from __future__ import annotations

import threading

from chatrixcd_threads.console.board import Board
from chatrixcd_threads.console.cells import many, shown, shown_line, span
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol, thread_grade
from chatrixcd_threads.console.views.base import View, table
from chatrixcd_threads.threads.diagnose import stack_of
from chatrixcd_threads.threads.service import ThreadInfo


class Threads(View):
    """Owner: the ui thread."""

    name = "threads"
    title = "Threads"
    tab = "Thread"

    def draw(self, board: Board, columns: int, height: int) -> None:
        rows = [
            _row(each, columns) for each in sorted(board.threads, key=lambda each: min(thread_grade(each), Grade.OK))
        ]
        keys = [each.name for each in sorted(board.threads, key=lambda each: min(thread_grade(each), Grade.OK))]
        said = f"Jobs: {board.lanes_running} running, {board.lanes_waiting} waiting, {board.given_up} given up"
        self.pane.give(Rows.of([*rows, Row((("dim", said),))], [*keys, ""]))

    def act(self, command: str) -> bool:
        chosen = self.pane.chosen
        if command == "open" and isinstance(chosen, str) and chosen:
            self.hands.tell(f"Stack of {chosen}", lambda: _stack(chosen))
            return True
        return super().act(command)

    def heading(self, board: Board) -> str:
        return f"{many(len(board.threads), 'thread')}, {many(sum(each.restarts for each in board.threads), 'restart')}"


def _row(thread: ThreadInfo, columns: int) -> Row:
    grade = thread_grade(thread)
    cells = [
        (style(grade), f"{symbol(grade)} {thread.state}", 10),
        ("title", shown(thread.name), 10),
        ("body", f"beat {span(thread.beat_age)} ago", 15),
    ]
    said = shown(thread.problem)
    if columns >= 60:
        cells += [("body", f"for {span(thread.since)}", 10), ("body", many(thread.restarts, "restart"), 11)]
    return table(columns, [*cells, ("body", said, 0)])


def _stack(name: str) -> list[str]:
    ident = next((each.ident for each in threading.enumerate() if each.name == name), None)
    stack = stack_of(ident)
    return [shown_line(line) for line in stack.splitlines()] or ["There is no such thread now."]
