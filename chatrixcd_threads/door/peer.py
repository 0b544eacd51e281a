"""The socket itself: in the bot's store, for its own user alone."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME: Final = "console.sock"
_WAITING: Final = 8  # connections that the kernel keeps until they are taken
_LONGEST_PATH: Final = 100  # the kernel takes 107 bytes
_CREDENTIALS: Final = struct.Struct("3i")


def listen(path: Path) -> socket.socket:
    """A listening socket that only its owner may open, 0600 in a folder of 0700. One that was left behind is replaced.

    Raises OSError. The caller holds the store's lock: nobody else listens there.
    """
    _close_to_others(path.parent)
    if path.is_socket():
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)  # before bind: there is no moment with another mode
        with _address(path) as address:
            made.bind(address)
        made.listen(_WAITING)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def connect(path: Path, seconds: float) -> socket.socket:
    """A connection to the bot. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(seconds)
        with _address(path) as address:
            made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end, as the kernel knows them."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(found)
    return pid, uid


def _close_to_others(folder: Path) -> None:
    """The store's mode as the bot itself makes it. A shared folder, such as /tmp or the working folder, stays as it is."""
    found = folder.stat()
    here = Path.cwd()
    shared = found.st_mode & stat.S_ISVTX or folder.resolve() in (here, *here.parents)
    if found.st_mode & 0o077 and not shared:
        with contextlib.suppress(PermissionError):  # it is somebody else's
            folder.chmod(0o700)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path, or where it is too long for a socket a short one by way of its opened folder."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
