"""`plan`: a verified dry run; a yes to its result runs exactly the same for real."""

from __future__ import annotations

import msgspec

from chatrixcd_threads.commands import launching, wishes
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, Opt, command
from chatrixcd_threads.commands.targets import find_template
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.models import Template
from chatrixcd_threads.semaphore.wanted import family


def _options() -> tuple[Opt, ...]:
    return tuple(each for each in wishes.OPTIONS if each.name not in ("dry-run", "destroy", "auto-approve"))


@command(
    "plan",
    "shows what a run would change, and then runs exactly that if you say so",
    example="plan 1 6",
    right=Right.RUN,
    deed="start tasks",
    launches=True,
    args=(
        Arg("project", "number or name; may be left out when the template's name says enough"),
        Arg("template", "number, name or words of it; PROJECT/TEMPLATE is understood as well", rest=True),
    ),
    options=_options(),
    pairs=True,
    raw=True,
)
def plan(call: Call) -> Answer:
    """A dry run like any launch: it is asked about, and its output is held against it."""
    if launching.is_known(call):
        return launching.carry_out(call, launching.known_payload(call))
    project, template = find_template(call, call.values.get("project"), call.values.get("template"))
    refuse_without_dry_run(template)
    wanted = msgspec.structs.replace(wishes.wanted(call, template), dry_run=True)
    return launching.ask(call, project, template, wanted, verb="plan")


plan.said(launching.answered)
# The question before the dry run, or the one at its end, which holds the real launch.
plan.confirmed(launching.carry_out)


def refuse_without_dry_run(template: Template) -> None:
    """Only ansible and terraform can tell what they would do."""
    if family(template.app) == "script":
        raise UserError(f"I did not start {template.name}: {template.app} has no dry run; it would run for real.")
