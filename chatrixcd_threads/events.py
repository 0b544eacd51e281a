"""What travels on the queues between threads: frozen dataclasses of plain values, nothing made by nio or asyncio."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from queue import SimpleQueue


class Kind(StrEnum):
    """What an incoming event asks of the bot."""

    COMMAND = "command"  # first line begins with the prefix
    ANSWER = "answer"  # a yes or no word, as a reply, in a thread or bare
    REACTION = "reaction"  # a yes, a no or a number as a reaction on some message
    CLEAR = "clear"  # a command in clear text in an encrypted room: refused with a sentence
    FORGED = "forged"  # decrypted with a key that does not belong to its sender
    SAID = "said"  # words said to an open question that wants more than yes or no
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
class FileNotice:
    """Something the admins should know, mostly what came of a saved settings file, in lines for the admin room.

    `held` is the number of an edit that waits for a yes.
    """

    file: str
    title: str
    lines: tuple[str, ...] = ()
    held: int = 0
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class LaneFree:
    """A lane that had to leave events in the journal has room again."""

    key: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stop:
    """End of a queue: the thread that takes this out ends."""


InboxItem = Incoming | TaskSeen | OutputDue | FileNotice | LaneFree | Stop


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """What the sync thread knows of a room, copied for everybody else."""

    room_id: str
    name: str
    encrypted: bool
    members: int


@dataclass(frozen=True, slots=True)
class RoomRequest:
    """A wish of a worker that only the sync thread can carry out: join or part a room."""

    verb: str  # "join" | "part"
    room: str  # room id or alias
    answer: SimpleQueue[RoomOutcome]


@dataclass(frozen=True, slots=True)
class RoomOutcome:
    """What became of a RoomRequest: the room's id, or the sentence that says why not."""

    room_id: str
    problem: str = ""
