"""The reference page of all commands, made from their declarations: `python -m chatrixcd_threads.commands.reference`."""

from __future__ import annotations

import sys

from chatrixcd_threads.commands.declare import Command
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.commands.verbs.help import RIGHTS

HEAD = """Commands
========

.. This page is made by ``python -m chatrixcd_threads.commands.reference > docs/commands.rst``; a test compares them.

Every command begins with the prefix (``!cd`` unless ``bot.command_prefix`` says otherwise) in any case, followed by a
blank. Only the first line of a message is a command; edits and old messages never run anything. An unknown command,
option or word changes nothing and is answered with the nearest known one.
"""


def page() -> str:
    """The page as reStructuredText."""
    return HEAD + "".join(_section(each) for each in commands().values() if not each.hidden)


def _section(known: Command) -> str:
    title = f"``{known.name}``"
    usage = f"``!cd {known.brief}`` {known.summary}."
    args = "".join(
        f"\n* ``{arg.name}``: {arg.help}" + ("" if arg.required else " (may be left out)") for arg in known.args
    )
    args += "".join(f"\n* ``{opt.usage.strip('[]')}``: {opt.help}" for opt in known.options)
    rights = " / ".join(sorted({RIGHTS[right] for right in (known.right, *known.rights.values())}))
    facts = [usage, args.strip(), f"Example: ``!cd {known.example}``", f"Who may: {rights}."]
    return f"\n{title}\n{'-' * len(title)}\n\n" + "\n\n".join(fact for fact in facts if fact) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
