"""The service without a terminal: its thread, its pipe, its guard; the ring; the rescue."""

from __future__ import annotations

import dataclasses
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import urwid
from hypothesis import given
from hypothesis import strategies as st
from urwid.testing import ScriptedScreen

from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.board import Link, QuestionLine
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.guard import only_this_thread
from chatrixcd_threads.console.plain import Plain
from chatrixcd_threads.console.ring import KEPT_LINES, LONGEST_LINE, MOST_AT_ONCE, Ring, RingHandler
from chatrixcd_threads.console.service import FRAME_SECONDS, LOG_SECONDS, Console
from chatrixcd_threads.text.redact import MASK, RedactingFormatter, Redactor
from tests.console.sample import NOW, Feed, stormy

LIMIT = 20.0
Talk = tuple[Feed, Plain, Callable[[str], None], Callable[..., str]]


class Watched(ScriptedScreen):
    """A screen without input that says when something is drawn."""

    def __init__(self) -> None:
        super().__init__(size=(80, 24))
        self.drawn = threading.Condition()

    def draw_screen(self, size: tuple[int, int], canvas: urwid.Canvas) -> None:
        with self.drawn:
            self.draw_count += self.canvases[-1:] != [canvas]  # the same canvas again costs the real screen nothing
            self.canvases[:] = [canvas]
            self.drawn.notify_all()

    def until(self, text: str) -> None:
        def there() -> bool:
            return bool(self.canvases) and any(text in row for row in self.last_text)

        with self.drawn:
            assert self.drawn.wait_for(there, LIMIT), text


class Running:
    """A console in its thread."""

    def __init__(self) -> None:
        self.feed = Feed(stormy())
        self.screen = Watched()
        self.console = Console(self.feed.doors, screen=self.screen, debug=True)
        self.stop, self.beats = threading.Event(), 0
        self.thread = threading.Thread(target=self.console.run, args=(self.stop, self._beat), name="ui")
        self.thread.start()
        self.screen.until("Semaphore")

    def _beat(self) -> None:
        self.beats += 1

    def note(self, text: str) -> None:
        self.feed.now = dataclasses.replace(self.feed.now, matrix=Link("ok", text, self.feed.now.now))
        self.console.poke()

    def end(self) -> None:
        self.stop.set()
        self.console.wake()
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.end()


def test_a_poke_draws(running: Running) -> None:
    running.note("the first change.")
    running.screen.until("the first change.")
    assert running.beats > 0


def test_changes_are_drawn_soon(running: Running) -> None:
    """The promise is 50 ms for 99 of 100 on a quiet machine; here the median must hold a wide bound."""
    took = []
    for number in range(100):
        begun = time.monotonic()
        running.note(f"change {number}.")
        running.screen.until(f"change {number}.")
        took.append(time.monotonic() - begun)
    assert statistics.median(took) < 0.1


def test_a_log_line_is_drawn_only_where_the_log_is_shown(running: Running) -> None:
    ring = running.feed.ring
    ring.add("not to be seen")
    running.console.logged()
    running.note("after the line.")
    running.screen.until("after the line.")
    deadline = time.monotonic() + LIMIT
    while running.console._logged and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running.console._logged  # taken note of, although nothing was drawn for it
    running.console._loop.call_from_thread(lambda: running.console._frame.perform("view log"))  # type: ignore[union-attr]
    running.console.poke()
    running.screen.until("not to be seen")
    ring.add("seen at once")
    running.console.logged()
    running.screen.until("seen at once")


def test_a_flood_of_log_lines_is_few_frames(running: Running) -> None:
    running.console._loop.call_from_thread(lambda: running.console._frame.perform("view log"))  # type: ignore[union-attr]
    running.console.poke()
    running.screen.until("[7 Log]")
    before, begun = running.screen.draw_count, time.monotonic()
    for number in range(20_000):
        running.feed.ring.add(f"line {number}.")
        running.console.logged()
    running.screen.until("line 19999.")
    assert running.screen.draw_count - before <= (time.monotonic() - begun) / LOG_SECONDS + 5


def test_a_flood_of_pokes_is_few_frames(running: Running) -> None:
    before, begun = running.screen.draw_count, time.monotonic()
    for number in range(20_000):
        running.note(f"poke {number}.")
    running.screen.until("poke 19999.")
    frames = running.screen.draw_count - before
    assert frames <= (time.monotonic() - begun) / FRAME_SECONDS + 5


def test_signals_before_and_after_the_life_do_no_harm() -> None:
    made = Running()
    for call in (made.console.on_resize, made.console.on_resume, made.console.poke, made.console.wake):
        call()
    made.note("after all of them.")
    made.screen.until("after all of them.")
    made.end()
    for call in (made.console.on_resize, made.console.on_resume, made.console.poke, made.console.wake):
        call()


