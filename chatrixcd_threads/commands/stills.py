"""What a room is told of tasks that Semaphore has forgotten, and of a queue that hangs; and how it is taken back.

A restart of Semaphore leaves `running` and `waiting` rows behind for ever, and a queue that died goes on answering
`pong` (API.md 5.4). Neither is told by the server: only that nothing moves.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from chatrixcd_threads.commands.call import Tools
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.events import TaskStill
from chatrixcd_threads.journal import launches, stills
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.journal.stills import UNSEEN, Hang, Still
from chatrixcd_threads.semaphore.client import MOST_TASKS
from chatrixcd_threads.semaphore.errors import Missing
from chatrixcd_threads.semaphore.models import NOT_YET_RUN, WAITS, Task
from chatrixcd_threads.semaphore.suspects import QUEUED
from chatrixcd_threads.text.markup import Text, bold, code, lines, text

log = logging.getLogger("chatrixcd.stills")

STILL_SECONDS: Final = 60.0  # a task that has not moved for so long after Semaphore was back is told
HANG_SECONDS: Final = 60.0  # and a task that waits for so long while nothing runs
BEGUN: Final = frozenset({"running", WAITS, "confirmed", "success"})
RUN: Final = frozenset({"starting", "running", WAITS, "confirmed"})
HANGS: Final = "Semaphore's queue seems to hang"
UNANSWERED: Final = "its start was taken and never answered"
NOTHING_RUNS: Final = "nothing runs that it could wait for"
ONLY_A_RESTART: Final = "Only a restart of Semaphore helps; it forgets the tasks that wait or run."


class Stills:
    """Any worker thread; all state is in the journal."""

    def __init__(self, tools: Callable[[], Tools], poster: Poster, wake_outbox: Callable[[], None]) -> None:
        self._tools, self._poster, self._wake = tools, poster, wake_outbox

    def look(self, due: TaskStill) -> None:
        """Raises a Semaphore error when it cannot be read now: a later round looks again."""
        tools = self._tools()
        follow = launches.get_follow(tools.journal.read(), due.follow_id)
        if follow is None or follow.done:
            return
        if due.back:
            self._forgotten(follow, due, tools)
        else:
            self._queue(follow, due, tools)
        self._wake()

    def begun(self, follow: Follow, tools: Tools) -> None:
        """A task of this project has started: its queue works, and others of its template do not run any more."""
        read = tools.journal.read()
        if stills.hang(read, follow.project_id) is not None:
            self._lift(follow.project_id, f"#{follow.task_id} has started", tools)
        name = (follow.project_id, follow.template_name)
        alike = [each for each in launches.followed(read) if (each.project_id, each.template_name) == name]
        others = [each for each in alike if each.task_id != follow.task_id and each.status in RUN]
        if others and not _runs_in_parallel(follow, tools):
            for other in others:
                self._overtaken(other, follow, tools)

    def over(self, tx: sqlite3.Connection, follow: Follow, status_now: str) -> None:
        """A task is over: what was said about it holds no longer."""
        known = stills.drop(tx, follow.id)
        if known is not None and known.told and not known.moved:
            said = _named(follow) + ", which I held for dead: it is " + status(status_now) + " now."
            self._poster.post(tx, _place(follow), said, priority=Priority.STATE)

    # --- a task that may be dead

    def _overtaken(self, follow: Follow, newer: Follow, tools: Tools) -> None:
        """Two tasks of one template run at once only where that is allowed: else a restart has left the older one behind."""
        known = stills.still(tools.journal.read(), follow.id)
        if known is not None and known.told:
            return
        semaphore, project = tools.semaphore, follow.project_id
        old, new = semaphore.task(project, follow.task_id), semaphore.task(project, newer.task_id)
        if old.finished or old.start is None or new.start is None or new.start <= old.start:
            return
        if old.template_id != new.template_id:
            return
        why = (
            f"Semaphore has started #{newer.task_id} of the same template after it, and never runs two of them at once. "
            "Most likely it was restarted, and has forgotten this one."
        )
        fresh = Still(follow.id, 0.0, tools.now(), told=True)
        said = lines(_named(follow) + ": " + status(old.status), why, _what_to_do(follow, tools))
        self._write(follow, fresh, said, tools)

    def _forgotten(self, follow: Follow, due: TaskStill, tools: Tools) -> None:
        known = stills.still(tools.journal.read(), follow.id)
        if known is None or known.back != due.back:
            known = Still(follow.id, due.away, due.back, told=known is not None and known.told and not known.moved)
        if known.moved:
            return
        task = tools.semaphore.task(follow.project_id, follow.task_id)
        if task.finished:
            return  # its end is told in a moment
        records = len(tools.semaphore.output(follow.project_id, follow.task_id))
        if not known.since:
            self._write(follow, replace(known, status=task.status, records=records, since=tools.now()), Text(), tools)
            hung = stills.hang(tools.journal.read(), follow.project_id)
            if hung is not None and hung.since < known.back:
                self._lift(follow.project_id, "Semaphore was away and is back", tools)
        elif (task.status, records) != (known.status, known.records):
            self._moves(follow, known, task, tools)
        elif (
            not known.told
            and tools.now() - known.since >= STILL_SECONDS
            and not _may_still_come(follow, task, known, tools)
        ):
            self._tell(follow, known, task, tools)

    def _moves(self, follow: Follow, known: Still, task: Task, tools: Tools) -> None:
        said = _named(follow) + ": " + status(task.status) + ". It moves again: Semaphore has not forgotten it."
        self._write(follow, replace(known, moved=True), said if known.told else Text(), tools)

    def _tell(self, follow: Follow, known: Still, task: Task, tools: Tools) -> None:
        doubt = (
            "A plan that waits does not move by itself: when an answer to it is refused, the task is dead, too."
            if task.status == WAITS
            else "Most likely it is dead: a Semaphore that was restarted forgets its tasks and leaves them like this for ever. "
            "If it is only silent, I take this back when it moves."
        )
        said = lines(
            _named(follow) + ": " + status(task.status),
            f"Semaphore was away from {_clock(known.away)} to {_clock(known.back)}, and the task has not moved since.",
            f"{doubt} It may keep others of its template waiting.",
            _what_to_do(follow, tools),
        )
        self._write(follow, replace(known, told=True), said, tools)

    def _write(self, follow: Follow, known: Still, said: Text, tools: Tools) -> None:
        """What is suspected, and what the room reads of it (empty: nothing new); unless the end was told meanwhile."""
        with tools.journal.write() as tx:
            now = launches.get_follow(tx, follow.id)
            if now is None or now.done:
                return
            stills.keep(tx, known)
            if said:
                self._poster.post(tx, _place(follow), said, priority=Priority.RESULT, mention=(follow.person,))
                log.warning(
                    "task %d of project %d: %s", follow.task_id, follow.project_id, said.plain.partition("\n")[0]
                )

    # --- a queue that may hang

    def _queue(self, follow: Follow, due: TaskStill, tools: Tools) -> None:
        if not due.waits:
            return
        project = follow.project_id
        known = stills.hang(tools.journal.read(), project)
        tasks = tools.semaphore.tasks(project, MOST_TASKS)
        newest = max((each.start.isoformat() for each in tasks if each.start is not None), default="")
        fresh: Hang | None = None
        if known is None:
            fresh = Hang(project, tools.now(), newest)
        elif known.newest == UNSEEN:
            fresh = replace(known, newest=newest, since=tools.now())
        elif newest > known.newest:
            self._lift(project, "a task has started", tools)
            known, fresh = None, Hang(project, tools.now(), newest)
        if fresh is not None:
            with tools.journal.write() as tx:
                if stills.hang(tx, project) == known:  # else another task of the project was looked at meanwhile
                    stills.keep_hang(tx, fresh)
        elif known is not None and self._is_hanging(follow, due, known, tasks, tools):
            self._hangs(follow, due, known, tools)

    def _is_hanging(self, follow: Follow, due: TaskStill, known: Hang, tasks: list[Task], tools: Tools) -> bool:
        """Whether it is to be told in this room now."""
        if follow.room_id in [room for _, room in known.slots] or tools.now() - due.waits < HANG_SECONDS:
            return False
        return known.unanswered or _nothing_runs(tasks, follow.project_id, tools)

    def _hangs(self, follow: Follow, due: TaskStill, known: Hang, tools: Tools) -> None:
        slot, admins = f"hang:{follow.id}:{due.waits:.0f}", tools.settings.bot.admin_room
        why = UNANSWERED if known.unanswered else NOTHING_RUNS
        waits = f"task #{follow.task_id} {follow.template_name} waits since {_clock(due.waits)}, and {why}."
        with tools.journal.write() as tx:
            if stills.hang(tx, follow.project_id) != known:
                return
            stills.keep_hang(tx, replace(known, slots=(*known.slots, (slot, follow.room_id))))
            said = lines(text(f"⛔ {HANGS}: {waits}"), ONLY_A_RESTART)
            where = Where(slot, follow.room_id, follow.thread)
            self._poster.post(tx, where, said, priority=Priority.RESULT, mention=(follow.person,))
        if not known.slots and follow.room_id != admins:
            tools.alarm(f"⛔ {HANGS}", (f"{waits[0].upper()}{waits[1:]}", ONLY_A_RESTART))

    def _lift(self, project_id: int, because: str, tools: Tools) -> None:
        """Takes back what the rooms were told, in the same messages."""
        with tools.journal.write() as tx:
            known = stills.drop_hang(tx, project_id)
            rooms = known.slots if known is not None else ()
            for slot, room in rooms:
                said = lines(
                    text(f"✅ Semaphore's queue works again: {because}."),
                    text("A task that goes on waiting was forgotten by a restart; ")
                    + code(f"{tools.settings.bot.command_prefix} stop N")
                    + " takes it out.",
                )
                self._poster.post(tx, Where(slot, room), said, priority=Priority.STATE)
        if rooms and tools.settings.bot.admin_room not in [room for _, room in rooms]:
            tools.alarm("✅ Semaphore's queue works again", (f"{because[0].upper()}{because[1:]}.",))


def hanging(connection: sqlite3.Connection) -> str:
    """For people who ask how Semaphore is: that its queue seems to hang, and since when; else empty."""
    known = stills.hanging(connection)
    if not known:
        return ""
    projects = ", ".join(str(each.project_id) for each in known)
    since = _clock(min(each.since for each in known))
    return f"Its queue seems to hang: nothing of project {projects} was seen to start since {since}. {ONLY_A_RESTART}"


def _what_to_do(follow: Follow, tools: Tools) -> Text:
    stop = code(f"{tools.settings.bot.command_prefix} stop {follow.task_id}")
    return stop + " marks it as stopped. What it had started on its hosts may go on."


def _may_still_come(follow: Follow, task: Task, known: Still, tools: Tools) -> bool:
    """A waiting task behind one that Semaphore has started since it is back: its queue may just be long."""
    if task.status != QUEUED:
        return False
    others = tools.semaphore.tasks(follow.project_id, MOST_TASKS)
    return any(_runs(each) and each.start is not None and each.start.timestamp() > known.back for each in others)


def _nothing_runs(tasks: list[Task], project_id: int, tools: Tools) -> bool:
    """In no project that the bot can see: the places of the server count for all. Those held for dead take none."""
    dead = {each.follow_id for each in stills.suspected(tools.journal.read()) if each.told}
    left = {(each.project_id, each.task_id) for each in launches.followed(tools.journal.read()) if each.id in dead}
    semaphore = tools.semaphore
    everywhere = {
        each.id: semaphore.tasks(each.id, MOST_TASKS) for each in semaphore.projects() if each.id != project_id
    }
    return not any(
        _runs(task) and (project, task.id) not in left
        for project, found in ({project_id: tasks} | everywhere).items()
        for task in found
    )


def _runs_in_parallel(follow: Follow, tools: Tools) -> bool:
    """Asked once, not for each of a thousand that run. Of a template that was deleted meanwhile nothing is said."""
    template_id = tools.semaphore.task(follow.project_id, follow.task_id).template_id
    try:
        return tools.semaphore.template(follow.project_id, template_id).allow_parallel_tasks
    except Missing:
        return True


def _runs(task: Task) -> bool:
    return not task.finished and task.status not in NOT_YET_RUN


def _named(follow: Follow) -> Text:
    return text("Task ") + bold(f"#{follow.task_id}") + f" {follow.template_name}"


def _place(follow: Follow) -> Where:
    return Where(f"still:{follow.id}", follow.room_id, follow.thread)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")
