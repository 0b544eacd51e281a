"""Every view at three sizes in every theme, without a terminal."""

from __future__ import annotations

import dataclasses
import re
import statistics
import time
from typing import Any

import pytest
import urwid
import urwid.testing
from urwid.util import LayeredAttr

from chatrixcd_threads.console.board import Board, Hearing, Link, QuestionLine, Reach, RoomLine, TaskLine
from chatrixcd_threads.console.cells import cut, fit, fold, shown, shown_line, wide
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.status import Grade, lines
from chatrixcd_threads.console.themes import STYLES, THEMES, palette
from chatrixcd_threads.console.views.help import Help
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.events import Devices
from tests.console.sample import NAMES, NASTY, NOW, WIDE, Feed, audit_lines, calm, crowded, stormy

SIZES = [(40, 12), (80, 24), (200, 60)]
VIEWS = "12345678?"


def frame(feed: Feed) -> Frame:
    made = Frame(feed.doors, Table(), lambda: NAMES)
    made.refresh()
    return made


def screen(made: Frame, size: tuple[int, int], *keys: str) -> list[str]:
    made.render(size, True)
    for key in keys:
        made.keypress(size, key)
    return urwid.testing.render_text(made, size, focus=True)


def full() -> Feed:
    feed = Feed(stormy())
    for number in range(100):
        level = "ERROR  " if number % 10 == 0 else "INFO   "
        feed.ring.add(f"2026-11-23 23:28:51,{number:03d} {level} sync       chatrixcd: line {number} {NASTY} {WIDE}")
    feed.outputs[2, 4_713] = tuple(f"TASK {n} {NASTY}" if n % 5 else f"fatal: {WIDE} failed" for n in range(50))
    return feed


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_view_is_drawn_in_every_theme(size: tuple[int, int], theme: str) -> None:
    styles = {entry[0] for entry in palette(theme)}
    for board in (calm(), stormy()):
        feed = full()
        feed.now = board
        made = frame(feed)
        for view in VIEWS:
            rows = screen(made, size, view)
            assert len(rows) == size[1]
            assert {wide(row) for row in rows} == {size[0]}
            assert made.view.title in rows[0] + rows[1]
            for row in urwid.testing.render_runs(made, size, focus=True):
                for attribute, _ in row:
                    layers = attribute.layers if isinstance(attribute, LayeredAttr) else (attribute,)
                    assert set(layers) - {None} <= styles


@pytest.mark.parametrize("colors", [1, 16, 256, 2**24])
@pytest.mark.parametrize("theme", THEMES)
def test_every_style_can_be_shown_with_any_number_of_colours(theme: str, colors: int) -> None:
    entries: Any = palette(theme)
    assert {entry[0] for entry in entries} == set(STYLES)
    for style in STYLES:
        urwid.testing.resolve_attr(style, entries, colors=colors)
    bad = urwid.testing.resolve_attr("bad", entries, colors=1)
    assert bad.bold or bad.underline or bad.standout
    assert urwid.testing.resolve_attr("focus", entries, colors=1).standout


@pytest.mark.parametrize("size", [(1, 1), (4, 2), (10, 3), (20, 5), (39, 12), (40, 11)])
def test_a_small_terminal_is_told_so(size: tuple[int, int]) -> None:
    for view in VIEWS:
        rows = screen(frame(full()), size, view)
        assert [wide(row) for row in rows] == [size[0]] * size[1]
    if size[0] >= 20:
        assert "too small" in " ".join(row.strip() for row in screen(frame(full()), size))


def test_the_first_page_answers_without_scrolling() -> None:
    rows = screen(frame(full()), (80, 24))
    text = "\n".join(rows)
    for part in lines(stormy()):
        assert re.search(rf"\b{part.word}\b.*{part.name}", text)
        assert f"[{part.key}] {part.step}" in text
    names = [part.name for part in lines(stormy())]
    assert names[:2] == ["Semaphore", "Launches"]  # the newest of the worst
    assert "nothing is lost: 3 tasks followed again" in text


