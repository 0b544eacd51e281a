"""The command line: options with ChatrixCD's letters, logging, and the start of the bot."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import getpass
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from chatrixcd_threads import __version__
from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.cells import shown
from chatrixcd_threads.console.ring import Ring, RingHandler
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.console.themes import THEMES
from chatrixcd_threads.daemon import Outcome, PidFile, Report, detach
from chatrixcd_threads.errors import ConfigError, Fatal
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.config import Config, Overrides, SecretsSeen, missing_keys, show
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.model import BotSettings, Settings
from chatrixcd_threads.settings.schema import KINDS, check_files, print_schema
from chatrixcd_threads.text.redact import RedactingFormatter, Redactor

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: starting again does not help
EXIT_NO_BOT = 69  # EX_UNAVAILABLE: nothing to attach to
EXIT_OTHER_BOT = 76  # EX_PROTOCOL: the bot is there, and of another version or full
EXIT_GIVEN_UP = 130  # as a shell says it of Ctrl-C
CONFIG_FILE = "config.json"
LOG_BYTES = 10 * 2**20
LOG_FILES = 5
UMASK = 0o077
LEVELS = {"silent": logging.CRITICAL, "error": logging.ERROR, "info": logging.INFO, "debug": logging.DEBUG}


def parser() -> argparse.ArgumentParser:
    """All options."""
    made = argparse.ArgumentParser(
        prog="chatrixcd-threads",
        description="A Matrix bot that runs, follows and stops Semaphore UI tasks from chat.",
        epilog="Also: console opens the console of a bot that runs already; check [FILE…] checks settings files; "
        "schema config|messages|aliases prints a JSON Schema.",
    )
    made.add_argument("-V", "--version", action="version", version=f"chatrixcd_threads {__version__}")
    made.add_argument("-v", "--verbose", action="count", default=0, help="more in the log; twice: libraries too")
    _config_option(made)
    made.add_argument(
        "-I",
        "--init",
        nargs="?",
        const="start",
        choices=("start", "only"),
        help="ask for the settings, try them, write the file and start; `only`: do not start",
    )
    made.add_argument(
        "--answers",
        metavar="FILE",
        help="write the settings file from the answers in FILE (-: standard input), and end",
    )
    made.add_argument(
        "-s", "--show-config", action="store_true", help="print the settings in force, secrets masked, and end"
    )
    made.add_argument(
        "-L", "--log-only", action="store_true", help="log to the terminal instead of opening the console"
    )
    made.add_argument("-D", "--daemon", action="store_true", help="run in the background")
    made.add_argument(
        "--pid-file", metavar="FILE", help="with -D: where the process number stands (default: bot.pid in the store)"
    )
    _console_options(made)
    made.add_argument(
        "-a", "--admin", action="append", default=[], metavar="USER", help="one more admin (may be repeated)"
    )
    made.add_argument(
        "-r", "--room", action="append", default=[], metavar="ROOM", help="one more allowed room (may be repeated)"
    )
    made.add_argument(
        "-R", "--redact", action="store_true", help="take names of people, rooms and hosts out of the log"
    )
    made.add_argument("-N", "--no-greetings", action="store_true", help="no greetings, no start and stop messages")
    return made


def _config_option(made: argparse.ArgumentParser) -> None:
    made.add_argument("-c", "--config", metavar="FILE", help=f"settings file (default: {CONFIG_FILE})")


def _console_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--plain", action="store_true", help="console and first start as plain lines, for screen readers")
    made.add_argument("-m", "--mouse", action="store_true", help="the mouse works in the console")
    made.add_argument("-t", "--theme", choices=sorted(THEMES), help="the console's colours")
    made.add_argument("-C", "--color", action="store_true", help="colours also where bot.color_enabled is false")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 stopped in order, 70 a thread was stuck, 78 the settings need a person, 130 given up."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["schema"]:
        return _schema(given[1:])
    if given[:1] == ["check"]:
        return _check(given[1:])
    if given[:1] == ["console"]:
        return _attach(given[1:])
    options = parser().parse_args(given)
    if options.pid_file and not options.daemon:
        parser().error("--pid-file goes with -D")
    try:
        ended = _first_start(options)
        if ended is not None:
            return ended
        overrides = Overrides(tuple(options.admin), tuple(options.room), options.no_greetings)
        config = Config(options.config or CONFIG_FILE, overrides=overrides, keep=not options.show_config)
        if options.show_config:
            print(show(config.now, redact_ids=options.redact or config.now.bot.redact))
            waiting = config.hot.waiting
            if waiting is not None:
                print(f"{config.path} says something else, which waits for a yes: {waiting.reason}.", file=sys.stderr)
            return 0
        _complain(config)
        return _run_daemon(config, options) if options.daemon else _run(config, options, config.now.bot.log_file)
    except (ConfigError, Fatal) as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG


def _check(given: Sequence[str]) -> int:
    """`check [FILE…]`: 0 when every file would be taken, 1 when not."""
    from chatrixcd_threads.commands.registry import commands

    made = argparse.ArgumentParser(
        prog="chatrixcd-threads check", description="Checks settings files without using them."
    )
    made.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="default: config.json, aliases.json and messages.json, as far as they are here",
    )
    made.add_argument("--kind", choices=KINDS, help="what the files are, when their names do not tell")
    chosen = made.parse_args(given)
    return check_files(chosen.files, chosen.kind, builtins=commands())


def _schema(given: Sequence[str]) -> int:
    """`schema [KIND]`: 0 when it is printed."""
    made = argparse.ArgumentParser(
        prog="chatrixcd-threads schema",
        description="Prints the JSON Schema of a settings file, with which editors complete and check.",
    )
    made.add_argument("kind", nargs="?", default="config", metavar="KIND", help=f"{', '.join(KINDS)} (default: config)")
    return print_schema(made.parse_args(given).kind)


def _print(line: str, stream: TextIO) -> None:
    """What cannot be written would stay in the buffer, fail once more at the end, and spoil the exit code."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())


