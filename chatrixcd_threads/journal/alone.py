"""Keeps a second bot away from the same store: two would both answer, and would ruin each other's keys."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from chatrixcd_threads.errors import Fatal


class StoreLock:
    """Held as long as the process lives, however it ends; the file itself stays and means nothing."""

    def __init__(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = store / "lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise Fatal(
                f"another bot already works with {store}: stop it, or give this one another matrix.store_path"
            ) from error

    def release(self) -> None:
        """Lets another bot in."""
        os.close(self._handle)
