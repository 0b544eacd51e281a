"""The options with which a task can be started: declared once, and read into what Semaphore is asked for."""

from __future__ import annotations

import re
from typing import Final

from chatrixcd_threads.commands.builds import build_named
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Opt
from chatrixcd_threads.commands.parse import words
from chatrixcd_threads.commands.targets import find_inventory
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.semaphore.gates import HIGHEST_DEBUG
from chatrixcd_threads.semaphore.models import Template
from chatrixcd_threads.semaphore.wanted import Wanted

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
FULL_DEBUG: Final = 4  # what --debug alone means, as in Semaphore

OPTIONS: Final = (
    Opt("limit", "only these hosts or groups", "HOSTS", many=True),
    Opt("tags", "only the parts with these tags", "TAGS", many=True),
    Opt("skip-tags", "not the parts with these tags", "TAGS", many=True),
    Opt("branch", "this branch of the repository", "BRANCH"),
    Opt("inventory", "this inventory, by number or name", "INVENTORY"),
    Opt("var", "a variable; NAME=VALUE alone does the same", "NAME=VALUE", repeated=True),
    Opt("message", "what stands in Semaphore's list of tasks", "TEXT"),
    Opt("debug", "more output, level 1 to 6", "1..6", maybe=True),
    Opt("dry-run", "ansible: --check; terraform: only the plan"),
    Opt("diff", "shows what is changed in files"),
    Opt("destroy", "terraform: destroys what the template manages"),
    Opt("auto-approve", "terraform: applies without asking again"),
    Opt("upgrade", "terraform: newer providers and modules"),
    Opt("reconfigure", "terraform: ignores the saved backend settings"),
    Opt("build", "deploy templates: the build to deploy, a task, a version or last", "BUILD"),
    Opt("args", "more arguments for the program, in quotation marks", "ARGUMENTS"),
)


def wanted(call: Call, template: Template, *, tags: tuple[str, ...] = ()) -> Wanted:
    """What the call asks for. `tags` are those that stood as words, as in ChatrixCD. Raises UserError."""
    given = call.options

    def one(name: str) -> str:
        return given.get(name, ("",))[0]

    semaphore, project_id = call.tools.semaphore, template.project_id
    inventory = find_inventory(call, project_id, one("inventory")) if "inventory" in given else None
    return Wanted(
        limit=given.get("limit", ()),
        tags=(*tags, *given.get("tags", ())),
        skip_tags=given.get("skip-tags", ()),
        branch=one("branch"),
        inventory=inventory.id if inventory else None,
        variables=_variables(call),
        message=one("message"),
        debug=_level(one("debug")) if "debug" in given else 0,
        dry_run="dry-run" in given,
        diff="diff" in given,
        arguments=(*words(one("args")), *call.raw),
        destroy="destroy" in given,
        auto_approve="auto-approve" in given,
        upgrade="upgrade" in given,
        reconfigure="reconfigure" in given,
        build=build_named(semaphore, template, one("build")).task_id if "build" in given else None,
    )


def _variables(call: Call) -> dict[str, str]:
    found: dict[str, str] = {}
    if bare := next((each for each in call.options.get("var", ()) if "=" not in each), None):
        raise UsageError(f"I did nothing: --var needs NAME=VALUE in one word, and “{bare}” has no “=”.")
    named = [each.partition("=")[::2] for each in call.options.get("var", ())]
    for name, value in (*named, *call.pairs):
        if not NAME.fullmatch(name):
            raise UsageError(f"I did nothing: --var needs NAME=VALUE, and “{name}” is no name.")
        if name in found:
            raise UsageError(f"I did nothing: {name} is given twice.")
        found[name] = value
    return found


def _level(typed: str) -> int:
    if not typed:
        return FULL_DEBUG
    if not typed.isdecimal() or not 1 <= int(typed[:3]) <= HIGHEST_DEBUG:
        raise UsageError(f"I did nothing: “--debug={typed}”: the level is a number from 1 to {HIGHEST_DEBUG}.")
    return int(typed)
