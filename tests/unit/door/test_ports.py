"""Every door of the console travels: its types, whatever they are, survive the way there and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest

from chatrixcd_threads.console.board import KEPT, LOCAL, Doors
from chatrixcd_threads.door import ports as module
from chatrixcd_threads.door.frames import Junk, pack
from chatrixcd_threads.door.ports import Port, fingerprint, ports
from tests.unit.door.conftest import sample


@pytest.mark.parametrize("port", ports().values(), ids=lambda port: port.name)
def test_what_a_door_takes_and_gives_can_travel(port: Port) -> None:
    args, result = sample(port.takes), sample(port.gives)
    assert port.args(pack(args)) == args
    assert port.result(pack(result)) == result


def test_all_doors_but_the_local_ones_travel() -> None:
    local = {field.name for field in dataclasses.fields(Doors) if field.metadata == LOCAL}
    assert ports().keys() == {field.name for field in dataclasses.fields(Doors)} - local
    assert local >= {"detach", "trouble"}


def test_doors_that_are_kept_can_be_empty() -> None:
    """Before the first answer the console gets an empty tuple for them; the board is fetched before it is shown."""
    for name in KEPT - {"board"}:
        assert str(ports()[name].gives).startswith("tuple["), name


def test_a_new_door_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Deeper:
        text: str

    more = ports() | {"stack_of": Port("stack_of", tuple[str], Deeper)}
    before = fingerprint()
    monkeypatch.setattr(module, "ports", lambda: more)
    changed = module.fingerprint.__wrapped__()
    assert changed != before
    Deeper.__annotations__["text"] = int
    assert module.fingerprint.__wrapped__() == module.fingerprint.__wrapped__()


@pytest.mark.parametrize("kind", [Callable[..., str], str, object])
def test_a_door_that_cannot_travel_is_told(kind: object) -> None:
    with pytest.raises(TypeError, match=r"Doors\.odd"):
        module._port("odd", kind)


def test_wrong_arguments_are_junk() -> None:
    port = ports()["task_output"]
    for raw in (pack(("1", 2)), pack((1,)), pack({}), msgspec.Raw(b"\xc1")):
        with pytest.raises(Junk):
            port.args(raw)


def test_half_surrogates_arrive_as_question_marks() -> None:
    port = ports()["answers"]
    assert port.result(pack((("T1", "a\ud800b"),))) == (("T1", "a?b"),)
