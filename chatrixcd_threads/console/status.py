"""What the operator must know, worked out from the board: one line a part, problems first. No widgets here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from chatrixcd_threads.console import pace
from chatrixcd_threads.console.board import Board, Link, TaskLine
from chatrixcd_threads.console.cells import can_unicode, many, shown, size, span
from chatrixcd_threads.console.last import Last
from chatrixcd_threads.events import Stage
from chatrixcd_threads.semaphore.models import WAITS
from chatrixcd_threads.threads.service import State, ThreadInfo

LATE_SECONDS: Final = 30.0
MANY_OWED: Final = 20
MANY_WAITING: Final = 20
MANY_REFUSED: Final = 100  # the board holds no more
SYNC_LATE_SECONDS: Final = 120.0  # a quiet homeserver answers a sync after 30 s
LOW_DISK: Final = 1_000_000_000  # bytes
NO_DISK: Final = 100_000_000


class Grade(IntEnum):
    """How much a line matters, the worst first."""

    BAD = 0
    WARN = 1
    BUSY = 2
    OK = 3
    IDLE = 4


_LOOKS: Final = {
    # grade: style, symbol, symbol where only ASCII can be shown
    Grade.BAD: ("bad", "✗", "x"),
    Grade.WARN: ("warn", "!", "!"),
    Grade.BUSY: ("busy", "▸", ">"),
    Grade.OK: ("ok", "✓", "+"),
    Grade.IDLE: ("dim", "·", "-"),
}
_LINKS: Final = {
    "ok": (Grade.OK, "OK"),
    "connecting": (Grade.WARN, "WAIT"),
    "down": (Grade.BAD, "DOWN"),
    "refused": (Grade.BAD, "REFUSED"),
}
_STATUSES: Final = {
    "waiting": Grade.BUSY,
    WAITS: Grade.WARN,
    "starting": Grade.BUSY,
    "running": Grade.BUSY,
    "confirmed": Grade.BUSY,
    "stopping": Grade.WARN,
    "stopped": Grade.WARN,
    "rejected": Grade.WARN,
    "success": Grade.OK,
    "error": Grade.BAD,
}
_OVER: Final = ("success", "error", "stopped", "rejected", "gone", "ended")
_STATES: Final = {
    State.STARTING: Grade.BUSY,
    State.RUNNING: Grade.OK,
    State.BACKOFF: Grade.BAD,
    State.STOPPING: Grade.BUSY,
    State.STOPPED: Grade.IDLE,
    State.FATAL: Grade.BAD,
}
_IN_DOUBT: Final = ("doubt", "in doubt", "in_doubt", "unknown")


@dataclass(frozen=True, slots=True)
class Line:
    """One part of the bot. `detail` holds what stays the same while nothing happens, `age` what moves with the clock.

    `command` is what the key at the right does, in the words of the key table (`view …`, `ask …`).
    `about` is the key of what is to be selected in the view that it opens.
    """

    name: str
    grade: Grade
    word: str
    detail: str
    key: str
    step: str
    command: str
    age: str = ""
    since: float = 0.0
    about: Hashable = None

    @property
    def figure(self) -> str:
        """Everything that is said about the part."""
        return f"{self.detail} · {self.age}" if self.age else self.detail


def style(grade: Grade) -> str:
    """The palette's name for a grade."""
    return _LOOKS[grade][0]


def symbol(grade: Grade) -> str:
    """One column that says the grade without colour."""
    return _LOOKS[grade][1 if can_unicode() else 2]


def task_word(status: str) -> str:
    """A task's status in one short word."""
    return "asks" if status == WAITS else shown(status).replace("_", " ")


def task_grade(status: str) -> Grade:
    """The grade of a task's status; what is not known is worth a look."""
    return _STATUSES.get(status, Grade.WARN)


def thread_grade(thread: ThreadInfo) -> Grade:
    """The grade of a thread; one that runs but does not move is worth a look."""
    grade = _STATES.get(thread.state, Grade.WARN)
    return Grade.WARN if grade is Grade.OK and thread.beat_age > LATE_SECONDS else grade


def is_over(task: TaskLine) -> bool:
    """Whether the task has ended."""
    return is_over_status(task.status)


def is_over_status(status: str) -> bool:
    """Whether a task with this status has ended."""
    return status in _OVER


def in_doubt(state: str) -> bool:
    """Whether nobody knows if the launch has reached Semaphore."""
    return state in _IN_DOUBT


