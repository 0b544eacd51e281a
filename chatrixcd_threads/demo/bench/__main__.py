"""`scripts/bench [NAME…] [--json FILE]`: measures, prints one table, and ends with 0 only if every limit holds."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from chatrixcd_threads.demo.bench import console, flood, latency, launches, rest
from chatrixcd_threads.demo.bench.figures import Figure, all_hold, as_json, table
from chatrixcd_threads.demo.bench.ground import Ground, Say, Visit
from chatrixcd_threads.demo.homeserver import HomeserverError

Measure = Callable[[Visit], list[Figure]]

MEASURES: Mapping[str, Measure] = {
    "reply": latency.reply,
    "fairness": latency.fairness,
    "throughput": flood.throughput,
    "restart": flood.restart,
    "burst": flood.burst,
    "idle": rest.idle,
    "stuck": latency.stuck,
    "post": rest.post,
    "launches": launches.launched,
    "console": console.console,
}


def parser() -> argparse.ArgumentParser:
    """All options."""
    made = argparse.ArgumentParser(
        prog="bench", description="Measures the bot on a real Synapse and on a real terminal."
    )
    made.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure (default: all): {', '.join(MEASURES)}")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return made


def chosen(names: Sequence[str]) -> list[str]:
    """The named measures in the order of the table; all when none is named. ValueError names the unknown ones."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise ValueError(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    return [name for name in MEASURES if not names or name in names]


def measure(name: str, run: Measure, ground: Ground) -> list[Figure]:
    """One measurement; what goes wrong in it becomes a failed figure, and the others go on."""
    try:
        with Visit(ground) as visit:
            try:
                return run(visit)
            except BaseException:
                visit.tell_logs()
                raise
    except HomeserverError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was: it stands in the table
        ground.say(f"{name} failed: {error}")
        reason = (str(error).splitlines() or [""])[0]
        return [Figure(name, "", None, note=f"{type(error).__name__}: {reason}")]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all limits hold; 1: one does not; 2: wrong usage, or no homeserver to be had."""
    options = parser().parse_args(arguments)
    try:
        names = chosen(options.names)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    begun = time.monotonic()
    say = _teller(begun)
    figures: list[Figure] = []
    try:
        with Ground(say) as ground:
            for name in names:
                figures += measure(name, MEASURES[name], ground)
    except HomeserverError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    facts = _facts(time.monotonic() - begun)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    print(table(figures))
    if options.json:
        options.json.write_text(as_json(figures, facts), "utf-8")
    return 0 if all_hold(figures) else 1


def _teller(begun: float) -> Say:
    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {what}", file=sys.stderr, flush=True)

    return say


def _facts(seconds: float) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "synapse": metadata.version("matrix-synapse"),
        "nio": metadata.version("matrix-nio"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
