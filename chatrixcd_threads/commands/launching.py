"""Every way to a task goes through here: worked out, asked, re-checked after the yes, journaled, and sent once.

`run`, `redo`, `plan` and `rollback` only decide what is wanted; what a question shows and what is sent are the same plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from chatrixcd_threads.commands import away, forms
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Ask, Reply, Wants
from chatrixcd_threads.commands.parse import verdict_of_word
from chatrixcd_threads.commands.phrases import phrase
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.errors import SecretTyped, UserError
from chatrixcd_threads.journal import audit, inbox, launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.policy.grades import Grade, grade_of
from chatrixcd_threads.semaphore import survey
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Forbidden, Missing, NotSemaphore, SemaphoreError
from chatrixcd_threads.semaphore.evidence import Expected, hosts_of
from chatrixcd_threads.semaphore.gates import Plan, Version, work_out
from chatrixcd_threads.semaphore.launch import InDoubt, Mismatch, Started, forgotten
from chatrixcd_threads.semaphore.models import Project, Template
from chatrixcd_threads.semaphore.wanted import Wanted
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, person, text

LONGEST_MESSAGE = 250  # characters: the column of Semaphore's database since 2.8, a limit on all but SQLite

# What decides what a task of a template does. A change of any of it after the question voids the question.
DECIDES = (
    "name", "app", "playbook", "type", "arguments", "git_branch", "inventory_id", "environment_id",
    "environment_ids", "repository_id", "survey_vars", "task_params", "build_template_id",
    "allow_override_args_in_task", "allow_override_branch_in_task",
)  # fmt: skip

MAY_HANG = (
    "It waits, and Semaphore never answered its start: so does a server whose queue hangs. If nothing starts within a "
    "minute, I say so here; then only a restart of Semaphore helps."
)


def token_of(call: Call) -> str:
    """The launch's token: one command is one launch, however often its handling begins anew after a crash."""
    return hashlib.blake2b(call.event_id.encode(), digest_size=5).hexdigest()


def is_known(call: Call, token: str = "") -> bool:
    """Whether this command's launch is in the journal already: its handling began before, and was interrupted."""
    return launches.by_token(call.tools.journal.read(), token or token_of(call)) is not None


def known_payload(call: Call, token: str = "") -> dict[str, object]:
    """The payload of that launch: it goes on from where it stands."""
    return {"token": token or token_of(call)}


def ask(
    call: Call,
    project: Project,
    template: Template,
    wanted: Wanted,
    *,
    why: Text | str = "",
    verb: str = "run",
    token: str = "",
    problem: str = "",
) -> Answer:
    """The question about exactly this launch, or the launch itself where none is asked. `why` is one more line in it,
    `problem` one in the form where something is still missing."""
    refuse_when_unsafe(call, template.name)
    token = token or token_of(call)
    filled = refuse_bad_values(call, template, wanted, token)
    wanted = _with_secrets(wanted, filled.secrets)
    refuse_long_message(call, template.name, wanted, verb)
    base: dict[str, object] = {
        "summary": template.name,
        "name": typed_name(template),
        "token": token,
        "project": project.name,
        "project_id": project.id,
        "template_id": template.id,
        "template": fingerprint(template),
        "wanted": msgspec.to_builtins(wanted),
        "verb": verb,
        "said_at": call.at if call.late else 0.0,
    }
    missing = filled.missing
    refuse_without_build(call, template, wanted)
    if missing:
        # What will be refused is refused before the form, and there will be variables.
        open_ones = {each.name: "…" for each in missing if each.type != "secret"}
        some = msgspec.structs.replace(wanted, variables={**wanted.variables, **open_ones})
        work_out(some, template, version_of(call.tools.semaphore))
        return forms.ask(call, template, base, missing, problem)
    plan, wanted = planned(call, project, template, wanted, token)
    grade = grade_of(call.tools.settings.bot, project.name, template.name)
    payload = {**base, "wanted": msgspec.to_builtins(wanted), "body": plan.body}
    if grade is Grade.LOW and not plan.destroys and not call.late:
        return carry_out(call, payload)
    wants = Wants.NAME if grade is Grade.HIGH or plan.destroys else Wants.YES
    return Ask(lines(shown(call, project, template, plan), why, away.meanwhile(call, template)), payload, wants)


