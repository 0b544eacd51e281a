"""The console's end: what the ui thread gets, when the bot answers and when it does not."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.console.board import KEPT, Doors
from chatrixcd_threads.door import line as module
from chatrixcd_threads.door.line import GONE, Line, NoBot, Refused
from chatrixcd_threads.door.ports import Port, ports
from chatrixcd_threads.errors import UserError
from tests.unit.door.conftest import LIMIT, Attached, Open, sample, wait

Attach = Callable[[], Attached]
ASKED = [port for name, port in ports().items() if name not in KEPT]


@pytest.mark.parametrize("port", ASKED, ids=lambda port: port.name)
def test_every_door_that_is_asked_each_time(opened: Open, attach: Attach, port: Port) -> None:
    heard: list[tuple[Any, ...]] = []
    gives = sample(port.gives)

    def door(*args: Any) -> Any:
        heard.append(args)
        return gives

    exchanged: dict[str, Any] = {port.name: door}
    opened.doors = dataclasses.replace(opened.doors, **exchanged)
    remote = getattr(attach().doors, port.name)
    args = sample(port.takes)
    assert remote(*args) == gives
    assert remote(*args) == gives
    assert heard == [args, args]


@pytest.mark.parametrize("name", sorted(KEPT - {"log_lines", "answers"}))
def test_every_door_that_is_kept(opened: Open, attach: Attach, name: str) -> None:
    port = ports()[name]
    remote = getattr(attach().doors, name)
    args, gives = sample(port.takes), sample(port.gives)
    remote(*args)
    exchanged: dict[str, Any] = {name: lambda *_: gives}
    opened.doors = dataclasses.replace(opened.doors, **exchanged)
    opened.door.poke()
    wait(lambda: remote(*args) == gives, "the newest is known")


def test_the_board_is_there_at_once(opened: Open, attach: Attach) -> None:
    assert attach().doors.board() == opened.feed.now


def test_changes_wake_the_console(opened: Open, attach: Attach) -> None:
    attached = attach()
    opened.feed.now = dataclasses.replace(opened.feed.now, owed=77)
    opened.door.poke()
    assert attached.changes.acquire(timeout=LIMIT)
    wait(lambda: attached.doors.board().owed == 77, "the new board")


def test_log_lines_are_mirrored(opened: Open, attach: Attach) -> None:
    doors = attach().doors
    opened.feed.ring.extend(f"line {n}" for n in range(12_000))
    found: list[str] = []

    def all_there() -> bool:
        following, lines = doors.log_lines(len(found))
        found.extend(lines)
        assert following == len(found)
        return len(found) == 12_000

    wait(all_there, "all lines")
    assert found == [f"line {n}" for n in range(12_000)]


def test_answers_appear_where_they_were_asked(opened: Open, attach: Attach) -> None:
    tickets = {"status": "console:1", "ping": "console:2"}
    opened.doors = dataclasses.replace(opened.doors, type_command=tickets.__getitem__)
    one, two = attach().doors, attach().doors
    assert (one.type_command("status"), two.type_command("ping")) == ("console:1", "console:2")
    opened.feed.answered.update({"console:1": "fine", "console:2": "pong", "notice": "for all", "console:3": "own"})
    wait(lambda: one.answers() == (("console:1", "fine"), ("notice", "for all")), "the one")
    wait(lambda: two.answers() == (("console:2", "pong"), ("notice", "for all")), "the other")
    assert len(opened.doors.answers()) == 4  # the bot's own console


def test_a_refusal_is_the_bots_sentence(opened: Open, attach: Attach) -> None:
    def no(line: str) -> str:
        raise UserError("the lane is full")

    opened.doors = dataclasses.replace(opened.doors, type_command=no)
    with pytest.raises(UserError, match="the lane is full"):
        attach().doors.type_command("run")


def test_detaching_is_local(opened: Open, attach: Attach) -> None:
    attached = attach()
    assert attached.doors.detach is not None
    attached.doors.detach()
    assert attached.left == 1
    assert opened.feed.left == 0


def test_the_bot_goes_away_and_comes_back(opened: Open, attach: Attach) -> None:
    attached = attach()
    doors = attached.doors
    opened.feed.ring.add("before")
    wait(lambda: "before" in doors.log_lines(0)[1], "the log")
    board = doors.board()
    opened.stop()
    wait(lambda: doors.trouble() == GONE, "it is told")
    assert doors.board() == board
    with pytest.raises(UserError, match="Nothing was asked"):
        doors.type_command("run")
    assert opened.feed.typed == []
    opened.feed.ring = type(opened.feed.ring)()
    opened.doors = dataclasses.replace(opened.doors, log_lines=opened.feed.ring.since)
    opened.feed.ring.add("after")
    opened.feed.now = dataclasses.replace(board, owed=5)
    opened.start()
    wait(lambda: doors.trouble() == "", "it is back")
    wait(lambda: doors.board().owed == 5, "the new board")
    wait(lambda: "after" in doors.log_lines(0)[1], "the new log")
    assert doors.log_lines(0)[1].index("before") < doors.log_lines(0)[1].index("after")
    assert doors.type_command("run") == "T1"


def test_what_was_answered_last_still_arrives(opened: Open, attach: Attach) -> None:
    doors = [attach().doors for _ in range(3)]
    opened.feed.answered["greeting"] = "hello"
    wait(lambda: all(each.answers() for each in doors), "they look at answers")
    opened.feed.answered["farewell"] = "I am stopping for good"
    opened.stop()
    wait(lambda: all(each.trouble() == GONE for each in doors), "it has gone")
    assert [each.answers() for each in doors] == [(("greeting", "hello"), ("farewell", "I am stopping for good"))] * 3


def test_a_silent_bot_holds_the_console_up_once_and_shortly(
    opened: Open, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.1)
    doors, going = attach().doors, threading.Event()

    def stuck(line: str) -> str:
        assert going.wait(LIMIT)
        return "late"

    opened.doors = dataclasses.replace(opened.doors, type_command=stuck)
    try:
        with pytest.raises(UserError, match="may or may not"):
            doors.type_command("one")
        with pytest.raises(UserError, match="Nothing was asked"):
            doors.type_command("two")
        wait(lambda: doors.trouble() == "the bot does not answer", "it is told")
        assert doors.board() == opened.feed.now
    finally:
        going.set()
    wait(lambda: doors.trouble() == "", "it answers again")
    opened.doors = dataclasses.replace(opened.doors, type_command=lambda line: "T9")
    assert doors.type_command("three") == "T9"


def test_what_is_too_long_is_not_sent(opened: Open, attach: Attach) -> None:
    doors = attach().doors
    with pytest.raises(UserError, match="4 MiB"):
        doors.type_command("x" * 5_000_000)
    assert doors.type_command("short") == "T1"


def test_no_bot(tmp_path: Path) -> None:
    with pytest.raises(NoBot) as caught:
        Line(tmp_path / "console.sock").reach()
    for part in (str(tmp_path / "console.sock"), "-D", "-c FILE"):
        assert part in caught.value.sentence


def test_a_bot_of_another_version(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__version__", "9.9.9")
    with pytest.raises(Refused, match=r"9\.9\.9"):
        Line(opened.path).reach()


def test_a_bot_that_came_back_as_another_version_is_told(
    opened: Open, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = attach().doors
    monkeypatch.setattr(module, "__version__", "9.9.9")
    opened.stop()
    opened.start()
    wait(lambda: "9.9.9" in doors.trouble(), "it is told")


def test_doors_are_complete(attach: Attach) -> None:
    doors = attach().doors
    assert all(callable(getattr(doors, field.name)) for field in dataclasses.fields(Doors) if field.name != "log")
    assert doors.log is not None


@pytest.mark.stress
def test_many_consoles_at_once_each_get_their_own_answers(opened: Open, attach: Attach) -> None:
    opened.doors = dataclasses.replace(
        opened.doors, type_command=lambda line: f"ticket of {line}", task_output=lambda one, two: (f"{one}/{two}",)
    )
    wrong: list[str] = []

    def use(number: int, doors: Doors) -> None:
        for turn in range(300):
            said = doors.type_command(f"{number} {turn}")
            if said != f"ticket of {number} {turn}":
                wrong.append(said)
            if doors.task_output(number, turn % 7) not in ((), (f"{number}/{turn % 7}",)):
                wrong.append(f"output of {number}")
            opened.door.poke()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        users = [threading.Thread(target=use, args=(number, attach().doors)) for number in range(8)]
        for user in users:
            user.start()
        for user in users:
            user.join(LIMIT)
    finally:
        sys.setswitchinterval(before)
    assert not any(user.is_alive() for user in users)
    assert wrong == []