def summary(board: Board) -> tuple[Grade, str]:
    """The state of everything in a few words."""
    grades = [line.grade for line in lines(board)]
    bad, odd = grades.count(Grade.BAD), grades.count(Grade.WARN)
    said = [many(bad, "problem") if bad else "", f"{odd} to look at" if odd else ""]
    return min(grades), ", ".join(part for part in said if part) or "all well"


def lines(board: Board) -> list[Line]:
    """All parts: problems first, the newest of them at the top; the others in the order in which one asks."""
    return list(_of_board(board))


def _all_lines(board: Board) -> list[Line]:
    found = [
        _matrix(board),
        _semaphore(board),
        _launches(board),
        _tasks(board),
        _questions(board),
        _files(board),
        _rights(board),
        _rooms(board),
        _journal(board),
        _commands(board),
        _threads(board),
        _restart(board),
    ]
    found += _verifications(board)
    return sorted(found, key=lambda line: (min(line.grade, Grade.BUSY), -line.since if line.grade < Grade.BUSY else 0))


def _link(name: str, link: Link, now: float, key: str, step: str, command: str) -> Line:
    grade, word = _LINKS.get(link.state, (Grade.WARN, shown(link.state).upper()))
    return Line(name, grade, word, shown(link.note), key, step, command, f"for {span(now - link.since)}", link.since)


def _matrix(board: Board) -> Line:
    """Does it hear, decrypt and answer? What is not known yet is left out."""
    line = _link("Matrix", board.matrix, board.now, "6", "threads", "view threads")
    heard, now = board.hearing, board.now
    ages = [
        f"synced {span(now - heard.synced_at)} ago" if heard.synced_at else line.age,
        f"answered {span(now - heard.sent_at)} ago" if heard.sent_at else "",
    ]
    detail = [
        line.detail,
        f"{heard.unreadable} undecryptable" if heard.synced_at else "",
        f"slowed {many(heard.slowed, 'time')}" if heard.slowed else "",
    ]
    grade, word, since = line.grade, line.word, line.since
    if grade is Grade.OK and heard.synced_at and now - heard.synced_at > SYNC_LATE_SECONDS:
        grade, word, since = Grade.WARN, "LATE", heard.synced_at
    elif grade is Grade.OK and heard.slowed_until > now:
        grade, word, since = Grade.WARN, "SLOWED", now
        ages.append(f"waits {span(heard.slowed_until - now)}")
    return replace(line, grade=grade, word=word, since=since, detail=_listed(detail), age=_listed(ages))


def _semaphore(board: Board) -> Line:
    """Does it reach Semaphore, at which version? What is not known yet is left out."""
    line = _link("Semaphore", board.semaphore, board.now, "p", "ping", "ask ping")
    reach = board.reach
    detail = [
        shown(reach.version),
        line.detail,
        f"{many(reach.timeouts, 'time-out')} in 5 min" if reach.timeouts else "",
    ]
    if reach.hangs and line.grade is Grade.OK:  # it says pong all the same
        return replace(line, grade=Grade.BAD, word="HANGS", detail=shown(reach.hangs), since=board.now)
    age = f"answered {span(board.now - reach.answered_at)} ago" if reach.answered_at else line.age
    late = line.grade is Grade.OK and reach.timeouts
    grade, word, since = (Grade.WARN, "SLOW", board.now) if late else (line.grade, line.word, line.since)
    return replace(line, grade=grade, word=word, since=since, detail=_listed(detail), age=age)


def _listed(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)


def _launches(board: Board) -> Line:
    doubtful = [each for each in board.launches if in_doubt(each.state)]
    if doubtful:
        first = doubtful[0]
        detail = f"{many(len(doubtful), 'launch', 'launches')} in doubt: {shown(first.name)} ({shown(first.token)})"
        age = f"for {span(board.now - first.since)}" if first.since else ""
        return Line("Launches", Grade.BAD, "DOUBT", detail, "4", "what to do", "view asked", age, first.since)
    if board.launches:
        detail = f"{many(len(board.launches), 'launch', 'launches')} being sent: {shown(board.launches[0].name)}"
        return Line("Launches", Grade.BUSY, "SENDING", detail, "4", "look", "view asked")
    return Line("Launches", Grade.OK, "OK", "none in doubt", "4", "look", "view asked")


