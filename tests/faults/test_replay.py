"""A homeserver that hands out an old ciphertext again, as if it had just been said."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from .conftest import Rig
from .proxy import edits

pytestmark = pytest.mark.e2e

SYNC = r"GET .*/sync"


def timeline(answer: Any, room: str) -> list[Any]:
    joined = answer.get("rooms", {}).get("join", {})
    events: list[Any] = joined.get(room, {}).get("timeline", {}).get("events", [])
    return events


def test_an_old_command_under_a_new_event_id_is_refused_after_a_restart(rig: Rig) -> None:
    rig.start()
    room = rig.room()
    rig.ask(room)
    heard: list[Any] = []

    def listen(answer: Any) -> Any:
        heard.extend(copy.deepcopy(timeline(answer, room)))
        return answer

    rule = rig.proxy.on(SYNC, edits(listen))
    rig.proxy.cut_polls()
    command = rig.boss.send(room, "!cd help")
    rig.answer(room, command)
    rig.proxy.off(rule)
    (old,) = [event for event in heard if event["event_id"] == command]
    assert old["type"] == "m.room.encrypted"

    def repeat(answer: Any) -> Any:
        timeline(answer, room)[:0] = [old | {"event_id": "$repeated", "unsigned": {}}]
        return answer

    rig.bot.kill9()
    fence = rig.boss.send(room, "!cd admins")  # so that the first answer after the restart has a timeline
    rule = rig.proxy.on(SYNC, edits(repeat), times=1)
    rig.bot.start()
    rig.answer(room, fence)
    assert rule.used == 1
    rig.ask(room)
    assert rig.answers(room, "$repeated") == []
    assert len(rig.answers(room, command)) == 1
    assert "$repeated of " in rig.bot.log(this_life=True)
