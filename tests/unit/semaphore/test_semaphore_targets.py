"""From what a person types to a template of any project: never by a guess."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import Choice, NotFound, UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Forbidden, Missing, Unreachable
from chatrixcd_threads.semaphore.find import Reading
from chatrixcd_threads.semaphore.models import Project, Template
from chatrixcd_threads.semaphore.targets import Way, resolve_target, split_slash, ways_of
from chatrixcd_threads.settings.model import SemaphoreSettings

Tree = dict[tuple[int, str], dict[int, str]]

TREE: Tree = {
    (1, "Web"): {5: "Deploy", 6: "Deploy prod", 7: "Check"},
    (2, "Data tools"): {9: "Import", 10: "Deploy staging"},
    (3, "API"): {11: "Check", 12: "a/b test", 13: "2024 release"},
}


class Grown(Semaphore):
    """Has projects with templates, asks nobody. `closed` maps a project to what reading its templates raises."""

    def __init__(self, tree: Tree, closed: dict[int, UserError] | None = None) -> None:
        super().__init__(SemaphoreSettings())
        self._tree, self._closed = tree, closed or {}
        self.read: list[int] = []

    def projects(self) -> list[Project]:
        return [Project(*key) for key in self._tree]

    def project(self, project_id: int) -> Project:
        raise Missing("no such project", sent=True, status=404)

    def templates(self, project_id: int) -> list[Template]:
        self.read.append(project_id)
        if project_id in self._closed:
            raise self._closed[project_id]
        return [
            Template(number, project_id, name)
            for key, names in self._tree.items()
            for number, name in names.items()
            if key[0] == project_id
        ]

    def template(self, project_id: int, template_id: int) -> Template:
        return next(each for each in self.templates(project_id) if each.id == template_id)


def resolved(line: str, tree: Tree = TREE) -> tuple[int, int]:
    first, _, rest = line.partition(" ")
    project, template = resolve_target(Grown(tree), first or None, rest or None)
    assert template.project_id == project.id
    return project.id, template.id


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("1 5", (1, 5)),
        ("1 deploy", (1, 5)),
        ("1 prod", (1, 6)),
        ("web deploy", (1, 5)),
        ("web deploy prod", (1, 6)),
        ("web/deploy", (1, 5)),
        ("web/deploy prod", (1, 6)),
        ("web / deploy prod", (1, 6)),
        ("web /deploy", (1, 5)),
        ("web/ deploy", (1, 5)),
        ("1/5", (1, 5)),
        ("data tools import", (2, 9)),
        ("tools import", (2, 9)),
        ("data/imp", (2, 9)),
        # without its project
        ("import", (2, 9)),
        ("deploy", (1, 5)),  # the very name goes before a beginning, wherever it is
        ("deploy prod", (1, 6)),
        ("prod deploy", (1, 6)),
        ("deploy st", (2, 10)),
        ("/import", (2, 9)),
        ("9", (2, 9)),
        ("prod deploy web", (1, 6)),
        ("dep p", (1, 6)),
        ("check web", (1, 7)),  # words may name the project as well
        # names that look like something else
        ("a/b test", (3, 12)),
        ("3 a/b test", (3, 12)),
        ("api/a/b test", (3, 12)),
        ("2024 release", (3, 13)),
    ],
)
def test_what_is_found(line: str, target: tuple[int, int]) -> None:
    assert resolved(line) == target


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("check", {"Web / Check", "API / Check"}),
        ("/check", {"Web / Check", "API / Check"}),
        ("web", {"Web / Deploy", "Web / Deploy prod", "Web / Check"}),
        ("1", {"Web / Deploy", "Web / Deploy prod", "Web / Check"}),
        ("data", {"Data tools / Import", "Data tools / Deploy staging"}),
        ("web/", {"Web / Deploy", "Web / Deploy prod", "Web / Check"}),
        ("web/d", {"Web / Deploy", "Web / Deploy prod"}),
    ],
)
def test_several_are_asked_about(line: str, labels: set[str]) -> None:
    with pytest.raises(Choice) as caught:
        resolved(line)
    assert {each.label for each in caught.value.candidates} == labels
    assert caught.value.what == "template"


@pytest.mark.parametrize(
    ("line", "what", "first"),
    [
        ("deploy prd", "template", "Web / Deploy prod"),
        ("web depoly", "template", "Web / Deploy"),
        ("1 depoly", "template", "Web / Deploy"),
        ("wbe deploy", "template", "Web / Deploy"),
        ("imprt", "template", "Data tools / Import"),
        ("web/imprt deploy", "template", "Web / Deploy prod"),  # never one of another project
        ("wbe/deploy", "project", "Web"),
        ("apii", "project", "API"),
    ],
)
def test_what_is_only_nearly_right_is_asked(line: str, what: str, first: str) -> None:
    with pytest.raises(Choice) as caught:
        resolved(line)
    assert (caught.value.what, caught.value.candidates[0].label) == (what, first)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 99", "There is no template “99” in project “Web” (1). The nearest: “Web / Deploy” (5)"),
        ("web 99", "There is no template “99” in project “Web” (1)"),
        ("99 5", "There is no project “99”. The nearest: “Web” (1)"),
        ("zzz/5", "There is no project “zzz”"),
        ("web zzzz", "There is no template “zzzz” in project “Web” (1)"),
        ("zzzz qqqq", "There is no template “zzzz qqqq” in any project that I can see. The nearest: "),
        ("2 5", "There is no template “5” in project “Data tools” (2)"),
    ],
)
def test_what_is_nowhere_is_told_with_the_nearest(line: str, said: str) -> None:
    with pytest.raises(NotFound) as caught:
        resolved(line)
    assert said in caught.value.sentence
    assert caught.value.sentence.split("nearest: ")[1].count("” (") <= 3


def test_only_what_is_about_as_near_is_offered() -> None:
    for line, labels in (("web chek", ["Web / Check"]), ("chek", ["Web / Check", "API / Check"])):
        with pytest.raises(Choice) as caught:
            resolved(line)
        assert [each.label for each in caught.value.candidates] == labels


def test_a_project_that_was_picked_is_settled() -> None:
    web = Project(1, "Web")
    assert resolve_target(Grown(TREE), "wbe", "deploy", web)[1].id == 5
    assert resolve_target(Grown(TREE), "wbe/deploy", None, web)[1].id == 5
    with pytest.raises(Choice) as caught:
        resolve_target(Grown(TREE), None, None, web)
    assert {each.project_id for each in caught.value.candidates} == {1}


def test_what_is_named_outright_reads_no_other_project() -> None:
    for line in ("1 5", "1 deploy", "web/deploy prod", "1/5"):
        client, (first, _, rest) = Grown(TREE), line.partition(" ")
        resolve_target(client, first, rest or None)
        assert set(client.read) == {1}, line


def test_two_ways_to_divide_the_words_are_two_candidates() -> None:
    tree: Tree = {(1, "Web"): {5: "shop deploy"}, (2, "Web shop"): {6: "deploy"}}
    with pytest.raises(Choice) as caught:
        resolved("web shop deploy", tree)
    assert {each.id for each in caught.value.candidates} == {5, 6}
    tree[3, "Data"] = {
        7: "web shop deploy"
    }  # the name as it stands is surer than a name in any case, never than itself
    assert resolved("web shop deploy", tree) == (3, 7)
    with pytest.raises(Choice):
        resolved("Web Shop Deploy", tree)
    assert resolved("web/shop deploy", tree) == (1, 5)
    assert resolved("web shop/deploy", tree) == (2, 6)


def test_the_surest_project_is_meant() -> None:
    tree: Tree = {(1, "Web"): {5: "Deploy"}, (2, "Website"): {6: "Deploy"}, (3, "My web"): {7: "Deploy"}}
    for line in ("web/dep", "web dep", "1/dep", "web/deploy"):
        assert resolved(line, tree) == (1, 5), line
    with pytest.raises(Choice):
        resolved("we/dep", tree)


def test_a_closed_project_hides_only_itself() -> None:
    closed: dict[int, UserError] = {2: Forbidden("no member", sent=True, status=403)}
    assert resolve_target(Grown(TREE, closed), "prod")[1].id == 6
    with pytest.raises(Forbidden):
        resolve_target(Grown(TREE, closed), "2", "imp")
    with pytest.raises(Unreachable):  # not knowing is not the same as not there
        resolve_target(Grown(TREE, {2: Unreachable("away")}), "prod")


def test_where_there_is_nothing() -> None:
    with pytest.raises(NotFound, match="no project"):
        resolved("deploy", {})
    with pytest.raises(NotFound, match="no template"):
        resolved("1 deploy", {(1, "Web"): {}})


def test_project_and_template_of_a_slash() -> None:
    assert split_slash("web / deploy") == ("web", "deploy")
    assert split_slash("web/") == ("web", None)
    assert split_slash("web shop") == ("web shop", None)
    assert split_slash(None) == (None, None)


# --- whatever is typed

words = st.sampled_from(
    ["web", "deploy", "prod", "api", "dep", "Web", "5", "1", "data", "prd", "d", "a/b", "/", "check"]
)
names = st.lists(words, min_size=1, max_size=3).map(" ".join)
trees = st.dictionaries(
    st.tuples(st.integers(1, 6), names), st.dictionaries(st.integers(1, 9), names, max_size=4), max_size=4
).filter(lambda tree: len({key[0] for key in tree}) == len(tree))
lines = st.lists(words, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=300, deadline=None, database=None)
@example(tree={(1, "web"): {}, (5, "5 web web"): {1: "web web", 2: "deploy"}}, line="5 web")
@given(
    tree=trees,
    line=lines | st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text and text[0] != " "),
)
def test_it_is_resolved_only_by_a_reading_and_never_one_of_two(tree: Tree, line: str) -> None:
    """What is taken fits in some way, and nothing else fits as surely; all else is a sentence or a question."""
    first, _, rest = line.partition(" ")
    client, refused = Grown(tree), None
    try:
        project, template = resolve_target(client, first, rest or None)
    except UserError as error:
        refused = error
    if refused is not None:
        assert "\n" not in refused.sentence
        assert not isinstance(refused, Choice) or 1 <= len(refused.candidates) <= 9
        return
    fits: dict[tuple[int, int], Reading] = {}
    numbered = bool(rest) and first.isdecimal() and any(each.id == int(first) for each in client.projects())
    # the number of a project that is there is that project, and the rest its template: nothing else is a rival
    for way in [Way(first, rest)] if numbered else ways_of(first, rest or None):
        projects = {each: how for each in client.projects() if (how := way.fits_project(each)) is not None}
        for each in (each for each, how in projects.items() if how is min(projects.values())):
            for one in client.templates(each.id):
                if (how := way.fits(each, one)) is not None:
                    fits[each.id, one.id] = min(how, fits.get((each.id, one.id), how))
    taken = fits.pop((project.id, template.id))  # never by likeness alone
    bound = "/" in line or first.isdecimal()  # the project is told apart
    assert (bound and taken <= Reading.CASE) or all(how > taken for how in fits.values())
