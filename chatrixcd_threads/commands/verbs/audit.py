"""`audit`: who asked, confirmed, started, stopped and changed what, and whether anybody has touched that list."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.commands.notices import moment
from chatrixcd_threads.errors import UsageError
from chatrixcd_threads.journal import audit as book
from chatrixcd_threads.journal.audit import Line
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import lines, table, text

SHOWN = 20
MOST = 500


@command(
    "audit",
    "lists who asked, confirmed, started, stopped and changed what, newest first",
    example="audit 50",
    right=Right.MANAGE,
    deed="look at the audit",
    args=(Arg("count", f"how many lines, {SHOWN} if left out, at most {MOST}"),),
)
def audit(call: Call) -> Reply:
    """Checks the whole chain each time; a broken one is said first."""
    wanted = call.values.get("count", str(SHOWN))
    if not wanted.isdecimal() or not 1 <= int(wanted) <= MOST:
        raise UsageError(f"I did nothing: “{wanted}” is no number from 1 to {MOST}. Usage: {call.prefix} audit [COUNT]")
    read = call.tools.journal.read()
    broken = book.verify(read).broken
    found = book.newest(read, int(wanted))
    if not found and not broken:
        return Reply(text("Nothing stands in the audit yet."))
    rows = [(moment(each.at), each.who or "–", each.what, told(each)) for each in found]
    chain = (
        f"⛔ Line {broken} of the audit was changed or taken out: what stands here from there on cannot be trusted. "
        "Somebody has written to the journal's file."
        if broken
        else "The chain of all lines is whole."
    )
    return Reply(lines(chain, table(("when", "who", "what", ""), rows)))


def told(line: Line) -> str:
    """Subject and detail in one."""
    return ": ".join(each for each in (line.subject, line.detail) if each)