def test_a_window_stays_while_the_bot_cannot_be_asked() -> None:
    feed = full()
    lost = False

    def stack(name: str) -> tuple[str, ...]:
        if lost:
            raise UserError("Nothing was asked: the bot is gone.")
        return ("wait()",)

    feed.doors = dataclasses.replace(feed.doors, stack_of=stack)
    made = frame(feed)
    screen(made, (80, 24), "6", "enter")
    lost = True
    made.refresh()
    assert "wait()" in "\n".join(screen(made, (80, 24)))
    assert "Nothing was asked: the bot is gone." in "\n".join(screen(made, (80, 24), "esc", "down", "enter"))
    assert made.failed == set()


def test_states_are_told_by_words() -> None:
    for state, grade in {"ok": Grade.OK, "connecting": Grade.WARN, "down": Grade.BAD, "refused": Grade.BAD}.items():
        board = dataclasses.replace(calm(), semaphore=Link(state, "note", 0.0))
        line = next(each for each in lines(board) if each.name == "Semaphore")
        assert line.grade is grade
    odd = dataclasses.replace(calm(), semaphore=Link("no\x1b[2Jvel", "note", 0.0))
    assert lines(odd)[0].word == "NOVEL"


def test_all_is_well_is_said_too() -> None:
    assert "all well" in screen(frame(Feed(calm())), (80, 24))[0]


def test_the_worst_is_selected_until_somebody_selects() -> None:
    feed = Feed(calm())
    made = frame(feed)

    def selected(board: Board) -> str:
        feed.now = board
        made.refresh()
        return next(row for row in screen(made, (80, 24)) if row.startswith("›")).split()[3]

    assert [selected(calm()), selected(stormy()), selected(calm())] == ["Matrix", "Semaphore", "Matrix"]
    for _ in range(2):  # the first part takes two rows
        made.keypress((80, 24), "down")
    assert [selected(calm()), selected(stormy()), selected(calm())] == ["Semaphore"] * 3


def test_where_columns_are_few_a_log_line_is_shown_without_its_day() -> None:
    feed = Feed(calm())
    feed.ring.add("2026-11-23 23:28:51,000 INFO    sync       chatrixcd.rooms: joined !ops:example.org")
    assert "23:28:51,000 INFO    sync       rooms: joined" in screen(frame(feed), (80, 24), "7")[2]
    assert "2026-11-23 23:28:51,000" in screen(frame(feed), (200, 60), "7")[2]


def test_columns_stay_in_place_with_wide_names() -> None:
    feed = Feed(crowded())
    rows = screen(frame(feed), (80, 24), "2")[2:9]
    assert len({wide(row[: row.index("@p")]) for row in rows}) == 1
    for text in (WIDE, NASTY, "plain", "é" * 50, "配" * 50):
        for columns in range(1, 30):
            assert wide(fit(shown(text), columns)) == columns
            assert all(wide(part) <= columns or columns < 2 for part in fold(shown(text), columns))


def test_nothing_from_outside_reaches_the_terminal_raw() -> None:
    for text in (shown(NASTY), shown_line(NASTY), shown(WIDE), shown("a\ud800b"), cut(shown(NASTY), 5)):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u200d\ufe0f]", text)
    for view in VIEWS:
        canvas = frame(full())
        canvas.keypress((80, 24), view)
        data = b"".join(run for row in canvas.render((80, 24), True).content() for _, _, run in row).decode()
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u200d\ufe0f]", data)
    assert "<b>prod</b>" in "\n".join(screen(frame(full()), (80, 24), "2"))


@pytest.mark.parametrize("view", list(VIEWS))
def test_a_crowd_opens_quickly(view: str) -> None:
    """1,000 tasks and 500 rooms: 100 ms is the promise; the bound is wide for a busy machine, and the time is the CPU's."""
    feed = Feed(crowded())
    for number in range(20_000):
        feed.ring.add(f"2026-11-23 23:28:51,000 INFO    sync       line {number}")
    took = []
    for _ in range(5):
        made = frame(feed)
        made.render((200, 60), True)
        urwid.CanvasCache.clear()
        begun = time.thread_time()
        made.keypress((200, 60), view)
        made.render((200, 60), True)
        took.append(time.thread_time() - begun)
    assert statistics.median(took) < 0.3


