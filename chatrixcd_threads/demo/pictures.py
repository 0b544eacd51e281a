"""`scripts/screenshots`: the console's views as pictures, drawn by the running bot with the demo around it."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from chatrixcd_threads.console.keys import KEYS, Key
from chatrixcd_threads.console.themes import THEMES
from chatrixcd_threads.demo.person import People
from chatrixcd_threads.demo.picture import Grid, cells, replaced, svg, text
from chatrixcd_threads.demo.stage import Stage, stage
from chatrixcd_threads.demo.terminal import ReadTerminal

FOLDER: Final = Path("docs/pictures")
SMALL, OF_THEME = (40, 12), (60, 16)
LONG: Final = 60.0
# Keys that are pressed in a view before its picture is taken, and what must be seen then.
POSES: Final = {"tasks": ("j", "ERROR: ")}  # a task that has ended stands still
# What is another each time, and what stands there instead, for the row's number and what was found.
STEADY: Final[tuple[tuple[str, Callable[[int, str], str]], ...]] = (
    (r"\d\d:\d\d:\d\d,\d{3}", lambda row, was: f"09:30:{row:02d},{row * 41 % 1000:03d}"),
    (r"(127\.0\.0\.1|localhost):\d+", lambda row, was: "localhost:8008"),
    (r"/tmp/[\w./-]*?chatrixcd-demo-\w+", lambda row, was: "/srv/chatrixcd"),
    (r"![A-Za-z0-9_-]{4,}", lambda row, was: ROOM[: len(was)]),
    (r"device [A-Z0-9]{4,}", lambda row, was: "device CHATRIXCDBOT"[: len(was)]),
    (r"answers in \d+", lambda row, was: "answers in 4"),
    (r"\b(up|for) \d+ (s|min)\b", lambda row, was: f"{was.split()[0]} 9 s"),
    (r"\b\d+ s ago", lambda row, was: "2 s ago"),
    (r"\bof \d+ s\b", lambda row, was: "of 9 s"),
    (r"\b(ends in) \d+ (s|min)", lambda row, was: "ends in 4 min"),
    (r"\b\d+ k?B\b", lambda row, was: "4 kB"),
    (r".\0", lambda row, was: "• "),  # emoji: not every font has them, and they are not everywhere two columns wide
)
ROOM: Final = "!mNBvCxZlKjHgFdSaPoIuYtReWqMnBvCxZlKjHgFdSaP"


def views() -> dict[str, str]:
    """Each view of the console with the key that opens it, from the console's own table."""
    return {name: each.keys[0] for each in KEYS if (name := _view_of(each))}


def _view_of(key: Key) -> str:
    kind, _, name = key.command.partition(" ")
    return name if kind == "view" and key.context == "all" else ""


def files() -> dict[str, str]:
    """The name of every picture, and its title."""
    found = {name: f"The console: {name}" for name in views()}
    found["small"] = f"The console at {SMALL[0]}x{SMALL[1]}"
    return found | {f"theme-{theme}": f"The console in the theme {theme}" for theme in THEMES}


def steady(grid: Grid) -> Grid:
    """The picture without what is another each time, so that a new picture differs where the console does."""
    rows = []
    for number, row in enumerate(grid):
        for pattern, instead in STEADY:
            for found in reversed(list(re.finditer(pattern, text(row)))):
                new = instead(number, found.group())
                if new != found.group():
                    row = replaced(row, found.start(), found.end(), new)
        rows.append(row)
    return rows


