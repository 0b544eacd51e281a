"""`reply`, `fairness` and `stuck`: how long a person waits, on an idle bot and on one whose Semaphore hangs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chatrixcd_threads.demo.bench.figures import Figure, at_most, median, percentile
from chatrixcd_threads.demo.bench.ground import ANSWER_SECONDS, Bot, Visit, ask, hear
from chatrixcd_threads.demo.person import Person
from chatrixcd_threads.demo.semaphore import Fault

HELP = "!cd help"
ECHO = "!echo hello"
CALLING = "!cd projects"  # one GET at Semaphore
CALLED = "/api/projects"
WARM_UP = 5

PAIRS = 60
PAIRS_ENCRYPTED = 40

PEOPLE = 8
ROOMS_EACH = 4
HANG = 3.0
ROUNDS = 3
IDLE_ASKS = 25  # before each round
LOOK = 0.02
LAST_ASK = 0.4  # seconds before the calls come back: no new question from here on

STUCK_ASKS = 40
STUCK_ROOMS = 3
STOP_LIMIT = 12.0


def reply(visit: Visit) -> list[Figure]:
    """Idle latency beside the echo bot's, in clear and encrypted rooms."""
    return [*_pairs(visit, encrypted=False), *_pairs(visit, encrypted=True)]


def _pairs(visit: Visit, *, encrypted: bool) -> list[Figure]:
    kind, count = ("encrypted", PAIRS_ENCRYPTED) if encrypted else ("plain", PAIRS)
    visit.say(f"reply: {count} pairs in {kind} rooms")
    person, bot, echo = visit.person(), visit.bot(), visit.echo(encrypted=encrypted)
    rooms = visit.rooms(person, 2, [bot.user_id, echo.user_id], encrypted=encrypted)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(count + WARM_UP):
        room_id = rooms[number % len(rooms)]
        mine, other = ask(person, room_id, HELP, bot.user_id), ask(person, room_id, ECHO, echo.user_id)
        if number >= WARM_UP:
            ours.append(mine * 1000)
            theirs.append(other * 1000)
    bot.process.close(grace=0)
    echo.close()
    return [
        Figure(f"reply {kind} p50", "ms", median(ours), median(theirs)),
        Figure(f"reply {kind} p95", "ms", percentile(ours, 0.95), percentile(theirs, 0.95)),
    ]


@dataclass(frozen=True, slots=True)
class Round:
    """One burst of calls by all people: seconds from the first send to the last answer, and what others felt."""

    seconds: float
    felt: tuple[float, ...]


