"""Keeps a second bot away from the same store: two would both answer, and would ruin each other's keys."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from chatrixcd_threads.errors import Fatal


class StoreLock:
    """Held as long as the process lives, however it ends. The file stays; what stands in it only names the holder."""

    def __init__(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = store / "lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            said = os.pread(self._handle, 32, 0).decode("ascii", errors="replace").strip()
            os.close(self._handle)
            who = f" (process {said})" if said.isdigit() else ""
            raise Fatal(
                f"another bot already works with {store}{who}: stop it, or give this one another matrix.store_path"
            ) from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets another bot in."""
        os.close(self._handle)
