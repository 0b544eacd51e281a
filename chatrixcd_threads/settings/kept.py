"""The last good versions of a file, so that a bad edit can be undone and a start with a broken file works."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = ".chatrixcd-kept"
MOST: Final = 20
_NAME: Final = re.compile(r"(\d{6})-(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Copy:
    """One kept version: its number (growing), since when it was in force (seconds since the epoch), and its text."""

    number: int
    since: float
    path: Path

    def text(self) -> str:
        """What stood in the file then."""
        return self.path.read_bytes().decode()  # read_text would change the ends of lines


class Kept:
    """Copies of one file in a folder beside it, readable by its owner alone. One thread at a time writes."""

    def __init__(self, file: Path) -> None:
        self._folder = file.parent / FOLDER / file.name

    def add(self, text: str, now: float) -> str:
        """Keeps a version. Returns why it could not be kept, or an empty string: keeping is a comfort, never a condition."""
        copies = self.copies()
        if copies and _text(copies[0]) == text:
            return ""
        number = copies[0].number + 1 if copies else 1
        target = self._folder / f"{number:06d}-{int(now)}"
        fresh = target.with_name(f".{target.name}")  # no half of a version ever has a version's name
        try:
            for folder in (self._folder.parent, self._folder):
                folder.mkdir(exist_ok=True, mode=0o700)
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as out:  # noqa: PTH123 - the mode counts
                out.write(text.encode())
            fresh.replace(target)
            for old in copies[MOST - 1 :]:
                old.path.unlink(missing_ok=True)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            return f"{self._folder}: {error.strerror or error}"
        return ""

    def copies(self) -> list[Copy]:
        """All kept versions, newest first."""
        try:
            names = [(path, _NAME.fullmatch(path.name)) for path in self._folder.iterdir()]
        except OSError:
            return []
        found = [Copy(int(match[1]), float(match[2]), path) for path, match in names if match]
        return sorted(found, key=lambda copy: copy.number, reverse=True)


class NotKept(Kept):
    """Looks at what was kept and adds nothing: for a mere look at the settings."""

    def add(self, text: str, now: float) -> str:
        return ""


def _text(copy: Copy) -> str | None:
    try:
        return copy.text()
    except (OSError, UnicodeDecodeError):
        return None
