"""The first start on a screen: every page at the sizes of terminals, its keys, and a check that takes its time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import pytest
import urwid
import urwid.testing
from urwid.testing import ScriptedScreen

from chatrixcd_threads.console.firststart import Asking
from chatrixcd_threads.console.keys import Table
from chatrixcd_threads.console.pages import Pages
from chatrixcd_threads.console.themes import palette
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.models import User
from chatrixcd_threads.wizard.checker import BROKEN, Checker, Tried
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.engine import Attempt, Walk
from chatrixcd_threads.wizard.steps import BY_KEY
from tests.unit.wizard.fakes import ANN, BOT, GOOD, PASSWORD, TOKEN, World

SIZES = [(40, 12), (80, 24), (200, 60)]
LIMIT = 20.0
EMPTY = Draft()


class AtOnce:
    """Tries an answer where it is given, or, while it is held, only keeps it."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.news: queue.SimpleQueue[str | Tried] = queue.SimpleQueue()
        self.held: list[Attempt] | None = None
        self.given_up = 0

    def try_(self, attempt: Attempt) -> None:
        if self.held is not None:
            self.held.append(attempt)
            return
        try:
            self.news.put(Tried(attempt, attempt.run(self._doors, self.news.put)))
        except UserError as error:
            self.news.put(Tried(attempt, None, error.sentence))

    def give_up(self) -> None:
        self.given_up += 1


class Desk:
    """Pages without a terminal."""

    def __init__(self, size: tuple[int, int] = (80, 24), draft: Draft = EMPTY) -> None:
        self.world, self.size = World(), size
        self.walk, self.checks = Walk(draft), AtOnce(self.world.doors)
        self.calls: list[str] = []
        self.pages = Pages(
            self.walk,
            self.checks,
            Table(),
            done=lambda: self.calls.append("done"),
            quit=lambda: self.calls.append("quit"),
            redraw=lambda: self.calls.append("redraw"),
        )
        self.text()

    def press(self, *keys: str) -> str:
        for key in keys:
            self.pages.keypress(self.size, key)
        return self.text()

    def answer(self, text: str) -> str:
        """Empties the field, types, and goes on; a choice is made with the arrows."""
        step = self.walk.step
        assert step is not None
        if step.choices:
            return self.press(*(["left", "left"] + ["right"] * step.choices.index(text)), "enter")
        return self.press("ctrl u", *text, "enter")

    def until(self, key: str) -> str:
        while self.walk.step is not None and self.walk.step.key != key:
            step = self.walk.step
            self.answer(GOOD[step.key])
            assert self.walk.step != step, self.text()
        return self.text()

    def text(self) -> str:
        return "\n".join(urwid.testing.render_text(self.pages, self.size, focus=True))


@pytest.mark.parametrize("size", SIZES)
def test_every_page_shows_question_field_and_keys(size: tuple[int, int]) -> None:
    desk = Desk(size, Draft(exists=True))
    desk.world.semaphore.user = User(1, "root", admin=True)  # the longest of all findings
    seen = []
    while (step := desk.walk.step) is not None:
        rows = desk.text().splitlines()
        assert len(rows) == size[1]
        assert all(len(row) <= size[0] for row in rows)
        number, total = desk.walk.place
        assert f"First start {number}/{total}" in rows[0]
        assert "[enter]next" in rows[-1]
        assert "[?]help" in rows[-1]
        assert any("< Next >" in row for row in rows)
        flat = " ".join(row.strip() for row in rows)
        assert step.question(desk.walk.draft).splitlines()[0].split(" (")[0] in flat
        seen.append(step.key)
        desk.answer(GOOD[step.key])
        assert desk.walk.step != step, desk.text()
    assert seen == list(GOOD)
    assert desk.calls == ["done"]
    assert desk.walk.draft.start


@pytest.mark.parametrize("size", SIZES[:2])
def test_the_whole_way_in_urwids_loop(size: tuple[int, int]) -> None:
    """Key by key through the real main loop, at the sizes of a phone and of a terminal."""
    world = World()
    inputs: list[Sequence[str]] = []
    for key, text in GOOD.items():
        if not BY_KEY[key].choices:
            inputs.append(["ctrl u", *text])
        inputs.append(["enter"])
    walk = Walk(Draft())
    ended: list[bool] = []
    pages = Pages(walk, AtOnce(world.doors), Table(), done=lambda: ended.append(True))
    screen = ScriptedScreen(size=size, inputs=[list(batch) for batch in inputs])
    urwid.MainLoop(pages, palette("default"), screen=screen).run()
    assert ended == [True]
    assert walk.draft.written
    assert walk.draft.owner == ANN


