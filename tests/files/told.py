"""What the tests of the watch share: a hot file that says when it was looked at and when a value counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chatrixcd_threads.settings.document import BadFileError, Document
from chatrixcd_threads.settings.hot import Fingerprint, HotFile, Kind, Outcome, fingerprint

LIMIT = 30.0


def values_of() -> Kind[dict[str, str]]:
    """A kind of file whose values are all texts."""

    def check(document: Document) -> tuple[dict[str, str], tuple[str, ...]]:
        for key, value in document.data.items():
            if not isinstance(value, str):
                raise BadFileError(document.path, (f"{document.path} line {document.line_of((key,))}: {key}",))
        return document.data, ()

    return Kind(check=check, defaults={}, shown=lambda values: values, danger=lambda old, new: "")


def text_of(number: int) -> str:
    """A file of some size whose value `n` is this number."""
    return json.dumps({"filling": "x" * 400, "n": str(number), "more": "y" * 400}, indent=1)


class Looks(HotFile[dict[str, str]]):
    """A hot file with a memory. The tests wait for what is in it, and never longer than LIMIT."""

    def __init__(self, path: Path, kind: Kind[dict[str, str]]) -> None:
        super().__init__(path, kind)
        self._turn = threading.Condition()
        self._counted: dict[str, float] = {}
        self._last: tuple[float, Fingerprint | None] = (0.0, None)
        self.looks = 0
        self.callbacks.append(self._swapped)
        self.load()

    def _swapped(self, _old: dict[str, str], new: dict[str, str]) -> None:
        with self._turn:
            self._counted[new["n"]] = time.perf_counter()
            self._turn.notify_all()

    def check_for_changes(self, *, force: bool = False) -> Outcome | None:
        begun = (time.perf_counter(), fingerprint(self.path))
        try:
            return super().check_for_changes(force=force)
        finally:
            with self._turn:
                self._last = begun
                self.looks += 1
                self._turn.notify_all()

    def _until(self, true: Callable[[], bool], limit: float = LIMIT) -> bool:
        with self._turn:
            return self._turn.wait_for(true, limit)

    def active(self, number: str, limit: float = LIMIT) -> float | None:
        """When this number counted (time.perf_counter)."""
        return self._counted[number] if self._until(lambda: number in self._counted, limit) else None

    def looked_since(self, moment: float) -> bool:
        """Whether a look began after this moment (time.perf_counter)."""
        return self._until(lambda: self._last[0] > moment)

    def looked_at(self, seen: Fingerprint | None) -> bool:
        """Whether a look found the file like this."""
        return self._until(lambda: self._last[1] == seen)


class Listener:
    """Takes what a watch tells; the tests wait for it."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self.told: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        with self._turn:
            self.told.append(outcome)
            self._turn.notify_all()

    def heard(self, count: int) -> list[Outcome]:
        """So many outcomes, or the test fails."""
        with self._turn:
            assert self._turn.wait_for(lambda: len(self.told) >= count, LIMIT), self.told
            return list(self.told)
