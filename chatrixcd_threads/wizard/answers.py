"""The wizard without questions: all answers from one file, every problem told with one sentence."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chatrixcd_threads.errors import ConfigError, UserError
from chatrixcd_threads.settings.document import BadFileError, name_of_type, parse, read
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.engine import Attempt, Walk
from chatrixcd_threads.wizard.steps import BY_KEY, STEPS, Found, Step

LATER: Final = {"claim": "later"}  # what an answers file means when it does not say so
_SOURCES: Final = ("env", "file")
_MOST_BYTES: Final = 65_536


def load(source: str, text: str | None = None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The answers by step, read from a file or, given its text, from standard input. Raises ConfigError with all that is wrong."""
    if text is None:
        try:
            text = read(Path(source))
        except FileNotFoundError as error:
            raise ConfigError(f"{source}: there is no such file.") from error
    document = parse(text, source)
    answers, problems = dict(LATER), []
    for key, value in document.data.items():
        if key.startswith("_") or key == "$schema" or value is None:
            continue
        place = f"{source} line {document.line_of((key,)) or 1}"
        if key not in BY_KEY:
            near = difflib.get_close_matches(key[:100].lower(), BY_KEY, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{place}: unknown key {key[:80]!r}{hint}")
            continue
        try:
            answers[key] = _value(key, value, environment)
        except UserError as error:
            problems.append(f"{place}: {error.sentence}")
    if problems:
        raise BadFileError(source, tuple(problems))
    return answers


def _value(key: str, value: Any, environment: Mapping[str, str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise UserError(f'{key}: expected a text, {{"env": "NAME"}} or {{"file": "PATH"}}, got {name_of_type(value)}')
    source, name = next(iter(value.items()), ("", ""))
    if len(value) != 1 or source not in _SOURCES or not isinstance(name, str):
        raise UserError(f'{key}: expected {{"env": "NAME"}} or {{"file": "PATH"}}')
    if source == "env":
        if not environment.get(name):
            raise UserError(f"{key}: the environment variable {name} is not set or empty")
        return environment[name]
    try:
        with Path(name).open("rb") as file:
            return file.read(_MOST_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no UTF-8 text"
        raise UserError(f"{key}: {name} cannot be read: {reason}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the draft, and a sentence for each problem."""

    draft: Draft
    problems: tuple[str, ...]


def answer_all(draft: Draft, answers: Mapping[str, str], doors: Doors, say: Callable[[str], None]) -> Outcome:
    """Tries every answer. After a problem what needs that step is left out, and nothing is made or written any more."""
    if draft.exists and answers.get("write") != "yes":
        sentence = 'there is a settings file already: add "write": "yes" to replace it; the old one is kept'
        return Outcome(draft, (f"write: {sentence}.",))
    bad: dict[str, str] = {}
    for step in STEPS:
        if not step.when(draft) or _hopeless(step, bad):
            continue
        try:
            found = _tried(step, draft, answers, doors, say)
        except UserError as error:
            bad[step.key] = f"{step.key}: {error.sentence}"
            continue
        draft = found.draft
        for line in (*found.lines, *(f"Note: {warning}" for warning in found.warnings)):
            say(line)
    return Outcome(draft, tuple(bad.values()))


def _hopeless(step: Step, bad: dict[str, str]) -> bool:
    return bool(bad) and ("*" in step.needs or _needs(step) & bad.keys() != set())


def _needs(step: Step) -> set[str]:
    """What must have worked before, also for what it needs itself."""
    direct = {key for key in step.needs if key != "*"}
    return direct.union(*(_needs(BY_KEY[key]) for key in direct))


def _tried(step: Step, draft: Draft, answers: Mapping[str, str], doors: Doors, say: Callable[[str], None]) -> Found:
    walk = Walk(draft, (step,))
    attempt: Attempt = walk.attempt(answers.get(step.key, ""))
    return attempt.run(doors, say)
