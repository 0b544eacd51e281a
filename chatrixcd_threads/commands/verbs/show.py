"""`show`: what a template is, what it asks for, what may be changed for one run, and how it went lately."""

from __future__ import annotations

from collections.abc import Iterable

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.launching import version_of
from chatrixcd_threads.commands.show import asker, duration, status
from chatrixcd_threads.commands.targets import find_template
from chatrixcd_threads.policy.grades import grade_of
from chatrixcd_threads.semaphore.gates import openings
from chatrixcd_threads.semaphore.models import SurveyVar, Task
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, table, text

RUNS = 5


@command(
    "show",
    "explains a template: what it needs, what may be changed for a run, and how it went lately",
    example="show 1 5",
    args=(
        Arg("project", "number or name; may be left out when the template's name says enough"),
        Arg("template", "number, name or words of it; PROJECT/TEMPLATE is understood as well", rest=True),
    ),
)
def show(call: Call) -> Reply:
    """The single template: lists of older servers leave out what matters here."""
    semaphore = call.tools.semaphore
    project, template = find_template(call, call.values.get("project"), call.values.get("template"))
    facts = ", ".join(each for each in (template.app or "ansible", template.type, template.playbook) if each)
    ways = openings(template, version_of(semaphore))
    runs = semaphore.template_tasks(project.id, template.id, RUNS)
    return Reply(
        lines(
            bold(template.name) + f" (template {template.id}) in {project.name} (project {project.id})",
            facts,
            template.description,
            _survey(template.survey_vars),
            text("May be changed for one run: ") + (", ".join(f"--{each}" for each in ways) or "nothing"),
            f"Confirmation: {grade_of(call.tools.settings.bot, project.name, template.name)}",
            _runs(call, runs),
            text("Run it: ") + code(f"{call.prefix} run {project.id} {template.id}"),
        )
    )


def _survey(variables: Iterable[SurveyVar]) -> Text:
    asked = [_variable(each) for each in variables]
    return lines("It asks for:", bullets(asked)) if asked else text("It asks for nothing.")


def _variable(each: SurveyVar) -> Text:
    facts = [each.type or "text", "required" if each.required else "", _choices(each)]
    default = each.default_value if isinstance(each.default_value, str) else ", ".join(each.default_value)
    facts.append(f"default {default}" if default and each.type != "secret" else "")
    said = f": {each.title}" if each.title else ""
    return code(each.name) + said + f" ({', '.join(fact for fact in facts if fact)})"


def _choices(each: SurveyVar) -> str:
    return " | ".join(choice.value for choice in each.values)


def _runs(call: Call, runs: list[Task]) -> Text:
    if not runs:
        return text("It has never run.")
    rows = [
        (bold(f"#{task.id}"), status(task.status), duration(task, call.tools.now()), asker(task))
        for task in runs[:RUNS]
    ]
    return table(("task", "result", "took", "asked by"), rows)
