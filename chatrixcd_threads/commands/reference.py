"""The reference page of all commands, made from their declarations: `python -m chatrixcd_threads.commands.reference`."""

from __future__ import annotations

import sys

from chatrixcd_threads.commands.declare import Command
from chatrixcd_threads.commands.registry import commands
from chatrixcd_threads.commands.verbs.help import parts, who_may

HEAD = """Commands
========

.. This page is made by ``python -m chatrixcd_threads.commands.reference > docs/commands.rst``; a test compares them.

Every command begins with the prefix (``!cd`` unless ``bot.command_prefix`` says otherwise) in any case, followed by a
blank. Only the first line of a message is a command; edits and old messages never run anything. An unknown command,
option or word changes nothing and is answered with the nearest known one.

Names, not numbers
------------------

Projects, templates, inventories and tasks can be named instead of numbered. The first reading that fits anything counts:

1. its number; a bare number is never a part of a name
2. the very name
3. the name in any case
4. the beginning of the name: ``!cd run web dep``
5. words in any order, each the beginning of a word of the name: ``!cd run prod deploy``

The project may be left out when the template's name says enough, and ``web/deploy``, ``web / deploy`` and ``web deploy`` mean the same.
Then all projects that the bot may see are searched, and the question names the one that was found.

A name that fits several things, or that is only nearly right, is never guessed: the bot asks which one is meant. Answer with the number
or the name in a reply or in the thread, or react with 1️⃣ to 9️⃣; a single proposal takes 👍 or ``yes`` as well, and 👎 or ``cancel`` gives
up. The pick only says what is meant: a launch is asked about after it as always (templates of the grade ``low`` start, as always).

Where a task is wanted, these name one: ``42`` or ``#42``, ``last`` (the newest of the room), ``mine`` (your newest here), a link to a
message about it, and its template's name (the last task of it; for ``stop``, ``confirm`` and ``reject`` the only one that is not
over). In a task's thread, and in a reply to one of its messages, it can be left out.
"""


def page() -> str:
    """The page as reStructuredText."""
    return HEAD + "".join(_section(each) for each in commands().values() if not each.hidden)


def _section(known: Command) -> str:
    title = f"``{known.name}``"
    usage = f"``!cd {known.brief}`` {known.summary}."
    args = "".join(f"\n* ``{name}``: {said}" for name, said in parts(known))
    facts = [usage, args.strip(), f"Example: ``!cd {known.example}``", f"Who may: {who_may(known)}."]
    return f"\n{title}\n{'-' * len(title)}\n\n" + "\n\n".join(fact for fact in facts if fact) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
