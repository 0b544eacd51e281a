"""A made-up bot for the tests on a real terminal: the console under the real supervisor, and a worker beside it.

The worker answers on a socket whose descriptor is the first argument: as long as it answers, the bot goes on.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.board import FileView, Link
from chatrixcd_threads.console.plain import Plain
from chatrixcd_threads.console.ring import RingHandler
from chatrixcd_threads.console.service import Console, Look
from chatrixcd_threads.threads.service import Service
from chatrixcd_threads.threads.supervisor import Supervisor
from tests.console.sample import NAMES, Feed, stormy

STOP_SECONDS = 15.0  # a busy machine may stand still for some


class Worker(Service):
    """Does what the test says, and counts its beats."""

    name = "worker"

    def __init__(
        self, wire: socket.socket, feed: Feed, poke: Callable[[], None], restyle: Callable[[Look], None]
    ) -> None:
        self._wire, self._feed, self._poke, self._restyle = wire, feed, poke, restyle
        self._board = feed.now
        self.beats = 0
        self.flooding = threading.Event()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._wire.settimeout(0.05)
        pending = b""
        while not stop.is_set():
            beat()
            self.beats += 1
            try:
                pending += self._wire.recv(4_096)
            except TimeoutError:
                continue
            *lines, pending = pending.split(b"\n")
            for line in lines:
                answer = self._do(*line.decode().split(" ", 1))
                self._wire.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, verb: str, rest: str = "") -> object:
        match verb:
            case "beats":
                return self.beats
            case "typed":
                return self._feed.typed
            case "note":
                self._feed.now = dataclasses.replace(self._board, matrix=Link("ok", rest, self._board.now))
                self._poke()
            case "answer":
                self._feed.answered[f"T{len(self._feed.typed)}"] = rest
                self._poke()
            case "break":
                self._feed.now = None  # type: ignore[assignment]  # the views will fail
                self._poke()
            case "mend":
                self._feed.now = self._board
                self._poke()
            case "file":  # a settings file that is in force as it is
                self._feed.views["config.json"] = FileView("config", rest, "same", 1.0)
                self._poke()
            case "look":
                self._restyle(Look(rest.split()[0], "mouse" in rest, "colors" in rest))
            case "log":
                logging.getLogger("driver").warning("%s", rest)
            case "flood":
                rate, seconds = map(float, rest.split())
                threading.Thread(target=self._flood, args=(rate, seconds), daemon=True).start()
            case "cpu":
                return time.process_time()
        return "done"

    def _flood(self, rate: float, seconds: float) -> None:
        """Lines in hundreds, each with the time at which it was made."""
        begun, made = time.monotonic(), 0
        pause = threading.Event()
        while (now := time.monotonic()) - begun < seconds or made < rate:  # also where the machine stands still
            for _ in range(100):
                self._feed.ring.add(f"2026-11-23 23:28:51,000 INFO    flood      line {made} made at {now:.3f}")
                made += 1
            self._poke()
            pause.wait(max(0.0, begun + made / rate - time.monotonic()))


def main() -> int:
    wire = socket.socket(fileno=int(sys.argv[1]))
    options = sys.argv[3:]
    feed = Feed(stormy())
    feed.outputs[1, 4_711] = tuple(f"TASK [{n}]" if n % 5 else f"fatal: host{n} failed" for n in range(60))
    left = threading.Event()

    doors = dataclasses.replace(feed.doors, leave=left.set)
    looks: list[Look] = []
    ui: Console | Plain = (
        Plain(doors)
        if "plain" in options
        else Console(
            doors,
            names=lambda: NAMES,
            mouse="mouse" in options,
            colors="colorless" not in options,
            look=lambda: looks[-1],
            debug=True,
        )
    )
    logging.basicConfig(
        level=logging.INFO,
        handlers=[RingHandler(feed.ring, ui.poke), logging.FileHandler(sys.argv[2] + ".log")],
        format="%(asctime)s %(levelname)-7s %(message)s",
    )

    def restyle(look: Look) -> None:
        looks.append(look)
        if isinstance(ui, Console):
            ui.restyle()

    worker = Worker(wire, feed, ui.poke, restyle)
    supervisor = Supervisor([worker, ui])

    def leave(number: int, frame: FrameType | None) -> None:
        left.set()  # and nothing that the main thread waits for: it may hold the lock of that

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGHUP, lambda *_: ui.on_hangup())
    signal.signal(signal.SIGWINCH, lambda *_: ui.on_resize())
    signal.signal(signal.SIGTSTP, lambda *_: ui.on_suspend())
    signal.signal(signal.SIGCONT, lambda *_: ui.on_resume())
    sys.setswitchinterval(0.001)
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # a stuck test can be asked where it stands
    rescue.save_terminal()
    rescue.take_stderr(sys.argv[2])
    code = 0
    try:
        supervisor.start()
        while not left.is_set():
            supervisor.changed.wait(0.1)
            supervisor.changed.clear()
            supervisor.tick(time.monotonic())
        deadline = time.monotonic() + STOP_SECONDS
        if not supervisor.stop("ui", deadline):
            code = 70
        supervisor.stop("worker", deadline)
    finally:
        rescue.restore_terminal()
    if code:
        os._exit(code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
