"""Run the stand-in by hand: `python -m chatrixcd_threads.demo.semaphore --port 3000 --profile 2.16`."""

import argparse
import json
import signal
import threading
from dataclasses import replace
from pathlib import Path

from chatrixcd_threads.demo.semaphore import MISCHIEFS, PROFILES, Standin

USERS = ("admin", "runner", "manager", "guest", "outsider")


def main() -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m chatrixcd_threads.demo.semaphore", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="2.16")
    parser.add_argument("--tick", type=float, default=None, help="seconds of the queue's tick")
    parser.add_argument("--content", type=Path, default=None, help="a file in the form of setup.json")
    parser.add_argument("--lose", type=float, default=0.0, help="share of shell jobs that lose their last lines")
    parser.add_argument("--mischief", choices=sorted(MISCHIEFS), default="none", help="what it does with tasks")
    options = parser.parse_args()
    content = json.loads(options.content.read_text(encoding="utf-8")) if options.content else None
    profile = replace(PROFILES[options.profile], lose_last_lines=options.lose)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    with Standin(profile, content, options.port, options.tick) as server:
        server.mischief(options.mischief)
        print(f"Semaphore stand-in {server.profile.name} at {server.url}")
        for who in USERS:
            print(f"  {who:<9} {server.token(who)}")
        print("End it with Ctrl-C.", flush=True)
        ending.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
