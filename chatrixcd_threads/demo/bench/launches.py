"""`launches`: what a long life costs: a start and a confirmed launch with 10,000 launches in the journal, beside an empty one."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import requests

from chatrixcd_threads.commands.call import Health, Tools
from chatrixcd_threads.commands.desk import Desk
from chatrixcd_threads.commands.post import Poster
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.demo.bench.figures import Figure, at_most, median, percentile
from chatrixcd_threads.demo.bench.ground import Visit
from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.events import Incoming, Kind, RoomOutcome
from chatrixcd_threads.journal import audit, inbox, launches, outbox, questions
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal, Tx
from chatrixcd_threads.policy.access import Access
from chatrixcd_threads.semaphore.client import Request, Semaphore
from chatrixcd_threads.semaphore.launch import Launcher
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import BotSettings, SemaphoreSettings, Settings
from chatrixcd_threads.text.redact import Redactor
from chatrixcd_threads.threads.lanes import LaneCounts

LAUNCHES: Final = 10_000
OPEN: Final = 10  # questions that nobody has answered yet
STARTS: Final = 5
CONFIRMS: Final = 40
START_LIMIT: Final = 0.3  # seconds that a start may take longer than with an empty journal
CONFIRM_LIMIT: Final = 20.0  # milliseconds beyond what Semaphore takes
ROOMS: Final = 20
PEOPLE: Final = 50
PERSON: Final = "@ann:example.org"
PROMPT: Final = "help run"
ANSWERED: Final = f"^Answer to {PROMPT}:"
NOWHERE: Final = "http://127.0.0.1:9"  # nobody listens there
MS: Final = 1000.0

_numbers = itertools.count(1)


def launched(visit: Visit) -> list[Figure]:
    """Start to first reply and the cost of a yes, with an old journal and with an empty one."""
    folder = visit.folder("launches")
    visit.say(f"launches: a journal with {LAUNCHES} launches")
    begun = time.perf_counter()
    old = folder / "old" / "store" / "journal.sqlite3"
    with closing(Journal(old)) as journal:
        fill(journal, LAUNCHES)
    took, size = time.perf_counter() - begun, old.stat().st_size / 2**20
    visit.say(f"launches: {size:.0f} MB in {took:.1f} s; {STARTS} starts each")
    return [*_starts(visit, folder), *_confirms(visit, old, folder / "young" / "store" / "journal.sqlite3")]


# --- the journal of a long life


def fill(journal: Journal, count: int) -> None:
    """So many launches as they are left behind: asked, confirmed, sent, followed, told, audited."""
    with journal.write() as tx:
        for number in range(count):
            _launch(tx, number)
        for number in range(count, count + OPEN):
            _asked(tx, number)


def _asked(tx: Tx, number: int) -> tuple[str, str, str]:
    """A command and the question about it. (room, person, slot)."""
    room, who, slot = f"!r{number % ROOMS}:example.org", f"@p{number % PEOPLE}:example.org", f"answer:$c{number}"
    (command,) = inbox.accept(tx, [Incoming(0, f"$c{number}", room, who, Kind.COMMAND, "run Demo Hello", at=number)])
    inbox.finish(tx, command.seq)
    payload = {"summary": "Hello", "project_id": 1, "template_id": 1, "template": {"name": "0" * 8}, "verb": "run"}
    _said(tx, slot, room, f"Shall I start Hello in Demo? Asked by {who}. 👍 or “yes” does it, 👎 or “no” does not.")
    questions.ask(
        tx, slot=slot, room_id=room, thread=None, asker=who, action="run", payload=payload,
        command_event=f"$c{number}", now=number, seconds=1e12,
    )  # fmt: skip
    audit.note(tx, Deed.ASKED, who=who, room_id=room, subject="Hello", detail="run", now=number)
    return room, who, slot


def _launch(tx: Tx, number: int) -> None:
    room, who, slot = _asked(tx, number)
    thumb = Incoming(0, f"$y{number}", room, who, Kind.REACTION, "yes", f"$of {slot}", at=number)
    (answer,) = inbox.accept(tx, [thumb])
    question = questions.by_event(tx, f"$of {slot}")
    assert question is not None
    questions.settle(tx, question.id, "yes", answer.event_id)
    inbox.finish(tx, answer.seq)
    token = f"{number:010x}"
    launches.confirm(
        tx, token=token, slot=slot, room_id=room, thread=None, sender=who, project_id=1, template_id=1 + number % 7,
        template_name="Hello", body={"template_id": 1, "message": f"asked by {who} [{token}]"}, now=number,
        payload='{"summary": "Hello", "verb": "run"}',
    )  # fmt: skip
    launch = launches.by_token(tx, token)
    assert launch is not None
    task = 1_000_000 + number
    launches.move(tx, launch.id, "sending", number)
    launches.move(tx, launch.id, "started", number, task)
    launches.follow(tx, launch, task)
    launches.told(tx, number + 1, "success")
    _said(tx, f"end:{number + 1}", room, f"Task #{task} Hello: ✅ success\nAsked by {who}, it took 12 seconds.")
    for deed in (Deed.CONFIRMED, Deed.LAUNCHED, Deed.STARTED):
        audit.note(tx, deed, who=who, room_id=room, subject="Hello", detail=f"#{task}, token {token}", now=number)


def _said(tx: Tx, slot: str, room: str, words: str) -> None:
    """A message that was sent and has come back."""
    outbox.put(tx, slot, room, {"plain": words, "html": words, "mention": []}, outbox.Priority.ANSWER)
    row = tx.execute("SELECT id FROM outbox WHERE slot = ?", (slot,)).fetchone()
    outbox.sent(tx, outbox.begin(tx, row[0]), f"$of {slot}")
    outbox.echoed(tx, f"$of {slot}", None)


# --- the start


def _starts(visit: Visit, folder: Path) -> list[Figure]:
    settings: dict[str, object] = {
        "matrix": {"homeserver": NOWHERE, "user_id": "@bot:example.org", "password": "none", "store_path": "store"},
        "semaphore": {"url": visit.semaphore.url, "api_token": visit.semaphore.token("runner")},
        "bot": {"admin_users": ["*"]},
    }
    taken: dict[str, list[float]] = {"old": [], "young": []}
    for _ in range(STARTS + 1):
        for name, times in taken.items():
            times.append(_first_reply(BotProcess(folder / name, settings, arguments=_ARGUMENTS, listens=True)))
    old, young = (median(times[1:]) for times in (taken["old"], taken["young"]))  # the first has everything cold
    return [
        Figure("launches: start to first reply", "s", old, young, None,
               "process start to an operator's first answer, without a homeserver; baseline: empty journal"),
        Figure("launches: start, grown by", "s", max(0.0, old - young), None, at_most(START_LIMIT)),
    ]  # fmt: skip


_ARGUMENTS: Final = ("--plain", "-c", "config.json", "-N")


def _first_reply(bot: BotProcess) -> float:
    begun = time.perf_counter()
    try:
        bot.start()
        bot.type(PROMPT)
        bot.wait_log(ANSWERED, timeout=60)
        return time.perf_counter() - begun
    finally:
        bot.close(grace=0)


# --- the yes


class Timed(Semaphore):
    """The real client, which notes how long it waits for Semaphore."""

    waited = 0.0

    def _ask(self, request: Request) -> bytes:
        begun = time.perf_counter()
        try:
            return super()._ask(request)
        finally:
            self.waited += time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class Yes:
    """What one confirmed launch took, in milliseconds: all of it, and what of that was Semaphore's."""

    whole: float
    semaphore: float

    @property
    def beyond(self) -> float:
        """The bot's own part."""
        return self.whole - self.semaphore


