"""From what a person types to a template of any project: `1 5`, `web deploy`, `web/deploy`, `deploy`, `prod deploy web`.

Words can be divided into project and template in several ways. Every way is tried, the surest reading of all counts,
and where two templates fit equally well the person picks one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatrixcd_threads.errors import Candidate, UserError, clean
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Forbidden, Missing
from chatrixcd_threads.semaphore.find import (
    LIKELY,
    Reading,
    fold,
    has_all_words,
    in_project,
    is_number,
    likeness,
    nothing,
    of_project,
    reading,
    resolve_project,
    resolve_template,
    seen_projects,
    surest,
)
from chatrixcd_threads.semaphore.models import Project, Template


@dataclass(frozen=True, slots=True)
class Way:
    """One way to divide what was typed. None: left out."""

    project: str | None
    template: str | None

    def fits_project(self, project: Project) -> Reading | None:
        """How the project's part fits."""
        return Reading.NUMBER if self.project is None else reading(self.project, project.id, project.name)

    def fits(self, project: Project, template: Template) -> Reading | None:
        """How both parts fit: as the less sure of them."""
        first = self.fits_project(project)
        second = Reading.NUMBER if self.template is None else reading(self.template, template.id, template.name)
        if self.project is None and self.template is not None:
            second = self._fits_label(second, project, template)
        return None if first is None or second is None else max(first, second)

    def _fits_label(self, how: Reading | None, project: Project, template: Template) -> Reading | None:
        """Words may name the project as well. A number among them is an id, unless they are the whole name."""
        typed = self.template or ""
        if any(word.isdecimal() for word in fold(typed).split()):
            return how if how is not None and how <= Reading.CASE else None
        if how is None and "/" not in typed and has_all_words(typed, f"{project.name} {template.name}"):
            return Reading.WORDS
        return how

    def likeness(self, project: Project, template: Template) -> float:
        """How near it is to a template of a project that fits."""
        typed = self.template or ""
        if self.project is None:
            return max(likeness(typed, template.name), likeness(typed, f"{project.name} {template.name}"))
        return likeness(typed, template.name)


def resolve_target(
    client: Semaphore, first: str | None, rest: str | None = None, picked: Project | None = None
) -> tuple[Project, Template]:
    """The template meant by the first word and the rest, and its project. `picked` is a project that is settled already."""
    if not first:
        project = picked or resolve_project(client, None)
        return project, resolve_template(client, project, None)
    search = _Search(client, first, rest, picked)
    found = search.literal() or search.any()
    if found is None:
        raise search.nothing()
    return search.project(found.project_id), client.template(found.project_id, found.id)


def split_slash(typed: str | None) -> tuple[str | None, str | None]:
    """`project/template` as two, for what takes only a project; the second is None without a slash."""
    project, slash, template = (typed or "").partition("/")
    return (project.strip() or None, template.strip() or None) if slash else (typed, None)


def ways_of(first: str, rest: str | None) -> list[Way]:
    """The ways to divide it; the first is what the usage line says."""
    whole = first if rest is None else f"{first} {rest}"
    ways = [Way(first, rest), Way(whole, None), Way(None, whole)]
    words = [first, *(rest or "").split()]
    ways += [Way(" ".join(words[:n]), " ".join(words[n:])) for n in range(2, len(words))]
    slashes = [n for n, letter in enumerate(whole) if letter == "/"]
    ways += [Way(whole[:n].strip() or None, whole[n + 1 :].strip() or None) for n in slashes]
    return list(dict.fromkeys(way for way in ways if way.project or way.template))