def _tasks(board: Board) -> Line:
    going = _going(board.tasks)
    asking, queued = _asking(going), _queued(going)
    if not going:
        return Line("Tasks", Grade.IDLE, "NONE", "no task is running", "2", "look", "view tasks")
    late = [each for each in going if pace.is_late(each, board.now)]
    first = (asking or late or going)[0]
    rest = f" and {len(going) - 1} more" if len(going) > 1 else ""
    detail = f"{len(going) - len(queued) - len(asking)} running, {len(queued)} queued: "
    detail += f"#{first.task_id} {shown(first.name)} for {shown(first.person)}{rest}"
    about = (first.project_id, first.task_id)
    if asking:
        detail = f"{len(asking)} to be confirmed; {detail}"
        return Line("Tasks", Grade.WARN, "ASKS", detail, "2", "look", "view tasks", about=about)
    far = pace.full(first, board.now)
    if late:
        return Line(
            "Tasks", Grade.WARN, "LATE", detail, "2", "output", "view tasks", far, first.started + first.usual, about
        )
    return Line("Tasks", Grade.BUSY, "RUNNING", detail, "2", "output", "view tasks", far, about=about)


def _questions(board: Board) -> Line:
    if not board.questions:
        return Line("Questions", Grade.IDLE, "NONE", "no question is open", "4", "look", "view asked")
    first = min(board.questions, key=lambda each: each.expires_at)
    detail = f"{len(board.questions)} open: {shown(first.summary)} ({shown(first.asker)})"
    age = f"ends in {span(first.expires_at - board.now)}"
    return Line("Questions", Grade.BUSY, "OPEN", detail, "4", "look", "view asked", age)


def _files(board: Board) -> Line:
    wrong = [each for each in board.files if each.error]
    held = [each for each in board.files if each.held]
    newest = max(board.files, key=lambda each: each.since, default=None)
    if wrong:
        named = wrong[0].error.startswith(wrong[0].name)
        detail = shown(wrong[0].error) if named else f"{shown(wrong[0].name)}: {shown(wrong[0].error)}"
        age = f"the version of {span(board.now - wrong[0].since)} ago counts"
        return Line("Settings", Grade.BAD, "REFUSED", detail, "5", "diff, undo", "view files", age, wrong[0].since)
    if held:
        detail = f"an edit of {shown(held[0].name)} waits for a yes"
        return Line("Settings", Grade.WARN, "HELD", detail, "5", "look", "view files", since=held[0].since)
    if newest is None:
        return Line("Settings", Grade.IDLE, "NONE", "no settings file", "5", "look", "view files")
    changed = board.changed
    detail, at = f"{many(len(board.files), 'file')} in force, newest: {shown(newest.name)}", newest.since
    if changed is not None:
        whose = shown(changed.who) or "somebody with access to the file"
        detail, at = f"{many(len(board.files), 'file')}, last change: {shown(changed.subject)} by {whose}", changed.at
    return Line("Settings", Grade.OK, "OK", detail, "5", "look", "view files", f"{span(board.now - at)} ago")


def _rights(board: Board) -> Line:
    """What was refused looks like an attack or like a wrong rule; a broken audit like somebody who hides something."""
    if board.audit_broken:
        detail = f"line {board.audit_broken} of the audit was changed or taken out by hand"
        return Line("Audit", Grade.BAD, "BROKEN", detail, "9", "audit", "view audit")
    if not board.refused:
        return Line("Audit", Grade.OK, "OK", "nothing was refused in the last hour", "9", "audit", "view audit")
    first = board.refused[0]
    asked = f" ({shown(first.subject)})" if first.subject else ""
    count = len(board.refused)
    detail = f"{count if count < MANY_REFUSED else f'at least {count}'} refused in the last hour, last: {shown(first.who)}{asked}"
    age = f"{span(board.now - first.at)} ago"
    return Line("Audit", Grade.WARN, "REFUSED", detail, "9", "audit", "view audit", age, first.at)


def _rooms(board: Board) -> Line:
    invites = _invites(board.rooms)
    joined = len(board.rooms) - len(invites)
    detail = f"{many(joined, 'room')}, {_encrypted(board.rooms)} encrypted"
    if invites:
        asked = f"{many(len(invites), 'invite')}: {shown(invites[0].name or invites[0].room_id)}"
        return Line(
            "Rooms",
            Grade.WARN,
            "INVITE",
            f"{asked} from {shown(invites[0].invited_by)}; {detail}",
            "3",
            "accept",
            "view rooms",
        )
    return Line(
        "Rooms", Grade.OK if joined else Grade.WARN, "OK" if joined else "NONE", detail, "3", "look", "view rooms"
    )


