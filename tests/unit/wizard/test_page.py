"""The page about the first start names every step."""

from __future__ import annotations

from pathlib import Path

from chatrixcd_threads.wizard.steps import STEPS

PAGE = (Path(__file__).parents[3] / "docs" / "first-start.rst").read_text("utf-8")


def test_every_step_is_named_in_its_order() -> None:
    rows = [line.split()[0] for line in PAGE.splitlines() if line.startswith("``")]
    steps = [f"``{step.key}``" for step in STEPS]
    assert [row for row in rows if row in steps] == steps
