"""The settings files: which version counts, what is wrong with the one on disk, the way back, and the editor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import urwid

from chatrixcd_threads.console.board import Board, FileLine, FileProblem, FileView
from chatrixcd_threads.console.cells import can_unicode, cut, ellipsis, fit, fold, many, shown, span, wide
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.rows import Part, Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol
from chatrixcd_threads.console.views.base import Hands, View, table

_BOTH: Final = 14  # rows from which list and details stand together
_WINDOW: Final = 8  # columns that a window has less than the view
_MORE: Final = 400
_DIFF_STYLES: Final = {"+": "ok", "-": "bad", "@": "dim"}


@dataclass(slots=True)
class _Edited:
    """A file that has just been in the editor: what was known before, and from which look on the answer counts."""

    name: str  # as in `FileLine`
    before: FileView
    looks: int


_DEEDS: Final = ("accept", "decline", "undo", "ask history", "edit")


class Files(View):
    """Owner: the ui thread."""

    name = "files"
    title = "Settings"
    tab = "Files"

    def __init__(self, hands: Hands) -> None:
        super().__init__(hands)
        self._rule, self._below = Pane(choosing=False), Pane(choosing=False)
        self._pile: urwid.Pile = urwid.Pile([("weight", 1, self.pane)])
        self._files: tuple[FileLine, ...] = ()
        self._edited: _Edited | None = None
        self._now, self._columns = 0.0, 80

    @property
    def widget(self) -> urwid.Widget:
        return self._pile

    def draw(self, board: Board, columns: int, height: int) -> None:
        """The files, the worst first; below them, or where there is no room in a window, what there is to know of one."""
        self._files = tuple(sorted(board.files, key=lambda each: (not each.error, not each.held)))
        self._now, self._columns = board.now, columns
        both = height >= _BOTH and bool(self._files)
        rows: list[Row] = []
        keys: list[tuple[str, int]] = []
        for file in self._files:
            reasons = fold(shown(file.error), columns - 8, 4) if file.error and not both else []
            for number, row in enumerate((_row(file, columns, board.now), *(_reason(each) for each in reasons))):
                rows.append(row)
                keys.append((file.name, number))
        self.pane.give(Rows.of(rows, keys))
        self._arrange(both, len(rows))
        chosen = self._selected()
        if chosen is not None:
            view = self._view(chosen.name)  # also where it is not shown: the keys need to know it
            if both:
                self._rule.give(Rows.of([Row((("dim", fit(f"── {shown(chosen.name)} ", columns)),))]))
                self._below.give(Rows.of(self._short_details(view, chosen, columns, height - len(rows) - 1)))
        self._settle()

    def act(self, command: str) -> bool:
        file = self._selected()
        if file is None and command not in ("reload", "preview"):
            return super().act(command)
        return self._with(file, command) if file is not None else self._general(command)

    def heading(self, board: Board) -> str:
        wrong = sum(bool(each.error) for each in board.files)
        return f"{many(len(board.files), 'file')}, {wrong} refused"

    def _general(self, command: str) -> bool:
        match command:
            case "reload":
                self.hands.ask(
                    "Read all settings files again, and take over what is good?", lambda: self.hands.type("reload")
                )
            case "preview":
                self.hands.tell("Messages as they are said", self._preview)
            case _:
                return super().act(command)
        return True

    def _with(self, file: FileLine, command: str) -> bool:
        """What concerns the selected file."""
        named = shown(file.name.partition(".")[0])
        match command:
            case "open":
                self.hands.tell(f"{file.name}, in force", lambda: self._text(file.name), style=_plain, exact=True)
            case "differs":
                self.hands.tell(f"{file.name}: what changed", lambda: self._diff(file.name), style=_by_sign, exact=True)
            case "details":
                self._open_details(file)
            case "edit":
                self._edit(file.name)
            case "accept" | "decline":
                self._decide(file.name, command)
            case "ask diff" | "ask check" | "ask history":
                self.hands.type(f"config {command.removeprefix('ask ')} {named}")
            case "undo":
                self.hands.ask(
                    f"Bring back the version of {named} before the one in force? The bot takes it over at once.",
                    lambda: self.hands.type(f"config undo {named}"),
                )
            case _:
                return self._general(command)
        return True

    def _selected(self) -> FileLine | None:
        chosen = self.pane.chosen
        return next((each for each in self._files if isinstance(chosen, tuple) and each.name == chosen[0]), None)

    def _view(self, name: str) -> FileView:
        return self.hands.doors.file_view(name)

    def _short_details(self, view: FileView, file: FileLine, columns: int, room: int) -> list[Row]:
        parts = details(view, file, columns, self._now, room)
        if len(parts) > room:
            parts[max(0, room - 1) :] = [("dim", f"{ellipsis()} i shows all of it")]
        return [Row((part,)) for part in parts]

    def _arrange(self, both: bool, rows: int) -> None:
        wanted: list[tuple[urwid.Widget, tuple[Any, ...]]] = [(self.pane, ("weight", 1))]
        if both:
            wanted = [(self.pane, ("given", rows)), (self._rule, ("given", 1)), (self._below, ("weight", 1))]
        if [(each, tuple(how)) for each, how in self._pile.contents] != wanted:
            self._pile.contents[:] = wanted

    # --- windows -------------------------------------------------------------------------------------------------

    def _text(self, name: str) -> list[str]:
        lines = self.hands.doors.file_text(name)
        if lines:
            return [_whole(line) for line in lines]
        return ["It is being read." if self._view(name).state == "reading" else "There is none: the defaults count."]

    def _diff(self, name: str) -> list[str]:
        view = self._view(name)
        return [_whole(line) for line in view.diff] or [_STATES.get(view.state, "The file says what is in force.")]

    def _open_details(self, file: FileLine) -> None:
        styles: list[str] = []

        def lines() -> list[str]:
            parts = details(self._view(file.name), file, self._columns - _WINDOW, self._now)
            styles[:] = [look for look, _ in parts]
            return [text for _, text in parts]

        def look(number: int, line: str) -> str:
            return styles[number] if number < len(styles) else "body"

        chosen = self._selected()
        deeds = _DEEDS if chosen is not None and chosen.name == file.name else ()
        self.hands.tell(file.name, lines, style=look, exact=True, deeds=deeds)

    def _preview(self) -> list[str]:
        found = self.hands.doors.previews()
        if not found:
            return ["The messages are being read."]
        said = [
            f"messages.json on disk is not used: {shown(each.error)}"
            for each in self._files
            if each.error and each.name.partition(".")[0] == "messages"
        ]
        mark = "›" if can_unicode() else ">"
        category = ""
        for each in found:
            if each.category != category:
                category = each.category
                said += [*([""] if said else []), f"{mark} {category}: {each.used}"]
            said += [
                f"{each.tone}:",
                *(f"• {shown(text)}" if can_unicode() else f"* {shown(text)}" for text in each.texts),
            ]
        return said

    # --- held edits and the editor -------------------------------------------------------------------------------

    def _decide(self, name: str, verdict: str) -> None:
        view = self._view(name)
        if not view.held:
            self.hands.notice(f"No edit of {name} waits for an answer.")
            return
        named = name.partition(".")[0]
        changes = "; ".join(view.changes[:3]) + ("; …" if len(view.changes) > 3 else "")
        self.hands.ask(
            f"{verdict.capitalize()} the edit of {shown(name)}? It waits because {shown(view.reason)}. {shown(changes)}",
            lambda: self.hands.type(f"config {verdict} {named} {view.held}"),
        )

    def _edit(self, name: str) -> None:
        view = self._view(name)
        if view.state == "reading":
            self.hands.notice(f"{name} is being read. Press the key again in a moment.")
        elif view.state == "absent":
            self.hands.ask(
                f"There is no {shown(view.path)}. Make it, with the text in force or else with the example, and edit it? "
                "The bot reads it at once.",
                lambda: self._make(name, view),
            )
        else:
            self.hands.edit(view.path, lambda problem: self._after(name, view, problem))

    def _make(self, name: str, view: FileView) -> None:
        problem = self.hands.doors.make_file(name)
        if problem:
            self.hands.notice(problem)
        else:
            self.hands.edit(view.path, lambda problem: self._after(name, view, problem))

    def _after(self, name: str, before: FileView, problem: str) -> None:
        """The editor has ended. What came of it shows when the bot has looked at the file."""
        if problem:
            self.hands.notice(problem)
            return
        self._edited = _Edited(name, before, self._view(name).looks + 1)
        self.hands.doors.look_again(name)

    def _settle(self) -> None:
        """Tells what came of an edit, as soon as it is known."""
        edited = self._edited
        if edited is None:
            return
        view = self._view(edited.name)
        if view.looks < edited.looks:
            return
        said = outcome(edited.before, view)
        self.hands.notice(said or f"{edited.name} was saved and is being read.")
        if said:
            self._edited = None


_STATES: Final = {
    "reading": "The file is being read.",
    "absent": "There is no file. E makes one.",
    "wrong": "The file cannot be read.",
}


def outcome(before: FileView, after: FileView) -> str:
    """What came of an edit in one sentence; empty while the bot has not read the file yet."""
    name = after.path.rpartition("/")[2]
    if after.state == "wrong":
        return f"{name} is refused: {_place(after.problems[0])}" if after.problems else f"{name} is refused."
    if after.state == "absent":
        return f"{name} is not there."
    if after.held:
        return f"{name} waits for a yes, because {after.reason}: y accepts it, x declines it."
    if after.state != "same":
        return f"{name} was not changed." if (after.diff, after.state) == (before.diff, before.state) else ""
    if after.since != before.since:
        return f"{name} is taken over and counts now."
    return f"{name} was not changed." if before.state == "same" else f"{name} says what is in force again."


def details(view: FileView, file: FileLine, columns: int, now: float, most: int = _MORE) -> list[Part]:
    """Everything about one file in lines of at most so many columns, each with its style; of the difference `most` lines."""
    found: list[Part] = []

    def say(look: str, text: str, most: int = 4) -> None:
        found.extend((look, part) for part in fold(shown(text), columns, most))

    if view.path:
        found.append(("dim", cut(shown(view.path), columns)))
    for problem in view.problems:
        say("bad", _place(problem))
        found.extend(_pointed(problem, columns))
    if view.state == "wrong":
        say("body", f"The version of {span(now - view.since)} ago stays in force.")
    elif file.error:
        say("bad", file.error)
    if view.held:
        say("warn", f"An edit waits for a yes: {view.reason}. y accepts it, x declines it. It would change:")
        found.extend(("body", cut(f"  {shown(each)}", columns)) for each in view.changes)
    if view.state == "edited" and not view.held:
        say("warn", "The file is good, and is not what is in force: it is being read, or was declined.")
    if view.state == "same" and not view.held:
        say("body", f"The file says what is in force, for {span(now - view.since)}.")
    elif view.state in ("absent", "reading"):
        say("body", _STATES[view.state])
    kept = f"{many(view.kept, 'version')} kept: h lists them, u goes back."
    say("dim", kept if view.kept else "No version is kept yet.")
    if view.diff:
        found.append(("title", cut("From the version in force to the file:", columns)))
        found.extend((_by_sign(0, line), cut(_whole(line), columns)) for line in view.diff[:most])
    return found


def _place(problem: FileProblem) -> str:
    where = f"line {problem.line}" + (f", column {problem.column}" if problem.column else "")
    return f"{where}: {problem.reason}" if problem.line else problem.reason


def _pointed(problem: FileProblem, columns: int) -> list[Part]:
    """The line of the file with a caret below the place that is meant; a long line is shown from where it matters."""
    if problem.caret < 0:
        return []
    bar = "│" if can_unicode() else "|"
    margin = f"{problem.line:>5} {bar} "
    room = max(8, columns - wide(margin))
    before, text = _whole(problem.text[: problem.caret]), _whole(problem.text)
    if wide(before) >= room - 4:
        gone = wide(before) - room // 2
        begin, _ = urwid.calc_text_pos(before, 0, len(before), gone)
        before, text = ellipsis() + before[begin:], ellipsis() + text[begin:]
    empty = " " * (wide(margin) - 2) + f"{bar} "
    return [("body", margin + cut(text, room)), ("bad", empty + " " * wide(before) + "^")]


def _whole(line: str) -> str:
    """A line of a file, made harmless; nothing that can be seen is left out."""
    return shown(line.expandtabs(8))


def _plain(number: int, line: str) -> str:
    return "body"


def _by_sign(number: int, line: str) -> str:
    return _DIFF_STYLES.get(line[:1], "body")


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
