"""The view of devices: fingerprints and emoji that can be compared, and nothing that is done without being asked."""

from __future__ import annotations

import dataclasses

import pytest
import urwid.testing

from chatrixcd_threads.console.cells import wide
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.status import lines
from chatrixcd_threads.events import Stage, Verification
from tests.console.sample import KEY, NAMES, Feed, calm, devices, verification

SIZE = (80, 24)


class Desk:
    def __init__(self, *running: Verification, pictures: bool = True) -> None:
        self.feed = Feed(dataclasses.replace(calm(), devices=devices(*running)))
        self.frame = Frame(self.feed.doors, Table(), lambda: NAMES, pictures=lambda: pictures)
        self.frame.refresh()
        self.press("8")

    def press(self, *keys: str, size: tuple[int, int] = SIZE) -> list[str]:
        for key in keys:
            self.frame.keypress(size, key)
        return urwid.testing.render_text(self.frame, size, focus=True)


def test_the_own_fingerprint_stands_in_groups_of_four() -> None:
    text = "\n".join(Desk().press())
    assert "CHATRIXCD, cross-signed" in text
    assert " ".join(KEY[at : at + 4] for at in range(0, 43, 4)) in text
    assert "4 devices, 1 verified" in text


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_names_stand_under_their_emoji(columns: int) -> None:
    desk = Desk(verification(Stage.COMPARE))
    rows = desk.press(size=(columns, 24))
    for symbol, name in desk.feed.now.devices.running[0].emoji:
        above = next(number for number, row in enumerate(rows) if symbol in row)
        picture, under = rows[above], rows[above + 1]
        assert wide(picture[: picture.index(symbol)]) == wide(under[: under.index(name)])
    assert "1234 5678 9012" in "\n".join(rows)
    assert {wide(row) for row in rows} == {columns}


def test_a_terminal_that_may_count_otherwise_gets_names_only() -> None:
    desk = Desk(verification(Stage.COMPARE), pictures=False)
    text = "\n".join(desk.press())
    for symbol, name in desk.feed.now.devices.running[0].emoji:
        assert symbol not in text
        assert name in text
    assert "1234 5678 9012" in text


def test_same_and_not_the_same_are_asked_with_what_is_compared() -> None:
    desk = Desk(verification(Stage.COMPARE))
    rows = desk.press("home", "y")
    text = " ".join(" ".join(row.split("│")[1].strip() for row in rows if row.count("│") == 2).split())
    assert "Dog, Strawberry, Headphones, Rocket, Key, Cloud, Santa; 1234 5678 9012: are exactly these shown" in text
    desk.press("n")
    assert desk.feed.verified == []
    desk.press("y", "y")
    assert desk.feed.verified == [("match", "a1b2c3", "")]
    desk.press("n", "y", "x", "y")
    assert desk.feed.verified[1:] == [("mismatch", "a1b2c3", ""), ("cancel", "a1b2c3", "")]


def test_a_window_shows_a_verification_as_it_is_now() -> None:
    desk = Desk(verification(Stage.ASKED))
    assert "PHONE): asks" in "\n".join(desk.press("home", "enter"))
    desk.feed.now = dataclasses.replace(calm(), devices=devices(verification(Stage.COMPARE)))
    desk.frame.refresh()
    text = "\n".join(desk.press("esc", "enter"))
    assert "🐶 Dog" in text
    assert "1234 5678 9012" in text


def test_what_is_compared_is_answered_in_the_window_that_shows_it() -> None:
    for key, verb in (("y", "match"), ("n", "mismatch"), ("x", "cancel")):
        desk = Desk(verification(Stage.COMPARE))
        text = "\n".join(desk.press("home", "enter"))
        assert "y the same, n not the same" in text
        assert "[y]same" in text
        desk.press(key, "y")
        assert desk.feed.verified == [(verb, "a1b2c3", "")]
    desk = Desk()
    assert "s asks this device" in "\n".join(desk.press("end", "enter"))
    desk.press("s", "y")
    assert desk.feed.verified == [("start", "@old:example.org", "GONE")]


def test_a_question_is_about_the_verification_that_was_shown() -> None:
    """Another one may take its place while the operator reads."""
    desk = Desk(verification(Stage.COMPARE))
    desk.press("home", "y")
    desk.feed.now = dataclasses.replace(calm(), devices=devices(verification(Stage.COMPARE, "other1")))
    desk.frame.refresh()
    desk.press("y")
    assert desk.feed.verified == [("match", "a1b2c3", "")]


def test_nothing_is_the_same_before_there_is_something_to_compare() -> None:
    for stage in set(Stage) - {Stage.COMPARE}:
        desk = Desk(verification(stage))
        desk.press("home", "y", "y", "n", "y")
        assert desk.feed.verified == [], stage


def test_a_request_is_accepted_and_a_device_is_asked() -> None:
    desk = Desk(verification(Stage.ASKED))
    desk.press("home", "s", "y")
    assert desk.feed.verified == [("accept", "a1b2c3", "")]
    desk = Desk()
    desk.press("end", "s", "y", "home", "down", "down", "r", "y")
    assert desk.feed.verified == [("start", "@old:example.org", "GONE"), ("start", "@ann:example.org", "")]
    assert KEY[:4] in "\n".join(desk.press("enter"))


def test_the_first_page_says_what_waits_for_a_person() -> None:
    for stage, word in ((Stage.ASKED, "ASKS"), (Stage.COMPARE, "COMPARE"), (Stage.MATCHED, "")):
        board = dataclasses.replace(calm(), devices=devices(verification(stage)))
        assert [line.word for line in lines(board) if line.name == "Devices"] == ([word] if word else [])


def test_the_tabs_fit_in_80_columns() -> None:
    desk = Desk()
    for key, title in (("1", "First page"), ("5", "Settings"), ("6", "Threads"), ("8", "Devices"), ("?", "Help")):
        row = desk.press(key)[1].rstrip()
        assert f"[{key} {title}]" in row
        assert all(f" {number} " in f" {row}" or f"[{number} " in row for number in range(1, 10))
        assert len(row) <= 80
