"""The bot's side of the settings view: the text in force, what is on disk, what is wrong with it, and the messages.

Reading and checking happen in jobs; the doors give what is known and have it read again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from chatrixcd_threads.commands.call import File
from chatrixcd_threads.commands.notices import diff_lines
from chatrixcd_threads.console.board import FileProblem, FileView, Preview
from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import tones
from chatrixcd_threads.settings.document import SHOWN_PROBLEMS, BadFileError, alike, read
from chatrixcd_threads.settings.hot import fingerprint
from chatrixcd_threads.settings.masked import caret_in, masked_lines, unified
from chatrixcd_threads.settings.texts import PLACEHOLDERS, USED, Messages, render
from chatrixcd_threads.text.markup import from_markdown
from chatrixcd_threads.threads.lanes import Job, Lanes

LOOK_SECONDS: Final = 0.5
SAMPLES: Final = {"name": "@ann:example.org", "user_name": "@ann:example.org", "task_name": "Deploy the web shop"}
TONES: Final = (tones.PLAYFUL, tones.FRIENDLY, tones.TERSE)
EXAMPLES: Final = Path(__file__).parents[2] / "config"
_EMPTY: Final = "{\n}\n"
_PLACE: Final = re.compile(r" line (?P<line>\d+)(?: column (?P<column>\d+))?: (?P<reason>[\s\S]*)")
_KEY: Final = re.compile(r"(?:unknown \w+ )?[\"']?(?P<key>[\w.-]+)")


class Filing:
    """Owner: the ui thread. Jobs in lanes only replace single entries of the tables and the reference `_previews`."""

    def __init__(
        self,
        files: Callable[[], Mapping[str, File]],
        clean: Callable[[str], str],
        lanes: Lanes,
        poke: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._files, self._clean, self._lanes, self._poke, self._now = files, clean, lanes, poke, now
        self._views: dict[str, tuple[object, FileView]] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, float] = {}
        self._wanted: dict[str, int] = {}
        self._previews: tuple[object, tuple[Preview, ...]] = (None, ())
        self._previewed: object = None

    def view(self, name: str) -> FileView:
        """The file as last looked at; asking has it looked at again, at most twice a second."""
        name, now = _short(name), self._now()
        if not 0 <= now - self._asked.get(name, 0.0) < LOOK_SECONDS:
            self._asked[name] = now
            self._submit(f"look at {name}", lambda: self._look(name))
        known = self._views.get(name)
        return known[1] if known else FileView(name, str(self._path(name)), "reading", 0.0)

    def look_again(self, name: str) -> None:
        """Has the file looked at now; the console is poked also when nothing is new."""
        name = _short(name)
        wanted = self._wanted[name] = self._wanted.get(name, 0) + 1

        def look() -> None:
            self._look(name, wanted)
            self._poke()

        self._submit(f"look at {name}", look)

    def text(self, name: str) -> tuple[str, ...]:
        """The lines of the version in force, masked, as of the last look. Empty while there is no file."""
        return self._texts.get(_short(name), ())

    def make(self, name: str) -> str:
        """Writes a file that is not there: the text in force, or else the example. Returns why that could not be done."""
        file = self._files().get(_short(name))
        if file is None:
            return f"There is no settings file {name}."
        text = file.version.text if file.version.text is not None else example(file.path)
        try:
            handle = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as out:  # noqa: PTH123 - the mode counts
                out.write(text)
        except OSError as error:
            return f"{file.path} could not be made: {error.strerror or error}."
        return ""

    def previews(self) -> tuple[Preview, ...]:
        """All categories in all tones; made anew when other messages are in force."""
        file = self._files().get("messages")
        if file is None:
            return ()
        version = file.version
        if self._previewed is not version:
            self._previewed = version
            self._submit("preview of the messages", lambda: self._preview(version, version.value))
        return self._previews[1]

    def _submit(self, name: str, call: Callable[[], None]) -> None:
        self._lanes.submit(Job(("console", "files"), name, call))

    def _path(self, name: str) -> Path:
        file = self._files().get(name)
        return file.path.absolute() if file is not None else Path(name)

    def _look(self, name: str, wanted: int = 0) -> None:
        file = self._files().get(name)
        if file is None:
            return
        known = self._views.get(name)
        version, held = file.version, file.held
        seen = (fingerprint(file.path), id(version), version.since, held, str(file.error))
        fresh = known[1] if known is not None and known[0] == seen else self._looked_at(name, file)
        fresh = replace(fresh, looks=max(wanted, known[1].looks if known else 0))
        self._views[name] = (seen, fresh)
        if known is None or fresh != known[1]:
            self._poke()

    def _looked_at(self, name: str, file: File) -> FileView:
        version, waiting = file.version, file.waiting
        self._texts[name] = () if version.text is None else tuple(masked_lines(version.text, self._clean))
        view = FileView(name, str(file.path.absolute()), "absent", version.since, kept=len(file.kept.copies()))
        if waiting is not None:
            changes = tuple(map(self._clean, diff_lines(waiting.diffs)))
            view = replace(view, held=waiting.number, reason=waiting.reason, changes=changes)
        try:
            text = read(file.path)
        except FileNotFoundError:
            return view
        except ConfigError as error:
            return replace(view, state="wrong", problems=self._problems(error, ""))
        diff = tuple(unified(version.text, text, file.path.name, self._clean))
        try:
            file.check_text(text)
        except ConfigError as error:
            return replace(view, state="wrong", problems=self._problems(error, text), diff=diff)
        return replace(view, state="same" if text == version.text else "edited", diff=diff)

    def _problems(self, error: ConfigError, text: str) -> tuple[FileProblem, ...]:
        sentences = error.problems if isinstance(error, BadFileError) else (error.sentence,)
        path = error.path if isinstance(error, BadFileError) else ""
        lines = alike(text).split("\n") if text else []
        masked = masked_lines(text, self._clean) if text else []
        return tuple(
            self._problem(sentence.removeprefix(path), lines, masked) for sentence in sentences[:SHOWN_PROBLEMS]
        )

    def _problem(self, sentence: str, lines: list[str], masked: list[str]) -> FileProblem:
        place = _PLACE.fullmatch(sentence)
        if place is None:
            return FileProblem(0, 0, self._clean(sentence.removeprefix(": ")))
        line, column, reason = int(place["line"]), int(place["column"] or 0), place["reason"]
        if not 0 < line <= min(len(lines), len(masked)):
            return FileProblem(line, column, self._clean(reason))
        text, shown = lines[line - 1], masked[line - 1]
        return FileProblem(
            line, column, self._clean(reason), shown, caret_in(text, shown, column or _column(text, reason))
        )

    def _preview(self, version: object, messages: Messages) -> None:
        made = tuple(
            Preview(category, USED[category], tone, tuple(map(_said, tones.choose(messages, tone, category))))
            for category in PLACEHOLDERS
            for tone in TONES
        )
        self._previews = (version, made)
        self._poke()


def example(path: Path) -> str:
    """What a new file of this name may begin with."""
    for place in (path.parent, EXAMPLES):
        try:
            return read(place / f"{path.name}.example")
        except (FileNotFoundError, ConfigError):
            continue
    return _EMPTY


def _short(name: str) -> str:
    return name.partition(".")[0]


def _said(text: str) -> str:
    return from_markdown(render(text, SAMPLES)).plain


def _column(line: str, reason: str) -> int:
    """Where a complaint without a column points to: the last part of the key it names, or the beginning of the line."""
    named = _KEY.match(reason)
    at = line.find(named["key"].rpartition(".")[2]) if named else -1
    return (at if at >= 0 else len(line) - len(line.lstrip())) + 1
