"""How a command is declared. Help, usage errors and reference pages are made from the declaration."""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chatrixcd_threads.commands.post import Also
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.questions import Question
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.settings.aliases import joined
from chatrixcd_threads.text.fit import Attachment
from chatrixcd_threads.text.markup import Text
from chatrixcd_threads.text.nearest import nearest

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

    `accepted` and `declined` are open questions that were answered by this command: they are settled with it.
    `deed` changes the journal in the answer's own transaction; when it raises a UserError, only that is told. `also` and
    `notes` are written there too, `then` is called once it is durable.
    """

    text: Text
    file: Attachment | None = None
    mention: tuple[str, ...] = ()
    greet: bool = False
    accepted: tuple[Question, ...] = ()
    declined: tuple[Question, ...] = ()
    deed: Callable[[sqlite3.Connection], None] | None = None
    also: tuple[Also, ...] = ()
    notes: tuple[Note, ...] = ()
    then: Callable[[], None] | None = None


class Wants(StrEnum):
    """What counts as the answer to a question."""

    YES = "yes"  # a word or a reaction
    NAME = "name"  # what stands in the payload as `name`, typed as it stands
    VALUE = "value"  # any words; the command's `said` function takes them
    SECRET = "secret"  # any words, said encrypted in a direct chat; they are handed on and never written down


@dataclass(frozen=True, slots=True)
class Ask:
    """A question; `payload` (plain JSON values) is handed on to the command's `confirmed` or `said` function.

    One for a secret is asked in the room `direct`; `text` is then what the command's own room is told, `asked` the question.
    """

    text: Text
    payload: Mapping[str, object]
    wants: Wants = Wants.YES
    direct: str = ""
    asked: Text = field(default_factory=Text)


SHOWN_OPTIONS = 3  # in an answer to a typing mistake
_PAIR = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*=")

Answer = Reply | Ask
Confirmed = Callable[["Call", Mapping[str, object]], Answer]
Told = Callable[["Call", Mapping[str, object], str], Answer]


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


@dataclass(frozen=True, slots=True)
class Opt:
    """One option, `--name`. Without `value` it is a switch.

    `many` holds a list, split at commas; it may be given more than once, as may `repeated`, whose values stay whole.
    """

    name: str
    help: str
    value: str = ""  # what stands for the value in the usage line
    many: bool = False
    repeated: bool = False
    maybe: bool = False  # the value may be left out: `--debug` or `--debug=3`

    @property
    def usage(self) -> str:
        """As it stands in a usage line."""
        shown = f"[={self.value}]" if self.maybe else f" {self.value}" if self.value else ""
        return f"[--{self.name}{shown}]"


Options = Mapping[str, tuple[str, ...]]
"""Options by name: every value that was given; a switch has an empty one."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What was typed, by the names of the declaration. `pairs` are the `name=value` words, `raw` is what stood after --."""

    values: dict[str, str]
    options: Options
    pairs: tuple[tuple[str, str], ...] = ()
    raw: tuple[str, ...] = ()