class Terminal:
    """Questions and answers as lines, for the first start without a screen. What others said is made harmless."""

    def say(self, line: str) -> None:
        """To standard output, at once; a terminal that is gone ends nothing."""
        _print("\n".join(map(shown, line.split("\n"))), sys.stdout)

    def complain(self, line: str) -> None:
        """To standard error, likewise."""
        _print(shown(line), sys.stderr)

    def ask(self, prompt: str) -> str:
        """A line from standard input."""
        return input(prompt)

    def ask_secret(self, prompt: str) -> str:
        """A line that is not shown."""
        return getpass.getpass(prompt) if sys.stdin.isatty() else input(prompt)


def _first_start(options: argparse.Namespace) -> int | None:
    """The wizard, when it is asked for or welcome. Returns the exit code; None: (go on to) start the bot."""
    wanted = options.init is not None or options.answers is not None
    if not wanted and not _may_offer(options):
        return None
    if not wanted:
        try:
            wanted = _says_yes(f"There is no {CONFIG_FILE}. Set the bot up now? [Y/n] ")
        except KeyboardInterrupt:
            print()
            return EXIT_GIVEN_UP
    if not wanted:
        return None
    from chatrixcd_threads.firststart import Request, first_start  # nio takes half a second to load

    request = Request(
        path=Path(options.config or CONFIG_FILE),
        answers=options.answers,
        screen=how_shown(options) == "screen",
        may_start=options.init != "only" and options.answers is None,
        theme=options.theme or "default",
        mouse=options.mouse,
    )
    return first_start(request, Terminal())


def _may_offer(options: argparse.Namespace) -> bool:
    """Only a person at a terminal who named no file, and who has none, is asked."""
    asked_else = options.config is not None or options.log_only or options.show_config or options.daemon
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return on_terminal and not asked_else and not Path(CONFIG_FILE).exists()