def typed_name(template: Template) -> str:
    """What is typed to a question that wants the name. A word that means no is none, so the number goes with it."""
    name = " ".join(template.name.split())
    return name if name and verdict_of_word(name) != "no" else f"{name} {template.id}".strip()


def refuse_when_unsafe(call: Call, name: str) -> None:
    """A start that cannot be written down could be forgotten or made twice: then there is none."""
    if problem := call.tools.unsafe():
        raise UserError(
            f"I did not start {name}: {problem}. I start nothing until that is mended; reading still works."
        )


def message_of(call: Call, wanted: Wanted, verb: str, token: str) -> str:
    """What stands in Semaphore's list: who asked, and last the token, which must not be cut off."""
    said = f"{wanted.message} · " if wanted.message else ""
    who, mark = f"{said}{call.prefix} {verb}, asked by {call.sender}", f" [{token}]"
    room = LONGEST_MESSAGE - len(mark)
    return (who if len(who) <= room else f"{who[: room - 1]}…") + mark


def refuse_without_build(call: Call, template: Template, wanted: Wanted) -> None:
    """A deploy without a good build of its template: before its form, whose answers would be for nothing.

    The server looks at none of that, and deploys an empty version (API.md 6.1); its history names builds that were deleted since.
    """
    if template.type != "deploy":
        return
    if wanted.build is None:
        raise UserError(f"I did not start {template.name}: it deploys a build. Name one with --build.")
    refusal, semaphore = f"I did not start {template.name}: it would deploy build #{wanted.build}", call.tools.semaphore
    how = f"Name another: {call.prefix} run {template.project_id} {template.id} --build VERSION (or last)."
    try:
        build = semaphore.task(template.project_id, wanted.build)
    except Missing:
        raise UserError(f"{refusal}, which Semaphore does not have any more. {how}") from None
    if template.build_template_id is not None and build.template_id != template.build_template_id:
        raise UserError(f"{refusal}, which is a task of template {build.template_id} and no build for it. {how}")
    if build.status != "success":
        raise UserError(f"{refusal}, which is “{status(build.status).plain}” and no good build. {how}")


def refuse_long_message(call: Call, name: str, wanted: Wanted, verb: str) -> None:
    """A --message for which Semaphore has no room beside who asked."""
    left = LONGEST_MESSAGE - len(f" · {call.prefix} {verb}, asked by {call.sender} [{token_of(call)}r]")
    if wanted.message and len(wanted.message) > left:
        raise UserError(
            f"I did not start {name}: --message may have {max(0, left)} characters, for Semaphore keeps {LONGEST_MESSAGE} "
            f"with who asked, and this one has {len(wanted.message)}."
        )


def shown(call: Call, project: Project, template: Template, plan: Plan) -> Text:
    """The head of a question: what, where, with what."""
    question = (
        text("Shall I start ")
        + bold(template.name)
        + f" (template {template.id}) in "
        + bold(project.name)
        + f" (project {project.id})?"
    )
    facts = ", ".join(each for each in (template.app or "ansible", template.playbook, template.description) if each)
    return lines(question, facts, bullets(plan.facts) if plan.facts else "", asked_by(call.sender))


def asked_by(sender: str) -> Text:
    """Who wants it."""
    return text("Asked by ") + person(sender) + "."


def planned(call: Call, project: Project, template: Template, wanted: Wanted, token: str) -> tuple[Plan, Wanted]:
    """What will really be used. Raises UserError for all that the server would ignore, and for what is missing."""
    filled = refuse_bad_values(call, template, wanted, token)
    if filled.missing and all(each.type == "secret" for each in filled.missing):
        raise forgotten(template.name, ", ".join(each.title or each.name for each in filled.missing))
    if filled.missing:
        names = ", ".join(each.title or each.name for each in filled.missing)
        raise UserError(f"I did not start {template.name}: it needs values for {names}. Give them as NAME=VALUE.")
    refuse_without_build(call, template, wanted)
    wanted = msgspec.structs.replace(wanted, variables=dict(filled.values))
    plan = work_out(wanted, template, version_of(call.tools.semaphore))
    return replace(plan, expected=resolved(call, project.id, template, wanted, plan.expected)), wanted