def test_it_can_live_again(running: Running) -> None:
    running.end()
    running.stop.clear()
    running.screen.canvases.clear()
    running.thread = threading.Thread(target=running.console.run, args=(running.stop, running._beat))
    running.thread.start()
    running.note("the second life.")
    running.screen.until("the second life.")


def test_a_hang_up_ends_the_console_and_not_its_thread(running: Running) -> None:
    running.console.on_hangup()
    running.thread.join(0.2)
    assert running.thread.is_alive()


def test_a_running_console_catches_another_thread(running: Running) -> None:
    """The debug mode of the service itself: the terminal tests and `python -X dev` run with it."""
    frame = running.console._frame
    assert isinstance(frame, Frame)
    for touch in (frame.resized, lambda: frame.render((80, 24)), lambda: frame.view.pane.go(1)):
        with pytest.raises(AssertionError, match="a widget was touched by the thread MainThread"):
            touch()
    running.note("it goes on.")
    running.screen.until("it goes on.")


def test_the_guard_catches_another_thread() -> None:
    text = urwid.Text("mine")
    caught: list[BaseException] = []

    def meddle() -> None:
        try:
            text.set_text("theirs")
        except AssertionError as error:
            caught.append(error)

    before = urwid.CanvasCache.__dict__["invalidate"]
    with only_this_thread():
        text.set_text("still mine")
        other = threading.Thread(target=meddle, name="meddler")
        other.start()
        other.join(LIMIT)
    assert "meddler" in str(caught[0])
    assert urwid.CanvasCache.__dict__["invalidate"] is before
    text.set_text("free again")


def test_the_ring_numbers_and_forgets() -> None:
    ring = Ring(10)
    assert ring.since(0) == (0, ())
    ring.add("a\nb")
    assert ring.since(0) == (2, ("a", "b"))
    assert ring.since(2) == (2, ())
    ring.extend(f"line {n}" for n in range(25))
    assert ring.span() == (17, 27)
    assert ring.at(16) == ""
    assert ring.at(17) == "line 15"
    assert ring.at(27) == ""
    assert ring.since(0) == (27, tuple(f"line {n}" for n in range(15, 25)))
    assert ring.since(99) == (27, ())
    big = Ring()
    big.extend("x" for _ in range(KEPT_LINES + 5))
    cursor, lines = big.since(0)
    assert (cursor, len(lines)) == (5 + MOST_AT_ONCE, MOST_AT_ONCE)
    big.add("y" * 10_000)
    assert len(big.at(big.span()[1] - 1)) < 10_000


def test_the_handler_fills_the_ring() -> None:
    ring, pokes = Ring(), []
    handler = RingHandler(ring, lambda: pokes.append(1))
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("two\nlines")
    assert ring.since(0)[1] == ("WARNING two", "lines")
    assert pokes == [1]


def written(ring: Ring, form: logging.Formatter | None = None) -> logging.Logger:
    """A logger that writes into the ring only."""
    handler = RingHandler(ring)
    handler.setFormatter(form)
    logger = logging.Logger("chatrixcd.test")
    logger.addHandler(handler)
    return logger


SAID = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ("password=hunter22", "Bearer abcdefghij", "my-own-secret", "x" * LONGEST_LINE + " my-own-secret", "two\nlines")
)


