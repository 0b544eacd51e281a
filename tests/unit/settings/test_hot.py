"""The hot file without any thread: what each sort of save leads to, what is held, kept, undone, refused and written."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import hot as hot_module
from chatrixcd_threads.settings.document import BadFileError, Document
from chatrixcd_threads.settings.hot import (
    Changed,
    Diff,
    Held,
    HotFile,
    Kind,
    Mended,
    Refused,
    fingerprint,
    replace_file,
)
from chatrixcd_threads.settings.kept import FOLDER, Kept
from chatrixcd_threads.threads.rwlock import RWLock

Values = Mapping[str, str]
NOBODY = 65534


def check(document: Document) -> tuple[Values, tuple[str, ...]]:
    problems = tuple(
        f"{document.path} line {document.line_of((key,))}: {key}: not a text"
        for key, value in document.data.items()
        if not isinstance(value, str)
    )
    if problems:
        raise BadFileError(document.path, problems)
    return document.data, ("odd is odd",) if "odd" in document.data else ()


def danger(old: Values, new: Values) -> str:
    return "nobody would be an admin" if "admin" in old and "admin" not in new else ""


KIND: Kind[Values] = Kind(check=check, defaults={}, shown=lambda values: values, danger=danger)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Unkept(Kept):
    """Keeps nothing: for tests that count microseconds."""

    def add(self, text: str, now: float) -> str:
        return ""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.json"


@pytest.fixture
def hot(path: Path, clock: Clock) -> HotFile[Values]:
    """A good file, loaded."""
    path.write_text("{admin: 'ada', a: '1'}")
    file = HotFile(path, KIND, now=clock)
    file.load()
    return file


def kept_texts(hot: HotFile[Values]) -> list[str]:
    return [copy.text() for copy in hot.kept.copies()]


class TestLooking:
    def test_a_change_is_told_once(self, hot: HotFile[Values], path: Path) -> None:
        assert hot.check_for_changes() is None
        path.write_text("{admin: 'ada', b: '2'}")
        outcome = hot.check_for_changes()
        assert outcome == Changed(path, (Diff("a", "1", None), Diff("b", None, "2")), ())
        assert hot.now == {"admin": "ada", "b": "2"}
        assert hot.check_for_changes() is None
        assert hot.check_for_changes(force=True) is None

    def test_touched_or_written_with_the_same_words(self, hot: HotFile[Values], path: Path) -> None:
        version = hot.version
        path.touch()
        assert hot.check_for_changes() is None
        path.chmod(0o640)
        assert hot.check_for_changes() is None
        path.write_text(path.read_text())
        assert hot.check_for_changes() is None
        assert hot.version is version

    def test_another_comment_is_kept_but_not_told(self, hot: HotFile[Values], path: Path) -> None:
        path.write_text("# who\n{admin: 'ada', a: '1'}")
        assert hot.check_for_changes() is None
        assert kept_texts(hot)[0].startswith("# who")

    def test_warnings_are_told(self, hot: HotFile[Values], path: Path) -> None:
        path.write_text("{admin: 'ada', a: '1', odd: ''}")
        outcome = hot.check_for_changes()
        assert isinstance(outcome, Changed)
        assert outcome.warnings == ("odd is odd",)

    def test_a_mistake_is_told_once(self, hot: HotFile[Values], path: Path) -> None:
        version = hot.version
        path.write_text("{admin: 'ada'\na: 5}")
        assert hot.check_for_changes() == Refused(path, f"{path} line 2: a: not a text", version.since)
        assert hot.check_for_changes() is None
        path.touch()
        assert hot.check_for_changes() is None
        assert isinstance(hot.check_for_changes(force=True), Refused)  # who asks is answered
        assert hot.version is version
        assert hot.error is not None

    def test_mended(self, hot: HotFile[Values], path: Path) -> None:
        good, since = path.read_text(), hot.version.since
        path.write_text("{")
        assert isinstance(hot.check_for_changes(), Refused)
        path.write_text(good)
        assert hot.check_for_changes() == Mended(path, since)
        assert hot.error is None
        path.write_text("{")
        hot.check_for_changes()
        path.write_text("# only a comment more\n" + good)
        assert hot.check_for_changes() == Changed(path, (), ())

    def test_a_file_that_goes_away_and_comes_back(self, hot: HotFile[Values], path: Path) -> None:
        good, version = path.read_text(), hot.version
        path.unlink()
        outcome = hot.check_for_changes()
        assert isinstance(outcome, Refused)
        assert "has gone away" in outcome.problem
        assert hot.check_for_changes() is None
        assert hot.version is version
        path.write_text(good)
        assert isinstance(hot.check_for_changes(), Mended)
        path.unlink()
        hot.check_for_changes()
        path.write_text("{admin: 'ada'}")
        assert isinstance(hot.check_for_changes(), Changed)

    def test_a_directory_or_a_loop_of_links_in_its_place(self, hot: HotFile[Values], path: Path) -> None:
        version = hot.version
        path.unlink()
        path.mkdir()
        assert isinstance(hot.check_for_changes(), Refused)
        path.rmdir()
        path.symlink_to(path)
        assert isinstance(hot.check_for_changes(), Refused)
        path.unlink()
        os.mkfifo(path)
        assert isinstance(hot.check_for_changes(), Refused)
        assert hot.version is version

    def test_no_file_means_the_defaults(self, path: Path, clock: Clock) -> None:
        hot = HotFile(path, KIND, now=clock)
        hot.load()
        assert (hot.now, hot.version.text, hot.check_for_changes(force=True)) == ({}, None, None)
        path.write_text("{a: '1'}")
        assert isinstance(hot.check_for_changes(), Changed)
        with pytest.raises(BadFileError):
            HotFile(path.with_name("other"), KIND).load(must_exist=True)

    def test_a_bad_first_file_that_is_taken_away_is_forgotten(self, path: Path, clock: Clock) -> None:
        path.write_text("{")
        hot = HotFile(path, KIND, now=clock)
        with pytest.raises(BadFileError) as caught:
            hot.load()
        hot.error = caught.value  # as the managers do that start with defaults
        path.unlink()
        assert isinstance(hot.check_for_changes(), Mended)
        assert hot.error is None

    def test_a_second_save_that_the_clock_of_the_disk_hides(
        self, hot: HotFile[Values], path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hot_module, "fingerprint", lambda path: (1, 1, 1, 1, 1))
        path.write_text("{admin: 'ada', a: '2'}")
        assert isinstance(hot.check_for_changes(), Changed)
        path.write_text("{admin: 'ada', a: '3'}")
        assert isinstance(hot.check_for_changes(), Changed)  # it was read again because it was young
        clock.now += 10
        path.write_text("{admin: 'ada', a: '4'}")
        assert hot.check_for_changes() is None
        assert isinstance(hot.check_for_changes(force=True), Changed)

    def test_fingerprints(self, tmp_path: Path) -> None:
        file, link = tmp_path / "file", tmp_path / "link"
        link.symlink_to(file)
        assert fingerprint(file) is fingerprint(link) is None
        file.write_text("a")
        first = fingerprint(link)
        assert first == fingerprint(file)
        other = tmp_path / "other"
        other.write_text("b")
        os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
        other.replace(file)
        assert fingerprint(link) != first

    def test_callbacks_stand_under_the_write_lock_with_the_new_value(self, path: Path) -> None:
        lock = RWLock()
        path.write_text("{a: '1'}")
        hot = HotFile(path, KIND, lock=lock)
        hot.load()
        heard: list[tuple[Values, Values, Values, bool]] = []
        hot.callbacks.append(lambda old, new: heard.append((old, new, hot.now, lock._writing)))
        path.write_text("{a: '2'}")
        hot.check_for_changes()
        path.write_text("{a:")
        hot.check_for_changes()
        assert heard == [({"a": "1"}, {"a": "2"}, {"a": "2"}, True)]
        assert not lock._writing


class TestHeld:
    BAD = "{a: '2'}"

    def held(self, hot: HotFile[Values], text: str = BAD) -> int:
        hot.path.write_text(text)
        outcome = hot.check_for_changes()
        assert isinstance(outcome, Held)
        assert outcome.number == hot.held
        return outcome.number

    def test_yes(self, hot: HotFile[Values], clock: Clock) -> None:
        old = hot.version
        number = self.held(hot)
        assert hot.version is old
        assert kept_texts(hot) == [old.text]
        clock.now += 60
        outcome = hot.decide(number, True)
        assert outcome == Changed(hot.path, (Diff("admin", "ada", None), Diff("a", "1", "2")), ())
        assert hot.now == {"a": "2"}
        assert hot.version.since > old.since + 60  # since it counts, not since it was read
        assert kept_texts(hot) == [self.BAD, old.text]
        assert hot.decide(number, True) is None
        assert hot.check_for_changes() is None
        assert hot.held is None

    def test_no(self, hot: HotFile[Values]) -> None:
        old, number = hot.version, self.held(hot)
        assert hot.decide(number, False) is None
        assert (hot.version, hot.held) == (old, None)
        assert hot.decide(number, True) is None
        hot.path.touch()
        assert hot.check_for_changes() is None  # the answer was no: the same words are not asked about again
        again = hot.check_for_changes(force=True)
        assert isinstance(again, Held)
        assert again.number != number

    def test_asked_once(self, hot: HotFile[Values]) -> None:
        number = self.held(hot)
        assert hot.check_for_changes() is None
        hot.path.write_text(self.BAD)
        assert hot.check_for_changes() is None
        forced = hot.check_for_changes(force=True)
        assert isinstance(forced, Held)
        assert forced.number == number  # the first question may still be answered
        assert isinstance(hot.decide(number, True), Changed)

    def test_another_dangerous_edit_replaces_it(self, hot: HotFile[Values]) -> None:
        first = self.held(hot)
        second = self.held(hot, "{a: '3'}")
        assert first != second
        assert hot.decide(first, True) is None
        assert isinstance(hot.decide(second, True), Changed)
        assert hot.now == {"a": "3"}

    def test_a_good_edit_replaces_it(self, hot: HotFile[Values]) -> None:
        number = self.held(hot)
        hot.path.write_text("{admin: 'bob'}")
        assert isinstance(hot.check_for_changes(), Changed)
        assert hot.decide(number, True) is None
        assert hot.now == {"admin": "bob"}

    @pytest.mark.parametrize("text", ["{", None])
    def test_a_broken_edit_or_none_ends_it(self, hot: HotFile[Values], text: str | None) -> None:
        number = self.held(hot)
        if text is None:
            hot.path.unlink()
        else:
            hot.path.write_text(text)
        assert isinstance(hot.check_for_changes(), Refused)
        assert hot.decide(number, True) is None
        assert "admin" in hot.now
        assert self.held(hot) != number  # and the same edit is asked about anew

    def test_taken_back(self, hot: HotFile[Values]) -> None:
        good = hot.path.read_text()
        number = self.held(hot)
        hot.path.write_text(good)
        assert hot.check_for_changes() is None
        assert hot.decide(number, True) is None
        assert self.held(hot) != number

    @pytest.mark.parametrize("text", ["{}", "{\n# nothing\n}"])
    def test_emptied(self, hot: HotFile[Values], text: str) -> None:
        hot.path.write_text("{a: '1', admin: 'x'}")
        hot.check_for_changes()
        hot.path.write_text(text)
        outcome = hot.check_for_changes()
        assert isinstance(outcome, Held)
        assert "empty" in outcome.reason
        assert isinstance(hot.decide(outcome.number, True), Changed)
        assert hot.now == {}

    @pytest.mark.parametrize("text", ["", " \n", "# nothing"])
    def test_without_anything_it_is_a_mistake(self, hot: HotFile[Values], text: str) -> None:
        version = hot.version
        hot.path.write_text(text)
        assert isinstance(hot.check_for_changes(), Refused)
        assert hot.version is version

    def started(self, path: Path, text: str, kind: Kind[Values] = KIND) -> HotFile[Values]:
        path.write_text(text)
        file = HotFile(path, kind, now=lambda: 5000.0)
        file.load()
        return file

    @pytest.mark.parametrize("declined", [True, False])
    def test_it_does_not_slip_in_by_a_restart(self, hot: HotFile[Values], path: Path, declined: bool) -> None:
        number, version = self.held(hot), hot.version
        if declined:
            hot.decide(number, False)
        restarted = self.started(path, self.BAD)
        assert (restarted.now, restarted.version.text) == (version.value, version.text)
        waiting = restarted.waiting
        assert waiting is not None
        assert waiting.reason == "nobody would be an admin"
        assert waiting.started_with == int(version.since)
        assert Diff("admin", "ada", None) in waiting.diffs
        assert restarted.check_for_changes() is None  # asked already
        assert restarted.decide(number, True) is None
        assert isinstance(restarted.decide(waiting.number, True), Changed)
        assert restarted.waiting is None
        again = self.started(path, self.BAD)  # what was agreed to is the version that was in force last
        assert (again.now, again.waiting) == (restarted.now, None)

    def test_a_deliberate_edit_while_nobody_looked_counts(self, hot: HotFile[Values], path: Path) -> None:
        restarted = self.started(path, "{admin: 'bob', b: '2'}")
        assert (restarted.now, restarted.waiting) == ({"admin": "bob", "b": "2"}, None)
        assert kept_texts(restarted)[0] == path.read_text()

    def test_emptied_while_nobody_looked(self, path: Path, clock: Clock) -> None:
        path.write_text("{a: '1'}")
        HotFile(path, KIND, now=clock).load()
        restarted = self.started(path, "{}")
        waiting = restarted.waiting
        assert waiting is not None
        assert "empty" in waiting.reason
        assert restarted.now == {"a": "1"}
        path.write_text("{a: '1'}")  # taken back
        assert restarted.check_for_changes() is None
        assert restarted.waiting is None

    def test_the_first_start_is_never_held(self, path: Path) -> None:
        first = self.started(path, "{}")
        assert (first.now, first.waiting) == ({}, None)

    def test_an_old_number_never_meets_another_edit_after_a_restart(self, hot: HotFile[Values], path: Path) -> None:
        number = self.held(hot)
        path.write_text("{admin: 'ada'}")
        restarted = HotFile(path, KIND, now=lambda: 5000.0)
        restarted.load()
        path.write_text("{b: 'something else'}")
        assert isinstance(restarted.check_for_changes(), Held)
        assert restarted.decide(number, True) is None


class TestKept:
    def test_back_and_forth(self, hot: HotFile[Values], path: Path) -> None:
        first = path.read_text()
        path.write_text("{admin: 'ada', a: '2'}")
        hot.check_for_changes()
        for expected in ("1", "2", "1"):
            copy, outcome = hot.undo()
            assert copy.text() == path.read_text()
            assert isinstance(outcome, Changed)
            assert hot.check_for_changes() is None
            assert hot.now["a"] == expected
        assert path.read_text() == first
        assert [copy.number for copy in hot.kept.copies()] == [5, 4, 3, 2, 1]

    def test_the_watch_never_takes_the_outcome_of_an_undo(
        self, hot: HotFile[Values], path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.write_text("{admin: 'ada', a: '2'}")
        hot.check_for_changes()
        took: list[object] = []
        watch = threading.Thread(target=lambda: took.append(hot.check_for_changes()))

        def replaced(target: Path, text: str) -> None:
            replace_file(target, text)
            watch.start()  # it sees the new file before anybody else

        monkeypatch.setattr(hot_module, "replace_file", replaced)
        _, outcome = hot.undo()
        watch.join()
        assert isinstance(outcome, Changed)
        assert took == [None]

    def test_nothing_to_go_back_to(self, hot: HotFile[Values]) -> None:
        with pytest.raises(ConfigError, match="no earlier version"):
            hot.undo()

    @pytest.mark.parametrize("bad", ["{", "{a: 'held'}", "", None, "\xff"])
    def test_undo_of_an_edit_that_does_not_count(self, hot: HotFile[Values], path: Path, bad: str | None) -> None:
        good, version = path.read_text(), hot.version
        path.unlink() if bad is None else path.write_text(bad, encoding="latin-1")
        hot.check_for_changes()
        copy, outcome = hot.undo()
        assert copy.number == 1
        assert path.read_text() == good
        assert isinstance(outcome, Mended | None)
        assert (hot.version, hot.held, hot.error) == (version, None, None)

    def test_a_broken_copy_is_passed_over(self, hot: HotFile[Values], path: Path) -> None:
        for value in ("2", "3"):
            path.write_text(f"{{admin: 'ada', a: '{value}'}}")
            hot.check_for_changes()
        hot.kept.copies()[1].path.write_bytes(b"{\xff")
        assert hot.undo()[0].number == 1
        path.write_text("{")
        for copy in hot.kept.copies()[:2]:  # 4 and 3; 2 is broken since before
            copy.path.write_text("{admin: [")
        again = HotFile(path, KIND)
        again.load()
        assert again.now == {"admin": "ada", "a": "1"}
        assert again.error is not None

    def test_start_with_a_broken_file(self, hot: HotFile[Values], path: Path) -> None:
        path.write_text("{admin: 'ada', a: '2'}")
        hot.check_for_changes()
        path.write_text("{broken")
        again = HotFile(path, KIND)
        again.load()
        assert again.now == {"admin": "ada", "a": "2"}
        assert again.version.since == int(hot.version.since)
        assert again.error is not None
        assert again.check_for_changes() is None  # said by `error` already
        path.write_text("{admin: 'ada', a: '2'}")
        assert isinstance(again.check_for_changes(), Mended)

    def test_start_with_a_broken_file_and_no_good_copy(self, path: Path) -> None:
        path.write_text("{broken")
        with pytest.raises(BadFileError):
            HotFile(path, KIND).load()

    def test_line_ends_are_not_a_version_of_their_own(self, path: Path) -> None:
        path.write_bytes(b"{\r\n a: '1'\r\n}\r\n")
        for _ in range(3):
            HotFile(path, KIND).load()
        hot = HotFile(path, KIND)
        hot.load()
        assert len(hot.kept.copies()) == 1
        with pytest.raises(ConfigError):
            hot.undo()
        path.write_bytes(b"{a: '2'}")
        hot.check_for_changes()
        hot.undo()
        assert path.read_bytes() == b"{\r\n a: '1'\r\n}\r\n"

    def test_what_cannot_be_kept_counts_and_is_told_once(
        self, hot: HotFile[Values], path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.rmtree(path.parent / FOLDER)
        (path.parent / FOLDER).write_text("")
        told = []
        for value in ("2", "3"):
            path.write_text(f"{{admin: 'ada', a: '{value}'}}")
            outcome = hot.check_for_changes()
            assert isinstance(outcome, Changed)
            told.append(outcome.warnings)
        assert "could not be kept" in told[0][0]
        assert told[1] == ()
        assert hot.now["a"] == "3"
        HotFile(path, KIND).load()
        assert "could not be kept" in caplog.text


class TestWriting:
    def left(self, path: Path) -> list[str]:
        return sorted(file.name for file in path.parent.iterdir() if file.name != FOLDER)

    def test_written_through_a_link(self, tmp_path: Path, path: Path) -> None:
        target = tmp_path / "elsewhere" / "real.json"
        target.parent.mkdir()
        target.write_text("{a: '1'}")
        target.chmod(0o640)
        path.symlink_to(Path("elsewhere") / "real.json")
        hot = HotFile(path, KIND)
        hot.load()
        target.write_text("{a: '2'}")
        assert isinstance(hot.check_for_changes(), Changed)
        assert isinstance(hot.undo()[1], Changed)
        assert path.is_symlink()
        assert target.read_text() == "{a: '1'}"
        assert target.stat().st_mode & 0o777 == 0o640
        assert [file.name for file in target.parent.iterdir()] == ["real.json"]

    def test_new_files_are_private_and_old_ones_keep_their_mode(self, path: Path) -> None:
        before = os.umask(0)
        try:
            replace_file(path, "{}")
            assert path.stat().st_mode & 0o777 == 0o600
            os.umask(0o077)
            path.chmod(0o664)
            replace_file(path, "{}\n")
            assert path.stat().st_mode & 0o777 == 0o664
        finally:
            os.umask(before)

    def test_what_an_earlier_crash_left_is_not_used(self, path: Path) -> None:
        stale = path.with_name(f".{path.name}.new")
        victim = path.with_name("victim")
        victim.write_text("mine")
        stale.symlink_to(victim)
        replace_file(path, "{}")
        assert (path.read_text(), victim.read_text()) == ("{}", "mine")
        assert self.left(path) == ["some.json", "victim"]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
    @pytest.mark.parametrize("door", ["fsync", "fchmod"])
    def test_disk_full(self, hot: HotFile[Values], path: Path, code: int, door: str) -> None:
        self.refused(hot, path, pytest.MonkeyPatch(), os, door, code)

    @pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EMFILE])
    def test_read_only(self, hot: HotFile[Values], path: Path, code: int) -> None:
        self.refused(hot, path, pytest.MonkeyPatch(), os, "open", code)

    @pytest.mark.parametrize("code", [errno.EBUSY, errno.EPERM])
    def test_a_file_that_is_mounted_by_itself(self, hot: HotFile[Values], path: Path, code: int) -> None:
        self.refused(hot, path, pytest.MonkeyPatch(), Path, "replace", code)

    def refused(
        self, hot: HotFile[Values], path: Path, patch: pytest.MonkeyPatch, at: object, door: str, code: int
    ) -> None:
        def refuse(*_args: Any, **_more: Any) -> None:
            raise OSError(code, os.strerror(code))

        path.write_text("{admin: 'ada', a: '2'}")
        hot.check_for_changes()
        before, version = path.read_bytes(), hot.version
        with patch.context() as inner:
            inner.setattr(at, door, refuse)
            with pytest.raises(ConfigError) as caught:
                hot.undo()
            with pytest.raises(ConfigError):
                hot.edit(lambda text: "{admin: 'eve'}")
        assert os.strerror(code) in caught.value.sentence
        assert "Nothing was changed" in caught.value.sentence
        assert path.read_bytes() == before
        assert self.left(path) == ["some.json"]
        assert hot.check_for_changes() is None
        assert hot.version is version
        hot.undo()  # and once there is room again, it goes

    def test_a_text_that_cannot_be_written(self, hot: HotFile[Values], path: Path) -> None:
        before = path.read_bytes()
        with pytest.raises(ConfigError):
            replace_file(path, "{a: '\ud800'}")
        assert path.read_bytes() == before
        assert self.left(path) == ["some.json"]

    def test_a_loop_of_links(self, path: Path) -> None:
        path.symlink_to(path)
        replace_file(path, "{}")
        assert path.read_text() == "{}"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes other users' roles")
class TestOtherUsers:
    def test_the_owner_keeps_the_file(self, shared: Path) -> None:
        file = shared / "some.json"
        file.write_text("{}")
        file.chmod(0o660)
        os.chown(file, NOBODY, NOBODY)
        replace_file(file, "{a: '1'}")
        stat = file.stat()
        assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (NOBODY, NOBODY, 0o660)

    def test_a_bot_that_may_write_but_not_give_files_away_says_so(
        self, shared: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = shared / "some.json"
        file.write_text("{a: '1'}")
        file.chmod(0o644)
        shared.chmod(0o777)
        self.as_nobody(lambda: replace_file(file, "{a: '2'}"))
        assert file.read_text() == "{a: '2'}"
        assert "belonged to user 0 and belongs to user 65534 now" in caplog.text

    def test_a_read_only_folder(self, shared: Path, caplog: pytest.LogCaptureFixture) -> None:
        file = shared / "some.json"
        file.write_text("{a: '1'}")
        file.chmod(0o644)

        def nobody() -> None:
            hot = HotFile(file, KIND)
            hot.load()
            assert hot.now == {"a": "1"}
            with pytest.raises(ConfigError, match="Permission denied"):
                hot.edit(lambda text: "{a: '2'}")
            assert hot.check_for_changes(force=True) is None

        self.as_nobody(nobody)
        assert "could not be kept" in caplog.text
        assert [path.name for path in shared.iterdir()] == ["some.json"]

    def test_a_file_and_a_folder_that_may_no_longer_be_read(self, shared: Path) -> None:
        folder = shared / "deep"
        folder.mkdir()
        file = folder / "some.json"
        file.write_text("{a: '1'}")
        file.chmod(0o644)
        hot = HotFile(file, KIND)
        hot.load()
        file.chmod(0o600)
        outcomes: list[object] = []
        self.as_nobody(lambda: outcomes.append(hot.check_for_changes()))
        file.chmod(0o644)
        self.as_nobody(lambda: outcomes.append(hot.check_for_changes()))
        folder.chmod(0o700)
        self.as_nobody(lambda: outcomes.append(hot.check_for_changes()))
        folder.chmod(0o755)
        self.as_nobody(lambda: outcomes.append(hot.check_for_changes()))
        assert [type(outcome) for outcome in outcomes] == [Refused, Mended, Refused, Mended]
        assert hot.now == {"a": "1"}

    def as_nobody(self, work: Callable[[], object]) -> None:
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            work()
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


class TestReaders:
    def test_no_lock_stands_in_a_readers_way(self, hot: HotFile[Values]) -> None:
        """Whoever loads, swaps or calls back holds these two; a reader that needed one of them would never return."""
        with hot._looking, hot._lock.writing():
            assert hot.now == hot.version.value
            assert hot.held is None

    def test_sixteen_readers_during_a_thousand_swaps(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path.write_text(json.dumps({"n": "0", "m": "0"}))
        hot = HotFile(path, KIND, kept=Unkept(path))
        hot.load()

        def swaps() -> None:
            for number in range(1, 1001):
                path.unlink()  # ext4 writes a file that was cut to nothing to the disk at once
                path.write_text(json.dumps({"n": str(number), "m": str(number)}))
                assert isinstance(hot.check_for_changes(), Changed)

        def the_same_work_without_swaps() -> None:
            for number in range(1, 1001):
                path.unlink()
                path.write_text(json.dumps({"n": "1000", "m": "1000", "_": str(number)}))
                hot.check_text(path.read_text())

        swapping = self.timed(hot, swaps)
        quiet = self.timed(hot, the_same_work_without_swaps)
        with capsys.disabled():
            for name, times in (("1,000 swaps", swapping), ("no swaps", quiet)):
                figures = " ".join(f"{label} {value * 1e6:.1f}" for label, value in self.figures(times).items())
                print(f"\n16 readers, {name}: {len(times):,} reads, µs: {figures}")  # noqa: T201
        assert self.figures(swapping)["p99"] < max(0.001, 3 * self.figures(quiet)["p99"])

    def figures(self, times: list[float]) -> dict[str, float]:
        times = sorted(times)
        return {
            label: times[min(len(times) - 1, int(len(times) * part))]
            for label, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
        }

    def timed(self, hot: HotFile[Values], work: Callable[[], None]) -> list[float]:
        over, torn = threading.Event(), []
        times: list[list[float]] = [[] for _ in range(16)]

        def read(mine: list[float]) -> None:
            while not over.wait(0.001):  # readers think
                for _ in range(10):
                    begun = time.perf_counter()
                    now = hot.now
                    mine.append(time.perf_counter() - begun)
                    if now["n"] != now["m"]:
                        torn.append(now)

        readers = [threading.Thread(target=read, args=(mine,)) for mine in times]
        before = sys.getswitchinterval()
        sys.setswitchinterval(0.001)  # as the bot does
        try:
            for reader in readers:
                reader.start()
            work()
        finally:
            over.set()
            for reader in readers:
                reader.join(5)
            sys.setswitchinterval(before)
        assert torn == []
        return [one for mine in times for one in mine]

    @pytest.mark.stress
    def test_looks_of_many_threads_take_turns(self, path: Path) -> None:
        """A watch, a command and an answer at the same time: each change is told once, by one of them."""
        path.write_text("{n: '0'}")
        hot = HotFile(path, KIND, kept=Unkept(path))
        hot.load()
        told: list[Changed] = []
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        dice = random.Random(4)
        try:
            for number in range(1, 101):
                replace_file(path, json.dumps({"n": str(number), "filling": "x" * dice.randrange(50)}))
                together = threading.Barrier(6)

                def look(together: threading.Barrier = together) -> None:
                    together.wait(5)
                    outcome = hot.check_for_changes()
                    if isinstance(outcome, Changed):
                        told.append(outcome)

                threads = [threading.Thread(target=look) for _ in range(6)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(5)
        finally:
            sys.setswitchinterval(before)
        assert len(told) == 100
        assert hot.now["n"] == "100"
