"""No statement walks through a table of the journal that grows: after 10,000 launches a word is answered like on the first day."""

from __future__ import annotations

import ast
import importlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrixcd_threads.journal.db import Journal

PACKAGE = Path(__file__).parents[2] / "chatrixcd_threads"
GROWING = ("inbox", "outbox", "questions", "launches", "follows", "audit", "opened")
# What stands for names that are known only when the statement is made.
NAMES = {
    "marks": "?,?",
    "columns": "*",
    "past": "SELECT 1 FROM opened WHERE room_id = ? AND session_id = ? AND number > ?",
}
WHERE = {"inbox": "done = 0 AND seq > ?", "opened": "room_id = ? AND session_id = ?"}
# Statements that may, and why.
MAY_WALK = {
    r"FROM audit ORDER BY seq DESC LIMIT \?": "walks from the end, as far as the limit",
    r"FROM follows WHERE done = 1 ORDER BY id DESC LIMIT": "walks from the end; few tasks run at once",
    r"SELECT seq FROM opened ORDER BY seq DESC LIMIT 1 OFFSET": "walks from the end; the table is kept short by this",
    r"INSERT OR REPLACE INTO opened": "folds what has become too much, once a day",
}


def statements() -> Iterator[tuple[str, str]]:
    """(place, SQL) of everything that is executed."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "demo" in path.parts or ".execute(" not in (source := path.read_text("utf-8")):
            continue
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        known = {**NAMES, "where": WHERE.get(path.stem), **vars(importlib.import_module(module))}
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "execute":
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                if ast.unparse(node.args[0]) == "statement":  # the schema itself
                    continue
                sql = eval(compile(ast.Expression(node.args[0]), place, "eval"), dict(known))
                if re.match(r"SELECT|UPDATE|DELETE|INSERT|WITH", sql):
                    yield place, sql


STATEMENTS = list(statements())


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    made = Journal(tmp_path_factory.mktemp("queries") / "journal.sqlite3")
    yield made.read()
    made.close()


def walks(journal: sqlite3.Connection, sql: str) -> list[str]:
    """The steps of its plan that look at every row of a table that grows; an index of a few of them is none."""
    few = [
        row[0] for row in journal.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'")
    ]
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    plan = journal.execute(f"EXPLAIN QUERY PLAN {sql}", [1] * (max(numbered) if numbered else sql.count("?")))
    return [
        row[3]
        for row in plan
        if re.match(rf"SCAN (\w+\.)?({'|'.join(GROWING)})\b|SCAN \w\b", row[3])
        and not any(row[3].endswith(f" {index}") for index in few)
    ]


def test_the_statements_are_found() -> None:
    assert len(STATEMENTS) > 80


@pytest.mark.parametrize(("place", "sql"), STATEMENTS, ids=[place for place, _ in STATEMENTS])
def test_a_statement_looks_at_few_rows(journal: sqlite3.Connection, place: str, sql: str) -> None:
    if not any(re.search(allowed, sql) for allowed in MAY_WALK):
        assert walks(journal, sql) == []


def test_what_may_walk_is_still_there(journal: sqlite3.Connection) -> None:
    for allowed in MAY_WALK:
        assert any(walks(journal, sql) for _, sql in STATEMENTS if re.search(allowed, sql)), allowed


def test_a_walk_is_seen(journal: sqlite3.Connection) -> None:
    assert walks(journal, "SELECT * FROM follows WHERE person = ?")
    assert walks(journal, "SELECT * FROM questions q JOIN outbox o ON rtrim(o.slot, '+') = q.slot WHERE q.id = ?")
