"""The kept versions: how many, whose, in which order, and that a failed writing leaves nothing half."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.settings.kept import FOLDER, MOST, Kept


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "config.json")


def numbers(kept: Kept) -> list[int]:
    return [copy.number for copy in kept.copies()]


def test_the_newest_twenty(kept: Kept) -> None:
    assert kept.copies() == []
    for version in range(1, 31):
        assert kept.add(f"version {version}", 1000.0 + version) == ""
    copies = kept.copies()
    assert numbers(kept) == list(range(30, 30 - MOST, -1))
    assert [copy.text() for copy in copies] == [f"version {number}" for number in numbers(kept)]
    assert [copy.since for copy in copies] == [1000.0 + number for number in numbers(kept)]


def test_for_the_owner_alone(kept: Kept, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept.add("password: x", 1)
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path).parts[-1]: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {FOLDER: 0o700, "config.json": 0o700, "000001-1": 0o600}


def test_the_same_again_is_not_kept_twice(kept: Kept) -> None:
    for text in ("a", "a", "b", "b", "a"):
        kept.add(text, 1)
    assert [copy.text() for copy in kept.copies()] == ["a", "b", "a"]


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a\rb", "ä\u2028☃", ""])
def test_texts_come_back_as_they_were(kept: Kept, text: str) -> None:
    kept.add(text, 1)
    kept.add(text, 2)
    assert [copy.text() for copy in kept.copies()] == [text]


def test_numbering_goes_on_with_a_new_start(kept: Kept, tmp_path: Path) -> None:
    kept.add("a", 1)
    kept.add("b", 2)
    kept.copies()[1].path.unlink()
    Kept(tmp_path / "config.json").add("c", 3)
    assert numbers(kept) == [3, 2]


def test_strange_files_in_the_folder(kept: Kept, tmp_path: Path) -> None:
    kept.add("a", 1)
    folder = tmp_path / FOLDER / "config.json"
    (folder / ".000002-5").write_text("half")
    (folder / "notes.txt").write_text("x")
    (folder / "000009-9").write_bytes(b"\xff")
    assert numbers(kept) == [9, 1]
    with pytest.raises(UnicodeDecodeError):
        kept.copies()[0].text()
    assert kept.add("b", 2) == ""
    assert numbers(kept) == [10, 9, 1]


def test_disk_full(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own "no space left": the text goes to /dev/full, after the file was made."""
    kept.add("a", 1)
    opened = os.open

    def full(path: Any, flags: int, mode: int = 0o777) -> int:
        os.close(opened(path, flags, mode))
        return opened("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        assert "No space left on device" in kept.add("b", 2)
    assert [path.name for path in (tmp_path / FOLDER / "config.json").iterdir()] == ["000001-1"]
    assert kept.add("b", 3) == ""
    assert numbers(kept) == [2, 1]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EMFILE])
def test_a_folder_that_cannot_be_written(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise OSError(code, os.strerror(code))

    kept = Kept(tmp_path / "config.json")
    for door in ("mkdir", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, door, refuse)
            assert os.strerror(code) in kept.add("a", 1)
        assert kept.copies() == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("")
    kept = Kept(tmp_path / "config.json")
    assert FOLDER in kept.add("a", 1)
    assert kept.copies() == []
