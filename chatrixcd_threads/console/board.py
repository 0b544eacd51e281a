"""What the console shows: one frozen snapshot of the bot, made by the app; the ui thread only reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.threads.service import ThreadInfo


@dataclass(frozen=True, slots=True)
class Link:
    """A connection to the outside. `state`: ok, connecting, down, refused; `note` says what it is or what is wrong."""

    state: str
    note: str
    since: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A followed task."""

    project_id: int
    task_id: int
    name: str
    status: str
    person: str
    room_id: str
    stopper: str | None


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """An open question."""

    asker: str
    room_id: str
    summary: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class RoomLine:
    """A room the bot is in, or an invitation (`invited_by`)."""

    room_id: str
    name: str
    encrypted: bool
    members: int
    invited_by: str = ""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A settings file: in force since, error of the file itself, whether an edit waits for a yes."""

    name: str
    since: float
    error: str
    held: bool


@dataclass(frozen=True, slots=True)
class LaunchLine:
    """A launch that is not settled: in doubt or still being sent."""

    token: str
    name: str
    state: str
    person: str


@dataclass(frozen=True, slots=True)
class Board:
    """Everything at one moment. `now` is seconds since the epoch."""

    now: float
    up: float
    version: str
    matrix: Link
    semaphore: Link
    threads: tuple[ThreadInfo, ...]
    lanes_running: int
    lanes_waiting: int
    given_up: int
    owed: int
    journal_bytes: int
    tasks: tuple[TaskLine, ...]
    questions: tuple[QuestionLine, ...]
    launches: tuple[LaunchLine, ...]
    rooms: tuple[RoomLine, ...]
    files: tuple[FileLine, ...]


@dataclass(frozen=True, slots=True)
class Doors:
    """All that the console may call. Each is safe from the ui thread; `read_output` is called in a worker by the app.

    `type_command` hands a command line to the bot as the operator and returns a ticket; its answer appears in `answers`.
    """

    board: Callable[[], Board]
    log_lines: Callable[[int], tuple[int, tuple[str, ...]]]  # (cursor) -> (next cursor, new lines), bounded
    type_command: Callable[[str], str]
    answers: Callable[[], tuple[tuple[str, str], ...]]  # (ticket, text) of the newest answers
    task_output: Callable[[int, int], tuple[str, ...]]  # last known lines of a task; asking for them has them fetched
    leave: Callable[[], None]  # asks the bot to stop
    log: Ring | None = None  # the same lines by number, where the console is in the bot's process: read as far as shown
