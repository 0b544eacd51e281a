"""The tour of the settings files: an admin edits them while the bot runs, well and badly, and the room hears about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from chatrixcd_threads.demo.stage import Stage
from chatrixcd_threads.demo.tour import Step

Edit = Callable[[dict[str, Any]], None]


def edited(what: str, edit: Edit) -> Callable[[Stage], str]:
    """Saves config.json with one change."""

    def save(stage: Stage) -> str:
        settings = json.loads(stage.bot.config.read_text("utf-8"))
        settings["bot"].setdefault("admin_room", stage.room_id)
        edit(settings)
        stage.bot.write_config(settings)
        return f"config.json saved: {what}"

    return save


def written(name: str, content: str, what: str) -> Callable[[Stage], str]:
    """Saves a whole file."""

    def save(stage: Stage) -> str:
        (stage.bot.folder / name).write_text(content, "utf-8")
        return f"{name} saved: {what}"

    return save


def _bot(key: str, value: object) -> Edit:
    return lambda settings: settings["bot"].__setitem__(key, value)


def _broken(stage: Stage) -> str:
    text = stage.bot.config.read_text("utf-8")
    stage.bot.config.write_text(text.replace('"admin_users"', '"admin_userz"'), "utf-8")
    return "config.json saved: with a typing mistake in a key"


def _mended(stage: Stage) -> str:
    text = stage.bot.config.read_text("utf-8")
    stage.bot.config.write_text(text.replace('"admin_userz"', '"admin_users"'), "utf-8")
    return "config.json saved: the mistake is gone"


RELOAD_STEPS: Final = (
    Step(
        "Name a room for the admins.",
        save=edited("bot.admin_room is this room", lambda _: None),
        expect=r"changed and counts now",
    ),
    Step(
        "Give the bot other words.",
        save=written(
            "messages.json",
            '{\n  // comments are fine\n  "ping_success": ["Pong, {user_name}!"],\n}\n',
            "one text for ping",
        ),
        expect=r"messages\.json was changed and counts now",
    ),
    Step("The next answer has them.", say="!cd ping", expect=r"Pong, @ada"),
    Step(
        "A mistake changes nothing.",
        save=_broken,
        expect=r"unknown key bot\.admin_userz \(did you mean admin_users\?\)",
    ),
    Step("And is told when it is gone.", save=_mended, expect=r"config\.json is fine again"),
    Step(
        "Another prefix counts at once.",
        save=edited("bot.command_prefix is !bot", _bot("command_prefix", "!bot")),
        expect=r"!bot",
    ),
    Step("Use it.", say="!bot admins", expect=r"These people"),
    Step(
        "A dangerous edit waits for a yes.",
        save=edited("bot.admin_users is empty", _bot("admin_users", [])),
        expect=r"waits for a yes",
    ),
    Step("The answer is no.", react="👎", expect=r"Not done"),
    Step("Nothing has changed.", say="!bot admins", expect=r"@ada"),
    Step("Let the file say again what counts.", say="!bot config undo", expect=r"holds version"),
    Step("Once more: back to the version before.", say="!bot config undo", expect=r"holds version[\s\S]*counts now"),
    Step("The old prefix is back.", say="!cd config history", expect=r"Kept versions"),
)
