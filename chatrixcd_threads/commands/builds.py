"""Builds and deploys: which build is meant, which one runs now, and which was the last good one (API.md 8)."""

from __future__ import annotations

from dataclasses import dataclass

from chatrixcd_threads.errors import NotFound, UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.find import likeness
from chatrixcd_threads.semaphore.models import Task, Template

NEWEST = 200
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Build:
    """A successful build task and its version."""

    task_id: int
    version: str

    @property
    def label(self) -> str:
        """As people call it."""
        return f"{self.version} (#{self.task_id})" if self.version else f"#{self.task_id}"


def build_named(semaphore: Semaphore, template: Template, named: str) -> Build:
    """The build of a deploy template: a task's number, a version, or `last`. Only successful ones. Raises UserError."""
    builds = good_builds(semaphore, template)
    if not builds:
        raise NotFound(f"There is no successful build for {template.name} yet.")
    if named == "last":
        return builds[0]
    number = named.removeprefix("#")
    found = [each for each in builds if named == each.version] or [
        each for each in builds if number.isdecimal() and each.task_id == int(number[:18])
    ]
    if not found:
        near = sorted(builds, key=lambda each: -likeness(named, each.version))[:SHOWN]  # equal ones: the newest first
        known = ", ".join(each.label for each in near)
        raise NotFound(f"There is no successful build “{named}” for {template.name}. The nearest: {known}.")
    return found[0]


def good_builds(semaphore: Semaphore, template: Template) -> list[Build]:
    """The successful builds that this deploy template may deploy, newest first."""
    if template.type != "deploy" or template.build_template_id is None:
        raise UserError(f"{template.name} is no deploy template: it has no builds to choose from.")
    tasks = semaphore.template_tasks(template.project_id, template.build_template_id, NEWEST)
    return [Build(task.id, task.version) for task in tasks if task.status == "success"]


@dataclass(frozen=True, slots=True)
class History:
    """What a deploy template has deployed: its newest run, and the last good run of another build before it."""

    newest: Task
    good: Task


def last_good(semaphore: Semaphore, template: Template) -> History:
    """The run to go back to. Raises UserError when there is none."""
    tasks = [task for task in semaphore.template_tasks(template.project_id, template.id, NEWEST) if task.finished]
    if not tasks:
        raise NotFound(f"{template.name} has never run, so there is nothing to go back to.")
    newest = tasks[0]
    for task in tasks[1:]:
        if task.status == "success" and task.build_task_id not in (None, newest.build_task_id):
            return History(newest, task)
    raise NotFound(f"{template.name} has no earlier good run of another build to go back to.")


def deployed(task: Task) -> str:
    """The version that a deploy task brought, as far as the list tells it."""
    version = task.build_task.version if task.build_task is not None else ""
    return version or (f"build #{task.build_task_id}" if task.build_task_id is not None else "no build")
