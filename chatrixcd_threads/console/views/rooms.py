"""Rooms: invites first, then where the bot is."""

from __future__ import annotations

from chatrixcd_threads.console.board import Board, RoomLine
from chatrixcd_threads.console.cells import many, shown
from chatrixcd_threads.console.rows import Row, Rows
from chatrixcd_threads.console.status import Grade, style, symbol
from chatrixcd_threads.console.views.base import View, table


class Rooms(View):
    """Owner: the ui thread."""

    name = "rooms"
    title = "Rooms"
    _rooms: tuple[RoomLine, ...] = ()

    def draw(self, board: Board, columns: int, height: int) -> None:
        self._rooms = tuple(sorted(board.rooms, key=lambda each: (not each.invited_by, each.name.casefold())))
        keys = [each.room_id for each in self._rooms]
        if keys:
            self.pane.give(Rows(0, len(keys), lambda n: _row(self._rooms[n], columns), keys))
        else:
            self.pane.give(Rows.of([Row((("dim", "The bot is in no room. Invite it, or press o."),))]))

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
                deed = "Refuse the invite to" if room.invited_by else "Leave"
                self.hands.ask(f"{deed} {_named(room)}?", lambda: self.hands.type(f"rooms part {shown(room.room_id)}"))
            case "join":
                self.hands.prompt("rooms join ")
            case _:
                return super().act(command)
        return True

    def heading(self, board: Board) -> str:
        invites = sum(bool(each.invited_by) for each in board.rooms)
        return f"{many(len(board.rooms) - invites, 'room')}, {many(invites, 'invite')}"

    def _selected(self) -> RoomLine | None:
        number = self.pane.selected
        return self._rooms[number] if number is not None and number < len(self._rooms) else None


def _named(room: RoomLine) -> str:
    return f"{shown(room.name)} ({shown(room.room_id)})" if room.name else shown(room.room_id)


def _row(room: RoomLine, columns: int) -> Row:
    grade, word = (Grade.WARN, "invite") if room.invited_by else (Grade.OK, "joined")
    locked = "encrypted" if room.encrypted else "open"
    cells = [
        (style(grade), f"{symbol(grade)} {word}", 8),
        ("body", shown(room.name or room.room_id), 0),
    ]
    if columns >= 60:
        said = f"from {room.invited_by}" if room.invited_by else f"{locked}, {many(room.members, 'member')}"
        cells += [("body", shown(said), 24), ("dim", shown(room.room_id), max(10, columns // 4))]
    else:
        cells.append(("body" if room.encrypted else "dim", locked, 9))
    return table(columns, cells)