def _verifications(board: Board) -> list[Line]:
    """A line only while one of them waits for a person here."""
    waiting = [each for each in board.devices.running if each.stage in (Stage.ASKED, Stage.COMPARE)]
    if not waiting:
        return []
    first = next((each for each in waiting if each.stage is Stage.COMPARE), waiting[0])
    word, said = ("COMPARE", "emoji to compare with") if first.stage is Stage.COMPARE else ("ASKS", "to be verified:")
    detail = f"{said} {shown(first.user_id)} ({shown(first.device_id)})"
    rest = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    age = f"ends in {span(first.ends_at - board.now)}"
    return [Line("Devices", Grade.WARN, word, detail + rest, "8", "look", "view devices", age)]


def _journal(board: Board) -> Line:
    if board.unsafe:
        detail = f"{shown(board.unsafe)}: nothing is launched"
        return Line("Journal", Grade.BAD, "BROKEN", detail, "7", "log", "view log", since=board.now)
    free = board.disk_free
    full = [(Grade.BAD, "FULL")] if 0 <= free < NO_DISK else [(Grade.WARN, "DISK")] if 0 <= free < LOW_DISK else []
    owes = [(Grade.WARN, "OWES")] if board.owed > MANY_OWED else []
    grade, word = [*full, *owes, (Grade.OK, "OK")][0]
    detail = f"{many(board.owed, 'message')} to be sent"
    age = _listed([size(board.journal_bytes), f"{size(free)} free" if free >= 0 else ""])
    return Line("Journal", grade, word, detail, "7", "log", "view log", age)


def _commands(board: Board) -> Line:
    crowded = board.lanes_waiting > MANY_WAITING
    detail = f"{board.lanes_running} running, {board.lanes_waiting} waiting, {board.given_up} given up"
    busy = board.lanes_running or board.lanes_waiting
    grade, word = (Grade.WARN, "CROWDED") if crowded else (Grade.BUSY, "BUSY") if busy else (Grade.OK, "OK")
    return Line("Commands", grade, word, detail, "6", "threads", "view threads")


def _threads(board: Board) -> Line:
    wrong = sorted((each for each in board.threads if thread_grade(each) <= Grade.WARN), key=thread_grade)
    restarts = sum(each.restarts for each in board.threads)
    if wrong:
        first = wrong[0]
        said = shown(first.problem) or f"has not moved for {span(first.beat_age)}"
        since = board.now - first.since
        word = first.state.value if first.state is not State.RUNNING else "LATE"
        return Line(
            "Threads", thread_grade(first), word, f"{first.name}: {said}", "6", "look", "view threads", since=since
        )
    moving = sum(each.state in (State.RUNNING, State.STARTING) for each in board.threads)
    detail = f"{moving} of {len(board.threads)} run, {many(restarts, 'restart')}"
    return Line("Threads", Grade.OK, "OK", detail, "6", "look", "view threads")


def _restart(board: Board) -> Line:
    if board.unsafe:
        detail = "what the journal cannot hold would be lost: mend it first"
        return Line("Restart", Grade.WARN, "UNSAFE", detail, "q", "stop", "quit")
    followed = len(_going(board.tasks))
    parts = [
        f"{many(followed, 'task')} followed again" if followed else "",
        f"{many(len(board.questions), 'question')} kept" if board.questions else "",
        f"{many(board.owed, 'message')} sent later" if board.owed else "",
    ]
    said = ", ".join(part for part in parts if part)
    return Line("Restart", Grade.OK, "SAFE", f"nothing is lost{': ' + said if said else ''}", "q", "stop", "quit")


# Tasks and rooms are many, and stay the same for many boards.
_of_board = Last(_all_lines)
_going = Last(lambda tasks: [each for each in tasks if not is_over(each)])
_asking = Last(lambda going: [each for each in going if each.status == WAITS])
_queued = Last(lambda going: [each for each in going if each.status == "waiting"])
_invites = Last(lambda rooms: [each for each in rooms if each.invited_by])
_encrypted = Last(lambda rooms: sum(each.encrypted for each in rooms if not each.invited_by))
