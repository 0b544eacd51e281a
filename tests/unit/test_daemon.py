"""The pid file: who holds it, and what a file that nobody holds means. The fork itself is tested in tests/tty."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from chatrixcd_threads.cli import daemon_log
from chatrixcd_threads.daemon import PidFile
from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.settings.model import BotSettings, MatrixSettings, Settings


def test_it_holds_the_number_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    made = PidFile(tmp_path / "new" / "bot.pid")
    made.write()
    assert made.path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    made.remove()
    assert not made.path.exists()


def test_a_second_one_hears_who_holds_it(tmp_path: Path) -> None:
    made = PidFile(tmp_path / "bot.pid")
    made.write()
    for _ in range(2):
        with pytest.raises(Fatal, match=f"process {os.getpid()}.*bot.pid"):
            PidFile(tmp_path / "bot.pid")
    made.remove()


@pytest.mark.parametrize("content", ["1\n", "4194304999999\n", "", "no number \x00", "12345678\n" * 100])
def test_a_file_that_nobody_holds_is_stale(tmp_path: Path, content: str) -> None:
    """Also when another program has the number by now: process 1 always runs."""
    path = tmp_path / "bot.pid"
    path.write_text(content)
    path.chmod(0o644)
    made = PidFile(path)
    made.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made.remove()


def test_a_file_that_is_removed_while_it_is_waited_for_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "bot.pid", fcntl.flock

    def removed_meanwhile(handle: int, how: int) -> None:
        monkeypatch.undo()
        path.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    made = PidFile(path)
    made.write()
    assert path.read_text() == f"{os.getpid()}\n"
    made.remove()


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "file" / "bot.pid", tmp_path, tmp_path / "link"):
        with pytest.raises(Fatal, match="cannot be used as pid file"):
            PidFile(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("chosen", "used"), [("", "s/bot.log"), ("chatrixcd.log", "s/bot.log"), ("/l/b", "/l/b")])
def test_where_a_daemon_logs(chosen: str, used: str) -> None:
    settings = Settings(matrix=MatrixSettings(store_path="s"), bot=BotSettings(log_file=chosen))
    assert daemon_log(settings) == used