@dataclass(slots=True)
class Command:
    """A declared command. `rights` gives another right when the first argument is a certain word.

    With `pairs` words like `name=value` are kept apart, with `raw` everything after `--` is.
    """

    name: str
    summary: str
    example: str
    right: Right
    args: tuple[Arg, ...]
    rights: Mapping[str, Right]
    hidden: bool
    deed: str
    run: Callable[[Call], Answer]
    options: tuple[Opt, ...] = ()
    pairs: bool = False
    raw: bool = False
    launches: bool = False  # it starts tasks, by way of a question
    on_yes: Confirmed | None = None
    on_no: Confirmed | None = None
    on_words: Told | None = None

    def declined(self, function: Confirmed) -> Confirmed:
        """Decorator: what a no does, where it is more than nothing."""
        self.on_no = function
        return function

    def said(self, function: Told) -> Told:
        """Decorator: what happens with words that were said to a question of this command."""
        self.on_words = function
        return function

    def confirmed(self, function: Confirmed) -> Confirmed:
        """Decorator: what happens after the question of this command was answered with yes."""
        self.on_yes = function
        return function

    @property
    def usage(self) -> str:
        """The usage line without the prefix."""
        more = ["[NAME=VALUE]…"] if self.pairs else []
        more += [opt.usage for opt in self.options]
        more += ["[-- ARGUMENTS]"] if self.raw else []
        return " ".join([self.name, *(arg.usage for arg in self.args), *more])

    @property
    def brief(self) -> str:
        """The usage line without every option, for lists."""
        more = ["[OPTIONS]"] if self.options else []
        return " ".join([self.name, *(arg.usage for arg in self.args), *more])

    def hint(self, prefix: str) -> str:
        """The end of every refusal of what was typed; a long list of options is left to the help."""
        if len(self.options) <= SHOWN_OPTIONS:
            return f"Usage: {prefix} {self.usage}"
        return f"Usage: {prefix} {self.brief}. {prefix} help {self.name} lists the options."

    def right_for(self, values: Mapping[str, str]) -> Right:
        """The right that this use of the command needs."""
        first = values.get(self.args[0].name, "") if self.args else ""
        return self.rights.get(first, self.right)

    def bind(self, given: Iterable[str], prefix: str) -> dict[str, str]:
        """Words to named values, for a command without options."""
        return self.understand(given, prefix).values

    def understand(self, given: Iterable[str], prefix: str) -> Bound:
        """Words to named values and options. Anything unknown raises UsageError: nothing is guessed, nothing is dropped."""
        left = list(given)
        own = next((number for number, arg in enumerate(self.args) if arg.verbatim), None)
        taken = _Options(self, prefix)
        left = taken.take(left[:own]) + (left[own:] if own is not None else [])
        values: dict[str, str] = {}
        for arg in self.args:
            if not left:
                if arg.required:
                    raise UsageError(f"I did nothing: {arg.name} is missing. {self.hint(prefix)}")
                break
            word = left[0] if not arg.rest else joined(left) if arg.verbatim else " ".join(left)
            left = [] if arg.rest else left[1:]
            values[arg.name] = self._chosen(arg, word, prefix)
        if left:
            raise UsageError(f"I did nothing: I do not know what to do with “{left[0]}”. {self.hint(prefix)}")
        return Bound(values, {name: tuple(given) for name, given in taken.found.items()}, tuple(taken.pairs), taken.raw)

    def _chosen(self, arg: Arg, word: str, prefix: str) -> str:
        if not arg.choices:
            return word
        lowered = word.casefold()
        lowered = arg.synonyms.get(lowered, lowered)
        if lowered in arg.choices:
            return lowered
        near = nearest(lowered, arg.choices)
        hint = f" Did you mean “{near}”?" if near else ""
        raise UsageError(f"I did nothing: I do not know “{word}”.{hint} {self.hint(prefix)}")


class _Options:
    """One reading of a command's options; what is no option is left over in its order."""

    def __init__(self, command: Command, prefix: str) -> None:
        self._command, self._prefix = command, prefix
        self._known = {opt.name: opt for opt in command.options}
        self.found: dict[str, list[str]] = {}
        self.pairs: list[tuple[str, str]] = []
        self.raw: tuple[str, ...] = ()

    def take(self, given: list[str]) -> list[str]:
        left: list[str] = []
        words = deque(given)
        while words:
            word = words.popleft()
            if word == "--" and self._command.raw:
                self.raw = tuple(words)
                return left
            if word.startswith("-") and not word.lstrip("-").isdigit():
                self._option(word, words)
            elif self._command.pairs and _PAIR.match(word):
                name, _, value = word.partition("=")
                self.pairs.append((name, value))
            else:
                left.append(word)
        return left

    def _option(self, word: str, words: deque[str]) -> None:
        typed, equals, value = word.partition("=")
        opt = self._known.get(typed[2:]) if typed.startswith("--") else None
        if opt is None:
            near = nearest(typed.lstrip("-"), self._known)
            hint = f" Did you mean “--{near}”?" if near else ""
            raise self._wrong(f"{self._command.name} has no option “{typed}”.{hint}")
        if not opt.value and equals:
            raise self._wrong(f"“{typed}” takes no value.")
        if opt.value and not equals and not opt.maybe:
            if not words or self._is_own(words[0]):
                raise self._wrong(f"“{typed}” needs a value ({opt.value}).")
            value = words.popleft()
        if opt.value and not value.strip() and not opt.maybe:
            raise self._wrong(f"“{typed}” needs a value ({opt.value}), and got an empty one.")
        if opt.name in self.found and not (opt.many or opt.repeated):
            raise self._wrong(f"“{typed}” is there twice.")
        parts = [part.strip() for part in value.split(",")] if opt.many else [value]
        if opt.many and not all(parts):  # a comma too many: an empty entry means something else to the server
            raise self._wrong(f"“{word}” has an empty entry.")
        self.found.setdefault(opt.name, []).extend(parts)

    def _is_own(self, word: str) -> bool:
        """Whether the word is another option of this command, so that the value before it was forgotten."""
        return word.startswith("--") and word[2:].partition("=")[0] in self._known

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"I did nothing: {what} {self._command.hint(self._prefix)}")


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
    options: tuple[Opt, ...] = (),
    pairs: bool = False,
    raw: bool = False,
    launches: bool = False,
) -> Callable[[Callable[[Call], Answer]], Command]:
    """Declares the decorated function as a command. `deed` completes the sentence “you may not …”."""

    def declare(function: Callable[[Call], Answer]) -> Command:
        said = deed or f"use {name}"
        return Command(
            name,
            summary,
            example or name,
            right,
            args,
            rights or {},
            hidden,
            said,
            function,
            options,
            pairs,
            raw,
            launches,
        )

    return declare
