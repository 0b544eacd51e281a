"""`run`: starts a task from a template, after a question that names exactly what would be started."""

from __future__ import annotations

from chatrixcd_threads.commands import launching, wishes
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, command
from chatrixcd_threads.commands.targets import find_template
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.policy.access import Right


@command(
    "run",
    "starts a task from a template (I ask first)",
    example="run 1 5",
    right=Right.RUN,
    deed="start tasks",
    launches=True,
    args=(
        Arg("project", "number or name; may be left out when the template's name says enough"),
        Arg("template", "number, name or words of it; PROJECT/TEMPLATE is understood as well", rest=True),
    ),
    options=wishes.OPTIONS,
    pairs=True,
    raw=True,
)
def run(call: Call) -> Answer:
    """Reads the single template (the list does not tell everything) and asks with what it read."""
    if launching.is_known(call):
        return launching.carry_out(call, launching.known_payload(call))
    named, tags = _positional_tags(call.values.get("template"))
    if call.options.get("debug") == ("",) and any(each.isdecimal() for each in tags):
        raise UsageError(
            f"I did nothing: is “{tags[0]}” the level of --debug, or a tag? Say --debug={tags[0]} or --tags {tags[0]}."
        )
    project, template = find_template(call, call.values.get("project"), named)
    return launching.ask(call, project, template, wishes.wanted(call, template, tags=tags))


run.said(launching.answered)
run.confirmed(launching.carry_out)


def _positional_tags(typed: str | None) -> tuple[str | None, tuple[str, ...]]:
    """ChatrixCD's third word: `run 1 5 web,db`. Only after a template's number, since names may hold blanks."""
    number, _, rest = (typed or "").partition(" ")
    if number.isdecimal() and rest and " " not in rest.strip():
        return number, tuple(part.strip() for part in rest.split(",") if part.strip())
    return typed, ()