@given(st.lists(SAID, max_size=4), st.booleans())
def test_a_line_reads_later_as_it_would_have_been_written_at_once(words: list[str], failing: bool) -> None:
    """Lazy and immediate formatting agree, in text and in number of lines: whatever is logged, however it is read."""
    form = RedactingFormatter(Redactor(lambda: ("my-own-secret",)))
    at_once: list[str] = []

    class Immediate(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            at_once.extend(line[:LONGEST_LINE] for line in form.format(record).split("\n"))

    ring = Ring()
    logger = written(ring, form)
    logger.addHandler(Immediate())
    for word in words:
        logger.warning("said: %s", word, exc_info=ValueError(word) if failing else None)
    low, high = ring.span()
    assert [ring.at(number) for number in range(low, high)] == at_once
    assert ring.since(0) == (high, tuple(at_once))
    assert ring.levels(low, high) == [logging.WARNING] * high
    assert "my-own-secret" not in "".join(at_once)


def test_a_line_that_is_read_late_knows_the_secrets_of_then() -> None:
    secrets: list[str] = []
    ring = Ring()
    logger = written(ring, RedactingFormatter(Redactor(lambda: secrets)))
    logger.error("the new token is %s", "tok-very-new")
    secrets.append("tok-very-new")
    assert "tok-very-new" not in ring.at(0)
    assert ring.since(0)[1][0].endswith(f"the new token is {MASK}")


def test_what_changes_after_it_was_logged_reads_as_it_was() -> None:
    ring, things = Ring(), ["first"]
    logger = written(ring)
    logger.error("things: %s", things)
    things.append("second")
    assert ring.at(0) == "things: ['first']"


def test_a_bad_logging_call_hurts_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    ring = Ring()
    written(ring).error("one %s, two %s", 1)
    assert ring.span() == (0, 0)
    assert "not enough arguments" in capfd.readouterr().err


def test_levels_are_told_by_number() -> None:
    ring = Ring(4)
    ring.add("2026-11-23 23:28:51,000 ERROR   sync       it broke\nTraceback\n  line 5")
    ring.add("2026-11-23 23:28:51,000 WARNING sync       careful")
    assert ring.levels(0, 4) == [40, 40, 40, 30]
    ring.add("of its own", 10)
    assert ring.levels(0, 9) == [0, 40, 40, 30, 10]
    assert (ring.level(0), ring.level(4), ring.level(5)) == (0, 10, 0)


def test_the_rescue_can_be_called_any_time() -> None:
    for _ in range(3):
        rescue.restore_terminal()
    rescue.save_terminal()
    rescue.restore_terminal()


def test_without_a_log_file_stderr_is_shown_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    rescue.take_stderr(None)
    os.write(2, b"a warning\n")
    assert capfd.readouterr().err == ""
    rescue.give_stderr_back()
    assert capfd.readouterr().err == "a warning\n"


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A plain console on two pipes."""
    feed = Feed(stormy())
    source, keyboard = os.pipe()
    ears, target = os.pipe()
    os.set_blocking(ears, False)
    plain = Plain(feed.doors, source=source, target=target)
    stop = threading.Event()
    thread = threading.Thread(target=plain.run, args=(stop, lambda: None))
    thread.start()
    heard = ""

    def until(text: str, times: int = 1) -> str:
        nonlocal heard
        deadline = time.monotonic() + LIMIT
        pause = threading.Event()
        while heard.count(text) < times:
            assert time.monotonic() < deadline, f"{text} not in {heard}"
            try:
                heard += os.read(ears, 65_536).decode()
            except BlockingIOError:
                pause.wait(0.01)
        return heard

    def write(text: str) -> None:
        os.write(keyboard, text.encode())

    yield feed, plain, write, until
    stop.set()
    plain.wake()
    thread.join(LIMIT)
    for descriptor in (source, keyboard, ears, target):
        os.close(descriptor)
    assert not thread.is_alive()


def test_plain_tells_changes_once(
    talk: Talk,
) -> None:
    feed, plain, write, until = talk
    until("Semaphore: down (look at this)")
    feed.now = dataclasses.replace(feed.now, semaphore=Link("ok", "back", feed.now.now))
    feed.ring.add("a log line\x1b[31m with colour")
    plain.poke()
    said = until("Semaphore: slow (look at this), 2.16.51, back, 2 time-outs in 5 min")
    assert "a log line with colour" in until("with colour")
    assert said.count("Matrix: ok") == 1
    write("state\nping\n")
    until("Asked: ping")
    assert until("Restart: safe", 2).count("Matrix: ok") == 2


def test_plain_shows_the_newest_lines_of_a_flood(talk: Talk) -> None:
    feed, plain, _, until = talk
    until("Restart: safe")
    for number in range(5_000):
        feed.ring.add(f"line {number} of the flood")
    plain.poke()
    said = until("line 4999 of the flood")
    assert "line 4801 of the flood" in said
    assert said.index("left out") < said.index("line 4999")


def test_plain_tells_every_question_that_comes(talk: Talk) -> None:
    feed, plain, _, until = talk
    until("Restart: safe")
    new = tuple(
        QuestionLine("@bob:example.org", "!ops:example.org", f"run Job {n}", NOW + 300, 8 + n) for n in range(25)
    )
    feed.now = dataclasses.replace(feed.now, questions=(*feed.now.questions, *new[:1]))
    plain.poke()
    until("A question is open: run Job 0 (@bob:example.org), ends in 5 min")
    feed.now = dataclasses.replace(feed.now, questions=new)
    plain.poke()
    said = until("(and 4 more questions)")
    assert said.count("run Job 0 (") == 1
    assert "run Deploy the web shop (@ann:example.org), ends" not in said


def test_plain_asks_before_it_stops_the_bot(
    talk: Talk,
) -> None:
    feed, _, write, until = talk
    write("quit\nstatus\nquit\n")
    until("Asked: status")
    assert feed.left == 0
    write("quit\n")
    write("ping\n")
    until("Asked: ping")
    assert feed.left == 1
