"""One class, many threads, a tiny switch interval; the invariants are looked at in the end."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrixcd_threads.events import Incoming, Kind
from chatrixcd_threads.journal import inbox, outbox
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.threads.lanes import Job, Lanes

pytestmark = pytest.mark.stress

THREADS = 8
SECONDS = 2.0
LIMIT = 60.0


@pytest.fixture(autouse=True)
def hectic() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_lanes_keep_order_and_lose_nothing() -> None:
    done: defaultdict[int, list[int]] = defaultdict(list)  # each list is written by one job at a time
    running: defaultdict[int, int] = defaultdict(int)
    failures: list[BaseException] = []
    lanes = Lanes(THREADS, per_lane=10, failed=lambda job, error: failures.append(error))
    until = time.monotonic() + SECONDS
    taken: dict[int, int] = {}
    refused = itertools.count()

    def submitter(number: int) -> None:
        """Owns four lanes, so that what is put into each of them has an order."""
        dice = random.Random(number)
        counts = {number * 4 + lane: 0 for lane in range(4)}
        while time.monotonic() < until:
            key = dice.choice(list(counts))
            if lanes.submit(Job(key, "job", lambda key=key, value=counts[key]: work(key, value))):  # type: ignore[misc]
                counts[key] += 1
            else:
                next(refused)
                time.sleep(0)
        taken.update(counts)

    def work(key: int, value: int) -> None:
        running[key] += 1
        assert running[key] == 1
        done[key].append(value)
        running[key] -= 1
        if value % 97 == 0:
            raise SystemExit(value)

    run_all([threading.Thread(target=submitter, args=(number,)) for number in range(THREADS)])
    deadline = time.monotonic() + LIMIT
    while lanes.counts().lanes and time.monotonic() < deadline:
        time.sleep(0.01)
    counts = lanes.counts()
    lanes.close()
    assert lanes.wait_idle(time.monotonic() + LIMIT) == []
    assert (counts.lanes, counts.running, counts.waiting) == (0, 0, 0)
    assert sum(taken.values()) > 100
    for key, count in taken.items():
        assert done[key] == list(range(count))
    assert {type(error) for error in failures} == {SystemExit}
    assert len(failures) == sum((count + 96) // 97 for count in taken.values())


def test_lanes_survive_workers_that_get_stuck_all_the_time() -> None:
    """Jobs that wait for a gate are given up again and again; every other job still runs once and in order."""
    done: defaultdict[int, list[int]] = defaultdict(list)
    gates: list[threading.Event] = []
    failures: list[BaseException] = []
    lanes = Lanes(2, per_lane=50, failed=lambda job, error: failures.append(error))
    until = time.monotonic() + SECONDS
    counts = dict.fromkeys(range(6), 0)

    def submitter(key: int) -> None:
        while time.monotonic() < until:
            if lanes.submit(Job(key, "job", lambda value=counts[key]: done[key].append(value))):  # type: ignore[misc]
                counts[key] += 1
            else:
                time.sleep(0)

    def spoiler() -> None:
        while time.monotonic() < until and len(gates) < 60:
            gate = threading.Event()
            gates.append(gate)
            lanes.submit(Job(("stuck", len(gates)), "stuck", lambda gate=gate: gate.wait(LIMIT) and None))  # type: ignore[misc]
            lanes.overdue(time.monotonic(), 0.0, 0.02)
            time.sleep(0.01)

    run_all([*(threading.Thread(target=submitter, args=(key,)) for key in counts), threading.Thread(target=spoiler)])
    deadline = time.monotonic() + LIMIT
    while lanes.counts().lanes and time.monotonic() < deadline:
        lanes.overdue(time.monotonic(), 0.0, 0.2)
        time.sleep(0.01)
    for gate in gates:
        gate.set()
    assert lanes.counts().lanes == 0
    assert failures == []
    lanes.close()
    while lanes.wait_idle(time.monotonic() + 0.1) and time.monotonic() < deadline:
        pass  # what was given up while it was being switched away from ends now
    for key, count in counts.items():
        # A job that was given up while it was being switched away from may end after its follower: nothing else moves.
        assert sorted(done[key]) == list(range(count))


def test_the_journal_takes_turns(tmp_path: Path) -> None:
    """Writers of inbox and outbox against senders: each event once, each row's last content sent, nothing locked."""
    journal = Journal(tmp_path / "journal.sqlite3")
    until = time.monotonic() + SECONDS
    problems: list[BaseException] = []
    accepted = [0] * 3
    last: dict[str, int] = {}
    received: dict[str, int] = {}
    writers_done = threading.Event()

    def guarded(work: object, *args: object) -> None:
        try:
            work(*args)  # type: ignore[operator]
        except BaseException as error:
            problems.append(error)

    def accept(number: int) -> None:
        for event in itertools.count():
            if time.monotonic() > until:
                return
            fresh = Incoming(0, f"$e{event}", "!r", "@p", Kind.COMMAND)  # all three offer the same ids
            with journal.write() as tx:
                accepted[number] += len(inbox.accept(tx, [fresh]))

    def speak(number: int) -> None:
        dice = random.Random(number)
        for value in itertools.count(1):
            if time.monotonic() > until:
                return
            slot = f"{number}/{dice.randrange(5)}"
            with journal.write() as tx:
                outbox.put(tx, slot, f"!r{number}", {"value": value}, outbox.Priority.ANSWER)
            last[slot] = value

    def send() -> None:
        while True:
            over = writers_done.is_set()
            row = outbox.next_due(journal.read(), ())
            if row is None:
                if over:
                    return
                time.sleep(0)
                continue
            with journal.write() as tx:
                sending = outbox.begin(tx, row)
            received[sending.slot] = int(str(sending.content["value"]))
            with journal.write() as tx:
                outbox.sent(tx, sending, f"$sent{sending.id}")

    writers = [threading.Thread(target=guarded, args=(accept, number)) for number in range(3)]
    writers += [threading.Thread(target=guarded, args=(speak, number)) for number in range(4)]
    sender = threading.Thread(target=guarded, args=(send,))
    sender.start()
    run_all(writers)
    writers_done.set()
    sender.join(LIMIT)
    assert problems == []
    assert received == last
    assert sum(accepted) == len(inbox.unanswered(journal.read()))
    assert outbox.owed(journal.read()) == 0
    journal.close()
