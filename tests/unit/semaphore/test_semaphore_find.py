"""From what a person types to the thing meant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.errors import NotFound, UsageError, UserError
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import Missing
from chatrixcd_threads.semaphore.find import resolve_project, resolve_template
from chatrixcd_threads.semaphore.models import Project, SurveyVar, Template
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
    ],
)
def test_what_is_found(text: str, number: int) -> None:
    assert resolve_project(Listed(NAMES), text).id == number
    template = resolve_template(Listed(NAMES), DEMO, text)
    assert template.id == number
    assert template.survey_vars  # read on its own


@pytest.mark.parametrize(
    ("text", "choices"), [("web", ["Web shop", "web server"]), ("Twin", ["“Twin” (9)", "“Twin” (10)"]), ("tw", ["(9)"])]
)
def test_what_fits_more_than_one(text: str, choices: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_template(Listed(NAMES), DEMO, text)
    assert all(choice in caught.value.sentence for choice in choices)


@pytest.mark.parametrize(
    ("text", "near"), [("web shpo", "Web shop"), ("wbe server", "web server"), ("zzzz", "There are"), ("", "There are")]
)
def test_what_is_not_there(text: str, near: str) -> None:
    with pytest.raises(NotFound, match=near):
        resolve_project(Listed(NAMES), text)
    with pytest.raises(NotFound, match=near):
        resolve_template(Listed(NAMES), DEMO, text)


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
    with pytest.raises(UsageError, match=r"Project 10” \(10\) and 19 more") as caught:
        resolve_project(Listed(many), None)
    assert "Project 11" not in caught.value.sentence
    for text in (None, "x", "1"):
        with pytest.raises(NotFound, match="no project"):
            resolve_project(Listed({}), text)
        with pytest.raises(NotFound, match="no template"):
            resolve_template(Listed({}), DEMO, text)


@settings(deadline=None, database=None)
@given(st.text() | st.sampled_from(["²", "٣", "-1", "1e3", "0x1"]))
def test_any_text_has_a_result_or_a_sentence(text: str) -> None:
    sentence = ""
    try:
        assert resolve_project(Listed(NAMES), text).id in NAMES
    except UserError as error:
        sentence = error.sentence
    assert "\n" not in sentence