def test_secrets_are_dots() -> None:
    desk = Desk()
    desk.until("password")
    text = desk.press("ctrl u", *PASSWORD)
    assert PASSWORD not in text
    assert "•" * len(PASSWORD) in text
    text = desk.press("enter", "esc")
    assert "•" * len(PASSWORD) in text  # kept, and as little seen
    assert desk.walk.step == BY_KEY["password"]


def test_a_problem_stands_on_the_page_and_the_answer_stays() -> None:
    desk = Desk()
    desk.until("password")
    assert "✗ The homeserver refuses" in desk.answer("wrong")
    assert "•••••" in desk.text()
    text = desk.answer(PASSWORD)
    assert "✓ Logged in as" in text
    assert "✗" not in text


def test_back_and_forth_keeps_answers() -> None:
    desk = Desk()
    assert "This is the first question" in desk.press("esc")
    desk.until("semaphore_token")
    assert "https://semaphore.example.org" in desk.press("esc")
    desk.press("esc", "esc", "esc")
    assert BOT in desk.press("esc")
    desk.press("enter", "enter", "enter", "enter")
    assert desk.walk.step == BY_KEY["semaphore_url"]


def test_help_and_a_question_mark_as_text() -> None:
    desk = Desk()
    text = desk.press("?")
    assert "an account of its own" in text
    assert "ctrl u: empty the field" in text
    assert "an account of its own" not in desk.press("esc")
    assert "an account of its own" in desk.press("f1")
    desk.press("?")  # out of the help into the field
    assert "› ?" in desk.text()
    assert "› ??" in desk.press("?")
    assert "› ??" in desk.press("f1", "enter")


@pytest.mark.parametrize("pasted", [[*TOKEN, "enter"], ["enter", *TOKEN, "enter", "enter"]])
def test_a_secret_is_pasted_with_its_line_ends(pasted: list[str]) -> None:
    desk = Desk()
    desk.until("semaphore_token")
    text = desk.press("begin paste", *pasted, "end paste")
    assert desk.walk.step == BY_KEY["semaphore_token"]
    assert f"› {'•' * len(TOKEN)} " in text
    desk.press("enter")
    assert desk.walk.draft.semaphore_token == TOKEN


def test_what_is_pasted_is_one_answer_and_never_a_key() -> None:
    desk = Desk()
    desk.until("semaphore_token")
    desk.press("begin paste", "?", "enter", *"rest", "tab", "x", "end paste")
    assert desk.walk.step == BY_KEY["semaphore_token"]
    assert desk.walk.draft.semaphore_token == ""
    assert f"› {'•' * len('? rest x')} " in desk.text()
    desk.until("claim")
    assert "no field for it" in desk.press("begin paste", *"later", "enter", "end paste")
    assert desk.walk.step == BY_KEY["claim"]
    assert desk.press("begin paste", "x", "ctrl c") is not None
    assert desk.calls == ["quit"]


def test_tab_goes_round_and_the_buttons_work() -> None:
    desk = Desk()
    desk.press(*BOT, "tab", "enter")  # Next
    assert desk.walk.step == BY_KEY["homeserver"]
    desk.press("tab", "tab", "enter")  # Back
    assert desk.walk.step == BY_KEY["user_id"]
    assert "an account of its own" in desk.press("shift tab", "enter")  # Help
    desk.press("esc", "tab", "enter")  # in the field again
    assert desk.walk.step == BY_KEY["homeserver"]


def test_the_arrows_choose() -> None:
    desk = Desk()
    desk.until("auth")
    assert "(X) password" in desk.text()
    assert "(X) token" in desk.press("right")
    desk.press("enter")
    assert desk.walk.step == BY_KEY["access_token"]


def test_while_an_answer_is_tried() -> None:
    desk = Desk()
    desk.checks.held = []
    text = desk.press(*BOT, "enter")
    assert "Trying your answer" in text
    desk.checks.news.put("a line from the check")
    desk.pages.refresh()
    assert "a line from the check" in desk.text()
    desk.press("x", "enter", "tab")
    assert len(desk.checks.held) == 1
    assert "Stopped." in desk.press("esc")
    assert desk.checks.given_up == 1
    (late,) = desk.checks.held
    desk.checks.news.put(Tried(late, late.run(desk.world.doors, print)))
    desk.pages.refresh()
    assert desk.walk.step == BY_KEY["user_id"]  # what came too late moves nothing
    assert BOT in desk.text()


