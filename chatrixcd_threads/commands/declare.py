"""How a command is declared. Help, usage errors and reference pages are made from the declaration."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatrixcd_threads.commands.post import Also
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings.aliases import joined
from chatrixcd_threads.text.fit import Attachment
from chatrixcd_threads.text.markup import Text

if TYPE_CHECKING:
    from chatrixcd_threads.commands.call import Call


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the audit; who, where and when is known to the desk."""

    what: Deed
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `mention` are the people who are notified; `greet` lets a greeting stand in front.

    `deed` changes the journal in the answer's own transaction; when it raises a UserError, only that is told. `also` and
    `notes` are written there too, `then` is called once it is durable.
    """

    text: Text
    file: Attachment | None = None
    mention: tuple[str, ...] = ()
    greet: bool = False
    deed: Callable[[sqlite3.Connection], None] | None = None
    also: tuple[Also, ...] = ()
    notes: tuple[Note, ...] = ()
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that waits for a yes; `payload` (plain JSON values) is handed to the command's `confirmed` function."""

    text: Text
    payload: Mapping[str, object]


Answer = Reply | Ask
Confirmed = Callable[["Call", Mapping[str, object]], Reply]


@dataclass(frozen=True, slots=True)
class Arg:
    """One positional argument. With `choices` only these words (or their synonyms) are taken."""

    name: str
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    rest: bool = False  # takes all remaining words, joined by blanks
    verbatim: bool = False  # with rest: a command in itself, whose options are its own and whose quotes are kept

    @property
    def usage(self) -> str:
        """As it stands in a usage line."""
        shown = "|".join(self.choices) if self.choices else self.name.upper()
        return shown if self.required else f"[{shown}]"


@dataclass(slots=True)
class Command:
    """A declared command. `rights` gives another right when the first argument is a certain word."""

    name: str
    summary: str
    example: str
    right: Right
    args: tuple[Arg, ...]
    rights: Mapping[str, Right]
    hidden: bool
    deed: str
    run: Callable[[Call], Answer]
    on_yes: Confirmed | None = None

    def confirmed(self, function: Confirmed) -> Confirmed:
        """Decorator: what happens after the question of this command was answered with yes."""
        self.on_yes = function
        return function

    @property
    def usage(self) -> str:
        """The usage line without the prefix."""
        return " ".join([self.name, *(arg.usage for arg in self.args)])

    def right_for(self, values: Mapping[str, str]) -> Right:
        """The right that this use of the command needs."""
        first = values.get(self.args[0].name, "") if self.args else ""
        return self.rights.get(first, self.right)

    def bind(self, given: Iterable[str], prefix: str) -> dict[str, str]:
        """Words to named values. Anything unknown raises UsageError: nothing is guessed, nothing is dropped."""
        left = list(given)
        own = next((number for number, arg in enumerate(self.args) if arg.verbatim), None)
        self._refuse_flags(left[:own], prefix)
        values: dict[str, str] = {}
        for arg in self.args:
            if not left:
                if arg.required:
                    raise UsageError(f"I did nothing: {arg.name} is missing. Usage: {prefix} {self.usage}")
                break
            word = left[0] if not arg.rest else joined(left) if arg.verbatim else " ".join(left)
            left = [] if arg.rest else left[1:]
            values[arg.name] = self._chosen(arg, word, prefix)
        if left:
            raise UsageError(f"I did nothing: I do not know what to do with “{left[0]}”. Usage: {prefix} {self.usage}")
        return values

    def _refuse_flags(self, given: list[str], prefix: str) -> None:
        for word in given:
            if word.startswith("-") and not word.lstrip("-").isdigit():
                raise UsageError(
                    f"I did nothing: {self.name} has no option “{word.partition('=')[0]}”. Usage: {prefix} {self.usage}"
                )

    def _chosen(self, arg: Arg, word: str, prefix: str) -> str:
        if not arg.choices:
            return word
        lowered = word.casefold()
        lowered = arg.synonyms.get(lowered, lowered)
        if lowered in arg.choices:
            return lowered
        near = nearest(lowered, arg.choices)
        hint = f" Did you mean “{near}”?" if near else ""
        raise UsageError(f"I did nothing: I do not know “{word}”.{hint} Usage: {prefix} {self.usage}")


def command(
    name: str,
    summary: str,
    *,
    example: str = "",
    right: Right = Right.SEE,
    args: tuple[Arg, ...] = (),
    rights: Mapping[str, Right] | None = None,
    hidden: bool = False,
    deed: str = "",
) -> Callable[[Callable[[Call], Answer]], Command]:
    """Declares the decorated function as a command. `deed` completes the sentence “you may not …”."""

    def declare(function: Callable[[Call], Answer]) -> Command:
        return Command(
            name, summary, example or name, right, args, rights or {}, hidden, deed or f"use {name}", function
        )

    return declare


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    found = difflib.get_close_matches(word.casefold(), list(known), n=1, cutoff=0.5)
    return found[0] if found else None
