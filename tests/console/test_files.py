"""The settings view, the threads view and the way through the log, as they are seen and used."""

from __future__ import annotations

import dataclasses

import pytest
import urwid
import urwid.testing
from urwid.util import LayeredAttr

from chatrixcd_threads.console.board import FileLine, FileProblem, FileView, Lag, Preview
from chatrixcd_threads.console.cells import wide, wrap
from chatrixcd_threads.console.themes import THEMES, palette
from chatrixcd_threads.console.views.files import details, outcome
from tests.console.sample import NASTY, NOW, TEXTS, WIDE, calm, stormy, views
from tests.console.test_keys import Desk
from tests.console.test_views import SIZES

FILE = FileLine("config.json", NOW, "", False)
SAME = FileView("config", "/srv/config.json", "same", 100.0)
PROBLEM = FileProblem(41, 3, "unknown key semaphor", '  "semaphor": {', 3)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("size", SIZES)
def test_a_mistake_is_shown_with_its_line_and_a_caret(size: tuple[int, int]) -> None:
    desk = Desk()
    desk.frame.render(size, True)
    for key in ("5", "home", "i"):
        desk.frame.keypress(size, key)
    rows = urwid.testing.render_text(desk.frame, size, focus=True)
    assert {wide(row) for row in rows} == {size[0]}
    line = next(number for number, row in enumerate(rows) if "41 │" in row)
    assert rows[line + 1].index("^") == rows[line].index('"semaphor"')
    assert "line 41" in "\n".join(rows)


def test_the_details_stand_below_the_list_where_there_is_room(desk: Desk) -> None:
    text = desk.press("5", "home")
    for part in (
        "/srv/bot/config.json",
        "line 41, column 3",
        "  41 │",
        "stays in force",
        "4 versions kept",
        "@@ -1 +1 @@",
    ):
        assert part in text
    text = desk.press("j")
    assert "An edit waits for a yes: it would empty a file" in text
    assert "scold: bad bot → nothing" in text
    assert "There is no file" in desk.press("j")
    desk.frame.render((80, 17), True)
    desk.frame.keypress((80, 17), "home")
    rows = urwid.testing.render_text(desk.frame, (80, 17), focus=True)
    assert "i shows all of it" in rows[-2]
    assert "line 41, column 3" in "\n".join(rows)
    desk.frame.render((80, 15), True)
    assert "/srv/bot" not in "\n".join(urwid.testing.render_text(desk.frame, (80, 15), focus=True))


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("file", list(views().values()), ids=lambda file: file.name)
def test_details_fit(file: FileView, columns: int) -> None:
    for look, line in details(file, FILE, columns, NOW):
        assert wide(line) <= columns, line
        assert look
        assert "\x1b" not in line


@pytest.mark.parametrize("caret", [0, 30, 299])
@pytest.mark.parametrize("columns", [30, 80])
def test_a_long_line_is_shown_where_it_matters(caret: int, columns: int) -> None:
    text = "".join(chr(0x4E00 + number) if number % 3 else str(number % 10) for number in range(300))
    view = dataclasses.replace(SAME, state="wrong", problems=(FileProblem(7, caret + 1, "no", text, caret),))
    lines = [line for _, line in details(view, FILE, columns, NOW)]
    line = next(number for number, each in enumerate(lines) if "7 │" in each)
    at = lines[line + 1].index("^")
    end, _ = urwid.calc_text_pos(lines[line], 0, len(lines[line]), at)
    assert lines[line][end] == text[caret]


def test_windows_with_text_and_difference(desk: Desk) -> None:
    text = desk.press("5", "home", "enter")
    assert "config.json, in force" in text
    assert '"key0"' in text
    assert '  "key0"' in text  # blanks at the beginning are kept
    assert '"key59"' in desk.press("end")
    assert "-  old" in desk.press("esc", "d")
    assert "\x1b" not in desk.text()
    assert "says what is in force" not in desk.text()
    assert "There is no file" in desk.press("esc", "end", "d")
    assert len(TEXTS) == 60


