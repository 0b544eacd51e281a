"""Rooms: invites first, then where the bot is."""

from __future__ import annotations

from chatrixcd_threads.console.board import Board, RoomLine
from chatrixcd_threads.console.cells import many, shown
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol
from chatrixcd_threads.console.views.base import Filtered, table


class Rooms(Filtered):
    """Owner: the ui thread."""

    name = "rooms"
    title = "Rooms"
    _rooms: tuple[RoomLine, ...] = ()

    def draw(self, board: Board, columns: int, height: int) -> None:
        kept = (each for each in board.rooms if not self.needle or self.has(each.name, each.room_id, *_words(each)))
        self._rooms = tuple(sorted(kept, key=lambda each: (not each.invited_by, each.name.casefold())))
        keys = [each.room_id for each in self._rooms]
        if keys:
            self.pane.give(Rows(0, len(keys), lambda n: _row(self._rooms[n], columns), keys))
        else:
            self.pane.give(Rows.of([self.nothing("The bot is in no room. Invite it, or press o.")]))

    def act(self, command: str) -> bool:
        room = self._selected()
        match command:
            case "accept" if room is not None and room.invited_by:
                self.hands.ask(
                    f"Join {_named(room)}, where {shown(room.invited_by)} has invited the bot?",
                    lambda: self.hands.type(f"rooms join {shown(room.room_id)}"),
                )
            case "accept":
                self.hands.notice("This is no invite: the bot is in that room.")
            case "leave" if room is not None:
                deed, verb = ("Refuse the invite to", "refuse") if room.invited_by else ("Leave", "part")
                self.hands.ask(
                    f"{deed} {_named(room)}?", lambda: self.hands.type(f"rooms {verb} {shown(room.room_id)}")
                )
            case "open" if room is not None:
                deeds = ("accept", "leave") if room.invited_by else ("leave",)
                self.hands.tell("Room", lambda: _explain(room), deeds=deeds)
            case "join":
                self.hands.prompt("rooms join ")
            case _:
                return super().act(command)
        return True

    def heading(self, board: Board) -> str:
        invites = sum(bool(each.invited_by) for each in board.rooms)
        mute = sum(each.may_speak is False for each in board.rooms)
        said = f"{many(len(board.rooms) - invites, 'room')}, {many(invites, 'invite')}"
        return self.filtered(f"{said}, {mute} where it may not speak" if mute else said, len(self._rooms))

    def _selected(self) -> RoomLine | None:
        number = self.pane.selected
        return self._rooms[number] if number is not None and number < len(self._rooms) else None


def _named(room: RoomLine) -> str:
    return f"{shown(room.name)} ({shown(room.room_id)})" if room.name else shown(room.room_id)


def trouble(room: RoomLine) -> str:
    """Why the bot does not serve there as it should; empty when it does, or when that is not known."""
    if room.invited_by:
        return ""
    if room.may_speak is False:
        return "may not speak"
    return "not in allowed_rooms" if not room.allowed else ""


def _words(room: RoomLine) -> tuple[str, ...]:
    """What the room can be found by besides its name."""
    mute = "mute" if room.may_speak is False else ""
    return (f"invite {room.invited_by}" if room.invited_by else "joined", trouble(room), mute, room.bound)


def _explain(room: RoomLine) -> list[str]:
    said = [_named(room), ""]
    if room.invited_by:
        return [
            *said,
            f"{shown(room.invited_by)} has invited the bot. It follows invites of admins and of bot.invite_from by itself.",
            "",
            "y accepts the invite, x refuses it; a refused one is kept until the homeserver has heard it.",
        ]
    speaks: dict[bool | None, str] = {
        True: "It may send messages there.",
        False: "Its power level does not allow it to send messages there.",
    }
    said += [
        "The room is encrypted." if room.encrypted else "The room is not encrypted.",
        many(room.members, "member"),
        speaks.get(room.may_speak, ""),
        "Commands count there." if room.allowed else "It is not in bot.allowed_rooms: commands do nothing there.",
        f"The settings use it as: {shown(room.bound)}" if room.bound else "",
    ]
    said += ["x leaves it."]
    if room.unreadable:
        said += [f"{many(room.unreadable, 'key')} to decrypt messages were missing there in the last day."]
    return [*said[:2], *(each for each in said[2:] if each)]


def _row(room: RoomLine, columns: int) -> Row:
    wrong = trouble(room)
    grade, word = (Grade.WARN, "invite") if room.invited_by else (Grade.WARN if wrong else Grade.OK, "joined")
    locked = "encrypted" if room.encrypted else "open"
    cells = [
        (style(grade), f"{symbol(grade)} {word}", 8),
        ("body", shown(room.name or room.room_id), 0),
    ]
    if columns >= 60:
        said = f"from {room.invited_by}" if room.invited_by else f"{locked}, {many(room.members, 'member')}"
        wide = columns >= 120  # then the room's id has a column of its own
        hints = [wrong, room.bound, f"{room.unreadable} unreadable" if room.unreadable else ""]
        more = ", ".join(shown(each) for each in hints if each)
        beside = more or ("" if wide else shown(room.room_id))
        cells += [("body", shown(said), max(22, columns // 6)), ("warn" if wrong else "dim", beside, columns // 4)]
        if wide:
            cells.append(("dim", shown(room.room_id), columns // 5))
    elif room.invited_by:
        cells.append(("body", shown(room.invited_by), 15))  # whether it is encrypted is not known yet
    else:
        cells.append(("warn" if wrong else "dim", "mute" if room.may_speak is False else locked, 9))
    return table(columns, cells)
