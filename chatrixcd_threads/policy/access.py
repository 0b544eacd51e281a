"""Rights, in their simple form: `bot.allowed_rooms` and `bot.admin_users`, with names as in ChatrixCD.

One difference is deliberate: an empty `admin_users` lets nobody start, stop or change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chatrixcd_threads.errors import NotAllowed, WrongRoom
from chatrixcd_threads.settings.model import EVERYBODY, BotSettings

# The person at the console. No homeserver can make these names: its own begin with @…: and !
OPERATOR = "@console"
OPERATOR_ROOM = "console"


class Right(StrEnum):
    """What a command needs."""

    SEE = "see"  # everybody in an allowed room
    RUN = "run"  # start and stop tasks
    MANAGE = "manage"  # rooms, the bot itself


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one settings snapshot."""

    bot: BotSettings

    def is_admin(self, user_id: str) -> bool:
        """Whether this person may start, stop and change things."""
        return user_id == OPERATOR or user_id in self.bot.admin_users or EVERYBODY in self.bot.admin_users

    def check_room(self, room_id: str) -> None:
        """Raises WrongRoom in a room in which the bot does not serve."""
        if room_id != OPERATOR_ROOM and self.bot.allowed_rooms and room_id not in self.bot.allowed_rooms:
            raise WrongRoom(
                f"This room ({room_id}) is not in bot.allowed_rooms, so commands do nothing here. "
                "An admin of mine can put it there, in config.json."
            )

    def check(self, user_id: str, right: Right, what: str) -> None:
        """Raises NotAllowed when the person lacks the right; the sentence says why and what would change it."""
        if right is Right.SEE or self.is_admin(user_id):
            return
        if not self.bot.admin_users:
            raise NotAllowed(
                f"Nobody may {what} yet: bot.admin_users in config.json is empty. "
                f'Put your Matrix id ("{user_id}") there, or "*" to open it to everybody.'
            )
        raise NotAllowed(
            f"You ({user_id}) are not in bot.admin_users, which is needed to {what}. "
            f"{self.bot.command_prefix} admins lists who is."
        )

    def may_invite(self, user_id: str) -> bool:
        """Whether the bot follows this person's invitation into a room."""
        return self.is_admin(user_id) or user_id in self.bot.invite_from or EVERYBODY in self.bot.invite_from
