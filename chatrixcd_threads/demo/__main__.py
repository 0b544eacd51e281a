"""`python -m chatrixcd_threads.demo`: the whole thing on one machine, to be tried or to be shown."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from types import FrameType

from chatrixcd_threads.demo.reload import RELOAD_STEPS
from chatrixcd_threads.demo.stage import stage
from chatrixcd_threads.demo.terminal import Terminal
from chatrixcd_threads.demo.tour import STEPS, Tour
from chatrixcd_threads.demo.typing import Typing
from chatrixcd_threads.demo.window import Window

CHOICES = ("2.10", "2.16", "2.17", "2.19", "2.20")


def main() -> int:
    """0 when every step of the tour was answered, or the typing was ended by the person."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Try the bot with a real homeserver on this machine."
    )
    parser.add_argument("--tour", action="store_true", help="play a tour and print it (the default without a terminal)")
    parser.add_argument(
        "--reload", action="store_true", help="play the tour of the settings files: edits, good and bad"
    )
    parser.add_argument("--console", action="store_true", help="on a terminal: start in the bot's console")
    parser.add_argument("--profile", default="2.16", choices=CHOICES, help="which Semaphore to behave like")
    options = parser.parse_args()
    typing = not (options.tour or options.reload) and sys.stdin.isatty() and sys.stdout.isatty()
    if options.console and not typing:
        parser.error("--console needs a terminal, and no tour")
    logging.getLogger("nio").setLevel(logging.CRITICAL)  # the person's client; the bot has a log of its own
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        return _type(options.profile, options.console) if typing else _play(options.profile, options.reload)
    except KeyboardInterrupt:
        print("\nEnded; nothing is left behind.")
        return 130


def _type(profile: str, console: bool) -> int:
    with contextlib.closing(Terminal()) as terminal, stage(profile, _say, terminal) as set_up:
        Typing(set_up, Window(set_up.bot, terminal)).run(console=console)
    return 0


def _play(profile: str, reload: bool) -> int:
    with stage(profile, _say) as set_up:
        answered = Tour(set_up, lambda line: print(line, flush=True), RELOAD_STEPS if reload else STEPS).play()
        if not answered:
            print(f"\nThe end of the bot's log:\n{set_up.bot.log()[-3000:]}", file=sys.stderr)
        print("\nEvery step was answered." if answered else "\nNot every step was answered.")
        return 0 if answered else 1


def _say(line: str) -> None:
    print(f"· {line}", flush=True)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
