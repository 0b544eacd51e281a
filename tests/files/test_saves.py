"""Two hundred saves as people, editors and Kubernetes make them: one reload each, soon, beside busy threads."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from chatrixcd_threads.settings.hot import Changed, Kind, Outcome, fingerprint
from chatrixcd_threads.settings.watch import Pace, Watch
from chatrixcd_threads.threads.alone import Alone
from tests.files.told import LIMIT, Looks, text_of, values_of

SAVES = 200
SEED = 20_260
BUSY = 2

PLAIN: Kind[dict[str, str]] = values_of()


class Place:
    """One file, and the ways to save a text into it. Each returns when its last write was made (time.perf_counter)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0

    def replace(self, text: str) -> float:
        other = self.path.with_name("~some.tmp")
        other.write_text(text)
        other.replace(self.path)
        return time.perf_counter()

    def in_place(self, text: str) -> float:
        self.path.write_text(text)
        return time.perf_counter()

    def slowly(self, text: str) -> float:
        step = len(text) // 5 + 1
        with self.path.open("w") as out:
            for number, start in enumerate(range(0, len(text), step)):
                if number:
                    time.sleep(0.0625)  # the simulation of a slow writer
                out.write(text[start : start + step])
                out.flush()
        return time.perf_counter()

    def like_vim(self, text: str) -> float:
        probe, backup = self.path.with_name("4913"), self.path.with_name(self.path.name + "~")
        probe.touch()
        probe.unlink()
        self.path.rename(backup)
        self.path.write_text(text)
        at = time.perf_counter()
        backup.unlink()
        return at

    def sed(self, text: str) -> float:
        number = json.loads(text)["n"]
        script = f's/"n": "[0-9]*"/"n": "{number}"/'
        subprocess.run(["sed", "-i", script, str(self.path)], check=True)
        return time.perf_counter()

    def delete_and_create(self, text: str) -> float:
        self.path.unlink()
        time.sleep(0.1)  # the simulation of a slow hand
        self.path.write_text(text)
        return time.perf_counter()

    def config_map(self, text: str) -> float:
        """As the kubelet does it: a new folder, and the link ..data moved onto it."""
        folder = self.path.parent
        self.generation += 1
        old = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
        fresh = folder / f"..{self.generation}"
        fresh.mkdir()
        (fresh / self.path.name).write_text(text)
        (folder / "..data_tmp").symlink_to(fresh.name)
        (folder / "..data_tmp").rename(folder / "..data")
        at = time.perf_counter()
        if not self.path.is_symlink():
            self.path.symlink_to(Path("..data") / self.path.name)
        if old is not None:
            (folder / old / self.path.name).unlink()
            (folder / old).rmdir()
        return at

    def touch(self, text: str) -> float:
        self.path.touch()
        return time.perf_counter()

    def chmod(self, text: str) -> float:
        self.path.chmod(self.path.stat().st_mode ^ 0o040)
        return time.perf_counter()

    def same_again(self, text: str) -> float:
        self.path.write_text(self.path.read_text())
        return time.perf_counter()


