"""The shape of the code: rules that matter, as tables. Each was chosen because breaking it once cost somebody a night."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "chatrixcd_threads"

# DESIGN section 3. A part may import itself and what stands behind it; `app` and `cli` may import everything.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "events": frozenset(),
    "text": frozenset({"errors"}),
    "threads": frozenset({"errors", "events"}),
    "settings": frozenset({"errors", "text", "threads"}),
    "journal": frozenset({"errors", "events"}),
    "policy": frozenset({"errors", "events", "settings", "journal"}),
    "semaphore": frozenset({"errors", "events", "settings", "text", "threads", "journal"}),
    "commands": frozenset({"errors", "events", "settings", "text", "threads", "journal", "policy", "semaphore"}),
    "wizard": frozenset({"errors", "settings", "threads", "semaphore"}),
    "matrix": frozenset({"errors", "events", "settings", "text", "threads", "journal", "policy", "commands", "wizard"}),
    "console": frozenset(
        {"errors", "events", "settings", "text", "threads", "journal", "policy", "semaphore", "commands", "wizard"}
    ),
    "door": frozenset({"errors", "threads", "console"}),  # of the console only what travels, and the ring of lines
    "daemon": frozenset({"errors"}),
}
FREE = frozenset({"app", "attach", "cli", "firststart", "__main__", "demo"})

# Library -> the parts that may know it. `demo` plays the other side of every door.
ONLY_IN: dict[str, frozenset[str]] = {
    "nio": frozenset({"matrix", "demo"}),
    "vodozemac": frozenset({"matrix", "demo"}),
    "aiohttp": frozenset({"matrix", "demo"}),
    "asyncio": frozenset({"matrix", "demo"}),
    "requests": frozenset({"semaphore", "demo"}),
    "urllib3": frozenset({"semaphore", "demo"}),
    "urwid": frozenset({"console"}),
    "watchdog": frozenset({"settings", "demo"}),
    "sqlite3": frozenset({"journal", "commands", "matrix", "app", "demo"}),  # for the type of a transaction
    "subprocess": frozenset({"demo"}),
    "multiprocessing": frozenset(),
}

# Where everything may be caught, and how often. A new place needs a reason that a reviewer believes.
CATCHES_ALL: dict[str, int] = {
    "threads/lanes.py": 1,  # a job may end, its worker never
    "threads/supervisor.py": 1,  # no service ends silently
    "matrix/client.py": 3,  # nio on foreign data; a payload; a sharing that must not leave a room waiting
    "matrix/sync.py": 1,  # nio raises anything when an answer is not what it expects; becomes a Retry
    "matrix/login.py": 1,  # closes the client, and raises
    "door/service.py": 1,  # a broken door is answered with a code; the other consoles go on
    "console/frame.py": 1,  # a broken view shows an error panel; the console goes on
    "journal/db.py": 1,  # rolls back, and raises
}

TOP_LEVEL = frozenset(
    {
        ".ci",
        ".gitignore",
        ".ruff.toml",
        "CHANGELOG.rst",
        "LICENSE",
        "README.rst",
        "chatrixcd_threads",
        "config",
        "docs",
        "scripts",
        "setup.cfg",
        "setup.py",
        "tests",
    }
)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def sources() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


def imports(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Everything imported, also inside functions, with its line."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.module or "", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


BOT = [path for path in sources() if part_of(path) != "demo"]
VERBS = sorted((ROOT / PACKAGE / "commands" / "verbs").glob("[!_]*.py"))


def calls_of(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, by the name that is called."""
    return ((ast.unparse(node.func), node) for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def test_imports_go_one_way() -> None:
    wrong = []
    for path in BOT:
        part = part_of(path)
        if part in FREE or path == ROOT / PACKAGE / "__init__.py":
            continue
        assert part in MAY_IMPORT, f"{part} is a new part: say in MAY_IMPORT what it may know"
        for name, line in imports(tree(path)):
            head, _, rest = name.partition(".")
            known = rest.partition(".")[0]
            if head == PACKAGE and known not in ("", "__version__", part, *MAY_IMPORT[part]):
                wrong.append(f"{name_of(path)}:{line}: {part} must not know {known}")
    assert wrong == []


def test_the_table_of_imports_has_no_circle() -> None:
    left = {part: set(behind) for part, behind in MAY_IMPORT.items()}
    while left:
        ends = [part for part, behind in left.items() if not behind & left.keys()]
        assert ends, f"a circle among {sorted(left)}"
        for part in ends:
            del left[part]


def test_a_library_is_known_in_its_place_only() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {name}"
        for path in sources()
        for name, line in imports(tree(path))
        if part_of(path) not in ONLY_IN.get(name.partition(".")[0], {part_of(path)})
    ]
    assert wrong == []


