"""`info`: versions and how the bot itself is."""

from __future__ import annotations

import platform
from datetime import timedelta

import humanize

from chatrixcd_threads import __version__
from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Reply, command
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.text.markup import Text, bold, bullets, lines, text


@command("info", "shows versions, threads, lanes and what is waiting")
def info(call: Call) -> Reply:
    """Answers also when Semaphore is away: then it says so in Semaphore's line."""
    health = call.tools.health()
    lanes = health.lanes
    facts: list[Text | str] = [
        f"chatrixcd_threads {__version__} on Python {platform.python_version()}, up {humanize.naturaldelta(timedelta(seconds=health.up))}",
        f"Semaphore: {_semaphore(call)}",
        f"Rooms: {len(call.tools.rooms())}",
        f"Commands: {lanes.running} running, {lanes.waiting} waiting, {lanes.given_up} given up since the start",
        f"Messages that wait to be sent: {health.owed}",
        text("Threads: ")
        + ", ".join(
            f"{each.name} {each.state}" + (f" ({each.problem})" if each.problem else "") for each in health.threads
        ),
    ]
    return Reply(lines(bold("How I am"), bullets(facts)), greet=True)


def _semaphore(call: Call) -> str:
    try:
        return f"version {call.tools.semaphore.info().raw or 'unknown'}"
    except SemaphoreError as error:
        return error.sentence
