"""The bot's side of the settings view, with real files: what is told of them, and what never is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrixcd_threads.commands.call import File
from chatrixcd_threads.console.board import FileView, LaneLine
from chatrixcd_threads.console.filing import LOOK_SECONDS, Filing
from chatrixcd_threads.console.office import lane_lines
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.config import Config
from chatrixcd_threads.settings.hot import Held
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.texts import PLACEHOLDERS
from chatrixcd_threads.threads.lanes import LaneInfo, Lanes

LIMIT = 20.0
SECRET = "correct horse"
CONFIG = {
    "matrix": {"password": SECRET, "user_id": "@bot:x"},
    "bot": {"admin_users": ["@ann:x"]},
}


class Desk:
    """Three files, and the looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "config.json"
        self.config_file.write_text(json.dumps(CONFIG, indent=2) + "\n")
        self.config = Config(self.config_file)
        self.messages = MessageManager(folder / "messages.json")
        self.aliases = AliasManager(folder / "aliases.json")
        self.now = 100.0
        self.poked = threading.Semaphore(0)
        self.failures: list[BaseException] = []
        self.lanes = Lanes(2, failed=lambda job, error: self.failures.append(error))
        self.filing = Filing(self.files, self.clean, self.lanes, self.poked.release, lambda: self.now)

    def files(self) -> dict[str, File]:
        return {"config": self.config.hot, "messages": self.messages.hot, "aliases": self.aliases.hot}

    def clean(self, line: str) -> str:
        return line.replace(SECRET, "***")

    def look(self, name: str = "config") -> FileView:
        """What is known after a look that was asked for."""
        looks = self.filing.view(name).looks
        self.filing.look_again(name)
        while self.filing.view(name).looks <= looks:
            assert self.poked.acquire(timeout=LIMIT)
        return self.filing.view(name)

    def previews(self, text: str) -> dict[tuple[str, str], tuple[str, ...]]:
        """What is said in which category and tone, once it holds the text."""
        while text not in str(self.filing.previews()):
            assert self.poked.acquire(timeout=LIMIT)
        return {(each.category, each.tone): each.texts for each in self.filing.previews()}

    def close(self) -> None:
        self.lanes.close()
        assert not self.lanes.wait_idle(self.lanes._clock() + LIMIT)
        assert self.failures == []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_a_file_that_is_in_force(desk: Desk) -> None:
    view = desk.look()
    assert (view.state, view.problems, view.diff, view.held, view.kept) == ("same", (), (), 0, 1)
    assert view.path == str(desk.config_file)
    text = "\n".join(desk.filing.text("config.json"))
    assert '"user_id": "@bot:x"' in text
    assert SECRET not in text
    assert len(desk.filing.text("config")) == len(desk.config_file.read_text().splitlines())


def test_a_mistake_has_its_line_and_its_column(desk: Desk) -> None:
    desk.config_file.write_text('{\n  "matrix": {"password": "new secret", "user_id": "@bot:x"},\n  "bot" 5\n}\n')
    view = desk.look()
    assert view.state == "wrong"
    (problem,) = view.problems
    assert (problem.line, problem.column, problem.text) == (3, 9, '  "bot" 5')
    assert problem.text[problem.caret] == "5"
    assert "was expected after the key" in problem.reason
    assert str(desk.config_file) not in problem.reason
    assert "new secret" not in str(view)
    assert SECRET not in str(view)


def test_mistakes_of_meaning_point_at_their_keys(desk: Desk) -> None:
    text = '{\n  "matrix": {"user_id": 5, "pasword": "x y z"},\n  "bot": {\n    "admin_userz": []\n  }\n}'
    desk.config_file.write_text(text)
    first, second, third = desk.look().problems
    assert (first.line, second.line, third.line) == (2, 2, 4)
    assert first.text[first.caret :].startswith("user_id")
    assert second.text[second.caret :].startswith("pasword")
    assert third.text == '    "admin_userz": []'
    assert third.text[third.caret :].startswith("admin_userz")
    assert "x y z" not in str(second)


