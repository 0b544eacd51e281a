"""The demo on a terminal: you type as a person in the room, and see what the bot says."""

from __future__ import annotations

import select
import sys

from chatrixcd_threads.demo.stage import Stage
from chatrixcd_threads.demo.tour import spoken
from chatrixcd_threads.demo.window import Window

REACTIONS = {"+": "👍", "-": "👎"}
LOOK_SECONDS = 0.1
WELCOME = """
You are ada in the room “Operations”, where the bot listens.
Try:  !cd help  then  !cd run Demo Hello
A line with only + or - is a 👍 or 👎 on the bot's last message.
The line  console  opens the bot's own console: ? shows its keys there, and
Ctrl-D brings you back here. Ctrl-D here, or Ctrl-C anywhere, ends the demo.
"""
BACK = "\nYou are back in the room. The line  console  opens the console again."
AGAIN = "The bot was stopped from its console. It is started again: nothing is lost."


class Typing:
    """Owner: the main thread, which looks at the keyboard and at the room in turns."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage, self._window = stage, window
        self._seen = 0
        self._last_said = ""

    def run(self, *, console: bool = False) -> None:
        """Until the end of the input. `console` shows the bot's console first."""
        print(WELCOME)
        if console:
            self._open_console()
        while True:
            self._show()
            ready, _, _ = select.select([sys.stdin, self._window.waiting], [], [], LOOK_SECONDS)
            if self._window.waiting in ready:
                self._window.skip()
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                self._say(line.strip())

    def _show(self) -> None:
        versions = self._stage.person.versions(self._stage.room_id)
        for version in versions[self._seen :]:
            if version.sender == self._stage.bot_id:
                self._last_said = version.event_id
                print(spoken("chatrixcd", version.body) + ("  (edited)" if version.edited is not None else ""))
        self._seen = len(versions)

    def _open_console(self) -> None:
        self._window.open()
        print(BACK)
        if not self._stage.bot.alive:
            print(AGAIN)
            self._stage.bot.start()

    def _say(self, line: str) -> None:
        person, room_id = self._stage.person, self._stage.room_id
        if line == "console":
            self._open_console()
        elif line in REACTIONS and self._last_said:
            person.react(room_id, self._last_said, REACTIONS[line])
        elif line:
            person.send(room_id, line)
