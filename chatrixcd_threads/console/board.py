"""What the console shows: one frozen snapshot of the bot, made by the app; the ui thread only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.events import Devices
from chatrixcd_threads.threads.service import ThreadInfo

# Metadata of a door that belongs to the console's own process; all others also go over the socket (`door/`), by their types.
LOCAL: Final[Mapping[str, bool]] = {"local": True}
# Doors whose last answer an attached console shows while it asks anew. Those not named here are asked each time.
KEPT: Final = frozenset({"board", "log_lines", "answers", "task_output"})


@dataclass(frozen=True, slots=True)
class Link:
    """A connection to the outside. `state`: ok, connecting, down, refused; `note` says what it is or what is wrong."""

    state: str
    note: str
    since: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Hearing:
    """How the homeserver hears and answers. Times are seconds since the epoch, 0: not yet."""

    synced_at: float = 0.0
    sent_at: float = 0.0
    slowed: int = 0  # how often in the last hour it wanted the bot to wait
    slowed_until: float = 0.0
    unreadable: int = 0  # keys that were missing to decrypt what was said in the last day


@dataclass(frozen=True, slots=True)
class Reach:
    """How Semaphore is reached. An empty version and a time of 0 are not known yet."""

    version: str = ""
    answered_at: float = 0.0
    timeouts: int = 0  # in the last five minutes
    hangs: str = ""  # that its queue seems to hang, and since when


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit, as `journal.audit` has it."""

    seq: int
    at: float
    who: str
    room_id: str
    what: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A followed task; `rooms` are told its end.

    `started` is seconds since the epoch, 0: not known or not begun. `usual` is the median of the `earlier` successful runs
    that were found, in seconds; `earlier` is -1 while nobody has looked. `waits_for` is empty where it is not known.
    """

    project_id: int
    task_id: int
    name: str
    status: str
    person: str
    room_id: str
    stopper: str | None
    started: float = 0.0
    usual: float = 0.0
    earlier: int = -1
    waits_for: str = ""
    rooms: int = 1


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """An open question; `id` is its number for `withdraw`."""

    asker: str
    room_id: str
    summary: str
    expires_at: float
    id: int = 0


@dataclass(frozen=True, slots=True)
class RoomLine:
    """A room the bot is in, or an invitation (`invited_by`).

    `may_speak` is None where the power levels are not known, `bound` says what the settings use the room for, `unreadable`
    counts the keys that were missing there in the last day.
    """

    room_id: str
    name: str
    encrypted: bool
    members: int
    invited_by: str = ""
    may_speak: bool | None = None
    allowed: bool = True
    bound: str = ""
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class FileLine:
    """A settings file: in force since, error of the file itself, whether an edit waits for a yes."""

    name: str
    since: float
    error: str
    held: bool


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is wrong with a settings file. `line` and `column` count from 1, 0 is unknown; `text` is the line, masked.

    `caret` is the place in `text` that is meant, counted from 0; -1 when there is no such line.
    """

    line: int
    column: int
    reason: str
    text: str = ""
    caret: int = -1


@dataclass(frozen=True, slots=True)
class FileView:
    """A settings file looked at closely, secrets masked.

    `state` of the file on disk: reading (nothing is known yet), same (it says what is in force), edited (good, and not in
    force), wrong (`problems`), absent. `diff` leads from the version in force to the file. `held` numbers the edit that
    waits for a yes, for this `reason`; `changes` are its keys. `looks` grows with each look that was asked for.
    """

    name: str
    path: str
    state: str
    since: float
    problems: tuple[FileProblem, ...] = ()
    diff: tuple[str, ...] = ()
    held: int = 0
    reason: str = ""
    changes: tuple[str, ...] = ()
    kept: int = 0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """The texts of one category in one tone as a room would read them, with sample values. `used` says when."""

    category: str
    used: str
    tone: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits in a queue; `most` is its bound, 0 for none."""

    name: str
    count: int
    most: int = 0


@dataclass(frozen=True, slots=True)
class LaneLine:
    """A lane in use. `age` is for how long its job runs (seconds), None while it waits for a thread (`thread` is empty)."""

    room: str
    sender: str
    waiting: int
    job: str
    age: float | None
    thread: str


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the sync thread's loop is, in seconds: median, 99th of 100, and the number of measurements."""

    p50: float
    p99: float
    count: int


@dataclass(frozen=True, slots=True)
class LaunchLine:
    """A launch that is not settled: in doubt or still being sent, since then (seconds since the epoch).

    `looked` says what the doubt rests on: what went wrong and where the bot has looked.
    """

    token: str
    name: str
    state: str
    person: str
    since: float = 0.0
    looked: str = ""
    room_id: str = ""
    project_id: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """Everything at one moment. `now` is seconds since the epoch.

    `refused` are the refusals of the last hour, newest first; `changed` is the last change of settings; `audit_broken` is the
    first line of the audit that somebody touched (0: none); a `disk_free` below 0 is not known; `unsafe` says why nothing is
    launched, because the journal cannot be trusted.
    """

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
    depths: tuple[Depth, ...] = ()
    lanes: tuple[LaneLine, ...] = ()
    lag: Lag = field(default=Lag(0.0, 0.0, 0))
    devices: Devices = field(default=Devices())
    hearing: Hearing = field(default=Hearing())
    reach: Reach = field(default=Reach())
    disk_free: int = -1  # bytes
    refused: tuple[AuditLine, ...] = ()
    changed: AuditLine | None = None
    audit_broken: int = 0
    unsafe: str = ""


def _unseen(name: str) -> FileView:
    return FileView(name, "", "reading", 0.0)


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
    # What is looked at more closely: last known, read in a worker; asking has it read again, and the console is poked.
    file_view: Callable[[str], FileView] = _unseen  # by the name in `FileLine`
    file_text: Callable[[str], tuple[str, ...]] = lambda name: ()  # the lines of the version in force, masked
    look_again: Callable[[str], None] = lambda name: None  # has the file looked at now; `FileView.looks` grows then
    make_file: Callable[[str], str] = lambda name: ""  # writes an absent file; why it could not be written, or empty
    previews: Callable[[], tuple[Preview, ...]] = tuple
    stack_of: Callable[[str], tuple[str, ...]] = lambda name: ()  # what a thread is doing, by its name
    detach: Callable[[], None] | None = field(default=None, metadata=LOCAL)  # attached: leaves the console alone
    trouble: Callable[[], str] = field(default=lambda: "", metadata=LOCAL)  # attached: why the bot is not there
    # Like `type_command`, for what a key does: it is never the answer to a question that waits.
    command: Callable[[str], str] = lambda line: ""
    verify: Callable[[str, str, str], None] = lambda verb, what, device: None
    """start (user, device or empty), or accept, match, mismatch, cancel (flow, empty); what came of it is on the board."""
    # The same lines by number, where the console is in the bot's process: read as far as they are shown.
    log: Ring | None = field(default=None, metadata=LOCAL)
    audit: Callable[[int], tuple[AuditLine, ...]] = lambda most: ()  # the newest lines, newest first
