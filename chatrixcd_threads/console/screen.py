"""The real terminal for urwid: signals stay in the main thread, and a terminal that does not read blocks nobody else."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import urwid

from chatrixcd_threads.console import rescue

_LOOK_SECONDS: Final = 0.2  # how often a writer that waits for the terminal looks for the stop
_LEAVING_SECONDS: Final = 0.5  # how long the end may try to write


class Output:
    """Owner: the ui thread. A terminal as urwid's output; waits for it in small steps, and beats meanwhile."""

    def __init__(self, descriptor: int, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._descriptor = descriptor
        own = rescue.own_writer(descriptor)
        self._target = own if own is not None else descriptor
        self._owned = own is not None
        self._chunk = 65_536 if own is not None else 512  # what a writable descriptor takes without waiting
        self._stop, self._beat = stop, beat
        self._waiting: list[str] = []
        self._leave_until: float | None = None
        self._cut = False

    def fileno(self) -> int:
        """For the size of the window."""
        return self._descriptor

    def write(self, data: str) -> None:
        """Kept until `flush`."""
        self._waiting.append(data)

    def flush(self) -> None:
        """Writes all of it, however slowly the terminal reads. After the stop only what it takes at once."""
        data = "".join(self._waiting).encode(urwid.util.get_encoding(), errors="replace")
        self._waiting.clear()
        if self._stop.is_set() and self._leave_until is None:
            self._leave_until = time.monotonic() + _LEAVING_SECONDS
        view = memoryview(data)
        while view:
            if self._leave_until is not None and (self._cut or time.monotonic() > self._leave_until):
                self._cut = True  # a stuck terminal gets the short form of leaving, from the rescue
                return
            if not select.select([], [self._target], [], _LOOK_SECONDS)[1]:
                self._beat()
                if self._stop.is_set() and self._leave_until is None:
                    self._cut = True
                    raise urwid.ExitMainLoop
                continue
            try:
                view = view[os.write(self._target, view[: self._chunk]) :]
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Gives the own descriptor back."""
        if self._owned:
            self._owned = False
            os.close(self._target)

    @property
    def was_cut(self) -> bool:
        """Whether the terminal did not read all: what is needed to leave must be written past it."""
        return self._cut


class Screen(urwid.display.raw.Screen):
    """Owner: the ui thread. Signals belong to the main thread, which calls `Console.on_resize` and its like."""

    def __init__(self, output: Output) -> None:
        super().__init__(input=sys.stdin, output=output, bracketed_paste_mode=True)  # also where it is not asked for
        self._output = output

    def signal_init(self) -> None:
        """urwid would set signal handlers, which only the main thread may."""

    def signal_restore(self) -> None:
        """None were set."""

    def _start(self, alternate_buffer: bool = True, *args: object, **kwargs: object) -> None:
        rescue.drawing(True)
        super()._start(alternate_buffer)

    def _stop(self) -> None:
        super()._stop()
        if self._output.was_cut:
            rescue.restore_screen()
        rescue.drawing(False)
