"""The homeserver hands out only the newest events of a room; the ones between are fetched here, or commands would vanish."""

from __future__ import annotations

import logging
from typing import Any, Final

from nio import MessageDirection, RoomMessagesResponse

from chatrixcd_threads.matrix.client import GuardedClient, trouble
from chatrixcd_threads.matrix.inbound import since_own_join
from chatrixcd_threads.matrix.patience import Retry

log = logging.getLogger("chatrixcd.gaps")

PAGE: Final = 100
MOST_PAGES: Final = 200


class Withheld(Retry):
    """The homeserver is there, and does not give the history of this room."""


async def fill(client: GuardedClient, room_id: str, prev_batch: str, since: str) -> list[Any]:
    """The events between `since` and the timeline that starts at `prev_batch`, oldest first. Stops at the own join.

    Raises Retry when a page cannot be had now; the caller starts again from the same token.
    """
    found: list[Any] = []
    start = prev_batch
    for _ in range(MOST_PAGES):
        response = await client.room_messages(room_id, start, since, MessageDirection.back, PAGE)
        if not isinstance(response, RoomMessagesResponse):
            if response.status_code == "M_FORBIDDEN":
                return found  # left meanwhile: there is nobody to answer
            raise trouble(f"messages of {room_id}", response, Withheld)
        page = list(reversed(response.chunk))
        after_join = since_own_join(page, client.user_id)
        found[:0] = after_join
        if len(after_join) < len(page) or not response.chunk or not response.end or response.end == start:
            return found
        start = response.end
    log.error("more than %d events were missed in %s: the oldest of them are not looked at", MOST_PAGES * PAGE, room_id)
    return found