def test_the_code_to_be_typed_stays_in_view() -> None:
    desk = Desk((40, 12))
    desk.until("claim")
    desk.checks.held = []
    desk.press("enter")
    desk.checks.news.put("In the admin room, as @ann, type:  claim K7QX2M")
    for number in range(200):
        desk.checks.news.put(f"That was another code, from @ann:example.org; line {number}.")
        desk.pages.refresh()
        assert "claim K7QX2M" in desk.text()
    assert "line 199" in desk.text()


def test_a_long_text_scrolls() -> None:
    desk = Desk((40, 12), Draft(exists=True))
    text = desk.until("write")
    assert "[page down] more" in text
    assert "bot.admin_room" not in text
    assert "bot.admin_room" in desk.press("page down", "page down")
    assert "Shall I write this?" in desk.press("page up", "page up", "up")


def test_too_small_a_window_says_so() -> None:
    desk = Desk((20, 5))
    assert "too small" in desk.text()
    desk.size = (40, 12)
    assert "Which Matrix account" in desk.text()


def test_the_other_keys() -> None:
    desk = Desk()
    desk.press("ctrl c", "ctrl l")
    assert desk.calls == ["quit", "redraw"]
    desk.pages.notice("The mouse is off.")
    desk.pages.refresh()
    assert "The mouse is off." in desk.text()
    assert "The mouse is off." not in desk.press("x")


def test_what_others_say_cannot_steer_the_terminal() -> None:
    desk = Desk()
    desk.world.matrix.problems["look"] = [UserError("It said \x1b[31mred\x1b]0;title\x07 <b>")]
    desk.until("homeserver")
    assert "It said red <b>" in desk.answer("")


# --- with threads


class Watched(ScriptedScreen):
    """A screen that says when something is drawn."""

    def __init__(self) -> None:
        super().__init__(size=(80, 24))
        self.drawn = threading.Condition()

    def draw_screen(self, size: tuple[int, int], canvas: urwid.Canvas) -> None:
        with self.drawn:
            self.canvases[:] = [canvas]
            self.drawn.notify_all()

    def until(self, text: str) -> None:
        with self.drawn:
            there = lambda: bool(self.canvases) and any(text in row for row in self.last_text)  # noqa: E731
            assert self.drawn.wait_for(there, LIMIT), (text, self.last_text)


class Running:
    """The service and the checker, each in its thread, as `ask_on_screen` starts them."""

    def __init__(self, world: World, walk: Walk) -> None:
        self.screen, self.stop = Watched(), threading.Event()
        self.asking = Asking(walk, screen=self.screen, debug=True)
        self.checker = Checker(world.doors, self.asking.poke)
        self.asking.checks = self.checker
        self.threads = [
            threading.Thread(target=service.run, args=(self.stop, lambda: None))
            for service in (self.asking, self.checker)
        ]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        self.asking.wake()
        self.checker.wake()
        for thread in self.threads:
            thread.join(LIMIT)
            assert not thread.is_alive()


def test_the_screen_lives_while_a_check_hangs() -> None:
    world = World()
    world.matrix.waits = threading.Event()
    walk = Walk(Draft())
    for key in list(GOOD)[: list(GOOD).index("claim")]:
        attempt = walk.attempt(GOOD[key])
        walk.passed(attempt, attempt.run(world.doors, print))
    running = Running(world, walk)
    try:
        running.screen.until("Do you claim the bot now?")
        heard: queue.SimpleQueue[str | Tried] = queue.SimpleQueue()
        tell = running.checker._tell  # what it puts into `news` is taken by the screen

        def told(news: str | Tried) -> None:
            heard.put(news)
            tell(news)

        running.checker._tell = told  # type: ignore[method-assign]
        running.checker.try_(walk.attempt("now"))
        assert not running.asking.finished.is_set()
        news = heard.get(timeout=LIMIT)
        assert "claim CODE1" in str(news)
    finally:
        running.end()
    assert "cancel" in world.matrix.calls
    assert running.asking.finished.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_in_a_check_leaves_nobody_waiting() -> None:
    world = World()
    world.matrix.problems["look"] = [ZeroDivisionError("a bug")]
    checker = Checker(world.doors, lambda: None)
    walk = Walk(Draft(user_id=BOT), (BY_KEY["homeserver"],))
    attempt = walk.attempt("")
    checker.try_(attempt)
    with pytest.raises(ZeroDivisionError):
        checker.run(threading.Event(), lambda: None)
    assert checker.news.get_nowait() == Tried(attempt, None, BROKEN)


def test_the_token_is_nowhere_on_any_page() -> None:
    desk = Desk()
    while desk.walk.step is not None:
        assert TOKEN not in desk.text()
        assert PASSWORD not in desk.text()
        step = desk.walk.step
        desk.answer(GOOD[step.key])
        assert desk.walk.step != step