def test_threads_are_made_in_threads_only() -> None:
    makers = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "to_thread", "start_new_thread"}
    elsewhere = [path for path in BOT if part_of(path) != "threads"]
    wrong = [
        f"{name_of(path)}:{call.lineno} {name}"
        for path in elsewhere
        for name, call in calls_of(path)
        if name.rpartition(".")[2] in makers
    ]
    wrong += [name_of(p) for p in elsewhere if {n for n, _ in imports(tree(p))} & {"_thread", "concurrent.futures"}]
    assert wrong == []


def catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught)


def test_everything_is_caught_in_a_few_known_places_only() -> None:
    found = Counter(
        name_of(path)
        for path in BOT
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    )
    assert dict(found) == CATCHES_ALL


def test_no_error_is_swallowed_by_suppressing_everything() -> None:
    wrong = [
        f"{name_of(path)}:{call.lineno}"
        for path in BOT
        for name, call in calls_of(path)
        if name.rpartition(".")[2] == "suppress" and {"Exception", "BaseException"} & set(map(ast.unparse, call.args))
    ]
    assert wrong == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{name_of(path)}:{call.lineno}"
        for path in BOT
        for name, call in calls_of(path)
        if name in ("print", "input") and part_of(path) != "cli"
    ]
    assert wrong == []


def test_nobody_sleeps() -> None:
    """A thread that sleeps cannot be stopped. `time.sleep` may be a default for an injected pause, never a call."""
    wrong = [
        f"{name_of(path)}:{call.lineno}"
        for path in BOT
        for name, call in calls_of(path)
        if name in ("time.sleep", "sleep")
    ]
    assert wrong == []


def test_every_module_says_what_it_is() -> None:
    assert [name_of(path) for path in sources() if tree(path).body and not ast.get_docstring(tree(path))] == []


def test_what_is_public_says_what_it_does() -> None:
    """Functions and classes of a module. Of classes with a base, such as models, the base or the fields say it."""
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in BOT
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (isinstance(node, ast.ClassDef) and node.bases)
        and not ast.get_docstring(node)
    ]
    assert wrong == []


def test_a_file_of_verbs_declares_exactly_one_command() -> None:
    declared = {
        path.stem: [
            decorator.args[0].value
            for node in tree(path).body
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
            if isinstance(decorator, ast.Call)
            and ast.unparse(decorator.func) == "command"
            and isinstance(decorator.args[0], ast.Constant)
        ]
        for path in VERBS
    }
    assert declared == {path.stem: [path.stem] for path in VERBS}


# Calls that may take long, or that call back into code with locks of its own.
NOT_UNDER_A_LOCK = frozenset(
    {
        "join",
        "result",
        "submit",
        "put",
        "put_nowait",
        "sleep",
        "debug",
        "info",
        "warning",
        "error",
        "exception",
        "critical",
    }
)


def test_no_lock_is_held_while_waiting_logging_or_calling_out() -> None:
    wrong = []
    for path in BOT:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.With) or not any("lock" in ast.unparse(item).lower() for item in node.items):
                continue
            for call in [each for line in node.body for each in ast.walk(line) if isinstance(each, ast.Call)]:
                named = isinstance(call.func, ast.Attribute) and call.func.attr in NOT_UNDER_A_LOCK
                if named and not isinstance(call.func.value, ast.Constant):  # type: ignore[attr-defined] # ", ".join
                    wrong.append(f"{name_of(path)}:{call.lineno}: {ast.unparse(call)}")
    assert wrong == []


def test_what_travels_between_threads_is_frozen() -> None:
    for node in tree(ROOT / PACKAGE / "events.py").body:
        if not isinstance(node, ast.ClassDef) or "StrEnum" in map(ast.unparse, node.bases):
            continue
        decorators = [ast.unparse(each) for each in node.decorator_list]
        assert decorators == ["dataclass(frozen=True, slots=True)"], node.name


def test_the_top_level_holds_what_was_asked_for() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    found = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    assert found <= TOP_LEVEL


def test_tests_are_collected_from_known_folders_only() -> None:
    known = {"unit", "threads", "files", "console", "tty", "e2e", "faults", "shape", "contract", "launch"}
    found = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert found <= known


def test_unit_tests_stand_on_the_paths_of_the_package() -> None:
    parts = {path.name for path in (ROOT / PACKAGE).iterdir() if path.is_dir()}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= parts


def test_no_pattern_is_possessive() -> None:
    """`a*+` and `(?>a)` came with Python 3.11, whose first releases find too little with them: secrets went through."""
    looked = 0
    for path in sources():
        for _, call in calls_of(path):
            if ast.unparse(call.func).startswith("re.") and isinstance(call.args[0], ast.Constant):
                looked += 1
                made = str(re._parser.parse(call.args[0].value))  # type: ignore[attr-defined]
                assert "POSSESSIVE" not in made and "ATOMIC" not in made, f"{path}:{call.lineno}"  # noqa: PT018
    assert looked > 40
