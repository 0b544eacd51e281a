"""A made-up bot: boards with every state, and doors that remember what they were asked."""

from __future__ import annotations

from chatrixcd_threads.console.board import (
    AuditLine,
    Board,
    Doors,
    FileLine,
    Hearing,
    LaunchLine,
    Link,
    QuestionLine,
    Reach,
    RoomLine,
    TaskLine,
)
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.threads.service import State, ThreadInfo

NOW = 1_800_000_000.0
NAMES = ("help", "logs", "projects", "run", "rooms", "reload", "status", "stop", "templates")
NASTY = "<b>prod</b>\x1b[31m\x1b]0;owned\x07\r\n\x9b2J\x0e\u202edeploy"
WIDE = "配備 テスト 👩‍💻 🇫🇷 ⚠️ é"


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
        hearing=Hearing(NOW - 0.4, NOW - 12, 3, 0.0, 2),
        reach=Reach("2.16.51", NOW - 41, 2),
        disk_free=38_200_000_000,
        refused=audit_lines()[:1],
        changed=audit_lines()[4],
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
        self.left = 0
        self.doors = Doors(
            board=lambda: self.now,
            log_lines=self.ring.since,
            type_command=self._type,
            answers=lambda: tuple(self.answered.items()),
            task_output=lambda project, task: self.outputs.get((project, task), ()),
            leave=self._leave,
            audit=lambda most: audit_lines()[:most],
        )

    def _type(self, line: str) -> str:
        self.typed.append(line)
        return f"T{len(self.typed)}"

    def _leave(self) -> None:
        self.left += 1
