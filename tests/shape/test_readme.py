"""The README shows what the demo really plays."""

from __future__ import annotations

from pathlib import Path

import pytest

import chatrixcd_threads
from chatrixcd_threads.demo.tour import STEPS, Step

README = (Path(chatrixcd_threads.__file__).parents[1] / "README.rst").read_text("utf-8")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_every_step_of_the_tour_is_in_the_transcript(step: Step) -> None:
    assert f"# {step.title}" in README
    assert step.say.partition("{")[0] in README
    assert step.react in README


def test_the_two_commands_stand_in_it() -> None:
    assert "\n   ./scripts/demo\n" in README
    assert "\n   ./scripts/test\n" in README
