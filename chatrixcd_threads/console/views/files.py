"""The settings files: which version counts, what is wrong with the one on disk, and the way back."""

from __future__ import annotations

from chatrixcd_threads.console.board import Board, FileLine
from chatrixcd_threads.console.cells import fold, many, shown, span
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol
from chatrixcd_threads.console.views.base import View, table


class Files(View):
    """Owner: the ui thread."""

    name = "files"
    title = "Settings"
    tab = "Files"
    _files: tuple[FileLine, ...] = ()

    def draw(self, board: Board, columns: int, height: int) -> None:
        """An error is told in full below its file."""
        self._files = tuple(sorted(board.files, key=lambda each: (not each.error, not each.held)))
        rows: list[Row] = []
        keys: list[tuple[str, int]] = []
        for file in self._files:
            reasons = fold(shown(file.error), columns - 8, 4) if file.error else []
            for number, row in enumerate((_row(file, columns, board.now), *(_reason(each) for each in reasons))):
                rows.append(row)
                keys.append((file.name, number))
        self.pane.give(Rows.of(rows, keys))

    def act(self, command: str) -> bool:
        chosen = self.pane.chosen
        file = chosen[0].partition(".")[0] if isinstance(chosen, tuple) else None
        match command:
            case "open" if file:
                self.hands.type(f"config show {file}")
            case "ask diff" | "ask check" | "ask history" if file:
                self.hands.type(f"config {command.removeprefix('ask ')} {file}")
            case "undo" if file:
                self.hands.ask(
                    f"Bring back the version of {file} before the one in force? The bot takes it over at once.",
                    lambda: self.hands.type(f"config undo {file}"),
                )
            case "reload":
                self.hands.ask(
                    "Read all settings files again, and take over what is good?", lambda: self.hands.type("reload")
                )
            case "preview":
                self.hands.prompt("messages preview ")
            case _:
                return super().act(command)
        return True

    def heading(self, board: Board) -> str:
        wrong = sum(bool(each.error) for each in board.files)
        return f"{many(len(board.files), 'file')}, {wrong} refused"


def _row(file: FileLine, columns: int, now: float) -> Row:
    grade, word = Grade.OK, "in force"
    if file.error:
        grade, word = Grade.BAD, "refused"
    elif file.held:
        grade, word = Grade.WARN, "held"
    said = f"in force for {span(now - file.since)}"
    if file.error:
        said = f"the version of {span(now - file.since)} ago counts"
    elif file.held:
        said = f"an edit waits for a yes; {said}"
    return table(
        columns, [(style(grade), f"{symbol(grade)} {word}", 10), ("title", shown(file.name), 14), ("body", said, 0)]
    )


def _reason(line: str) -> Row:
    return Row((("body", "    "), ("bad", line)))
