"""From what a person types to a project, template or inventory: an id, a name, its beginning, or words of it.

The first reading that fits anything counts. A name that is only nearly right is never taken, nor one of two that fit
equally well: both become a `Choice` for the person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from rapidfuzz import fuzz

from chatrixcd_threads.errors import Candidate, Choice, NotFound, UserError, clean, labels
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing
from chatrixcd_threads.semaphore.models import Inventory, Project, Template

NEAREST: Final = 3
LIKELY: Final = 60.0  # of 100: from here on a name is offered to be picked
BEHIND: Final = 20.0  # what is less like it than the likeliest by more than this is not meant
_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_WORD: Final = re.compile(r"[^\W_]+")


class Reading(IntEnum):
    """How something typed fits a thing, the surest first."""

    NUMBER = 0
    NAME = 1
    CASE = 2  # the name in any case
    BEGINNING = 3
    WORDS = 4  # every word is the beginning of a word of the name


def reading(typed: str, item_id: int, name: str) -> Reading | None:
    """The surest reading that fits; None for none. A bare number is an id or the whole name, never a part of one."""
    typed = typed.strip()
    folded, known = fold(typed), fold(name)
    if is_number(typed) and int(typed) == item_id:
        return Reading.NUMBER
    if not folded:
        return None
    if typed == name:
        return Reading.NAME
    if folded == known:
        return Reading.CASE
    if folded.isdecimal():
        return None
    if known.startswith(folded):
        return Reading.BEGINNING
    return Reading.WORDS if "/" not in folded and has_all_words(folded, known) else None


def has_all_words(typed: str, name: str) -> bool:
    """Whether each word typed, in any order, begins a word of the name. Numbers alone do not say enough."""
    parts, known = _WORD.findall(fold(typed)), _WORD.findall(fold(name))
    says_enough = any(not part.isdecimal() for part in parts)
    return says_enough and all(any(word.startswith(part) for word in known) for part in parts)


def likeness(typed: str, name: str) -> float:
    """How near the typed words are to the name, in any order, from 0 to 100."""
    folded, known = fold(typed), fold(name)
    return max(fuzz.ratio(folded, known), fuzz.token_sort_ratio(folded, known))


def resolve_project(client: Semaphore, typed: str | None) -> Project:
    """The project meant. Without text the only one there is."""
    projects = seen_projects(client, [typed or ""])
    otherwise = "The bot's user in Semaphore must be a member of it."
    found = choose("project", [Candidate(each.id, each.name) for each in projects], typed, otherwise=otherwise)
    return next(each for each in projects if each.id == found.id)


def resolve_template(client: Semaphore, project: Project, typed: str | None) -> Template:
    """The template meant, read on its own: lists of older servers leave out the survey."""
    known = [of_project(project, each) for each in client.templates(project.id)]
    return client.template(project.id, choose("template", known, typed, in_project(project)).id)


def resolve_inventory(client: Semaphore, project_id: int, typed: str) -> Inventory:
    """The inventory meant."""
    inventories = client.inventories(project_id)
    known = [Candidate(each.id, each.name, project_id) for each in inventories]
    found = choose("inventory", known, typed, f" in project {project_id}")
    return next(each for each in inventories if each.id == found.id)


def choose(what: str, known: Sequence[Candidate], typed: str | None, where: str = "", otherwise: str = "") -> Candidate:
    """The one meant, without text the only one. Raises Choice or NotFound."""
    if typed is None and known:
        found = dict.fromkeys(known, Reading.NUMBER)
        return surest(what, found, f"Which {what}{where}?")
    fits = {each: how for each in known if (how := reading(typed or "", each.id, each.name)) is not None}
    if fits:
        return surest(what, fits, f"“{clean(typed or '')}” fits more than one {what}{where}.")
    like = {each: likeness(typed or "", each.name) for each in known}
    raise nothing(what, typed or "", like, where, otherwise)


def surest(what: str, fits: Mapping[Candidate, Reading], several: str) -> Candidate:
    """The only one of the surest reading; a Choice that begins with the sentence `several` where more than one fits so."""
    best = min(fits.values())
    left = [each for each, how in fits.items() if how is best]
    if len(left) > 1:
        raise Choice(several, what, left)
    return left[0]


def nothing(what: str, typed: str, like: Mapping[Candidate, float], where: str = "", otherwise: str = "") -> UserError:
    """What to raise when nothing fits: a Choice of the likely ones, else NotFound with the nearest names."""
    if not like:
        of = "one" if what == "project" else "the project"
        return NotFound(
            f"Semaphore shows the bot no {what}{where}. If there is one, make the bot's user in Semaphore a member of {of} "
            "(role task_runner)."
        )
    ranked = sorted(like, key=lambda each: -like[each])
    said = f"There is no {what} “{clean(typed)}”{where}."
    enough = max(LIKELY, like[ranked[0]] - BEHIND)
    if likely := [each for each in ranked if like[each] >= enough]:
        return Choice(said, what, likely)
    return NotFound(" ".join(filter(None, (said, f"The nearest: {labels(ranked[:NEAREST])}.", otherwise))))


def seen_projects(client: Semaphore, typed: Sequence[str]) -> list[Project]:
    """All that the bot may see, and those typed as numbers beyond them: the server's list ends at 200."""
    projects = client.projects()
    numbers = {int(each) for each in map(str.strip, typed) if is_number(each)} - {each.id for each in projects}
    for number in sorted(numbers):
        try:
            projects = [*projects, client.project(number)]
        except Missing:
            continue
    return projects


def of_project(project: Project, template: Template) -> Candidate:
    """A template as it is shown to be picked."""
    return Candidate(template.id, template.name, project.id, project.name)


def in_project(project: Project) -> str:
    """The place in a sentence."""
    return f" in project “{clean(project.name)}” ({project.id})"


def is_number(typed: str) -> bool:
    """Whether it can be an id."""
    return _ID.fullmatch(typed) is not None


def fold(text: str) -> str:
    """As names are compared: in any case, any form of a letter, any number of blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
