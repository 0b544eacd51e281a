"""The frame around the views: header, footer, windows, command bar, and the way from a key to a deed."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import urwid

from chatrixcd_threads.console.bar import Bar
from chatrixcd_threads.console.board import Board, Doors
from chatrixcd_threads.console.cells import can_unicode, cut, fold, many, shown, shown_line, span, wide, wrap
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.reader import Reader, looks_bad
from chatrixcd_threads.console.rows import Part, Row, Rows
from chatrixcd_threads.console.status import Grade, is_over, summary, symbol
from chatrixcd_threads.console.views.asked import Asked
from chatrixcd_threads.console.views.audit import Audit
from chatrixcd_threads.console.views.base import View
from chatrixcd_threads.console.views.devices import DeviceList
from chatrixcd_threads.console.views.files import Files
from chatrixcd_threads.console.views.first import First
from chatrixcd_threads.console.views.help import Help
from chatrixcd_threads.console.views.log import Log
from chatrixcd_threads.console.views.rooms import Rooms
from chatrixcd_threads.console.views.tasks import Tasks
from chatrixcd_threads.console.views.threads import Threads
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.threads.diagnose import new_code

log = logging.getLogger("chatrixcd.console")

SMALLEST: Final = (40, 12)
_TALL: Final = 16  # rows from which title and tabs have a line each
_KEPT_COMMANDS: Final = 50
_FOLDED: Final = 200
NO_TERMINAL: Final = "There is no terminal that an editor could use."


@dataclass(slots=True)
class Window:
    """A text over the view. `lines` is asked anew at each draw. The commands `deeds` of the view are done from here too.

    `about` is what was selected in the view: another thing may take its place in the list.
    """

    title: str
    lines: Callable[[], Sequence[str]]
    reader: Reader
    exact: bool = False
    deeds: tuple[str, ...] = ()
    about: Hashable = None


@dataclass(slots=True)
class Question:
    """A deed that waits for a yes."""

    sentence: str
    deed: Callable[[], None]


class Frame(urwid.WidgetWrap[urwid.Widget]):
    """Owner: the ui thread. The top widget; `refresh` takes over the board, everything else comes from keys."""

    def __init__(
        self,
        doors: Doors,
        table: Table,
        names: Callable[[], Iterable[str]],
        *,
        mouse: Callable[[], None] = lambda: None,
        redraw: Callable[[], None] = lambda: None,
        copy: Callable[[str], None] = lambda text: None,
        edit: Callable[[str, Callable[[str], None]], None] = lambda path, done: done(NO_TERMINAL),
        pictures: Callable[[], bool] = lambda: False,
    ) -> None:
        self.doors, self.pictures = doors, pictures
        self._table, self._mouse, self._redraw = table, mouse, redraw
        self._copy, self._edit = copy, edit
        self.views: dict[str, View] = {
            view.name: view
            for view in (
                First(self),
                Tasks(self),
                Rooms(self),
                Asked(self),
                Files(self),
                Threads(self),
                Log(self),
                DeviceList(self),
                Audit(self),
                Help(self, table, names),
            )
        }
        self.view = self.views["first"]
        self.bar: Bar | None = None
        self._names = names
        self._history: list[str] = []
        self._window: Window | None = None
        self._question: Question | None = None
        self._typed: OrderedDict[str, str] = OrderedDict()
        self._notice = ""
        self._board: Board | None = None
        self.failed: set[str] = set()  # the views that show the error panel
        self._size = (80, 24)
        self._pasting = False
        self._tabs: list[tuple[int, int, str]] = []
        self._header, self._footer = Pane(choosing=False), Pane(choosing=False)
        self._trouble = Pane(choosing=False)
        self._shell: urwid.Frame[Any, Any, Any] = urwid.Frame(urwid.SolidFill())
        # Widgets are made once and changed only when something is new: an unchanged frame then costs no drawing.
        self._bodies = {name: urwid.AttrMap(view.widget, {None: "body"}) for name, view in self.views.items()}
        self._bodies[""] = urwid.AttrMap(self._trouble, {None: "body"})
        self._heads = {n: urwid.BoxAdapter(urwid.AttrMap(self._header, {None: "header"}), n) for n in (1, 2)}
        self._foot_of: tuple[int, Bar | None] | None = None
        self._stack = urwid.OverlayStack(self._shell)
        super().__init__(self._stack)

    # --- drawing -------------------------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether the view has not taken over everything yet and should be drawn again soon."""
        view = self.view
        return isinstance(view, Log) and view.behind

    @property
    def shows_log(self) -> bool:
        """Whether a new log line changes what is on the screen."""
        return isinstance(self.view, Log)

    def refresh(self) -> None:
        """Takes over the board and what the view shows."""
        with self._guarded():
            self._board = self.doors.board()
            self._draw(self._board)

    def resized(self) -> None:
        """The terminal has another size: nothing that was drawn before counts."""
        self._invalidate()

    def edited(self, then: Callable[[], None]) -> None:
        """The editor has had the terminal."""
        self._invalidate()
        with self._guarded():
            then()

    def render(self, size: tuple[int, int], focus: bool = False) -> urwid.Canvas:  # type: ignore[override]
        """Draws anew when the size has changed. Too small a terminal is told so."""
        if size != self._size:
            self._size = size
            self.refresh()
        if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
            return self._too_small(size)
        with self._guarded():
            return super().render(size, focus)
        return urwid.CompositeCanvas(self._trouble.render(size, False))

    def _draw(self, board: Board) -> None:
        columns, rows = self._size
        head = 2 if rows >= _TALL else 1
        body = max(1, rows - head - 1 - bool(self._notice))
        try:
            self.view.draw(board, columns, body)
        except UserError as error:  # a door says why not: what was drawn stays
            if not self.doors.trouble():
                self.notice(error.sentence)
        self.failed.discard(self.view.name)
        self._put_body(self.view.name)
        self._head(board, columns, head)
        self._foot(columns)
        self._windows(columns)

    def _put_body(self, name: str) -> None:
        if self._shell.body is not self._bodies[name]:
            self._shell.body = self._bodies[name]

    def _head(self, board: Board, columns: int, rows: int) -> None:
        grade, said = summary(board)
        trouble = self.doors.trouble()
        if trouble:
            grade, said = Grade.BAD, shown(trouble)
        state = f"{symbol(min(grade, Grade.OK))} {said}"
        if rows == 1:
            said = " · ".join(part for part in (state, self._heading(board)) if part)
            title = f" {self.view.title} "
            first: list[Part] = [("tab", title), ("header", cut(f" {said}", columns - wide(title)))]
            lines = [Row(tuple(first))]
            self._tabs = []
        else:
            name = f"chatrixcd_threads {shown(board.version)}, up {span(board.up)} "
            heading = self._heading(board)
            left = cut(f" {state} · {heading}" if heading else f" {state}", columns - 1)
            right = name if wide(left) + wide(name) + 1 < columns else ""
            space = " " * (columns - wide(left) - wide(right))
            lines = [Row((("header", left), ("header", space), ("header", right)))]
            lines.append(self._tab_row(columns))
        self._header.give(Rows.of(lines))
        if self._shell.header is not self._heads[rows]:
            self._shell.header = self._heads[rows]

    def _heading(self, board: Board) -> str:
        return shown(self.view.heading(board))

    def _tab_row(self, columns: int) -> Row:
        """All views with their keys; the shown one in brackets. The longest form that fits, at last only the numbers."""
        keyed = [("?" if view.name == "help" else str(n), view) for n, view in enumerate(self.views.values(), 1)]
        forms = (_whole_tab, _short_tab, _bare_tab)
        fitting = (form for form in forms if sum(len(form(*each, each[1] is self.view)) for each in keyed) <= columns)
        form = next(fitting, _bare_tab)
        parts: list[Part] = []
        self._tabs, at = [], 0
        for key, view in keyed:
            here = view is self.view
            text = form(key, view, here)
            self._tabs.append((at, at + len(text), view.name))
            at += len(text)
            parts.append(("tab" if here else "header", text))
        return Row(tuple(parts))

    def _foot(self, columns: int) -> None:
        lines: list[Row] = []
        if self._notice:
            lines.append(Row((("footer", " " + cut(self._notice, columns - 2)),)))
        if self.bar is None:
            lines.append(self._hints(columns))
        elif self.bar.found:
            lines.append(Row((("footer", " " + cut("  ".join(self.bar.found), columns - 2)),)))
        self._footer.give(Rows.of(lines))
        if self._foot_of == (len(lines), self.bar):
            return
        self._foot_of = (len(lines), self.bar)
        parts: list[Any] = []
        if lines:
            parts.append((len(lines), urwid.AttrMap(self._footer, {None: "footer"})))
        if self.bar is not None:
            parts.append(("pack", urwid.AttrMap(self.bar.edit, {None: "edit"})))
        self._shell.footer = urwid.Pile(parts)
        self._shell.focus_position = "footer" if self.bar is not None else "body"

    def _hints(self, columns: int) -> Row:
        """What works here, the nearest first, as many as fit; the way to the bar and to all keys always."""
        context = self._context()
        hints = self._table.hints(context)
        if context == "overlay" and self._window is not None:
            hints = [*hints[:1], *self._table.labels(self.view.context, self._window.deeds), *hints[1:]]
        always = [each for each in hints if each[0] in (":", "?")]
        parts: list[Part] = []
        left = columns - 1
        for key, label in [*always, *(each for each in hints if each not in always)]:
            needed = len(key) + len(label) + 4
            if needed > left:
                continue
            left -= needed
            parts += [("key", f" [{key}]"), ("footer", f"{label} ")]
        return Row(tuple(parts))

    def _windows(self, columns: int) -> None:
        if self._window is not None:
            width = max(20, columns - 8)
            exact = self._window.exact
            try:
                said = self._window.lines()
            except UserError as error:  # a door says why not: what was shown stays
                if self._window.reader.filled:
                    return
                said = [shown(error.sentence)]
            parts = (wrap(line, width) if exact else fold(line, width, _FOLDED) for line in said)
            lines = [each for part in parts for each in (part or [""])]
            self._window.reader.give(0, len(lines), lambda number: lines[number] if number < len(lines) else "")

    def _too_small(self, size: tuple[int, int]) -> urwid.Canvas:
        columns, rows = size
        said = f"{columns}x{rows} is too small: the console needs {SMALLEST[0]}x{SMALLEST[1]}."
        lines = fold(said, columns, max(1, rows - 1)) if rows > 1 else []
        if self._board is not None:
            lines.insert(0, cut(summary(self._board)[1], columns))
        pane = Pane(choosing=False)
        pane.give(Rows.plain(lines[:rows]))
        return urwid.CompositeCanvas(pane.render(size, False))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """The console's one guard: a mistake in a view is shown in its place, and never ends anything."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self._panic(error)

    def _panic(self, error: Exception) -> None:
        """The error panel stands in the place of the view; the other views go on."""
        name = self.view.name
        if name not in self.failed:
            self.failed.add(name)
            code = new_code()
            log.error("%s: the console's view %s failed", code, name, exc_info=error)
            symbols = symbol(Grade.BAD)
            said = [
                ("bad", f"{symbols} This view has failed: {type(error).__name__}: {shown(str(error))}"),
                ("body", f"The bot itself goes on. The log has the details under the code {code}."),
                (
                    "body",
                    "Other views still work: press another number, or esc for the first page. It is tried again by itself.",
                ),
            ]
            rows = [Row(((name, part),)) for name, text in said for part in fold(text, self._size[0] - 2, 4)]
            self._trouble.give(Rows.of(rows))
        self._put_body("")

    # --- keys ----------------------------------------------------------------------------------------------------

    def keypress(self, size: tuple[int, int], key: str) -> str | None:  # type: ignore[override]
        """Bar, then question, then window, then view: one table says what the key does there."""
        if self._pasting and self.bar is None and key not in ("end paste", "esc"):
            return None  # what is pasted is text, its letters are no keys
        with self._guarded():
            bar, noticed = self.bar, self._notice
            self._notice = ""
            try:
                self._press(key)
            except UserError as error:
                self.notice(error.sentence)
            if bar is not None and bar is self.bar and not noticed and not self._notice:
                self._foot(self._size[0])  # typing changes nothing else
            else:
                self.refresh()
        return None

    def mouse_event(  # type: ignore[override]
        self, size: tuple[int, int], event: str, button: int, col: int, row: int, focus: bool
    ) -> bool | None:
        """A click on a tab opens the view; the rest goes to what is under the pointer."""
        with self._guarded():
            if row == 1 and event == "mouse press" and self._tabs and self._stack.depth == 0:
                for start, end, name in self._tabs:
                    if start <= col < end:
                        self.perform(f"view {name}")
            elif self._question is None:
                self._stack.mouse_event(size, event, button, col, row, focus)
            self.refresh()
        return True

    def _context(self) -> str:
        if self.bar is not None:
            return "bar"
        if self._question is not None:
            return "confirm"
        return "overlay" if self._window is not None else self.view.context

    def _press(self, key: str) -> None:
        context = self._context()
        if key in ("begin paste", "end paste"):
            self._pasting = key == "begin paste"
            if context != "bar":
                self.notice("Nothing was done with the pasted text: open the command bar with : first.")
            return
        self._pasting = self._pasting and key != "esc"  # nothing that is pasted has one: the end may have been lost
        if self._pasting and key in ("enter", "tab"):
            key = " "  # several lines become one, which is sent by a key
        deed = self._deed(key) if context == "overlay" else ""
        command = self._table.command(context, key)
        if deed:
            self._do(deed)
        elif context == "bar" and self.bar is not None:
            self._in_bar(self.bar, command, key)
        elif command is None:
            return
        elif context == "confirm":
            self._answer(command)
        elif context == "overlay" and self._window is not None:
            if command == "close":
                self._close()
            elif not self._window.reader.act(command):
                self._in_window(self._window, command)
        elif not self.view.act(command):
            self.perform(command)

    def _in_bar(self, bar: Bar, command: str | None, key: str) -> None:
        match command:
            case "send":
                self.bar = None
                bar.done()
            case "close":
                self.bar = None
            case "complete":
                bar.complete()
            case "older" | "newer":
                bar.recall(-1 if command == "older" else 1)
            case _:
                bar.press(key, self._size[0])

    def _in_window(self, window: Window, command: str) -> None:
        match command:
            case "errors only":
                window.reader.filter(None if window.reader.filtering else lambda number, line: looks_bad(line))
            case "search":
                self._search(window.reader.search)
            case "copy":
                self._copied(window.reader.line())
            case _:
                if "view" in command.split():  # another view, whichever way
                    self._close()
                self.perform(command)

    def _deed(self, key: str) -> str:
        """What the key does to the thing that the window is about; empty: it is a key of the window."""
        command = self._table.command(self.view.context, key) or ""
        return command if self._window is not None and command in self._window.deeds else ""

    def _do(self, deed: str) -> None:
        about = self._window.about if self._window is not None else None
        self._close()
        if self.view.pane.chosen != about:
            self.notice("What the window was about is not in the list any more.")
        elif not self.view.act(deed):
            self.perform(deed)

    def _answer(self, command: str) -> None:
        question, self._question = self._question, None
        self._stack.close()
        if question is not None and command == "yes":
            question.deed()

    def perform(self, command: str) -> bool:
        """The commands that work everywhere."""
        kind, _, what = command.partition(" ")
        names = list(self.views)
        match kind:
            case "view" if what in self.views:
                self.view = self.views[what]
            case "next" | "previous":
                step = 1 if kind == "next" else -1
                self.view = self.views[names[(names.index(self.view.name) + step) % len(names)]]
            case "back":
                self.view = self.views["first"]
            case "bar":
                self.prompt("")
            case "search":
                self._search(self.view.search)
            case "answers":
                self._show_answers()
            case "copy":
                self._copied(self.view.line())
            case "whole":
                lines = self.view.on_screen()
                self.tell("The lines on the screen", lambda: lines, exact=True)
            case "mouse":
                self._mouse()
            case "redraw":
                self._redraw()
            case "ask":
                self.type(what)
            case "quit":
                self._quit()
            case _:
                return False
        return True

    # --- what views may ask for ----------------------------------------------------------------------------------

    def type(self, line: str) -> None:
        self._typed_as(self.doors.command(line), line)

    def _typed_as(self, ticket: str, line: str) -> None:
        self._typed[ticket] = line
        while len(self._typed) > _KEPT_COMMANDS:
            self._typed.popitem(last=False)
        self._show_answers()

    def ask(self, question: str, deed: Callable[[], None]) -> None:
        self._question = Question(question, deed)
        width = min(60, self._size[0] - 4)
        rows = [Row((("dialog", part),)) for part in fold(question, width - 2, 6)]
        rows += [Row((("dialog", ""),)), Row((("tab", " [y] yes "), ("dialog", "  "), ("tab", " [n] no ")))]
        pane = Pane(choosing=False)
        pane.give(Rows.of(rows))
        self._stack.open(_boxed(pane, "Sure?", "dialog"), width=width, height=len(rows) + 2)

    def tell(
        self,
        title: str,
        lines: Callable[[], Sequence[str]],
        *,
        following: bool = False,
        style: Callable[[int, str], str] | None = None,
        exact: bool = False,
        deeds: tuple[str, ...] = (),
    ) -> None:
        self._close()
        reader = Reader(style or _window_style)
        reader.pane.following = following
        self._window = Window(title, lines, reader, exact, deeds, self.view.pane.chosen)
        self._stack.open(
            _boxed(reader.pane, shown(title), "dialog"),
            width=("relative", 100),
            height=("relative", 80),
            left=2,
            right=2,
        )

    def prompt(self, start: str) -> None:
        self.bar = Bar(":", start, self._history, self._names, self._command if start else self._send)

    def select(self, view: str, key: Hashable) -> None:
        if key is not None and view in self.views:
            self.views[view].select(key)

    def notice(self, sentence: str) -> None:
        self._notice = shown(sentence)

    def edit(self, path: str, done: Callable[[str], None]) -> None:
        self._edit(path, done)

    def _copied(self, line: str) -> None:
        if line:
            self._copy(line)
            self.notice(f"Copied, if the terminal allows it: {line}")

    def _search(self, where: Callable[[str], bool | None]) -> None:
        def look(needle: str) -> None:
            if where(needle) is False:
                self.notice(f"“{needle}” is nowhere.")

        self.bar = Bar("/", "", [], list, look)

    def _send(self, line: str) -> None:
        if line.strip():
            self._typed_as(self.doors.type_command(line.strip()), line.strip())

    def _command(self, line: str) -> None:
        """What a key has begun to type."""
        if line.strip():
            self.type(line.strip())

    def _quit(self) -> None:
        if self.doors.detach is not None:
            self.doors.detach()
            return
        going = sum(not is_over(each) for each in self._board.tasks) if self._board else 0
        more = (
            f" {many(going, 'task')} run on in Semaphore and are followed again after the next start." if going else ""
        )
        self.ask(f"Stop the bot?{more}", self.doors.leave)

    def _close(self) -> None:
        if self._window is not None:
            self._window = None
            self._stack.close()

    def _show_answers(self) -> None:
        if self._window is None or self._window.title != "Answers":
            self.tell("Answers", self._answer_lines, following=True)
        else:
            self._window.reader.pane.following = True  # the newest is meant, also after one has scrolled up

    def _answer_lines(self) -> list[str]:
        """What the bot said here, the newest at the end, each with what was typed for it; then what it still owes."""
        mark = "›" if can_unicode() else ">"
        answers = dict(self.doors.answers())
        lines: list[str] = []
        for ticket, text in answers.items():
            if ticket in self._typed:  # else: how a task ended, or asked before this console was opened
                lines.append(f"{mark} {shown(self._typed[ticket])}")
            lines += [*map(shown_line, text.splitlines()), ""]
        for ticket in (each for each in self._typed if each not in answers):
            lines += [f"{mark} {shown(self._typed[ticket])}", "waiting for the answer", ""]
        return lines or ["Nothing was asked yet. Press : and type a command, for example  status"]


def _window_style(number: int, line: str) -> str:
    return "title" if line.startswith(("› ", "> ")) else "dialog"


def _whole_tab(key: str, view: View, here: bool) -> str:
    return f"[{key} {view.title}]" if here else f" {key} {view.title} "


def _short_tab(key: str, view: View, here: bool) -> str:
    return f"[{key} {view.title}]" if here else f" {key} {view.title if view.tab is None else view.tab}".rstrip()


def _bare_tab(key: str, view: View, here: bool) -> str:
    return f"[{key} {view.title}]" if here else f" {key} "


def _boxed(pane: Pane, title: str, look: str) -> urwid.Widget:
    attributes: dict[Any, str] = {None: look, "body": look}
    return urwid.AttrMap(urwid.LineBox(pane, title=title, title_align="left"), attributes)
