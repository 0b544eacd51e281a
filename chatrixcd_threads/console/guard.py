"""Debug mode: a widget that is touched by another thread than the ui thread is an error at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import urwid

_WATCHED: Final = ("store", "fetch", "invalidate")


@contextlib.contextmanager
def only_this_thread() -> Iterator[None]:
    """Inside, every change and every drawing of a widget asserts that it happens in the calling thread.

    All of them pass urwid's canvas cache, which is global and not locked.
    """
    owner = threading.get_ident()
    cache: Any = urwid.CanvasCache
    before = {name: cache.__dict__[name] for name in _WATCHED}

    def watched(name: str) -> classmethod[Any, Any, Any]:
        function = before[name].__func__

        def call(cls: type[Any], *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != owner:
                raise AssertionError(f"a widget was touched by the thread {threading.current_thread().name}")
            return function(cls, *args, **kwargs)

        return classmethod(call)

    for name in _WATCHED:
        setattr(cache, name, watched(name))
    try:
        yield
    finally:
        for name in _WATCHED:
            setattr(cache, name, before[name])
