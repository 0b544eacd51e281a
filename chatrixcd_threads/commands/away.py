"""Commands that were said while nobody was there: what is answered all the same, and the one list of the rest.

Reading does no harm and is answered when it is young. A launch is asked about, with what happened meanwhile. Everything
else is never done behind somebody's back: it is listed, once for each room.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

import humanize

from chatrixcd_threads.commands.call import Call, lateness
from chatrixcd_threads.commands.declare import Command
from chatrixcd_threads.events import Incoming
from chatrixcd_threads.journal.db import get_meta, set_meta
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.models import Task, Template
from chatrixcd_threads.text.markup import Text, bullets, code, lines, person, text

READ_SECONDS: Final = 600.0  # reading commands up to this age are answered
SHOWN: Final = 20
SINCE: Final = 3


def is_past(event: Incoming, command: Command, right: Right, now: float) -> bool:
    """Whether the command is too old to be carried out by itself."""
    late = lateness(event.at, now)
    if not late:
        return False
    return late > READ_SECONDS if right is Right.SEE else not command.launches


def listed(tx: sqlite3.Connection, event: Incoming, prefix: str, life: str) -> tuple[str, Text]:
    """The slot and the new text of the room's one list, with this command in it."""
    slot = f"away:{life}:{event.room_id}"
    known = json.loads(get_meta(tx, slot) or "[]")
    known.append([event.sender, event.at, event.text[:100]])
    set_meta(tx, slot, json.dumps(known))
    rows = [
        text(f"{_clock(at)} ") + person(sender) + " " + code(f"{prefix} {said}") for sender, at, said in known[:SHOWN]
    ]
    more = f"… and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return slot, lines(
        "📭 I was not there when this was said, and did none of it:",
        bullets(rows),
        more,
        "Say it again if it is still wanted.",
    )


def meanwhile(call: Call, template: Template) -> Text:
    """For the question of a late launch: how late it is, and what this template did since. Empty when it is in time."""
    if not call.late:
        return Text()
    age = humanize.precisedelta(timedelta(seconds=call.late), minimum_unit="minutes", format="%0.0f")
    said = f"📭 You asked {age} ago, at {_clock(call.at)}; I was not there. Nothing was started."
    try:
        tasks = call.tools.semaphore.template_tasks(template.project_id, template.id, SINCE * 3)
    except SemaphoreError:
        return text(f"{said} I could not read what happened meanwhile.")
    since = [task for task in tasks if task.created is not None and task.created.timestamp() > call.at]
    if not since:
        return text(f"{said} No task of this template was started meanwhile.")
    more = f" and {len(since) - SINCE} or more others" if len(since) > SINCE else ""
    return text(f"{said} Meanwhile: {', '.join(_task(task) for task in since[:SINCE])}{more}.")


def _task(task: Task) -> str:
    who = f" by {task.user_name}" if task.user_name else ""
    return f"#{task.id}{who} ({task.status})"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M")
