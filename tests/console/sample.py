"""A made-up bot: boards with every state, and doors that remember what they were asked."""

from __future__ import annotations

import dataclasses

from chatrixcd_threads.console.board import (
    AuditLine,
    Board,
    Depth,
    Doors,
    FileLine,
    FileProblem,
    FileView,
    Hearing,
    Lag,
    LaneLine,
    LaunchLine,
    Link,
    Preview,
    QuestionLine,
    Reach,
    RoomLine,
    TaskLine,
)
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.events import DeviceInfo, Devices, Stage, Verification
from chatrixcd_threads.threads.service import State, ThreadInfo

NOW = 1_800_000_000.0
NAMES = ("help", "logs", "projects", "run", "rooms", "reload", "status", "stop", "templates")
NASTY = "<b>prod</b>\x1b[31m\x1b]0;owned\x07\r\n\x9b2J\x0e\u202edeploy"
WIDE = "配備 テスト 👩‍💻 🇫🇷 ⚠️ é"

EMOJI = (
    ("🐶", "Dog"),
    ("🍓", "Strawberry"),
    ("🎧", "Headphones"),
    ("🚀", "Rocket"),
    ("🔑", "Key"),
    ("☁️", "Cloud"),
    ("🎅", "Santa"),
)
KEY = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"


def devices(*running: Verification) -> Devices:
    """A bot that is signed, and devices with every state."""
    return Devices(
        "@bot:example.org",
        "CHATRIXCD",
        KEY,
        True,
        (
            DeviceInfo("@ann:example.org", "PHONE", "Ann's phone", KEY, "verified", NOW - 90_000, True),
            DeviceInfo("@bob:example.org", "LAPTOP", WIDE, KEY, "signed", NOW - 60, False),
            DeviceInfo("@eve:example.org", "ODD", NASTY, KEY, "unsigned", NOW - 86_400, False),
            DeviceInfo("@old:example.org", "GONE", "", KEY, "blocked", NOW - 864_000, False),
        ),
        running,
    )


def verification(stage: Stage, flow: str = "a1b2c3", device: str = "PHONE") -> Verification:
    shown = stage in (Stage.COMPARE, Stage.MATCHED)
    emoji, numbers = (EMOJI, (1234, 5678, 9012)) if shown else ((), ())
    note = "the emoji were not the same" if stage is Stage.ENDED else ""
    return Verification(flow, "@ann:example.org", device, stage, False, NOW + 540, emoji, numbers, note)


def thread(name: str, state: State = State.RUNNING, *, age: float = 0.3, problem: str = "") -> ThreadInfo:
    return ThreadInfo(name, state, 8_100.0, age, 1 if problem else 0, problem)


def calm() -> Board:
    """Nothing is wrong and nothing runs."""
    return Board(
        now=NOW,
        up=9_000.0,
        version="0.1.0",
        matrix=Link("ok", "@bot:example.org", NOW - 9_000),
        semaphore=Link("ok", "answers in 12 ms", NOW - 9_000),
        threads=tuple(map(thread, ("dispatch", "follower", "watch", "sync", "ui"))),
        lanes_running=0,
        lanes_waiting=0,
        given_up=0,
        owed=0,
        journal_bytes=12_300_000,
        tasks=(),
        questions=(),
        launches=(),
        rooms=(RoomLine("!ops:example.org", "Operations", True, 12),),
        files=(FileLine("config.json", NOW - 9_000, "", False), FileLine("messages.json", NOW - 9_000, "", False)),
        hearing=Hearing(NOW - 0.4, NOW - 12, 0, 0.0, 0),
        reach=Reach("2.16.51", NOW - 2, 0),
        disk_free=38_200_000_000,
        changed=AuditLine(3, NOW - 3_600, "@ann:example.org", "", "config changed", "config.json", "bot.tones"),
    )


