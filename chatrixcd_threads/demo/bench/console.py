"""`console`: a flood of log lines, keys, changes and views on a real terminal, and what the console costs at rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

import chatrixcd_threads
from chatrixcd_threads.demo.bench.figures import Figure, at_least, at_most, median, percentile
from chatrixcd_threads.demo.bench.ground import Say, Visit, cpu_seconds
from chatrixcd_threads.demo.terminal import MODES, Terminal, take_terminal

RATE = 50_000
FLOOD_SECONDS = 30.0
ALONE_SECONDS = 6.0
SETTLE_SECONDS = 2.0  # of a flood that are not measured: the ring fills
QUIET_TASKS = 20  # running, beside a flood: their times move once a second
CROWD_SECONDS = 16.0  # until all of a crowd have been looked up
IDLE_SECONDS = 12.0
KEY_SECONDS = 0.04
CHANGES = 1_000
CHANGE_GAP = (0.005, 0.035)  # seconds between two changes, at random
ROUNDS = 5  # of opening every view
QUIET = 0.03  # a frame has ended when nothing has come for so long
PATIENCE = 20.0
TYPED = 60  # letters in the command bar before it is emptied
MB = 2**20

KEY_LIMIT = 20.0  # milliseconds
AGE_LIMIT = 100.0
OPEN_LIMIT = 100.0
CHANGE_LIMIT = 50.0
CPU_LIMIT = 35.0  # per cent of one core
IDLE_LIMIT = 0.1
GROWTH_LIMIT = 8.0  # MB, once the ring is full

VIEWS = "1234567?"  # the keys that open them
_STAMP = re.compile(rb"@(\d+\.\d\d\d) ")
_CHANGE = re.compile(rb"change (\d+)\.")

# The smallest program with urwid: one Text, which repeats what was typed. urwid is imported in console/ only, and there.
_BARE = """
import urwid
text = urwid.Text(":")
def typed(key):
    text.set_text(":" if key == "esc" else text.text + str(key))
