"""`rollback`: deploys the last good build again, or a named one; what it will do is shown first."""

from __future__ import annotations

from chatrixcd_threads.commands import builds, launching
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, command
from chatrixcd_threads.commands.targets import find_template
from chatrixcd_threads.errors import UsageError, UserError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.wanted import Wanted


@command(
    "rollback",
    "deploys the last good build again (I show it first)",
    example="rollback 1 9 to 1.4.1",
    right=Right.RUN,
    deed="start tasks",
    launches=True,
    args=(
        Arg(
            "project",
            "number or name of the project; may be left out when the template's name says enough",
            required=True,
        ),
        Arg(
            "template",
            "number, name or words of the deploy template; then, if you like: to VERSION or TASK",
            rest=True,
        ),
    ),
)
def rollback(call: Call) -> Answer:
    """Without `to` the build of the last good run before the newest one."""
    if launching.is_known(call):
        return launching.carry_out(call, launching.known_payload(call))
    semaphore = call.tools.semaphore
    rest = f" {call.values.get('template', '')} "
    named, separator, target = rest.rpartition(" to ")
    named = (named if separator else rest).strip()
    if separator and not target.strip():
        raise UsageError(
            f"I did nothing: to which build? Name its version or its task, like {call.prefix} {rollback.example}; "
            "without “to” it is the build of the last good run."
        )
    project, template = find_template(call, call.values["project"], named or None)
    if template.type != "deploy":
        raise UserError(f"I did not start {template.name}: only deploy templates have builds to go back to.")
    history = builds.last_good(semaphore, template) if not separator else None
    if history is not None and history.good.build_task_id is not None:
        build_id = history.good.build_task_id
        why = (
            f"{template.name} has {builds.deployed(history.newest)} now (#{history.newest.id}, {history.newest.status}). "
            f"The last good run was #{history.good.id} with {builds.deployed(history.good)}: that one is deployed again."
        )
    else:
        build = builds.build_named(semaphore, template, target.strip())
        build_id, why = build.task_id, f"It deploys build {build.label} again."
    return launching.ask(call, project, template, Wanted(build=build_id), why=why, verb="rollback")


rollback.said(launching.answered)
rollback.confirmed(launching.carry_out)