def _confirms(visit: Visit, old: Path, young: Path) -> list[Figure]:
    visit.say(f"launches: {CONFIRMS} confirmed launches each")
    url, token = visit.semaphore.url, visit.semaphore.token("runner")
    bare: list[float] = []
    with _yeses(old, url, token) as ours, _yeses(young, url, token) as theirs:
        pairs = []
        for _ in range(CONFIRMS + 1):
            pairs.append((next(ours), next(theirs)))
            bare.append(_posted(url, token))
    pairs, post = pairs[1:], median(bare[1:])
    beyond, empty = [mine.beyond for mine, _ in pairs], [other.beyond for _, other in pairs]
    return [
        Figure("launches: a yes, beyond Semaphore p50", "ms", median(beyond), median(empty), at_most(CONFIRM_LIMIT),
               f"desk, journal and client from the accepted yes to its answer in the journal; a bare POST takes {post:.1f} ms; "
               "baseline: empty journal"),
        Figure("launches: a yes, beyond Semaphore p95", "ms", percentile(beyond, 0.95), percentile(empty, 0.95)),
        Figure("launches: a yes in all, to a bare POST", "ms", median([mine.whole for mine, _ in pairs]), post),
    ]  # fmt: skip


@contextmanager
def _yeses(path: Path, url: str, token: str) -> Iterator[Iterator[Yes]]:
    """Confirmed launches in this journal, one for each that is asked for."""
    settings = Settings(
        bot=BotSettings(admin_users=(PERSON,), greetings_enabled=False),
        semaphore=SemaphoreSettings(url=url, api_token=token),
    )
    with closing(Journal(path)) as journal, closing(Timed(settings.semaphore)) as semaphore:
        made = _tools(journal, settings, semaphore, path.parent)
        desk = Desk(lambda: made, Poster(Redactor(lambda: (token,))), lambda: None)
        yield (_yes(journal, desk, semaphore) for _ in itertools.count())


