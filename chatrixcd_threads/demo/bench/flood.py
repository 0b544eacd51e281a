"""`throughput`, `restart` and `burst`: many commands at once, each answered, none twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chatrixcd_threads.demo.bench.figures import Figure, exactly
from chatrixcd_threads.demo.bench.ground import Bot, Visit, ask, cpu_seconds
from chatrixcd_threads.demo.bench.latency import ECHO, HELP
from chatrixcd_threads.demo.person import Heard, Person

COMMANDS = 500
ECHOES = 50  # before ours, and after: the echo bot's rate needs no 500
ROOMS = 10
BURST = 50
PATIENCE = 300.0
SETTLE = 2.0  # seconds in which a second answer would still come


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of the commands. `seconds`: first send to last answer."""

    asked: int
    answered: int
    twice: int
    in_order: bool
    seconds: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


def verdict(asked: Sequence[str], answers: Sequence[Heard], seconds: float) -> Flood:
    """Counts the answers of one room to the commands of that room, given in the order in which they were sent."""
    known = set(asked)
    replies = [answer.reply_to for answer in answers if answer.reply_to in known]
    counted = Counter(replies)
    once = list(dict.fromkeys(replies))
    place = {event_id: number for number, event_id in enumerate(asked)}
    in_order = once == sorted(once, key=lambda event_id: place[str(event_id)])
    return Flood(len(asked), len(counted), sum(n > 1 for n in counted.values()), in_order, seconds)


def total(floods: Sequence[Flood]) -> Flood:
    """All rooms together."""
    return Flood(
        sum(each.asked for each in floods),
        sum(each.answered for each in floods),
        sum(each.twice for each in floods),
        all(each.in_order for each in floods),
        max(each.seconds for each in floods),
    )


class _Flood:
    """One flood: sends on a thread of its own, so that the main thread may kill a bot meanwhile."""

    def __init__(self, person: Person, rooms: list[str], word: str, who: str, count: int) -> None:
        self._person, self._rooms, self._who = person, rooms, who
        self._messages = [(rooms[number % len(rooms)], word) for number in range(count)]
        self._before = {room_id: len(person.messages(room_id)) for room_id in rooms}

    def run(self, kill: Bot | None = None) -> Flood:
        """Sends, waits for all answers (or until patience ends) and counts."""
        with ThreadPoolExecutor(1, thread_name_prefix="flood") as pool:
            begun = time.perf_counter()
            sending = pool.submit(self._person.send_many, self._messages, timeout=PATIENCE)
            if kill is not None:
                self._person.wait_for(lambda: self._heard() >= len(self._messages) // 2, timeout=PATIENCE)
                kill.process.kill9()
                kill.process.start()
            events = sending.result()
        seconds = self._wait(events, begun)
        time.sleep(SETTLE)
        return total([self._room(room_id, events, seconds) for room_id in self._rooms])

    def _wait(self, events: list[str], begun: float) -> float:
        wanted = set(events)

        def all_answered() -> bool:
            return wanted <= {answer.reply_to for room_id in self._rooms for answer in self._answers(room_id)}

        try:
            self._person.wait_for(all_answered, timeout=PATIENCE)
        except TimeoutError:
            return PATIENCE
        return time.perf_counter() - begun

    def _room(self, room_id: str, events: list[str], seconds: float) -> Flood:
        asked = [event for event, (room, _) in zip(events, self._messages, strict=True) if room == room_id]
        return verdict(asked, self._answers(room_id), seconds)

    def _heard(self) -> int:
        """Commands of this flood that have come back to their sender."""
        mine = self._person.user_id
        new = (self._person.messages(room_id)[self._before[room_id] :] for room_id in self._rooms)
        return sum(message.sender == mine for messages in new for message in messages)

    def _answers(self, room_id: str) -> list[Heard]:
        new = self._person.messages(room_id)[self._before[room_id] :]
        return [message for message in new if message.sender == self._who]


def throughput(visit: Visit) -> list[Figure]:
    """As fast as the homeserver takes them, beside the echo bot's rate in the same rooms, before and after."""
    visit.say(f"throughput: {COMMANDS} commands over {ROOMS} rooms to ours, {ECHOES} to the echo bot before and after")
    person, bot, echo = visit.person(), visit.bot(), visit.echo()
    rooms = visit.rooms(person, ROOMS, [bot.user_id, echo.user_id])
    for room_id in rooms:
        ask(person, room_id, HELP, bot.user_id)
        ask(person, room_id, ECHO, echo.user_id)

    def echoed() -> tuple[Flood, float]:
        before = cpu_seconds(echo.pid)
        flood = _Flood(person, rooms, ECHO, echo.user_id, ECHOES).run()
        return flood, cpu_seconds(echo.pid) - before

    first, first_cpu = echoed()
    before = cpu_seconds(bot.process.pid)
    ours = _Flood(person, rooms, HELP, bot.user_id, COMMANDS).run()
    cpu = cpu_seconds(bot.process.pid) - before
    second, second_cpu = echoed()
    theirs = Flood(ECHOES * 2, first.answered + second.answered, first.twice + second.twice,
                   first.in_order and second.in_order, first.seconds + second.seconds)  # fmt: skip
    note = f"first send to last answer: ours {ours.seconds:.1f} s, echo {first.seconds:.1f} and {second.seconds:.1f} s"
    return [
        *_counted("throughput", ours, COMMANDS),
        Figure("throughput: commands per second", "/s", ours.rate, theirs.rate, None, note),
        Figure("throughput: CPU of the bot per command", "ms", 1000 * cpu / ours.asked,
               1000 * (first_cpu + second_cpu) / theirs.asked),
    ]  # fmt: skip


def restart(visit: Visit) -> list[Figure]:
    """The same with kill -9 in the middle."""
    visit.say(f"restart: {COMMANDS} commands over {ROOMS} rooms with kill -9 after half of them")
    person, bot = visit.person(), visit.bot()
    rooms = visit.rooms(person, ROOMS, [bot.user_id])
    for room_id in rooms:
        ask(person, room_id, HELP, bot.user_id)
    flood = _Flood(person, rooms, HELP, bot.user_id, COMMANDS).run(kill=bot)
    note = f"first send to last answer: {flood.seconds:.1f} s, start included"
    return [*_counted("restart", flood, COMMANDS), Figure("restart: commands per second", "/s", flood.rate, note=note)]


def burst(visit: Visit) -> list[Figure]:
    """Fifty by one person in one room."""
    visit.say(f"burst: {BURST} commands in one room")
    person, bot, echo = visit.person(), visit.bot(), visit.echo()
    rooms = visit.rooms(person, 1, [bot.user_id, echo.user_id])
    ask(person, rooms[0], HELP, bot.user_id)
    theirs = _Flood(person, rooms, ECHO, echo.user_id, BURST).run()
    ours = _Flood(person, rooms, HELP, bot.user_id, BURST).run()
    rate = Figure("burst: commands per second", "/s", ours.rate, theirs.rate)
    return [*_counted("burst", ours, BURST, theirs), rate]


def _counted(name: str, flood: Flood, commands: int, theirs: Flood | None = None) -> list[Figure]:
    order = "each room in the order of its commands" if flood.in_order else "NOT in the order of the commands"
    return [
        Figure(f"{name}: answered", "", flood.answered, theirs.answered if theirs else None, exactly(commands), order),
        Figure(f"{name}: answered twice", "", flood.twice, theirs.twice if theirs else None, exactly(0)),
    ]