@pytest.mark.parametrize("key", ["y", "x"])
def test_only_a_held_edit_is_answered(desk: Desk, key: str) -> None:
    assert "No edit of config.json waits" in desk.press("5", "home", key)
    text = desk.press("j", key)
    assert "the edit of messages.json?" in text
    assert "would empty a file" in text
    desk.press("n")
    assert desk.feed.typed == []


def test_the_messages_are_previewed_and_follow_the_file(desk: Desk) -> None:
    text = desk.press("5", "v", "home")
    assert "› greetings: When greetings is said." in text
    assert "playful text of greetings" in text
    assert "terse text of pet" in desk.press("end")
    desk.feed.previews = (Preview("pet", "For those who are nice.", "playful", ("brand new",)),)
    desk.frame.refresh()
    assert "brand new" in desk.text()
    board = stormy()
    broken = tuple(dataclasses.replace(each, error=f"line 2: no {NASTY}", held=False) for each in board.files)
    desk.feed.now = dataclasses.replace(board, files=broken)
    desk.frame.refresh()
    assert "messages.json on disk is not used: line 2" in desk.press("home")
    desk.feed.previews = ()
    desk.frame.refresh()
    assert "being read" in desk.press("esc", "v")


def test_the_editor_and_what_came_of_it(desk: Desk) -> None:
    desk.feed.views["config.json"] = dataclasses.replace(SAME, path="/srv/bot/config.json")
    assert "config.json was not changed" in desk.press("5", "home", "E")
    assert desk.calls == ["edit /srv/bot/config.json"]
    desk.feed.views["config.json"] = dataclasses.replace(desk.feed.views["config.json"], state="reading")
    assert "Press the key again" in desk.press("E")
    desk.problem = "The editor vi could not be started."
    desk.feed.views["config.json"] = SAME
    assert "could not be started" in desk.press("E")


def test_what_came_of_it_is_told_when_it_is_known(desk: Desk) -> None:
    desk.feed.views["config.json"] = SAME
    looks: list[str] = []
    desk.frame.doors = dataclasses.replace(desk.feed.doors, look_again=looks.append)
    assert "config.json" not in desk.press("5", "home", "E").splitlines()[-2]
    assert looks == ["config.json"]
    desk.feed.views["config.json"] = dataclasses.replace(SAME, state="edited", diff=("+a",), looks=1)
    desk.frame.refresh()
    assert "was saved and is being read" in desk.text()
    desk.feed.views["config.json"] = dataclasses.replace(SAME, since=200.0, looks=1)
    desk.frame.refresh()
    assert "config.json is taken over and counts now." in desk.text()
    assert "taken over" not in desk.press("home")


def test_a_file_that_is_absent_is_made_after_a_yes(desk: Desk) -> None:
    text = desk.press("5", "end", "E")
    assert "Sure?" in text
    assert "example" in text
    desk.press("n")
    assert desk.feed.made == desk.calls == []
    desk.press("E", "y")
    assert desk.feed.made == ["aliases.json"]
    assert desk.calls == ["edit /srv/bot/aliases.json"]
    desk.frame.doors = dataclasses.replace(desk.feed.doors, make_file=lambda name: f"{name}: read-only.")
    assert "aliases.json: read-only." in desk.press("E", "y")
    assert len(desk.calls) == 1


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, "was not changed"),
        ({}, {"since": 200.0}, "is taken over and counts now"),
        ({"state": "wrong"}, {}, "says what is in force again"),
        ({"state": "wrong"}, {"since": 200.0}, "is taken over"),
        ({}, {"state": "wrong", "problems": (PROBLEM,)}, "is refused: line 41, column 3: unknown key semaphor"),
        (
            {},
            {"state": "edited", "held": 3, "reason": "nobody would be an admin any more"},
            "waits for a yes, because nobody",
        ),
        ({}, {"state": "edited", "diff": ("+a",)}, ""),
        ({"state": "edited", "diff": ("+a",)}, {"state": "edited", "diff": ("+a",)}, "was not changed"),
        ({}, {"state": "absent"}, "is not there"),
    ],
)
def test_outcomes(before: dict[str, object], after: dict[str, object], said: str) -> None:
    told = outcome(dataclasses.replace(SAME, **before), dataclasses.replace(SAME, **after))  # type: ignore[arg-type]
    assert said in told
    assert bool(told) is bool(said)


