"""The command line: what it prints, which exit codes it has, and what its options change."""

from __future__ import annotations

import configparser
import json
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads import __version__, cli
from chatrixcd_threads.console.ring import Ring
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.firststart import Request
from chatrixcd_threads.settings.config import Config, missing_keys
from chatrixcd_threads.settings.hot import Changed
from chatrixcd_threads.settings.model import BotSettings, Settings
from chatrixcd_threads.text.redact import Redactor

COMPLETE: dict[str, Any] = {
    "matrix": {"homeserver": "https://m.example.org", "user_id": "@bot:example.org", "password": "hunter22-secret"},
    "semaphore": {"url": "https://user:pw-in-url@s.example.org", "api_token": "tok-very-secret"},
    "bot": {"admin_users": ["@ann:example.org"], "allowed_rooms": ["!ops:example.org"]},
}


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default log file is made where the program was started."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, mask = list(root.handlers), root.level, os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
    for handler in {*root.handlers} - {*handlers}:
        handler.close()
    root.handlers[:], root.level = handlers, level
    for name in ("chatrixcd", "nio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


class Started:
    """Stands where the bot would be built: what it was built with, and a code to end with."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.config: Config | None = None

    def __call__(self, config: Config, *rest: Any) -> Started:
        self.config = config
        return self

    def run(self) -> int:
        return self.code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    made = Started()
    monkeypatch.setattr("chatrixcd_threads.app.build", made)
    return made


def write(folder: Path, content: Mapping[str, Any] | str = COMPLETE) -> str:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["-V"])
    assert caught.value.code == 0
    assert capfd.readouterr().out == f"chatrixcd_threads {__version__}\n"


def test_it_is_a_program_of_its_own(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "chatrixcd_threads", "-c", str(tmp_path / "config.json")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == cli.EXIT_CONFIG
    assert "Set matrix.user_id" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_the_settings_are_shown_without_secrets(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-c", write(tmp_path), "-s"]) == 0
    shown = capfd.readouterr().out
    found = json.loads(shown)
    assert found["matrix"]["user_id"] == "@bot:example.org"
    assert found["semaphore"]["timeout"] == 15.0  # what is not set is shown with its default
    assert not re.search("hunter22|tok-very|pw-in-url", shown)


def test_names_are_hidden_too_when_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-c", write(tmp_path), "-s", "-R"]) == 0
    assert "example.org" not in capfd.readouterr().out


def test_nothing_is_started_to_show_settings(tmp_path: Path, started: Started) -> None:
    assert cli.main(["-c", write(tmp_path), "-s"]) == 0
    assert started.config is None


def test_what_is_missing_is_named_key_by_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {"matrix": {"user_id": "@bot:example.org"}})
    assert cli.main(["-c", path]) == cli.EXIT_CONFIG
    said = capfd.readouterr().err
    for key in ("matrix.password", "semaphore.url", "semaphore.api_token"):
        assert f"Set {key}" in said
    assert "Set matrix.user_id" not in said
    assert path in said


def test_every_missing_key_is_checked(started: Started, tmp_path: Path) -> None:
    assert cli.main(["-c", write(tmp_path)]) == 0
    assert started.config is not None
    assert missing_keys(started.config.now) == ()


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ('{\n  "matrix": {\n    "user_id": "@bot\n', 3, ""),
        ('{\n  "matrix": {\n    "user_di": "@bot:x"\n  }\n}', 3, "did you mean user_id"),
        ('{\n\n"bot": {"workers": "many"}}', 3, "bot.workers: expected a whole number"),
    ],
)
def test_a_broken_file_is_told_with_file_and_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, line: int, reason: str
) -> None:
    path = write(tmp_path, content)
    assert cli.main(["-c", path]) == cli.EXIT_CONFIG
    said = capfd.readouterr().err
    assert path in said
    assert f"line {line}" in said
    assert reason in said


def test_options_add_to_the_file(tmp_path: Path, started: Started) -> None:
    options = ["-a", "@bob:example.org", "-a", "@eve:example.org", "-r", "!two:example.org", "-N"]
    assert cli.main(["-c", write(tmp_path), *options]) == 0
    assert started.config is not None
    bot = started.config.now.bot
    assert bot.admin_users == ("@ann:example.org", "@bob:example.org", "@eve:example.org")
    assert bot.allowed_rooms == ("!ops:example.org", "!two:example.org")
    assert bot.greetings_enabled is False


def test_without_options_the_file_counts(tmp_path: Path, started: Started) -> None:
    assert cli.main(["-c", write(tmp_path)]) == 0
    assert started.config is not None
    assert started.config.now.bot.admin_users == ("@ann:example.org",)
    assert started.config.now.bot.greetings_enabled is True


@pytest.mark.parametrize("options", [["-a", "bob"], ["-r", "ops"]])
def test_what_is_no_user_or_room_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert cli.main(["-c", write(tmp_path), *options]) == cli.EXIT_CONFIG
    assert f"option {options[0]}" in capfd.readouterr().err


@pytest.mark.parametrize("options", [["--nonsense"], ["-c"], ["extra"], ["--pid-file", "bot.pid"]])
def test_unknown_options(options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(options)
    assert caught.value.code == 2
    assert "usage: chatrixcd-threads" in capfd.readouterr().err


def test_the_service_example_starts_the_program_with_options_that_exist() -> None:
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(Path(__file__).parents[2] / "config" / "chatrixcd-threads.service.example")
    program, _, options = unit["Service"]["ExecStart"].partition(" -m chatrixcd_threads ")
    assert program.endswith("python")
    assert cli.parser().parse_args(options.split()).log_only
    assert unit["Service"]["RestartPreventExitStatus"] == str(cli.EXIT_CONFIG)


@pytest.mark.parametrize("code", [0, 70, 78])
def test_the_exit_code_is_the_bots(tmp_path: Path, started: Started, code: int) -> None:
    started.code = code
    assert cli.main(["-c", write(tmp_path)]) == code


def test_a_log_file_that_cannot_be_written_is_told(
    tmp_path: Path, started: Started, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    config = COMPLETE | {"bot": {"log_file": str(tmp_path / "file" / "bot.log")}}
    assert cli.main(["-c", write(tmp_path, config)]) == cli.EXIT_CONFIG
    assert "bot.log_file" in capfd.readouterr().err


def test_the_log_file_follows_the_settings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def save(bot: Mapping[str, str]) -> Path:
        (tmp_path / "config.json").write_text(json.dumps(COMPLETE | {"bot": bot}))
        return tmp_path / "config.json"

    def say(word: str) -> list[str]:
        logging.getLogger("chatrixcd.test").warning(word)
        return [path.name for path in sorted(tmp_path.glob("**/*.log")) if word in path.read_text()]

    config = Config(save({"log_file": str(tmp_path / "one.log")}))
    file = cli.start_logging(logging.StreamHandler(), config.now.bot.log_file, Redactor(tuple), 0)
    config.hot.callbacks.append(file.follow)
    assert say("first") == ["one.log"]
    for log_file, word, there in (
        (str(tmp_path / "new" / "two.log"), "second", ["two.log"]),
        ("", "third", []),
        (str(tmp_path / "one.log"), "fourth", ["one.log"]),
        (str(tmp_path), "fifth", ["one.log"]),  # a folder: it goes on where it was
        ("  ", "sixth", []),
    ):
        save({"log_file": log_file})
        assert isinstance(config.check_for_changes(), Changed)
        assert say(word) == there
    assert f"{tmp_path} cannot be used as bot.log_file" in capfd.readouterr().err
    save({})
    assert isinstance(config.check_for_changes(), Changed)
    assert say("seventh") == ["chatrixcd.log"]


def test_what_the_bot_writes_is_for_its_own_user_alone(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nio makes its store of keys with the mode of the process, and pickles them under a key that everybody knows."""
    os.umask(0o022)

    def run() -> int:
        (tmp_path / "keys.db").touch()
        return 0

    monkeypatch.setattr(started, "run", run)
    assert cli.main(["-L", "-c", write(tmp_path, COMPLETE)]) == 0
    for name in ("chatrixcd.log", "keys.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_store_that_cannot_be_used_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    matrix = COMPLETE["matrix"] | {"store_path": str(tmp_path / "file" / "store")}
    assert cli.main(["-c", write(tmp_path, COMPLETE | {"matrix": matrix})]) == cli.EXIT_CONFIG
    assert "matrix.store_path" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [
        (0, (logging.WARNING, logging.INFO, logging.ERROR)),
        (1, (logging.WARNING, logging.DEBUG, logging.ERROR)),
        (2, (logging.DEBUG,) * 3),
    ],
)
def test_how_much_is_logged(tmp_path: Path, verbosity: int, levels: tuple[int, int, int]) -> None:
    path = tmp_path / "logs" / "bot.log"
    cli.start_logging(logging.StreamHandler(), str(path), Redactor(lambda: ("tok-very-secret",)), verbosity)
    assert tuple(logging.getLogger(name).level for name in ("", "chatrixcd", "nio")) == levels
    logging.getLogger("chatrixcd.test").warning("with tok-very-secret")
    logged = path.read_text()
    assert "with ********" in logged
    assert "tok-very" not in logged


# --- the first start


class Terminal:
    """Standard input and output as a terminal with one line typed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, line: str | type[BaseException], *, there: bool = True) -> None:
        self.asked: list[str] = []
        self._line = line
        for stream in ("stdin", "stdout"):
            monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: there, raising=False)
        monkeypatch.setattr("builtins.input", self._input)
        monkeypatch.setenv("TERM", "xterm")

    def _input(self, prompt: str = "") -> str:
        self.asked.append(prompt)
        if isinstance(self._line, str):
            return self._line
        raise self._line


@pytest.fixture
def wizard(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Stands where the first start would be; it ends with 5."""
    asked: list[Request] = []

    def first_start(request: Request, talk: object) -> int:
        asked.append(request)
        return 5

    monkeypatch.setattr("chatrixcd_threads.firststart.first_start", first_start)
    return asked


@pytest.mark.parametrize("line", ["", "y", "YES"])
def test_a_newcomer_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch, wizard: list[Request], line: str) -> None:
    terminal = Terminal(monkeypatch, line)
    assert cli.main([]) == 5
    assert terminal.asked == ["There is no config.json. Set the bot up now? [Y/n] "]
    assert wizard == [Request(Path("config.json"), None, screen=True, may_start=True)]


