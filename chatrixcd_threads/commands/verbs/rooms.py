"""`rooms`: where the bot is; join, part, and refuse an invitation."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Note, Reply, command
from chatrixcd_threads.errors import UsageError, UserError
from chatrixcd_threads.journal import invites
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import Text, bullets, code, lines, person, text

DONE = {"join": "I am now in", "part": "I have left", "refuse": "I have refused the invitation to"}
DEEDS = {"join": Deed.JOINED, "part": Deed.LEFT, "refuse": Deed.INVITE_REFUSED}


@command(
    "rooms",
    "lists the rooms I am in; joins or leaves one, or refuses an invitation",
    example="rooms join #ops:example.org",
    rights={"join": Right.MANAGE, "part": Right.MANAGE, "refuse": Right.MANAGE},
    deed="change the rooms I am in",
    args=(
        Arg(
            "action",
            "join (accept), part (leave), or refuse (reject) for an invitation",
            choices=("join", "part", "refuse"),
            synonyms={"accept": "join", "leave": "part", "reject": "refuse"},
        ),
        Arg("room", "a room id (!…) or an alias (#…)"),
    ),
)
def rooms(call: Call) -> Reply:
    """Lists, joins, parts or refuses. What the homeserver refuses is told in its own words."""
    action, room = call.values.get("action"), call.values.get("room")
    if action is None:
        listed = [
            text(each.name) + " " + code(each.room_id) + (" 🔒" if each.encrypted else "")
            for each in call.tools.rooms()
        ]
        return Reply(
            lines(f"I am in {len(listed)} {'room' if len(listed) == 1 else 'rooms'}:", bullets(listed), _invites(call))
        )
    if room is None or not room.startswith(("!", "#")):
        raise UsageError(
            f"I did nothing: name a room by its id (!…) or alias (#…). Usage: {call.prefix} rooms {action} ROOM"
        )
    outcome = call.tools.ask_rooms(action, room)
    if outcome.problem:
        raise UserError(f"I could not {action} {room}: {outcome.problem}")
    note = Note(DEEDS[action], outcome.room_id)
    return Reply(text(f"{DONE[action]} ") + code(outcome.room_id) + ".", notes=(note,))


def _invites(call: Call) -> Text:
    """What waits, for those who may settle it: other people need not know who invites the bot where."""
    waiting = invites.waiting(call.tools.journal.read()) if call.tools.access.is_admin(call.sender) else []
    if not waiting:
        return Text()
    listed = [code(room) + text(" from ") + person(inviter) for room, inviter in waiting]
    how = (
        text("Settle one: ")
        + code(f"{call.prefix} rooms join ROOM")
        + " or "
        + code(f"{call.prefix} rooms refuse ROOM")
    )
    return lines("I am invited to:", bullets(listed), how)
