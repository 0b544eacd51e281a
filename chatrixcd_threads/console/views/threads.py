"""Threads: state, last beat, restarts, and the stack on demand; queues, the lag of the sync loop, and the lanes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from chatrixcd_threads.console.board import Board, Depth, Lag, LaneLine
from chatrixcd_threads.console.cells import many, shown, shown_line, span
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol, thread_grade
from chatrixcd_threads.console.views.base import View, table
from chatrixcd_threads.threads.service import ThreadInfo

SLOW_JOB: Final = 30.0  # seconds
LONG_LANE: Final = 20
LATE_LOOP: Final = 0.25  # seconds
_ROOMY: Final = 60


class Threads(View):
    """Owner: the ui thread."""

    name = "threads"
    title = "Threads"
    _board: Board | None = None
    tab = "Thread"

    def draw(self, board: Board, columns: int, height: int) -> None:
        """The worst thread first, then the queues, then the longest lanes."""
        threads = sorted(board.threads, key=lambda each: min(thread_grade(each), Grade.OK))
        rooms = {room.room_id: room.name for room in board.rooms}
        self._board = board
        rows = [_row(each, columns) for each in threads]
        rows += [_jobs(board, columns), _queues(board.depths, columns), _lag(board.lag, columns)]
        rows += [_lane(each, rooms.get(each.room) or each.room, columns) for each in board.lanes]
        keys = [*(each.name for each in threads), *(("line", number) for number in range(3))]
        self.pane.give(Rows.of(rows, [*keys, *(("lane", each.room, each.sender) for each in board.lanes)]))

    def act(self, command: str) -> bool:
        if command != "open":
            return super().act(command)
        chosen = self.pane.chosen
        lane = self._lane(chosen)
        if isinstance(chosen, str):
            said = lambda: [*self._facts(chosen), "", *self._stack(chosen)]  # noqa: E731
            self.hands.tell(f"Stack of {chosen}", said, exact=True)
        elif lane is not None:
            title = f"Stack of {shown(lane.thread)}" if lane.thread else "Lane"
            self.hands.tell(title, lambda: _lane_facts(lane, self._stack), exact=True)
        elif isinstance(chosen, tuple):
            self.hands.tell("Queues and jobs", self._figures)
        return True

    def heading(self, board: Board) -> str:
        return f"{many(len(board.threads), 'thread')}, {many(sum(each.restarts for each in board.threads), 'restart')}"

    def _lane(self, chosen: Hashable) -> LaneLine | None:
        lanes = self._board.lanes if self._board is not None else ()
        return next((each for each in lanes if ("lane", each.room, each.sender) == chosen), None)

    def _facts(self, name: str) -> list[str]:
        """What the row of a thread says, whole: a narrow terminal cuts it."""
        thread = next((each for each in self._board.threads if each.name == name), None) if self._board else None
        if thread is None:
            return ["This thread is not there any more."]
        restarts = many(thread.restarts, "restart")
        said = f"{thread.state} for {span(thread.since)}, beat {span(thread.beat_age)} ago, {restarts}"
        return [said, *([shown(thread.problem)] if thread.problem else [])]

    def _figures(self) -> list[str]:
        board = self._board
        if board is None:
            return []
        said = {"Jobs": _jobs_said(board), "Queues": _depths_said(board.depths), "Sync loop": _lag_said(board.lag)}
        return [f"{name}: {each}" for name, each in said.items()]

    def _stack(self, name: str) -> list[str]:
        return [shown_line(line) for line in self.hands.doors.stack_of(name)] or ["There is no such thread now."]


def _row(thread: ThreadInfo, columns: int) -> Row:
    grade = thread_grade(thread)
    cells = [
        (style(grade), f"{symbol(grade)} {thread.state}", 10),
        ("title", shown(thread.name), 10),
    ]
    said = shown(thread.problem)
    beat = f"beat {span(thread.beat_age)} ago"
    if columns < _ROOMY:
        return table(columns, [*cells, ("body", said or beat, 0)])
    cells += [
        ("body", beat, 15),
        ("body", f"for {span(thread.since)}", 10),
        ("body", many(thread.restarts, "restart"), 11),
    ]
    return table(columns, [*cells, ("body", said, 0)])


def _jobs_said(board: Board) -> str:
    return f"{board.lanes_running} running, {board.lanes_waiting} waiting, {board.given_up} given up"


def _jobs(board: Board, columns: int) -> Row:
    return table(columns, [("dim", "Jobs", 10), ("dim", _jobs_said(board), 0)])


def _depths_said(depths: tuple[Depth, ...]) -> str:
    return ", ".join(
        f"{shown(each.name)} {each.count:,}" + (f" of {each.most:,}" if each.most else "") for each in depths
    )


def _lag_said(lag: Lag) -> str:
    return f"p50 {_milliseconds(lag.p50)}, p99 {_milliseconds(lag.p99)} late" if lag.count else "not measured yet"


def _queues(depths: tuple[Depth, ...], columns: int) -> Row:
    full = any(each.most and each.count * 2 > each.most for each in depths)
    look = style(Grade.WARN) if full else "dim"
    title = f"{symbol(Grade.WARN)} Queues" if full else "Queues"
    return table(columns, [(look, title, 10), (look, _depths_said(depths), 0)])


def _lag(lag: Lag, columns: int) -> Row:
    late = lag.p99 > LATE_LOOP
    look = style(Grade.WARN) if late else "dim"
    return table(
        columns, [(look, f"{symbol(Grade.WARN)} Loop" if late else "Sync loop", 10), (look, _lag_said(lag), 0)]
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def _lane_facts(lane: LaneLine, stack: Callable[[str], list[str]]) -> list[str]:
    """Who is served, with what and for how long; and what the thread is doing that works for it."""
    works = f"works for {span(lane.age)}" if lane.age is not None else "is queued"
    said = [f"{shown(lane.job)} of {shown(lane.sender)} in {shown(lane.room)} {works}, {lane.waiting} waiting.", ""]
    if not lane.thread:
        return [*said, "No thread works for this lane at the moment."]
    return [*said, f"{shown(lane.thread)}:", *stack(lane.thread)]


def _lane(lane: LaneLine, room: str, columns: int) -> Row:
    slow = (lane.age or 0.0) > SLOW_JOB or lane.waiting > LONG_LANE
    grade = Grade.WARN if slow else Grade.BUSY if lane.age is not None else Grade.IDLE
    age = "queued" if lane.age is None else span(lane.age)
    cells = [
        (style(grade), f"{symbol(grade)} {age}", 10),
        ("body", f"{lane.waiting} waiting", 10),
    ]
    if columns < _ROOMY:
        return table(columns, [*cells, ("body", shown(lane.sender or room), 0)])
    third = min(40, columns // 5)
    cells += [("title", shown(room), third), ("body", shown(lane.sender), third)]
    return table(columns, [*cells, ("dim", shown(lane.job), 0)])