@pytest.mark.parametrize("line", ["n", "no", "what?", EOFError])
def test_without_a_yes_everything_is_as_before(
    monkeypatch: pytest.MonkeyPatch,
    wizard: list[Request],
    line: str | type[BaseException],
    capfd: pytest.CaptureFixture[str],
) -> None:
    Terminal(monkeypatch, line)
    assert cli.main([]) == cli.EXIT_CONFIG
    assert wizard == []
    assert "Set matrix.user_id" in capfd.readouterr().err


@pytest.mark.parametrize("options", [["-L"], ["-c", "config.json"], ["-s"]])
def test_who_says_how_to_start_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, wizard: list[Request], options: list[str]
) -> None:
    terminal = Terminal(monkeypatch, "y")
    cli.main(options)
    assert terminal.asked == []
    assert wizard == []


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, wizard: list[Request]) -> None:
    terminal = Terminal(monkeypatch, "y", there=False)
    assert cli.main([]) == cli.EXIT_CONFIG
    assert terminal.asked == []
    assert wizard == []


def test_with_a_file_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, wizard: list[Request], tmp_path: Path, started: Started
) -> None:
    write(tmp_path)
    terminal = Terminal(monkeypatch, "y")
    assert cli.main(["--plain"]) == 0
    assert terminal.asked == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-I"], Request(Path("config.json"), None, screen=True, may_start=True)),
        (["-I", "only"], Request(Path("config.json"), None, screen=True, may_start=False)),
        (["--init", "--plain"], Request(Path("config.json"), None, screen=False, may_start=True)),
        (["-I", "-c", "b.json", "-m"], Request(Path("b.json"), None, screen=True, may_start=True, mouse=True)),
        (["-I", "-t", "msdos"], Request(Path("config.json"), None, screen=True, may_start=True, theme="msdos")),
        (["--answers", "a.json"], Request(Path("config.json"), "a.json", screen=True, may_start=False)),
        (["--answers", "-"], Request(Path("config.json"), "-", screen=True, may_start=False)),
    ],
)
def test_the_wizard_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, wizard: list[Request], options: list[str], expected: Request
) -> None:
    terminal = Terminal(monkeypatch, EOFError)
    assert cli.main(options) == 5
    assert terminal.asked == []
    assert wizard == [expected]


