"""`python -m chatrixcd_threads.demo`: the whole thing on one machine, to be tried or to be shown."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from types import FrameType

from chatrixcd_threads.demo.reload import RELOAD_STEPS
from chatrixcd_threads.demo.stage import stage
from chatrixcd_threads.demo.tour import STEPS, Tour
from chatrixcd_threads.demo.typing import Typing

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
    parser.add_argument("--profile", default="2.16", choices=CHOICES, help="which Semaphore to behave like")
    options = parser.parse_args()
    logging.getLogger("nio").setLevel(logging.CRITICAL)  # the person's client; the bot has a log of its own
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        with stage(options.profile, lambda line: print(f"· {line}", flush=True)) as set_up:
            if not (options.tour or options.reload) and sys.stdin.isatty():
                Typing(set_up).run()
                return 0
            steps = RELOAD_STEPS if options.reload else STEPS
            answered = Tour(set_up, lambda line: print(line, flush=True), steps).play()
            if not answered:
                print(f"\nThe end of the bot's log:\n{set_up.bot.log()[-3000:]}", file=sys.stderr)
            print("\nEvery step was answered." if answered else "\nNot every step was answered.")
            return 0 if answered else 1
    except KeyboardInterrupt:
        print("\nEnded; nothing is left behind.")
        return 130


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
