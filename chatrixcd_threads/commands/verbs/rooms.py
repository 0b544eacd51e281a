"""`rooms`: where the bot is; join and part."""

from __future__ import annotations

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.declare import Arg, Reply, command
from chatrixcd_threads.errors import UsageError, UserError
from chatrixcd_threads.policy.access import Right
from chatrixcd_threads.text.markup import bullets, code, lines, text

DONE = {"join": "I am now in", "part": "I have left"}


@command(
    "rooms",
    "lists the rooms I am in; joins or leaves one",
    example="rooms join #ops:example.org",
    rights={"join": Right.MANAGE, "part": Right.MANAGE},
    deed="change the rooms I am in",
    args=(
        Arg("action", "join or part (leave is the same)", choices=("join", "part"), synonyms={"leave": "part"}),
        Arg("room", "a room id (!…) or an alias (#…)"),
    ),
)
def rooms(call: Call) -> Reply:
    """Lists, joins or parts. What the homeserver refuses is told in its own words."""
    action, room = call.values.get("action"), call.values.get("room")
    if action is None:
        listed = [
            text(each.name) + " " + code(each.room_id) + (" 🔒" if each.encrypted else "")
            for each in call.tools.rooms()
        ]
        return Reply(lines(f"I am in {len(listed)} rooms:", bullets(listed)))
    if room is None or not room.startswith(("!", "#")):
        raise UsageError(
            f"I did nothing: name a room by its id (!…) or alias (#…). Usage: {call.prefix} rooms {action} ROOM"
        )
    outcome = call.tools.ask_rooms(action, room)
    if outcome.problem:
        raise UserError(f"I could not {action} {room}: {outcome.problem}")
    return Reply(text(f"{DONE[action]} ") + code(outcome.room_id) + ".")
