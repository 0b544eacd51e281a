"""Before the question: what this server will really use of what is wanted, and the refusal of everything it would ignore.

The server answers 201 to an option that it drops, and shows it afterwards as if it had been used (NEWER.md 1.3). So the
decision is made here, from the single template's flags and the server's version; an unknown version is the strictest one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.semaphore.evidence import Expected
from chatrixcd_threads.semaphore.models import Task, Template
from chatrixcd_threads.semaphore.wanted import Wanted, family

Version = tuple[int, int, int]

PARAMS_SINCE: Final = (2, 13, 0)  # options live in `params`, permissions in `task_params`
BRANCH_SINCE: Final = (2, 10, 31)
BRANCH_FLAG_SINCE: Final = (2, 14, 0)
TERRAFORM_ARGUMENTS_SINCE: Final = (2, 17, 0)
FREE_VARIABLES_SINCE: Final = (
    2,
    20,
    0,
)  # where it was read first; before it variables without a group are an error 500
HIGHEST_DEBUG: Final = 6
OLD_DEBUG: Final = 4  # 2.10 knows -vvvv only
LONGEST: Final = 2_000  # characters of one value

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WITH_VALUE: Final = frozenset("cefiltuMT")  # short options of ansible-playbook
_FILE_OF_HOSTS: Final = re.compile(r"(?:^|[:\s])@")  # ansible divides a limit at colons and blanks, too
_BLANK: Final = re.compile(r"\s")
_FILE_OF_VARIABLES: Final = re.compile(r"-[A-Za-z]*e@")


@dataclass(frozen=True, slots=True)
class Plan:
    """A launch worked out: the body to send, what to tell the person, and what its first output must show."""

    body: Mapping[str, object]
    facts: tuple[str, ...]
    expected: Expected
    destroys: bool = False


class Ignored(UserError):
    """Something wanted would not be used; the sentence says what would have happened, and how to allow it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One option: who takes it, what allows it, and what the server would do when it dropped it."""

    option: str
    asked: Callable[[Wanted], bool]
    families: frozenset[str]
    allowed: Callable[[Template, Version | None], str]  # empty, or how to allow it
    otherwise: str


def _flag(name: str, label: str) -> Callable[[Template, Version | None], str]:
    """A permission in `task_params`; servers before 2.13 know no permissions and obey."""

    def check(template: Template, version: Version | None) -> str:
        if older(version, PARAMS_SINCE) or (template.task_params or {}).get(name) is True:
            return ""
        return f"Tick “{label}” in the template ({name})."

    return check


def _new_flag(name: str, label: str) -> Callable[[Template, Version | None], str]:
    """The same for an option that servers before 2.13 do not know at all."""

    def check(template: Template, version: Version | None) -> str:
        if older(version, PARAMS_SINCE):
            return f"This server ({shown(version)}) does not know it; 2.13 does."
        return _flag(name, label)(template, version)

    return check


def _since_params(template: Template, version: Version | None) -> str:
    return f"This server ({shown(version)}) does not know it; 2.13 does." if older(version, PARAMS_SINCE) else ""


def _not_hidden(name: str) -> Callable[[Template, Version | None], str]:
    def check(template: Template, version: Version | None) -> str:
        hidden = (template.task_params or {}).get(name)
        return f"The template has {name} set; take that away." if hidden else ""

    return check


def _branch(template: Template, version: Version | None) -> str:
    """Obeyed by some versions and silently dropped by later ones without the flag: so it is asked for on every one."""
    if older(version, BRANCH_SINCE):
        return f"This server ({shown(version)}) does not know it; 2.10.31 does."
    if older(version, BRANCH_FLAG_SINCE) or template.allow_override_branch_in_task:
        return ""
    return "Tick “Branch” among the template's prompts (allow_override_branch_in_task)."


def _arguments(template: Template, version: Version | None) -> str:
    late = family(template.app) == "terraform" and (version is None or version < TERRAFORM_ARGUMENTS_SINCE)
    if late:
        return f"This server ({shown(version)}) gives {template.app} no arguments; 2.17 does."
    if template.allow_override_args_in_task:
        return ""
    return "Tick “CLI args” among the template's prompts (allow_override_args_in_task)."


def _debug(template: Template, version: Version | None) -> str:
    return _flag("allow_debug", "Debug")(template, version)


def _inventory(template: Template, version: Version | None) -> str:
    return _flag("allow_override_inventory", "Inventory")(template, version)


def _approve(template: Template, version: Version | None) -> str:
    if (template.task_params or {}).get("auto_approve") is True:
        return ""
    return _new_flag("allow_auto_approve", "Auto approve")(template, version)


def _variables(template: Template, version: Version | None) -> str:
    grouped = template.environment_id is not None or bool(template.environment_ids)
    if grouped or (version is not None and version >= FREE_VARIABLES_SINCE):
        return ""
    return "Give the template a variable group (an empty one will do)."


_ANSIBLE: Final = frozenset({"ansible"})
_TERRAFORM: Final = frozenset({"terraform"})
_ALL: Final = frozenset({"ansible", "terraform", "script"})

# API.md 6.1 and 6.2, NEWER.md 1 and 2.1.
GATES: Final[tuple[Gate, ...]] = (
    Gate("limit", lambda w: bool(w.limit), _ANSIBLE, _flag("allow_override_limit", "Limit"), "run on {hosts}"),
    Gate("tags", lambda w: bool(w.tags), _ANSIBLE, _new_flag("allow_override_tags", "Tags"), "run {tags}"),
    Gate(
        "skip-tags",
        lambda w: bool(w.skip_tags),
        _ANSIBLE,
        _new_flag("allow_override_skip_tags", "Skip tags"),
        "skip nothing of that",
    ),
    Gate("debug", lambda w: w.debug > 0, _ANSIBLE, _debug, "run without the details"),
    Gate(
        "dry-run",
        lambda w: w.dry_run,
        _ANSIBLE,
        _not_hidden("hide_dry_run"),
        "run for real",
    ),
    Gate("dry-run", lambda w: w.dry_run, _TERRAFORM, _since_params, "go on to apply the plan"),
    Gate("diff", lambda w: w.diff, _ANSIBLE, _not_hidden("hide_diff"), "run without showing the differences"),
    Gate("inventory", lambda w: w.inventory is not None, _ANSIBLE, _inventory, "use the template's own inventory"),
    Gate("branch", lambda w: bool(w.branch), _ALL, _branch, "use the template's own branch"),
    Gate(
        "args",
        lambda w: bool(w.arguments),
        _ALL,
        _arguments,
        "run without them",
    ),
    # The server guards everything but this: it destroys without any permission (NEWER.md 1.6).
    Gate(
        "destroy",
        lambda w: w.destroy,
        _TERRAFORM,
        _new_flag("allow_destroy", "Destroy"),
        "destroy what the template manages although nobody has allowed that",
    ),
    Gate("auto-approve", lambda w: w.auto_approve, _TERRAFORM, _approve, "stop at the plan and ask"),
    Gate("upgrade", lambda w: w.upgrade, _TERRAFORM, _since_params, "run without the upgrade"),
    Gate("reconfigure", lambda w: w.reconfigure, _TERRAFORM, _since_params, "run without it"),
    Gate("var", lambda w: bool(w.variables), _ALL, _variables, "answer with an error 500 and leave a broken task"),
)

# Arguments that would get round the gates, wait for somebody at a terminal, or reach files of the server.
BARRED: Final[Mapping[str, Mapping[str, str]]] = {
    "ansible": {
        "-l": "use --limit", "--limit": "use --limit", "-t": "use --tags", "--tags": "use --tags",
        "--skip-tags": "use --skip-tags", "-C": "use --dry-run", "--check": "use --dry-run", "-D": "use --diff",
        "--diff": "use --diff", "-i": "use --inventory", "--inventory": "use --inventory",
        "--inventory-file": "use --inventory", "-k": "it waits for a terminal", "--ask-pass": "it waits for a terminal",
        "-K": "it waits for a terminal", "--ask-become-pass": "it waits for a terminal",
        "-J": "it waits for a terminal", "--ask-vault-pass": "it waits for a terminal",
        "--ask-vault-password": "it waits for a terminal", "--step": "it waits for a terminal",
        "--vault-id": "it reads files of the server",
        "--vault-password-file": "it reads files of the server", "--vault-pass-file": "it reads files of the server",
        "--become-password-file": "it reads files of the server",
        "--become-pass-file": "it reads files of the server",
        "--connection-password-file": "it reads files of the server",
        "--conn-pass-file": "it reads files of the server", "--private-key": "it reads files of the server",
        "--key-file": "it reads files of the server", "-M": "it runs code from anywhere",
        "--module-path": "it runs code from anywhere", "--ssh-common-args": "it runs code on the server",
        "--ssh-extra-args": "it runs code on the server", "--sftp-extra-args": "it runs code on the server",
        "--scp-extra-args": "it runs code on the server",
    },
    "terraform": {
        "-chdir": "it leaves the template's folder", "-plugin-dir": "it runs code from anywhere",
        "-state": "it leaves the template's state", "-state-out": "it leaves the template's state",
        "-backup": "it leaves the template's state", "-backend-config": "it leaves the template's state",
        "-lock": "two runs could write the same state", "-input": "it waits for a terminal",
        "-auto-approve": "use --auto-approve", "-destroy": "use --destroy", "-upgrade": "use --upgrade",
        "-reconfigure": "use --reconfigure", "-var-file": "it reads files of the server",
    },
    "script": {},
}  # fmt: skip


def work_out(wanted: Wanted, template: Template, version: Version | None) -> Plan:
    """The plan for exactly this. Raises Ignored (with every reason at once) when the server would do something else."""
    kind = family(template.app)
    problems = [*_malformed(wanted), *_barred(wanted, kind), *_closed(wanted, template, version, kind)]
    if problems:
        raise Ignored("\n".join([f"I did not start {template.name}.", *problems]))
    return Plan(
        body=_body(wanted, template, kind),
        facts=tuple(_facts(wanted, template, kind)),
        expected=Expected(
            family=kind,
            limit=wanted.limit or _own(template, "limit"),
            check=wanted.dry_run,
            destroy=wanted.destroy,
            branch=wanted.branch,
            tags=wanted.tags,
            skip_tags=wanted.skip_tags,
        ),
        destroys=wanted.destroy,
    )


def openings(template: Template, version: Version | None) -> list[str]:
    """The options that a run of this template may use, for people."""
    kind = family(template.app)
    return [gate.option for gate in GATES if kind in gate.families and not gate.allowed(template, version)]


def older(version: Version | None, than: Version) -> bool:
    """Whether the server is known to be older. An unknown version is not: it gets the strict rules."""
    return version is not None and version < than


def shown(version: Version | None) -> str:
    """A version for people."""
    return ".".join(map(str, version)) if version else "of an unknown version"


def differences(body: Mapping[str, object], task: Task) -> list[str]:
    """Where the task that was made is not the one that was asked for. No difference proves nothing: it shows what was asked."""
    found: list[str] = []
    seen = _seen(task)
    for name, wanted in _asked(body).items():
        if seen.get(name, "") != wanted:
            found.append(
                f"{name}: asked for {_short(wanted)}, Semaphore made it {_short(seen.get(name, '') or 'nothing')}"
            )
    return found


def _closed(wanted: Wanted, template: Template, version: Version | None, kind: str) -> Iterable[str]:
    for option in dict.fromkeys(gate.option for gate in GATES if gate.asked(wanted)):
        gate = next((each for each in GATES if each.option == option and kind in each.families), None)
        if gate is None:
            yield f"--{option}: {template.app or 'ansible'} has nothing like it; Semaphore would ignore it."
        elif how := gate.allowed(template, version):
            would = gate.otherwise.format(hosts=_hosts(template), tags=_tags(template))
            yield f"--{option} is not allowed here: Semaphore would {would}. {how}"
    if wanted.debug and older(version, PARAMS_SINCE) and wanted.debug != OLD_DEBUG:
        yield f"--debug={wanted.debug}: this server ({shown(version)}) knows only --debug={OLD_DEBUG}."
    if kind == "terraform" and wanted.dry_run and (wanted.auto_approve or wanted.destroy):
        yield "--dry-run only makes a plan: it does not go together with --auto-approve or --destroy."


def _malformed(wanted: Wanted) -> Iterable[str]:
    if not 0 <= wanted.debug <= HIGHEST_DEBUG:
        yield f"--debug={wanted.debug}: the level is a number from 1 to {HIGHEST_DEBUG}."
    values = [
        *(("--limit", each) for each in wanted.limit),
        *(("--tags", each) for each in wanted.tags),
        *(("--skip-tags", each) for each in wanted.skip_tags),
        ("--branch", wanted.branch),
        ("--message", wanted.message),
        *(("--args", each) for each in wanted.arguments),
        *((name, each) for name, each in wanted.variables.items()),
    ]
    for name, value in values:
        if _CONTROL.search(value):
            yield f"{name}: control characters are not allowed."
        elif len(value) > LONGEST:
            yield f"{name}: longer than {LONGEST} characters."
    if wanted.branch.startswith("-"):
        yield f"--branch: “{wanted.branch}” would be taken for an option of git."
    for each in wanted.limit:
        if each[0] == "-" or _FILE_OF_HOSTS.search(each):
            yield f"--limit: “{each}” would be taken for a file or an option."
        elif _BLANK.search(each):
            yield f"--limit: “{each}” has a blank in it, which ansible reads in more than one way. Put a comma there."


def _barred(wanted: Wanted, kind: str) -> Iterable[str]:
    for word in wanted.arguments:
        name = word.partition("=")[0]
        if kind == "terraform" and name.startswith("--"):
            name = name[1:]
        reason = BARRED[kind].get(name) or _joined(name, kind)
        if reason:
            yield f"“{word}” is not passed on: {reason}."
        elif kind == "ansible" and (word.startswith("@") or _FILE_OF_VARIABLES.match(word) or "=@" in word):
            yield f"“{word}” is not passed on: it reads files of the server."


def _joined(name: str, kind: str) -> str:
    """`-lweb1` and `-bl web1` are `-l web1`, and `--lim` is `--limit`: ansible takes them all."""
    if kind != "ansible" or not name.startswith("-"):
        return ""
    if not name.startswith("--"):
        return next((reason for letter in _letters(name) if (reason := BARRED[kind].get(f"-{letter}"))), "")
    known = [reason for option, reason in BARRED[kind].items() if option.startswith(name) and len(name) > 2]
    return known[0] if known else ""


def _letters(name: str) -> str:
    """The short options in one word: the first that takes a value is the last."""
    end = next((number for number, letter in enumerate(name) if letter in _WITH_VALUE), len(name))
    return name[1 : end + 1]


def _body(wanted: Wanted, template: Template, kind: str) -> dict[str, object]:
    """Both forms of every option: each server reads its own and ignores the other (API.md 6.2)."""
    body: dict[str, object] = {"template_id": template.id}
    params: dict[str, object] = {}
    if kind == "ansible":
        params |= {name: list(value) for name in ("limit", "tags", "skip_tags") if (value := getattr(wanted, name))}
        params |= {name: True for name in ("dry_run", "diff") if getattr(wanted, name)}
        if wanted.debug:
            params |= {"debug": True, "debug_level": wanted.debug}
        body |= {name: True for name in ("debug", "dry_run", "diff") if params.get(name)}
        if wanted.limit:
            body["limit"] = ",".join(wanted.limit)
        if wanted.inventory is not None:
            body["inventory_id"] = wanted.inventory
    elif kind == "terraform":
        params |= {
            name: True for name in ("destroy", "auto_approve", "upgrade", "reconfigure") if getattr(wanted, name)
        }
        if wanted.dry_run:
            params["plan"] = True
    if params:
        body["params"] = params
    if wanted.branch:
        body["git_branch"] = wanted.branch
    if wanted.arguments:
        body["arguments"] = json.dumps(wanted.arguments, ensure_ascii=False)
    if wanted.variables:
        body["environment"] = json.dumps(dict(sorted(wanted.variables.items())), ensure_ascii=False)
    if wanted.build is not None:
        body["build_task_id"] = wanted.build
    return body


def _facts(wanted: Wanted, template: Template, kind: str) -> Iterable[str]:
    """What will be used, also where it is the template's own choice."""
    if kind == "ansible":
        yield f"Hosts: {', '.join(wanted.limit)}" if wanted.limit else f"Hosts: {_hosts(template)}"
        for option, name, given in (("tags", "Tags", wanted.tags), ("skip_tags", "Skipped tags", wanted.skip_tags)):
            if used := given or _own(template, option):
                yield f"{name}: {', '.join(used)}"
    if wanted.dry_run:
        yield "Dry run: nothing is to be changed." if kind == "ansible" else "Plan only: nothing is applied."
    own_approval = kind == "terraform" and (template.task_params or {}).get("auto_approve") is True
    if own_approval and not (wanted.dry_run or wanted.auto_approve):
        yield "The template applies its plan without asking."
    if wanted.destroy:
        yield "🔥 It DESTROYS what this template manages."
    switches = (("diff", wanted.diff), ("auto-approve", wanted.auto_approve), ("upgrade", wanted.upgrade),
                ("reconfigure", wanted.reconfigure))  # fmt: skip
    more = [name for name, asked in switches if asked] + ([f"debug={wanted.debug}"] if wanted.debug else [])
    if more:
        yield f"With: {', '.join(more)}"
    if wanted.inventory is not None:
        yield f"Inventory: {wanted.inventory}"
    if wanted.build is not None:
        yield f"Build: task #{wanted.build}"
    if wanted.branch or template.git_branch:
        yield f"Branch: {wanted.branch}" if wanted.branch else f"Branch: {template.git_branch} (the template's own)"
    if wanted.arguments:
        yield f"Arguments: {' '.join(wanted.arguments)}"
    if wanted.variables:
        yield "Variables: " + ", ".join(f"{name}={value}" for name, value in sorted(wanted.variables.items()))
    if wanted.secrets:
        yield "Secrets: " + ", ".join(f"{name}=••••" for name in sorted(wanted.secrets))


