"""The console as a service: one thread that owns every widget and the terminal, and can never hurt the bot."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import termios
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import urwid
from urwid.display.common import InputClosedError

from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.board import Doors
from chatrixcd_threads.console.frame import Frame
from chatrixcd_threads.console.guard import only_this_thread
from chatrixcd_threads.console.keys import KEYS, Key, Table
from chatrixcd_threads.console.screen import Output, Screen
from chatrixcd_threads.console.themes import palette
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.console")

FRAME_SECONDS: Final = 0.033
IDLE_SECONDS: Final = 2.0
_GONE: Final = (errno.EIO, errno.ENXIO, errno.EPIPE, errno.EBADF, errno.ENODEV, errno.ENOTTY)
_SCREEN: Final = 1  # the descriptor that is drawn on
_HEARD_SECONDS: Final = 1.0
_FRONT_SECONDS: Final = 1.0  # how often a bot in the background looks whether it is in front again


class Top(Protocol):
    """What the service needs of the widget that it shows."""

    @property
    def behind(self) -> bool:
        """Whether there is more to draw soon."""

    def refresh(self) -> None:
        """Takes over what is new."""

    def resized(self) -> None:
        """The terminal has another size."""

    def notice(self, sentence: str) -> None:
        """Shows a line at the next drawing."""


class Console(Service):
    """Owner: the ui thread. `poke` may be called from any thread, the `on_…` functions from signal handlers."""

    name = "ui"
    patience = 5.0

    def __init__(
        self,
        doors: Doors | None,
        *,
        theme: str = "default",
        mouse: bool = False,
        keys: Iterable[Key] = KEYS,
        names: Callable[[], Iterable[str]] = tuple,
        screen: urwid.display.common.BaseScreen | None = None,
        debug: bool = False,
    ) -> None:
        self._doors, self._palette, self._table, self._names = doors, palette(theme), Table(keys), names
        self._mouse, self._given_screen, self._debug = mouse, screen, debug
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None
        self._loop: urwid.MainLoop | None = None
        self._frame: Top | None = None
        self._drawn_at = 0.0
        self._armed = False
        # Written by any thread, read and cleared by the ui thread; each is a single reference.
        self._dirty = self._resized = self._suspend = self._resumed = self._hung_up = False
        # One pipe for the life of the process: a late writer can never meet a descriptor that was given to another.
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    # --- from other threads and signal handlers ------------------------------------------------------------------

    def poke(self) -> None:
        """Something has changed: draw soon. Costs nothing while a drawing is due anyway."""
        if not self._dirty:
            self._dirty = True
            self._ring()

    def wake(self) -> None:
        """Ends `run` after its stop event was set."""
        self._ring()

    def on_resize(self) -> None:
        """SIGWINCH."""
        self._resized = True
        self._ring()

    def on_suspend(self) -> None:
        """SIGTSTP: the terminal is given back, the process stops, and comes back with `fg`."""
        self._suspend = True
        self._ring()

    def on_resume(self) -> None:
        """SIGCONT, also after a stop that nobody told us of."""
        self._resumed = True
        self._ring()

    def on_hangup(self) -> None:
        """SIGHUP: the terminal is gone. The bot goes on without a console."""
        self._hung_up = True
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            os.write(self._writer, b"!")

    # --- the ui thread -------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Draws until the stop. Without a terminal it only waits: a console is never a reason to end."""
        self._stop, self._beat = stop, beat
        try:
            with only_this_thread() if self._debug else contextlib.nullcontext():
                self._live()
        except Lost:
            pass
        except (InputClosedError, OSError, termios.error) as error:
            if not isinstance(error, InputClosedError) and (error.args or (0,))[0] not in _GONE:
                raise
        finally:
            rescue.drawing(False)
        if stop.is_set():
            return
        log.warning("the terminal is gone: the console is closed, the bot goes on")
        while not stop.wait(IDLE_SECONDS):
            beat()

    def _live(self) -> None:
        output = None
        screen = self._given_screen
        if screen is None:
            output = Output(_SCREEN, self._stop, self._beat)
            screen = Screen(output)
        frame = self._top(screen)
        loop = urwid.MainLoop(frame, self._palette, screen=screen, handle_mouse=self._mouse)
        self._loop, self._frame = loop, frame
        self._armed = False
        loop.watch_file(self._reader, self._rung)
        loop.set_alarm_in(0, self._idle)
        try:
            loop.run()
        finally:
            self._loop = self._frame = None
            if output is not None:
                output.close()

    def _top(self, screen: urwid.display.common.BaseScreen) -> Any:
        """The widget to show: a `Top`. What overrides this needs no doors."""
        assert self._doors is not None
        return Frame(self._doors, self._table, self._names, mouse=self._switch_mouse, redraw=screen.clear)

    def _idle(self, loop: urwid.MainLoop, data: object) -> None:
        """Also without news the ages move, and the supervisor hears that the thread lives."""
        loop.set_alarm_in(IDLE_SECONDS, self._idle)
        self._beat()
        self._draw()

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4_096)
        loop = self._loop
        if self._stop.is_set():
            raise urwid.ExitMainLoop
        if loop is None:
            return
        if self._hung_up:
            raise Lost
        if self._suspend:
            self._suspend = False
            self._give_way(loop)
        if self._resumed:
            self._resumed = False
            if self._given_screen is None and self._frame is not None:
                self._come_back(loop)
        if self._resized:
            self._resized = False
            loop.screen_size = None
            loop.screen.clear()
            if self._frame is not None:
                self._frame.resized()
            self._draw()
        if self._dirty and not self._armed:
            self._armed = True
            wait = self._drawn_at + FRAME_SECONDS - time.monotonic()
            if wait <= 0:
                self._due(loop, None)
            else:
                loop.set_alarm_in(wait, self._due)

    def _due(self, loop: urwid.MainLoop, data: object) -> None:
        self._armed = False
        self._draw()

    def _draw(self) -> None:
        self._dirty = False  # before the board is read: what changes from here on rings again
        self._drawn_at = time.monotonic()
        frame = self._frame
        if frame is not None:
            frame.refresh()
            if frame.behind:
                self.poke()

    def _give_way(self, loop: urwid.MainLoop) -> None:
        """Ctrl-Z. After `bg` the bot goes on without the terminal, and takes it again when it is in front."""
        if not rescue.can_suspend():
            if self._frame is not None:
                self._frame.notice("No shell is there that could bring the bot back: it goes on.")
                self._draw()
            return
        with loop.paused():
            self._resumed = False
            rescue.stop_process()
            self._until_resumed()
            self._until_in_front()
        if self._frame is not None:
            self._frame.resized()
        self._draw()

    def _come_back(self, loop: urwid.MainLoop) -> None:
        """Somebody stopped the process and let it go on: the shell has changed the terminal meanwhile."""
        if not rescue.in_foreground(0):
            self._until_in_front()
        with loop.paused():
            pass
        if self._frame is not None:
            self._frame.resized()
        self._draw()

    def _until_resumed(self) -> None:
        """The signal that ended the stop is heard by the main thread a moment later; it must not count as another one."""
        until = time.monotonic() + _HEARD_SECONDS
        while not self._resumed and not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._wait(left)
        self._resumed = False

    def _until_in_front(self) -> None:
        while not self._stop.is_set() and not self._hung_up and os.isatty(0) and not rescue.in_foreground(0):
            self._beat()
            self._wait(_FRONT_SECONDS)
        self._beat()

    def _wait(self, seconds: float) -> None:
        """Until somebody rings, without the loop."""
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4_096)

    def _switch_mouse(self) -> None:
        loop: Any = self._loop
        if loop is not None:
            self._mouse = not self._mouse
            loop.handle_mouse = self._mouse
            loop.screen.set_mouse_tracking(self._mouse)
            if self._frame is not None:
                self._frame.notice(f"The mouse is {'on' if self._mouse else 'off: the terminal can select text'}.")


class Lost(Exception):
    """There is no terminal any more."""
