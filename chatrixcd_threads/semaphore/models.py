"""What Semaphore tells, typed and frozen. Missing, null and the zero value are the same; unknown fields are ignored.

Only `id` must be there. A value of a wrong type is an error: guessing about a permission or a status would be worse.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from chatrixcd_threads.semaphore.errors import NotSemaphore
from chatrixcd_threads.text.markup import one_line

FINAL: Final = frozenset({"success", "error", "stopped"})
WAITS: Final = "waiting_confirmation"  # a plan, for its answer
NOT_YET_RUN: Final = frozenset({"waiting", "starting"})

_TIMES: Final = frozenset({"created", "start", "end", "time"})
_NESTED: Final = frozenset({"last_task", "build_task", "survey_vars", "values"})
# What stands in questions and sentences as it is: nobody may be shown another thing there than what will run.
_SHOWN: Final = frozenset(
    {"name", "title", "description", "playbook", "tpl_alias", "tpl_playbook", "user_name", "version"}
)
_ZERO_IS_NONE: Final = frozenset(
    {
        "build_task_id",
        "build_template_id",
        "environment_id",
        "integration_id",
        "inventory_id",
        "repository_id",
        "schedule_id",
        "user_id",
        "view_id",
    }
)
_VERSION: Final = re.compile(r"\s*v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)


class Project(msgspec.Struct, frozen=True):
    id: int
    name: str = ""
    created: datetime | None = None
    type: str = ""
    max_parallel_tasks: int = 0


class User(msgspec.Struct, frozen=True):
    id: int
    username: str = ""
    name: str = ""
    email: str = ""
    admin: bool = False


class Role(msgspec.Struct, frozen=True):
    """`permissions` are bits: 1 run tasks, 2 update the project, 4 manage resources, 8 manage users.

    A global admin who is no member has `""` and 0 and may do everything: ask `User.admin` too.
    """

    role: str = ""
    permissions: int = 0


class ServerInfo(msgspec.Struct, frozen=True):
    """What `/info` says; `raw` is the version as the server writes it."""

    raw: str = msgspec.field(default="", name="version")
    web_host: str = ""
    ansible: str = ""
    schedule_timezone: str = ""
    use_remote_runner: bool = False

    @property
    def version(self) -> tuple[int, int, int] | None:
        """Three numbers, or None when the text holds none (a server someone built for himself)."""
        found = _VERSION.match(self.raw)
        if found is None:
            return None
        major, minor, patch = found.groups("0")
        return int(major), int(minor), int(patch)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One record of a task's output, as stored: colours, carriage returns and, rarely, newlines inside."""

    output: str = ""
    time: datetime | None = None


class SurveyValue(msgspec.Struct, frozen=True):
    """One choice of an enum: `name` is shown, `value` is sent."""

    name: str = ""
    value: str = ""


class SurveyVar(msgspec.Struct, frozen=True):
    """One question of a template. Types seen: "" (text), int, enum, secret, text, select."""

    name: str = ""
    title: str = ""
    type: str = ""
    required: bool = False
    values: tuple[SurveyValue, ...] = ()
    default_value: str | tuple[str, ...] = ""
    description: str = ""
    target: str = ""


class Task(msgspec.Struct, frozen=True):
    """One run. Shows what was asked for, not what was used: an override that was dropped still stands here."""

    id: int
    template_id: int = 0
    project_id: int = 0
    status: str = ""
    message: str = ""
    created: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    user_id: int | None = None
    user_name: str = ""
    tpl_alias: str = ""
    tpl_type: str = ""
    tpl_app: str = ""
    tpl_playbook: str = ""
    playbook: str = ""
    environment: str = ""
    arguments: str = ""
    limit: str = ""
    git_branch: str = ""
    debug: bool = False
    dry_run: bool = False
    diff: bool = False
    params: dict[str, object] | None = None
    version: str = ""
    build_task_id: int | None = None
    build_task: Task | None = None
    commit_hash: str = ""
    commit_message: str = ""
    inventory_id: int | None = None
    integration_id: int | None = None
    schedule_id: int | None = None

    @property
    def finished(self) -> bool:
        """A final status, or any other with `end` on a task that has run: such a row stays like that for ever.

        `start` may be absent then: a stop in `starting` leaves `stopping` with `end` alone (seen on 2.16).
        """
        if self.status in FINAL:
            return True
        if self.end is None or self.status in NOT_YET_RUN:
            return False
        return self.start is None or self.end >= self.start  # an older end was sent by whoever started the task

    def duration(self, now: datetime) -> timedelta | None:
        """How long it ran, so far or in all; None before it runs, and for a finished task without `end`."""
        until = self.end if self.finished else now
        if self.start is None or until is None:
            return None
        return max(until - self.start, timedelta(0))


