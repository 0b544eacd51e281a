"""What a room is told about a followed task: that it waits for somebody, that it has stopped, how it ended."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable

from chatrixcd_threads.commands.call import Tools, command_of
from chatrixcd_threads.commands.deciding import forget_rejection, rejecter
from chatrixcd_threads.commands.declare import Ask, Wants
from chatrixcd_threads.commands.desk import how_to_answer
from chatrixcd_threads.commands.notices import ANY_ADMIN
from chatrixcd_threads.commands.output import BETWEEN_READS, READS, settled_output
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.commands.show import duration, status
from chatrixcd_threads.commands.stills import BEGUN, Stills
from chatrixcd_threads.commands.witness import CONTRADICTS, evidence, expectation
from chatrixcd_threads.events import TaskSeen
from chatrixcd_threads.journal import inbox, launches, questions
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.policy.grades import Grade, grade_of
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.evidence import PLANNED, changed_hosts
from chatrixcd_threads.semaphore.follower import GONE
from chatrixcd_threads.semaphore.gates import PARAMS_SINCE, older
from chatrixcd_threads.semaphore.launch import OVER
from chatrixcd_threads.semaphore.models import FINAL, WAITS, Task
from chatrixcd_threads.text.ansi import plain_line
from chatrixcd_threads.text.markup import Text, bold, code, lines, person, pre, text

log = logging.getLogger("chatrixcd.reports")

LAST_LINES = 12
WIDEST = 300
MOST_NAMES = 10
WAITS_SECONDS = 7 * 86_400.0  # Semaphore sets no limit
PLAN_SECONDS = 1_800.0  # how long the result of a dry run may be run for real by a yes

ODD_END = "ended"  # our word for a row that Semaphore left in another status for ever
HOSTS_GO_ON = "What it had already started on its hosts may go on."
MAY_BE_CUT = "The end of the output may be missing: Semaphore loses the last lines of scripts at times."
RUNNER_LOST = "Runner lost"
MAY_GO_ON = "Its runner was lost: the job may go on, and the state of its hosts is unknown."
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
        self._stills = Stills(tools, poster, wake_outbox)

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
        if seen.status in BEGUN:
            self._stills.begun(follow, tools)
            self._wake()

    def _moved(self, follow: Follow, seen: TaskSeen, tools: Tools) -> None:
        waits = seen.status == WAITS and follow.status != WAITS
        plan = self._plan(follow, tools) if waits else ""
        with tools.journal.write() as tx:
            if not launches.saw(tx, follow.id, seen.status):
                return
            if waits and expectation(follow).plan_only:
                return  # nobody may be asked to apply what was to be a plan only: the witness rejects it
            if seen.status in ("confirmed", "running"):  # the later answer wins (NEWER.md 1.22)
                forget_rejection(tx, follow.project_id, follow.task_id)
            if waits:
                self._announce(tx, follow, plan, tools)
            else:
                self._answered_elsewhere(tx, follow, seen.status)

    def _plan(self, follow: Follow, tools: Tools) -> str:
        """The line that sums the plan up; it may come a moment after the status (API.md 5.4)."""
        for turn in range(READS):
            if turn:
                self._pause(BETWEEN_READS)
            rows = [plain_line(row).strip() for record in tools.semaphore.output(follow.project_id, follow.task_id)
                    for row in record.output.split("\n")]  # fmt: skip
            found = [row for row in rows if PLANNED.match(row)]
            if found:
                return found[-1]
        return ""

    def _announce(self, tx: sqlite3.Connection, follow: Follow, plan: str, tools: Tools) -> None:
        """A plan waits for its answer: a question that everybody with the right may answer."""
        prefix, slot = tools.settings.bot.command_prefix, f"waits:{follow.id}"
        asked = lines(
            named(follow) + ": " + status(WAITS),
            bold(plan) if plan else "The end of its plan has not arrived in the output: read it before you answer.",
            text("The whole plan: ") + code(f"{prefix} logs {follow.task_id}"),
            text("👍 on this message or ") + code(f"{prefix} confirm {follow.task_id}") + " applies it, 👎 or "
            + code(f"{prefix} reject {follow.task_id}") + " does not.",
        )  # fmt: skip
        where = Where(slot, follow.room_id, follow.thread)
        self._poster.post(tx, where, asked, priority=Priority.RESULT, mention=(follow.person,))
        questions.ask(
            tx,
            slot=slot,
            room_id=follow.room_id,
            thread=follow.thread,
            asker=ANY_ADMIN,
            action="confirm",
            payload={
                "summary": f"the plan of task #{follow.task_id}",
                "project_id": follow.project_id,
                "task_id": follow.task_id,
            },
            command_event=slot,
            now=tools.now(),
            seconds=WAITS_SECONDS,
        )

    def _ended(self, follow: Follow, seen: TaskSeen, tools: Tools) -> None:
        told = self._gone(follow) if seen.status == GONE else self._told(follow, tools)
        with tools.journal.write() as tx:
            if not launches.told(tx, follow.id, seen.status if seen.status in (*FINAL, GONE) else ODD_END):
                return
            # Told by editing the answer to the stop, unless that answer is still to be written: it would cover this.
            edits = follow.stop_slot is not None and inbox.answered(tx, command_of(follow.stop_slot))
            slot = follow.stop_slot if follow.stop_slot is not None and edits else f"end:{follow.id}"
            where = Where(slot, follow.room_id, follow.thread, None)
            self._poster.post(tx, where, told, priority=Priority.RESULT, mention=(follow.person,))
            self._answered_elsewhere(tx, follow, seen.status)
            if all(each.done for each in launches.follows_of(tx, follow.project_id, follow.task_id)):
                forget_rejection(tx, follow.project_id, follow.task_id)
            if late := CONTRADICTS in told.plain:
                self._mismatch(tx, follow, tools)
            self._stills.over(tx, follow, seen.status)
            if seen.status == "success" and follow.stopper is None and "⛔" not in told.plain:
                self._offer(tx, follow, tools)
        if late:  # a stopped one was told to the admins at its first line
            sentence = next(row for row in told.plain.split("\n") if CONTRADICTS in row)
            tools.alarm(
                f"⛔ Task #{follow.task_id} ({follow.template_name}) did not do what was asked",
                (sentence, OVER, f"Room: {follow.room_id}"),
            )

    def _mismatch(self, tx: sqlite3.Connection, follow: Follow, tools: Tools) -> None:
        launch = launches.by_task(tx, follow.project_id, follow.task_id)
        if launch is not None:
            launches.move(tx, launch.id, "mismatch", tools.now())

    def _answered_elsewhere(self, tx: sqlite3.Connection, follow: Follow, status_now: str) -> None:
        """A plan that does not wait any more leaves no open question behind."""
        slot = f"waits:{follow.id}"
        if questions.withdraw(tx, slot):
            said = named(follow) + ": its plan does not wait for an answer any more, it is " + status(status_now) + "."
            self._poster.post(tx, Where(slot, follow.room_id, follow.thread), said, priority=Priority.STATE)

    def _offer(self, tx: sqlite3.Connection, follow: Follow, tools: Tools) -> None:
        """After a good dry run of `plan`: a yes runs exactly the same for real."""
        launch = launches.by_task(tx, follow.project_id, follow.task_id)
        payload = json.loads(launch.payload) if launch is not None and launch.payload else {}
        if launch is None or payload.get("verb") != "plan":
            return
        slot = f"plan:{follow.id}"
        real = (
            text("Shall I run exactly this for real: ")
            + bold(launch.template_name)
            + f", as planned in #{follow.task_id}?"
        )
        del payload["body"]
        payload["wanted"].pop("dry_run", None)
        payload |= {"verb": "run", "token": f"{payload['token']}r", "planned": True}
        grade = grade_of(tools.settings.bot, str(payload.get("project", "")), launch.template_name)
        asked = Ask(real, payload, Wants.NAME if grade is Grade.HIGH else Wants.YES)
        shown = lines(real, how_to_answer(asked, follow.person, PLAN_SECONDS))
        self._poster.post(tx, Where(slot, follow.room_id, follow.thread), shown, priority=Priority.RESULT)
        questions.ask(
            tx,
            slot=slot,
            room_id=follow.room_id,
            thread=follow.thread,
            asker=follow.person,
            action="run",
            payload=payload,
            command_event=command_of(follow.slot),
            now=tools.now(),
            seconds=PLAN_SECONDS,
            wants=asked.wants,
        )

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
        rejected = rejecter(tools.journal.read(), follow.project_id, follow.task_id)
        if rejected and task.status in ("error", "stopped"):
            head = named(follow) + ": " + status("rejected") + " (by " + person(rejected) + ")"
            return lines(head, whose)
        if follow.stopper is not None:
            whose = whose if follow.stopper != follow.person else Text()
            failed = self._failed(follow, tools) if task.status == "error" else Text()
            return lines(self._stopped(follow, task), failed, whose, self._changed(follow, tools), HOSTS_GO_ON)
        head = named(follow) + ": " + status(task.status)
        if task.status == "success":
            return lines(head, whose, self._evidence(follow, tools))
        stopped = follow.evidence.startswith("⛔") and follow.judged and OVER not in follow.evidence
        if stopped and task.status in ("stopped", "error"):
            # 2.10 ends a stopped task as error, and every version a rejected one (API.md 5.5, 5.6).
            return lines(named(follow) + ": " + status("stopped"), whose, "I stopped it.", follow.evidence)
        if task.status != "error":
            said = "Somebody stopped it in Semaphore." if task.status == "stopped" else odd_end(task)
            return lines(head, whose, said, follow.evidence)
        try:
            records, settled = settled_output(tools.semaphore, follow.project_id, follow.task_id, READS, self._pause)
        except SemaphoreError as error:  # the task itself could be read: how it ended is worth more than its last lines
            return lines(head, whose, f"I could not read its output: {error.sentence}")
        printed = "\n".join(plain_line(row) for record in records for row in record.output.split("\n"))
        last = [row for row in self._poster.clean(printed).split("\n") if row.strip()][-LAST_LINES:]
        shown = pre("\n".join(row[:WIDEST] for row in last)) if last else text("Semaphore has no output of it.")
        return lines(
            head,
            whose,
            evidence(follow, records, self._poster.clean),
            text("Its last lines:") + shown if last else shown,
            MAY_GO_ON if any(row.startswith(RUNNER_LOST) for row in last) else "",
            *self._doubts(task, follow, tools, settled),
        )

    def _evidence(self, follow: Follow, tools: Tools) -> Text:
        """What the whole output says about what was asked, for a task that needs no last lines."""
        if not follow.expected:
            return Text()
        try:
            records, _ = settled_output(tools.semaphore, follow.project_id, follow.task_id, READS, self._pause)
            return evidence(follow, records, self._poster.clean)
        except SemaphoreError as error:
            return text(f"Not confirmed by the log, which I could not read: {error.sentence}")

    def _changed(self, follow: Follow, tools: Tools) -> str:
        """The hosts that a stopped task had changed already, where its output tells it."""
        try:
            records = tools.semaphore.output(follow.project_id, follow.task_id)
        except SemaphoreError:
            return ""
        hosts = changed_hosts(record.output for record in records)
        more = f" and {len(hosts) - MOST_NAMES} more" if len(hosts) > MOST_NAMES else ""
        return f"Hosts changed by then: {', '.join(hosts[:MOST_NAMES])}{more}." if hosts else ""

    def _failed(self, follow: Follow, tools: Tools) -> Text:
        """Servers since 2.13 end a killed job as stopped: there one that has failed may not have been killed at all."""
        try:
            version = tools.semaphore.server_version()
        except SemaphoreError:
            version = None
        if older(version, PARAMS_SINCE):
            return Text()
        logs = code(f"{tools.settings.bot.command_prefix} logs {follow.task_id}")
        return (
            text("Semaphore calls it failed: that may have been before the stop took effect. ") + logs + " shows why."
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