def audit_lines() -> tuple[AuditLine, ...]:
    """Newest first, as the door gives them."""
    ops = "!ops:example.org"
    return (
        AuditLine(9, NOW - 30, "@eve:example.org", ops, "refused", "run", f"You are not in bot.admin_users. {NASTY}"),
        AuditLine(8, NOW - 60, "@bob:example.org", ops, "stopped", "#4688 Nightly backup", "project 2"),
        AuditLine(7, NOW - 90, "@ann:example.org", ops, "started", "Deploy the web shop", "#4711, token 1a2b3c4d"),
        AuditLine(6, NOW - 95, "@ann:example.org", ops, "confirmed", "Deploy the web shop", "run"),
        AuditLine(5, NOW - 99, "", "", "config changed", "config.json", "bot.tones: nothing → terse"),
        AuditLine(4, NOW - 9_000, "", "", "bot started", WIDE, ""),
    )


def stormy() -> Board:
    """Something of everything, with names from people who mean no good."""
    return Board(
        now=NOW,
        up=9_000.0,
        version="0.1.0",
        matrix=Link("ok", "@bot:example.org", NOW - 9_000),
        semaphore=Link("down", "https://semaphore.example.org refused the connection, tried again each 10 s", NOW - 41),
        threads=(
            thread("dispatch"),
            thread("follower", State.BACKOFF, problem="ConnectionError"),
            thread("watch"),
            thread("sync"),
            thread("ui"),
        ),
        lanes_running=3,
        lanes_waiting=1,
        given_up=0,
        owed=2,
        journal_bytes=12_300_000,
        tasks=(
            TaskLine(
                1,
                4_711,
                "Deploy the web shop",
                "running",
                "@ann:example.org",
                "!ops:example.org",
                None,
                NOW - 245,
                360.0,
                8,
            ),
            TaskLine(
                1,
                4_712,
                WIDE,
                "waiting",
                "@bob:example.org",
                "!ops:example.org",
                None,
                waits_for="#4711, of the same template",
            ),
            TaskLine(2, 4_713, NASTY, "waiting_confirmation", "@eve:example.org", "!ops:example.org", None),
            TaskLine(2, 4_688, "Nightly backup", "error", "@ann:example.org", "!ops:example.org", "@bob:example.org"),
        ),
        questions=(QuestionLine("@ann:example.org", "!ops:example.org", "run Deploy the web shop", NOW + 240, 7),),
        launches=(
            LaunchLine(
                "cd-7f3a91",
                "Migrate the database",
                "doubt",
                "@bob:example.org",
                NOW - 600,
                "I got no answer within 15 s. I looked 3 times among its newest tasks and did not find it.",
                "!ops:example.org",
                2,
            ),
        ),
        rooms=(
            RoomLine("!ops:example.org", "Operations", True, 12),
            RoomLine(
                "!wide:example.org", WIDE, False, 3, may_speak=False, allowed=False, bound="greetings", unreadable=2
            ),
            RoomLine("!new:example.org", NASTY, False, 0, "@new:example.org"),
        ),
        files=(
            FileLine(
                "config.json", NOW - 34_000, "line 41, column 3: “semaphor” is no key; did you mean “semaphore”?", False
            ),
            FileLine("messages.json", NOW - 9_000, "", True),
            FileLine("aliases.json", NOW - 9_000, "", False),
        ),
        depths=(Depth("inbox", 3, 1_000), Depth("outbox", 2), Depth("watch hints", 0)),
        lanes=(
            LaneLine("!ops:example.org", "@ann:example.org", 3, "command $one", 4.0, "work-1_0"),
            LaneLine("!wide:example.org", NASTY, 0, f"command {WIDE}", 75.0, "work-1_1"),
            LaneLine("task", "7", 1, "report of task 4711", None, ""),
        ),
        lag=Lag(0.0004, 0.0031, 240),
        devices=devices(
            verification(Stage.COMPARE), verification(Stage.ASKED, "d4e5f6", NASTY), verification(Stage.ENDED, "0a0a0a")
        ),
        hearing=Hearing(NOW - 0.4, NOW - 12, 3, 0.0, 2),
        reach=Reach("2.16.51", NOW - 41, 2),
        disk_free=38_200_000_000,
        refused=audit_lines()[:1],
        changed=audit_lines()[4],
    )