def crowd() -> Board:
    """With 200 questions and 100 invites on top, and one task among 1,000 that asks."""
    board = crowded()
    asks = dataclasses.replace(board.tasks[4], status="waiting_confirmation", name="Gate")
    questions = tuple(QuestionLine(f"@p{n}:x", "!o:x", f"run Job {n}", NOW + n, n) for n in range(200))
    invites = tuple(RoomLine(f"!i{n}:x", f"Invite {n}", False, 0, f"@stranger{n}:example.org") for n in range(100))
    tasks = (*board.tasks[:4], asks, *board.tasks[5:])
    return dataclasses.replace(board, tasks=tasks, questions=questions, rooms=(*board.rooms, *invites))


@pytest.mark.parametrize("size", SIZES)
def test_one_among_many_is_found(size: tuple[int, int]) -> None:
    for view, word, there in (
        ("2", "ASKS", "Gate"),
        ("2", "#997", "997"),
        ("3", "stranger77", "Invite 77"),
        ("4", "job 150", "run Job 150"),
    ):
        feed = Feed(crowd())
        made = frame(feed)
        rows = screen(made, size, view, "/", *word, "enter")
        text = "\n".join(rows)
        assert there in text
        assert f"/{word}: 1" in text
        chosen = [row for row in rows if row.startswith("›")]
        assert len(chosen) == 1
        assert f"/{word}" not in "\n".join(screen(made, size, "/", "enter"))
        assert "Press / and" in "\n".join(screen(made, size, "/", *"nope", "enter"))
    assert "[/]filter" in screen(frame(Feed(crowd())), (80, 24), "2")[-1]


def test_what_is_read_stays_although_the_filter_does_not_fit_it_any_more() -> None:
    feed = full()
    made = frame(feed)
    screen(made, (80, 24), "2", "/", *"running", "enter", "enter")
    tasks = tuple(dataclasses.replace(each, status="success") for each in feed.now.tasks)
    feed.now = dataclasses.replace(feed.now, tasks=tasks)
    made.refresh()
    assert "── #4711" in "\n".join(screen(made, (80, 24)))


def test_the_first_page_leads_to_what_it_speaks_of() -> None:
    feed = Feed(dataclasses.replace(crowd(), rooms=()))
    made = frame(feed)
    screen(made, (80, 24), "2", "/", *"nothing", "enter", "esc")
    for _ in range(20):
        if "Tasks" in next(row for row in screen(made, (80, 24)) if row.startswith("›")):
            break
        made.keypress((80, 24), "down")
    rows = screen(made, (80, 24), "enter")
    (chosen,) = [row for row in rows if row.startswith("›")]
    assert "Gate" in chosen


def test_opening_does_not_grow_with_the_crowd() -> None:
    def cost(board: Board) -> float:
        made = frame(Feed(board))
        made.keypress((80, 24), "2")
        took = []
        for _ in range(20):
            begun = time.thread_time()
            made.refresh()
            made.render((80, 24), True)
            took.append(time.thread_time() - begun)
        return statistics.median(took)

    few = dataclasses.replace(crowded(), tasks=crowded().tasks[:100])
    assert cost(crowded()) < 40 * cost(few) + 0.01


def test_in_an_ascii_locale_the_signs_are_ascii() -> None:
    before = urwid.util.get_encoding()
    try:
        urwid.set_encoding("ascii")
        rows = screen(frame(Feed(calm())), (80, 24))
        assert "+ OK" in "\n".join(rows)
        assert all(ord(sign) < 128 for row in rows for sign in row)
    finally:
        urwid.set_encoding(before)


