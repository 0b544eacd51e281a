"""What a thread is doing right now: stacks for the log when a beat is late or a job is stuck."""

from __future__ import annotations

import gc
import secrets
import sys
import threading
import traceback
from types import FrameType

_LOOKING = threading.Lock()  # guards that one switches the collector off and on at a time; nothing is called in between


def stack_of(ident: int | None) -> str:
    """The stack of one thread as text, innermost call last. Empty when it has ended."""
    frame = _frames().get(ident) if ident is not None else None
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def _frames() -> dict[int, FrameType]:
    """Where every thread is. While Python collects them it holds a lock that each beginning thread needs: a garbage collection
    in there, whose callbacks let other threads run, stops the whole process for ever (CPython gh-106883)."""
    with _LOOKING:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()


def names_of_threads() -> dict[int, str]:
    """The names of all threads by their idents."""
    return {thread.ident: thread.name for thread in threading.enumerate() if thread.ident is not None}


def stack_named(name: str) -> tuple[str, ...]:
    """The stack of the thread with this name, line by line. Empty when there is none."""
    ident = next((ident for ident, known in names_of_threads().items() if known == name), None)
    return tuple(stack_of(ident).splitlines())


def all_stacks() -> str:
    """Every thread with its name and stack: the deadlock report."""
    return "\n".join(f"--- {thread.name} ---\n{stack_of(thread.ident)}" for thread in threading.enumerate())


def new_code() -> str:
    """A short code that is answered to a person and written into the log, so that the line can be found."""
    return "E-" + secrets.token_hex(3)
