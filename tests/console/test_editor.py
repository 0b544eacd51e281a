"""The editor without a terminal: which one, and that the thread that waits for it is not taken for stuck."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatrixcd_threads.console import editor


@pytest.mark.parametrize(
    ("visual", "usual", "words"),
    [
        ("code --wait", "vi", ["code", "--wait"]),
        ("'/my tools/ed' -x", "", ["/my tools/ed", "-x"]),
        ("", "nano", ["nano"]),
        ("  ", "nano -w", ["nano", "-w"]),
        (None, None, ["vi"]),
    ],
)
def test_which_editor(monkeypatch: pytest.MonkeyPatch, visual: str | None, usual: str | None, words: list[str]) -> None:
    for name, value in (("VISUAL", visual), ("EDITOR", usual)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert editor.command() == words


def test_it_beats_as_long_as_the_editor_is_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    edited = tmp_path / "file"
    monkeypatch.setenv("VISUAL", f'sh -c \'read line < {gate}; echo "$line" > "$0"\'')
    beats: list[float] = []

    def wait(seconds: float) -> None:
        if len(beats) == 3:
            gate.write_text("done\n")  # opens when the editor does

    assert editor.edit(str(edited), lambda: beats.append(1), wait, lambda: False) == ""
    assert len(beats) >= 3
    assert edited.read_text() == "done\n"