class _Search:
    """One search. Owner: the worker thread that makes it."""

    def __init__(self, client: Semaphore, first: str, rest: str | None, picked: Project | None) -> None:
        self._client = client
        self._whole = first if rest is None else f"{first} {rest}"
        # Said so that it can only be a project: what does not fit in it is not looked for elsewhere.
        self._bound = "/" in self._whole or (rest is not None and is_number(first))
        self._ways = ways_of(first, rest)
        self._projects = [picked] if picked else seen_projects(client, [way.project or "" for way in self._ways])
        if picked is not None:
            full = [Way(None, way.template) for way in self._ways if way.project and way.template]
            self._ways = full or [Way(None, None)]
        elif rest is not None and any(each.id == int(first) for each in self._projects if is_number(first)):
            self._ways = [Way(first, rest)]
        self._read: dict[int, list[Template]] = {}

    def project(self, project_id: int) -> Project:
        return next(each for each in self._projects if each.id == project_id)

    def literal(self) -> Candidate | None:
        """The project told apart by a slash or a number, and both named outright: other projects need not be read."""
        if not self._bound:
            return None
        full = [way for way in self._ways if way.project and way.template]
        if not self._fits(full, outright=True):
            return None
        fits = self._fits([way for way in self._ways if way.project], outright=True)
        return surest("template", fits, self._several())

    def any(self) -> Candidate | None:
        """The surest of all readings in all projects."""
        fits = self._fits(self._ways)
        return surest("template", fits, self._several()) if fits else None

    def _fits(self, ways: Sequence[Way], *, outright: bool = False) -> dict[Candidate, Reading]:
        """Every template that fits in one of these ways, with its surest reading."""
        fits: dict[Candidate, Reading] = {}
        for project, able in self._fitting(ways, outright=outright):
            for template in self._templates(project, must=self._named(able)):
                readings = [how for way in able if (how := way.fits(project, template)) is not None]
                if readings and (not outright or min(readings) <= Reading.CASE):
                    fits[of_project(project, template)] = min(readings)
        return fits

    def nothing(self) -> UserError:
        """What to raise when nothing fits."""
        full = [way for way in self._ways if way.project is not None and way.template is not None]
        fitting = list(self._fitting(full))
        if not self._projects or (self._bound and full and not fitting):
            return self._no_project(full)
        searched = fitting if self._bound and fitting else list(self._fitting(self._ways))
        like = {
            of_project(project, template): max(way.likeness(project, template) for way in ways)
            for project, ways in searched
            for template in self._templates(project)
        }
        if not any(each >= LIKELY for each in like.values()):
            if len(fitting) == 1:
                return self._not_in(*fitting[0])
            if self._likely_projects():
                return self._no_project(full)
        where = in_project(fitting[0][0]) if self._bound and len(fitting) == 1 else " in any project that I can see"
        typed = fitting[0][1][0].template if self._bound and len(fitting) == 1 else self._whole
        return nothing("template", typed or "", like, where)

    def _no_project(self, full: Sequence[Way]) -> UserError:
        typed = (
            next((way.project for way in reversed(full) if way.project), self._whole) if self._bound else self._whole
        )
        known = [Candidate(each.id, each.name) for each in self._projects]
        otherwise = "The bot's user in Semaphore must be a member of it."
        return nothing("project", typed, {each: likeness(typed, each.name) for each in known}, "", otherwise)

    def _not_in(self, project: Project, ways: Sequence[Way]) -> UserError:
        typed = ways[0].template or ""
        like = {of_project(project, each): likeness(typed, each.name) for each in self._templates(project)}
        return nothing("template", typed, like, in_project(project))

    def _likely_projects(self) -> bool:
        return any(likeness(self._whole, each.name) >= LIKELY for each in self._projects)

    def _fitting(self, ways: Sequence[Way], *, outright: bool = False) -> Iterator[tuple[Project, list[Way]]]:
        """Each project with the ways that mean it. Of several projects that fit a way, the surest is meant."""
        surely = Reading.CASE if outright else Reading.WORDS
        meant: dict[int, list[Way]] = {}
        for way in ways:
            fits = {each.id: how for each in self._projects if (how := way.fits_project(each)) is not None}
            best = min(fits.values(), default=surely)
            for project_id, how in fits.items():
                if how == best <= surely:
                    meant.setdefault(project_id, []).append(way)
        yield from ((each, meant[each.id]) for each in self._projects if each.id in meant)

    def _templates(self, project: Project, *, must: bool = True) -> list[Template]:
        """A project that was not named may be closed to the bot: it is left out then."""
        if project.id not in self._read:
            try:
                self._read[project.id] = self._client.templates(project.id)
            except (Missing, Forbidden):
                if must:
                    raise
                self._read[project.id] = []
        return self._read[project.id]

    def _named(self, ways: Sequence[Way]) -> bool:
        return len(self._projects) == 1 or all(way.project is not None for way in ways)

    def _several(self) -> str:
        return f"“{clean(self._whole)}” fits more than one template."
