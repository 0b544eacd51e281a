"""Secrets that people told the bot: in memory only, for a while, and masked in everything that leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

WORDS_SECONDS: Final = 900.0  # for what was typed and waits for a worker
MASKED_SECONDS: Final = 86_400.0  # what a job prints may be read long after its start
SHORTEST_LINE: Final = 8  # of a secret of several lines each longer one is masked by itself


class Vault:
    """Any thread; one lock, held for a look into dictionaries. A restart forgets it all, on purpose.

    Words belong to the message in which they were typed, values to the token of a launch. What is forgotten stays masked for a day.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._words: dict[str, tuple[str, float]] = {}
        self._values: dict[str, dict[str, str]] = {}
        self._until: dict[str, float] = {}
        self._masks: dict[str, float] = {}
        self._published: tuple[str, ...] = ()  # replaced whole
        self._next = float("inf")  # when something is to be forgotten

    def hear(self, event_id: str, words: str) -> None:
        """Keeps what was typed until it is handled."""
        with self._lock:
            self._words[event_id] = (words, self._clock() + WORDS_SECONDS)
            self._mask(words)

    def heard(self, event_id: str) -> str | None:
        """What was typed, once; None when it is not known any more."""
        with self._lock:
            self._tidy()
            kept = self._words.pop(event_id, None)
            return None if kept is None else kept[0]

    def keep(self, token: str, name: str, value: str, seconds: float) -> None:
        """Keeps a value for a launch; all the values of that launch live so long from now on."""
        with self._lock:
            self._values.setdefault(token, {})[name] = value
            self._until[token] = self._clock() + seconds
            self._mask(value)

    def of(self, token: str) -> dict[str, str]:
        """The values that are kept for a launch, by name."""
        with self._lock:
            self._tidy()
            return dict(self._values.get(token, {}))

    def forget(self, token: str) -> None:
        """The values of this launch are not needed any more."""
        with self._lock:
            self._values.pop(token, None)
            self._until.pop(token, None)

    def mask(self, value: str) -> None:
        """Masks something that is not kept: a secret that was typed where it should not have been."""
        with self._lock:
            self._mask(value)

    def unmask(self, value: str) -> None:
        """It was no secret after all."""
        with self._lock:
            for form in _forms(value):
                self._masks.pop(form, None)
            self._publish()

    def masks(self) -> tuple[str, ...]:
        """All that must not be seen, the longest first."""
        if self._clock() >= self._next:
            with self._lock:
                self._tidy()
        return self._published

    def _mask(self, value: str) -> None:
        until = self._clock() + MASKED_SECONDS
        self._masks |= dict.fromkeys(_forms(value), until)
        self._publish()

    def _publish(self) -> None:
        self._published = tuple(sorted(self._masks, key=len, reverse=True))
        ends = [*self._masks.values(), *self._until.values(), *(until for _, until in self._words.values())]
        self._next = min(ends, default=float("inf"))

    def _tidy(self) -> None:
        now = self._clock()
        self._words = {event: kept for event, kept in self._words.items() if kept[1] > now}
        for token in [token for token, until in self._until.items() if until <= now]:
            del self._values[token], self._until[token]
        self._masks = {value: until for value, until in self._masks.items() if until > now}
        self._publish()


def _forms(value: str) -> Iterable[str]:
    """As it may be seen: itself, inside of JSON, and line by line."""
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines if len(line) >= SHORTEST_LINE)
    yield from {value, value.strip(), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]} - {""}
