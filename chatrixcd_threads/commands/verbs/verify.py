"""`verify`: starts the verification of a device, or says how those that run are.

What a room may do is limited on purpose. Verification is there for the case that somebody between the bot and a person (a
homeserver, a device that was slipped in) reads along and changes what is said. Whoever can do that can change what the bot
says in a room as well: emoji shown there could be made to match, and a “yes” said there could be anybody's. So a room
may begin, accept and end verifications, which gives nobody any trust; but the emoji are shown, and “yes” is taken, only
at the bot's own console, by an operator who has them from the person by another way: side by side, or by a voice they know.
"""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.errors import NotAllowed, NotFound, UsageError
from chatrixcd_threads.events import Stage, Verification, VerifyWish
from chatrixcd_threads.policy.access import OPERATOR, Right
from chatrixcd_threads.text.markup import Text, bold, bullets, code, lines, person, text

STAGES = {
    Stage.ASKED: "asks to be verified; to be accepted",
    Stage.ASKING: "was asked, and has not accepted yet",
    Stage.READY: "is ready; one side has to start (accept)",
    Stage.STARTED: "exchanges keys",
    Stage.COMPARE: "waits for the comparison at my console",
    Stage.MATCHED: "was compared here; the other side's yes is awaited",
    Stage.DONE: "✅ is verified",
    Stage.ENDED: "✖ was not verified",
}
VERBS = {"accept": "accept", "yes": "match", "no": "mismatch", "cancel": "cancel"}
DONE = {"accept": "accepted", "yes": "taken as matching", "no": "ended as not matching", "cancel": "cancelled"}


@command(
    "verify",
    "verifies a person's device by emoji, or says how verifications are",
    example="verify @ann:example.org PHONE",
    right=Right.MANAGE,
    deed="verify devices",
    args=(
        Arg("what", "a Matrix id to begin with; or accept, no, cancel, and only at the console: yes"),
        Arg("which", "the device, else the person is asked in a room; after accept, yes, no, cancel: the verification"),
    ),
)
def verify(call: Call) -> Reply:
    """Dispatches on the first word: nothing, a person, or what to do with a verification."""
    what, which = call.values.get("what"), call.values.get("which", "")
    if what is None:
        return _running(call)
    if what.startswith("@") and ":" in what:
        return _begin(call, what, which)
    if what.casefold() not in VERBS:
        raise UsageError(
            f"I did nothing: “{what}” is no Matrix id (@name:server) and none of {', '.join(VERBS)}. "
            f"Usage: {call.prefix} verify @name:server DEVICE"
        )
    return _answer(call, what.casefold(), which)


def _begin(call: Call, user: str, device: str) -> Reply:
    known = [each.device_id for each in call.tools.devices().known if each.user_id == user]
    if device and device not in known:
        some = f" I know {', '.join(known[:10])}." if known else " I know none of theirs."
        raise NotFound(f"I did nothing: I know no device {device} of {user}.{some}")
    call.tools.verify(VerifyWish("start", user, device))
    whom = text("device ") + bold(device) + " of " if device else text("")
    return Reply(
        lines(
            text("I ask ") + whom + person(user) + " to be verified; it has to be accepted there within ten minutes.",
            "Then the emoji are compared at my console, not here: what is shown in a room could be changed on the way.",
        )
    )


def _answer(call: Call, verb: str, which: str) -> Reply:
    running = [each for each in call.tools.devices().running if each.stage not in (Stage.DONE, Stage.ENDED)]
    found = next((each for each in running if each.flow == which), None)
    if found is None:
        some = ", ".join(each.flow for each in running)
        raise NotFound(
            f"I did nothing: no verification “{which}” is running."
            + (f" There is {some}." if some else f" Begin one: {call.prefix} verify @name:server DEVICE")
        )
    if verb == "yes" and call.sender != OPERATOR:
        raise NotAllowed(
            "Whether the emoji are the same can be said only at my console: a room could be read and changed."
        )
    if verb == "yes" and found.stage is not Stage.COMPARE:
        raise UsageError(f"I did nothing: there is nothing to compare yet. {found.device_id} {STAGES[found.stage]}.")
    call.tools.verify(VerifyWish(VERBS[verb], which))
    return Reply(text("The verification of ") + person(found.user_id) + f" ({found.device_id}) is {DONE[verb]}.")


def _running(call: Call) -> Reply:
    found = call.tools.devices().running
    if not found:
        return Reply(
            text("No verification is running. Begin one: ") + code(f"{call.prefix} verify @name:server DEVICE")
        )
    return Reply(bullets([_told(each, at_console=call.sender == OPERATOR) for each in found]))


def _told(each: Verification, *, at_console: bool) -> Text:
    head = code(each.flow) + " " + person(each.user_id) + f" ({each.device_id or 'any device'}) {STAGES[each.stage]}"
    head += f": {each.note}" if each.note else ""
    if each.stage is not Stage.COMPARE or not at_console:
        return head
    names = ", ".join(name for _, name in each.emoji)
    return lines(
        head,
        names,
        "Numbers: " + " ".join(map(str, each.decimals)),
        f"verify yes {each.flow}, or verify no {each.flow}",
    )
