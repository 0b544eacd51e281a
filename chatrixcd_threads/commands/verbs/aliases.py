"""`aliases`: short names for commands; lists, adds, removes and tries them."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.parse import words
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.errors import NotFound, UsageError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import Text, bold, code, lines, table, text


@command(
    "aliases",
    "lists the aliases; adds, removes or tries one",
    example="aliases add deploy run 1 {1}",
    rights={"add": Right.MANAGE, "remove": Right.MANAGE},
    deed="change the aliases",
    args=(
        Arg(
            "action",
            "add, remove (rm, delete) or test, which shows what an alias stands for and runs nothing",
            choices=("add", "remove", "test"),
            synonyms={"rm": "remove", "delete": "remove"},
        ),
        Arg("name", "the alias: one word"),
        Arg(
            "command",
            "for add: the command without the prefix; {1} {2} … are words typed after the alias, {*} the rest. "
            "For test: the words to try it with",
            rest=True,
            verbatim=True,
        ),
    ),
)
def aliases(call: Call) -> Reply:
    """Dispatches on the action; each has one function."""
    action, name, rest = call.values.get("action"), call.values.get("name"), call.values.get("command", "")
    if action is None:
        return _listed(call)
    if name is None:
        more = {"add": " COMMAND", "test": " [WORDS]"}.get(action, "")
        raise UsageError(f"I did nothing: which alias? Usage: {call.prefix} aliases {action} NAME{more}")
    match action:
        case "add":
            return _add(call, name, rest)
        case "remove":
            return _remove(call, name, rest)
        case _:
            return _test(call, name, rest)


def _listed(call: Call) -> Reply:
    manager = call.tools.aliases
    wrong = f"⚠ The file itself is not used: {manager.error.sentence}" if manager.error else ""
    how = text("Add one: ") + code(f"{call.prefix} aliases add deploy run 1 {{1}}")
    if not manager.now:
        return Reply(lines("There are no aliases.", wrong, how))
    rows = [(code(name), code(command)) for name, command in manager.now.items()]
    return Reply(lines(table(("alias", "stands for"), rows), wrong, how))


def _add(call: Call, name: str, command: str) -> Reply:
    if not command:
        raise UsageError(f"I did nothing: the command is missing. Usage: {call.prefix} aliases add {name} COMMAND")
    given = words(command)
    command = given[0] if len(given) == 1 else command  # a command that was put into quotes as a whole
    outcome = call.tools.aliases.add(name, command)
    if outcome is not None:
        call.tools.told(outcome, call.sender)
    stands = code(f"{call.prefix} {name}") + " stands for " + code(f"{call.prefix} {command.strip()}") + "."
    return Reply(text("➕ " if outcome else "It was there already: ") + stands)


def _remove(call: Call, name: str, rest: str) -> Reply:
    if rest:
        raise UsageError(f"I did nothing: I remove one alias at a time. Usage: {call.prefix} aliases remove NAME")
    call.tools.told(call.tools.aliases.remove(name), call.sender)
    return Reply(text("➖ The alias ") + code(name) + " is gone.")


def _test(call: Call, name: str, rest: str) -> Reply:
    manager = call.tools.aliases
    if name.casefold() not in manager.now:
        raise NotFound(f"I did nothing: there is no alias “{name}”.{manager.hint(name)}")
    typed = f"{name} {rest}".strip()
    expanded = manager.expand(typed, commands()) or typed
    return Reply(
        lines(
            code(f"{call.prefix} {typed}") + " stands for",
            code(f"{call.prefix} {expanded}"),
            _verdict(call, expanded),
        )
    )


def _verdict(call: Call, line: str) -> Text:
    """Whether the command would be understood, in the words in which it would be refused."""
    try:
        given = words(line)
        known = find(given[0], call.prefix)
        known.bind(given[1:], call.prefix)
    except UsageError as error:
        return text("⚠ It would be refused: ") + error.sentence.removeprefix("I did nothing: ")
    return bold(known.name) + f" {known.summary}. I have run nothing now."
