"""The console without a screen: state changes and log lines as plain lines, commands from standard input.

For screen readers, dumb terminals and pipes. No urwid loop, no cursor, no colour.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from chatrixcd_threads.console.board import Board, Doors
from chatrixcd_threads.console.cells import many, shown, shown_line, span
from chatrixcd_threads.console.status import Grade, Line, is_over, lines, task_word
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.console")

_WAIT_SECONDS: Final = 1.0
_GAP_SECONDS: Final = 0.1
_MOST_LOG_LINES: Final = 200
_MOST_LOOKED_AT: Final = 100_000  # log lines in one go: a flood may never end
_MOST_QUESTIONS: Final = 20
_PIECE: Final = 512  # what a writable pipe or terminal takes without waiting
_LONGEST: Final = 4_096
_HELP: Final = "Type a command as in a room, without the prefix: help, status, run, stop 42."
_QUIT: Final = "state says how everything is. quit stops the bot."
_DETACH: Final = "state says how everything is. quit leaves this console, and the bot goes on; exit stops the bot."


class Plain(Service):
    """Owner: the ui thread. `poke` may be called from any thread."""

    name = "ui"
    patience = 5.0

    def __init__(self, doors: Doors, *, source: int = 0, target: int = 1) -> None:
        self._doors, self._source, self._target = doors, source, target
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None
        self._cursor = 0
        self._states: dict[str, tuple[Grade, str, str]] = {}
        self._tasks: dict[tuple[int, int], str] | None = None
        self._questions: frozenset[tuple[int, str, str, str]] | None = None  # None: not looked yet
        self._heard: dict[str, str] = {}
        self._typed: dict[str, str] = {}
        self._pending = b""
        self._listening = self._speaking = True
        self._leaving = False
        self._trouble = ""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def poke(self) -> None:
        """Something has changed."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    logged = poke

    def wake(self) -> None:
        """Ends `run` after its stop event was set."""
        self.poke()

    def on_resize(self) -> None:
        """Lines have no size."""

    on_resume = on_suspend = on_hangup = on_resize

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Prints and listens until the stop; without anybody to speak to it only waits."""
        self._stop, self._beat = stop, beat
        self._say(_HELP, _QUIT if self._doors.detach is None else _DETACH)
        while not stop.is_set():
            beat()
            if self._speaking:
                self._say(*self._news())
            if not self._speaking:
                if self._doors.detach is not None:
                    self._doors.detach()
                stop.wait(_WAIT_SECONDS)
                continue
            self._listen()

    def _news(self) -> Iterator[str]:
        """What is new since the last look: log lines, states, tasks, answers."""
        yield from self._log_news()
        trouble, self._trouble = self._trouble, self._doors.trouble()
        if trouble != self._trouble:
            yield f"Attention: {shown(self._trouble)}" if self._trouble else "The bot is there again."
        board = self._doors.board()
        for line in lines(board):
            state = (line.grade, line.word, line.detail if line.grade <= Grade.WARN else "")
            if self._states.get(line.name) != state:
                self._states[line.name] = state
                yield f"{line.name}: {_word(line)}, {line.figure}"
        yield from self._question_news(board)
        yield from self._task_news(board)
        answers = dict(self._doors.answers())
        for ticket, text in answers.items():
            if self._heard.get(ticket) != text:
                yield f"Answer to {shown(self._typed.get(ticket, ticket))}:"
                yield from map(shown_line, text.splitlines())
        self._heard = answers

    def _log_news(self) -> Iterator[str]:
        """Of a flood the newest lines: they say how it is now."""
        newest: deque[str] = deque(maxlen=_MOST_LOG_LINES)
        count = 0
        while count < _MOST_LOOKED_AT:
            self._cursor, found = self._doors.log_lines(self._cursor)
            if not found:
                break
            newest.extend(found)
            count += len(found)
        if count > len(newest):
            yield f"({count - len(newest):,} older log lines are left out)"
        yield from map(shown_line, newest)

    def _question_news(self, board: Board) -> Iterator[str]:
        """Each question as it comes: the state says only that there are some."""
        now = {(each.id, each.room_id, each.asker, each.summary): each for each in board.questions}
        new = [each for key, each in now.items() if self._questions is not None and key not in self._questions]
        self._questions = frozenset(now)
        for each in new[:_MOST_QUESTIONS]:
            left = span(each.expires_at - board.now)
            yield f"A question is open: {shown(each.summary)} ({shown(each.asker)}), ends in {left}"
        if len(new) > _MOST_QUESTIONS:
            yield f"(and {len(new) - _MOST_QUESTIONS} more questions)"

    def _task_news(self, board: Board) -> Iterator[str]:
        now = {(each.project_id, each.task_id): each for each in board.tasks}
        for key, task in now.items():
            if self._tasks is None and is_over(task):
                continue  # ended before this console was opened
            if self._tasks is None or self._tasks.get(key) != task.status:
                over = "is over" if is_over(task) else "is now"
                yield f"Task {task.task_id} {shown(task.name)} {over}: {task_word(task.status)}"
        self._tasks = {key: task.status for key, task in now.items()}

    def _listen(self) -> None:
        """Waits for a command line, a poke or a second."""
        watched = [self._reader, *([self._source] if self._listening else [])]
        ready = select.select(watched, [], [], _WAIT_SECONDS)[0]
        if self._reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _LONGEST)
            self._stop.wait(_GAP_SECONDS)  # what comes together is told together
        if self._source not in ready:
            return
        try:
            data = os.read(self._source, _LONGEST)
        except OSError:
            data = b""
        self._listening = bool(data)
        *whole, self._pending = (self._pending + data).split(b"\n")
        self._pending = self._pending[-_LONGEST:]
        for line in whole:
            self._typed_line(shown(line.decode(errors="replace")).strip().removeprefix(":").strip())

    def _typed_line(self, line: str) -> None:
        leaving, self._leaving = self._leaving, False
        if not line:
            return
        if line == "state":
            self._states.clear()
        elif line in ("quit", "q"):
            if self._doors.detach is not None or leaving:
                (self._doors.detach or self._doors.leave)()
                return
            self._leaving = True
            going = sum(not is_over(each) for each in self._doors.board().tasks)
            self._say(f"This stops the bot; {many(going, 'task')} would run on in Semaphore. Type quit again to do it.")
        else:
            self._ask(line)

    def _ask(self, line: str) -> None:
        try:
            ticket = self._doors.type_command(line)
        except UserError as error:
            self._say(f"Not asked: {shown(error.sentence)}")
            return
        self._typed[ticket] = line
        self._say(f"Asked: {line}")

    def _say(self, *said: str) -> None:
        """Writes in pieces that do not block for ever: a reader that has stopped holds up only this thread."""
        if not said:
            return
        view = memoryview(("\n".join(said) + "\n").encode(errors="replace"))
        give_up = 0.0
        while view and self._speaking:
            if self._stop.is_set():
                give_up = give_up or time.monotonic() + _GAP_SECONDS
                if time.monotonic() > give_up:
                    return
            self._beat()
            try:
                if select.select([], [self._target], [], _GAP_SECONDS)[1]:
                    view = view[os.write(self._target, view[:_PIECE]) :]
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    self._speaking = False
                    log.warning("nobody listens any more: the console is closed, the bot goes on")


def _word(line: Line) -> str:
    """The state as a word; what is not as it should be says so, since a screen reader reads no colour."""
    return line.word.lower() + (" (look at this)" if line.grade <= Grade.WARN else "")
