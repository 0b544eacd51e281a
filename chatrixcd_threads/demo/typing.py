"""The demo on a terminal: you type as a person in the room, and see what the bot says."""

from __future__ import annotations

import select
import sys

from chatrixcd_threads.demo.stage import Stage
from chatrixcd_threads.demo.tour import spoken

REACTIONS = {"+": "👍", "-": "👎"}
LOOK_SECONDS = 0.1
WELCOME = """
You are ada in the room “Operations”; the bot listens. Try:  !cd help   then   !cd run Demo Hello
A line with only + or - is a 👍 or 👎 on the bot's last message. Ctrl-D or Ctrl-C ends the demo.
"""


class Typing:
    """Owner: the main thread, which looks at the keyboard and at the room in turns."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen = 0
        self._last_said = ""

    def run(self) -> None:
        """Until the end of the input."""
        print(WELCOME)
        while True:
            self._show()
            ready, _, _ = select.select([sys.stdin], [], [], LOOK_SECONDS)
            if ready:
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

    def _say(self, line: str) -> None:
        person, room_id = self._stage.person, self._stage.room_id
        if line in REACTIONS and self._last_said:
            person.react(room_id, self._last_said, REACTIONS[line])
        elif line:
            person.send(room_id, line)
