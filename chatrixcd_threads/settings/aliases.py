"""aliases.json: short names for longer commands. Checked when loaded; edited so that nothing else in the file changes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from chatrixcd_threads.errors import ConfigError, NotFound, UsageError
from chatrixcd_threads.settings import surgery
from chatrixcd_threads.settings.document import BadFileError, Document, name_of_type, parse
from chatrixcd_threads.settings.hot import Changed, HotFile, Kind
from chatrixcd_threads.settings.manager import FileManager
from chatrixcd_threads.text.nearest import nearest
from chatrixcd_threads.threads.rwlock import RWLock

Aliases = Mapping[str, str]

MAX_NAME: Final = 64
MAX_COMMAND: Final = 1000
MAX_LINE: Final = 10_000

_PLACEHOLDER = re.compile(r"\{([0-9]{1,3}|\*)\}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNTYPABLE = re.compile(r"""[\s"'\\\x00-\x1f\x7f-\x9f]""")
_EMPTY_FILE: Final = "{\n}\n"
_NO_ALIASES: Aliases = MappingProxyType({})


class AliasManager(FileManager[Aliases]):
    """The aliases in force. Any thread reads `now` and expands; adding and removing take turns in the hot file.

    `builtins` are the words that an alias may stand for and must not hide; without it any first word is taken.
    """

    def __init__(
        self,
        aliases_file: str | Path = "aliases.json",
        auto_reload: bool = False,
        *,
        builtins: Callable[[], Collection[str]] | None = None,
        prefix: Callable[[], str] = lambda: "!cd",
        lock: RWLock | None = None,
    ) -> None:
        self.aliases_file = Path(aliases_file)
        self._builtins, self._prefix = builtins, prefix
        kind: Kind[Aliases] = Kind(
            check=self._checked,
            defaults=_NO_ALIASES,
            shown=lambda aliases: aliases,
            danger=lambda old, new: "",
        )
        hot = HotFile(self.aliases_file, kind, lock=lock)
        try:
            hot.load()
        except ConfigError as error:  # no good version was ever kept: there are no aliases, and the error is told
            hot.error = error
        super().__init__(hot, auto_reload)

    @property
    def now(self) -> Aliases:
        """Name to command, names in lower case, in the order of the file."""
        return self.hot.now

    @property
    def error(self) -> ConfigError | None:
        """What is wrong with the file now, while older aliases (or none) are in force."""
        return self.hot.error

    def add(self, name: str, command: str) -> Changed | None:
        """Writes a new alias into the file; it counts at once. None: it stands there already, with this command."""
        command = command.strip()
        if not _is_alias(name):
            raise ConfigError(f"I did nothing: {name} would be a note in the file, and no alias.")
        known = self.now.get(name.casefold())
        if known == command and self.error is None:
            return None

        def more(text: str) -> str:
            there = self._names(text).get(name.casefold())
            if there is not None:
                raise ConfigError(f"I did nothing: the alias “{there[0]}” stands for “{there[1]}”. Remove it first.")
            return surgery.with_member(text, str(self.aliases_file), name, command)

        return self._edit(more)

    def remove(self, name: str) -> Changed:
        """Takes an alias out of the file, whatever the case of its name."""

        def without(text: str) -> str:
            names = self._names(text)
            found = names.get(name.casefold())
            if found is None:
                raise NotFound(f"I did nothing: there is no alias “{name}”.{self.hint(name, names)}")
            return surgery.without_member(text, str(self.aliases_file), found[0])

        return self._edit(without)

    def expand(self, line: str, known_commands: Collection[str]) -> str | None:
        """The command for which the line's first word stands; None when that is no alias. Raises UsageError."""
        aliases, expanded = self.now, line
        for _ in range(len(aliases) + 1):
            word, rest = _first_word(expanded)
            command = None if word in known_commands else aliases.get(word)
            if command is None:
                break
            expanded = fill(word, command, rest)
        return None if expanded is line else expanded

    def hint(self, name: str, names: Collection[str] | None = None) -> str:
        """The sentence that names the alias which was probably meant; empty without one."""
        near = nearest(name, self.now if names is None else names)
        return f" Did you mean “{near}”?" if near else ""

    def _names(self, text: str) -> dict[str, tuple[str, object]]:
        data = parse(text, str(self.aliases_file)).data
        return {name.casefold(): (name, command) for name, command in data.items() if _is_alias(name)}

    def _edit(self, change: Callable[[str], str]) -> Changed:
        def checked(text: str | None) -> str:
            after = change(_EMPTY_FILE if text is None else text)
            try:
                self._checked(parse(after, ""))
            except BadFileError as error:  # the file itself was good, so this is about what was asked for
                reasons = [problem.partition(": ")[2] for problem in error.problems]
                raise ConfigError("I did nothing: " + "; ".join(reasons) + ".") from error
            return after

        return self.hot.edit(checked)

    def _checked(self, document: Document) -> tuple[Aliases, tuple[str, ...]]:
        return check(document, self._builtins() if self._builtins is not None else None, self._prefix())


