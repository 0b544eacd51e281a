"""The stand-in against the recorded traffic of real servers."""

import asyncio
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.demo.semaphore import PROFILES, Profile, Standin

from . import recorded
from .known_differences import KNOWN, NOT_REPLAYED, Known
from .replay import PASSWORD, Found, Replay

FIRST_COMMIT = "4a92a84ebd98646d49a8a2e375d855d443e16912"
SPEED = 20.0
TICK = 0.1
_QUIET = {"log_buffer": 0, "flush_rate": 0.0, "minute": 60 / SPEED, "poll": 3 / SPEED, "tick": TICK}
# What a scenario needs to meet the states it was recorded in: the windows of a few milliseconds are made wider.
_TIMING: dict[tuple[str, str], Mapping[str, Any]] = {
    ("bolt", "stop-starting"): {"spawn_seconds": 0.0},  # the process was there, though it had not printed anything
    ("postgres", "stop-starting"): {"spawn_seconds": 0.8},
    ("sqlite-2.16", "stop-starting"): {"spawn_seconds": 0.8},
    ("sqlite-2.16", "stop-waiting"): {"starting_seconds": 0.4},
    ("sqlite-2.16", "stop-waiting-force"): {"spawn_seconds": 0.4},
    ("sqlite-2.16", "confirm-running"): {"starting_seconds": 0.4},
    ("sqlite-2.16", "errors"): {"starting_seconds": 1.0},  # the last of six tasks of one template still waits
    ("bolt", "queue-deadlock"): {"log_buffer": 3, "flush_rate": 1.0},  # so slow a writer stores nothing
}
_TIMING_OF_ALL: dict[str, Mapping[str, Any]] = {
    "resources": {"minute": 0.5},
    "ws-idle": {"ping_seconds": 0.2, "pong_seconds": 0.3},
    "stop-waiting": {"tick": 0.4},
    "stop-waiting-force": {"tick": 0.4},
    "posts-50": {"tick": 0.02},
    "permissions": {"tick": 0.02},
}


def _git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "demo", f"GIT_{who}_EMAIL": "demo@example.org"}
    done = subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _commit(folder: Path, text: str) -> str:
    (folder / "hello.sh").write_text(f'#!/bin/bash\necho "{text}"\n', encoding="utf-8")
    _git(folder, "add", "hello.sh")
    _git(folder, "commit", "-q", "-m", text)
    return _git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="session")
def git_repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The git repository of the recorded servers, made anew, and the hash of its first commit."""
    folder = tmp_path_factory.mktemp("git") / "demo.git"
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    first = _commit(folder, "main, first")
    _commit(folder, "main, second")
    _git(folder, "checkout", "-q", "-b", "feature")
    _commit(folder, "feature branch")
    _git(folder, "checkout", "-q", "main")
    return folder, first


def _profile(store: str, name: str) -> Profile:
    profile = PROFILES[recorded.STORES[store]]
    buffer = {} if name == "output-big" else {"ws_buffer": 10**6}
    timing = {**_TIMING_OF_ALL.get(name, {}), **_TIMING.get((store, name), {})}
    return replace(profile, **{**_QUIET, **buffer, **timing})


def _content(name: str, git: Path) -> dict[str, Any]:
    content = recorded.setup()
    if name == "setup":
        content = {"users": content["users"][:1], "projects": []}
    for user in content["users"]:
        user["password"] = PASSWORD
    content["folders"] = {"/srv/demo": str(recorded.RECORDINGS / "repo"), "file:///srv/demo.git": f"file://{git}"}
    content["path"] = [str(recorded.HERE / "shims")]
    return content


def _covers(entry: Known, found: Found) -> bool:
    return bool(re.search(entry.what, found.what) and re.search(entry.text, found.text))


def _applies(stores: str, scenario: str, store: str, name: str) -> bool:
    return store in stores.split() and (re.fullmatch(scenario, name) is not None)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("store", "name"), recorded.names(), ids=lambda part: str(part))
def test_replay(store: str, name: str, git_repository: tuple[Path, str]) -> None:
    """Status, headers, shapes and the order of states are as recorded, but for the known differences."""
    for skipped in NOT_REPLAYED:
        if _applies(skipped.stores, skipped.scenario, store, name):
            pytest.skip(skipped.reason)
    git, first = git_repository
    recording = recorded.load(store, name)
    entries = [entry for entry in KNOWN if _applies(entry.stores, entry.scenario, store, name)]

    def expected(one: Found) -> bool:
        return any(_covers(entry, one) for entry in entries)

    with Standin(_profile(store, name), _content(name, git)) as standin:
        found = asyncio.run(Replay(recording, standin, {FIRST_COMMIT: first}, expected).run())
    new = [str(one) for one in found if not expected(one)]
    assert not new, "\n".join(new)
    idle = [e for e in entries if not e.sometimes and not any(_covers(e, one) for one in found)]
    assert not idle, f"no longer needed in known_differences.py: {idle}"


def test_not_replayed_exists() -> None:
    """Each entry for a recording that is left out names one that is there."""
    for entry in NOT_REPLAYED:
        assert any(_applies(entry.stores, entry.scenario, *pair) for pair in recorded.names()), entry
