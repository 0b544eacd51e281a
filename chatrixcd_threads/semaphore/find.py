"""From what a person types to a project or a template: an id, a name, or the beginning of a name."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from chatrixcd_threads.errors import NotFound, UsageError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing
from chatrixcd_threads.semaphore.models import Inventory, Project, Template

SHOWN: Final = 10
_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

Item = TypeVar("Item", Project, Template, Inventory)


def resolve_project(client: Semaphore, text: str | None) -> Project:
    """The project meant. Without text the only one there is."""
    projects = client.projects()
    found = _pick("project", projects, text)
    if found is not None:
        return found
    if text is not None and _ID.fullmatch(text.strip()):  # the list ends at 200
        try:
            return client.project(int(text))
        except Missing:
            pass
    raise _nothing("project", projects, text, "The bot's user in Semaphore must be a member of it.")


def resolve_template(client: Semaphore, project: Project, text: str | None) -> Template:
    """The template meant, read on its own: lists of older servers leave out the survey."""
    templates = client.templates(project.id)
    found = _pick("template", templates, text)
    if found is None:
        raise _nothing("template", templates, text, f"Project {_label(project)} has others.")
    return client.template(project.id, found.id)


def resolve_inventory(client: Semaphore, project_id: int, text: str) -> Inventory:
    """The inventory meant."""
    inventories = client.inventories(project_id)
    found = _pick("inventory", inventories, text)
    if found is None:
        raise _nothing("inventory", inventories, text, f"Project {project_id} has others.")
    return found


def _pick(what: str, items: Sequence[Item], text: str | None) -> Item | None:
    """The one item meant, None for none; UsageError when several are meant."""
    if text is None:
        if len(items) > 1:
            raise UsageError(f"Which {what}? There are {_labels(items)}.")
        return items[0] if items else None
    text = text.strip()
    for fitting in _readings(items, text):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UsageError(f"“{_clean(text)}” fits more than one {what}: {_labels(fitting)}. Name one by its number.")
    return None


def _readings(items: Sequence[Item], text: str) -> Iterable[list[Item]]:
    """Id, the very name, the name in any case, the beginning of a name: the first reading that fits counts."""
    number = int(text) if _ID.fullmatch(text) else None
    folded = _fold(text)
    yield [item for item in items if item.id == number]
    yield [item for item in items if item.name == text]
    yield [item for item in items if _fold(item.name) == folded]
    yield [item for item in items if folded and _fold(item.name).startswith(folded)]


def _nothing(what: str, items: Sequence[Project | Template | Inventory], text: str | None, otherwise: str) -> NotFound:
    if not items:
        return NotFound(f"Semaphore shows the bot no {what}. Is the bot's user in Semaphore a member of the project?")
    names = {_fold(item.name): item for item in items}
    near = difflib.get_close_matches(_fold(text or ""), names, n=1, cutoff=0.5)
    hint = f"Did you mean {_label(names[near[0]])}?" if near else f"There are {_labels(items)}."
    return NotFound(f"There is no {what} “{_clean(text or '')}”. {hint} {otherwise}")


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)[:100]


def _label(item: Project | Template | Inventory) -> str:
    return f"“{_clean(item.name)}” ({item.id})"


def _labels(items: Sequence[Project | Template | Inventory]) -> str:
    shown = ", ".join(_label(item) for item in items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