def _own(template: Template, name: str) -> tuple[str, ...]:
    """A list among the template's own defaults."""
    value = (template.task_params or {}).get(name)
    return tuple(str(each) for each in value if each) if isinstance(value, list) else ()


def _hosts(template: Template) -> str:
    own = _own(template, "limit")
    return f"{', '.join(own)} (the template's own limit)" if own else "ALL hosts of the inventory"


def _tags(template: Template) -> str:
    own = _own(template, "tags")
    return f"only {', '.join(own)}, the template's own" if own else "everything, whatever its tags"


def _asked(body: Mapping[str, object]) -> dict[str, object]:
    """A body in the one form in which it is compared: params win over the older place of the same option."""
    plain = {name: value for name, value in body.items() if name not in ("params", "message", "secret")}
    params = body.get("params")
    plain |= params if isinstance(params, dict) else {}
    return {name: _comparable(name, value) for name, value in plain.items()}


def _seen(task: Task) -> dict[str, object]:
    fields: dict[str, object] = {
        "template_id": task.template_id, "git_branch": task.git_branch, "arguments": task.arguments,
        "environment": task.environment, "inventory_id": task.inventory_id, "build_task_id": task.build_task_id,
    }  # fmt: skip
    if task.params is None:  # before 2.13 the newer options cannot be seen, and the gates let none of them pass
        fields |= {
            "limit": task.limit, "debug": task.debug, "dry_run": task.dry_run, "diff": task.diff,
            "debug_level": OLD_DEBUG if task.debug else 0,
        }  # fmt: skip
    seen: dict[str, object] = {name: _comparable(name, value) for name, value in fields.items() if value}
    return seen | {name: _comparable(name, value) for name, value in (task.params or {}).items()}


def _comparable(name: str, value: object) -> object:
    if name in ("environment", "arguments") and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if name == "limit" and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _short(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 80 else said[:79] + "…"
