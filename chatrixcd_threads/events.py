"""What travels on the queues between threads: frozen dataclasses of plain values, nothing made by nio or asyncio."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue
from threading import Event


class Kind(StrEnum):
    """What an incoming event asks of the bot."""

    COMMAND = "command"  # first line begins with the prefix
    ANSWER = "answer"  # a yes or no word, as a reply, in a thread or bare
    REACTION = "reaction"  # a yes, a no or a number as a reaction on some message
    CLEAR = "clear"  # a command in clear text in an encrypted room: refused with a sentence
    FORGED = "forged"  # decrypted with a key that does not belong to its sender
    SAID = "said"  # words said to an open question that wants more than yes or no
    SECRET = "secret"  # the answer to a question for a secret; the words are in the vault, never here
    EXPOSED = (
        "exposed"  # the same in clear text, or in the room instead of the direct chat: refused and deleted, never kept
    )
    WITHDRAWN = "withdrawn"  # the command behind an open question was deleted
    EDITED = "edited"  # the command behind an open question was changed; `text` is the new one, empty for none
    LONG = "long"  # a first line longer than any command: refused, never cut
    UNREADABLE = "unreadable"  # could not be decrypted: the person is asked to send it again


@dataclass(frozen=True, slots=True)
class Incoming:
    """One accepted Matrix event, already in the journal under `seq`. Times are seconds since the epoch."""

    seq: int
    event_id: str
    room_id: str
    sender: str
    kind: Kind
    text: str = ""
    target: str | None = None  # the message that a reaction, a reply or a command in a reply belongs to
    thread: str | None = None  # root of the thread it was said in
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """The follower saw a followed task in a new state. The handler reads the rest from Semaphore."""

    follow_id: int
    project_id: int
    task_id: int
    status: str
    over: bool


@dataclass(frozen=True, slots=True)
class OutputDue:
    """The first output of a task is to be held against what was asked for."""

    follow_id: int
    task_id: int


@dataclass(frozen=True, slots=True)
class TaskStill:
    """A task to be looked at closely: it waits for long, or Semaphore was away and it may have died. Times since the epoch.

    `away` and `back` say when Semaphore did not answer, both 0 when it did; `waits` is since when the task waits, 0: it does not.
    """

    follow_id: int
    project_id: int
    task_id: int
    away: float = 0.0
    back: float = 0.0
    waits: float = 0.0


@dataclass(frozen=True, slots=True)
class FileNotice:
    """Something the admins should know, mostly what came of a saved settings file, in lines for the admin room.

    `held` is the number of an edit that waits for a yes. `by` is who made the change, where that is known, and `deed` what
    the audit calls it.
    """

    file: str
    title: str
    lines: tuple[str, ...] = ()
    held: int = 0
    reconnect: bool = False
    by: str = ""
    deed: str = ""


@dataclass(frozen=True, slots=True)
class LaneFree:
    """A lane that had to leave events in the journal has room again."""

    key: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stop:
    """End of a queue: the thread that takes this out ends."""


InboxItem = Incoming | TaskSeen | OutputDue | TaskStill | FileNotice | LaneFree | Stop


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """What the sync thread knows of a room, copied for everybody else."""

    room_id: str
    name: str
    encrypted: bool
    members: int
    may_speak: bool | None = None  # whether the bot's power level allows messages; None: not known
    may_delete: bool | None = None  # the same for taking away what others said


@dataclass(frozen=True, slots=True)
class RoomRequest:
    """A wish of a worker that only the sync thread can carry out: join or part a room, refuse an invitation, or have an
    encrypted room with one person."""

    verb: str  # "join" | "part" | "refuse" | "direct"
    room: str  # room id or alias; for "direct" the person
    answer: SimpleQueue[RoomOutcome]
    given_up: Event = field(default_factory=Event)  # set when nobody waits for the answer any more


@dataclass(frozen=True, slots=True)
class RoomOutcome:
    """What became of a RoomRequest: the room's id, or the sentence that says why not."""

    room_id: str
    problem: str = ""


class Stage(StrEnum):
    """How far a verification is."""

    ASKED = "asked"  # the other side wants it; somebody here has to accept
    ASKING = "asking"  # we want it; the other side has to accept
    READY = "ready"  # both want it; one of them has to start
    STARTED = "started"  # keys are being exchanged
    COMPARE = "compare"  # both sides show emoji and numbers
    MATCHED = "matched"  # here somebody said that they are the same; the other side's word is awaited
    DONE = "done"
    ENDED = "ended"  # cancelled, refused, failed or too late


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification that runs, or that ended a short while ago. `flow` names it here, and never another one."""

    flow: str
    user_id: str
    device_id: str  # empty until somebody's device has accepted
    stage: Stage
    began_here: bool
    ends_at: float  # seconds since the epoch
    emoji: tuple[tuple[str, str], ...] = ()  # symbol and name
    decimals: tuple[int, ...] = ()
    note: str = ""  # how it ended


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device of somebody in the bot's rooms. `trust` is verified, signed (by its owner), unsigned or blocked."""

    user_id: str
    device_id: str
    name: str
    fingerprint: str
    trust: str
    since: float  # when the bot saw it first, seconds since the epoch
    admin: bool


@dataclass(frozen=True, slots=True)
class Devices:
    """The bot's own device, the others it knows (admins first, then the newest), and verifications."""

    user_id: str = ""
    device_id: str = ""
    fingerprint: str = ""
    cross_signed: bool = False
    known: tuple[DeviceInfo, ...] = ()
    running: tuple[Verification, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyWish:
    """What a person here wants of a verification. `start`: `what` is a user and `device` one of theirs, or empty to ask
    in a room; accept, match, mismatch, cancel: `what` is the flow."""

    verb: str
    what: str
    device: str = ""