def _says_yes(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("", "y", "yes")
    except EOFError:
        print()
        return False


def _attach(given: Sequence[str]) -> int:
    """`console`: 0 left, 69 no bot is there, 76 the bot will not have this console, 78 the settings need a person."""
    from chatrixcd_threads.attach import Attached
    from chatrixcd_threads.commands.registry import commands
    from chatrixcd_threads.door.line import Line, NoBot, Refused
    from chatrixcd_threads.door.peer import NAME

    made = argparse.ArgumentParser(
        prog="chatrixcd-threads console", description="A console for a bot that runs already; q leaves it alone."
    )
    made.add_argument("--attach", action="store_true", help="to the running bot, which is what it does anyway")
    _config_option(made)
    _console_options(made)
    made.set_defaults(log_only=False, daemon=False)
    options = made.parse_args(given)
    try:
        settings = Config(options.config or CONFIG_FILE, keep=False).now
        line = Line((Path(settings.matrix.store_path) / NAME).absolute())
        line.reach()
    except (ConfigError, NoBot, Refused) as error:
        print(error, file=sys.stderr)
        return {NoBot: EXIT_NO_BOT, Refused: EXIT_OTHER_BOT}.get(type(error), EXIT_CONFIG)
    shown = how_shown(options) or "plain"
    console = Surface(shown, line.ring, *look(options, settings))
    if shown == "screen":
        rescue.save_terminal()
        rescue.take_stderr(None)
    start_logging(RingHandler(line.ring), "", Redactor(tuple), 0)
    try:
        return Attached(line, console, commands).run()
    finally:
        rescue.restore_terminal()


def _complain(config: Config) -> None:
    """Raises ConfigError with everything that must be set before the bot can run."""
    unset = missing_keys(config.now)
    if unset:
        lacks = "does not exist, and the defaults do not suffice" if config.missing else "is not complete"
        raise ConfigError(f"{config.path} {lacks}:\n" + "\n".join(f"  {sentence}" for sentence in unset))


def _run(config: Config, options: argparse.Namespace, log_file: str, report: Report | None = None) -> int:
    """The bot in this process. With a report it is a daemon, which tells there how its start went."""
    os.umask(UMASK)  # nio's store of keys, the log: nothing of the bot is for other users of the machine
    from chatrixcd_threads.app import build
    from chatrixcd_threads.commands.registry import commands  # nio takes half a second to load: not for -s and -V

    shown = how_shown(options)
    ring = Ring()
    console = Surface(shown, ring, *look(options, config.now))
    config.hot.callbacks.append(lambda old, new: restyle(console, options, old, new))
    redactor = Redactor(SecretsSeen(config).all, identifiers=lambda: options.redact or config.now.bot.redact)
    lines = RingHandler(ring, console.logged)  # also without a console of its own: others may be attached
    screen = lines if shown or options.daemon else logging.StreamHandler(sys.stderr)
    if shown == "screen":
        rescue.save_terminal()
        rescue.take_stderr(log_file or None)
    file = start_logging(screen, log_file, redactor, options.verbose)
    config.hot.callbacks.append(file.follow)
    if not options.verbose:
        log_as_much(config.now, config.now)
        config.hot.callbacks.append(log_as_much)
    if screen is not lines:
        lines.setFormatter(RedactingFormatter(redactor))
        logging.getLogger().addHandler(lines)
    log = logging.getLogger("chatrixcd")
    for warning in config.warnings:
        log.warning("%s", warning)
    messages = MessageManager(config.path.parent / "messages.json")
    aliases = AliasManager(
        config.path.parent / "aliases.json", builtins=commands, prefix=lambda: config.now.bot.command_prefix
    )
    try:
        bot = build(config, messages, aliases, redactor, console)
        if report is None:
            return bot.run()
        return bot.run(lambda problem: report.tell(EXIT_CONFIG if problem else 0, problem))
    finally:
        rescue.restore_terminal()
        logging.shutdown()


def _run_daemon(config: Config, options: argparse.Namespace) -> int:
    """In the parent 0 when the bot runs, or the exit code of its failed start; in the child the bot's own."""
    if config.error is not None:
        print(f"{config.error}\nThe version that worked last is in force.", file=sys.stderr)
    for warning in config.warnings:
        print(warning, file=sys.stderr)
    log_file = Path(daemon_log(config.now))
    store = Path(config.now.matrix.store_path)
    pid_file = PidFile(Path(options.pid_file) if options.pid_file else store / "bot.pid")
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        report = detach(log_file)
    except OSError as error:
        pid_file.remove()
        raise ConfigError(f"{log_file} cannot be used as bot.log_file: {error}") from error
    if isinstance(report, Outcome):
        if report.problem:
            print(report.problem, file=sys.stderr)
        else:
            print(f"The bot runs in the background (process {report.pid}, log {log_file}).")
        return report.code
    try:
        pid_file.write()
        return _run(config, options, str(log_file), report)
    except (ConfigError, Fatal) as error:
        report.tell(EXIT_CONFIG, str(error))
        return EXIT_CONFIG
    finally:
        pid_file.remove()


def daemon_log(settings: Settings) -> str:
    """Where a daemon logs: bot.log_file, or in the store when that is left at its default."""
    chosen = settings.bot.log_file
    unset = chosen in ("", BotSettings().log_file)
    return str(Path(settings.matrix.store_path) / "bot.log") if unset else chosen


def look(options: argparse.Namespace, settings: Settings) -> tuple[str, bool, bool]:
    """Theme, mouse and colours of the console: what was said at the start goes before the settings."""
    bot = settings.bot
    colors = options.color or options.theme is not None or bot.color_enabled
    return options.theme or bot.color_theme, options.mouse or bot.mouse_enabled, colors


def restyle(console: Surface, options: argparse.Namespace, old: Settings, new: Settings) -> None:
    """The settings have changed."""
    if look(options, new) != look(options, old):
        console.restyle(*look(options, new))


def how_shown(options: argparse.Namespace) -> str:
    """`screen`, `plain`, or empty for log mode: asked for, or because there is no terminal to draw on."""
    if options.log_only or options.daemon:
        return ""
    if options.plain:
        return "plain"
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return "screen" if on_terminal else ""


def log_only_what_is_shown() -> None:
    """Records get no file, line, function and process: no format names them, and finding them costs a third of a record.

    The switches are those of the "Optimization" section of Python's logging HOWTO.
    """
    logging._srcfile = None
    logging.logMultiprocessing = logging.logProcesses = False


class LogFile:
    """One thread at a time: the main thread, then whoever reads the settings. The log's file, which follows bot.log_file."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._formatter = formatter
        self._handler: logging.FileHandler | None = None

    def use(self, path: str) -> None:
        """Writes there from now on; nowhere when `path` is empty. Raises ConfigError, and then nothing has changed."""
        fresh = self._opened(path) if path.strip() else None
        old, self._handler = self._handler, fresh
        if fresh is not None:
            logging.getLogger().addHandler(fresh)
        if old is not None:
            logging.getLogger().removeHandler(old)
            old.close()

    def follow(self, old: Settings, new: Settings) -> None:
        """The settings have changed."""
        if new.bot.log_file == old.bot.log_file:
            return
        try:
            self.use(new.bot.log_file)
        except ConfigError as error:
            logging.getLogger("chatrixcd").error("%s; the log goes where it went before", error)

    def _opened(self, path: str) -> logging.FileHandler:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            handler = logging.handlers.RotatingFileHandler(
                path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
            )
        except OSError as error:
            raise ConfigError(f"{path} cannot be used as bot.log_file: {error}") from error
        handler.setFormatter(self._formatter)
        return handler


def log_as_much(old: Settings, new: Settings) -> None:
    """As bot.verbosity says; -v goes before it."""
    logging.getLogger("chatrixcd").setLevel(LEVELS[new.bot.verbosity])


def start_logging(screen: logging.Handler, log_file: str, redactor: Redactor, verbosity: int) -> LogFile:
    """To the screen (terminal or console) and to the log file, both through the gate for secrets. SIGUSR1 writes all stacks to stderr."""
    formatter = RedactingFormatter(redactor)
    screen.setFormatter(formatter)
    log_only_what_is_shown()
    logging.basicConfig(level=logging.WARNING, handlers=[screen], force=True)
    file = LogFile(formatter)
    file.use(log_file)
    logging.getLogger("chatrixcd").setLevel(logging.DEBUG if verbosity else logging.INFO)
    if verbosity > 1:
        logging.getLogger().setLevel(logging.DEBUG)
    # watchdog tells of each line that is written into a log file beside the settings, which would be one more line.
    logging.getLogger("watchdog").setLevel(logging.WARNING)
    # nio writes payloads of events it cannot parse into its warnings.
    logging.getLogger("nio").setLevel(logging.ERROR if verbosity < 2 else logging.DEBUG)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    return file
