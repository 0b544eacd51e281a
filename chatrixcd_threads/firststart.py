"""The first start: ties the wizard's questions to homeserver, Semaphore and settings file, and to the face that asks."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from chatrixcd_threads.console.firststart import ask_on_screen
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.matrix.firststart import FirstStart
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.wizard import answers, plain, written
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.engine import Walk
from chatrixcd_threads.wizard.plain import Talk

EXIT_CONFIG: Final = 78
CODE_SIGNS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that are mistaken for each other
CODE_LENGTH: Final = 8
NOTHING: Final = "Nothing was written."


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for. `answers` is a file, - for standard input, or None for questions."""

    path: Path
    answers: str | None
    screen: bool
    may_start: bool
    theme: str = "default"
    mouse: bool = False


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C ended it; what Ctrl-C puts in order must be put in order too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class File:
    """Owner: whoever checks. The settings file, and whether it has been written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.written = False

    def write(self, draft: Draft) -> str:
        """Puts it in place."""
        said = written.write(self._path, draft)
        self.written = True
        return said


def first_start(request: Request, talk: Talk) -> int | None:
    """Asks, tries and writes. Returns the exit code, or None when the bot is to be started now."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)  # every check tells its problem itself
    draft = Draft(exists=request.path.exists(), may_start=request.may_start)
    matrix, file = FirstStart(Path(draft.matrix().store_path)), File(request.path)
    doors = Doors(matrix, Semaphore, file.write, new_code)
    try:
        with _signals():
            if request.answers is not None:
                return _from_answers(request, draft, doors, talk)
            return _asked(request, Walk(draft), doors, talk)
    except KeyboardInterrupt as error:
        talk.say("")
        talk.say(_end(request, file.written))
        return 128 + (error.number if isinstance(error, Ended) else signal.SIGINT)
    except EOFError:
        talk.say("")
        talk.say(f"The input has ended. {_end(request, file.written)}")
        return EXIT_CONFIG
    finally:
        stays = matrix.close(keep=file.written)
        if stays:
            talk.say(stays)


def new_code() -> str:
    """A code to claim the bot with."""
    return "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))


def _asked(request: Request, walk: Walk, doors: Doors, talk: Talk) -> int | None:
    if not request.screen:
        plain.ask_all(walk, doors, talk)  # says itself what was written
    elif number := ask_on_screen(walk, doors, theme=request.theme, mouse=request.mouse):
        raise Ended(number)
    if walk.step is not None:
        raise EOFError  # the terminal has gone
    if walk.draft.start:
        return None
    talk.say(_end(request, walk.draft.written, told=not request.screen))
    return 0


def _from_answers(request: Request, draft: Draft, doors: Doors, talk: Talk) -> int:
    source = request.answers or ""
    try:
        given = answers.load(source, sys.stdin.read() if source == "-" else None)
        outcome = answers.answer_all(draft, given, doors, talk.say)
        problems = outcome.problems
    except UserError as error:
        problems = tuple(error.sentence.splitlines())
    for sentence in problems:
        talk.complain(sentence)
    if problems:
        return EXIT_CONFIG
    talk.say(_end(request, outcome.draft.written, told=True))
    return 0 if outcome.draft.written else EXIT_CONFIG


def _end(request: Request, is_written: bool, *, told: bool = False) -> str:
    if not is_written:
        return NOTHING
    return f"{'' if told else f'{request.path} is written. '}Start the bot with: {start_command(request.path)}"


def start_command(path: Path) -> str:
    """What to type to start the bot with this file."""
    named = "" if path == Path("config.json") else f" -c {shlex.quote(str(path))}"
    return f"{shlex.quote(sys.executable)} -m chatrixcd_threads{named}"


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a question like Ctrl-C does: with the terminal as it was, and nothing left behind.

    While the homeserver is asked, asyncio takes Ctrl-C in a way of its own, and these with it: an exception out of nowhere
    could take a step away from its loop, which would then wait for that step for ever.
    A closed window is often told twice, by the kernel and by the shell: the first signal counts.
    """
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if ended:
            return
        ended.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt) or interrupt is signal.default_int_handler:
            raise Ended(number)
        interrupt(number, frame)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt as error:
        if ended and not isinstance(error, Ended):
            raise Ended(ended[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