def joined(size: tuple[int, int], *keys: str, board: Board | None = None) -> str:
    feed = full()
    feed.now = board or feed.now
    return " ".join(" ".join(screen(frame(feed), size, *keys)).split())


def test_the_eight_questions_are_answered_on_one_page() -> None:
    """LANDSCAPE 5.2, with something of everything wrong, at 80x24."""
    board = dataclasses.replace(stormy(), devices=Devices())
    text = joined((80, 24), "1", board=board)
    for fact in (
        "2 undecryptable",
        "synced 0 s ago, answered 12 s ago",  # 1: hears, decrypts, answers
        "2.16.51",
        "answered 41 s ago",  # 2: reaches Semaphore
        "1 launch in doubt: Migrate the database",
        "for 10 min",  # 3
        "1 to be confirmed; 1 running, 1 queued",  # 4
        "is no key",  # 5: a refused edit says more than the last one that was taken
        "1 refused in the last hour, last:",
        "@eve:example.org (run)",  # 6
        "12 MB, 38.2 GB free",
        "slowed 3",  # 7
        "nothing is lost",  # 8
    ):
        assert fact in text, fact
    text = joined((80, 24), "1", board=calm())
    assert "last change: config.json by" in text
    assert "@ann:example.org · 1 h ago" in text


def test_what_is_not_known_is_left_out() -> None:
    bare: dict[str, Any] = {"hearing": Hearing(), "reach": Reach(), "disk_free": -1, "changed": None}
    text = joined((80, 24), "1", board=dataclasses.replace(calm(), **bare))
    for word in ("synced", "answered", "undecryptable", "free", "last change", "2.16"):
        assert word not in text
    assert "all well" in text


@pytest.mark.parametrize(
    ("name", "grade", "word", "changed"),
    [
        ("Audit", Grade.BAD, "BROKEN", {"audit_broken": 7}),
        ("Audit", Grade.WARN, "REFUSED", {"refused": audit_lines()[:1]}),
        ("Journal", Grade.BAD, "FULL", {"disk_free": 5_000_000}),
        ("Journal", Grade.WARN, "DISK", {"disk_free": 500_000_000}),
        ("Semaphore", Grade.WARN, "SLOW", {"reach": Reach("2.16", 1.0, 2)}),
        ("Semaphore", Grade.BAD, "HANGS", {"reach": Reach("2.16", NOW, 0, "Its queue seems to hang.")}),
        ("Matrix", Grade.WARN, "LATE", {"hearing": Hearing(NOW - 600)}),
        ("Matrix", Grade.WARN, "SLOWED", {"hearing": Hearing(NOW, NOW, 1, NOW + 5)}),
        (
            "Tasks",
            Grade.WARN,
            "LATE",
            {"tasks": (TaskLine(1, 2, "Deploy", "running", "@a:x", "!r:x", None, NOW - 900, 60.0, 3),)},
        ),
    ],
)
def test_what_the_first_page_warns_of(name: str, grade: Grade, word: str, changed: dict[str, Any]) -> None:
    board = dataclasses.replace(calm(), **changed)
    line = next(each for each in lines(board) if each.name == name)
    assert (line.grade, line.word) == (grade, word)
    assert lines(board)[0].name == name
    assert f"[{line.key}]" in joined((40, 12), "1", board=board)


def test_the_tabs_fit_at_80_columns_with_their_names() -> None:
    for view in VIEWS:
        row = screen(frame(full()), (80, 24), view)[1]
        for name in ("First", "Tasks", "Rooms", "Asked", "Log", "Audit"):
            assert name in row


def test_on_a_small_terminal_the_reason_of_the_worst_can_be_read() -> None:
    text = joined((40, 12))
    assert "https://semaphore.example.org refused the connection, tried again each 10 s, 2 time-outs in 5 min" in text
    assert "[6]" in text  # and the next problems stay in view
    down = joined((40, 12), *["down"] * 12).replace("› ", "")
    assert "line 41, column 3: “semaphor” is no key; did you mean “semaphore”?" in down