def check(
    document: Document, builtins: Collection[str] | None = None, prefix: str = "!cd"
) -> tuple[Aliases, tuple[str, ...]]:
    """The aliases of a file and what to warn of; or ConfigError with everything that is wrong in it."""
    entries = {key: value for key, value in document.data.items() if _is_alias(key)}
    words = set(builtins or ())
    known = None if builtins is None else words | {name.casefold() for name in entries}
    found: dict[str, str] = {}
    origins: dict[str, str] = {}
    problems: list[tuple[int, str]] = []

    def place(name: str) -> str:
        line = document.line_of((name,))
        return document.path if line is None else f"{document.path} line {line}"

    def problem(name: str, sentence: str) -> None:
        problems.append((document.line_of((name,)) or 0, f"{place(name)}: {_short(name)}: {sentence}"))

    for name, command in entries.items():
        folded = name.casefold()
        if reason := _wrong_name(name, words, prefix) or _wrong_command(command, known, prefix):
            problem(name, reason)
        elif folded in origins:
            problem(name, f"this alias was already given as {origins[folded]} (capitals make no difference)")
        else:
            found[folded], origins[folded] = str(command).strip(), name
    for loop in _loops(found, words):
        problem(origins[loop[0]], f"these aliases go round for ever: {' → '.join([*loop, loop[0]])}")
    if problems:
        ordered = sorted(problems, key=lambda item: item[0])
        raise BadFileError(document.path, tuple(sentence for _, sentence in ordered), line=ordered[0][0] or None)
    warnings = tuple(
        f"{place(str(path[0]))}: {path[0]} has no quotes and so takes all of its line, with comma or comment"
        for path in document.swallowed
        if path[0] in entries
    )
    return MappingProxyType(found), warnings


def fill(name: str, command: str, rest: str) -> str:
    """A command with the words that were typed after its alias. Words that no placeholder takes go to its end."""
    if not _PLACEHOLDER.search(command):
        return _bounded(name, f"{command} {rest}".rstrip())
    try:
        given = shlex.split(rest)
    except ValueError as error:
        raise UsageError("I did nothing: your command has a quotation mark or backslash that is not closed.") from error
    most = max((int(number) for number in _PLACEHOLDER.findall(command) if number != "*"), default=0)
    if len(given) < most:
        need = f"{most} word{'s' if most > 1 else ''} after it"
        raise UsageError(
            f"I did nothing: the alias “{name}” needs {need}, I got {len(given)}. It stands for: {command}"
        )
    extra = given[most:]
    filled: list[str] = []
    for word in shlex.split(command):
        if word == "{*}":
            filled.extend(extra)
        else:
            filled.append(
                _PLACEHOLDER.sub(lambda hole: " ".join(extra) if hole[1] == "*" else given[int(hole[1]) - 1], word)
            )
        _bounded(name, "".join(filled))
    if "*" not in _PLACEHOLDER.findall(command):
        filled.extend(extra)
    return _bounded(name, joined(filled))


def joined(words: list[str]) -> str:
    """Words as one line that splits into these words again; quoted only where that is needed."""
    return " ".join(word if _is_plain(word) else shlex.quote(word) for word in words)


def _is_plain(word: str) -> bool:
    try:
        return shlex.split(word) == [word]
    except ValueError:
        return False


def _bounded(name: str, line: str) -> str:
    if len(line) > MAX_LINE:
        raise UsageError(f"I did nothing: with the alias “{name}” the command becomes too long.")
    return line


def _first_word(line: str) -> tuple[str, str]:
    word, *rest = re.split("[ \t]+", line.strip(), maxsplit=1)
    return word.casefold(), rest[0] if rest else ""


def _is_alias(key: str) -> bool:
    return not key.startswith("_") and key != "$schema"


def _wrong_name(name: str, builtins: Collection[str], prefix: str) -> str | None:
    if not name or _UNTYPABLE.search(name):
        return "the name of an alias is one word without blanks, quotes or backslashes"
    if len(name) > MAX_NAME:
        return f"the name is longer than {MAX_NAME} characters"
    if name.startswith("-"):
        return "a name that begins with - would look like an option"
    if name.casefold().startswith(prefix.casefold()):
        return f"the name is used without the prefix {prefix}, so leave it out"
    if name.casefold() in builtins:
        return "there is a command with this name, and an alias must not hide it"
    return None


def _wrong_command(command: object, known: Collection[str] | None, prefix: str) -> str | None:
    if not isinstance(command, str):
        return f"expected a command as text, got {name_of_type(command)}"
    if not command.strip():
        return "the command is empty"
    if len(command) > MAX_COMMAND:
        return f"the command is longer than {MAX_COMMAND} characters"
    if _CONTROL.search(command.strip()):
        return "a command is one line of text without control characters"
    try:
        words = shlex.split(command)
    except ValueError:
        return "the command has a quotation mark or backslash that is not closed"
    first = _first_word(command)[0]
    numbers = sorted({int(number) for number in _PLACEHOLDER.findall(command) if number != "*"})
    if numbers != list(range(1, len(numbers) + 1)):
        return "placeholders are counted from {1} without a gap"
    if len(words) and words[0].casefold() != first:
        return "the first word is a command and has no quotes"
    if first == prefix.casefold():
        return f"leave the prefix {prefix} out of the command"
    if known is not None and first not in known:
        near = nearest(first, sorted(known))
        hint = f" (did you mean {near}?)" if near else ""
        return f"there is no command or alias {_short(first)}{hint}"
    return None


def _loops(aliases: Aliases, builtins: Collection[str]) -> Iterator[list[str]]:
    """Every loop once, from its first alias in the file."""
    done: set[str] = set()
    for start in aliases:
        way: list[str] = []
        name = start
        while name in aliases and name not in builtins and name not in done and name not in way:
            way.append(name)
            name = _first_word(aliases[name])[0]
        if name in way:
            loop = way[way.index(name) :]
            first = min(loop, key=list(aliases).index)
            at = loop.index(first)
            yield loop[at:] + loop[:at]
        done.update(way)


def _short(text: str) -> str:
    text = text if len(text) <= 60 else text[:59] + "…"
    return "".join(character if character.isprintable() else "�" for character in text) or '""'
