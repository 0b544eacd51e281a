"""`idle` and `post`: what the bot costs while nothing happens, how soon it is there, and the way from 👍 to a POST."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import requests

import chatrixcd_threads
from chatrixcd_threads.demo.bench.echo import POST_KEY
from chatrixcd_threads.demo.bench.figures import Figure, at_most, median, percentile
from chatrixcd_threads.demo.bench.ground import Visit, cpu_seconds, hear
from chatrixcd_threads.demo.bench.latency import ECHO, HELP
from chatrixcd_threads.demo.person import Person
from chatrixcd_threads.demo.semaphore.server import Seen

IDLE_SECONDS = 30.0
SETTLE = 3.0
IDLE_LIMIT = 0.3  # per cent
ASKS = 50
STARTS = 3
MB = 2**20

POSTS = 15
RUN = "!cd run 1 1"
TASKS_PATH = "/api/project/1/tasks"
BARE = {"template_id": 1}

# Each line is timed in memory: what the interpreter, nio and our own imports hold before anything runs.
_FOOTPRINT = """
import psutil
me = psutil.Process()
sizes = [me.memory_info().rss]
import nio
sizes.append(me.memory_info().rss)
import chatrixcd_threads.app, chatrixcd_threads.cli
sizes.append(me.memory_info().rss)
print(*sizes)
"""


def idle(visit: Visit) -> list[Figure]:
    """CPU and memory at rest, and start to first reply, beside the echo bot's."""
    visit.say(f"idle: {ASKS} commands each, then {IDLE_SECONDS:g} s of silence")
    person, bot, echo = visit.person(), visit.bot(), visit.echo()
    rooms = visit.rooms(person, 5, [bot.user_id, echo.user_id])
    for word, who in ((HELP, bot.user_id), (ECHO, echo.user_id)):
        asked = [(rooms[number % len(rooms)], word) for number in range(ASKS)]
        for (room_id, _), event_id in zip(asked, person.send_many(asked), strict=True):
            hear(person, room_id, event_id, who)
    time.sleep(SETTLE)
    mine, other = psutil.Process(bot.process.pid), psutil.Process(echo.pid)
    ours, theirs = _cpu(mine.pid, other.pid, IDLE_SECONDS)
    rss, their_rss = mine.memory_info().rss / MB, other.memory_info().rss / MB
    memory = Figure("idle: RSS after 50 commands", "MB", rss, their_rss, None, _reasons(rss, mine.num_threads()))
    visit.say(f"idle: {STARTS} starts each")
    first, their_first = [], []
    for _ in range(STARTS):
        bot.process.kill9()
        first.append(_first_reply(bot.process.start, person, rooms[0], HELP, bot.user_id))
        echo.close()
        their_first.append(_first_reply(echo.start, person, rooms[0], ECHO, echo.user_id))
    return [
        Figure("idle: CPU", "%", ours, theirs, at_most(IDLE_LIMIT), f"over {IDLE_SECONDS:g} s, in ticks of 10 ms"),
        memory,
        Figure("idle: start to first reply", "s", median(first), median(their_first), None,
               "process start, stored session, one question sent at once"),
    ]  # fmt: skip


def _cpu(mine: int, other: int, seconds: float) -> tuple[float, float]:
    """Per cent of one core, of both processes in the same seconds."""
    begun = time.perf_counter()
    before = cpu_seconds(mine), cpu_seconds(other)
    time.sleep(seconds)
    after = cpu_seconds(mine), cpu_seconds(other)
    share = 100 / (time.perf_counter() - begun)
    return (after[0] - before[0]) * share, (after[1] - before[1]) * share


