"""Survey variables as a form in the thread of the command: one question at a time, only for what is missing.

The form itself is a question of the journal whose payload grows with each answer, so it survives a restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Ask, Wants
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.semaphore import survey
from chatrixcd_threads.semaphore.models import SurveyVar, Template
from chatrixcd_threads.semaphore.wanted import Wanted
from chatrixcd_threads.text.markup import Text, bold, code, lines, text

SAME: Final = "same"  # all that is missing, as last time
LAST: Final = "last"  # this one, as last time


def ask(
    call: Call, template: Template, base: Mapping[str, object], missing: Sequence[SurveyVar], problem: str = ""
) -> Ask:
    """Asks for the first of the missing variables."""
    variable = missing[0]
    before = last_values(call, template)
    title = variable.title or variable.name
    left = f"{len(missing)} answers" if len(missing) > 1 else "one more answer"
    return Ask(
        lines(
            text(f"⚠ {problem}") if problem else "",
            bold(template.name) + f" needs {left}.",
            bold(title) + (f": {variable.description}" if variable.description else "") + f" ({_kind(variable)})",
            *_choices(variable),
            _offers(missing, before),
        ),
        {**base, "variable": variable.name},
        Wants.VALUE,
    )


def take(call: Call, template: Template, payload: Mapping[str, object], words: str) -> tuple[Wanted, str]:
    """The answer put in, and what is wrong with it (empty: nothing). Raises UserError for a variable that is gone."""
    wanted = msgspec.convert(payload["wanted"], Wanted)
    name = str(payload["variable"])
    variable = next((each for each in template.survey_vars if each.name == name), None)
    if variable is None:
        raise UserError(
            f"{template.name} does not ask for {name} any more: it was changed in Semaphore. Please ask again."
        )
    before = last_values(call, template)
    typed = words.strip()
    if typed.casefold() == SAME and before:
        same = {each.name: before[each.name] for each in template.survey_vars if each.name in before}
        return msgspec.structs.replace(wanted, variables={**same, **wanted.variables}), ""
    if typed.casefold() == LAST and name in before:
        typed = before[name]
    value, problem = survey.read(variable, typed)
    if problem:
        return wanted, problem
    return msgspec.structs.replace(wanted, variables={**wanted.variables, name: value}), ""


def last_values(call: Call, template: Template) -> dict[str, str]:
    """What was given for this template the last time, as far as it is still a good answer."""
    launch = launches.last_of(call.tools.journal.read(), template.project_id, template.id)
    payload = json.loads(launch.payload) if launch is not None and launch.payload else {}
    values = msgspec.convert(payload.get("wanted", {}), Wanted).variables
    known = {each.name: each for each in template.survey_vars if each.type != "secret"}
    return {name: value for name, value in values.items() if name in known and not survey.read(known[name], value)[1]}


def _kind(variable: SurveyVar) -> str:
    kinds = {"": "text", "int": "a whole number", "enum": "one of these", "select": "one or more of these, with commas"}
    return kinds.get(variable.type, variable.type)


def _choices(variable: SurveyVar) -> list[Text]:
    return [
        text(f"{number}. ") + code(each.value) + (f" {each.name}" if each.name and each.name != each.value else "")
        for number, each in enumerate(variable.values, 1)
    ]


def _offers(missing: Sequence[SurveyVar], before: Mapping[str, str]) -> Text:
    name = missing[0].name
    offered = Text()
    if name in before:
        offered += code(LAST) + f" is {before[name]}. "
    if len(missing) > 1 and all(each.name in before for each in missing):
        every = ", ".join(f"{each.name}={before[each.name]}" for each in missing)
        offered += code(SAME) + f" takes all as last time: {every}."
    return offered
