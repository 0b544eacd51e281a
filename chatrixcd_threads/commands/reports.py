"""What a room is told about a followed task: that it waits for somebody, that it has stopped, how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from chatrixcd_threads.commands.call import Tools, command_of
from chatrixcd_threads.commands.output import READS, settled_output
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.commands.show import duration, status
from chatrixcd_threads.events import TaskSeen
from chatrixcd_threads.journal import inbox, launches
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.follower import GONE
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.text.markup import Text, bold, code, lines, person, pre, text

log = logging.getLogger("chatrixcd.reports")

LAST_LINES = 12
WIDEST = 300

HOSTS_GO_ON = "What it had already started on its hosts may go on."
MAY_BE_CUT = "The end of the output may be missing: Semaphore loses the last lines of scripts at times."
STILL_ARRIVING = "The output was still arriving when I read it; {logs} shows the rest."


class Reporter:
    """Any worker thread. A report is written in the same transaction that marks it as told."""

    def __init__(
        self,
        tools: Callable[[], Tools],
        poster: Poster,
        wake_outbox: Callable[[], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tools, self._poster, self._wake, self._pause = tools, poster, wake_outbox, pause

    def report(self, seen: TaskSeen) -> None:
        """Tells what the follower saw. Raises a Semaphore error when the details cannot be read now."""
        tools = self._tools()
        follow = launches.get_follow(tools.journal.read(), seen.follow_id)
        if follow is None or follow.done:
            return
        if seen.over:
            self._ended(follow, seen, tools)
        else:
            self._moved(follow, seen, tools)
        self._wake()

    def _moved(self, follow: Follow, seen: TaskSeen, tools: Tools) -> None:
        with tools.journal.write() as tx:
            if launches.saw(tx, follow.id, seen.status) and seen.status == "waiting_confirmation":
                link = f"{tools.settings.semaphore.url.rstrip('/')}/project/{seen.project_id}/history?t={seen.task_id}"
                asked = lines(
                    named(follow) + ": " + status(seen.status),
                    text("Its plan stands in the output: ")
                    + code(f"{tools.settings.bot.command_prefix} logs {seen.task_id}"),
                    f"Confirm or reject it in Semaphore: {link}",
                )
                where = Where(f"waits:{follow.id}", follow.room_id, follow.thread)
                self._poster.post(tx, where, asked, priority=Priority.RESULT, mention=(follow.person,))

    def _ended(self, follow: Follow, seen: TaskSeen, tools: Tools) -> None:
        told = self._gone(follow) if seen.status == GONE else self._told(follow, tools)
        with tools.journal.write() as tx:
            if not launches.told(tx, follow.id):
                return
            # Told by editing the answer to the stop, unless that answer is still to be written: it would cover this.
            edits = follow.stop_slot is not None and inbox.answered(tx, command_of(follow.stop_slot))
            slot = follow.stop_slot if follow.stop_slot is not None and edits else f"end:{follow.id}"
            where = Where(slot, follow.room_id, follow.thread, None)
            self._poster.post(tx, where, told, priority=Priority.RESULT, mention=(follow.person,))

    def _gone(self, follow: Follow) -> Text:
        return lines(
            named(follow) + ": " + status(GONE),
            "Semaphore does not show it to me any more: it was deleted, or I was taken out of its project. I cannot say how it ended.",
        )

    def _told(self, follow: Follow, tools: Tools) -> Text:
        task = tools.semaphore.task(follow.project_id, follow.task_id)
        took = duration(task, tools.now())
        whose = (
            text("Asked by ")
            + person(follow.person)
            + (f", it took {took}." if took else ", it never started." if task.start is None else ".")
        )
        if follow.stopper is not None:
            return lines(self._stopped(follow, task), whose if follow.stopper != follow.person else "", HOSTS_GO_ON)
        head = named(follow) + ": " + status(task.status)
        if task.status == "success":
            return lines(head, whose)
        if task.status != "error":
            return lines(
                head, whose, "Somebody stopped it in Semaphore." if task.status == "stopped" else odd_end(task)
            )
        try:
            records, settled = settled_output(tools.semaphore, follow.project_id, follow.task_id, READS, self._pause)
        except SemaphoreError as error:  # the task itself could be read: how it ended is worth more than its last lines
            return lines(head, whose, f"I could not read its output: {error.sentence}")
        last = [row for record in records for row in map(plain_line, record.output.split("\n")) if row.strip()][
            -LAST_LINES:
        ]
        shown = pre("\n".join(row[:WIDEST] for row in last)) if last else text("Semaphore has no output of it.")
        return lines(
            head, whose, text("Its last lines:") + shown if last else shown, *self._doubts(task, follow, tools, settled)
        )

    def _stopped(self, follow: Follow, task: Task) -> Text:
        by = text(" (stopped by ") + person(follow.stopper or "") + ")"
        match task.status:
            case "stopped" | "error":  # 2.10 ends a stopped task as error (API.md 5.5)
                return named(follow) + ": " + status("stopped") + by
            case "success":
                return named(follow) + ": " + status("success") + " — it ended before the stop took effect"
            case _:
                return named(follow) + ": " + status(task.status) + by + text(". " + odd_end(task))

    def _doubts(self, task: Task, follow: Follow, tools: Tools, settled: bool) -> list[str]:
        try:
            app = task.tpl_app or tools.semaphore.template(follow.project_id, task.template_id).app
        except SemaphoreError:
            app = "unknown"
        doubts = [] if app in ("", "ansible") else [MAY_BE_CUT]
        if not settled:
            doubts.append(STILL_ARRIVING.format(logs=f"{tools.settings.bot.command_prefix} logs {follow.task_id}"))
        return doubts


def named(follow: Follow) -> Text:
    """The task as it is called in every report."""
    return text("Task ") + bold(f"#{follow.task_id}") + f" {follow.template_name}"


def odd_end(task: Task) -> str:
    """A status that is not final but stays for ever, because `end` is set (API.md 5.3)."""
    return f"Semaphore leaves it as “{task.status}”, but it is over: its job has ended."
