"""Whether the journal can be trusted with a launch: room on the disk, writes that succeed, and copies of it.

When it cannot, launching stops: a task whose start cannot be written down could be started twice or be forgotten. Reading
goes on. A small file is kept as a reserve, so that there is still room to say that the disk is full.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatrixcd_threads.journal.db import Journal

log = logging.getLogger("chatrixcd.journal")

RESERVE_BYTES: Final = 4 * 2**20
LOW_BYTES: Final = 64 * 2**20  # below this nothing is launched any more
# Of so many days the newest: a bot that starts over and over does not push out what was good yesterday.
COPIES: Final = 3
DAY: Final = len("journal-20261126")
COPY_SECONDS: Final = 86_400.0


class Safety:
    """Owner: the main thread, which calls `check`; `problem` is a single reference that every thread may read."""

    def __init__(self, journal: Journal, free: Callable[[Path], int] | None = None) -> None:
        self._journal, self._free = journal, free or _free
        self._reserve = journal.path.with_name("reserve")
        self.problem = ""

    def check(self) -> str | None:
        """Looks at the disk and at what became of the last writes. Returns the problem when it is a new one, "" when it is over."""
        before, self.problem = self.problem, self._look()
        if self.problem and not before:
            with contextlib.suppress(OSError):
                self._reserve.unlink()
        elif not self.problem:
            self._keep_reserve()
        if self.problem == before:
            return None
        log.log(logging.ERROR if self.problem else logging.INFO, "journal: %s", self.problem or "all is well again")
        return self.problem

    def copy(self, now: float) -> Path:
        """Makes a copy that can be put in the journal's place, and forgets the oldest. Raises sqlite3.Error or OSError."""
        folder = self._journal.path.with_name("copies")
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"journal-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}.sqlite3"
        partial = target.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600))
        self._journal.read().execute("VACUUM INTO ?", (str(partial),))
        partial.replace(target)
        days = {copy.name[:DAY]: copy for copy in sorted(folder.glob("journal-*.sqlite3"))}
        for old in {*folder.glob("journal-*.sqlite3")}.difference(sorted(days.values())[-COPIES:]):
            old.unlink()
        return target

    def _look(self) -> str:
        if self._journal.trouble:
            return f"the journal cannot be written ({self._journal.trouble})"
        try:
            free = self._free(self._journal.path.parent)
        except OSError as error:
            return f"the folder of the journal cannot be looked at ({error.strerror})"
        return f"the disk of the journal is nearly full ({free // 2**20} MB left)" if free < LOW_BYTES else ""

    def _keep_reserve(self) -> None:
        if self._reserve.exists():
            return
        with contextlib.suppress(OSError), self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
