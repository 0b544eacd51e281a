"""The terminal as it was: saved before the console starts, given back at every way out. No widgets, no locks.

Called by the main thread, also when the ui thread is stuck in the terminal: nothing here waits for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import tempfile
import termios
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final

# Cancels a sequence that was cut, ends a synchronised update, then mouse, paste, focus, colours, cursor, screen.
LEAVE: Final = b"\x18\x1b[?2026l\x1b[?1006l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[?1004l\x1b[0m\x0f\x1b[?1049l\x1b[?25h"
_SHOWN_STDERR: Final = 65_536


class _Saved:
    """Owner: the main thread; `drawn` is a single reference that the ui thread writes."""

    settings: list[Any] | None = None
    drawn = False
    stderr: int | None = None
    stderr_file: BinaryIO | None = None
    lent_to: int | None = None


def leave_on(numbers: Iterable[int], is_leaving: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """One of these signals asks the program to leave; a second one, or one while it leaves already, skips to the end.

    Main thread only. Returns what tells whether one has come. The handler takes no lock, and `is_leaving` must not: it runs in
    the main thread, which may hold the lock of an Event at that very moment, and would wait for itself for ever.
    """
    came: list[int] = []

    def asked(number: int, frame: FrameType | None) -> None:
        if came or is_leaving():
            restore_terminal()
            os._exit(128 + number)
        came.append(number)

    for each in numbers:
        signal.signal(each, asked)
    return lambda: bool(came)


def save_terminal() -> None:
    """Remembers the settings of the terminal. The first call counts."""
    if _Saved.settings is None:
        with contextlib.suppress(termios.error, OSError):
            _Saved.settings = termios.tcgetattr(0)


def drawing(now: bool) -> None:
    """Told by the ui thread: whether the screen is in use, so that there is something to leave."""
    _Saved.drawn = now


def restore_terminal() -> None:
    """Gives the terminal back, whatever state it is in, within a moment. May be called any number of times."""
    if _Saved.lent_to is not None:
        with contextlib.suppress(OSError):
            os.killpg(_Saved.lent_to, signal.SIGTERM)
        take_terminal_back(_Saved.settings)
    restore_screen()
    if _Saved.settings is not None and in_foreground(0):
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(0, termios.TCSANOW, _Saved.settings)
    give_stderr_back()


def restore_screen() -> None:
    """Leaves the console's screen, past everything that still waits to be read by the terminal."""
    if _Saved.drawn and in_foreground(1):
        _Saved.drawn = False
        write_now(1, LEAVE)


def lend_terminal(group: int) -> None:
    """Puts another process group in front, as a shell does: keys that make signals are then meant for it alone."""
    _Saved.lent_to = group
    with _in_background(), contextlib.suppress(OSError):  # it has ended already, or there is no job control
        os.tcsetpgrp(0, group)


def take_terminal_back(settings: list[Any] | None) -> None:
    """We are in front again, with these settings."""
    _Saved.lent_to = None
    with _in_background(), contextlib.suppress(termios.error, OSError):
        os.tcsetpgrp(0, os.getpgrp())
        if settings is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, settings)


@contextlib.contextmanager
def _in_background() -> Iterator[None]:
    """Inside, the calling thread may change the terminal although another group is in front."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_foreground(descriptor: int) -> bool:
    """Whether the terminal is ours to change: it is there, and no other job has it."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def write_now(descriptor: int, data: bytes) -> bool:
    """Writes a few bytes to a terminal that may have stopped reading: it is let go on, and what waits is dropped."""
    own = own_writer(descriptor)
    if own is None:
        return False
    try:
        if not select.select([], [own], [], 0.05)[1] and in_foreground(own):
            with contextlib.suppress(termios.error):
                termios.tcflush(own, termios.TCOFLUSH)
                termios.tcflow(own, termios.TCOOFF)  # Linux lets a terminal go on after Ctrl-S only as the end of this
                termios.tcflow(own, termios.TCOON)
            select.select([], [own], [], 0.2)
        return os.write(own, data) == len(data)
    except OSError:
        return False
    finally:
        os.close(own)


def own_writer(descriptor: int) -> int | None:
    """The terminal opened anew for writing without waiting: the flag would else count for the shell's descriptor too."""
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def take_stderr(path: str | Path | None) -> None:
    """Nothing else may write to the terminal while the console has it: descriptor 2 goes to the file.

    Without one it goes to an unnamed file whose content is shown when the terminal is given back.
    """
    if _Saved.stderr is not None:
        return
    sys.stderr.flush()
    _Saved.stderr = os.dup(2)
    if path is None:
        _Saved.stderr_file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the console
        os.dup2(_Saved.stderr_file.fileno(), 2)
        return
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.dup2(target, 2)
    os.close(target)


def give_stderr_back() -> None:
    """Descriptor 2 is the terminal again."""
    if _Saved.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os.dup2(_Saved.stderr, 2)
    os.close(_Saved.stderr)
    _Saved.stderr = None
    if _Saved.stderr_file is not None:
        with contextlib.suppress(OSError):
            _Saved.stderr_file.seek(0)
            os.write(2, _Saved.stderr_file.read(_SHOWN_STDERR))
        _Saved.stderr_file.close()
        _Saved.stderr_file = None


def can_suspend() -> bool:
    """Whether a shell is there that can bring us back: an orphan that stops itself stays stopped for ever."""
    try:
        return os.getsid(0) != os.getpid() and os.getsid(os.getppid()) == os.getsid(0)
    except OSError:
        return False


def stop_process() -> None:
    """Ctrl-Z: the whole process stops here until it is continued."""
    os.kill(os.getpid(), signal.SIGSTOP)