def _reasons(rss: float, threads: int) -> str:
    """Where the bot's memory is: measured by importing the same things in a fresh interpreter."""
    here = Path(chatrixcd_threads.__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", _FOOTPRINT], cwd=here, capture_output=True, text=True, check=True)
    python, with_nio, with_ours = (int(size) / MB for size in done.stdout.split())
    parts = (
        f"Python and psutil {python:.0f}",
        f"nio with its cryptography {with_nio - python:.0f}",
        f"our modules and requests, msgspec, hjson {with_ours - with_nio:.0f}",
        f"running: key store, journal, {threads} threads {rss - with_ours:.0f}",
    )
    return "; ".join(parts) + " MB"


def _first_reply(start: Callable[[], None], person: Person, room_id: str, text: str, who: str) -> float:
    begun = time.perf_counter()
    start()
    event_id = person.send(room_id, text)
    hear(person, room_id, event_id, who)
    return time.perf_counter() - begun


class Arrivals(list[Seen]):
    """Takes the place of the stand-in's list of requests, and notes when a task was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    def append(self, request: Seen) -> None:
        """On the stand-in's loop, before the request is looked at."""
        if (request.method, request.path) == ("POST", TASKS_PATH):
            self.at.append(time.perf_counter())
        super().append(request)

    def wait(self, count: int, timeout: float = 30.0) -> float:
        """When the request with this number came."""
        deadline = time.perf_counter() + timeout
        while len(self.at) < count:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"no POST came within {timeout:g} s")
            time.sleep(0.005)
        return self.at[count - 1]


def post(visit: Visit) -> list[Figure]:
    """From 👍 to the POST, beside a bare POST and beside a nio bot that posts as soon as it hears of a reaction."""
    visit.say(f"post: {POSTS} confirmed runs")
    token, url = visit.semaphore.token("runner"), visit.semaphore.url + TASKS_PATH
    person, bot = visit.person(), visit.bot()
    echo = visit.echo(post={"url": url, "token": token, "body": BARE})
    room_id = visit.rooms(person, 1, [bot.user_id, echo.user_id])[0]
    arrivals = Arrivals()
    visit.semaphore._call(lambda core: setattr(core, "seen", arrivals))
    ours, theirs, bare = [], [], []
    for number in range(POSTS + 1):
        ours.append(_confirmed(person, room_id, bot.user_id, arrivals))
        theirs.append(_reacted(person, room_id, person.send(room_id, "a nail"), POST_KEY, arrivals))
        bare.append(_posted(url, token, arrivals))
        if number == 0:
            ours, theirs, bare = [], [], []
    return [
        Figure("post: from 👍 p50", "ms", median(ours), median(theirs), None,
               f"a bare requests.post takes {median(bare):.1f} ms: ours adds {median(ours) - median(bare):.0f} ms to it, "
               f"the nio bot {median(theirs) - median(bare):.0f} ms (both with the way through Synapse)"),
        Figure("post: from 👍 p95", "ms", percentile(ours, 0.95), percentile(theirs, 0.95)),
    ]  # fmt: skip


def _confirmed(person: Person, room_id: str, who: str, arrivals: Arrivals) -> float:
    """Milliseconds from the accepted 👍 to the POST; returns when the start has been told."""
    command = person.send(room_id, RUN)
    question = hear(person, room_id, command, who)
    taken = _reacted(person, room_id, question, "👍", arrivals)
    told = f"Task #{len(arrivals.at)} "
    person.wait(lambda heard: heard.event_id == question and told in heard.text, room_id=room_id)
    return taken


def _reacted(person: Person, room_id: str, event_id: str, key: str, arrivals: Arrivals) -> float:
    count = len(arrivals.at) + 1
    person.react(room_id, event_id, key)
    begun = time.perf_counter()
    return (arrivals.wait(count) - begun) * 1000


def _posted(url: str, token: str, arrivals: Arrivals) -> float:
    count = len(arrivals.at) + 1
    begun = time.perf_counter()
    requests.post(url, json=BARE, headers={"Authorization": f"Bearer {token}"}, timeout=30).raise_for_status()
    return (arrivals.wait(count) - begun) * 1000
