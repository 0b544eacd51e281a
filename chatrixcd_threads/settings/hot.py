"""A hot file: a settings file that is read anew while the bot runs, and whose bad edits change nothing.

Reading, parsing and checking happen outside any lock. Only the swap and the callbacks of those who must change with it
stand under the write lock; readers take one reference and never wait. Works without any thread.
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.document import BadFileError, Document, parse, read
from chatrixcd_threads.settings.kept import Copy, Kept
from chatrixcd_threads.threads.rwlock import RWLock

log = logging.getLogger("chatrixcd.settings")

T = TypeVar("T")

Fingerprint = tuple[int, int, int, int, int]

YOUNG = 2.0  # seconds: so long after a change a file is read again, since coarse clocks hide a second save from `fingerprint`


@dataclass(frozen=True, slots=True)
class Version(Generic[T]):
    """What is in force. `text` is None while there is no file and the defaults count; `since` is seconds since the epoch."""

    value: T
    text: str | None
    since: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """One changed key, as people may see it: secrets are masked before they come here. None: not there."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A good edit is in force."""

    file: Path
    diffs: tuple[Diff, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A bad edit changed nothing: the version of `since` stays in force."""

    file: Path
    problem: str
    since: float


@dataclass(frozen=True, slots=True)
class Held:
    """A good edit with a dangerous effect: it counts only after somebody has said yes.

    `started_with`: it stood in the file when the bot was started, which took the version of that moment instead.
    """

    file: Path
    reason: str
    diffs: tuple[Diff, ...]
    number: int
    started_with: float | None = None


@dataclass(frozen=True, slots=True)
class Mended:
    """The file is good again and says what is in force anyway."""

    file: Path
    since: float


Outcome = Changed | Refused | Held | Mended


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What makes one sort of file: how it is checked, shown, and which changes are too dangerous to happen by a slip."""

    check: Callable[[Document], tuple[T, tuple[str, ...]]]
    defaults: T
    shown: Callable[[T], Mapping[str, str]]
    danger: Callable[[T, T], str]


class HotFile(Generic[T]):
    """Any thread reads `now`. The watch and a command may look at the same moment: `_looking` lets them take turns."""

    def __init__(
        self,
        path: Path,
        kind: Kind[T],
        *,
        lock: RWLock | None = None,
        kept: Kept | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.error: ConfigError | None = None
        self.callbacks: list[Callable[[T, T], None]] = []
        self._kind, self._time = kind, now
        self._lock = lock or RWLock()
        self.kept = kept if kept is not None else Kept(path)
        self._version = Version(kind.defaults, None, now())
        self._seen: Fingerprint | None = None
        self._seen_at = 0.0
        self._held: tuple[int, Version[T]] | None = None
        self._holds = int(now())  # grows over restarts: the answer to an old question never meets another edit
        self._asked: str | None = None  # the text in the file was held already, whatever the answer
        self._unkept = ""
        self._looking = threading.Lock()

    @property
    def now(self) -> T:
        """The value in force: one reference, taken once per job."""
        return self._version.value

    @property
    def version(self) -> Version[T]:
        """The value in force with its text and age."""
        return self._version

    @property
    def held(self) -> int | None:
        """The number of the edit that waits for a yes."""
        held = self._held
        return held[0] if held else None

    @property
    def waiting(self) -> Held | None:
        """The dangerous edit that waits for a yes, with its reason and what it would change; also right after `load`."""
        held = self._held
        if held is None:
            return None
        number, fresh = held
        diffs = self._diffs(self._version.value, fresh.value)
        return Held(self.path, self._danger(fresh), diffs, number, self._version.since)

    def load(self, *, must_exist: bool = False) -> None:
        """The first reading. A bad file falls back to the last good version, which is told by `error`; without one it raises.

        So does a file whose change since the last version in force is dangerous, told by `waiting`.
        """
        self._note(fingerprint(self.path))
        try:
            fresh = self._read()
        except FileNotFoundError as error:
            if must_exist:
                raise BadFileError(str(self.path), (f"{self.path}: there is no such file",)) from error
            return
        except ConfigError as error:
            self.error = error
            last = self._last_good()
            if last is None:
                raise
            self._version = last
            return
        last = self._last_good()
        if last is not None and last.text != fresh.text:
            self._version = last
            if self._hold(fresh) is not None:
                return
        self._version = fresh
        for problem in self._keep(fresh):
            log.warning("%s: %s", self.path, problem)

    def check_for_changes(self, *, force: bool = False) -> Outcome | None:
        """Reads the file if it looks changed (or in any case). None: nothing new."""
        with self._looking:
            return self._look(force)

    def _look(self, force: bool) -> Outcome | None:
        seen = fingerprint(self.path)
        if seen == self._seen and not force and self._time() - self._seen_at >= YOUNG:
            return None
        self._note(seen)
        try:
            fresh = self._read()
        except FileNotFoundError:
            if self._version.text is not None:
                return self._refused(BadFileError(str(self.path), (f"{self.path} has gone away",)), force)
            mended, self.error = self.error is not None, None  # there never was a good one: the defaults go on
            return Mended(self.path, self._version.since) if mended else None
        except ConfigError as error:
            return self._refused(error, force)
        mended, self.error = self.error is not None, None
        if fresh.text == self._version.text:
            self._held = self._asked = None
            return Mended(self.path, self._version.since) if mended else None
        if fresh.text == self._asked and not force:
            return None
        return self._accept(fresh, mended)

    def _note(self, seen: Fingerprint | None) -> None:
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._time()

    def decide(self, number: int, yes: bool) -> Outcome | None:
        """The answer to a held edit. None when this edit does not wait any more, or was refused."""
        with self._looking:
            if self._held is None or self._held[0] != number:
                return None
            fresh, self._held = self._held[1], None
            if not yes:
                return None
            self._asked = None
            return self._swap(replace(fresh, since=self._time()))

    def undo(self) -> tuple[Copy, Outcome | None]:
        """Writes the newest good kept version that differs from what the file holds into the file. Raises ConfigError.

        So a bad edit, or one that waits for a yes, gives way to the version in force; a good one to the version before.
        The file is read in the same turn, so that what came of it is told by who asked for it, and not by the watch.
        """
        with self._looking:
            try:
                holds = self._text_now()
            except ConfigError:
                holds = None
            for copy in self.kept.copies():
                try:
                    text = copy.text()
                    self._check(text)
                except (OSError, UnicodeDecodeError, ConfigError):
                    continue
                if text != holds:
                    replace_file(self.path, text)
                    return copy, self._look(force=False)
        raise ConfigError(f"There is no earlier version of {self.path.name} to go back to.")

    def edit(self, change: Callable[[str | None], str]) -> Changed:
        """Rewrites the file for somebody who asked for it; it counts at once, without a question. Raises ConfigError.

        `change` gets the text as it is in the file (None: there is no file) and gives the new one. A file that cannot be
        read or is not good, and one that another hand has just changed, is never written over.
        """
        with self._looking:
            before = self._for_edit()
            text = change(before)
            value, warnings = self._check(text)
            if self._text_now() != before:
                raise ConfigError(f"{self.path} was saved by somebody else at the same moment. I changed nothing.")
            replace_file(self.path, _with_mark(self.path, text))
            self._note(fingerprint(self.path))
            self.error = self._held = self._asked = None
            return self._swap(Version(value, text, self._time(), warnings))

    def _for_edit(self) -> str | None:
        """The text to build upon; it must be good, and what is in force must not say more than it does."""
        before = self._text_now()
        if self._held is not None:
            raise ConfigError(f"{self.path} was edited, and that edit still waits for a yes or no. I changed nothing.")
        if before is not None:
            try:
                self._check(before)
            except ConfigError as error:
                raise ConfigError(f"I changed nothing, because the file has a mistake: {error.sentence}") from error
            if _has_content(self._version.text) and not _has_content(before):
                raise ConfigError(f"{self.path} was just emptied by somebody. I changed nothing.")
        elif self._version.text is not None:
            raise ConfigError(f"{self.path} has gone away; put it back first. I changed nothing.")
        return before

    def _text_now(self) -> str | None:
        try:
            return read(self.path)
        except FileNotFoundError:
            return None

    def check_text(self, text: str) -> tuple[T, tuple[str, ...]]:
        """Whether a text would be taken as this file, without any effect. Raises ConfigError."""
        return self._check(text)

    def diffs_to(self, text: str) -> tuple[Diff, ...]:
        """What would change if this text were the file."""
        return self._diffs(self._version.value, self._check(text)[0])

    def _read(self) -> Version[T]:
        text = read(self.path)
        value, warnings = self._check(text)
        return Version(value, text, self._time(), warnings)

    def _check(self, text: str) -> tuple[T, tuple[str, ...]]:
        return self._kind.check(parse(text, str(self.path)))

    def _accept(self, fresh: Version[T], mended: bool) -> Outcome | None:
        held = self._hold(fresh)
        if held is not None:
            return held
        self._held = self._asked = None
        changed = self._swap(fresh)
        return changed if changed.diffs or changed.warnings or mended else None

    def _hold(self, fresh: Version[T]) -> Held | None:
        """Lets a dangerous edit wait for a yes; None when it may count."""
        reason, diffs = self._danger(fresh), self._diffs(self._version.value, fresh.value)
        if not (reason and diffs):
            return None
        if self._held is None or self._held[1].text != fresh.text:
            self._holds += 1
        self._held, self._asked = (self._holds, fresh), fresh.text
        return Held(self.path, reason, diffs, self._holds)

    def _danger(self, fresh: Version[T]) -> str:
        """Why it may not count without a yes; empty when it may."""
        if _has_content(self._version.text) and not _has_content(fresh.text):
            return "it would empty a file that was not empty"
        return self._kind.danger(self._version.value, fresh.value)

    def _swap(self, fresh: Version[T]) -> Changed:
        old = self._version
        with self._lock.writing():
            self._version = fresh
            for callback in self.callbacks:
                callback(old.value, fresh.value)
        unkept = self._keep(fresh)
        return Changed(self.path, self._diffs(old.value, fresh.value), (*fresh.warnings, *unkept))

    def _refused(self, error: ConfigError, force: bool) -> Outcome | None:
        same = self.error is not None and self.error.sentence == error.sentence
        self.error = error
        self._held = self._asked = None  # what was held is no longer what the file says
        return None if same and not force else Refused(self.path, error.sentence, self._version.since)

    def _diffs(self, old: T, new: T) -> tuple[Diff, ...]:
        before, after = self._kind.shown(old), self._kind.shown(new)
        keys = dict.fromkeys((*before, *after))
        return tuple(Diff(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))

    def _keep(self, version: Version[T]) -> tuple[str, ...]:
        """What to say about it: why a version could not be kept, once for each reason."""
        said, self._unkept = self._unkept, "" if version.text is None else self.kept.add(version.text, version.since)
        if not self._unkept or self._unkept == said:
            return ()
        return (f"this version could not be kept, so there is no way back to it: {self._unkept}",)

    def _last_good(self) -> Version[T] | None:
        """The version that was in force last, or the newest before it that is still good."""
        for copy in self.kept.copies():
            try:
                text = copy.text()
                value, warnings = self._check(text)
            except (OSError, UnicodeDecodeError, ConfigError):
                continue
            return Version(value, text, copy.since, warnings)
        return None


def fingerprint(path: Path) -> Fingerprint | None:
    """Changes when the file does, also behind a symbolic link that is swapped. None while the file is absent."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)


def replace_file(path: Path, text: str, *, mode: int | None = None) -> None:
    """Writes a file so that a reader sees the old one or the new one, never half of it. Raises ConfigError.

    It keeps owner and mode of the old one, unless a mode is given.
    """
    target = Path(os.path.realpath(path))  # resolve() raises at links that go round
    fresh = target.with_name(f".{target.name}.new")
    try:
        old = target.stat() if target.exists() else None
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123
            out.write(text.encode())
            out.flush()
            if old is not None:
                _as_before(out.fileno(), path, old, mode)
            os.fsync(out.fileno())
        fresh.replace(target)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"{path} could not be written: {reason}. Nothing was changed.") from error


def _as_before(handle: int, path: Path, old: os.stat_result, mode: int | None) -> None:
    """Gives the file that takes another's place its owner, group and mode, as far as this user may."""
    try:
        os.fchown(handle, old.st_uid, old.st_gid)
    except PermissionError:
        with contextlib.suppress(PermissionError):
            os.fchown(handle, -1, old.st_gid)
        log.warning("%s belonged to user %d and belongs to user %d now", path, old.st_uid, os.geteuid())
    os.fchmod(handle, old.st_mode & 0o777 if mode is None else mode)


def _with_mark(path: Path, text: str) -> str:
    """With the byte order mark in front that some editors write, when the file has one: a reader never sees it."""
    try:
        with path.open("rb") as file:
            return ("\ufeff" if file.read(3) == codecs.BOM_UTF8 else "") + text
    except OSError:
        return text


def _has_content(text: str | None) -> bool:
    """Whether a file says anything: an object without keys says as little as no file."""
    return text is not None and bool(parse(text, "").data)