urwid.MainLoop(urwid.Filler(text), unhandled_input=typed).run()
"""


@dataclass
class Seen:
    """What a reader of the terminal has noticed. Times are seconds of CLOCK_MONOTONIC."""

    newest: float = 0.0  # the time on the newest log line
    ages: list[float] = field(default_factory=list)  # how old that line was just before the next frame came
    drawn: dict[int, float] = field(default_factory=dict)  # change -> when it, or a later one, was on the screen
    tail: bytes = b""

    def take(self, data: bytes, now: float) -> None:
        """A piece of output."""
        text = self.tail + data
        stamps = [float(each) for each in _STAMP.findall(text)]
        if stamps and max(stamps) > self.newest:
            if self.newest:
                self.ages.append(now - self.newest)
            self.newest = max(stamps)
        for number in map(int, _CHANGE.findall(text)):
            self.drawn.setdefault(number, now)
        self.tail = text[-200:]


def waits(made: Sequence[float], drawn: Mapping[int, float]) -> list[float]:
    """Seconds from each change to the frame that shows it or a later one. Changes that were never drawn are left out."""
    found: list[float] = []
    seen = float("inf")
    for number in range(len(made) - 1, -1, -1):
        seen = min(seen, drawn.get(number, seen))
        if seen != float("inf"):
            found.append(seen - made[number])
    return found


class Seat:
    """A program on a terminal, with somebody in front of it. Owner: the main thread."""

    def __init__(self, program: Callable[[int], list[str]]) -> None:
        here = str(Path(chatrixcd_threads.__file__).resolve().parents[1])
        self._wire, theirs = socket.socketpair()
        self._wire.settimeout(PATIENCE)
        self.terminal = Terminal()
        self._process = subprocess.Popen(
            program(theirs.fileno()),
            stdin=self.terminal.slave,
            stdout=self.terminal.slave,
            stderr=self.terminal.slave,
            start_new_session=True,
            preexec_fn=take_terminal,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **MODES, "PYTHONPATH": here},
        )
        theirs.close()
        self.seen = Seen()
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()
        self._process.kill()
        self._process.wait()
        self.terminal.close()

    def ask(self, line: str) -> Any:
        """A line on the wire, and its answer."""
        self._wire.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            self.watch(0)
            part = self._wire.recv(65_536)
            if not part:
                raise RuntimeError(f"the bot has ended; the terminal says: {self.seen.tail!r}")
            answer += part
        return json.loads(answer)

    def watch(self, seconds: float) -> bytes:
        """Looks at the terminal for so long."""
        until = time.monotonic() + seconds
        found = b""
        while True:
            data = self.terminal.read(max(0.0, until - time.monotonic()))
            if data:
                self.seen.take(data, time.monotonic())
                found += data
            elif time.monotonic() >= until:
                return found

    def until(self, text: str, begun: float | None = None) -> float:
        """Seconds until the text is on the terminal."""
        begun = time.monotonic() if begun is None else begun
        wanted, found = text.encode(), b""
        while time.monotonic() - begun < PATIENCE:
            data = self.terminal.read(0.5)
            now = time.monotonic()
            self.seen.take(data, now)
            found = found[-4_096:] + data
            if wanted in found:
                return now - begun
        raise RuntimeError(f"{text!r} was not drawn within {PATIENCE:g} s: {found[-300:]!r}")

    def key(self, keys: str, text: str) -> float:
        """Seconds from a key to the text that it brings onto the terminal."""
        begun = time.monotonic()
        self.terminal.type(keys)
        return self.until(text, begun)

    def open(self, key: str, text: str) -> float:
        """Seconds from a key to the end of the frame that shows another view."""
        begun = time.monotonic()
        self.terminal.type(key)
        self.until(text, begun)
        last = time.monotonic()
        while self.terminal.read(QUIET):
            last = time.monotonic()
        return last - begun


def typing(ours: Seat, bare: Seat, seconds: float) -> tuple[list[float], list[float]]:
    """Types the same letters into the command bar above the log and into the smallest program, in turn, each 40 ms.

    When the bar is full it is closed, and the log is stopped and followed again, which draws everything anew.
    Seconds from each key to its frame.
    """
    here: list[float] = []
    there: list[float] = []
    typed = ""
    until = time.monotonic() + seconds
    while (begun := time.monotonic()) < until:
        typed += "abcdefghij"[len(typed) % 10]
        here.append(ours.key(typed[-1], ":" + typed))
        there.append(bare.key(typed[-1], ":" + typed))
        ours.watch(max(0.0, begun + KEY_SECONDS - time.monotonic()))
        if len(typed) == TYPED:
            typed = ""
            for seat in (ours, bare):
                seat.terminal.type("\x1b")
            ours.watch(0.3)  # a lone escape is a key only when nothing follows
            for said in ("standing still", "following"):
                here.append(ours.key("f", said))
                ours.watch(KEY_SECONDS)
            ours.terminal.type(":")
            ours.watch(0.1)
    return here, there


class Bots:
    """Makes the processes that are measured, in folders of their own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatrixcd-console-"))

    def bot(self, **options: object) -> Seat:
        """The made-up bot; returns when it answers."""
        folder = tempfile.mkdtemp(dir=self.folder)

        def program(wire: int) -> list[str]:
            given = json.dumps({"wire": wire, "folder": folder, **options})
            return [sys.executable, "-m", "chatrixcd_threads.demo.bench.operated", given]

        seat = Seat(program)
        seat.ask("made")
        return seat

    def bare(self) -> Seat:
        """The smallest program with urwid."""
        return Seat(lambda wire: [sys.executable, "-c", _BARE])

    def close(self) -> None:
        """Removes the folders."""
        shutil.rmtree(self.folder, ignore_errors=True)


def console(visit: Visit) -> list[Figure]:
    """Everything about the console's speed."""
    bots = Bots()
    try:
        return [*flood(bots, visit.say), *idle(bots, visit.say), *views(bots, visit.say), *changes(bots, visit.say)]
    finally:
        bots.close()


def flood(bots: Bots, say: Say, seconds: float = FLOOD_SECONDS) -> list[Figure]:
    """A flood of log lines while the log is shown and somebody types."""
    say("console: the producer alone")
    with bots.bot(console=False, handler="null") as seat:
        alone, _ = _flooded(seat, ALONE_SECONDS, seat.watch)
    say(f"console: {RATE:,} lines/s for {seconds:g} s")
    with bots.bot(tasks=QUIET_TASKS) as seat, bots.bare() as other:
        other.until(":")
        seat.until("[1 ")
        seat.open("7", "[7 ")
        seat.terminal.type(":")
        ours: list[float] = []
        bare: list[float] = []

        def use(left: float) -> None:
            seat.seen.ages.clear()
            for found, more in zip((ours, bare), typing(seat, other, left), strict=True):
                found += more

        cpu, growth = _flooded(seat, seconds, use)
        made, ages = seat.ask("made") / seconds, seat.seen.ages
    return [
        Figure("console flood: lines logged", "/s", made, RATE, at_least(0.95 * RATE), f"for {seconds:g} s; baseline: wanted"),
        Figure("console flood: key to frame p50", "ms", 1000 * median(ours), 1000 * median(bare)),
        Figure("console flood: key to frame p99", "ms", 1000 * percentile(ours, 0.99), 1000 * percentile(bare, 0.99),
               at_most(KEY_LIMIT), f"{len(ours)} keys; baseline: a program with one Text, typed at in turn"),
        Figure("console flood: age of newest line p50", "ms", 1000 * median(ages)),
        Figure("console flood: age of newest line p99", "ms", 1000 * percentile(ages, 0.99), None,
               at_most(AGE_LIMIT), f"just before each of {len(ages)} frames; the oldest {1000 * max(ages):.0f} ms"),
        Figure("console flood: CPU of the process", "%", cpu, alone, at_most(CPU_LIMIT),
               "baseline: the same lines to a handler that does nothing"),
        Figure("console flood: growth of RSS", "MB", growth, None, at_most(GROWTH_LIMIT),
               f"from {SETTLE_SECONDS:g} s to {seconds:g} s"),
    ]  # fmt: skip