@pytest.mark.parametrize("size", SIZES)
def test_help_loses_nothing(size: tuple[int, int]) -> None:
    made = frame(full())
    screen(made, size, "?")
    view = made.view
    assert isinstance(view, Help)
    page = [view.reader._at(number) for number in range(view.reader._high)]
    assert not any("…" in line for line in page)
    assert all(wide(line) <= size[0] for line in page)
    text = " ".join(" ".join(page).split())
    for heading, entries in Table().sections(without="wizard"):
        assert heading in text
        for keys, said in entries:
            assert f"{keys}{':' if size[0] < 60 else ''} {said}" in text


def test_a_small_terminal_says_why_a_thread_does_not_run() -> None:
    assert "BACKOFF follower ConnectionError" in joined((40, 12), "6")
    text = joined((40, 12), "6", "enter").replace("│", "")
    assert "BACKOFF for 2 h" in " ".join(text.split())
    figures = " ".join(joined((40, 12), "6", *"jjjjjj", "enter").replace("│", "").split())
    assert "inbox 3 of 1,000, outbox" in figures


@pytest.mark.parametrize("size", SIZES)
def test_progress_is_told_without_colour(size: tuple[int, int]) -> None:
    text = joined(size, "2")
    assert "68 %" in text
    assert "! asks" in text
    if size[0] >= 80:
        assert "to be confirmed" in text
        assert "for #4711" in text
        assert "runs for 4 min, usually 6 min (8 runs)" in joined(size, "2", "j", "j")


def test_a_task_that_moves_on_stays_in_its_place() -> None:
    """Only its end moves it, below the others."""
    feed = full()
    made = frame(feed)
    order = [row.split()[0] for row in screen(made, (80, 24), "2")[2:6]]
    for status in ("starting", "running", "waiting_confirmation", "stopping"):
        first, *rest = feed.now.tasks
        feed.now = dataclasses.replace(feed.now, tasks=(*rest, dataclasses.replace(first, status=status)))
        made.refresh()
        assert [row.split()[0] for row in screen(made, (80, 24))[2:6]] == order


def test_the_output_is_filtered_by_level() -> None:
    feed = full()
    feed.outputs[2, 4_713] = (
        "TASK one",
        "[WARNING]: careful",
        "fatal: broken",
        "[DEPRECATION WARNING]: old",
        "ok=1 failed=0",
    )
    made = frame(feed)
    screen(made, (80, 24), "2", "enter")
    seen = []
    for _ in range(3):
        text = "\n".join(screen(made, (80, 24), "l"))
        seen.append(["one" in text, "careful" in text, "broken" in text, "old" in text, "failed=0" in text])
    assert seen == [[False, True, True, True, False], [False, False, True, False, False], [True] * 5]


@pytest.mark.parametrize("size", SIZES)
def test_states_and_times_are_not_cut(size: tuple[int, int]) -> None:
    (question,) = stormy().questions
    for left, said in ((59 * 60, "59 min left"), (47 * 3_600, "47 h left"), (59, "59 s left")):
        board = dataclasses.replace(stormy(), questions=(dataclasses.replace(question, expires_at=NOW + left),))
        assert said in joined(size, "4", board=board)
    waits = TaskLine(1, 5, "Deploy", "waiting", "@a:x", "!o:x", None)
    asks = TaskLine(1, 6, "Gate", "waiting_confirmation", "@a:x", "!o:x", None)
    rows = screen(frame(Feed(dataclasses.replace(stormy(), tasks=(waits, asks)))), size, "2")
    listed = [row for row in rows if "#5" in row or "#6" in row]
    assert not any("…" in row for row in listed[:2])
    assert "…" in rows[0] or size[0] > 40  # what is cut in the header says so


@pytest.mark.parametrize("size", SIZES)
def test_an_invite_says_who_invites_and_nothing_that_is_not_known(size: tuple[int, int]) -> None:
    row = next(row for row in screen(frame(full()), size, "3") if "invite <b>" in row)
    assert "open" not in row
    assert "@new:exa" in row
    assert row.count("!new:example.org") <= 1


