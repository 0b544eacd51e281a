"""Every key does what the table says; footer, help and document come from the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import urwid.testing

from chatrixcd_threads.console.board import RoomLine
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import CONTEXTS, KEYS, Key, Table, keys_page, name
from tests.console.sample import NAMES, Feed, stormy

SIZE = (80, 24)


class Desk:
    """A console without a terminal."""

    def __init__(self) -> None:
        self.feed = Feed(stormy())
        self.feed.outputs[1, 4_711] = tuple(f"TASK [{n}]" if n % 5 else f"fatal: host{n} failed" for n in range(60))
        self.calls: list[str] = []
        self.problem = ""
        self.frame = Frame(
            self.feed.doors,
            Table(),
            lambda: NAMES,
            mouse=lambda: self.calls.append("mouse"),
            redraw=lambda: self.calls.append("redraw"),
            copy=lambda text: self.calls.append(f"copy {text}"),
            edit=self._edit,
        )
        self.frame.refresh()

    def _edit(self, path: str, done: Callable[[str], None]) -> None:
        self.calls.append(f"edit {path}")
        self.frame.edited(lambda: done(self.problem))

    def press(self, *keys: str) -> str:
        for key in keys:
            self.frame.keypress(SIZE, key)
        return self.text()

    def write(self, text: str) -> str:
        return self.press(*text)

    def text(self) -> str:
        return "\n".join(urwid.testing.render_text(self.frame, SIZE, focus=True))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_every_key_of_the_table_does_something_harmless(desk: Desk) -> None:
    """No key alone changes anything: what does is asked first."""
    opened = {"output": ["2", "enter"], "overlay": ["6", "enter"], "confirm": ["q"], "bar": [":"]}
    places = {
        "first": "1",
        "tasks": "2",
        "rooms": "3",
        "asked": "4",
        "files": "5",
        "threads": "6",
        "log": "7",
        "devices": "8",
        "audit": "9",
        "help": "?",
    }
    for context in CONTEXTS:
        starts = opened.get(context, [places.get(context, "7")])
        for each in Table().active(context):
            for key in each.keys:
                fresh = Desk()
                for pressed in (*starts, key):
                    fresh.frame.keypress(SIZE, pressed)
                assert fresh.frame.failed == set(), (context, key)
                changing = [line for line in fresh.feed.typed if line.split()[0] not in ("ping", "config", "status")]
                assert not changing, (context, key)
                assert not any("undo" in line for line in fresh.feed.typed)
                assert fresh.feed.verified == []
                assert fresh.feed.left == (context == "confirm" and each.command == "yes")


def test_no_key_stands_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Table([Key(("x",), "a", "all", "", ""), Key(("x",), "b", "all", "", "")])


def test_the_table_can_be_exchanged() -> None:
    feed = Feed(stormy())
    made = Frame(
        feed.doors,
        Table([*(k for k in KEYS if k.command != "quit"), Key(("Q",), "quit", "all", "leave", "")]),
        lambda: NAMES,
    )
    made.refresh()
    made.keypress(SIZE, "q")
    made.keypress(SIZE, "y")
    assert feed.left == 0
    assert "[Q]leave" in urwid.testing.render_text(made, SIZE)[-1]
    made.keypress(SIZE, "Q")
    made.keypress(SIZE, "y")
    assert feed.left == 1


def test_every_key_stands_on_the_help_page_and_in_the_document(desk: Desk) -> None:
    page = keys_page()
    desk.press("?", "home")
    help_page = desk.frame.view
    assert help_page.name == "help"
    for each in KEYS:
        assert each.help in page
        for key in each.keys:
            assert f"``{name(key)}``" in page
    for heading, _ in CONTEXTS.values():
        assert heading in page


@pytest.mark.parametrize(
    ("keys", "typed"),
    [
        (["p"], "ping"),
        (["enter"], "ping"),  # the worst line of the first page: Semaphore
        (["2", "i"], "status 4713"),
        (["5", "D"], "config diff config"),
        (["5", "c"], "config check config"),
        (["5", "h"], "config history config"),
        (["5", "j", "y", "y"], "config accept messages 17"),
        (["5", "j", "x", "y"], "config decline messages 17"),
        (["2", "s", "y"], "stop 4713"),
        (["3", "y", "y"], "rooms join !new:example.org"),
        (["3", "x", "y"], "rooms refuse !new:example.org"),
        (["3", "j", "x", "y"], "rooms part !ops:example.org"),
        (["4", "x", "y"], "resolve cd-7f3a91 not-started"),
        (["4", "s", *"42", "enter"], "resolve cd-7f3a91 started 42"),
        (["4", "j", "w", "y"], "withdraw 7"),
        (["5", "u", "y"], "config undo config"),
        (["5", "r", "y"], "reload"),
    ],
)
def test_what_is_typed_for_the_operator(desk: Desk, keys: list[str], typed: str) -> None:
    desk.press(*keys)
    assert desk.feed.typed == [typed]


@pytest.mark.parametrize("answer", ["n", "esc", "N", "q"])
@pytest.mark.parametrize(
    "keys", [["2", "s"], ["3", "y"], ["3", "x"], ["5", "u"], ["5", "j", "y"], ["5", "j", "x"], ["5", "r"], ["q"]]
)
def test_without_a_yes_nothing_happens(desk: Desk, keys: list[str], answer: str) -> None:
    assert "Sure?" in desk.press(*keys)
    assert "Sure?" in desk.press("enter", " ", "x", "1")
    assert "Sure?" not in desk.press(answer)
    assert desk.feed.typed == []
    assert desk.feed.left == 0


def test_quit_says_what_goes_on(desk: Desk) -> None:
    assert "3 tasks run on in Semaphore" in desk.press("q")
    desk.press("y")
    assert desk.feed.left == 1


def test_the_bar_completes_and_remembers(desk: Desk) -> None:
    assert ":r" in desk.write(":r")
    assert "reload  rooms  run" in desk.press("tab")
    assert ":rooms " in desk.press("o", "tab")
    desk.write("join #x:y")
    desk.press("enter")
    assert desk.feed.typed == ["rooms join #x:y"]
    desk.press("esc")
    desk.write(":status")
    desk.press("enter", "esc")
    assert ":status" in desk.press(":", "up")
    assert ":rooms join #x:y" in desk.press("up")
    assert ":status" in desk.press("down")
    desk.press("down", "esc")
    assert len(desk.feed.typed) == 2
    desk.press(":", "enter")
    assert len(desk.feed.typed) == 2


def test_answers_are_shown_with_what_was_asked(desk: Desk) -> None:
    assert "waiting for the answer" in desk.press(*":ping", "enter")
    desk.feed.answered["T1"] = "pong\x1b[31m <i>quick</i>\nsecond line"
    desk.frame.refresh()
    text = desk.text()
    assert "› ping" in text
    assert "pong <i>quick</i>" in text
    assert "second line" in text
    assert "Answers" not in desk.press("esc")
    assert "second line" in desk.press("a")


def test_output_search_follow_and_errors(desk: Desk) -> None:
    desk.press("2", "j", "j")
    text = desk.press("enter")
    assert "TASK [59]" in text
    assert "following" in text
    assert "TASK [6]" in desk.press(*"/task [6]", "enter")
    assert "standing still" in desk.text()
    text = desk.press("e")
    assert "TASK [" not in text
    assert "fatal: host55 failed" in text
    assert "errors only" in text
    assert "is nowhere" in desk.press(*"/nothing", "enter")
    desk.press("e", "home")
    assert "fatal: host0" in desk.text()
    desk.feed.outputs[1, 4_711] += ("one more line",)
    desk.frame.refresh()
    assert "one more line" not in desk.text()
    assert "one more line" in desk.press("end")
    desk.press("esc")
    assert desk.frame.view.context == "tasks"


def test_log_levels_take_tracebacks_with_their_error(desk: Desk) -> None:
    for number in range(100):
        desk.feed.ring.add(f"2026-11-23 23:28:51,000 INFO    sync       line {number}")
    desk.feed.ring.add("2026-11-23 23:28:51,000 ERROR   sync       it broke\nTraceback here\n  in line 5")
    desk.feed.ring.add("2026-11-23 23:28:51,000 WARNING sync       careful")
    desk.press("7")
    text = desk.press("e")
    assert "it broke" in text
    assert "in line 5" in text
    assert "careful" not in text
    desk.feed.ring.add("2026-11-23 23:28:51,000 ERROR   sync       again")
    desk.frame.refresh()
    assert "again" in desk.text()
    assert "line 99" in desk.press("e")
    assert "from INFO on" in desk.press("l")
    assert "from WARNING on" in desk.press("l")


def test_the_selection_stays_with_its_task(desk: Desk) -> None:
    desk.press("2", "j")
    assert "› #4712" in desk.text()
    more = stormy()
    task = more.tasks[0]
    new = type(task)(1, 9_999, "New", "running", "@ann:example.org", "!ops:example.org", None)
    desk.feed.now = type(more)(**{**{f: getattr(more, f) for f in more.__slots__}, "tasks": (new, *more.tasks)})
    desk.frame.refresh()
    assert "› #4712" in desk.text()


def test_the_stack_of_a_thread(desk: Desk) -> None:
    assert "Stack of follower" in desk.press("6", "enter")
    assert "There is no such thread now" in desk.text()
    desk.press("esc")
    assert "Stack of sync" in desk.press("j", "j", "j", "enter")
    assert '  File "run.py", line 5, in run' in desk.text()
    assert "    wait()" in desk.text()
    assert "Stack of work-1_0" in desk.press("esc", "end", "k", "k", "enter")
    assert "No thread works for this lane" in desk.press("esc", "end", "enter")
    assert "Stack" not in desk.press("esc", "6", "home", *["j"] * 6, "enter")  # a line of figures


def test_tabs_go_round(desk: Desk) -> None:
    seen = [desk.frame.view.name]
    for _ in range(len(desk.frame.views)):
        desk.press("tab")
        seen.append(desk.frame.view.name)
    assert len(set(seen)) == len(desk.frame.views)
    assert seen[0] == seen[-1]
    desk.press("shift tab")
    assert desk.frame.view.name == "help"
    desk.press("M", "ctrl l")
    assert desk.calls == ["mouse", "redraw"]


def test_a_click_selects_and_the_wheel_scrolls(desk: Desk) -> None:
    desk.press("2")
    desk.frame.mouse_event(SIZE, "mouse press", 1, 5, 4, True)
    assert "› #4711" in desk.text()
    desk.frame.mouse_event(SIZE, "mouse press", 4, 5, 4, True)
    assert "› #4713" in desk.text()
    desk.frame.mouse_event(SIZE, "mouse press", 1, desk.text().splitlines()[1].index("7 Log"), 1, True)
    assert desk.frame.view.name == "log"


def test_a_mistake_in_a_view_is_shown_and_goes_away(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    view = desk.frame.views["rooms"]
    works = view.draw

    def fails(*_: object) -> None:
        raise ZeroDivisionError("by \x1b[31mzero")

    view.draw = fails  # type: ignore[method-assign,assignment]
    text = desk.press("3")
    assert "This view has failed: ZeroDivisionError: by zero" in text
    assert "The bot itself goes on" in text
    desk.press("j", "y", "x")
    assert len(caplog.records) == 1  # told once
    assert "First page" in desk.press("1")
    view.draw = works  # type: ignore[method-assign]
    assert "Operations" in desk.press("3")


def test_the_page_of_keys_is_in_step() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.rst").read_text("utf-8")
    assert page == keys_page()


def test_another_view_can_be_opened_from_a_window(desk: Desk) -> None:
    desk.press("6", "enter")
    assert "Stack of" in desk.text()
    assert "[2 Tasks]" in desk.press("2")
    assert "Stack of" not in desk.text()
    desk.press("a")
    assert "[? Help]" in desk.press("?")


def test_what_is_pasted_is_text_and_never_a_key(desk: Desk) -> None:
    assert "open the command bar with :" in desk.press("begin paste", *"query the yaks", "end paste")  # q, then y
    desk.press("2", "begin paste", *"systemctl", "enter", "end paste")  # s, then y
    assert desk.feed.left == 0
    assert desk.feed.typed == []
    assert "Sure?" in desk.press("s", "begin paste", "y", "end paste")
    desk.press("n", ":", "begin paste", *"status", "enter", *"4711", "enter", "end paste")
    assert desk.feed.typed == []
    desk.press("enter")
    assert desk.feed.typed == ["status 4711"]


@pytest.mark.parametrize(
    ("keys", "named", "typed"),
    [
        ("3 enter y", "y accepts the invite, x refuses it", "rooms join !new:example.org"),
        ("3 enter x", "[x]refuse/leave", "rooms refuse !new:example.org"),
        ("3 G enter x", "x leaves it", "rooms part !wide:example.org"),
        ("4 G enter w", "w withdraws it", "withdraw 7"),
        ("4 enter x", "It is not there: x.", "resolve cd-7f3a91 not-started"),
        ("5 i u", "u goes back", "config undo config"),
        ("5 G up i y", "[y]accept", "config accept messages 17"),
    ],
)
def test_a_key_that_a_window_names_works_in_it(desk: Desk, keys: str, named: str, typed: str) -> None:
    *opening, key = keys.split()
    assert named in desk.press(*opening)
    assert "Sure?" in desk.press(key)
    assert desk.feed.typed == []
    desk.press("y")
    assert desk.feed.typed == [typed]
    assert not any(call.startswith("copy") for call in desk.calls)


def test_a_key_of_a_window_does_nothing_to_what_took_the_place(desk: Desk) -> None:
    desk.press("3", "enter")
    rooms = (*desk.feed.now.rooms[:2], RoomLine("!other:example.org", "Other", False, 0, "@eve:example.org"))
    desk.feed.now = dataclasses.replace(desk.feed.now, rooms=rooms)
    desk.frame.refresh()
    assert "is not in the list any more" in desk.press("y")
    assert desk.feed.typed == []
    desk.press("4", "enter", "s", *"42", "enter")
    assert desk.feed.typed == ["resolve cd-7f3a91 started 42"]


def test_keys_and_what_is_typed_go_through_different_doors(desk: Desk) -> None:
    said: list[str] = []
    typed: list[str] = []
    desk.frame.doors = dataclasses.replace(
        desk.feed.doors,
        command=lambda line: said.append(line) or "T1",  # type: ignore[func-returns-value]
        type_command=lambda line: typed.append(line) or "T2",  # type: ignore[func-returns-value]
    )
    desk.press("2", "s", "y", "esc", "4", "s", *"42", "enter", "esc")
    desk.press(":", *"staging", "enter")
    assert said == ["stop 4713", "resolve cd-7f3a91 started 42"]
    assert typed == ["staging"]


@pytest.mark.parametrize("view", ["log", "output"])
def test_a_line_that_is_too_long_can_be_read(desk: Desk, view: str) -> None:
    long = "fatal: [web1]: FAILED! => " + "x" * 120 + " the reason"
    desk.feed.ring.add(f"2026-11-23 23:28:51,000 ERROR   sync       chatrixcd.sync: {long}")
    desk.feed.outputs[2, 4_713] = (long,)
    shown = desk.press("7") if view == "log" else desk.press("2", "enter")
    assert "the reason" not in shown
    assert "the reason" in desk.press("enter")
    assert "the reason" not in desk.press("enter")


def test_a_new_answer_is_shown_also_after_one_has_scrolled_up(desk: Desk) -> None:
    desk.feed.answered["T1"] = "\n".join(f"line {number}" for number in range(60))
    desk.press("p", "g")
    desk.press(":", *"status", "enter")
    desk.feed.answered["T2"] = "All is good."
    desk.frame.refresh()
    assert "All is good." in desk.text()
    desk.press("g")
    assert "All is good." not in desk.text()
    assert "All is good." in desk.press("a")


def test_a_click_selects_on_the_first_page_too(desk: Desk) -> None:
    row = next(number for number, each in enumerate(desk.text().splitlines()) if " Launches " in each)
    desk.frame.mouse_event(SIZE, "mouse press", 1, 5, row, True)
    assert any(each.startswith("›") and " Launches " in each for each in desk.text().splitlines())
    desk.press("enter")
    assert desk.frame.view.name == "asked"
