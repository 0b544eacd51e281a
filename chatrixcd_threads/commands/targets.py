"""Which project, template or inventory is meant: what the person picked already, else what the words say."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.semaphore.find import resolve_inventory, resolve_project
from chatrixcd_threads.semaphore.models import Inventory, Project, Template
from chatrixcd_threads.semaphore.targets import resolve_target


def find_project(call: Call, typed: str | None) -> Project:
    """The project; without text the only one. Raises Choice or NotFound."""
    if (picked := call.picked.get("project")) is not None:
        return call.tools.semaphore.project(picked.id)
    return resolve_project(call.tools.semaphore, typed)


def find_template(call: Call, first: str | None, rest: str | None) -> tuple[Project, Template]:
    """The template and its project, by the first word and the rest. Raises Choice or NotFound."""
    semaphore = call.tools.semaphore
    if (picked := call.picked.get("template")) is not None:
        return semaphore.project(picked.project_id), semaphore.template(picked.project_id, picked.id)
    project = call.picked.get("project")
    return resolve_target(semaphore, first, rest, semaphore.project(project.id) if project is not None else None)


def find_inventory(call: Call, project_id: int, typed: str) -> Inventory:
    """The inventory of this project. Raises Choice or NotFound."""
    if (picked := call.picked.get("inventory")) is not None and picked.project_id == project_id:
        return resolve_inventory(call.tools.semaphore, project_id, str(picked.id))
    return resolve_inventory(call.tools.semaphore, project_id, typed)