@pytest.fixture
def busy() -> Iterator[None]:
    """Threads that never wait for anything."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(number * number for number in range(1000))

    threads = [threading.Thread(target=compute) for _ in range(BUSY)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.001)  # as the bot does
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(LIMIT)
    sys.setswitchinterval(before)


def test_one_reload_for_each_save(tmp_path: Path, busy: None, capsys: pytest.CaptureFixture[str]) -> None:
    plain, mounted = Place(tmp_path / "plain" / "some.json"), Place(tmp_path / "mounted" / "some.json")
    for place in (plain, mounted):
        place.path.parent.mkdir()
    plain.in_place(text_of(0))
    mounted.config_map(text_of(0))
    files = {place: Looks(place.path, PLAIN) for place in (plain, mounted)}
    told: list[Outcome] = []
    # With this grace nothing is told of a file that a slow hand has in its work, also while the machine stands still.
    watch = Alone(Watch(list(files.values()), told.append, lambda: Pace(grace=LIMIT)))
    watch.start()

    styles: list[tuple[Place, Callable[[str], float], bool]] = [
        *((plain, save, True) for save in (plain.replace, plain.in_place, plain.like_vim, plain.sed)),
        *((plain, save, True) for save in (plain.slowly, plain.delete_and_create)),
        (mounted, mounted.config_map, True),
        *((plain, save, False) for save in (plain.touch, plain.chmod, plain.same_again)),
    ]
    weights = [1 if save in (plain.slowly, plain.delete_and_create) else 3 for _, save, _ in styles]
    dice = random.Random(SEED)
    expected: list[tuple[Path, str]] = []
    delays: dict[str, list[float]] = {}
    try:
        for file in files.values():
            assert file.looked_since(0.0)
        for number in range(1, SAVES + 1):
            place, save, changes = (
                styles[(number - 1) % len(styles)] if number < 50 else dice.choices(styles, weights)[0]
            )
            file, text = files[place], text_of(number)
            at = save(text)
            if changes:
                expected.append((place.path, str(number)))
                active = file.active(str(number))
                assert active is not None, f"save {number} ({save.__name__}) was not noticed"
                delays.setdefault(save.__name__, []).append(active - at)
            else:
                assert file.looked_at(fingerprint(place.path)), f"save {number} ({save.__name__}) was not looked at"
        for file in files.values():
            assert file.looked_since(time.perf_counter())  # nothing more comes of the last one
    finally:
        watch.stop()
    assert [(outcome.file, news(outcome)) for outcome in told] == expected
    baseline = sorted(bare(tmp_path / "bare"))
    everything = sorted(delay for some in delays.values() for delay in some)
    with capsys.disabled():
        print(f"\nlast write to active, ms, seed {SEED}, {SAVES} saves beside {BUSY} busy threads")  # noqa: T201
        rows = {**delays, "all": everything, "bare event": baseline}
        for name, row in rows.items():
            print(f"  {name:18} n {len(row):3}  {figures(sorted(row))}")  # noqa: T201
    allowed = 0.1 + max(0.15, 10 * at_part(baseline, 0.99))
    assert at_part(everything, 0.5) <= min(0.25, allowed)
    assert at_part(everything, 0.97) <= max(1.0, allowed)  # a few may fall into pauses of the machine


def news(outcome: Outcome) -> str:
    assert isinstance(outcome, Changed), outcome
    return next(str(diff.after) for diff in outcome.diffs if diff.key == "n")


def bare(folder: Path) -> list[float]:
    """What watchdog alone takes, from a replaced file to its handler, beside the same busy threads."""
    folder.mkdir()
    came, delays, at = threading.Event(), [], 0.0

    class Handler(FileSystemEventHandler):
        def on_moved(self, event: FileSystemEvent) -> None:
            delays.append(time.perf_counter() - at)
            came.set()

    observer = Observer()
    observer.start()
    try:
        observer.schedule(Handler(), str(folder))
        place = Place(folder / "some.json")
        for number in range(50):
            came.clear()
            at = place.replace(text_of(number))
            assert came.wait(LIMIT)
    finally:
        observer.stop()
        observer.join(LIMIT)
    return delays


def at_part(row: list[float], part: float) -> float:
    return row[min(len(row) - 1, int(len(row) * part))]


def figures(row: list[float]) -> str:
    return "  ".join(
        f"{name} {at_part(row, part) * 1e3:6.1f}" for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))
    )


def test_the_styles_do_what_they_say(tmp_path: Path) -> None:
    """A simulation that saves nothing would make the test above an empty one."""
    for name in ("replace", "in_place", "slowly", "like_vim", "sed", "delete_and_create", "config_map"):
        place = Place(tmp_path / name / "some.json")
        place.path.parent.mkdir()
        place.config_map(text_of(1)) if name == "config_map" else place.in_place(text_of(1))
        before = fingerprint(place.path)
        getattr(place, name)(text_of(2))
        assert place.path.read_text() == text_of(2)
        assert fingerprint(place.path) != before
    for name in ("touch", "chmod", "same_again"):
        place = Place(tmp_path / "replace" / "some.json")
        before = fingerprint(place.path)
        getattr(place, name)("")
        assert (place.path.read_text(), fingerprint(place.path) == before) == (text_of(2), False)
    assert os.listdir(tmp_path / "like_vim") == ["some.json"]  # noqa: PTH208
