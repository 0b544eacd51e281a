"""What the three managers of files have in common: a hot file, looked after by hand, by a test, or by a watch of its own."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from chatrixcd_threads.settings.hot import HotFile, Outcome
from chatrixcd_threads.settings.watch import Watch
from chatrixcd_threads.threads.alone import Alone

log = logging.getLogger("chatrixcd.settings")

T = TypeVar("T")


class FileManager(Generic[T]):
    """Base of Config, AliasManager and MessageManager. Usable without any thread: then call `check_for_changes`."""

    def __init__(self, hot: HotFile[T], auto_reload: bool = False) -> None:
        self.hot = hot
        self.auto_reload = auto_reload
        self._watch: Alone | None = None
        if auto_reload:
            self.start_auto_reload()

    def check_for_changes(self) -> Outcome | None:
        """Reads the file if it was saved since the last look. None: nothing new."""
        return self.hot.check_for_changes()

    def start_auto_reload(self) -> None:
        """Watches the file in a thread of its own. In the bot one watch thread looks after all files instead."""
        if self._watch is None:
            self.auto_reload = True
            watch = Alone(Watch([self.hot], lambda outcome: log.info("%s", outcome)))
            watch.start()
            self._watch = watch

    def stop_auto_reload(self) -> None:
        """Ends the watching. The version in force stays."""
        watch, self._watch = self._watch, None
        self.auto_reload = False
        if watch is not None:
            watch.stop()