def refuse_bad_values(call: Call, template: Template, wanted: Wanted, token: str) -> survey.Filled:
    """The survey filled as far as it goes. Raises UserError for values that it does not take."""
    filled = survey.fill(template, wanted.variables, wanted.secrets, call.tools.vault.of(token))
    for name in filled.typed:
        call.tools.vault.mask(wanted.variables[name])
    if filled.problems:
        refusal = SecretTyped if filled.typed else UserError
        raise refusal("\n".join([f"I did not start {template.name}.", *filled.problems]))
    return filled


def _with_secrets(wanted: Wanted, names: tuple[str, ...]) -> Wanted:
    """Secrets are wanted by name; `NAME=` that only asks for one is no variable."""
    variables = {name: value for name, value in wanted.variables.items() if name not in names}
    return msgspec.structs.replace(wanted, variables=variables, secrets=names)


def answered(call: Call, payload: Mapping[str, object], words: str) -> Answer:
    """An answer to the form: the next question of it, or the one about the launch, or the launch that it had begun."""
    token = str(payload["token"])
    if is_known(call, token):
        return carry_out(call, known_payload(call, token))
    project_id, template_id = int(str(payload["project_id"])), int(str(payload["template_id"]))
    template = call.tools.semaphore.template(project_id, template_id)
    lost = forms.lost(call, payload)
    wanted, problem = forms.take(call, template, payload, words)
    if problem:
        return forms.ask(call, template, payload, refuse_bad_values(call, template, wanted, token).missing, problem)
    project = call.tools.semaphore.project(project_id)
    return ask(call, project, template, wanted, verb=str(payload["verb"]), token=token, problem=lost)


def resolved(call: Call, project_id: int, template: Template, wanted: Wanted, expected: Expected) -> Expected:
    """The limit as hosts, where the inventory tells them, so that the output can be held against it."""
    marked = call.tools.settings.semaphore.check_mode_markers
    hosts: tuple[str, ...] | None = None
    if expected.limit and expected.family == "ansible":
        inventory_id = wanted.inventory or template.inventory_id
        try:
            found = [each for each in call.tools.semaphore.inventories(project_id) if each.id == inventory_id]
        except SemaphoreError:
            found = []
        if found and found[0].type == "static":
            hosts = hosts_of(expected.limit, found[0].inventory)
    return msgspec.structs.replace(expected, hosts=hosts, marked=marked)


def carry_out(call: Call, payload: Mapping[str, object]) -> Answer:
    """Starts the task, exactly once, whatever is interrupted; called again with the same payload after a crash.

    Where nobody can tell whether it was started, the person is asked, with what was looked at.
    """
    token = str(payload["token"])
    known = launches.by_token(call.tools.journal.read(), token)
    if known is None:
        refuse_when_unsafe(call, str(payload["summary"]))
        if payload.get("planned") and not _holds_secrets(call, payload, token):
            return _ask_again(call, payload, token)
        _record(call, payload, token)
    allowed = int(str(payload.get("doubt", 0)))
    changed = _changed_since(call, known) if known is not None and allowed else []
    try:
        started = _launched(call, token, allowed if changed == [] else 0)
    except InDoubt as doubt:
        if changed:
            raise UserError(
                f"{doubt.sentence}\nI do not send it again: the template was changed in Semaphore after I had asked "
                f"({', '.join(changed)}). {call.prefix} resolve {token} settles it; then ask again."
            ) from None
        name = known.template_name if known is not None else str(payload["summary"])
        again = f"Shall I look once more for it, and start it only if it is still not there ({name})?"
        return Ask(lines(text(f"⚠ {doubt.sentence}"), again), {"token": token, "summary": name, "doubt": doubt.doubts})
    name = known.template_name if known is not None else str(payload["summary"])
    found = f"Semaphore's first answer was lost, but I found #{started.task_id} there. Nothing was started twice."
    return Reply(
        lines(
            text("🚀 ")
            + phrase(call.tools.messages, "task_start", tone=call.tone, task_name=name, user_name=call.sender),
            text("Task ") + bold(f"#{started.task_id}") + text(f" ({name}), asked by ") + person(call.sender) + ".",
            found if started.found else "",
            MAY_HANG if started.stuck else "",
            text("I tell you here how it ends. ")
            + code(f"{call.prefix} logs {started.task_id}")
            + " shows its output.",
        )
    )


