"""The watch on a real file system: what inotify does not tell, what takes it away, and how it ends."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.polling import PollingObserver

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings.hot import Changed, Mended, Outcome, Refused, replace_file
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.watch import Pace, Watch
from chatrixcd_threads.threads.alone import Alone
from tests.files.told import LIMIT, Listener, Looks, text_of, values_of

QUICK = Pace(quiet=0.02, grace=0.1, quick=0.05, slow=0.05, retry=3600)
PATIENT = Pace(quiet=0.02, grace=3600, quick=0.05, slow=0.05, retry=3600)
EVENTS_ONLY = Pace(quiet=0.02, grace=0.1, quick=3600, slow=3600, retry=3600)


class Seen(Watch):
    """A watch that says when it has set itself anew and when it settles."""

    patience = 1e6  # no sweep but that of the pace

    def __init__(self, *args: object, **more: object) -> None:
        self.turn = threading.Condition()
        self.armed = 0
        self.settling = threading.Event()
        super().__init__(*args, **more)  # type: ignore[arg-type]

    def _arm(self) -> None:
        super()._arm()
        with self.turn:
            self.armed += 1
            self.turn.notify_all()

    def _settle(self, stop: threading.Event) -> None:
        self.settling.set()
        super()._settle(stop)

    def until(self, true: Callable[[], bool]) -> None:
        with self.turn:
            assert self.turn.wait_for(true, LIMIT)


class Stage:
    """A file, its watch in a thread, and a pace that can be changed on the way."""

    def __init__(self, path: Path, observer: Callable[[], BaseObserver] = Observer, pace: Pace = QUICK) -> None:
        self.pace, self.listener = pace, Listener()
        self.path = path
        self.file = Looks(path, values_of())
        self.watch = Seen([self.file], self.listener, lambda: self.pace, observer=observer)
        self.alone = Alone(self.watch)

    def save(self, number: int) -> None:
        self.path.write_text(text_of(number))

    def counts(self, number: int) -> None:
        assert self.file.active(str(number)) is not None

    def armed_since(self, count: int) -> None:
        self.watch.until(lambda: self.watch.armed > count)

    def by_events_alone(self) -> None:
        """From now on no sweep helps. The watch must have seen the new pace before."""
        self.pace = EVENTS_ONLY
        looks = self.file.looks
        self.watch.hint()
        self.path.touch()
        assert self.file._until(lambda: self.file.looks > looks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "some.json"
    file.write_text(text_of(0))
    return file


@pytest.fixture
def stages() -> Iterator[Callable[..., Stage]]:
    started: list[Stage] = []

    def start(*args: object, **more: object) -> Stage:
        stage = Stage(*args, **more)  # type: ignore[arg-type]
        started.append(stage)
        stage.alone.start()
        assert stage.file.looked_since(0.0)
        return stage

    yield start
    for stage in started:
        stage.alone.stop()


Stages = Callable[..., Stage]


class TestFolders:
    def test_removed_and_remade(self, path: Path, stages: Stages) -> None:
        stage = stages(path, pace=PATIENT)  # that it is away for a moment is not told, however long the moment is
        for round_ in range(1, 4):
            armed = stage.watch.armed
            while path.parent.exists():  # the bot may be keeping a copy there at this moment
                shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir()  # ext4 likes to give the new one the inode of the old one
            stage.save(round_)
            stage.counts(round_)
            stage.armed_since(armed)
            stage.by_events_alone()
            stage.save(100 + round_)
            stage.counts(100 + round_)
            stage.pace = PATIENT
            stage.save(200 + round_)
            stage.counts(200 + round_)
        assert {type(outcome) for outcome in stage.listener.told} == {Changed}

    def test_gone_for_longer(self, path: Path, stages: Stages) -> None:
        stage = stages(path)
        away = path.parent.with_name("away")
        path.parent.rename(away)
        (gone,) = stage.listener.heard(1)
        assert isinstance(gone, Refused)
        assert "has gone away" in gone.problem
        assert stage.file.now["n"] == "0"
        away.rename(path.parent)
        assert isinstance(stage.listener.heard(2)[1], Mended)
        stage.by_events_alone()
        stage.save(1)
        stage.counts(1)
        assert len(stage.listener.heard(3)) == 3

    def test_renamed_away_and_replaced(self, path: Path, stages: Stages) -> None:
        stage = stages(path)
        armed = stage.watch.armed
        other = path.parent.with_name("other")
        other.mkdir()
        (other / path.name).write_text(text_of(1))
        path.parent.rename(path.parent.with_name("old"))
        other.rename(path.parent)
        stage.counts(1)
        stage.armed_since(armed)
        stage.by_events_alone()
        stage.save(2)
        stage.counts(2)
        (path.parent.with_name("old") / path.name).write_text(text_of(99))
        stage.save(3)
        stage.counts(3)
        assert "99" not in stage.file._counted

    def test_not_there_at_the_start(self, tmp_path: Path, stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "later" / "some.json"
        stage = stages(path)
        path.parent.mkdir()
        stage.save(1)
        stage.counts(1)
        stage.by_events_alone()
        stage.save(2)
        stage.counts(2)
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_a_link_that_is_set_to_another_folder(self, tmp_path: Path, stages: Stages) -> None:
        for name in ("one", "two", "links"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "some.json").write_text(text_of(0))
        link = tmp_path / "links" / "some.json"
        link.unlink()
        link.symlink_to(tmp_path / "one" / "some.json")
        stage = stages(link, pace=EVENTS_ONLY)
        for number, folder in enumerate(("one", "two", "one"), 1):
            fresh = link.with_name("fresh")
            fresh.symlink_to(tmp_path / folder / "some.json")
            fresh.replace(link)
            for more in (number * 10, number * 10 + 1):
                (tmp_path / folder / "some.json").write_text(text_of(more))
                stage.counts(more)

    def test_what_is_saved_while_it_sets_itself_anew_a_second_time(
        self, tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("one", "two", "three", "links"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "some.json").write_text(text_of(0))
        link = tmp_path / "links" / "some.json"

        def point_to(folder: str) -> None:
            fresh = link.with_name("fresh")
            fresh.symlink_to(tmp_path / folder / "some.json")
            fresh.replace(link)

        point_to("one")
        stage = stages(link, pace=EVENTS_ONLY)
        arm, times = stage.watch._arm, itertools.count(1)

        def armed() -> None:
            turn = next(times)
            if turn == 2:  # it has looked there, and does not watch it yet
                (tmp_path / "three" / "some.json").write_text(text_of(3))
            arm()
            if turn == 1:
                point_to("three")

        monkeypatch.setattr(stage.watch, "_arm", armed)
        point_to("two")
        stage.counts(3)

    def test_a_link_to_a_folder(self, tmp_path: Path, stages: Stages) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "some.json").write_text(text_of(0))
        (tmp_path / "link").symlink_to("real")
        stage = stages(tmp_path / "link" / "some.json", pace=EVENTS_ONLY)
        stage.save(1)
        stage.counts(1)

    def test_links_that_go_round(self, path: Path, stages: Stages) -> None:
        stage = stages(path)
        fresh = path.with_name("fresh")
        fresh.symlink_to(path)
        fresh.replace(path)
        (refused,) = stage.listener.heard(1)
        assert isinstance(refused, Refused)
        path.unlink()
        stage.save(1)
        stage.counts(1)

    def test_a_lively_neighbour_delays_nothing(self, path: Path, stages: Stages) -> None:
        """A log in the same folder: its events never stop, and yet the quiet time of the file ends."""
        stage = stages(path, pace=Pace(quiet=0.1, longest=3600, quick=3600, slow=3600))
        over = threading.Event()

        def chat() -> None:
            with path.with_name("bot.log").open("w") as out:
                while not over.wait(0.002):
                    out.write("x")
                    out.flush()

        neighbour = threading.Thread(target=chat)
        neighbour.start()
        try:
            for number in (1, 2, 3):
                stage.save(number)
                stage.counts(number)
        finally:
            over.set()
            neighbour.join(LIMIT)


class TestHalfWritten:
    def test_a_pause_in_the_middle_is_not_told(self, path: Path, stages: Stages) -> None:
        stage = stages(path, pace=Pace(quiet=0.02, grace=3600, quick=0.05))
        looks = stage.file.looks
        path.write_text(text_of(1)[:200])
        assert stage.file._until(lambda: stage.file.error is not None)
        path.write_text(text_of(1))
        stage.counts(1)
        path.unlink()
        assert stage.file._until(lambda: stage.file.error is not None)
        path.write_text(text_of(1))
        assert stage.file._until(lambda: stage.file.error is None)
        stage.save(2)
        stage.counts(2)
        assert [type(outcome) for outcome in stage.listener.heard(2)] == [Changed, Changed]
        assert stage.file.looks > looks

    def test_what_stays_broken_is_told_once_and_soon(self, path: Path, stages: Stages) -> None:
        stage = stages(path, pace=Pace())
        path.write_text("{")
        (refused,) = stage.listener.heard(1)
        assert isinstance(refused, Refused)
        path.touch()
        assert stage.file.looked_since(time.perf_counter())
        path.write_text(text_of(0))
        assert [type(outcome) for outcome in stage.listener.heard(2)] == [Refused, Mended]


class Exhausted:
    """An observer factory as it behaves when inotify is used up, until `free`."""

    def __init__(self) -> None:
        self.free = False
        self.tried = 0

    def __call__(self) -> BaseObserver:
        self.tried += 1
        if self.free:
            return Observer()
        raise OSError(errno.EMFILE, "inotify instance limit reached")


class Blind(PollingObserver):
    """Starts, but cannot watch anything: inotify's watches are used up."""

    def schedule(self, *_args: object, **_more: object) -> object:  # type: ignore[override]
        raise OSError(errno.ENOSPC, "inotify watch limit reached")


