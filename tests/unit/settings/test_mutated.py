"""Ten thousand spoilt versions of each settings file: none stops the bot, and none leaves it with less than it had.

Deterministic: a failure is repeated by running the test again, or alone with the seed that is printed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.config import Config
from chatrixcd_threads.settings.document import parse
from chatrixcd_threads.settings.hot import Changed, Held, Mended, Refused
from chatrixcd_threads.settings.kept import Kept
from chatrixcd_threads.settings.manager import FileManager
from chatrixcd_threads.settings.messages import MessageManager

VERSIONS = 10_000
SEED = 4
FILES: dict[str, tuple[Callable[[Path], FileManager[Any]], str]] = {
    "config": (
        Config,
        """{
  // who we are
  "_config_version": 5,
  "matrix": {"homeserver": "https://m.example.org", "user_id": "@bot:example.org", "password": "pw"},
  "semaphore": {"url": "https://s.example.org", "api_token": "tok", "ssl_verify": true, "poll_seconds": 2.5},
  "bot": {
    "command_prefix": "!cd",
    "admin_users": ["@ada:example.org"],
    "allowed_rooms": ["!a:example.org", "!b:example.org"], # two
    "workers": 8,
    "greetings_enabled": false,
  }
}
""",
    ),
    "messages": (
        MessageManager,
        """{
  # every text is Markdown
  greetings: ["Hej {name}!", "Dobrý den, {name} ☃"],
  "pet": ['purr', "{{ {user_name} }}"],
  "timeout": [
    '''
    {task_name} was too slow
    ''',
  ],
}
""",
    ),
    "aliases": (
        AliasManager,
        """{
  // short names
  "deploy": "run 12 --limit '{1}' {*}",
  "st": "status",
  "again": "deploy \\"web servers\\"",
}
""",
    ),
}
EXAMPLES = Path(__file__).parents[3] / "config"
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**40,
    1e308,
    "",
    " ",
    "\0",
    "{",
    "{0.__class__}",
    "x" * 3000,
    [],
    [[]],
    {},
    {"": {}},
]
TEXTS = ["{", "}", "[", "]", ":", ",", '"', "'", "'''", "//", "/*", "*/", "#", "\\", "\\u", "\\ud800", "\n", "\r", "\t"]
TEXTS += [
    "\0",
    "\ufeff",
    "\u2028",
    "\x1b",
    "😀",
    "null",
    "true",
    "-",
    "1e999",
    "NaN",
    "9" * 400,
    "__proto__",
    "$schema",
]
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1250", "utf-8-sig", "utf-7", "shift_jis", "cp037"]
PLACE = re.compile(r"line (\d+)( column \d+)?: ")
WHOLE_FILE = re.compile(r": (larger than|cannot be read|this is not a file)|… and \d+ more$")


class Unkept(Kept):
    """Ten thousand files in a folder are another test's matter."""

    def add(self, text: str, now: float) -> str:
        return ""


def mutations(good: str, dice: random.Random) -> Iterator[bytes]:
    """Spoilt versions without end; most kinds of damage are applied more than once."""
    plain = json.dumps(json_like(good))
    kinds = [truncated, flipped, cut_out, doubled, with_text, retyped, deep, huge, encoded, nuls, noise]
    weights = [6, 8, 4, 3, 8, 8, 1, 0.1, 3, 1, 2]
    while True:
        raw = (good if dice.random() < 0.7 else plain).encode()
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            raw = dice.choices(kinds, weights)[0](raw, dice)
        yield raw


def json_like(good: str) -> Any:
    return parse(good, "good").data


def span(raw: bytes, dice: random.Random, most: int = 40) -> tuple[int, int]:
    start = dice.randrange(len(raw) + 1)
    return start, min(len(raw), start + dice.randrange(most))


def truncated(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw) + 1)]


def flipped(raw: bytes, dice: random.Random) -> bytes:
    fresh = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 8)) if fresh else 0):
        fresh[dice.randrange(len(fresh))] ^= 1 << dice.randrange(8)
    return bytes(fresh)


def cut_out(raw: bytes, dice: random.Random) -> bytes:
    start, end = span(raw, dice)
    return raw[:start] + raw[end:]


def doubled(raw: bytes, dice: random.Random) -> bytes:
    start, end = span(raw, dice, 200)
    return raw[:end] + raw[start:]