@pytest.mark.parametrize("size", SIZES)
def test_rooms_say_where_the_bot_cannot_serve(size: tuple[int, int]) -> None:
    text = joined(size, "3")
    assert "invite" in text
    assert ("mute" if size[0] < 60 else "may not speak") in text
    text = joined(size, "3", "G", "enter")
    assert "Room" in text
    if size[0] >= 80:
        assert "Its power level does not allow it" in text
        assert "It is not in bot.allowed_rooms" in text
        assert "2 keys to decrypt messages were missing" in text


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_doubt_says_what_was_looked_at(size: tuple[int, int]) -> None:
    assert "since 10 min" in joined(size, "4")
    text = joined(size, "4", "enter").replace("│", "")
    assert "I looked 3 times among its newest tasks" in " ".join(text.split())
    assert "10 min ago." in text


def test_what_does_not_fit_the_line_is_said() -> None:
    assert "Only a question can be withdrawn." in joined((80, 24), "4", "w")
    assert "Only a launch in doubt can be resolved." in joined((80, 24), "4", "j", "s")


@pytest.mark.parametrize("size", SIZES)
def test_the_audit_is_newest_first_and_filtered(size: tuple[int, int]) -> None:
    text = joined(size, "9")
    assert text.index("refused") < text.index("stopped") < text.index("bot started")
    found = joined(size, "9", *"/started", "enter")
    assert "refused" not in found
    assert "bot started" in found
    by_person = joined(size, "9", *"/EVE:EXAMPLE", "enter")
    assert "refused" in by_person
    assert "stopped" not in by_person
    assert "is nowhere" in joined(size, "9", *"/nobody", "enter")
    assert "bot started" in joined(size, "9", *"/nobody", "enter", "/", "enter")
    details = joined(size, "9", "enter")
    assert "Who: @eve:example.org" in details
    assert "What: refused" in details


def test_a_broken_chain_stands_above_the_audit() -> None:
    text = joined((80, 24), "9", board=dataclasses.replace(stormy(), audit_broken=3))
    assert "Line 3 was changed or taken out" in text


@pytest.mark.parametrize("size", SIZES)
def test_output_of_a_task_that_leaves_the_list_is_not_taken_for_that_of_another(size: tuple[int, int]) -> None:
    tasks = tuple(TaskLine(1, 4_700 + n, f"Job {n}", "error", "@a:x", "!o:x", None) for n in range(3))
    feed = Feed(dataclasses.replace(calm(), tasks=tasks))
    made = frame(feed)
    screen(made, size, "2", "end", "enter")
    assert made.view.context == "output"
    feed.now = dataclasses.replace(calm(), tasks=tasks[1:])
    made.refresh()
    assert made.view.context == "tasks"
    assert "not in the list any more" in " ".join(screen(made, size)).replace("…", " ") or size[0] == 40


@pytest.mark.parametrize("size", SIZES)
def test_a_long_task_number_is_not_cut(size: tuple[int, int]) -> None:
    tasks = tuple(TaskLine(1, number, "Job", "running", "@a:x", "!o:x", None) for number in (7, 123_456, 1_234_567))
    text = "\n".join(screen(frame(Feed(dataclasses.replace(calm(), tasks=tasks))), size, "2"))
    assert re.findall(r"#(\d+) +▸", text) == ["1234567", "123456", "7"]


def test_the_audit_says_how_far_it_has_looked() -> None:
    feed = Feed(calm())
    many = tuple(dataclasses.replace(audit_lines()[0], seq=number) for number in range(500, 0, -1))
    made = frame(feed)
    made.doors = dataclasses.replace(feed.doors, audit=lambda most: many[:most])
    text = "\n".join(screen(made, (80, 24), "9", *"/bob", "enter"))
    assert "None of the newest 500 lines has “bob” in it." in text
    assert "is nowhere" not in text