def test_an_edit_that_is_not_read_yet_and_one_that_is_held(desk: Desk) -> None:
    changed = json.loads(desk.config_file.read_text())
    changed["bot"]["admin_users"] = []
    changed["matrix"]["password"] = "another"
    desk.config_file.write_text(json.dumps(changed, indent=2) + "\n")
    view = desk.look()
    assert (view.state, view.held) == ("edited", 0)
    assert '-    "admin_users": [' in view.diff
    assert sum("password" in line for line in view.diff) == 2
    assert "another" not in str(view)
    held = desk.config.check_for_changes()
    assert isinstance(held, Held)
    view = desk.look()
    assert (view.state, view.held, view.reason) == ("edited", held.number, "nobody would be an admin any more")
    assert 'bot.admin_users: ["@ann:x"] → []' in view.changes
    assert "another" not in str(view)
    desk.config.hot.decide(held.number, True)
    view = desk.look()
    assert (view.state, view.held, view.kept) == ("same", 0, 2)


def test_a_file_that_is_absent_is_made_once(desk: Desk) -> None:
    assert desk.look("aliases").state == "absent"
    assert desk.filing.text("aliases") == ()
    assert desk.filing.make("aliases") == ""
    made = desk.folder / "aliases.json"
    assert '"ps"' in made.read_text("utf-8")
    assert made.stat().st_mode & 0o777 == 0o600
    assert "could not be made: File exists" in desk.filing.make("aliases")
    desk.config_file.unlink()
    assert desk.look().state == "absent"
    assert desk.filing.make("config") == ""  # what is in force, and never the example's servers and admins
    assert json.loads(desk.config_file.read_text()) == CONFIG


def test_a_file_that_is_none(desk: Desk) -> None:
    (desk.folder / "messages.json").mkdir()
    (problem,) = desk.look("messages").problems
    assert (problem.line, problem.reason) == (0, "this is not a file")
    assert desk.filing.view("no such").state == "reading"


def test_looks_are_few_and_news_pokes(desk: Desk) -> None:
    desk.look()
    while desk.poked.acquire(blocking=False):
        pass
    desk.config_file.write_text("{")
    desk.filing.view("config")  # too soon after the last one
    assert desk.filing.view("config").state == "same"
    desk.now += LOOK_SECONDS
    desk.filing.view("config")
    while desk.filing.view("config").state != "wrong":  # the second poke of the first look may come late
        assert desk.poked.acquire(timeout=LIMIT)


def test_previews_follow_the_messages(desk: Desk) -> None:
    found = desk.previews("@ann:example.org")
    assert set(found) == {(category, tone) for category in PLACEHOLDERS for tone in ("playful", "friendly", "terse")}
    assert all(found.values())
    assert all(each.used for each in desk.filing.previews())
    assert not [text for texts in found.values() for text in texts if "{" in text or "—" in text.split()]
    (desk.folder / "messages.json").write_text('{"pet": ["Purr, *{user_name}*"]}')
    desk.messages.check_for_changes()
    texts = desk.previews("Purr")
    assert "@ann:example.org" in texts["pet", "playful"][0]
    assert texts["pet", "playful"][0].startswith("Purr")
    assert "Purr" not in "".join(texts["pet", "terse"])


def test_lanes_are_named_by_what_they_are_for() -> None:
    here = threading.get_ident()
    found = lane_lines(
        (
            LaneInfo(("!ops:x", "@ann:x"), 3, "command $1", 4.0, here),
            LaneInfo(("task", 7), 0, "report of task 42", None, None),
            LaneInfo("odd", 0, "job", 1.0, -1),  # its thread has just ended
        )
    )
    assert found[0] == LaneLine("!ops:x", "@ann:x", 3, "command $1", 4.0, threading.current_thread().name)
    assert found[1] == LaneLine("task", "7", 0, "report of task 42", None, "")
    assert found[2] == LaneLine("odd", "", 0, "job", 1.0, "")