def test_the_bot_starts_on_what_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: Started) -> None:
    def first_start(request: Request, talk: object) -> None:
        write(tmp_path)

    monkeypatch.setattr("chatrixcd_threads.firststart.first_start", first_start)
    assert cli.main(["-I", "--plain"]) == 0
    assert started.config is not None
    assert started.config.now.matrix.user_id == "@bot:example.org"


def test_answers_that_cannot_be_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "answers.json").write_text('{"usr_id": 1,\n"owner": 2}')
    assert cli.main(["--answers", "answers.json"]) == cli.EXIT_CONFIG
    assert capfd.readouterr().err.splitlines() == [
        "answers.json line 1: unknown key 'usr_id'; did you mean user_id?",
        'answers.json line 2: owner: expected a text, {"env": "NAME"} or {"file": "PATH"}, got a number',
    ]


@pytest.mark.parametrize("options", [["--answers", "-"], ["-I", "--plain"]])
def test_an_input_that_ends_writes_nothing(tmp_path: Path, options: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "chatrixcd_threads", *options],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == cli.EXIT_CONFIG
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_the_offer(monkeypatch: pytest.MonkeyPatch, wizard: list[Request]) -> None:
    Terminal(monkeypatch, KeyboardInterrupt)
    assert cli.main([]) == 130
    assert wizard == []


