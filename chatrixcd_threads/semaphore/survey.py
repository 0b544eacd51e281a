"""Survey variables: the server checks nothing and applies no defaults (API.md 7), so both are done here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from chatrixcd_threads.semaphore.models import SurveyVar, Template
from chatrixcd_threads.semaphore.wanted import family

_INT: Final = re.compile(r"-?[0-9]{1,18}")
CHOICES: Final = frozenset({"enum", "select"})
LONGEST_SECRET: Final = 4_000  # characters


@dataclass(frozen=True, slots=True)
class Filled:
    """The variables to send, those that are still to be asked for, and what is wrong with given ones.

    `secrets` are the secrets that go with them, `typed` those that were given where everybody can read them.
    """

    values: Mapping[str, str]
    missing: tuple[SurveyVar, ...]
    problems: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


def fill(
    template: Template, given: Mapping[str, str], secrets: Collection[str] = (), held: Collection[str] = ()
) -> Filled:
    """Given values checked, defaults put in, and what is required and not there. Names outside the survey pass as they are.

    `secrets` are the names of those that are wanted besides the required ones, `held` of those whose values are known. Secrets are
    asked for last.
    """
    values = dict(given)
    missing: list[SurveyVar] = []
    problems: list[str] = []
    named: list[SurveyVar] = []
    for each in template.survey_vars:
        if each.type == "secret":
            values.pop(each.name, None)
            named += [each] if each.required or each.name in given or each.name in secrets else []
            continue
        if each.name in given:
            value, problem = read(each, given[each.name])
            problems += [problem] if problem else []
            values[each.name] = value
        elif default := default_of(each):
            values[each.name] = default
        elif each.required:
            missing.append(each)
    problems += [problem for each in named for problem in _secret_trouble(each, template, given)]
    missing += [each for each in named if each.name not in held]
    typed = tuple(each.name for each in named if given.get(each.name))
    return Filled(values, tuple(missing), tuple(problems), tuple(each.name for each in named), typed)


def read(variable: SurveyVar, typed: str) -> tuple[str, str]:
    """The value to send for what was typed, and what is wrong with it (empty: nothing). Choices go by name, value or number."""
    if variable.type in CHOICES and typed in [each.value for each in variable.values]:
        return typed, ""  # as it stands, blanks and all
    if variable.required and not typed.strip():
        return typed, f"{variable.name}: a value is needed."
    if variable.type == "int" and typed and not _INT.fullmatch(typed.strip()):
        return typed, f"{variable.name}: “{typed}” is no whole number."
    if variable.type in CHOICES and typed:
        return _chosen(variable, typed)
    return typed.strip() if variable.type == "int" else typed, ""


def read_secret(variable: SurveyVar, typed: str) -> str:
    """What is wrong with a secret (empty: nothing), without a word of it."""
    if not typed:
        return f"{variable.name}: I need one message of text, of at most {LONGEST_SECRET} characters."
    return "" if len(typed) <= LONGEST_SECRET else f"{variable.name}: longer than {LONGEST_SECRET} characters."


def default_of(variable: SurveyVar) -> str:
    """The default as text, empty for none. One that the choices do not know is none; it is no place and no name among them."""
    value = variable.default_value
    text = value if isinstance(value, str) else ",".join(value)
    if variable.type in CHOICES:
        parts = text.split(",") if variable.type == "select" else [text]
        known = [each.value for each in variable.values]
        return text if text in known or all(part.strip() in known for part in parts) else ""
    return text if not text or not read(variable, text)[1] else ""


def numbered(variable: SurveyVar) -> bool:
    """Whether a choice can be said by its place: not where numbers are chosen from, for “1” would be two of them."""
    return not any(each.value.isdecimal() or each.name.isdecimal() for each in variable.values)


def _chosen(variable: SurveyVar, typed: str) -> tuple[str, str]:
    wanted = typed.strip()
    parts = [part.strip() for part in wanted.split(",")] if variable.type == "select" else [wanted]
    found = [_choice(variable, part) for part in parts]
    if None in found:
        known = ", ".join(each.value for each in variable.values)
        return typed, f"{variable.name}: “{parts[found.index(None)]}” is not among {known}."
    return ",".join(each or "" for each in found), ""


def _choice(variable: SurveyVar, typed: str) -> str | None:
    values = [each.value for each in variable.values]
    if typed in values:
        return typed
    named = [each.value for each in variable.values if each.name.casefold() == typed.casefold()]
    if len(named) == 1:
        return named[0]
    number = int(typed) if typed.isdecimal() and len(typed) < 4 and numbered(variable) else 0
    return values[number - 1] if 1 <= number <= len(values) else None


def _secret_trouble(variable: SurveyVar, template: Template, given: Mapping[str, str]) -> list[str]:
    found = []
    if given.get(variable.name):
        how = "" if variable.required else f", when you type {variable.name}= with nothing behind it"
        found.append(f"{variable.name} is a secret. Never type it in a room: I ask you for it in a direct chat{how}.")
    if family(template.app) != "ansible":
        found.append(
            f"{variable.name} is a secret, and Semaphore gives secrets to ansible only: this job would run without it."
        )
    return found
