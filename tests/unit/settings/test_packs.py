"""Packs and tones: whole sets of texts, taken into use, written out, and chosen by room."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chatrixcd_threads.errors import ConfigError, NotFound
from chatrixcd_threads.settings import packs, texts, tones
from chatrixcd_threads.settings.document import parse, read
from chatrixcd_threads.settings.hot import Changed
from chatrixcd_threads.settings.kept import Kept
from chatrixcd_threads.settings.messages import DEFAULT_MESSAGES, MessageManager
from chatrixcd_threads.settings.model import BotSettings

PACKS = ("friendly", "pirate", "playful", "terse")


def test_names_and_the_folder_for_people() -> None:
    assert packs.names() == PACKS
    shown = Path(__file__).parents[3] / "config" / "packs"
    assert shown.is_symlink()
    assert shown.resolve() == texts.PACKS.resolve()


@pytest.mark.parametrize("name", PACKS)
def test_every_pack_is_whole_and_its_own(name: str) -> None:
    pack = packs.read_pack(name)
    assert set(pack) == set(texts.PLACEHOLDERS)
    elsewhere = {each for other in PACKS if other != name for said in packs.read_pack(other).values() for each in said}
    for said in pack.values():
        assert len(set(said)) == len(said) >= 6
        assert not elsewhere & set(said) - {"Noted."}
    assert texts.check(parse(texts.pack_text(name), name)) == pack


def test_terse_is_terse() -> None:
    said = [each for each_of in packs.read_pack("terse").values() for each in each_of]
    assert max(map(len, said)) <= 30
    assert not any("!" in each or max(each) > "…" for each in said)


def test_unknown_pack() -> None:
    with pytest.raises(NotFound, match=r"there is no pack “pirat”\. Did you mean “pirate”"):
        packs.read_pack("pirat")
    with pytest.raises(NotFound):
        packs.read_pack("../packs/pirate")


class TestUse:
    def test_without_a_file_and_back(self, tmp_path: Path) -> None:
        manager = MessageManager(tmp_path / "messages.json")
        packs.use("pirate", manager)
        assert packs.in_force(manager.hot.now) == "pirate"
        assert (tmp_path / "messages.json").read_text() == texts.pack_text("pirate")
        assert manager.check_for_changes() is None
        assert isinstance(manager.hot.undo()[1], Changed)
        assert manager.hot.now == DEFAULT_MESSAGES

    def test_own_texts_are_kept_first(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        own = "{pet: ['mine'] /* dear */}"
        path.write_text(own)
        manager = MessageManager(path)
        packs.use("terse", manager)
        packs.use("pirate", manager)
        assert own in [copy.text() for copy in manager.hot.kept.copies()]
        assert manager.get_all_messages("pet") == packs.read_pack("pirate")["pet"]

    def test_own_texts_that_cannot_be_kept_stay(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: ['mine']}")
        manager = MessageManager(path)
        monkeypatch.setattr(Kept, "add", lambda self, text, now: "no space")
        with pytest.raises(ConfigError, match=r"texts of its own, and I could not keep a copy of them \(no space\)"):
            packs.use("terse", manager)
        assert path.read_text() == "{pet: ['mine']}"
        path.write_text(texts.pack_text("pirate"))
        packs.use("terse", manager)  # nothing of anybody's own is lost
        assert packs.in_force(manager.hot.now) == "terse"

    def test_a_bad_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: [")
        with pytest.raises(ConfigError, match="the file has a mistake"):
            packs.use("terse", MessageManager(path))
        assert path.read_text() == "{pet: ["


def test_export_loads_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    path.write_text("{pet: ['{{\\\\ \"ü\" {user_name}']}")
    messages = MessageManager(path).hot.now
    path.write_text(packs.export(messages))
    assert texts.check(parse(read(path), "")) == messages
    assert MessageManager(path).hot.now == messages


class TestTones:
    def test_of_a_room(self) -> None:
        bot = BotSettings(tones={"!a:b": "silent", "*": "friendly"})
        assert tones.tone_of(bot, "!a:b") == "silent"
        assert tones.tone_of(bot, "!c:d") == "friendly"
        assert tones.tone_of(BotSettings(), "!a:b") == "playful"
        assert tones.tone_of(bot, "!a:b", failure=True) == "terse"

    def test_choice(self) -> None:
        own = {**DEFAULT_MESSAGES, "pet": ("mine",)}
        assert tones.choose(own, "playful", "pet") == ("mine",)
        assert tones.choose(own, "terse", "pet") == packs.read_pack("terse")["pet"]
        assert tones.choose(own, "friendly", "pet") == packs.read_pack("friendly")["pet"]
        assert tones.choose(own, "silent", "pet") == ()
        with pytest.raises(KeyError):
            tones.choose(own, "silent", "nothing")

    def test_said(self, tmp_path: Path) -> None:
        manager = MessageManager(tmp_path / "none", rng=random.Random(1))
        assert manager.get_random_message("pet", tone="silent", user_name="Ada") == ""
        said = {manager.get_random_message("task_start", tone="terse", task_name="web") for _ in range(60)}
        assert said == {each.replace("{task_name}", "web") for each in packs.read_pack("terse")["task_start"]}