def test_threads_show_queues_lanes_and_the_lag(desk: Desk) -> None:
    text = desk.press("6")
    for part in (
        "inbox 3 of 1,000",
        "outbox 2",
        "watch hints 0",
        "p50 0.4 ms, p99 3.1 ms late",
        "3 waiting",
        "Operations",
    ):
        assert part in text
    assert "! 1 min" in text  # a job that takes long is worth a look
    assert "! Loop" not in text
    desk.feed.now = dataclasses.replace(calm(), lag=Lag(0.01, 0.4, 240))
    desk.frame.refresh()
    assert "! Loop" in desk.text()
    assert "p99 400 ms" in desk.text()


def filled(desk: Desk) -> None:
    for number in range(100):
        level = "ERROR  " if number in (20, 21, 60) else "INFO   "
        desk.feed.ring.add(f"2026-11-23 23:28:51,000 {level} sync       line {number}.")
        if number == 60:
            desk.feed.ring.add("Traceback of 60.")
    desk.press("7")


def test_from_error_to_error(desk: Desk) -> None:
    filled(desk)
    assert "line 99." in desk.text()
    assert "line 60." in desk.press("<")
    assert "standing still" in desk.text()
    assert desk.frame.view.line().endswith("line 60.")
    desk.press("<")
    assert desk.frame.view.line().endswith("line 21.")
    desk.press("<")
    assert desk.frame.view.line().endswith("line 20.")
    assert "There is no previous error here." in desk.press("<")
    desk.press(">", ">")
    assert desk.frame.view.line().endswith("line 60.")
    desk.press("home", ">")
    assert desk.frame.view.line().endswith("line 20.")
    desk.press("end")
    assert "There is no next error here." in desk.press(">")
    desk.press("e", "<", "<")  # among errors only
    assert desk.frame.view.line().endswith("line 21.")


def test_the_line_is_marked_and_copied(desk: Desk) -> None:
    filled(desk)
    assert "Copied, if the terminal allows it: 23:28" in desk.press("y").splitlines()[-2]
    desk.press("<", "y")
    assert [call[-8:] for call in desk.calls] == ["line 99.", "line 60."]
    focused = [
        text
        for row in urwid.testing.render_runs(desk.frame, (80, 24), focus=True)
        for look, text in row
        if "focus" in str(look)
    ]
    assert "line 60." in "".join(str(each) for each in focused)
    desk.press("5", "home", "enter", "home", "y")
    assert desk.calls[-1].startswith('copy   "key')
    assert "Copied" in desk.text()
    desk.press("esc", "y")
    assert len(desk.calls) == 3


def test_wrapping_loses_nothing() -> None:
    for text in ("", "    x", WIDE * 5, "配" * 30, " " * 50 + "end"):
        for columns in (2, 7, 80):
            parts = wrap(text, columns)
            assert "".join(parts) == text
            assert all(wide(part) <= columns for part in parts)


@pytest.mark.parametrize("keys", ["5g\n", "5gd", "5gi", "5v", "5gjy", "5GE", "6\n", "6G\n", "7<", "5gjd"])
@pytest.mark.parametrize("size", SIZES)
def test_windows_fit_and_can_be_seen_in_every_theme(size: tuple[int, int], keys: str) -> None:
    desk = Desk()
    filled(desk)
    desk.frame.render(size, True)
    for key in keys:
        desk.frame.keypress(size, "enter" if key == "\n" else key)
    rows = urwid.testing.render_text(desk.frame, size, focus=True)
    assert [wide(row) for row in rows] == [size[0]] * size[1]
    assert desk.frame.failed == set()
    used = {
        layer
        for row in urwid.testing.render_runs(desk.frame, size, focus=True)
        for look, _ in row
        for layer in (look.layers if isinstance(look, LayeredAttr) else (look,))
    }
    for theme in THEMES:
        assert used - {None} <= {entry[0] for entry in palette(theme)}
