"""From what a person types to the thing meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import Choice, NotFound, UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing
from chatrixcd_threads.semaphore.find import Reading, reading, resolve_inventory, resolve_project, resolve_template
from chatrixcd_threads.semaphore.models import Inventory, Project, SurveyVar, Template
from chatrixcd_threads.settings.model import SemaphoreSettings

NAMES = {1: "Web shop", 2: "web server", 3: "Datenbank Größe", 7: "8", 8: "eight", 9: "Twin", 10: "Twin"}
DEMO = Project(1, "Demo")


class Listed(Semaphore):
    """Has things, asks nobody."""

    def __init__(self, names: dict[int, str], hidden: dict[int, str] | None = None) -> None:
        super().__init__(SemaphoreSettings())
        self._names = names
        self._hidden = hidden or {}

    def projects(self) -> list[Project]:
        return [Project(number, name) for number, name in self._names.items()]

    def project(self, project_id: int) -> Project:
        if project_id not in self._hidden:
            raise Missing("no such project", sent=True, status=404)
        return Project(project_id, self._hidden[project_id])

    def templates(self, project_id: int) -> list[Template]:
        return [Template(number, project_id, name) for number, name in self._names.items()]

    def template(self, project_id: int, template_id: int) -> Template:
        return Template(template_id, project_id, self._names[template_id], survey_vars=(SurveyVar("env"),))

    def inventories(self, project_id: int) -> list[Inventory]:
        return [Inventory(number, name) for number, name in self._names.items()]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (" 2 ", 2),
        ("Web shop", 1),
        ("WEB SHOP", 1),
        ("web sh", 1),
        ("Web se", 2),
        ("datenbank GRÖSSE", 3),
        ("d", 3),
        ("8", 8),  # an id goes before a name
        ("eig", 8),
        ("web   SHOP", 1),
        ("shop web", 1),  # all its words, in any order
        ("gr da", 3),  # each the beginning of one
        ("server", 2),
    ],
)
def test_what_is_found(text: str, number: int) -> None:
    assert resolve_project(Listed(NAMES), text).id == number
    template = resolve_template(Listed(NAMES), DEMO, text)
    assert template.id == number
    assert template.survey_vars  # read on its own


@pytest.mark.parametrize(
    ("typed", "name", "how"),
    [
        ("5", "Deploy", Reading.NUMBER),
        ("Deploy", "Deploy", Reading.NAME),
        ("dEPLOY", "Deploy", Reading.CASE),
        ("ｄｅｐｌｏｙ", "Deploy", Reading.CASE),
        ("dep", "Deploy prod", Reading.BEGINNING),
        ("web/dep", "web/deploy", Reading.BEGINNING),
        ("prod dep", "Deploy prod", Reading.WORDS),
        ("prod", "deploy-web_prod", Reading.WORDS),
        ("release 2", "Release of 2024", Reading.WORDS),
        # What does not fit.
        ("prd", "prod", None),
        ("ploy", "Deploy", None),
        ("deploy now", "Deploy", None),
        ("web/prod", "prod of web", None),  # a slash divides, it is no blank
        ("20", "2024 release", None),  # a number is an id or the whole name, never a part of one
        ("20 24", "24 hours, 20 minutes", None),
        ("", "Deploy", None),
        (" - ", "Deploy", None),
        ("²", "2 nodes", None),
    ],
)
def test_readings(typed: str, name: str, how: Reading | None) -> None:
    assert reading(typed, 5, name) is how


@pytest.mark.parametrize(
    ("text", "choices"), [("web", [1, 2]), ("Twin", [9, 10]), ("tw", [9, 10]), ("e s", []), ("w s", [1, 2])]
)
def test_what_fits_more_than_one_is_asked(text: str, choices: list[int]) -> None:
    wanted: list[Callable[[], object]] = [
        lambda: resolve_project(Listed(NAMES), text),
        lambda: resolve_template(Listed(NAMES), DEMO, text),
        lambda: resolve_inventory(Listed(NAMES), 1, text),
    ]
    for resolve in wanted:
        with pytest.raises(Choice if choices else NotFound) as caught:
            resolve()
        assert not choices or "fits more than one" in caught.value.sentence
        assert [each.id for each in getattr(caught.value, "candidates", ())] == choices


@pytest.mark.parametrize(
    ("text", "near"),
    [("web shpo", "Web shop"), ("wbe server", "web server"), ("srever web", "web server"), ("eigth", "eight")],
)
def test_what_is_only_nearly_right_is_asked_the_likeliest_first(text: str, near: str) -> None:
    with pytest.raises(Choice, match="There is no project") as caught:
        resolve_project(Listed(NAMES), text)
    assert caught.value.candidates[0].name == near
    with pytest.raises(Choice, match="There is no template"):
        resolve_template(Listed(NAMES), DEMO, text)


@pytest.mark.parametrize("text", ["zzzz", "", "55", "🎉"])
def test_what_is_not_there_names_the_nearest_three(text: str) -> None:
    with pytest.raises(NotFound, match="The nearest: ") as caught:
        resolve_project(Listed(NAMES), text)
    assert caught.value.sentence.count("” (") == 3
    with pytest.raises(NotFound, match=r"in project “Demo”.*The nearest: ") as caught:
        resolve_template(Listed(NAMES), DEMO, text)
    assert caught.value.sentence.count("“Demo / ") == 3


def test_a_number_that_is_a_name() -> None:
    assert resolve_project(Listed({7: "8"}), "8").id == 7


def test_a_number_beyond_the_list_is_asked_for() -> None:
    assert resolve_project(Listed(NAMES, {500: "Far"}), "500").name == "Far"
    with pytest.raises(NotFound):
        resolve_project(Listed(NAMES), "501")
    with pytest.raises(NotFound):
        resolve_project(Listed(NAMES), "9" * 5000)


def test_without_a_name() -> None:
    assert resolve_project(Listed({4: "Only"}), None).id == 4
    assert resolve_template(Listed({4: "Only"}), DEMO, None).id == 4
    many = {number: f"Project {number}" for number in range(1, 30)}
    with pytest.raises(Choice, match=r"Project 9” \(9\) and 20 more") as caught:
        resolve_project(Listed(many), None)
    assert "Project 10" not in caught.value.sentence
    assert (len(caught.value.candidates), caught.value.more) == (9, 20)
    for text in (None, "x", "1"):
        with pytest.raises(NotFound, match="no project"):
            resolve_project(Listed({}), text)
        with pytest.raises(NotFound, match="no template"):
            resolve_template(Listed({}), DEMO, text)


@settings(deadline=None, database=None)
@given(st.text() | st.sampled_from(["²", "٣", "-1", "1e3", "0x1", "0\x1f", " 0 "]))
def test_any_text_has_a_result_or_a_sentence(text: str) -> None:
    sentence = ""
    try:
        assert resolve_project(Listed(NAMES), text).id in NAMES
    except UserError as error:
        sentence = error.sentence
    assert "\n" not in sentence
