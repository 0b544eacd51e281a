"""What a command gets: who said what where, and the tools of this moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chatrixcd_threads.errors import Candidate
from chatrixcd_threads.events import Devices, RoomInfo, RoomOutcome, VerifyWish
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.hot import HotFile, Outcome
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import Settings
from chatrixcd_threads.settings.tones import tone_of
from chatrixcd_threads.text.vault import Vault
from chatrixcd_threads.threads.lanes import LaneCounts
from chatrixcd_threads.threads.service import ThreadInfo

File = HotFile[Any]


class Told(Protocol):
    """Tells the admins what came of reading a settings file; `by` changed it, `deed` is the audit's word for it."""

    def __call__(self, outcome: Outcome, by: str = "", deed: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Health:
    """How the bot is, for `info` and the console. Times in seconds."""

    threads: tuple[ThreadInfo, ...]
    lanes: LaneCounts
    owed: int
    up: float


@dataclass(frozen=True, slots=True)
class Tools:
    """One snapshot of everything a command may use; taken once per job."""

    settings: Settings
    access: Access
    messages: MessageManager
    aliases: AliasManager
    semaphore: Semaphore
    files: Callable[[], Mapping[str, File]]
    """The hot files by their short names."""
    unsafe: Callable[[], str]
    """Why nothing may be launched now, because the journal could not hold it; empty when it may."""
    alarm: Callable[[str, tuple[str, ...]], None]
    """Tells the admins a title and lines about something that must not wait."""
    told: Told
    """Tells the admins what came of reading a settings file."""
    launcher: Launcher
    journal: Journal
    rooms: Callable[[], tuple[RoomInfo, ...]]
    ask_rooms: Callable[[str, str], RoomOutcome]
    health: Callable[[], Health]
    now: Callable[[], float]
    life: str
    """Tells this run of the bot from earlier ones."""
    leave: Callable[[], None]
    """Stops the bot once what it owes has been sent."""
    follow_now: Callable[[], None]
    """Wakes the follower: there is a new task to look at."""
    devices: Callable[[], Devices] = Devices
    """Devices and verifications, as of the last change."""
    verify: Callable[[VerifyWish], None] = lambda wish: None
    """Hands over what somebody wants of a verification; what came of it is seen in `devices`."""
    reconnect: Callable[[], list[str]] = list
    """Goes over to what the settings say, where that did not work before. Why it still does not."""
    vault: Vault = field(default_factory=Vault)
    """Secrets that people told: never in the journal."""
    pause: Callable[[float], None] = time.sleep
    """Waits in the worker thread, in seconds."""
    clean: Callable[[str], str] = str
    """Takes secrets out of a text. Before anything is cut: half a secret is not known any more."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command: values by name, options by name with all that was given, `name=value` pairs, words after --."""

    event_id: str
    room_id: str
    sender: str
    thread: str | None
    values: dict[str, str]
    tools: Tools
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    raw: tuple[str, ...] = ()
    at: float = 0.0  # when it was said, by the homeserver's clock; 0: not known
    replied: str | None = None  # the message that it replies to
    picked: Mapping[str, Candidate] = field(default_factory=dict)  # what the person chose already, by what it is
    seq: int = 0  # the event that is handled; 0: none

    @property
    def late(self) -> float:
        """How many seconds ago it was said, when that is long enough to matter; else 0."""
        return lateness(self.at, self.tools.now())

    @property
    def slot(self) -> str:
        """The outbox slot of the answer."""
        return answer_slot(self.event_id)

    @property
    def tone(self) -> str:
        """How the bot speaks in this room."""
        return tone_of(self.tools.settings.bot, self.room_id)

    @property
    def prefix(self) -> str:
        """As it is typed here."""
        return self.tools.settings.bot.command_prefix


LATE_SECONDS: Final = 120.0  # less may be the clocks of two machines


def lateness(at: float, now: float) -> float:
    """How late something said at `at` is, in seconds; 0 when it is in time."""
    return now - at if at > 0 and now - at > LATE_SECONDS else 0.0


def answer_slot(event_id: str) -> str:
    """One answer per command: its slot is named after the command's event."""
    return f"answer:{event_id}"


def command_of(slot: str) -> str:
    """The event of the command that is answered in this slot."""
    return slot.removeprefix("answer:")
