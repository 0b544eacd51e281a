"""`help`: what can be typed, made from the declarations."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Command, Reply, command
from chatrixcd_threads.commands.registry import commands, find
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, table, text

RIGHTS = {Right.SEE: "everybody in this room", Right.RUN: "bot.admin_users", Right.MANAGE: "bot.admin_users"}


@command(
    "help",
    "lists the commands, or explains one",
    example="help run",
    args=(Arg("command", "the command to explain"),),
)
def help_(call: Call) -> Reply:
    """All commands in one table, or one of them in full."""
    named = call.values.get("command")
    if named is not None:
        return Reply(explained(find(named, call.prefix), call.prefix))
    shown = [each for each in commands().values() if not each.hidden]
    rows = [(code(f"{call.prefix} {each.name}"), each.summary) for each in shown]
    hint = (
        text("More about one: ") + code(f"{call.prefix} help run") + ". Only the first line of a message is a command."
    )
    return Reply(lines(table(("command", "what it does"), rows), hint), greet=True)


def explained(known: Command, prefix: str) -> Text:
    """Usage, arguments, example and right of one command."""
    args = [code(arg.name) + f": {arg.help}" for arg in known.args]
    args += [code(opt.usage[1:-1]) + f": {opt.help}" for opt in known.options]
    args += [code("NAME=VALUE") + ": a variable of the job"] if known.pairs else []
    args += [code("-- ARGUMENTS") + ": handed to the program as they are"] if known.raw else []
    needs = sorted({RIGHTS[right] for right in (known.right, *known.rights.values())})
    return lines(
        bold(f"{prefix} {known.usage}"),
        f"It {known.summary}.",
        bullets(args) if args else "",
        text("Example: ") + code(f"{prefix} {known.example}"),
        f"Who may: {' / '.join(needs)}.",
    )