def _changed_since(call: Call, launch: Launch) -> list[str] | None:
    """What of its template is not as it was when it was asked about; None: that cannot be read now."""
    if not launch.payload:
        return []
    try:
        template = call.tools.semaphore.template(launch.project_id, launch.template_id)
    except SemaphoreError:
        return None
    return changes(json.loads(launch.payload)["template"], template)


def _launched(call: Call, token: str, allowed: int) -> Started:
    """The task of the launch. Raises UserError; the admins hear of one that is not what was asked for."""
    try:
        return call.tools.launcher.launch(token, allowed=allowed)
    except Mismatch as error:
        call.tools.alarm("⛔ Semaphore made another task than was asked for", (error.sentence, f"Room: {call.room_id}"))
        raise


def _holds_secrets(call: Call, payload: Mapping[str, object], token: str) -> bool:
    return call.tools.vault.of(token).keys() >= set(msgspec.convert(payload["wanted"], Wanted).secrets)


def _ask_again(call: Call, payload: Mapping[str, object], token: str) -> Answer:
    """For real after a dry run, whose secrets were forgotten when it had been started."""
    project_id, template_id = int(str(payload["project_id"])), int(str(payload["template_id"]))
    semaphore = call.tools.semaphore
    project, template = semaphore.project(project_id), semaphore.template(project_id, template_id)
    refuse_changed(payload, template)
    wanted = msgspec.convert(payload["wanted"], Wanted)
    return ask(call, project, template, wanted, verb=str(payload["verb"]), token=token)


def refuse_changed(payload: Mapping[str, object], template: Template) -> None:
    """Raises UserError when the template is not the one that was asked about."""
    changed = changes(payload["template"], template)
    if changed:
        raise UserError(
            f"I did not start {template.name}: the template was changed in Semaphore after I had asked "
            f"({', '.join(changed)}). Please ask again."
        )


def _record(call: Call, payload: Mapping[str, object], token: str) -> None:
    """The launch into the journal, if it is still exactly the one that was asked about."""
    project_id, template_id = int(str(payload["project_id"])), int(str(payload["template_id"]))
    semaphore = call.tools.semaphore
    template = semaphore.template(project_id, template_id)
    refuse_changed(payload, template)
    wanted = msgspec.convert(payload["wanted"], Wanted)
    plan, _ = planned(call, Project(project_id), template, wanted, token)
    if "body" in payload and json.loads(json.dumps(plan.body)) != payload["body"]:
        raise UserError(
            f"I did not start {template.name}: Semaphore would be asked for something else now than when I asked you. "
            "Its version has changed. Please ask again."
        )
    message = message_of(call, wanted, str(payload["verb"]), token)
    expected = plan.expected
    with call.tools.journal.write() as tx:
        if call.seq and not inbox.is_open(tx, call.seq):
            raise UserError(f"I did not start {template.name}: I had given it up, and have said so.")
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
            body={**plan.body, "message": message},
            now=call.tools.now(),
            expected=msgspec.json.encode(expected).decode() if expected.anything else "",
            payload=json.dumps(payload),
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


def fingerprint(template: Template) -> dict[str, str]:
    """Each deciding field as a short hash: enough to say later which of them changed."""
    return {name: hashlib.sha256(repr(getattr(template, name)).encode()).hexdigest()[:8] for name in DECIDES}


def changes(before: Any, template: Template) -> list[str]:
    """The deciding fields that are not as they were."""
    now = fingerprint(template)
    return [name.replace("_", " ") for name in DECIDES if dict(before).get(name) != now[name]]


def version_of(semaphore: Semaphore) -> Version | None:
    """The server's version; None when it does not tell."""
    try:
        return semaphore.server_version()
    except (Missing, Forbidden, NotSemaphore):
        return None
