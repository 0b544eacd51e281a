"""The line at the bottom in which commands and searches are typed: history and completion of command names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import urwid

from chatrixcd_threads.console.cells import shown

_KEPT: Final = 200


class Bar:
    """Owner: the ui thread. One use: from the key that opens it to the one that closes it."""

    def __init__(
        self,
        caption: str,
        start: str,
        history: list[str],
        names: Callable[[], Iterable[str]],
        send: Callable[[str], None],
    ) -> None:
        self.edit = urwid.Edit(caption, start, wrap="clip")
        self.edit.set_edit_pos(len(start))
        self.found: list[str] = []
        self._history, self._names, self._send = history, names, send
        self._place = len(history)
        self._draft = start

    def press(self, key: str, columns: int) -> None:
        """A key that is not in the table is typed."""
        self.found = []
        if key == "backspace" and not self.edit.edit_text:
            return
        self.edit.keypress((columns,), key)

    def complete(self) -> None:
        """As far as the names agree; when there are several, they are shown."""
        typed = self.edit.edit_text[: self.edit.edit_pos]
        if " " in typed:
            return
        names = sorted({shown(name) for name in self._names() if name.startswith(typed)})
        if not names:
            return
        common = names[0] + " " if len(names) == 1 else _common(names)
        rest = self.edit.edit_text[self.edit.edit_pos :]
        self.edit.set_edit_text(common + rest.removeprefix(" ") if len(names) == 1 else common + rest)
        self.edit.set_edit_pos(len(common))
        self.found = names if len(names) > 1 else []

    def recall(self, step: int) -> None:
        """Goes through the history; what was being typed stands at its end."""
        if self._place == len(self._history):
            self._draft = self.edit.edit_text
        self._place = max(0, min(self._place + step, len(self._history)))
        text = self._history[self._place] if self._place < len(self._history) else self._draft
        self.edit.set_edit_text(text)
        self.edit.set_edit_pos(len(text))

    def done(self) -> None:
        """Enter: remembers the line and hands it over."""
        line = shown(self.edit.edit_text)
        if line.strip() and (not self._history or self._history[-1] != line):
            self._history.append(line)
            del self._history[:-_KEPT]
        self._send(line)


def _common(names: list[str]) -> str:
    """The beginning that all of the sorted names share."""
    first, last = names[0], names[-1]
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]
