"""`help`: what can be typed, made from the declarations."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Command, Reply, command
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, table, text

ASKED_FOR = ("--help", "-h")  # after a command
RIGHTS = {Right.SEE: "everybody in this room", Right.RUN: "bot.admin_users", Right.MANAGE: "bot.admin_users"}


@command(
    "help",
    "lists the commands, or explains one",
    example="help run",
    args=(Arg("command", "the command or alias to explain; COMMAND --help does the same"),),
)
def help_(call: Call) -> Reply:
    """All commands in one table, or one of them in full."""
    named = call.values.get("command")
    if named is not None:
        return Reply(_alias(call, named) or explained(find(named, call.prefix), call.prefix))
    shown = [each for each in commands().values() if not each.hidden]
    rows = [(code(f"{call.prefix} {each.name}"), each.summary) for each in shown]
    hint = (
        text("More about one: ") + code(f"{call.prefix} help run") + ". Only the first line of a message is a command."
    )
    return Reply(lines(table(("command", "what it does"), rows), hint), greet=True)


def _alias(call: Call, named: str) -> Text | None:
    """What an alias stands for, and the command behind it; None when it is none."""
    aliases, word = call.tools.aliases.now, named.casefold()
    stands = None if word in commands() else aliases.get(word)
    while word not in commands() and word in aliases:
        word = aliases[word].split(maxsplit=1)[0].casefold()
    if stands is None or word not in commands():
        return None
    head = code(f"{call.prefix} {named}") + " stands for " + code(f"{call.prefix} {stands}") + "."
    return lines(head, explained(commands()[word], call.prefix))


def parts(known: Command) -> list[tuple[str, str]]:
    """All that can be typed after the command, each with what it is for."""
    args = [(arg.name, arg.help + _optional(arg)) for arg in known.args]
    options = [(opt.usage[1:-1], opt.help) for opt in known.options]
    raw = [("-- ARGUMENTS", "all that follows is handed to the program as it is")] if known.raw else []
    return [*args, *options, *raw]


def _optional(arg: Arg) -> str:
    return "" if arg.required or "left out" in arg.help else " (may be left out)"


def who_may(known: Command) -> str:
    """Who has the right to it; where single words need more, which."""
    more = ", ".join(word for word, right in known.rights.items() if RIGHTS[right] != RIGHTS[known.right])
    return f"{RIGHTS[known.right]}; {more}: {RIGHTS[Right.MANAGE]}" if more else RIGHTS[known.right]


def explained(known: Command, prefix: str) -> Text:
    """Usage, arguments, example and right of one command."""
    args = [code(name) + f": {said}" for name, said in parts(known)]
    return lines(
        bold(f"{prefix} {known.usage}"),
        f"It {known.summary}.",
        bullets(args) if args else "",
        text("Example: ") + code(f"{prefix} {known.example}"),
        f"Who may: {who_may(known)}.",
    )