def _flooded(seat: Seat, seconds: float, use: Callable[[float], object]) -> tuple[float, float]:
    """Per cent of a core, and growth in MB, while `use` does something for the seconds that are left."""
    process = psutil.Process(seat.pid)
    seat.ask(f"flood {RATE} {seconds}")
    seat.watch(SETTLE_SECONDS)
    begun, cpu, rss = time.monotonic(), cpu_seconds(seat.pid), process.memory_info().rss
    use(seconds - SETTLE_SECONDS - 0.5)
    share = 100 * (cpu_seconds(seat.pid) - cpu) / (time.monotonic() - begun)
    grown = (process.memory_info().rss - rss) / MB
    seat.watch(1.0)
    return share, max(0.0, grown)


def idle(bots: Bots, say: Say, seconds: float = IDLE_SECONDS) -> list[Figure]:
    """What the console costs while nothing happens, beside the same process without one."""
    say(f"console: {seconds:g} s of silence")
    with bots.bot(tasks=0) as shown, bots.bot(tasks=0, console=False) as hidden:
        shown.until("[1 ")
        shown.watch(SETTLE_SECONDS)
        begun, before, without = time.monotonic(), shown.ask("cpu"), hidden.ask("cpu")
        shown.watch(seconds)
        after, later = shown.ask("cpu"), hidden.ask("cpu")
        share = 100 / (time.monotonic() - begun)
    with bots.bot() as crowded:
        crowded.until("[1 ")
        crowded.watch(CROWD_SECONDS)
        busy_since, busy = time.monotonic(), crowded.ask("cpu")
        crowded.watch(seconds / 2)
        crowd = 100 * (crowded.ask("cpu")["ui"] - busy["ui"]) / (time.monotonic() - busy_since)
    ours, theirs = (share * (b["process"] - a["process"]) for a, b in ((before, after), (without, later)))
    ui = share * (after["ui"] - before["ui"])
    return [
        Figure("console idle: CPU of the process", "%", ours, theirs, None, "baseline: without a console"),
        Figure("console idle: CPU of the ui thread", "%", ui, None, at_most(IDLE_LIMIT)),
        Figure("console idle: the same, 1,000 running tasks", "%", crowd, None, None,
               "their times move once a second"),
    ]  # fmt: skip


def views(bots: Bots, say: Say, rounds: int = ROUNDS) -> list[Figure]:
    """Opening every view of a crowded board."""
    say("console: opening the views")
    took: dict[str, list[float]] = {}
    with bots.bot() as seat:
        seat.until("[1 ")
        for key in (VIEWS[1:] + VIEWS[:1]) * rounds:
            took.setdefault(key, []).append(1000 * seat.open(key, f"[{key} "))
    slowest = {key: max(took[key]) for key in VIEWS}
    note = ", ".join(f"{key}: {most:.0f}" for key, most in slowest.items())
    return [
        Figure("console views: opening p50", "ms", median(one for times in took.values() for one in times)),
        Figure("console views: slowest opening", "ms", max(slowest.values()), None, at_most(OPEN_LIMIT),
               f"1,000 tasks, 500 rooms, 200 lanes; {rounds} times each, the slowest by key {note}"),
    ]  # fmt: skip


def changes(bots: Bots, say: Say, count: int = CHANGES) -> list[Figure]:
    """From a change in another thread to the frame that shows it."""
    say(f"console: {count} changes from another thread")
    with bots.bot() as seat:
        seat.until("[1 ")
        seat.watch(0.5)
        seat.ask(f"change {count} {CHANGE_GAP[0]} {CHANGE_GAP[1]}")
        seat.until(f"change {count - 1}.", time.monotonic() + count * sum(CHANGE_GAP) / 2)
        found = waits(seat.ask("changes"), seat.seen.drawn)
    if len(found) < count:
        raise RuntimeError(f"only {len(found)} of {count} changes were drawn")
    return [
        Figure("console change: to drawn frame p50", "ms", 1000 * median(found)),
        Figure("console change: to drawn frame p99", "ms", 1000 * percentile(found, 0.99), None,
               at_most(CHANGE_LIMIT), f"{count} changes, {CHANGE_GAP[0] * 1000:g} to {CHANGE_GAP[1] * 1000:g} ms apart"),
    ]  # fmt: skip
