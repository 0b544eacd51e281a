"""The first start on the screen: a page for each question, with its field, buttons, and what came of the last answer."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import urwid

from chatrixcd_threads.console.cells import can_unicode, cut, fit, fold, shown
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.pane import Pane
from chatrixcd_threads.console.rows import Part, Row, Rows
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.wizard.checker import Tried
from chatrixcd_threads.wizard.engine import Attempt, Walk
from chatrixcd_threads.wizard.steps import Step

SMALLEST: Final = (30, 8)
_FOLDED: Final = 40
_FIELD: Final = 1  # its place in the form; the buttons stand below it
_FORM_ROWS: Final = 4  # header, field, buttons, footer
_KEPT_LINES: Final = 100
_TASK: Final = 1  # lines of a check that say what the person has to do
_NO_FIELD: Final = "Nothing was done with the pasted text: there is no field for it now."
_BUTTONS: Final = (("Next", "next"), ("Back", "back"), ("Help", "explain"))
_MARKS: Final = {"bad": ("✗", "X"), "ok": ("✓", "+"), "warn": ("!", "!"), "title": ("", ""), "body": ("", "")}


class Checks(Protocol):
    """Who tries the answers, in another thread."""

    news: queue.SimpleQueue[str | Tried]

    def try_(self, attempt: Attempt) -> None:
        """Begins; the outcome comes as news."""

    def give_up(self) -> None:
        """Ends what waits."""


class Pages(urwid.WidgetWrap[urwid.Widget]):
    """Owner: the ui thread. `refresh` takes over what the checks have told; `done` is called after the last question."""

    behind = shows_log = False

    def __init__(
        self,
        walk: Walk,
        checks: Checks,
        table: Table,
        *,
        done: Callable[[], None],
        quit: Callable[[], None] = lambda: None,
        redraw: Callable[[], None] = lambda: None,
    ) -> None:
        self._walk, self._checks, self._table = walk, checks, table
        self._done, self._quit, self._redraw = done, quit, redraw
        self._trying: Attempt | None = None
        self._begun = 0.0
        self._told: list[str] = []
        self._explaining = False
        self._notice = ""
        self._pasted: list[str] | None = None  # what has come of a paste that has not ended yet
        self._size = (80, 24)
        self._step: Step | None = None
        self._edit: urwid.Edit | None = None
        self._radios: list[urwid.RadioButton] = []
        self._field: Any = None
        self._text, self._header, self._footer = (Pane(choosing=False) for _ in range(3))
        buttons = [urwid.AttrMap(self._button(label, command), "body", "focus") for label, command in _BUTTONS]
        self._buttons = urwid.Columns([(8, button) for button in buttons], dividechars=1)
        self._words = urwid.AttrMap(self._text, {None: "body"})
        rest = urwid.AttrMap(urwid.SolidFill(), "body")
        self._form: urwid.Pile = urwid.Pile([(1, self._words), ("pack", urwid.Text("")), ("pack", self._buttons), rest])
        shell: urwid.Frame[Any, Any, Any] = urwid.Frame(
            self._form,
            urwid.BoxAdapter(urwid.AttrMap(self._header, {None: "header"}), 1),
            urwid.BoxAdapter(urwid.AttrMap(self._footer, {None: "footer"}), 1),
        )
        super().__init__(shell)
        self._new_page()
        self._draw()

    def _button(self, label: str, command: str) -> urwid.Button:
        return urwid.Button(label, lambda _: self._act(command))

    # --- drawing -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Takes over what the checks have told."""
        while not self._checks.news.empty():
            news = self._checks.news.get()
            if isinstance(news, str):
                told = [*self._told, news]
                self._told = told if len(told) <= _KEPT_LINES else [*told[:_TASK], *told[_TASK - _KEPT_LINES :]]
            elif news.attempt is self._trying:
                self._tried(news)
        self._draw()

    def resized(self) -> None:
        """The terminal has another size."""
        self._invalidate()

    def notice(self, sentence: str) -> None:
        """A line in the footer, until the next key."""
        self._notice = shown(sentence)

    def render(self, size: tuple[int, int], focus: bool = False) -> urwid.Canvas:  # type: ignore[override]
        """Draws anew when the size has changed. Too small a terminal is told so."""
        if size != self._size:
            self._size = size
            self._draw()
        if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
            said = f"{size[0]}x{size[1]} is too small: the first start needs {SMALLEST[0]}x{SMALLEST[1]}."
            pane = Pane(choosing=False)
            pane.give(Rows.plain(fold(said, size[0], size[1])))
            return urwid.CompositeCanvas(pane.render(size, False))
        return super().render(size, focus)

    def _draw(self) -> None:
        columns, rows = self._size
        room = max(1, rows - _FORM_ROWS)
        lines = self._folded(self._lines(), columns)
        fits = len(lines) < room
        if not fits:
            lines = self._folded(self._lines(urgent_first=True), columns)
        self._form.contents[0] = (self._words, self._form.options("given", len(lines) + 1 if fits else room))
        self._text.give(Rows.of(lines))
        step = self._step
        number, total = self._walk.place
        title = f" First start {number}/{total} · {step.title}" if step is not None else " First start"
        more = "" if fits else " [page down] more "
        head = fit(title, columns - len(more)) + more
        self._header.give(Rows.of([Row((("header", head),))]))
        self._footer.give(Rows.of([self._hints(columns)]))

    def _folded(self, lines: list[tuple[str, str]], columns: int) -> list[Row]:
        return [row for style, line in lines for row in _folded(style, line, columns - 1)]

    def _lines(self, *, urgent_first: bool = False) -> list[tuple[str, str]]:
        """What came of the last answer, and the question; a small screen shows only the beginning, so there it is turned."""
        step = self._step
        if step is None:
            return []
        if self._explaining:
            keys = [("body", f"{names}: {text}") for names, text in self._table.section("wizard")]
            return [("title", step.title), ("body", step.help), ("body", "Esc closes the help."), ("body", ""), *keys]
        question = [("title", line) for line in step.question(self._walk.draft).splitlines()]
        if self._trying is not None:
            passed = time.monotonic() - self._begun
            trying = (
                f"Trying your answer, {passed:.0f} s. Esc stops." if not self._told else f"{passed:.0f} s. Esc stops."
            )
            told = self._told
            # the beginning is what is to be done: with its end, of which the last rows are shown, it stays
            if urgent_first:
                told = [*told[_TASK:], *told[:_TASK]]
            return [*(("body", line) for line in told), ("body", trying)]
        problem = [("bad", self._walk.problem)] if self._walk.problem else []
        found = self._walk.found
        before = (
            [*(("warn", line) for line in found.warnings), *(("ok", line) for line in found.lines)] if found else []
        )
        gap = [("body", "")] if before else []
        return [*problem, *question, *gap, *before] if urgent_first else [*before, *gap, *problem, *question]

    def _hints(self, columns: int) -> Row:
        if self._notice:
            return Row((("footer", " " + cut(self._notice, columns - 2)),))
        parts: list[Part] = []
        left = columns - 1
        for key, label in self._table.hints("wizard"):
            needed = len(key) + len(label) + 4
            if needed <= left:
                left -= needed
                parts += [("key", f" [{key}]"), ("footer", f"{label} ")]
        return Row(tuple(parts))

    def _new_page(self) -> None:
        """The form of the step that is to be answered now."""
        step = self._step = self._walk.step
        self._explaining = False
        self._told.clear()
        self._edit, self._radios = None, []
        if step is None:
            self._done()
            return
        proposed = self._walk.proposed()
        if step.choices:
            for choice in step.choices:
                urwid.RadioButton(self._radios, choice, choice == proposed)
            wide = [(len(radio.label) + 4, urwid.AttrMap(radio, "edit", "focus")) for radio in self._radios]
            self._field = urwid.Columns(wide, dividechars=2)
            self._field.focus_position = step.choices.index(proposed) if proposed in step.choices else 0
            self._mark_choice()
        else:
            mask = ("•" if can_unicode() else "*") if step.secret else None
            caption = "› " if can_unicode() else "> "
            self._edit = urwid.Edit(caption, proposed, wrap="clip", mask=mask)
            self._edit.set_edit_pos(len(proposed))
            self._field = urwid.AttrMap(self._edit, "edit")
        self._form.contents[_FIELD] = (self._field, self._form.options("pack"))
        self._form.focus_position = _FIELD
        self._text.go(0)

    # --- keys ----------------------------------------------------------------------------------------------------

    def keypress(self, size: tuple[int, int], key: str) -> str | None:  # type: ignore[override]
        """The table first; what it does not know, or what is text here, goes to the field."""
        if self._paste(key):
            return None
        self._notice = ""
        command = self._table.command("wizard", key)
        if self._explaining and key == "?" and self._edit is not None:
            self._explaining = False
            self._edit.keypress((size[0],), key)
        elif self._explaining and command in ("next", "back", "explain"):
            self._explaining = False
        elif command is None or (key == "?" and self._typing()) or (key == "enter" and self._on_buttons()):
            if self._trying is None and not self._explaining:
                super().keypress(size, key)
                self._mark_choice()
        else:
            self._act(command)
        self.refresh()
        return None

    def _paste(self, key: str) -> bool:
        """Takes what is pasted: one text for one field, whose letters are no keys and whose line ends send nothing.

        Else the rest of a secret that was copied with its line end would be the answer to the next question, and be shown.
        """
        if key == "begin paste":
            self._pasted = []
            return True
        pasted = self._pasted
        if pasted is None:
            return False
        if key in ("esc", "ctrl c"):  # nothing that is pasted has one: the end has been lost
            self._pasted = None
            return False
        if key == "end paste":
            self._pasted = None
            self._put("".join(pasted).strip("\n").replace("\n", " "))
            self.refresh()
        elif key in ("enter", "tab") or len(key) == 1:
            pasted.append({"enter": "\n", "tab": " "}.get(key, key))
        return True

    def _put(self, text: str) -> None:
        if self._edit is None or self._trying is not None or self._explaining:
            self._notice = _NO_FIELD
            return
        self._form.focus_position = _FIELD
        self._edit.insert_text(text)

    def _mark_choice(self) -> None:
        """Left and right choose at once: what has the focus is the answer."""
        if self._radios and not self._on_buttons():
            self._radios[self._field.focus_position].set_state(True)

    def _typing(self) -> bool:
        """Whether a question mark is meant as text."""
        return self._edit is not None and not self._on_buttons() and self._edit.edit_text != ""

    def _on_buttons(self) -> bool:
        return bool(self._form.focus_position == _FIELD + 1)

    def _act(self, command: str) -> None:
        match command:
            case "next":
                self._submit()
            case "back":
                self._back()
            case "explain":
                self._explaining = True
                self._text.go(0)
            case "quit":
                self._quit()
            case "redraw":
                self._redraw()
            case "clear":
                if self._edit is not None and self._trying is None:
                    self._edit.set_edit_text("")
            case "next field" | "previous field":
                self._move(1 if command == "next field" else -1)
            case _:
                self._text.move(command)

    def _move(self, way: int) -> None:
        """The stops are the field and each button."""
        stop = 1 + self._buttons.focus_position if self._on_buttons() else 0
        stop = (stop + way) % (1 + len(_BUTTONS))
        self._form.focus_position = _FIELD + 1 if stop else _FIELD
        if stop:
            self._buttons.focus_position = stop - 1

    def _submit(self) -> None:
        if self._trying is not None or self._step is None:
            return
        try:
            self._trying = self._walk.attempt(self._answer())
        except UserError as error:
            self._walk.failed(error.sentence)
            self._text.go(0)
            return
        self._begun = time.monotonic()
        self._told.clear()
        self._text.following = True  # of what is told the last counts
        self._checks.try_(self._trying)

    def _answer(self) -> str:
        if self._edit is not None:
            return str(self._edit.edit_text)
        marked = [str(radio.label) for radio in self._radios if radio.state]
        return marked[0] if marked else ""

    def _back(self) -> None:
        if self._trying is not None:
            self._trying = None  # what still comes of it does not matter any more
            self._checks.give_up()
            self._text.go(0)
            self._notice = "Stopped."
        elif self._walk.back():
            self._new_page()
        else:
            self._notice = "This is the first question. Ctrl-C ends the first start."

    def _tried(self, outcome: Tried) -> None:
        self._trying = None
        if outcome.found is None:
            self._walk.failed(outcome.problem)
            self._told.clear()
            self._text.go(0)
            return
        self._walk.passed(outcome.attempt, outcome.found)
        self._new_page()


def _folded(style: str, line: str, columns: int) -> list[Row]:
    pretty, plain = _MARKS[style]
    mark = pretty if can_unicode() else plain
    text = shown(line)
    if not mark:
        return [Row(((style, part),)) for part in fold(text, columns, _FOLDED) or [""]]
    parts = fold(text, columns - 2, _FOLDED)
    return [Row(((style, f"{mark if number == 0 else ' '} {part}"),)) for number, part in enumerate(parts)]
