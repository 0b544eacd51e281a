"""Every view can be drawn as a picture, and the documents show pictures of all of them and of nothing else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import urwid
import urwid.testing

import chatrixcd_threads
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.themes import THEMES, palette
from chatrixcd_threads.demo.picture import Cell, Grid, replaced, svg, text
from chatrixcd_threads.demo.pictures import files, steady, views
from tests.console.sample import NAMES, Feed, stormy

ROOT = Path(chatrixcd_threads.__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
DOCUMENTS = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]


def drawn(feed: Feed, theme: str, *batches: list[str]) -> tuple[Frame, Grid]:
    """The console on a terminal of its own, after the keys."""
    frame = Frame(feed.doors, Table(), lambda: NAMES)
    frame.refresh()
    screen = urwid.testing.ScriptedScreen(size=(80, 24), inputs=list(batches))
    urwid.MainLoop(frame, palette(theme), screen=screen).run()
    return frame, [
        [cell for attribute, _, raw in row for cell in cells(raw.decode(), screen.resolve_attr(attribute, 4))]
        for row in frame.render((80, 24), True).content()
    ]


def cells(said: str, look: urwid.AttrSpec) -> list[Cell]:
    red, green, blue, *back = look.get_rgb_values()
    found = []
    for sign in said:
        style = (colour(red, green, blue), colour(*back), look.bold, look.underline)
        found += [Cell(sign, *style), *[Cell("", *style)] * (urwid.calc_width(sign, 0, 1) - 1)]
    return found


def colour(red: int | None, green: int | None, blue: int | None) -> str:
    return "" if red is None else f"#{red:02x}{green:02x}{blue:02x}"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("view", views())
def test_every_view_can_be_drawn(view: str, theme: str) -> None:
    frame, grid = drawn(Feed(stormy()), theme, [views()[view]])
    assert frame.view.name == view
    assert frame.failed == set()
    parts = ET.fromstring(svg(steady(grid), frame.view.title)).findall("{*}text")
    assert frame.view.title in "".join(each.text or "" for each in parts)
    for each in parts:
        assert len(each.attrib["x"].split()) == len(each.text or "")


def test_the_table_of_keys_leads_to_every_view() -> None:
    assert set(views()) == set(Frame(Feed(stormy()).doors, Table(), lambda: NAMES).views)


@pytest.mark.parametrize(
    ("row", "new", "expected"),
    [
        ("ab 12 s  cd    ef", "3 min", "ab 3 min  cd   ef"),  # the gap that is wide enough gives the column
        ("ab 12 s   cd   ef", "100 s", "ab 100 s  cd   ef"),
        ("ab   x 12 s", "100 s", "ab  x 100 s"),
        ("ab  x 12 s ", "9 s", "ab   x 9 s "),
        ("ab 12 s cd   ef", "9 s", "ab 9 s cd    ef"),
        ("ab 12 s", "9 s", "ab 9 s "),
        ("ab 12 s", "1,000 s", "ab 1,00"),
    ],
)
def test_a_replacement_keeps_the_row_as_wide_as_it_was(row: str, new: str, expected: str) -> None:
    start = row.index("12 s")
    changed = replaced([Cell(sign) for sign in row], start, start + 4, new)
    assert text(changed) == expected


def test_what_changes_from_run_to_run_is_steady() -> None:
    said = "up 73 s  !AbCdEfGhIjKlMnOpQr:localhost  http://127.0.0.1:23456  2026-11-26 18:55:30,680 ❌"
    row = [cell for sign in said for cell in ([Cell(sign), Cell("")] if sign == "❌" else [Cell(sign)])]
    (once,) = steady([row])
    assert "up 9 s" in text(once)
    assert not re.search(r"73|AbCd|23456|18:55|❌", text(once))
    assert len(once) == len(row)
    assert steady([once]) == [once]


def test_the_documents_show_all_pictures_and_no_other() -> None:
    shown = {
        (document.parent / name).resolve().relative_to(PICTURES.resolve()).as_posix()
        for document in DOCUMENTS
        for name in re.findall(r"^\.\. (?:image|figure)::\s+(\S+)", document.read_text("utf-8"), re.MULTILINE)
    }
    kept = {path.name for path in PICTURES.iterdir()}
    assert shown == kept == {f"{name}.svg" for name in files()}


@pytest.mark.parametrize("name", sorted(files()))
def test_a_kept_picture_is_one(name: str) -> None:
    picture = ET.parse(PICTURES / f"{name}.svg").getroot()
    assert picture.findtext("{*}title") == files()[name]
    assert not re.search(r"chatrixcd-demo-|127\.0\.0\.1", ET.tostring(picture, "unicode"))