class Camera:
    """Owner: the main thread. Looks at the bot's console on its terminal."""

    def __init__(self, set_up: Stage, terminal: ReadTerminal, keep: Callable[[str, str], None]) -> None:
        self._stage, self._terminal, self._keep = set_up, terminal, keep

    def all(self) -> None:
        """Every view, then the first page small and in every theme."""
        self._act_out()
        for name, key in views().items():
            self._terminal.type(key)
            self._terminal.until(lambda key=key: f"[{key} " in self._terminal.text, f"the view {name}")  # type: ignore[misc]
            keys, seen = POSES.get(name, ("", ""))
            self._terminal.type(keys)
            self._terminal.shows(seen)
            self._take(name)
        self._terminal.type("1")
        self._sized("small", SMALL)
        for theme in THEMES:
            self._restart(theme)
            self._sized(f"theme-{theme}", OF_THEME)

    def _act_out(self) -> None:
        """People do this and that, so that there is something to see."""
        ada, room = self._stage.person, self._stage.room_id
        self._edit_files()
        for line, said in (
            ("run Demo Hello", r"Hello: ✅ success"),
            ("run Demo Broken deploy", r"Broken deploy: ❌ failed"),
            ("run Demo Long job", r"Task #\d+ \(Long job\)"),
        ):
            ada.send(room, f"!cd {line}")
            self._heard(r"Shall I start")
            ada.send(room, "yes")
            self._heard(said)
        ada.send(room, "!cd run Demo Deploy web")
        self._heard(r"Shall I start Deploy web")
        self._terminal.shows("Matrix", "INVITE", "1 open", seconds=LONG)

    def _edit_files(self) -> None:
        settings = json.loads(self._stage.bot.config.read_text("utf-8"))
        settings["bot"]["greetings_enabledd"] = True
        self._stage.bot.write_config(settings)
        self._terminal.shows("REFUSED", "config.json", seconds=LONG)

    def _heard(self, pattern: str) -> None:
        """Waits until the bot says so after what was heard before."""
        wanted, room, bot = re.compile(pattern), self._stage.room_id, self._stage.bot_id

        def said() -> bool:
            versions = self._stage.person.versions(room)
            return any(each.sender == bot and wanted.search(each.body) for each in versions[self._seen :])

        self._stage.person.wait_for(said, timeout=LONG, what=pattern)
        self._seen = len(self._stage.person.versions(room))

    _seen = 0

    def _restart(self, theme: str) -> None:
        bot = self._stage.bot
        bot.close()
        self._terminal.screen.reset()
        bot.arguments = ("-c", "config.json", "-N", "-t", theme)
        bot.start()

    def _sized(self, name: str, size: tuple[int, int]) -> None:
        self._terminal.resize(*size)
        quiet = re.compile(r"(?s)(?!.*(WAIT|BUSY)).*First page.*OK +Matrix.*OK +Semaphore")
        self._terminal.until(lambda: quiet.match(self._terminal.text), f"{name} is drawn", LONG)
        self._take(name)

    def _take(self, name: str) -> None:
        self._terminal.settles()
        self._keep(name, svg(steady(cells(self._terminal.screen)), files()[name]))


@contextlib.contextmanager
def invited(set_up: Stage, folder: Path) -> Iterator[None]:
    """Somebody who may not invite the bot invites it all the same."""
    with People() as people:
        account = set_up.homeserver.register("eve", "eve-of-the-demo")
        eve = people.person(set_up.homeserver.url, account, folder / "eve")
        eve.create_room("Staging", invite=[set_up.bot_id])
        yield


def main() -> int:
    """0 when all pictures were drawn."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description="Draws the pictures of the documents.")
    parser.add_argument("--png", action="store_true", help="also as PNG, into .cache/pictures (needs cairosvg)")
    options = parser.parse_args()
    logging.getLogger("nio").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    draw = _png_maker() if options.png else None
    drawn: dict[str, str] = {}
    with contextlib.closing(ReadTerminal()) as terminal, stage("2.16", _say, terminal) as set_up:
        terminal.settles()
        with invited(set_up, set_up.bot.folder.parent):
            Camera(set_up, terminal, drawn.__setitem__).all()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for name, picture in drawn.items():
        (FOLDER / f"{name}.svg").write_text(picture, "utf-8")
        if draw is not None:
            draw(name, picture)
    _say(f"{len(drawn)} pictures in {FOLDER}")
    return 0


def _png_maker() -> Callable[[str, str], None]:
    try:
        import cairosvg  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        sys.exit("For --png cairosvg is needed: install it with .cache/venv-dev/bin/python -m pip install cairosvg")
    folder = Path(".cache/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name, picture: cairosvg.svg2png(picture.encode(), write_to=str(folder / f"{name}.png"), scale=2)


def _say(line: str) -> None:
    print(f"· {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