def _yes(journal: Journal, desk: Desk, semaphore: Timed) -> Yes:
    number = f"{secrets.token_hex(6)}-{next(_numbers)}"
    room = f"!{number}:example.org"
    asking = Incoming(0, f"$ask{number}", room, PERSON, Kind.COMMAND, "run 1 1", at=time.time())
    _handle(journal, desk, asking)
    slot = f"answer:{asking.event_id}"
    with journal.write() as tx:
        row = tx.execute("SELECT id FROM outbox WHERE slot = ?", (slot,)).fetchone()
        outbox.sent(tx, outbox.begin(tx, row[0]), f"$of {slot}")
    yes = replace(asking, event_id=f"$yes{number}", kind=Kind.REACTION, text="yes", target=f"$of {slot}")
    before = semaphore.waited
    whole = _handle(journal, desk, yes)
    state = journal.read().execute("SELECT state FROM launches ORDER BY id DESC LIMIT 1").fetchone()[0]
    if state != "started":
        raise RuntimeError(f"the confirmed launch is {state}")
    return Yes(whole, (semaphore.waited - before) * MS)


def _handle(journal: Journal, desk: Desk, event: Incoming) -> float:
    """Milliseconds from the accepted event to its committed answer."""
    begun = time.perf_counter()
    with journal.write() as tx:
        (accepted,) = inbox.accept(tx, [event])
    desk.handle(accepted)
    return (time.perf_counter() - begun) * MS


def _posted(url: str, token: str) -> float:
    begun = time.perf_counter()
    headers = {"Authorization": f"Bearer {token}"}
    requests.post(f"{url}/api/project/1/tasks", json={"template_id": 1}, headers=headers, timeout=30).raise_for_status()
    return (time.perf_counter() - begun) * MS


def _tools(journal: Journal, settings: Settings, semaphore: Semaphore, folder: Path) -> Tools:
    """What a job of the bot gets, without rooms."""
    nothing: Any = lambda *given, **more: None  # noqa: E731
    return Tools(
        settings=settings,
        access=Access(settings.bot),
        messages=MessageManager(folder / "messages.json"),
        aliases=AliasManager(folder / "aliases.json", builtins=commands),
        semaphore=semaphore,
        files=dict,
        unsafe=str,
        alarm=nothing,
        told=nothing,
        launcher=Launcher(journal, semaphore, time.time, nothing),
        journal=journal,
        rooms=tuple,
        ask_rooms=lambda verb, room: RoomOutcome(room),
        health=lambda: Health((), LaneCounts(0, 0, 0, 0), 0, 0.0),
        now=time.time,
        life="1",
        leave=nothing,
        follow_now=nothing,
    )
