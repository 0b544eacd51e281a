"""From the body of a message to words. Knows nothing of which commands exist."""

from __future__ import annotations

import re
import shlex
from typing import Final

from chatrixcd_threads.errors import UsageError

YES: Final = frozenset({"y", "yes", "go", "start", "ok", "run"})
NO: Final = frozenset({"n", "no", "cancel", "stop", "end", "nope", "abort"})
YES_REACTIONS: Final = frozenset({"👍", "✅", "🆗"})
NO_REACTIONS: Final = frozenset({"👎", "❌", "🚫"})

NUMBER_REACTIONS: Final = {f"{number}\N{COMBINING ENCLOSING KEYCAP}": str(number) for number in range(1, 10)}

_SKIN_AND_VARIATION: Final = re.compile("[\U0001f3fb-\U0001f3ff\ufe0e\ufe0f]")
# What phones make of what was typed: dashes, quotes, blanks.
_TYPOGRAPHY: Final = str.maketrans(
    {"—": "--", "–": "-", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " "}
)


def command_line(body: str, prefix: str) -> str | None:
    """What follows the prefix on the first line; None when the message is no command.

    The prefix counts in any case and must end at a word boundary, so `!cdrun` is no command.
    """
    first = body.lstrip().partition("\n")[0].strip()
    quoted = first.startswith("`") and first.endswith("`")
    first = (first.strip("`") if quoted else first).translate(_TYPOGRAPHY).strip()
    head, rest = first[: len(prefix)], first[len(prefix) :]
    if head.casefold() != prefix.casefold() or (rest and not rest[0].isspace()):
        return None
    return rest.strip()


def without_quote(body: str) -> str:
    """A reply without the quoted lines that older clients put in front."""
    lines = body.split("\n")
    while lines and lines[0].startswith(">"):
        lines.pop(0)
    if len(lines) < len(body.split("\n")) and lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines)


def verdict_of_word(body: str) -> str | None:
    """`yes` or `no` when the whole message is one of the words that answer a question."""
    word = body.strip().strip(".!").casefold()
    return "yes" if word in YES else "no" if word in NO else None


def verdict_of_reaction(key: str) -> str | None:
    """`yes`, `no` or a number from 1 to 9 for a reaction, whatever its skin tone."""
    plain = _SKIN_AND_VARIATION.sub("", key)
    return "yes" if plain in YES_REACTIONS else "no" if plain in NO_REACTIONS else NUMBER_REACTIONS.get(plain)


def words(line: str) -> list[str]:
    """The words of a command, split as a shell splits them. Unbalanced quotes are an error, never a guess."""
    try:
        return shlex.split(line, comments=False, posix=True)
    except ValueError as error:
        reason = (
            "a backslash at the end" if "escape" in str(error).casefold() else "a quotation mark that is not closed"
        )
        raise UsageError(f"I did nothing: your command has {reason}.") from error
