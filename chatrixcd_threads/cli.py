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

from chatrixcd_threads import __version__
from chatrixcd_threads.console import rescue
from chatrixcd_threads.console.cells import shown
from chatrixcd_threads.console.ring import Ring, RingHandler
from chatrixcd_threads.console.surface import Surface
from chatrixcd_threads.console.themes import THEMES
from chatrixcd_threads.errors import ConfigError, Fatal
from chatrixcd_threads.settings.aliases import AliasManager
from chatrixcd_threads.settings.config import Config, Overrides, SecretsSeen, missing_keys, show
from chatrixcd_threads.settings.messages import MessageManager
from chatrixcd_threads.settings.schema import KINDS, check_files, print_schema
from chatrixcd_threads.text.redact import RedactingFormatter, Redactor

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: starting again does not help
EXIT_GIVEN_UP = 130  # as a shell says it of Ctrl-C
CONFIG_FILE = "config.json"
LOG_BYTES = 10 * 2**20
LOG_FILES = 5


def parser() -> argparse.ArgumentParser:
    """All options."""
    made = argparse.ArgumentParser(
        prog="chatrixcd-threads",
        description="A Matrix bot that runs, follows and stops Semaphore UI tasks from chat.",
        epilog="Also: check [FILE…] checks settings files; schema config|messages|aliases prints a JSON Schema.",
    )
    made.add_argument("-V", "--version", action="version", version=f"chatrixcd_threads {__version__}")
    made.add_argument("-v", "--verbose", action="count", default=0, help="more in the log; twice: libraries too")
    made.add_argument("-c", "--config", metavar="FILE", help=f"settings file (default: {CONFIG_FILE})")
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
    made.add_argument("--plain", action="store_true", help="console and first start as plain lines, for screen readers")
    made.add_argument("-m", "--mouse", action="store_true", help="the mouse works in the console")
    made.add_argument("-t", "--theme", choices=sorted(THEMES), help="the console's colours")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 stopped in order, 70 a thread was stuck, 78 the settings need a person, 130 given up."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["schema"]:
        return print_schema(given[1] if len(given) > 1 else "config")
    if given[:1] == ["check"]:
        return _check(given[1:])
    options = parser().parse_args(given)
    try:
        ended = _first_start(options)
        if ended is not None:
            return ended
        overrides = Overrides(tuple(options.admin), tuple(options.room), options.no_greetings)
        config = Config(options.config or CONFIG_FILE, overrides=overrides, keep=not options.show_config)
        if options.show_config:
            print(show(config.now, redact_ids=options.redact))
            return 0
        return _run(config, options)
    except (ConfigError, Fatal) as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG


def _check(given: Sequence[str]) -> int:
    """`check [FILE…]`: 0 when every file would be taken, 1 when not."""
    from chatrixcd_threads.commands.registry import commands

    made = argparse.ArgumentParser(
        prog="chatrixcd-threads check", description="Checks settings files without using them."
    )
    made.add_argument("files", nargs="*", metavar="FILE")
    made.add_argument("--kind", choices=KINDS, help="what the files are, when their names do not tell")
    chosen = made.parse_args(given)
    return check_files(chosen.files, chosen.kind, builtins=commands())


class Terminal:
    """Questions and answers as lines, for the first start without a screen. What others said is made harmless."""

    def say(self, line: str) -> None:
        """To standard output, at once; a terminal that is gone ends nothing."""
        with contextlib.suppress(OSError):
            print("\n".join(map(shown, line.split("\n"))), flush=True)

    def complain(self, line: str) -> None:
        """To standard error."""
        print(shown(line), file=sys.stderr, flush=True)

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
    asked_else = options.config is not None or options.log_only or options.show_config
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return on_terminal and not asked_else and not Path(CONFIG_FILE).exists()


def _says_yes(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("", "y", "yes")
    except EOFError:
        print()
        return False


def _run(config: Config, options: argparse.Namespace) -> int:
    from chatrixcd_threads.app import build
    from chatrixcd_threads.commands.registry import commands  # nio takes half a second to load: not for -s and -V

    unset = missing_keys(config.now)
    if unset:
        lacks = "does not exist, and the defaults do not suffice" if config.missing else "is not complete"
        raise ConfigError(f"{config.path} {lacks}:\n" + "\n".join(f"  {sentence}" for sentence in unset))
    shown = how_shown(options)
    ring = Ring()
    console = Surface(
        shown, ring, options.theme or config.now.bot.color_theme, options.mouse or config.now.bot.mouse_enabled
    )
    redactor = Redactor(SecretsSeen(config).all, identifiers=options.redact)
    screen = RingHandler(ring, console.poke) if shown else logging.StreamHandler(sys.stderr)
    if shown == "screen":
        rescue.save_terminal()
        rescue.take_stderr(config.now.bot.log_file or None)
    start_logging(screen, config.now.bot.log_file, redactor, options.verbose)
    log = logging.getLogger("chatrixcd")
    for warning in config.warnings:
        log.warning("%s", warning)
    messages = MessageManager(config.path.parent / "messages.json")
    aliases = AliasManager(
        config.path.parent / "aliases.json", builtins=commands, prefix=lambda: config.now.bot.command_prefix
    )
    try:
        return build(config, messages, aliases, redactor, console).run()
    finally:
        rescue.restore_terminal()
        logging.shutdown()


def how_shown(options: argparse.Namespace) -> str:
    """`screen`, `plain`, or empty for log mode: asked for, or because there is no terminal to draw on."""
    if options.log_only:
        return ""
    if options.plain:
        return "plain"
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return "screen" if on_terminal else ""


def start_logging(screen: logging.Handler, log_file: str, redactor: Redactor, verbosity: int) -> None:
    """To the screen (terminal or console) and to the log file, both through the gate for secrets. SIGUSR1 writes all stacks to stderr."""
    handlers = [screen]
    if log_file:
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{log_file} cannot be used as bot.log_file: {error}") from error
        handlers.append(
            logging.handlers.RotatingFileHandler(
                log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True
            )
        )
    for handler in handlers:
        handler.setFormatter(RedactingFormatter(redactor))
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("chatrixcd").setLevel(logging.DEBUG if verbosity else logging.INFO)
    if verbosity > 1:
        logging.getLogger().setLevel(logging.DEBUG)
    # watchdog tells of each line that is written into a log file beside the settings, which would be one more line.
    logging.getLogger("watchdog").setLevel(logging.WARNING)
    # nio writes payloads of events it cannot parse into its warnings.
    logging.getLogger("nio").setLevel(logging.ERROR if verbosity < 2 else logging.DEBUG)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
