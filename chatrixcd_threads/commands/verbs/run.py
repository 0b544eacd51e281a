"""`run`: starts a task from a template, after a question that names exactly what would be started."""

from __future__ import annotations

from collections.abc import Mapping

from chatrixcd_threads.commands import launching, wishes
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, command
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.find import resolve_project, resolve_template


@command(
    "run",
    "starts a task from a template (I ask first)",
    example="run 1 5",
    right=Right.RUN,
    deed="start tasks",
    launches=True,
    args=(
        Arg("project", "number or name; may be left out when there is only one"),
        Arg("template", "number or name; may be left out when there is only one", rest=True),
    ),
    options=wishes.OPTIONS,
    pairs=True,
    raw=True,
)
def run(call: Call) -> Answer:
    """Reads the single template (the list does not tell everything) and asks with what it read."""
    if launching.is_known(call):
        return launching.carry_out(call, launching.known_payload(call))
    semaphore = call.tools.semaphore
    project = resolve_project(semaphore, call.values.get("project"))
    named, tags = _positional_tags(call.values.get("template"))
    template = semaphore.template(project.id, resolve_template(semaphore, project, named).id)
    return launching.ask(call, project, template, wishes.wanted(call, template, tags=tags))


@run.said
def answer(call: Call, payload: Mapping[str, object], words: str) -> Answer:
    """An answer to the form."""
    return launching.answered(call, payload, words)


@run.confirmed
def start(call: Call, payload: Mapping[str, object]) -> Answer:
    """After the yes."""
    return launching.carry_out(call, payload)


def _positional_tags(typed: str | None) -> tuple[str | None, tuple[str, ...]]:
    """ChatrixCD's third word: `run 1 5 web,db`. Only after a template's number, since names may hold blanks."""
    number, _, rest = (typed or "").partition(" ")
    if number.isdecimal() and rest and " " not in rest.strip():
        return number, tuple(part.strip() for part in rest.split(",") if part.strip())
    return typed, ()
