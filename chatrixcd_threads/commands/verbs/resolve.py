"""`resolve`: settles a launch in doubt, once somebody has found out whether its task was started."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Answer, Arg, Ask, Reply, command
from chatrixcd_threads.commands.post import Also, Where
from chatrixcd_threads.commands.show import status
from chatrixcd_threads.errors import NotFound, UsageError, UserError
from chatrixcd_threads.journal import audit, launches, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.semaphore.launch import STALE, carries
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.text.markup import Text, bold, code, lines, person, text

SHOWN = 5  # launches in doubt that an answer names


@command(
    "resolve",
    "settles a launch of which I do not know whether Semaphore has started it",
    example="resolve 1a2b3c4d started 42",
    right=Right.MANAGE,
    deed="settle launches in doubt",
    args=(
        Arg("token", "the launch's token, as I have told it", required=True),
        Arg("outcome", "what you found in Semaphore", required=True, choices=("started", "not-started")),
        Arg("task", "the number of its task, when it was started"),
    ),
)
def resolve(call: Call) -> Answer:
    """Looks at the task first. One whose message lacks the token is taken only after a question."""
    launch = _doubtful(call, call.values["token"].strip("[]"))
    named = call.values.get("task", "")
    if call.values["outcome"] == "not-started":
        if named:
            raise UsageError(f"I did nothing: a launch that was not started has no task. What is “{named}”?")
        return _settle(call, launch, None, "")
    number = named.removeprefix("#")
    if not number.isdecimal() or len(number) > 18:
        raise UsageError(
            f"I did nothing: which task? Usage: {call.prefix} resolve {launch.token} started 42. "
            f"Its message in Semaphore contains {launch.token}."
        )
    task = _task(call, launch, int(number))
    if carries(task, launch.token):
        return _settle(call, launch, task, "Its message ends with the token.")
    return Ask(
        lines(
            text("The message of task ")
            + bold(f"#{task.id}")
            + " does not end with the token "
            + code(launch.token)
            + ".",
            f"It says: {task.message[:200]}" if task.message else "It has no message.",
            text("Is it the task of ") + bold(launch.template_name) + f", asked for by {launch.sender}, all the same?",
        ),
        {"summary": f"task #{task.id} for the launch {launch.token}", "token": launch.token, "task": task.id},
    )


@resolve.confirmed
def take(call: Call, payload: Mapping[str, object]) -> Reply:
    """The task is taken although its message does not end with the token."""
    launch = _doubtful(call, str(payload["token"]))
    task = _task(call, launch, int(str(payload["task"])))
    return _settle(call, launch, task, "Its message does not end with the token.")


def _doubtful(call: Call, token: str) -> Launch:
    """A launch whose handling was given up is left where it was: after a while nobody sends it any more."""
    launch = launches.by_token(call.tools.journal.read(), token)
    if launch is None:
        waiting = [each for each in launches.unsettled(call.tools.journal.read()) if each.state == "doubt"]
        named = ", ".join(f"{each.token} ({each.template_name})" for each in waiting[:SHOWN])
        some = f"In doubt: {named}." if waiting else "None is in doubt."
        raise NotFound(f"I did nothing: I know no launch with the token “{token}”. {some}")
    if launch.state == "sending" and call.tools.now() - launch.changed_at <= STALE:
        raise UserError(f"I did nothing: I am just sending the launch {token}. Its answer will say what became of it.")
    if launch.state not in ("doubt", "sending"):
        task = f" (task #{launch.task_id})" if launch.task_id is not None else ""
        raise UserError(f"I did nothing: the launch {token} is not in doubt, it is “{launch.state}”{task}.")
    return launch


def _task(call: Call, launch: Launch, number: int) -> Task:
    task = call.tools.semaphore.task(launch.project_id, number)
    if task.template_id != launch.template_id:
        raise UserError(
            f"I did nothing: task #{number} is of template {task.template_id}, but this launch was of "
            f"{launch.template_name} (template {launch.template_id})."
        )
    return task


def _settle(call: Call, launch: Launch, task: Task | None, checked: str) -> Reply:
    """All of it with the answer: the launch, the task to follow, the audit, the word in the room where it was asked."""

    def deed(tx: sqlite3.Connection) -> None:
        now, state = call.tools.now(), "failed" if task is None else "started"
        if not launches.resolve(tx, launch.id, state, now, task.id if task is not None else None):
            raise UserError(f"I did nothing: somebody has settled the launch {launch.token} just now.")
        if task is not None:
            launches.follow(tx, launch, task.id)
        found = f"task #{task.id}. {checked}" if task is not None else "not started"
        audit.note(
            tx,
            Deed.RESOLVED,
            who=call.sender,
            room_id=call.room_id,
            subject=launch.template_name,
            detail=f"token {launch.token}: {found}",
            now=now,
        )

    answer, told = _said(launch, task, checked), _told(call, launch, task)
    where = Where(f"resolved:{launch.token}", launch.room_id, launch.thread)
    then = call.tools.follow_now if task is not None else None
    asked = tuple(questions.about(call.tools.journal.read(), launch.token))
    settled = Reply(answer, deed=deed, then=then, accepted=asked if task else (), declined=() if task else asked)
    if launch.room_id == call.room_id:
        return replace(settled, mention=(launch.sender,) if launch.sender != call.sender else ())
    return replace(settled, also=(Also(where, told, (launch.sender,)),))


def _said(launch: Launch, task: Task | None, checked: str) -> Text:
    head = text("✔ The launch ") + code(launch.token) + " of " + bold(launch.template_name)
    if task is None:
        return lines(head + " counts as not started.", "Whoever needs it runs it again.")
    how = "Its end is told as usual." if task.finished else "I follow it from now on."
    return lines(head + " was started as task " + bold(f"#{task.id}") + ": " + status(task.status), checked, how)


def _told(call: Call, launch: Launch, task: Task | None) -> Text:
    by = text(" (") + person(call.sender) + text(" has looked in Semaphore).")
    head = text("✔ The launch ") + code(launch.token) + text(" is not in doubt any more: ")
    if task is None:
        again = f"{call.prefix} run {launch.project_id} {launch.template_id}"
        return lines(head + f"{launch.template_name} was not started" + by, text("To run it again: ") + code(again))
    return lines(
        head + f"{launch.template_name} was started as task " + bold(f"#{task.id}") + by, "I tell you here how it ends."
    )