class _Crowd:
    """Eight people with four rooms each, and a ninth elsewhere."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.bot: Bot = visit.bot()
        people = [visit.person() for _ in range(PEOPLE)]
        with ThreadPoolExecutor(PEOPLE, thread_name_prefix="crowd") as pool:
            rooms = pool.map(lambda person: visit.rooms(person, ROOMS_EACH, [self.bot.user_id]), people)
            self.people: list[tuple[Person, list[str]]] = list(zip(people, rooms, strict=True))
        self.ninth = visit.person()
        self.elsewhere = visit.rooms(self.ninth, 1, [self.bot.user_id])[0]

    @property
    def calls(self) -> int:
        """How many calls a round makes."""
        return PEOPLE * ROOMS_EACH

    def feel(self) -> float:
        """One question of the ninth person."""
        return ask(self.ninth, self.elsewhere, HELP, self.bot.user_id)

    def round(self, hang: float) -> Round:
        """Everybody asks at once; while all calls hang, the ninth person asks elsewhere."""
        before = self._arrived()
        with ThreadPoolExecutor(PEOPLE, thread_name_prefix="crowd") as pool:
            begun = time.perf_counter()
            ends = [pool.submit(self._one, person, rooms, hang) for person, rooms in self.people]
            felt = self._feel_while_hanging(before, hang) if hang else ()
            return Round(max(end.result() for end in ends) - begun, felt)

    def _one(self, person: Person, rooms: list[str], hang: float) -> float:
        events = person.send_many([(room_id, CALLING) for room_id in rooms])
        for room_id, event_id in zip(rooms, events, strict=True):
            hear(person, room_id, event_id, self.bot.user_id, ANSWER_SECONDS + hang)
        return time.perf_counter()

    def _feel_while_hanging(self, before: int, hang: float) -> tuple[float, ...]:
        give_up = time.perf_counter() + ANSWER_SECONDS
        while self._arrived() == before and time.perf_counter() < give_up:
            time.sleep(LOOK)
        free_at = time.perf_counter() + hang
        while self._arrived() < before + self.calls and time.perf_counter() < free_at - LAST_ASK:
            time.sleep(LOOK)
        if self._arrived() < before + self.calls:
            return ()  # the homeserver was too slow to have all of them in flight at once: the table says so
        felt: list[float] = []
        while time.perf_counter() < free_at - LAST_ASK:
            felt.append(self.feel())
        return tuple(felt)

    def _arrived(self) -> int:
        return sum(path.startswith(CALLED) for _, path, _ in self.visit.semaphore.requests())


def fairness(visit: Visit) -> list[Figure]:
    """32 hanging calls, and what others feel of them."""
    visit.say(f"fairness: {PEOPLE} people with {ROOMS_EACH} rooms each")
    crowd = _Crowd(visit)
    crowd.round(0.0)
    for _ in range(WARM_UP):
        crowd.feel()
    idle: list[float] = []
    free: list[float] = []
    hanging: list[Round] = []
    for number in range(ROUNDS):
        visit.say(f"fairness: round {number + 1} of {ROUNDS}")
        idle += [crowd.feel() for _ in range(IDLE_ASKS)]
        free.append(crowd.round(0.0).seconds)
        visit.semaphore.fault(Fault(path=f"^{CALLED}", hang=HANG))
        hanging.append(crowd.round(HANG))
        visit.semaphore.clear_faults()
    felt = [one for each in hanging for one in each.felt]
    if not felt:
        raise RuntimeError("the homeserver was too slow here to have all calls in flight at once")
    together = sum(bool(each.felt) for each in hanging)
    ideal = HANG + median(free)
    took = f"{len(felt)} questions while all {crowd.calls} calls hung ({together} of {ROUNDS} rounds), {len(idle)} on the idle bot"
    meant = f"median of {ROUNDS} rounds, first send to last answer; baseline: {HANG:g} s + the median without hanging"
    return [
        Figure("fairness: others p50", "ms", 1000 * median(felt), 1000 * median(idle)),
        Figure("fairness: others p95", "ms", 1000 * percentile(felt, 0.95), 1000 * percentile(idle, 0.95),
               at_most(1.5, "ratio"), took),
        Figure(f"fairness: {crowd.calls} calls done", "s", median(each.seconds for each in hanging), ideal,
               at_most(1.3, "ratio"), meant),
    ]  # fmt: skip


def stuck(visit: Visit) -> list[Figure]:
    """One call that never returns: nobody else notices, and the process still stops."""
    visit.say("stuck: one call that never returns")
    limits: dict[str, object] = {"hard_limit_seconds": 3600.0}
    bot = visit.bot(semaphore={"timeout": 3600.0}, bot=limits)
    person, other = visit.person(), visit.person()
    rooms = visit.rooms(other, STUCK_ROOMS, [bot.user_id])
    room_id = visit.rooms(person, 1, [bot.user_id])[0]
    for _ in range(WARM_UP):
        ask(other, rooms[0], HELP, bot.user_id)
    idle = [ask(other, rooms[n % STUCK_ROOMS], HELP, bot.user_id) for n in range(STUCK_ASKS)]
    visit.semaphore.fault(Fault(path=f"^{CALLED}", hang=3600.0, times=1))
    before = len(visit.semaphore.requests())
    person.send(room_id, CALLING)
    person.wait_for(lambda: len(visit.semaphore.requests()) > before, what="the call")
    busy = [ask(other, rooms[n % STUCK_ROOMS], HELP, bot.user_id) for n in range(STUCK_ASKS)]
    visit.say("stuck: SIGTERM")
    begun = time.perf_counter()
    bot.process.terminate()
    status = bot.process.wait(60)
    seconds = time.perf_counter() - begun
    visit.semaphore.clear_faults()
    return [
        Figure("stuck: other rooms p50", "ms", 1000 * median(busy), 1000 * median(idle)),
        Figure("stuck: other rooms p95", "ms", 1000 * percentile(busy, 0.95), 1000 * percentile(idle, 0.95),
               at_most(1.5, "ratio")),
        Figure("stuck: SIGTERM to end", "s", seconds, None, at_most(STOP_LIMIT), f"exit status {status}"),
    ]  # fmt: skip
