"""Which options of a task are really used: the permissions of 2.13 and later (NEWER.md section 2.1)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chatrixcd_threads.demo.semaphore import gojson
from chatrixcd_threads.demo.semaphore.profile import Profile
from chatrixcd_threads.demo.semaphore.store import Row

TERRAFORM_APPS = ("terraform", "tofu", "terragrunt")
_ANSIBLE_TYPES = {
    "limit": "strings",
    "tags": "strings",
    "skip_tags": "strings",
    "debug": "bool",
    "dry_run": "bool",
    "diff": "bool",
    "debug_level": "int",
}
_TERRAFORM_TYPES = dict.fromkeys(("plan", "destroy", "auto_approve", "upgrade", "reconfigure"), "bool")


@dataclass(frozen=True)
class Used:
    """The options a job is started with."""

    limit: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    verbosity: int = 0
    dry_run: bool = False
    diff: bool = False
    plan: bool = False
    destroy: bool = False
    auto_approve: bool = False
    upgrade: bool = False
    reconfigure: bool = False
    inventory_id: int | None = None
    playbook: str = ""
    arguments: tuple[str, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)


class BadOptionsError(ValueError):
    """The job cannot be built: it ends `error` with this line."""


def _right_type(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "bool":
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool)


def params_fit(app: str, params: Row) -> bool:
    """Do the keys that the app knows have the right types? Other keys are not looked at."""
    types = _ANSIBLE_TYPES if app == "ansible" else _TERRAFORM_TYPES if app in TERRAFORM_APPS else {}
    return all(_right_type(params[key], kind) for key, kind in types.items() if key in params)


def take_limit(task: Row) -> None:
    """Turn a top-level `limit` into `params.limit`, unless the latter is there (2.13+)."""
    params = dict(task.get("params") or {})
    limit = task.get("limit", "")
    if limit and "limit" not in params:
        params["limit"] = [part.strip() for part in limit.split(",")]
        task["params"] = params


def arguments(text: str | None) -> tuple[str, ...]:
    """The arguments of a template or task: a JSON array as text."""
    if not text:
        return ()
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise BadOptionsError("Invalid format of the TaskRunner extra arguments, must be valid JSON")
    return tuple(str(item) for item in value)


def _all_arguments(task: Row, template: Row) -> tuple[str, ...]:
    own = arguments(template.get("arguments"))
    if not template.get("allow_override_args_in_task"):
        return own
    return own + arguments(task.get("arguments"))


def _choose(asked: Row, allowed: Row, key: str, permission: str) -> tuple[str, ...]:
    """The task's list with the permission, else the template's; `null` counts as not asked."""
    value = asked.get(key)
    if value is None or not allowed.get(permission):
        value = allowed.get(key) or []
    items = [value] if isinstance(value, str) else list(value)
    return tuple(item for item in items if item)


def _older(task: Row, template: Row) -> Used:
    """2.10: the top-level options are always obeyed (API.md section 6.1)."""
    limit = task.get("limit") or ""
    return Used(
        limit=(limit,) if limit else (),
        verbosity=4 if task.get("debug") else 0,
        dry_run=bool(task.get("dry_run")),
        diff=bool(task.get("diff")),
        inventory_id=task.get("inventory_id") or template.get("inventory_id"),
        playbook=task.get("playbook") or template["playbook"],
    )


def _newer(profile: Profile, task: Row, template: Row) -> Used:
    """2.13+: what the template does not allow is dropped without a word."""
    asked: Row = task.get("params") or {}
    allowed: Row = template.get("task_params") or {}
    level = asked.get("debug_level") or 4
    debug = bool(asked.get("debug")) and bool(allowed.get("allow_debug"))
    inventory = task.get("inventory_id") if allowed.get("allow_override_inventory") else None
    approve = bool(asked.get("auto_approve")) and bool(allowed.get("allow_auto_approve"))
    hidden = {name for name in ("dry_run", "diff") if profile.hide_flags and allowed.get(f"hide_{name}")}
    return Used(
        limit=_choose(asked, allowed, "limit", "allow_override_limit"),
        tags=_choose(asked, allowed, "tags", "allow_override_tags"),
        skip_tags=_choose(asked, allowed, "skip_tags", "allow_override_skip_tags"),
        verbosity=(4 if level < 1 else min(level, 6)) if debug else 0,
        dry_run=bool(asked.get("dry_run")) and "dry_run" not in hidden,
        diff=bool(asked.get("diff")) and "diff" not in hidden,
        plan=bool(asked.get("plan")),
        destroy=bool(asked.get("destroy")),
        auto_approve=approve or bool(allowed.get("auto_approve")),
        upgrade=bool(asked.get("upgrade")),
        reconfigure=bool(asked.get("reconfigure")),
        inventory_id=inventory or template.get("inventory_id"),
        playbook=task.get("playbook") or template["playbook"],
    )


def used(profile: Profile, task: Row, template: Row) -> Used:
    """The options the job is started with."""
    found = _newer(profile, task, template) if profile.params else _older(task, template)
    playbook = found.playbook if template["app"] in ("ansible", "") else template["playbook"]
    without = template["app"] in TERRAFORM_APPS and not profile.terraform_arguments
    given = () if without else _all_arguments(task, template)
    return Used(**{**vars(found), "playbook": playbook, "arguments": given})


def source(profile: Profile, task: Row, template: Row) -> Row:
    """The branch and the commit that are asked for, as far as they are obeyed."""
    obeyed = not profile.branch_flag or template.get("allow_override_branch_in_task")
    return {key: task.get(key) if obeyed else None for key in ("git_branch", "commit_hash")}


def variables(profile: Profile, task: Row, groups: Iterable[Row]) -> Row:
    """The variables of groups and task in one; which side wins depends on the version."""
    ours: Row = json.loads(task.get("environment") or "{}")
    theirs: Row = {}
    for group in groups:
        theirs.update(json.loads(group.get("json") or "{}"))
    return {**theirs, **ours} if profile.task_env_wins else {**ours, **theirs}


def environment_error(text: str) -> str | None:
    """Why a task's `environment` cannot be used, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return f"Error: invalid character {text.strip()[:1]!r} looking for beginning of value"
    if isinstance(value, dict):
        return None
    kind = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
    return f"Error: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


def as_argument(profile: Profile, name: str, value: Any) -> str:
    """One variable as shell and Terraform jobs get it."""
    plain = profile.plain_values and not isinstance(value, str)
    return f"{name}={gojson.dumps(value).decode() if plain else gojson.percent_s(value)}"