class TestInotifyUsedUp:
    def test_polled_and_back(self, path: Path, stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
        exhausted = Exhausted()
        caplog.set_level(logging.INFO)
        stage = stages(path, exhausted, Pace(quiet=0.02, quick=0.05, slow=0.05, retry=0.1))
        assert stage.watch.polling
        stage.save(1)
        stage.counts(1)
        stage.watch.until(lambda: exhausted.tried > 3)
        exhausted.free = True
        stage.watch.until(lambda: not stage.watch.polling)
        assert not isinstance(stage.watch._observer, PollingObserver)
        stage.by_events_alone()
        stage.save(2)
        stage.counts(2)
        said = [record.getMessage() for record in caplog.records if record.name == "chatrixcd.watch"]
        assert [sentence for sentence in said if "limit reached" in sentence] == said[:1]
        assert said[-1] == "inotify can be used again"
        assert len(said) == 2

    def test_the_polling_is_not_only_the_sweep(self, path: Path, stages: Stages) -> None:
        stage = stages(path, Exhausted(), Pace(quiet=0.02, quick=3600, slow=0.05, retry=3600))
        stage.watch._last_change = time.monotonic()  # the sweep is far away, the observer polls each 0.05 s
        stage.save(1)
        stage.counts(1)

    def test_no_watches_left(self, path: Path, stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
        stage = stages(path, Blind)
        assert stage.watch.polling
        stage.save(1)
        stage.counts(1)
        assert caplog.text.count("watch limit reached") == 1

    def test_nothing_can_be_had_at_all(
        self, path: Path, stages: Stages, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatrixcd_threads.settings.watch.PollingObserver", Blind)
        stage = stages(path, Blind)
        for number in (1, 2, 3):
            stage.save(number)
            stage.counts(number)
        stage.armed_since(5)
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 2

    def test_for_real(self, path: Path) -> None:
        """In a name space of its own, so that nobody else on this machine runs out of them."""
        script = """
import sys
from pathlib import Path
from chatrixcd_threads.settings.watch import Pace
from tests.files.test_watch import Stage
limit = Path("/proc/sys/user/max_inotify_instances")
limit.write_text("0")
stage = Stage(Path(sys.argv[1]), pace=Pace(quiet=0.02, quick=0.05, slow=0.05, retry=0.1))
stage.alone.start()
stage.watch.until(lambda: stage.watch.armed > 2)
assert stage.watch.polling
stage.save(1)
stage.counts(1)
limit.write_text("10")
stage.watch.until(lambda: not stage.watch.polling)
stage.by_events_alone()
stage.save(2)
stage.counts(2)
stage.alone.stop()
print("survived")
"""
        unshare = shutil.which("unshare")
        tried = unshare and subprocess.run(
            [unshare, "-U", "-r", "sh", "-c", "echo 7 > /proc/sys/user/max_inotify_instances"],
            capture_output=True,
            check=False,
            timeout=60,
        )
        if not unshare or not tried or tried.returncode:
            pytest.skip("no user name spaces here")
        done = subprocess.run(
            [unshare, "-U", "-r", sys.executable, "-B", "-c", script, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
        assert done.stdout == "survived\n", done.stderr
        assert done.stderr.count("inotify instance limit reached") <= 1


class TestEndings:
    def test_stop_while_it_settles(self, path: Path, stages: Stages) -> None:
        stage = stages(path, pace=Pace(quiet=3600, longest=3600, quick=3600, slow=3600))
        stage.watch.settling.clear()
        stage.save(1)
        assert stage.watch.settling.wait(LIMIT)
        stage.alone.stop(60)  # measured 0.01; the pace alone would take an hour
        assert not stage.alone._thread.is_alive()
        assert "1" not in stage.file._counted
        assert threading.active_count() == 1 or not [
            thread.name for thread in threading.enumerate() if thread.name.startswith("watch")
        ]

    def test_stop_while_it_rests(self, path: Path, stages: Stages) -> None:
        for factory in (Observer, Exhausted()):
            stage = stages(path, factory, EVENTS_ONLY)
            stage.alone.stop(60)
            assert not stage.alone._thread.is_alive()

    def test_an_event_that_meets_the_stop(
        self, path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An emitter that has just decided to look once more when it is stopped: watchdog calls that an error."""
        ending, caught, stopped = threading.Event(), threading.Event(), threading.Event()
        going, gone = InotifyEmitter.should_keep_running, InotifyEmitter.on_thread_stop

        def decide(emitter: InotifyEmitter) -> bool:
            goes_on = going(emitter)
            if goes_on and ending.is_set():
                caught.set()
                assert stopped.wait(LIMIT)
            return goes_on

        def stop(emitter: InotifyEmitter) -> None:
            gone(emitter)
            stopped.set()

        looks: list[str] = []
        look = InotifyEmitter.queue_events

        def asked(emitter: InotifyEmitter, timeout: float) -> None:
            if stopped.is_set():
                looks.append(emitter.name)
            look(emitter, timeout)

        monkeypatch.setattr(InotifyEmitter, "should_keep_running", decide)
        monkeypatch.setattr(InotifyEmitter, "on_thread_stop", stop)
        monkeypatch.setattr(InotifyEmitter, "queue_events", asked)
        stage = stages(path, pace=EVENTS_ONLY)
        ending.set()
        stage.save(1)
        assert caught.wait(LIMIT)
        stage.alone.stop()
        assert looks == ["watch-emitter"]
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_the_observer_dies(self, path: Path, stages: Stages) -> None:
        stage = stages(path)
        armed, observer = stage.watch.armed, stage.watch._observer
        assert observer is not None
        observer.stop()
        observer.join(LIMIT)
        stage.armed_since(armed)
        stage.by_events_alone()
        stage.save(1)
        stage.counts(1)

    @pytest.mark.parametrize("error", [ConfigError("x"), OSError(errno.ENOSPC, "No space left on device")])
    def test_a_failing_listener_or_file(
        self, path: Path, tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither keeps the watch from the other files, nor from the next change."""
        counted: list[Outcome] = []
        failing = [True]

        def told(outcome: Outcome) -> None:
            if failing[0]:
                raise error
            counted.append(outcome)

        class Broken:
            path = tmp_path / "none"

            def check_for_changes(self) -> Outcome | None:
                raise error

        file = Looks(path, values_of())
        watch = Watch([Broken(), file], told)
        path.write_text(text_of(1))
        watch.look()
        assert file.now["n"] == "1"
        assert caplog.text.count("could not be looked after") == 2
        failing[0] = False
        path.write_text(text_of(2))
        watch.look()
        assert len(counted) == 1

    def test_a_mistake_in_the_program_ends_it_and_it_can_be_started_again(self, path: Path) -> None:
        """The supervisor does so; nothing of the first life is left, and the second one sees what came between."""
        lives = [ZeroDivisionError("a mistake in the program")]
        stop = threading.Event()
        heard: list[Outcome] = []

        def told(outcome: Outcome) -> None:
            heard.append(outcome)
            if lives:
                raise lives.pop()
            stop.set()

        file = Looks(path, values_of())
        watch = Watch([file], told, lambda: QUICK)
        path.write_text(text_of(1))
        with pytest.raises(ZeroDivisionError):
            watch.run(stop, lambda: None)
        assert watch._observer is None
        path.write_text(text_of(2))
        watch.run(stop, lambda: None)
        assert [type(outcome) for outcome in heard] == [Changed, Changed]

    def test_beats(self, path: Path) -> None:
        """However slow the sweep is, the supervisor hears often enough that the watch lives."""
        stop, beats = threading.Event(), []

        def beat() -> None:
            beats.append(time.monotonic())
            if len(beats) == 4:
                stop.set()

        class Patient(Watch):
            patience = 0.1

        Patient([Looks(path, values_of())], lambda outcome: None, lambda: EVENTS_ONLY).run(stop, beat)
        assert len(beats) == 4

    def test_a_manager_looks_after_its_file_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "messages.json"
        path.write_text("{pet: ['one']}")
        manager = MessageManager(path, auto_reload=True)
        changed = threading.Event()
        manager.hot.callbacks.append(lambda old, new: changed.set())
        manager.start_auto_reload()  # it runs already
        try:
            replace_file(path, "{pet: ['two']}")
            assert changed.wait(LIMIT)
            assert manager.get_random_message("pet") == "two"
            manager.stop_auto_reload()
            manager.stop_auto_reload()
            changed.clear()
            manager.start_auto_reload()
            replace_file(path, "{pet: ['three']}")
            assert changed.wait(LIMIT)
        finally:
            manager.stop_auto_reload()
        assert not manager.auto_reload
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("watch")] == []


def test_no_file_descriptor_is_left(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for factory in (Observer, Exhausted(), Blind):
        for _ in range(3):
            stage = Stage(path, factory)
            stage.alone.start()
            stage.armed_since(0)
            stage.alone.stop()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_hints_that_wait_are_counted() -> None:
    watch = Watch([], lambda outcome: None)
    assert watch.hints_waiting == 0
    watch.hint()
    watch.hint()
    assert watch.hints_waiting == 2