def views() -> dict[str, FileView]:
    """The settings files of `stormy`, as they are looked at closely."""
    line = '  "semaphor": {"url": "https://semaphore.example.org"},'
    return {
        "config.json": FileView(
            "config",
            "/srv/bot/config.json",
            "wrong",
            NOW - 34_000,
            problems=(
                FileProblem(41, 3, "“semaphor” is no key; did you mean “semaphore”?", line, 2),
                FileProblem(44, 0, f"bot.workers: expected a number {NASTY}", f"\t{WIDE} workers: {'x' * 300}", 9),
            ),
            diff=("--- config.json in force", "+++ config.json on disk", "@@ -1 +1 @@", "-  old", f"+  new {NASTY}"),
            kept=4,
        ),
        "messages.json": FileView(
            "messages",
            "/srv/bot/messages.json",
            "edited",
            NOW - 9_000,
            held=17,
            reason="it would empty a file that was not empty",
            changes=(f"pet: {WIDE} | good bot → nothing", "scold: bad bot → nothing"),
            kept=2,
        ),
        "aliases.json": FileView("aliases", "/srv/bot/aliases.json", "absent", NOW - 9_000),
    }


TEXTS = tuple(f'  "key{number}": "{WIDE}",' for number in range(60))
PREVIEWS = tuple(
    Preview(category, f"When {category} is said.", tone, (f"{tone} text of {category} {WIDE}", NASTY))
    for category in ("greetings", "pet")
    for tone in ("playful", "terse")
)


def crowded() -> Board:
    """1,000 tasks and 500 rooms."""
    board = calm()
    states = ("running", "success", "error", "waiting")
    tasks = tuple(
        TaskLine(1, n, f"Task {WIDE} {n}", states[n % 4], f"@p{n}:example.org", "!ops:example.org", None)
        for n in range(1_000)
    )
    rooms = tuple(RoomLine(f"!r{n}:example.org", f"Room {WIDE} {n}", n % 2 == 0, n) for n in range(500))
    return Board(**{**{f: getattr(board, f) for f in Board.__slots__}, "tasks": tasks, "rooms": rooms})


class Feed:
    """Doors of a made-up bot."""

    def __init__(self, board: Board) -> None:
        self.now = board
        self.ring = Ring()
        self.typed: list[str] = []
        self.answered: dict[str, str] = {}
        self.outputs: dict[tuple[int, int], tuple[str, ...]] = {}
        self.verified: list[tuple[str, str, str]] = []
        self.left = 0
        self.views = views()
        self.made: list[str] = []
        self.previews = PREVIEWS
        self.doors = Doors(
            board=lambda: self.now,
            log=self.ring,
            log_lines=self.ring.since,
            type_command=self._type,
            command=self._type,
            answers=lambda: tuple(self.answered.items()),
            task_output=lambda project, task: self.outputs.get((project, task), ()),
            leave=self._leave,
            file_view=lambda name: self.views.get(name, FileView(name, "", "same", NOW)),
            file_text=lambda name: TEXTS,
            look_again=self._look_again,
            make_file=self._make,
            previews=lambda: self.previews,
            stack_of=lambda name: ('  File "run.py", line 5, in run', "    wait()") if name == "sync" else (),
            verify=lambda *wish: self.verified.append(wish),
            audit=lambda most: audit_lines()[:most],
        )

    def _type(self, line: str) -> str:
        self.typed.append(line)
        return f"T{len(self.typed)}"

    def _look_again(self, name: str) -> None:
        self.views[name] = dataclasses.replace(self.views[name], looks=self.views[name].looks + 1)

    def _make(self, name: str) -> str:
        self.made.append(name)
        return ""

    def _leave(self) -> None:
        self.left += 1
