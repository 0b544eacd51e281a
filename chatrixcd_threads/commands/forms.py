"""Survey variables as a form in the thread of the command: one question at a time, only for what is missing.

The form itself is a question of the journal whose payload grows with each answer, so it survives a restart. Secrets come last, are
asked for in a direct chat, and go into the vault instead.
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
from chatrixcd_threads.policy.access import OPERATOR_ROOM
from chatrixcd_threads.semaphore import survey
from chatrixcd_threads.semaphore.models import SurveyVar, Template
from chatrixcd_threads.semaphore.wanted import Wanted
from chatrixcd_threads.text.markup import Text, bold, code, lines, text

SAME: Final = "same"  # all that is missing, as last time
LAST: Final = "last"  # this one, as last time
SLACK_SECONDS: Final = 120.0  # for what is done between the last answer and the launch


def ask(
    call: Call, template: Template, base: Mapping[str, object], missing: Sequence[SurveyVar], problem: str = ""
) -> Ask:
    """Asks for the first of the missing variables. Raises UserError when that is a secret and there is no direct chat."""
    variable = missing[0]
    if variable.type == "secret":
        return _ask_secret(call, template, base, missing, problem)
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
        {**base, "variable": variable.name, "secret": False},
        Wants.VALUE,
    )


def _ask_secret(
    call: Call, template: Template, base: Mapping[str, object], missing: Sequence[SurveyVar], problem: str
) -> Ask:
    variable = missing[0]
    secrets = "a secret" if len(missing) == 1 else f"{len(missing)} secrets"
    title = bold(variable.title or variable.name)
    described = f": {variable.description}" if variable.description else ""
    room = next((each.name for each in call.tools.rooms() if each.room_id == call.room_id), call.room_id)
    return Ask(
        lines(
            bold(template.name) + f" needs {secrets}, now: " + title + ".",
            "I ask you for it in our direct chat, never here. If you do not see that chat, accept my invitation to it.",
        ),
        {**base, "variable": variable.name, "secret": True, "told": sorted(call.tools.vault.of(str(base["token"])))},
        Wants.SECRET,
        direct=_direct_chat(call, template.name, variable.name),
        asked=lines(
            text(f"⚠ {problem}") if problem else "",
            text("🔑 ") + bold(template.name) + f" (template {template.id}) needs {secrets}, now: " + title + described,
            text("You asked for it with ") + code(f"{call.prefix} {base['verb']}") + f" in {room}.",
            "Say it here in a message of its own. I give it to Semaphore for this one launch, keep it in memory only, and "
            "delete your message.",
        ),
    )


def _direct_chat(call: Call, name: str, variable: str) -> str:
    refusal = f"I did not start {name}: it needs the secret {variable}"
    if call.room_id == OPERATOR_ROOM:
        raise UserError(
            f"{refusal}, and the console shows what is typed. Start it from a Matrix room: I ask for the secret in a direct chat."
        )
    outcome = call.tools.ask_rooms("direct", call.sender)
    if outcome.problem:
        raise UserError(f"{refusal}, and I could not open a direct chat with you to ask for it: {outcome.problem}.")
    return outcome.room_id


def take(call: Call, template: Template, payload: Mapping[str, object], words: str) -> tuple[Wanted, str]:
    """The answer put in, and what is wrong with it (empty: nothing). Raises UserError for a variable that is gone."""
    wanted = msgspec.convert(payload["wanted"], Wanted)
    name = str(payload["variable"])
    variable = next((each for each in template.survey_vars if each.name == name), None)
    secret = bool(payload.get("secret"))
    if variable is None or (variable.type == "secret") != secret:
        raise UserError(
            f"{template.name} does not ask for {name} any more: it was changed in Semaphore. Please ask again."
        )
    if secret:
        return wanted, _keep(call, variable, str(payload["token"]), words)
    before = last_values(call, template)
    typed = words.strip()
    if _means(variable, typed, SAME):
        # Only what is asked for: what was given then and has a default, or need not be given, is no part of the offer.
        missing = survey.fill(template, wanted.variables, wanted.secrets).missing
        if same := {each.name: before[each.name] for each in missing if each.name in before}:
            return msgspec.structs.replace(wanted, variables={**same, **wanted.variables}), ""
    if _means(variable, typed, LAST) and name in before:
        typed = before[name]
    value, problem = survey.read(variable, typed)
    if problem:
        return wanted, problem
    return msgspec.structs.replace(wanted, variables={**wanted.variables, name: value}), ""


def _means(variable: SurveyVar, typed: str, word: str) -> bool:
    """Whether it is this word of ours, and not a choice of the same name."""
    return typed.casefold() == word and not _is_choice(variable, word)


def _is_choice(variable: SurveyVar, word: str) -> bool:
    return word in [said.casefold() for each in variable.values for said in (each.name, each.value)]


def lost(call: Call, payload: Mapping[str, object]) -> str:
    """Why secrets are asked for again that were told before this question (empty: none is)."""
    told = msgspec.convert(payload.get("told", ()), tuple[str, ...])
    gone = set(told) - call.tools.vault.of(str(payload["token"])).keys()
    return "I was restarted meanwhile, and I forget secrets on purpose: I ask again." if gone else ""


def _keep(call: Call, variable: SurveyVar, token: str, words: str) -> str:
    problem = survey.read_secret(variable, words)
    if not problem:
        call.tools.vault.keep(token, variable.name, words, call.tools.settings.bot.question_seconds + SLACK_SECONDS)
    return problem


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
        text(f"{number}. " if survey.numbered(variable) else "• ")
        + code(each.value)
        + (f" {each.name}" if each.name and each.name != each.value else "")
        for number, each in enumerate(variable.values, 1)
    ]


def _offers(missing: Sequence[SurveyVar], before: Mapping[str, str]) -> Text:
    name = missing[0].name
    offered = Text()
    if name in before and not _is_choice(missing[0], LAST):
        offered += code(LAST) + f" is {before[name]}. "
    if len(missing) > 1 and all(each.name in before for each in missing) and not _is_choice(missing[0], SAME):
        every = ", ".join(f"{each.name}={before[each.name]}" for each in missing)
        offered += code(SAME) + f" takes all as last time: {every}."
    return offered
