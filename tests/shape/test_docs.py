"""Every page can be read as what it is: a table or a heading that a merge has torn is found here."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from docutils.core import publish_doctree

import chatrixcd_threads

TOP = Path(chatrixcd_threads.__file__).parents[1]
PAGES = sorted([*TOP.glob("*.rst"), *TOP.glob("docs/*.rst")])
WARNING = 2
TORN = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_whole(page: Path) -> None:
    complaints = io.StringIO()
    text = page.read_text("utf-8")
    publish_doctree(
        text,
        source_path=str(page),
        settings_overrides={"report_level": WARNING, "halt_level": 5, "warning_stream": complaints},
    )
    assert complaints.getvalue() == ""
    assert TORN.search(text) is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"<([^<>\s:#]+\.(?:rst|svg|txt|example))>`_", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
