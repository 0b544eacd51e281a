"""The demo itself: its tours are answered to the last step, and an interrupted one leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import chatrixcd_threads

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
CHECKOUT = Path(chatrixcd_threads.__file__).parents[1]


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [sys.executable, "-m", "chatrixcd_threads.demo", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("tour", [("--tour",), ("--tour", "--profile", "2.10"), ("--reload",)], ids=" ".join)
def test_every_step_of_the_tours_is_answered(tmp_path: Path, tour: tuple[str, ...]) -> None:
    process = demo(tmp_path, *tour)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "Every step was answered." in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = demo(tmp_path, "--tour")
    assert process.stdout is not None
    for line in process.stdout:
        if "!cd projects" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2  # Synapse and the bot
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
