"""Questions that wait for an answer, and launches that are not settled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from chatrixcd_threads.console.board import Board, LaunchLine, QuestionLine
from chatrixcd_threads.console.cells import many, shown, span
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, in_doubt, style, symbol
from chatrixcd_threads.console.views.base import Filtered, table

_STATE: Final = 14  # columns: “▸ 59 min left”
_CANNOT: Final = {
    "withdraw": "Only a question can be withdrawn.",
    "started": "Only a launch in doubt can be resolved.",
    "not started": "Only a launch in doubt can be resolved.",
}


class Asked(Filtered):
    """Owner: the ui thread."""

    name = "asked"
    title = "Asked"
    _things: tuple[LaunchLine | QuestionLine, ...] = ()
    _now = 0.0

    def draw(self, board: Board, columns: int, height: int) -> None:
        """What is in doubt first, then what is being sent, then questions by the time that is left."""
        self._now = board.now
        launches = sorted(board.launches, key=lambda each: not in_doubt(each.state))
        questions = sorted(board.questions, key=lambda each: each.expires_at)
        things: tuple[LaunchLine | QuestionLine, ...] = (*launches, *questions)
        self._things = tuple(each for each in things if not self.needle or self.has(*_words(each)))
        keys = [
            each.token if isinstance(each, LaunchLine) else (each.id, each.room_id, each.asker, each.summary)
            for each in self._things
        ]
        if not keys:
            self.pane.give(Rows.of([self.nothing("No question is open and no launch is in doubt.")]))
            return
        self.pane.give(Rows(0, len(keys), lambda n: _row(self._things[n], columns, board.now), keys))

    def act(self, command: str) -> bool:
        number = self.pane.selected
        thing = self._things[number] if number is not None and number < len(self._things) else None
        now = self._now
        match command, thing:
            case "open", LaunchLine() | QuestionLine():
                self.hands.tell("What to do", lambda: _explain(thing, now), deeds=_deeds(thing))
            case "withdraw", QuestionLine():
                self.hands.ask(
                    f"Withdraw the question about {shown(thing.summary)}? Nobody can answer it any more, and its room is told.",
                    lambda: self.hands.type(f"withdraw {thing.id}"),
                )
            case "started", LaunchLine() if in_doubt(thing.state):
                self.hands.prompt(f"resolve {shown(thing.token)} started ")
            case "not started", LaunchLine() if in_doubt(thing.state):
                self.hands.ask(
                    f"Was {shown(thing.name)} ({shown(thing.token)}) not started? Look in Semaphore first: {_where(thing)}.",
                    lambda: self.hands.type(f"resolve {shown(thing.token)} not-started"),
                )
            case "withdraw" | "started" | "not started", _:
                self.hands.notice(_CANNOT[command])
            case _:
                return super().act(command)
        return True

    def heading(self, board: Board) -> str:
        said = (
            f"{many(len(board.questions), 'question')}, {many(len(board.launches), 'launch', 'launches')} not settled"
        )
        return self.filtered(said, len(self._things))


def _words(thing: LaunchLine | QuestionLine) -> tuple[str, ...]:
    """What the line can be found by."""
    if isinstance(thing, QuestionLine):
        return ("question", thing.asker, thing.room_id, thing.summary)
    return (thing.name, thing.token, thing.person, thing.room_id, thing.state)


def _deeds(thing: LaunchLine | QuestionLine) -> tuple[str, ...]:
    if isinstance(thing, QuestionLine):
        return ("withdraw",)
    return ("started", "not started") if in_doubt(thing.state) else ()


def _row(thing: LaunchLine | QuestionLine, columns: int, now: float) -> Row:
    if isinstance(thing, LaunchLine):
        grade = Grade.BAD if in_doubt(thing.state) else Grade.BUSY
        cells = [(style(grade), f"{symbol(grade)} {shown(thing.state)}", _STATE), ("body", shown(thing.name), 0)]
        if columns < 60:
            return table(columns, cells)
        since = f"since {span(now - thing.since)}" if thing.since else ""
        return table(columns, [*cells, ("body", since, 14), ("body", shown(thing.person), 24)])
    left = thing.expires_at - now
    grade = Grade.BUSY if left > 60 else Grade.WARN
    cells = [
        (style(grade), f"{symbol(grade)} {span(left)} left", _STATE),
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
            "Only its asker answers it, in its room: with a reaction, a reply, or yes and no.",
            "w withdraws it: then nothing is done, and its message says so.",
        ]
    said = [f"{shown(thing.name)}, for {shown(thing.person)}: {shown(thing.state)}", f"Token: {shown(thing.token)}"]
    if thing.since:
        said.append(f"Since {_moment(thing.since)}, {span(now - thing.since)} ago.")
    said += [f"Asked for in {shown(thing.room_id)}."] if thing.room_id else []
    said.append("")
    if not in_doubt(thing.state):
        return [*said, "It is being sent to Semaphore right now. Nothing is to be done."]
    return [
        *said,
        *([shown(thing.looked), ""] if thing.looked else []),
        "The answer of Semaphore was lost, and the bot does not start anything twice by itself.",
        f"Look in Semaphore: {_where(thing)}.",
        "It is there: s, then the number of its task. The bot checks it, follows it and tells the room.",
        "It is not there: x. Then whoever needs it can run it again.",
    ]


def _where(launch: LaunchLine) -> str:
    project = f" of project {launch.project_id}" if launch.project_id else ""
    return f"the tasks{project}, one whose message holds {shown(launch.token)}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
