"""The stage of the demo: everything started, one person in an encrypted room with the bot."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatrixcd_threads.demo.botprocess import BotProcess
from chatrixcd_threads.demo.homeserver import Homeserver
from chatrixcd_threads.demo.person import People, Person
from chatrixcd_threads.demo.semaphore import Standin
from chatrixcd_threads.demo.terminal import Terminal

ROOM_NAME = "Operations"
JOIN_SECONDS = 60.0


@dataclass(frozen=True)
class Stage:
    """What the demo plays on."""

    homeserver: Homeserver
    semaphore: Standin
    bot: BotProcess
    person: Person
    room_id: str
    bot_id: str


@contextmanager
def stage(profile: str, say: Callable[[str], None], terminal: Terminal | None = None) -> Iterator[Stage]:
    """Starts all parts, and takes all of them away again, whatever happens in between.

    With a terminal the bot has its console there.
    """
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="chatrixcd-demo-")))
        say("starting a Matrix homeserver (Synapse) on loopback …")
        homeserver = parts.enter_context(Homeserver(folder / "synapse"))
        say("starting a Semaphore stand-in that runs real processes …")
        semaphore = parts.enter_context(Standin(profile=profile))
        password = secrets.token_urlsafe(16)
        bot_account = homeserver.register("chatrixcd", password)
        ada_account = homeserver.register("ada", secrets.token_urlsafe(16))
        people = parts.enter_context(People())
        ada = people.person(homeserver.url, ada_account, folder / "ada")
        say("starting the bot …")
        config = bot_config(homeserver.url, bot_account.user_id, password, semaphore, ada.user_id)
        arguments = ("-c", "config.json", "-N") if terminal else ("-L", "-c", "config.json", "-N")
        bot = parts.enter_context(BotProcess(folder / "bot", config, arguments=arguments, terminal=terminal))
        say("opening an encrypted room and inviting the bot …")
        room_id = ada.create_room(ROOM_NAME, encrypted=True, invite=[bot_account.user_id])
        ada.wait_member(room_id, bot_account.user_id, timeout=JOIN_SECONDS)
        yield Stage(homeserver, semaphore, bot, ada, room_id, bot_account.user_id)


def bot_config(homeserver: str, user_id: str, password: str, semaphore: Standin, admin: str) -> dict[str, object]:
    """The settings of the demo's bot: what has no default, and a quicker look at running tasks."""
    return {
        "matrix": {"homeserver": homeserver, "user_id": user_id, "password": password, "store_path": "store"},
        "semaphore": {
            "url": semaphore.url,
            "api_token": semaphore.token("runner"),
            "poll_seconds": 0.5,
            "check_mode_markers": True,  # the demo's jobs have ANSIBLE_CHECK_MODE_MARKERS set
        },
        "bot": {"admin_users": [admin]},
    }
