"""The main thread of a whole bot, which no signal and no full disk may hold: it starts, and it stops in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 90.0
BOT = """
import inspect, json, os, signal, sys, threading, time
from pathlib import Path
from chatrixcd_threads import app, cli

what = sys.argv[1]
rooms = [f"!room{n}:x" for n in range(400)] if what == "full" else []
nowhere = "http://127.0.0.1:9"
Path("config.json").write_text(json.dumps({
    "matrix": {"homeserver": nowhere, "user_id": "@bot:x", "password": "pass-word-1"},
    "semaphore": {"url": nowhere, "api_token": "token-1-token"},
    "bot": {"allowed_rooms": rooms},
}))
build = app.build


def fill_the_disk(bot):
    db = bot.journal.read()
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    threading.Thread(target=end_it, daemon=True).start()


def end_it():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # a busy machine may take long until the bot listens
        time.sleep(0.05)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def signal_inside_the_lock(bot):
    lines, first = inspect.getsourcelines(threading.Event.wait)
    at = first + next(n for n, line in enumerate(lines) if "signaled = self._flag" in line)
    began, done = time.monotonic(), []

    def inside(frame, event, arg):
        if event == "line" and frame.f_lineno == at and not done and time.monotonic() - began > 1:
            done.append(1)
            signal.raise_signal(signal.SIGTERM)
        return inside

    def calls(frame, event, arg):
        is_it = frame.f_code is threading.Event.wait.__code__
        return inside if is_it and frame.f_locals.get("self") is bot._supervisor.changed else None

    sys.settrace(calls)


def changed(*parts):
    bot = build(*parts)
    {"full": fill_the_disk, "signal": signal_inside_the_lock}[what](bot)
    return bot


app.build = changed
print("code", cli.main(["-c", "config.json", "-L"]))
"""


@pytest.mark.parametrize("what", ["signal", "full"])
def test_the_bot_starts_and_stops_in_order(tmp_path: Path, what: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BOT, what],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert "code 0" in ended.stdout, ended.stdout[-3_000:]
    assert ended.returncode == 0
    assert "chatrixcd.app: stopped" in ended.stdout


LEAVING = """
import os, signal, sys, threading
from chatrixcd_threads.console.rescue import leave_on

leave = threading.Event()
came = leave_on((signal.SIGTERM,), leave.is_set)
if sys.argv[1] == "by exit":
    leave.set()
os.kill(os.getpid(), signal.SIGTERM)
print("asked", came(), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(("how", "said"), [("by signal", "asked True\n"), ("by exit", "")])
def test_a_signal_while_the_bot_leaves_skips_to_the_end(how: str, said: str) -> None:
    where = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    run = [sys.executable, "-c", LEAVING, how]
    ended = subprocess.run(run, env=where, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
    assert (ended.returncode, ended.stdout) == (143, said)
