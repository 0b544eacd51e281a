"""`redo`: the same task again, or only its failed hosts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import msgspec

from chatrixcd_threads.commands import launching
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, Opt, command
from chatrixcd_threads.commands.tasks import TASK, Found, find_task
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.evidence import failed_hosts
from chatrixcd_threads.semaphore.launch import carries
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.semaphore.wanted import Wanted, family

# Of `params`: what read_back reads.
REPEATED: Final = frozenset({
    "limit", "tags", "skip_tags", "debug", "debug_level", "dry_run", "diff", "plan", "destroy", "auto_approve", "upgrade",
    "reconfigure",
})  # fmt: skip


@command(
    "redo",
    "starts the same task again, with the same options (I ask first)",
    example="redo 42 --failed",
    right=Right.RUN,
    deed="start tasks",
    launches=True,
    args=(Arg("task", f"{TASK}; else the thread's, or the one this room last heard of", rest=True),),
    options=(Opt("failed", "ansible: only the hosts that failed"), Opt("dry-run", "only shows what it would change")),
)
def redo(call: Call) -> Answer:
    """With what was asked for then, checked anew against the template as it is now."""
    if launching.is_known(call):
        return launching.carry_out(call, launching.known_payload(call))
    found, semaphore = find_task(call, "redo"), call.tools.semaphore
    project = semaphore.project(found.project_id)
    template = semaphore.template(project.id, found.task.template_id)
    wanted = asked_for(call, found, family(template.app))
    why = f"Again as task #{found.task.id}."
    if "failed" in call.options:
        hosts = _failed(call, found)
        wanted = msgspec.structs.replace(wanted, limit=hosts)
        why = f"Again as task #{found.task.id}, only on the {len(hosts)} that failed."
    if "dry-run" in call.options:
        wanted = msgspec.structs.replace(wanted, dry_run=True)
    return launching.ask(call, project, template, wanted, why=why, verb="redo")


redo.said(launching.answered)
redo.confirmed(launching.carry_out)


def asked_for(call: Call, found: Found, kind: str) -> Wanted:
    """What the task was asked for: from the journal when the bot started it, else from what Semaphore shows.

    The token tells: a Semaphore whose database was put back gives numbers a second time.
    """
    launch = launches.by_task(call.tools.journal.read(), found.project_id, found.task.id)
    if launch is not None and launch.payload and carries(found.task, launch.token):
        return msgspec.convert(json.loads(launch.payload)["wanted"], Wanted)
    if more := unrepeatable(found.task):
        raise UserError(
            f"I did not start anything: task #{found.task.id} was given what I cannot give it again ({', '.join(more)}), and "
            "without that it would do something else. Start it again in Semaphore."
        )
    return read_back(found.task, kind)


def unrepeatable(task: Task) -> list[str]:
    """What a task was asked for that no option here stands for: another playbook, arguments for each stage of Terraform."""
    arguments = _parsed(task.arguments)
    return [
        *([f"playbook {task.playbook}"] if task.playbook else []),
        *(["arguments"] if arguments is not None and not isinstance(arguments, list) else []),
        *(name for name, value in (task.params or {}).items() if value and name not in REPEATED),
    ]


def read_back(task: Task, kind: str) -> Wanted:
    """The options of a task that somebody started elsewhere. Secrets are not among them: Semaphore never shows those."""
    params = task.params or {}
    limit = _texts(params.get("limit")) or tuple(part.strip() for part in task.limit.split(",") if part.strip())
    level = params.get("debug_level")
    debug = 0 if not (params.get("debug") or task.debug) else level if isinstance(level, int) and level > 0 else 4
    ansible = kind == "ansible"
    return Wanted(
        limit=limit if ansible else (),
        tags=_texts(params.get("tags")),
        skip_tags=_texts(params.get("skip_tags")),
        branch=task.git_branch,
        inventory=task.inventory_id if ansible else None,
        variables={
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)  # as Semaphore writes it
            for name, value in _object(task.environment).items()
        },
        debug=debug if ansible else 0,
        dry_run=bool(params.get("dry_run") or task.dry_run) or params.get("plan") is True,
        diff=bool(params.get("diff") or task.diff),
        arguments=_texts(_parsed(task.arguments)),
        destroy=params.get("destroy") is True,
        auto_approve=params.get("auto_approve") is True,
        upgrade=params.get("upgrade") is True,
        reconfigure=params.get("reconfigure") is True,
        build=task.build_task_id,
    )


def _failed(call: Call, found: Found) -> tuple[str, ...]:
    records = call.tools.semaphore.output(found.project_id, found.task.id)
    hosts = failed_hosts(record.output for record in records)
    if not hosts:
        raise UserError(
            f"I did not start anything: the output of task #{found.task.id} names no host that failed. "
            f"{call.prefix} redo {found.task.id} starts it on all of them again."
        )
    return hosts


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value if each) if isinstance(value, list) else ()


def _object(text: str) -> Mapping[str, object]:
    value = _parsed(text)
    return value if isinstance(value, dict) else {}


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