def test_what_others_say_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    cli.Terminal().say("one \x1b[31mred\x1b]0;title\x07\ntwo\r")
    cli.Terminal().complain("bad \x1b[2J")
    assert capfd.readouterr() == ("one red\ntwo \n", "bad \n")


def test_redact_and_verbosity_of_the_file_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, log = tmp_path / "config.json", tmp_path / "bot.log"

    def save(**bot: Any) -> None:
        path.write_text(json.dumps({"bot": {"log_file": str(log), **bot}}))

    class Bot:
        def run(self, *more: Any) -> int:
            say = logging.getLogger("chatrixcd.test")
            say.error("@alice:example.org came from 10.0.0.5")
            say.info("a small matter")
            save(redact=False, verbosity="debug")
            config.check_for_changes()
            say.debug("@bob:example.org is shown from now on")
            return 0

    save(redact=True, verbosity="error")
    config = Config(path)
    monkeypatch.setattr("chatrixcd_threads.app.build", lambda *parts: Bot())
    cli._run(config, cli.parser().parse_args(["-L"]), str(log))
    said = log.read_text()
    assert "alice" not in said
    assert "10.0.0.5" not in said
    assert "a small matter" not in said
    assert "@bob:example.org" in said


@pytest.mark.parametrize(
    ("given", "colored"),
    [([], False), (["-C"], True), (["-t", "msdos"], True), (["-m"], False)],
)
def test_colours_are_off_where_the_settings_say_so(given: list[str], colored: bool) -> None:
    plain = Settings(bot=BotSettings(color_enabled=False, color_theme="midnight"))
    theme, mouse, colors = cli.look(cli.parser().parse_args(given), plain)
    assert (theme, mouse, colors) == ("msdos" if "-t" in given else "midnight", "-m" in given, colored)
    assert cli.look(cli.parser().parse_args(given), Settings())[2]


def test_a_console_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Surface("screen", Ring())
    told: list[tuple[str, bool, bool]] = []
    monkeypatch.setattr(console, "restyle", lambda *look: told.append(look))
    old, new = Settings(), Settings(bot=BotSettings(color_theme="msdos", mouse_enabled=True, color_enabled=False))
    cli.restyle(console, cli.parser().parse_args([]), old, new)
    cli.restyle(console, cli.parser().parse_args([]), new, new)
    cli.restyle(console, cli.parser().parse_args(["-t", "midnight", "-m"]), old, new)
    assert told == [("msdos", True, False)]


def test_every_word_after_the_program_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("schema", "check", "console"):
        with pytest.raises(SystemExit, match="0"):
            cli.main([word, "--help"])
        assert f"usage: chatrixcd-threads {word}" in capsys.readouterr().out
    assert cli.main(["schema", "nonsense"]) == 1
    assert "There are config, aliases, messages." in capsys.readouterr().err
    assert cli.main(["schema"]) == 0
