"""The console as a service: one thread that owns every widget and the terminal, and can never hurt the bot."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import urwid
from urwid.display.common import InputClosedError

from chatrixcd_threads.console import editor, rescue
from chatrixcd_threads.console.board import Doors
from chatrixcd_threads.console.frame import NO_TERMINAL, Frame
from chatrixcd_threads.console.guard import only_this_thread
from chatrixcd_threads.console.keys import KEYS, Key, Table
from chatrixcd_threads.console.screen import Output, Screen
from chatrixcd_threads.console.themes import palette
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.console")

FRAME_SECONDS: Final = 0.02
LOG_SECONDS: Final = 0.04  # nobody reads a flood: 25 frames a second keep its newest line young enough
IDLE_SECONDS: Final = 4.0
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

    @property
    def shows_log(self) -> bool:
        """Whether new log lines are worth a drawing."""

    def notice(self, sentence: str) -> None:
        """Shows a line at the next drawing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the settings say of the screen. Without colours bold, underlined and reversed text is left."""

    theme: str
    mouse: bool
    colors: bool


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
        colors: bool = True,
        look: Callable[[], Look] | None = None,
        keys: Iterable[Key] = KEYS,
        names: Callable[[], Iterable[str]] = tuple,
        screen: urwid.display.common.BaseScreen | None = None,
        debug: bool = False,
    ) -> None:
        self._doors, self._table, self._names = doors, Table(keys), names
        self._look, self._mouse, self._given_screen, self._debug = Look(theme, mouse, colors), mouse, screen, debug
        self._look_now = look or (lambda: self._look)
        self._terminal_colors: int | None = None  # what the terminal can, as the screen found it
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None
        self._loop: urwid.MainLoop | None = None
        self._frame: Top | None = None
        self._drawn_at = self._log_at = 0.0
        self._armed = self._log_armed = False
        # Written by any thread, read and cleared by the ui thread; each is a single reference.
        self._to_edit: tuple[str, Callable[[str], None]] | None = None
        self._restyled = False
        self._dirty = self._logged = self._resized = self._suspend = self._resumed = self._hung_up = False
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

    def logged(self) -> None:
        """There is a new log line: draw it, if the log is shown. Costs nothing while that is due anyway."""
        if not self._logged:
            self._logged = True
            self._ring()

    def restyle(self) -> None:
        """Another look is wanted: it is asked for, and counts from the next drawing on."""
        self._restyled = True
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

    def take_signals(self) -> None:
        """The terminal's signals come here. Called by the main thread."""
        signal.signal(signal.SIGWINCH, lambda *_: self.on_resize())
        signal.signal(signal.SIGTSTP, lambda *_: self.on_suspend())
        signal.signal(signal.SIGCONT, lambda *_: self.on_resume())
        signal.signal(signal.SIGHUP, lambda *_: self.on_hangup())

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
        if self._doors is not None and self._doors.detach is not None:
            self._doors.detach()
        while not stop.wait(IDLE_SECONDS):
            beat()

    def _live(self) -> None:
        output = None
        screen = self._given_screen
        if screen is None:
            output = Output(_SCREEN, self._stop, self._beat)
            screen = Screen(output)
        frame = self._top(screen)
        loop = urwid.MainLoop(frame, palette(self._look.theme), screen=screen, handle_mouse=self._mouse)
        self._loop, self._frame = loop, frame
        self._color(screen)
        self._armed = self._log_armed = False
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
        return Frame(
            self._doors,
            self._table,
            self._names,
            mouse=self._switch_mouse,
            redraw=screen.clear,
            copy=self._copy,
            edit=self._ask_edit if self._given_screen is None else _no_editor,
            pictures=lambda: getattr(getattr(screen, "modes", None), "grapheme_clustering", None) is True,
        )

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
        if self._to_edit is not None:
            (path, done), self._to_edit = self._to_edit, None
            self._edit(loop, path, done)
        if self._restyled:
            self._restyled = False
            look, self._look = self._look, self._look_now()
            loop.screen.register_palette(palette(self._look.theme))
            self._color(loop.screen)
            if self._look.mouse not in (look.mouse, self._mouse):
                self._switch_mouse()
            loop.screen.clear()
            self._draw()
        if self._resized:
            self._resized = False
            loop.screen_size = None
            loop.screen.clear()
            if self._frame is not None:
                self._frame.resized()
            self._draw()
        if self._dirty and not self._armed:
            self._armed = True
            self._soon(loop, self._drawn_at + FRAME_SECONDS, self._due)
        if self._logged and not self._log_armed:
            self._log_armed = True
            self._soon(loop, self._log_at + LOG_SECONDS, self._log_due)

    def _soon(self, loop: urwid.MainLoop, at: float, call: Callable[[urwid.MainLoop, object], None]) -> None:
        wait = at - time.monotonic()
        if wait <= 0:
            call(loop, None)
        else:
            loop.set_alarm_in(wait, call)

    def _due(self, loop: urwid.MainLoop, data: object) -> None:
        self._armed = False
        self._draw()

    def _log_due(self, loop: urwid.MainLoop, data: object) -> None:
        self._log_armed = self._logged = False
        self._log_at = time.monotonic()
        frame = self._frame
        if frame is not None and frame.shows_log:
            self._draw()

    def _draw(self) -> None:
        self._dirty = self._logged = False  # before the board is read: what changes from here on rings again
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

    def _ask_edit(self, path: str, done: Callable[[str], None]) -> None:
        """From a key: the editor starts outside of the handling of keys, and of the frame's guard."""
        self._to_edit = (path, done)
        self._ring()

    def _edit(self, loop: urwid.MainLoop, path: str, done: Callable[[str], None]) -> None:
        """The terminal is the editor's until it ends or the bot stops; the bot itself goes on."""
        with loop.paused():
            problem = editor.edit(path, self._beat, self._wait, lambda: self._stop.is_set() or self._hung_up)
            if self._hung_up:
                raise Lost
        if self._stop.is_set():
            raise urwid.ExitMainLoop
        self._resumed = False
        loop.screen_size = None  # who is not in front does not hear of a new size
        if isinstance(self._frame, Frame):  # nobody else asks for an editor
            self._frame.edited(lambda: done(problem))
        self._draw()

    def _copy(self, text: str) -> None:
        screen: Any = self._loop.screen if self._loop is not None else None
        if isinstance(screen, urwid.display.raw.Screen):
            screen.copy_to_clipboard(text)

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

    def _color(self, screen: Any) -> None:
        """No more colours than the settings want, and never more than the terminal has."""
        if not hasattr(screen, "set_terminal_properties"):
            return
        if self._terminal_colors is None:
            self._terminal_colors = screen.colors
        screen.set_terminal_properties(self._terminal_colors if self._look.colors else 1)

    def _switch_mouse(self) -> None:
        loop: Any = self._loop
        if loop is not None:
            self._mouse = not self._mouse
            loop.handle_mouse = self._mouse
            loop.screen.set_mouse_tracking(self._mouse)
            if self._frame is not None:
                self._frame.notice(f"The mouse is {'on' if self._mouse else 'off: the terminal can select text'}.")


def _no_editor(path: str, done: Callable[[str], None]) -> None:
    done(NO_TERMINAL)


class Lost(Exception):
    """There is no terminal any more."""
