"""`run`: starts a task from a template, after a question that names exactly what would be started."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Ask, Reply, command
from chatrixcd_threads.commands.phrases import phrase
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import audit, launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.find import resolve_project, resolve_template
from chatrixcd_threads.semaphore.models import Template
from chatrixcd_threads.text.markup import bold, code, lines, person, text


@command(
    "run",
    "starts a task from a template (I ask first)",
    example="run 1 5",
    right=Right.RUN,
    deed="start tasks",
    args=(
        Arg("project", "number or name; may be left out when there is only one"),
        Arg("template", "number or name; may be left out when there is only one", rest=True),
    ),
)
def run(call: Call) -> Ask:
    """Reads the single template (the list does not tell everything) and asks with what it read."""
    semaphore = call.tools.semaphore
    project = resolve_project(semaphore, call.values.get("project"))
    template = semaphore.template(project.id, resolve_template(semaphore, project, call.values.get("template")).id)
    refuse_what_cannot_be_done(template)
    question = (
        text("Shall I start ")
        + bold(template.name)
        + f" (template {template.id}) in "
        + bold(project.name)
        + f" (project {project.id})?"
    )
    facts = ", ".join(each for each in (template.app or "ansible", template.playbook, template.description) if each)
    return Ask(
        lines(question, facts, text("Asked by ") + person(call.sender) + "."),
        {
            "summary": template.name,
            "token": secrets.token_hex(4),
            "project_id": project.id,
            "template_id": template.id,
            "digest": digest(template),
        },
    )


@run.confirmed
def start(call: Call, payload: Mapping[str, object]) -> Reply:
    """Starts the task, exactly once, whatever is interrupted; called again with the same payload after a crash."""
    token, project_id, template_id = (
        str(payload["token"]),
        int(str(payload["project_id"])),
        int(str(payload["template_id"])),
    )
    journal = call.tools.journal
    if launches.by_token(journal.read(), token) is None:
        template = call.tools.semaphore.template(project_id, template_id)
        if digest(template) != payload["digest"]:
            raise UserError(
                f"I did not start {template.name}: the template was changed in Semaphore after I had asked. Please ask again."
            )
        refuse_what_cannot_be_done(template)
        with journal.write() as tx:
            launches.confirm(
                tx,
                token=token,
                slot=call.slot,
                room_id=call.room_id,
                thread=call.thread,
                sender=call.sender,
                project_id=project_id,
                template_id=template_id,
                template_name=template.name,
                body={"template_id": template_id, "message": f"{call.prefix} run, asked by {call.sender} [{token}]"},
                now=call.tools.now(),
            )
            audit.note(
                tx,
                Deed.LAUNCHED,
                who=call.sender,
                room_id=call.room_id,
                subject=template.name,
                detail=f"template {template_id} of project {project_id}, token {token}",
                now=call.tools.now(),
            )
    started = call.tools.launcher.launch(token)
    name = str(payload["summary"])
    found = (
        "Semaphore's first answer was lost, but I found the task there: it was started once." if started.found else ""
    )
    follow = (
        text("I tell you here how it ends. ") + code(f"{call.prefix} logs {started.task_id}") + " shows its output."
    )
    return Reply(
        lines(
            text("🚀 ")
            + phrase(call.tools.messages, "task_start", tone=call.tone, task_name=name, user_name=call.sender),
            text("Task ") + bold(f"#{started.task_id}") + text(f" ({name}), asked by ") + person(call.sender) + ".",
            found,
            follow,
        )
    )


def refuse_what_cannot_be_done(template: Template) -> None:
    """Raises UserError for a template that Semaphore would start without something it needs (API.md 6.1, 20.10)."""
    if template.type == "deploy":
        raise UserError(
            f"I did not start {template.name}: it is a deploy template and needs a build, which I cannot choose yet. Start it in Semaphore."
        )
    asked_for = [each.title or each.name for each in template.survey_vars if each.required]
    if asked_for:
        raise UserError(
            f"I did not start {template.name}: it needs values for {', '.join(asked_for)}, which I cannot ask for yet. "
            "Start it in Semaphore."
        )


def digest(template: Template) -> str:
    """Changes when anything changes that decides what a task of this template does."""
    what = (template.name, template.app, template.playbook, template.type, template.arguments, template.git_branch, template.inventory_id,
            template.environment_id, template.environment_ids, template.repository_id, template.survey_vars,
            template.task_params)  # fmt: skip
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]