class Template(msgspec.Struct, frozen=True):
    """A task template. Up to 2.12 lists leave out the survey and the flags: ask for the single one before a start.

    `task_params` None = the server does not know it or it is empty; permissions inside are true or absent.
    """

    id: int
    project_id: int = 0
    name: str = ""
    app: str = ""
    type: str = ""
    description: str = ""
    playbook: str = ""
    arguments: str = ""
    git_branch: str = ""
    inventory_id: int | None = None
    repository_id: int | None = None
    environment_id: int | None = None
    environment_ids: tuple[int, ...] = ()
    view_id: int | None = None
    survey_vars: tuple[SurveyVar, ...] = ()
    allow_override_args_in_task: bool = False
    allow_override_branch_in_task: bool = False
    allow_parallel_tasks: bool = False
    task_params: dict[str, object] | None = None
    build_template_id: int | None = None
    start_version: str = ""
    autorun: bool = False
    last_task: Task | None = None
    tasks: int = 0
    permissions: int | None = None


class Inventory(msgspec.Struct, frozen=True):
    """What a play runs on. `inventory` is the text (static), the path of a file, or a workspace."""

    id: int
    name: str = ""
    type: str = ""
    inventory: str = ""


Model = TypeVar("Model", bound=msgspec.Struct)


def decode_one(data: bytes | str, kind: type[Model], doing: str = "Reading the answer") -> Model:
    """The object in a JSON answer, or NotSemaphore."""
    return _convert(_parse(data, doing), kind, kind.__name__.lower(), doing)


def decode_list(data: bytes | str, kind: type[Model], doing: str = "Reading the answer") -> list[Model]:
    """The objects of a JSON list, or NotSemaphore. Semaphore's empty list is [], so null is somebody else's answer."""
    return _convert(_parse(data, doing), list[kind], f"list of {kind.__name__.lower()}s", doing)  # type: ignore[valid-type]


def parse_time(text: object) -> datetime | None:
    """RFC 3339 with any offset and any number of decimals, in UTC. Year 1 means "not set", as does what is no time."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.year <= 1:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _parse(data: bytes | str, doing: str) -> object:
    try:
        return _tidy(msgspec.json.decode(data))
    except (ValueError, RecursionError):  # bad JSON, bad UTF-8, nested without end
        raise NotSemaphore(
            f"{doing} failed: the answer is not the JSON of Semaphore. Check semaphore.url.", sent=True
        ) from None


Shape = TypeVar("Shape")


def _convert(value: object, shape: type[Shape], wanted: str, doing: str) -> Shape:
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200]
        raise NotSemaphore(
            f"{doing} failed: the answer is JSON, but not a {wanted} of Semaphore ({reason}). "
            "Check semaphore.url and the version of Semaphore.",
            sent=True,
        ) from None


def _tidy(value: object) -> object:
    """Null dropped, times parsed; only where our models look, so `params` and the like stay as they are."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {key: _field(key, item) for key, item in value.items() if _is_set(key, item)}
    return value


def _field(key: str, value: object) -> object:
    if key in _TIMES:
        return parse_time(value)
    if key in _SHOWN and isinstance(value, str):
        return one_line(value)
    return _tidy(value) if key in _NESTED else value


def _is_set(key: str, value: object) -> bool:
    return value is not None and not (key in _ZERO_IS_NONE and value == 0)
