"""The witness: holds the first output of a task against what was asked for, and stops it at the first contradiction.

The server's answer only shows what was asked (DESIGN 6); its log is the only witness, and an unreliable one: where it says
nothing, the room reads exactly that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import msgspec

from chatrixcd_threads.commands.call import Tools
from chatrixcd_threads.commands.post import Poster, Where
from chatrixcd_threads.events import OutputDue
from chatrixcd_threads.journal import audit, launches
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Tx
from chatrixcd_threads.journal.launches import Follow
from chatrixcd_threads.journal.outbox import Priority
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.semaphore.evidence import Expected, Verdict, judge, may_turn
from chatrixcd_threads.semaphore.launch import OVER
from chatrixcd_threads.semaphore.models import WAITS, Line
from chatrixcd_threads.semaphore.stopping import stop_when_started
from chatrixcd_threads.text.markup import Text, bold, code, lines, person, text

log = logging.getLogger("chatrixcd.witness")

ENOUGH_RECORDS = 10_000  # a longer log is too much to be read every few seconds; at the end all of it is looked at
LONGEST = 300  # characters of a contradiction
CONTRADICTS = "⛔ Its log contradicts what was asked: "


class Witness:
    """Any worker thread."""

    def __init__(self, tools: Callable[[], Tools], poster: Poster, wake_outbox: Callable[[], None]) -> None:
        self._tools, self._poster, self._wake = tools, poster, wake_outbox

    def look(self, due: OutputDue) -> None:
        """Reads the output so far. Raises a Semaphore error when it cannot be read now: the next round looks again."""
        tools = self._tools()
        follow = launches.get_follow(tools.journal.read(), due.follow_id)
        if follow is None or follow.done or follow.judged:
            return
        if follow.evidence.startswith("⛔"):  # known already, and not stopped yet
            self._contradicted(follow, Verdict(against=follow.evidence.removeprefix("⛔ ").removesuffix(".")), tools)
            return
        records = tools.semaphore.output(follow.project_id, follow.task_id)
        expected = expectation(follow)
        verdict = safe(weigh(follow, records), self._poster.clean)
        if expected.plan_only and not verdict.against:
            verdict = self._asks(follow, verdict, tools)
        if verdict.against:
            self._contradicted(follow, verdict, tools)
        elif not may_turn(expected, verdict) or len(records) >= ENOUGH_RECORDS:
            with tools.journal.write() as tx:
                launches.judged(tx, follow.id, told(verdict), settled=True)

    def _asks(self, follow: Follow, verdict: Verdict, tools: Tools) -> Verdict:
        """A task that was to end after its plan must not ask whether it may apply it."""
        if tools.semaphore.task(follow.project_id, follow.task_id).status != WAITS:
            return verdict
        return Verdict(against="it waits to apply its plan, although only a plan was asked for")

    def _contradicted(self, follow: Follow, verdict: Verdict, tools: Tools) -> None:
        """The stop goes first: a crash after it finds the task stopped and tells it then. The next look tries a failed one again."""
        stopping, done = self._stop(follow, tools)
        again = follow.evidence.startswith("⛔")
        if again and not done:
            return
        sentence = f"{verdict.against}."
        said = lines(
            text("⛔ Task ") + bold(f"#{follow.task_id}") + f" {follow.template_name} does not do what was asked: ",
            sentence,
            stopping,
            text("Asked by ") + person(follow.person) + ". Its output: "
            + code(f"{tools.settings.bot.command_prefix} logs {follow.task_id}"),
        )  # fmt: skip
        with tools.journal.write() as tx:
            over = f" {OVER}" if stopping == OVER else ""
            if not launches.judged(tx, follow.id, f"⛔ {sentence}{over}", settled=done):
                return
            if not again:
                self._note(tx, follow, verdict, tools)
            where = Where(f"against:{follow.id}", follow.room_id, follow.thread)
            self._poster.post(tx, where, said, priority=Priority.RESULT, mention=(follow.person,))
        log.error("task %d does not do what was asked: %s", follow.task_id, sentence)
        tools.alarm(
            f"⛔ Task #{follow.task_id} ({follow.template_name}) {'was stopped' if done else 'must be stopped'}",
            (sentence, stopping, f"Room: {follow.room_id}"),
        )
        self._wake()

    def _note(self, tx: Tx, follow: Follow, verdict: Verdict, tools: Tools) -> None:
        launch = launches.by_task(tx, follow.project_id, follow.task_id)
        if launch is not None:
            launches.move(tx, launch.id, "mismatch", tools.now())
        audit.note(
            tx,
            Deed.MISMATCH,
            who=follow.person,
            room_id=follow.room_id,
            subject=f"#{follow.task_id} {follow.template_name}",
            detail=verdict.against,
            now=tools.now(),
        )

    def _stop(self, follow: Follow, tools: Tools) -> tuple[str, bool]:
        """What became of the stop, and whether it was sent or not needed.

        Looks first: a stop would rewrite the result of a finished task (API.md 5.5).
        """
        try:
            task = tools.semaphore.task(follow.project_id, follow.task_id)
            if task.finished:
                return OVER, True
            if task.status == WAITS:  # a stop would hang there on older servers (NEWER.md 1.12)
                tools.semaphore.reject(follow.project_id, follow.task_id)
                return "I rejected the plan. Nothing of it is applied.", True
            if stop_when_started(tools.semaphore, follow.project_id, task).finished:
                return OVER, True
        except SemaphoreError as error:
            return f"I could not stop it: {error.sentence} I go on trying. Stop it in Semaphore if you can.", False
        return "I asked Semaphore to stop it at once. What it has started on its hosts may go on.", True


def weigh(follow: Follow, records: list[Line]) -> Verdict:
    """The verdict on a followed task, as far as these records go."""
    return judge(expectation(follow), (record.output for record in records))


def expectation(follow: Follow) -> Expected:
    """What the output of a followed task must show."""
    return msgspec.json.decode(follow.expected.encode(), type=Expected) if follow.expected else Expected()


def told(verdict: Verdict) -> str:
    """The verdict as the room reads it at the end."""
    if verdict.against:
        return f"{CONTRADICTS}{verdict.against}."
    said = [f"The log shows it as asked: {', '.join(verdict.shown)}."] if verdict.shown else []
    if verdict.silent:
        said.append(f"Not confirmed by the log: {', '.join(verdict.silent)}.")
    return " ".join(said)


def safe(verdict: Verdict, clean: Callable[[str], str]) -> Verdict:
    """A line of an output may hold secrets. They go before it is cut, journaled and told."""
    return replace(verdict, against=clean(verdict.against)[:LONGEST])


def evidence(follow: Follow, records: list[Line], clean: Callable[[str], str]) -> Text:
    """For the report of an end: judged once more, over the whole output. Nothing where nothing special was asked."""
    if follow.evidence.startswith("⛔"):
        return text(follow.evidence)
    if not follow.expected:
        return Text()
    return text(told(safe(weigh(follow, records), clean)))
