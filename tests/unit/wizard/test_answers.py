"""Answers from a file: how they are written, one sentence for each problem, and nothing made after the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.errors import ConfigError, UserError
from chatrixcd_threads.wizard.answers import Outcome, answer_all, load
from chatrixcd_threads.wizard.draft import Draft
from tests.unit.wizard.fakes import ANN, BOT, GOOD, PASSWORD, SEMAPHORE, TOKEN, World

LEAST = {"user_id": BOT, "password": PASSWORD, "semaphore_url": SEMAPHORE, "semaphore_token": TOKEN, "owner": ANN}

EMPTY = Draft(may_start=False)


def given(content: Any, **environment: str) -> dict[str, str]:
    return load("-", content if isinstance(content, str) else json.dumps(content), environment)


def answered(world: World, answers: dict[str, str], draft: Draft = EMPTY) -> Outcome:
    return answer_all(draft, answers, world.doors, lambda line: None)


def test_comments_and_secrets_from_elsewhere(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    text = f"""{{
        // what people may see
        "user_id": "{BOT}",
        "password": {{"env": "BOT_PASSWORD"}},
        "semaphore_token": {{"file": "{secret}"}},
        "write": true, "_note": 5, "prefix": null,
    }}"""
    found = given(text, BOT_PASSWORD=PASSWORD)
    assert found == {
        "user_id": BOT,
        "password": PASSWORD,
        "semaphore_token": TOKEN,
        "write": "yes",
        "claim": "later",
    }


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(LEAST))
    assert load(str(path), environment={})["owner"] == ANN
    with pytest.raises(ConfigError, match="no such file"):
        load(str(tmp_path / "none.json"))


def test_every_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    text = (
        '{\n"usr_id": "x",\n"password": {"env": "NOT_THERE"},\n"owner": 5,\n"prefix": {"cmd": "rm"},\n'
        '"semaphore_token": {"file": "/not/there"},\n"nothing_like_it": 1}'
    )
    with pytest.raises(ConfigError) as caught:
        given(text)
    lines = caught.value.sentence.splitlines()
    assert len(lines) == 6
    for line, word in zip(
        lines,
        ("did you mean user_id", "NOT_THERE is not set", "owner: expected", "prefix", "No such", "unknown"),
        strict=True,
    ):
        assert word in line
    assert [line.split(":")[0] for line in lines] == [f"- line {number}" for number in range(2, 8)]


def test_the_least_that_suffices() -> None:
    world = World()
    outcome = answered(world, given(LEAST))
    assert outcome.problems == ()
    assert outcome.draft.written
    assert outcome.draft.owner == ANN
    assert not any(call.startswith("wait") for call in world.matrix.calls)


def test_with_the_claim() -> None:
    world = World()
    assert answered(world, given({**GOOD, "start": "no"})).draft.claimed


def test_all_problems_are_told_and_nothing_is_made() -> None:
    world = World()
    answers = {**LEAST, "password": "wrong", "semaphore_token": "", "owner": "ann"}
    outcome = answered(world, given(answers))
    assert [sentence.split(":")[0] for sentence in outcome.problems] == ["password", "semaphore_token", "owner"]
    assert not any(call.startswith(("make", "wait")) for call in world.matrix.calls)
    assert world.written == []


def test_what_needs_a_failed_step_is_left_out() -> None:
    world = World()
    world.matrix.problems["look"] = [UserError("No connection.")]
    outcome = answered(world, given(LEAST))
    assert outcome.problems == ("homeserver: No connection.",)
    assert not any(call.startswith("log_in") for call in world.matrix.calls)
    assert len(world.semaphore.asked) == 2


def test_a_file_that_exists_needs_a_yes() -> None:
    world, there = World(), Draft(exists=True, may_start=False)
    (problem,) = answered(world, given(LEAST), there).problems
    assert '"write": "yes"' in problem
    assert world.matrix.calls == []
    assert answered(world, given({**LEAST, "write": "yes"}), there).draft.written
