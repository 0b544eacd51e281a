"""Which console there is, if any, and how the app gets it: made before the bot, filled with doors by it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chatrixcd_threads.console.board import Doors
from chatrixcd_threads.console.keys import ATTACHED, KEYS
from chatrixcd_threads.console.plain import Plain
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.console.service import Console, Look


@dataclass
class Surface:
    """Owner: the main thread. `shown` is screen, plain, or empty for none."""

    shown: str
    ring: Ring
    theme: str = "default"
    mouse: bool = False
    colors: bool = True
    service: Console | Plain | None = field(default=None, init=False)
    door: Callable[[], None] = field(default_factory=lambda: lambda: None, init=False)  # pokes the attached consoles

    def open(self, doors: Doors, names: Callable[[], Iterable[str]]) -> Console | Plain | None:
        """The service to run, or None."""
        if self.shown == "screen":
            keys = KEYS if doors.detach is None else ATTACHED
            debug = sys.flags.dev_mode
            self.service = Console(
                doors,
                theme=self.theme,
                mouse=self.mouse,
                colors=self.colors,
                look=lambda: Look(self.theme, self.mouse, self.colors),
                keys=keys,
                names=names,
                debug=debug,
            )
        elif self.shown == "plain":
            self.service = Plain(doors)
        return self.service

    def restyle(self, theme: str, mouse: bool, colors: bool) -> None:
        """Other settings, from any thread. Attached consoles have theirs from when they were opened."""
        self.theme, self.mouse, self.colors = theme, mouse, colors
        if isinstance(self.service, Console):
            self.service.restyle()

    def logged(self) -> None:
        """There is a new log line in the ring. From any thread."""
        if self.service is not None:
            self.service.logged()
        self.door()

    def poke(self) -> None:
        """There is something new to show. From any thread; before there is a console it does nothing."""
        if self.service is not None:
            self.service.poke()
        self.door()
