"""The baseline: the smallest bot that can be written with nio, run as a process of its own.

    python -m chatrixcd_threads.demo.bench.echo '{"homeserver": …, "user_id": …, "access_token": …, "since_ms": …}'

It answers what begins with `!echo` and was said after `since_ms` with the same text, joins where it is invited, and
with `post` in its options sends that body to that address when somebody reacts with 🔨. `store` (with `device_id`)
switches encryption on. It has no journal, no order of stop, no gaps filled: what it leaves out is what the figures
compare.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import nio

WORD = "!echo"
POST_KEY = "🔨"
TIMELINE = 100  # it fills no gaps, so it asks for as much as a homeserver gives at once


async def live(options: dict[str, Any]) -> None:
    """Until it is killed."""
    store = options.get("store", "")
    config = nio.AsyncClientConfig(encryption_enabled=bool(store))
    client = nio.AsyncClient(
        options["homeserver"], options["user_id"], options["device_id"], store_path=store, config=config
    )
    if store:
        client.restore_login(options["user_id"], options["device_id"], options["access_token"])
    else:
        client.user_id, client.access_token = options["user_id"], options["access_token"]

    async def answer(room: nio.MatrixRoom, event: nio.RoomMessageText) -> None:
        if event.server_timestamp < options["since_ms"] or not event.body.startswith(WORD):
            return
        relation = {"m.in_reply_to": {"event_id": event.event_id}}
        body = {"msgtype": "m.notice", "body": event.body[len(WORD) :], "m.relates_to": relation}
        await client.room_send(room.room_id, "m.room.message", body, ignore_unverified_devices=True)

    async def join(room: nio.MatrixInvitedRoom, event: nio.InviteMemberEvent) -> None:
        if event.state_key == options["user_id"]:
            await client.join(room.room_id)

    async def post(_: nio.MatrixRoom, event: nio.ReactionEvent) -> None:
        if event.key == POST_KEY:
            await asyncio.to_thread(send, options["post"])

    client.add_event_callback(answer, nio.RoomMessageText)
    client.add_event_callback(join, nio.InviteMemberEvent)
    if "post" in options:
        client.add_event_callback(post, nio.ReactionEvent)
    await client.sync_forever(30_000, {"room": {"timeline": {"limit": TIMELINE}}}, full_state=True)


def send(request: dict[str, Any]) -> None:
    """A bare POST with requests."""
    import requests  # only where it is used: it must not count in the memory of a bot that never posts

    headers = {"Authorization": f"Bearer {request['token']}"}
    requests.post(request["url"], json=request["body"], headers=headers, timeout=30).raise_for_status()


if __name__ == "__main__":
    asyncio.run(live(json.loads(sys.argv[1])))