def with_text(raw: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.choice(TEXTS).encode() * dice.choice((1, 1, 3)) + raw[at:]


def retyped(raw: bytes, dice: random.Random) -> bytes:
    """Another sort of value in the place of one, somewhere in the tree."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return with_text(raw, dice)
    at: Any = data
    while isinstance(at, dict | list) and at:
        key = dice.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], dict | list) or not at[key] or dice.random() < 0.3:
            at[key] = dice.choice(ODD)
            break
        at = at[key]
    if isinstance(data, dict) and dice.random() < 0.2:
        data[dice.choice(["", "bot ", "Bot", "pets", "\n", "x" * 500])] = dice.choice(ODD)
    return json.dumps(data, indent=dice.choice((None, 1)), ensure_ascii=False).encode(errors="surrogatepass")


def deep(raw: bytes, dice: random.Random) -> bytes:
    opening = dice.choice(("[", "{a:", '{"a":[', "{"))
    at, levels = dice.randrange(len(raw) + 1), dice.choice((10, 40, 2000, 20_000))
    return raw[:at] + opening.encode() * levels + raw[at:]


def huge(raw: bytes, dice: random.Random) -> bytes:
    return dice.choice((raw * 1000, raw + b" " * 2_000_000, raw[:-3] + b"x" * 300_000))[:3_000_000]


def encoded(raw: bytes, dice: random.Random) -> bytes:
    return raw.decode(errors="replace").encode(dice.choice(ENCODINGS), errors="replace")


def nuls(raw: bytes, dice: random.Random) -> bytes:
    start, end = span(raw, dice)
    return dice.choice((bytes(len(raw)), raw[:start] + bytes(end - start) + raw[end:], raw + bytes(4096)))


def noise(raw: bytes, dice: random.Random) -> bytes:
    return dice.choice((dice.randbytes(64), raw + dice.randbytes(8), b"\xff" + raw, b"\xef\xbb\xbf" * 2 + raw))


@pytest.mark.parametrize("name", list(FILES))
def test_ten_thousand_spoilt_versions(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, text = FILES[name]
    path = tmp_path / f"{name}.json"
    path.write_text(text)
    manager = make(path)
    hot = manager.hot
    hot.kept = Unkept(path)
    seed = f"{SEED} {name}"
    dice = random.Random(seed)
    good = [text, (EXAMPLES / f"{name}.json.example").read_text()]
    spoilt = {one: mutations(one, dice) for one in good}
    counts = dict.fromkeys(("Changed", "Refused", "Held", "Mended", "NoneType"), 0)
    with capsys.disabled():
        print(f"\n{name}: seed {seed!r}", end="", flush=True)  # noqa: T201
    for number in range(VERSIONS):
        raw = next(spoilt[good[number % 10 == 0]])
        path.unlink()  # ext4 writes a file that was cut to nothing to the disk at once
        path.write_bytes(raw)
        before = hot.version
        outcome = hot.check_for_changes(force=True)
        counts[type(outcome).__name__] += 1
        match outcome:
            case Refused():
                assert hot.version is before, raw
                assert_placed(outcome.problem, raw, str(path))
            case Held():
                assert hot.version is before, raw
                assert hot.decide(outcome.number, number % 2 == 0) is None or hot.version.text == text_in(raw)
            case Changed() | None:
                assert hot.version.text == text_in(raw), raw
                assert hot.check_text(text_in(raw))[0] == hot.now
            case Mended():
                assert hot.version is before
    path.write_text(text + "\n")
    outcome = hot.check_for_changes(force=True)
    if isinstance(outcome, Held):
        hot.decide(outcome.number, True)
    assert hot.now == make(path).hot.now
    with capsys.disabled():
        print(f" {counts}", end="")  # noqa: T201
    assert counts["Refused"] > VERSIONS // 3
    assert counts["Changed"] > VERSIONS // 50


def text_in(raw: bytes) -> str:
    return raw.decode("utf-8-sig")


def assert_placed(problem: str, raw: bytes, path: str) -> None:
    """Each sentence names the file, and a line that it has, unless it is about the file as a whole."""
    most = len(re.split(rb"\r\n|\r|\n", raw))
    for sentence in re.split(r"\n(?=…|" + re.escape(path) + ")", problem):
        place = PLACE.search(sentence)
        if place is None:
            assert WHOLE_FILE.search(sentence), (sentence, raw)
        else:
            assert sentence.startswith(f"{path} line "), (sentence, raw)
            assert 1 <= int(place[1]) <= most, (sentence, raw)
