"""Stacks, codes and names of threads."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from chatrixcd_threads.threads.diagnose import all_stacks, names_of_threads, new_code, stack_named, stack_of
from chatrixcd_threads.threads.service import Service, name_thread

LIMIT = 30.0


def wait_here(begun: threading.Event, gate: threading.Event) -> None:
    begun.set()
    assert gate.wait(LIMIT)


def test_the_stack_of_a_waiting_thread_shows_where_it_waits() -> None:
    begun, gate = threading.Event(), threading.Event()
    thread = threading.Thread(target=wait_here, args=(begun, gate), name="waiter")
    thread.start()
    assert begun.wait(LIMIT)
    assert "wait_here" in stack_of(thread.ident)
    assert any("wait_here" in line for line in stack_named("waiter"))
    assert thread.ident is not None
    assert names_of_threads()[thread.ident] == "waiter"
    report = all_stacks()
    assert "--- waiter ---" in report
    assert "--- MainThread ---" in report
    gate.set()
    thread.join(LIMIT)
    assert stack_of(thread.ident) == ""
    assert stack_named("waiter") == ()


def test_a_thread_that_never_was_has_no_stack() -> None:
    assert stack_of(None) == ""


def test_codes_differ() -> None:
    assert len({new_code() for _ in range(100)}) == 100


def test_the_operating_system_sees_the_name() -> None:
    seen: list[str] = []

    def live() -> None:
        name_thread("a name that is longer than fifteen bytes, and é")
        seen.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().removesuffix("\n"))

    thread = threading.Thread(target=live)
    thread.start()
    thread.join(LIMIT)
    assert seen == ["a name that is "]


def test_a_service_must_say_what_it_does() -> None:
    try:
        Service().run(threading.Event(), lambda: None)
    except NotImplementedError:
        return
    raise AssertionError("an empty service ran")


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_the_frames_are(monkeypatch: pytest.MonkeyPatch, collects: bool) -> None:
    """Python holds a lock there that each beginning thread needs; callbacks of a collection let those run, for ever."""
    looked: list[bool] = []
    frames = sys._current_frames

    def looking() -> dict[int, FrameType]:
        looked.append(gc.isenabled())
        return frames()

    monkeypatch.setattr(sys, "_current_frames", looking)
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        assert "test_no_garbage" in stack_of(threading.get_ident())
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()
    assert looked == [False]
