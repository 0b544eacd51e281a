"""Questions that wait for an answer, and launches that are not settled."""

from __future__ import annotations

from chatrixcd_threads.console.board import Board, LaunchLine, QuestionLine
from chatrixcd_threads.console.cells import many, shown, span
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, in_doubt, style, symbol
from chatrixcd_threads.console.views.base import View, table


class Asked(View):
    """Owner: the ui thread."""

    name = "asked"
    title = "Asked"
    _things: tuple[LaunchLine | QuestionLine, ...] = ()
    _now = 0.0

    def draw(self, board: Board, columns: int, height: int) -> None:
        """What is in doubt first, then what is being sent, then questions by the time that is left."""
        self._now = board.now
        launches = sorted(board.launches, key=lambda each: not in_doubt(each.state))
        self._things = (*launches, *sorted(board.questions, key=lambda each: each.expires_at))
        keys = [
            each.token if isinstance(each, LaunchLine) else (each.room_id, each.asker, each.summary)
            for each in self._things
        ]
        if not keys:
            self.pane.give(Rows.of([Row((("dim", "No question is open and no launch is in doubt."),))]))
            return
        self.pane.give(Rows(0, len(keys), lambda n: _row(self._things[n], columns, board.now), keys))

    def act(self, command: str) -> bool:
        number = self.pane.selected
        if command == "open" and number is not None and number < len(self._things):
            thing, now = self._things[number], self._now
            self.hands.tell("What to do", lambda: _explain(thing, now))
            return True
        return super().act(command)

    def heading(self, board: Board) -> str:
        return (
            f"{many(len(board.questions), 'question')}, {many(len(board.launches), 'launch', 'launches')} not settled"
        )


def _row(thing: LaunchLine | QuestionLine, columns: int, now: float) -> Row:
    if isinstance(thing, LaunchLine):
        grade = Grade.BAD if in_doubt(thing.state) else Grade.BUSY
        last = ("body", shown(thing.person), 0 if columns < 60 else 24)
        cells = [(style(grade), f"{symbol(grade)} {shown(thing.state)}", 11), ("body", shown(thing.name), 0)]
        return table(columns, [*cells, last] if columns >= 60 else cells)
    left = thing.expires_at - now
    grade = Grade.BUSY if left > 60 else Grade.WARN
    cells = [
        (style(grade), f"{symbol(grade)} {span(left)} left", 11),
        ("body", shown(thing.summary), 0),
    ]
    return table(columns, [*cells, ("body", shown(thing.asker), 24)] if columns >= 60 else cells)


def _explain(thing: LaunchLine | QuestionLine, now: float) -> list[str]:
    if isinstance(thing, QuestionLine):
        return [
            shown(thing.summary),
            "",
            f"Asked by {shown(thing.asker)} in {shown(thing.room_id)}.",
            f"It ends in {span(thing.expires_at - now)}; until then it survives a restart.",
            "",
            "It is answered in its room: with a reaction, a reply, or yes and no.",
        ]
    said = [f"{shown(thing.name)}, for {shown(thing.person)}: {shown(thing.state)}", f"Token: {shown(thing.token)}", ""]
    if not in_doubt(thing.state):
        return [*said, "It is being sent to Semaphore right now. Nothing is to be done."]
    return [
        *said,
        "The answer of Semaphore was lost, and the bot does not start anything twice by itself.",
        "Look in Semaphore's list of tasks for the token: it stands in the task's message.",
        "If it is there, the task was started. If it is not, run the command again.",
    ]
