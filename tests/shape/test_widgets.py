"""No widget is touched outside the ui thread: who may hold one, and what other threads may do, read from the code.

The same is asserted at run time by `console/guard.py`, in the terminal tests and under `python -X dev`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import pytest

from tests.shape.test_shape import PACKAGE, ROOT, imports, name_of, sources, tree

CONSOLE = f"{PACKAGE}.console"
# Modules that hold widgets -> the modules that may import them; the rest of the bot has the service, the ring and the doors.
HOLDS_WIDGETS: dict[str, tuple[str, ...]] = {
    "bar": ("console/frame.py",),
    "frame": ("console/service.py",),
    "guard": ("console/service.py",),
    "pane": ("console/frame.py", "console/pages.py", "console/reader.py", "console/views/"),
    "reader": ("console/frame.py", "console/views/"),
    "screen": ("console/service.py",),
    "views": ("console/frame.py", "console/views/"),
}
WIDGETS = frozenset({"_loop", "_frame"})  # of the service
# What other threads and signal handlers may call of the service.
FROM_OUTSIDE = frozenset({"poke", "logged", "restyle", "wake", "on_resize", "on_suspend", "on_resume", "on_hangup"})
FROM_MAIN = frozenset({"take_signals"})  # once, before the ui thread starts
ALSO_RUN = frozenset({"_ring"})  # what those call
CARRIES_OVER = frozenset({"Thread", "Timer", "submit", "apply_async", "run_in_executor", "call_soon_threadsafe"})


def wrong_imports(files: Iterable[tuple[str, ast.Module]]) -> list[str]:
    """Modules that know a module with widgets and must not."""
    return [
        f"{place}:{line} knows {name}"
        for place, module in files
        for name, line in imports(module)
        for part, known_by in HOLDS_WIDGETS.items()
        if (name == f"{CONSOLE}.{part}" or name.startswith(f"{CONSOLE}.{part}."))
        and not place.startswith((*known_by, f"console/{part}"))
    ]


def wrong_calls(service: ast.ClassDef) -> list[str]:
    """Public functions of the service that are not known, and statements in those for all threads that do more than set flags."""
    methods = {each.name: each for each in service.body if isinstance(each, ast.FunctionDef)}
    public = {name for name in methods if not name.startswith("_")} - {"run"}
    found = [f"{name} is new: may other threads call it?" for name in sorted(public ^ FROM_OUTSIDE ^ FROM_MAIN)]
    for name in sorted((FROM_OUTSIDE | FROM_MAIN | ALSO_RUN) & methods.keys()):
        found += [f"{name}: {ast.unparse(each)}" for each in statements(methods[name]) if not harmless(each)]
        found += [f"{name} touches {attribute}" for attribute in attributes(methods[name]) if attribute in WIDGETS]
    return found


def statements(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    return (each for each in ast.walk(function) if isinstance(each, ast.stmt) and each is not function)


def attributes(node: ast.AST) -> Iterator[str]:
    return (each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute))


def harmless(statement: ast.stmt) -> bool:
    """A docstring, a flag that is set, a look at a flag, or the ringing of the pipe."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return ast.unparse(function) in ("self._ring", "os.write", "signal.signal")
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))], value=ast.Constant(value=True)):
            return True
        case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(value=ast.Name(id="self")))):
            return True
        case ast.With(items=[ast.withitem(context_expr=call)]):
            return ast.unparse(call) == "contextlib.suppress(BlockingIOError)"
    return False


def carried_over(files: Iterable[tuple[str, ast.Module]]) -> list[str]:
    """Calls that would run something of a module with widgets in another thread."""
    return [
        f"{place}:{node.lineno} {ast.unparse(node.func)}"
        for place, module in files
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CARRIES_OVER
    ]


def all_files() -> list[tuple[str, ast.Module]]:
    return [(name_of(path), tree(path)) for path in sources()]


def with_widgets() -> list[tuple[str, ast.Module]]:
    """The modules that hold widgets, found by what they import."""
    marks = ("urwid", *(f"{CONSOLE}.{part}" for part in HOLDS_WIDGETS))
    return [(place, module) for place, module in all_files() if any(n.startswith(marks) for n, _ in imports(module))]


def console_class(source: str) -> ast.ClassDef:
    return next(each for each in ast.parse(source).body if isinstance(each, ast.ClassDef) and each.name == "Console")


SERVICE = (ROOT / PACKAGE / "console" / "service.py").read_text("utf-8")


def test_only_the_ui_knows_modules_with_widgets() -> None:
    assert wrong_imports(all_files()) == []


def test_other_threads_only_set_flags() -> None:
    assert wrong_calls(console_class(SERVICE)) == []


def test_nothing_with_widgets_goes_to_another_thread() -> None:
    assert {"console/service.py", "console/frame.py", "console/pane.py"} <= {place for place, _ in with_widgets()}
    assert carried_over(with_widgets()) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("app.py", "from chatrixcd_threads.console.frame import Frame"),
        ("matrix/sync.py", "import chatrixcd_threads.console.views.log"),
        ("console/office.py", "from chatrixcd_threads.console.pane import Pane"),
        ("console/surface.py", "def later():\n    from chatrixcd_threads.console import screen"),
    ],
)
def test_a_wrong_import_would_be_found(place: str, source: str) -> None:
    assert wrong_imports([(place, ast.parse(source))]) != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self._resized = True", "self._resized = True\n        self._frame.resized()"),
        ("self._suspend = True", "self._suspend = self._loop"),
        ("self._dirty = True", "self._dirty = True\n            self._draw()"),
        ("    def wake(self)", "    def redraw(self) -> None:\n        self._draw()\n\n    def wake(self)"),
        ("def on_hangup", "def _on_hangup"),
    ],
)
def test_a_service_that_does_more_would_be_found(old: str, new: str) -> None:
    assert old in SERVICE
    assert wrong_calls(console_class(SERVICE.replace(old, new, 1))) != []


@pytest.mark.parametrize(
    "source",
    [
        "lanes.submit(Job(1, 'x', pane.go))",
        "threading.Thread(target=frame.refresh)",
        "loop.call_soon_threadsafe(view.draw)",
    ],
)
def test_a_widget_in_another_thread_would_be_found(source: str) -> None:
    assert carried_over([("console/frame.py", ast.parse(source))]) != []
