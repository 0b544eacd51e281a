"""The operator's editor on the console's terminal: a child in a group of its own, which is in front as long as it lives.

So Ctrl-C and Ctrl-Z in the editor never reach the bot. The only program that the bot ever starts.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import termios
import time
from collections.abc import Callable
from typing import Final

from chatrixcd_threads.console import rescue

LOOK_SECONDS: Final = 0.1
GRACE_SECONDS: Final = 1.0  # what an editor gets to save its work when the bot stops
USUAL: Final = "vi"  # as every program does that finds neither variable
_OWN: Final = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE}
_HOW: Final = "Set VISUAL or EDITOR to the command of yours."


def command() -> list[str]:
    """What $VISUAL or else $EDITOR says. Raises ValueError for a quote that is not closed."""
    for name in ("VISUAL", "EDITOR"):
        words = shlex.split(os.environ.get(name, ""))
        if words:
            return words
    return [USUAL]


def edit(path: str, beat: Callable[[], None], wait: Callable[[float], None], over: Callable[[], bool]) -> str:
    """Runs the editor on the file until it ends, or until `over`. Empty, or a sentence that says what went wrong.

    The caller must have left the terminal; it is given back with the settings that it had. `wait` returns early when
    there is news.
    """
    try:
        words = command()
    except ValueError as error:
        return f"$VISUAL or $EDITOR cannot be taken apart ({error}), so nothing was edited. {_HOW}"
    settings = None
    with contextlib.suppress(termios.error, OSError):
        settings = termios.tcgetattr(0)
    try:
        child = os.posix_spawnp(
            words[0],
            [*words, path],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2)],  # our own errors go to the log, those of the editor to people
            setpgroup=0,
            setsigmask=(),
            setsigdef=_OWN,
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return f"The editor {words[0]} could not be started: {reason}. {_HOW}"
    rescue.lend_terminal(child)
    try:
        status = _until_ended(child, beat, wait, over)
    finally:
        rescue.take_terminal_back(settings)
    if os.WIFSIGNALED(status):
        return f"The editor {words[0]} was ended by signal {os.WTERMSIG(status)}."
    code = os.waitstatus_to_exitcode(status)
    return f"The editor {words[0]} ended with code {code}, as for a failure." if code else ""


def _until_ended(child: int, beat: Callable[[], None], wait: Callable[[float], None], over: Callable[[], bool]) -> int:
    kill_at, looks = 0.0, 0  # the looks count too: a machine that stands still gives the editor no time to save
    while True:
        found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if found and not os.WIFSTOPPED(status):
            return status
        if found:  # Ctrl-Z, or it was faster than the terminal: no shell is here that could bring it back
            rescue.lend_terminal(child)
            _tell(child, signal.SIGCONT)
        beat()
        if over():
            now = time.monotonic()
            if not looks:
                kill_at = now + GRACE_SECONDS
                _tell(child, signal.SIGTERM)
                _tell(child, signal.SIGCONT)
            elif now >= kill_at and looks * LOOK_SECONDS >= GRACE_SECONDS:
                _tell(child, signal.SIGKILL)
            looks += 1
        wait(LOOK_SECONDS)


def _tell(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, number)
