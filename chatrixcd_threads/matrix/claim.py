"""The claim: a code that the wizard shows is said in the admin room, and whoever says it there owns the bot."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from nio import MegolmEvent, SyncResponse

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.matrix.client import CRYPTO_TROUBLE, GuardedClient
from chatrixcd_threads.matrix.patience import Backoff, Retry
from chatrixcd_threads.matrix.sync import FILTER, TROUBLE, tend_keys
from chatrixcd_threads.wizard.doors import Claim

log = logging.getLogger("chatrixcd.claim")

POLL_MS: Final = 10_000
SYNC_SECONDS: Final = 60.0
# no two first questions are alike: Synapse would give an old answer, to the bot that starts after us too
_ODD_MS: Final = 500
_WORD: Final = "claim"


class Listener:
    """Owner: the loop of one check. Listens in one room until the code was said, or too many wrong ones.

    `since` is where the listener before has ended. Without it a homeserver that keeps its first answer for a while
    (Synapse does for two minutes) would tell the same wrong codes once more, as if they were new.
    """

    def __init__(
        self, client: GuardedClient, claim: Claim, tell: Callable[[str], None], since: str | None = None
    ) -> None:
        self._client, self._claim, self._tell = client, claim, tell
        self._tries = claim.tries
        self.since = since
        self._begun = False
        self._sealed: dict[str, MegolmEvent] = {}  # messages whose key has not come yet
        self._others: set[str] = set()  # who said the code without being the named owner
        self._backoff = Backoff()

    async def run(self) -> str:
        """Who said the code. Raises UserError when the time or the tries are used up."""
        try:
            async with asyncio.timeout(self._claim.seconds):
                while True:
                    owner = await self._turn()
                    if owner is not None:
                        await self._thank(owner)
                        return owner
        except TimeoutError as error:
            raise UserError(
                f"Nobody typed the code within {self._claim.seconds / 60:g} minutes. Answer now to wait again with "
                "another code, or later."
            ) from error

    async def _turn(self) -> str | None:
        client, first = self._client, not self._begun
        client.next_batch = ""
        try:
            asked = client.sync(
                1 + secrets.randbelow(_ODD_MS) if first else POLL_MS, FILTER, self.since, full_state=first
            )
            response = await asyncio.wait_for(asked, SYNC_SECONDS)
        except TROUBLE as error:
            await self._pause(Retry(type(error).__name__))
            return None
        if not isinstance(response, SyncResponse):
            await self._pause(Retry(response.status_code or "no answer", (response.retry_after_ms or 0) / 1000))
            return None
        self.since, self._begun = response.next_batch, True
        await tend_keys(client)
        return await self._heard(response, history=first)

    async def _pause(self, trouble: Retry) -> None:
        wait = self._backoff.pause(trouble.after)
        self._tell(f"The homeserver does not answer now ({trouble}); I try again in {wait:.0f} s.")
        await asyncio.sleep(wait)

    async def _heard(self, response: SyncResponse, *, history: bool) -> str | None:
        room = response.rooms.join.get(self._claim.room_id)
        events = list(room.timeline.events) if room is not None else []
        opened = [self._client._opened(event) for event in self._sealed.values()]
        for event in [*(event for event in opened if event is not None), *events]:
            self._sealed.pop(event.event_id, None)
            if isinstance(event, MegolmEvent):
                self._sealed[event.event_id] = event
            elif await self._is_claim(event, history):
                return str(event.sender)
        return None

    async def _is_claim(self, event: Any, history: bool) -> bool:
        source, sender = event.source, str(event.sender)
        content = source.get("content") or {}
        if sender == self._client.user_id:
            return False
        if self._claim.owner and sender != self._claim.owner:
            self._not_the_owner(sender, self._said(content.get("body")))
            return False
        joins = source.get("type") == "m.room.member" and content.get("membership") == "join"
        if joins and (not history or sender == self._claim.owner):
            self._tell(f"{sender} is in the room.")
        said = self._said(content.get("body"))
        if source.get("type") != "m.room.message" or content.get("msgtype") != "m.text" or said is None:
            return False
        if not await self._is_senders_own(event):
            return False
        if hmac.compare_digest(said.encode(), self._claim.code.casefold().encode()):
            return True
        if not history:  # what was said before this code was made was no try
            self._wrong(sender)
        return False

    async def _is_senders_own(self, event: Any) -> bool:
        """Encrypted by a device of the sender, where the room is encrypted: a homeserver can write any name."""
        room = self._client.rooms.get(self._claim.room_id)
        if not getattr(event, "decrypted", False):
            if room is not None and room.encrypted:
                self._tell("A code came unencrypted into the encrypted room; I do not believe it.")
                return False
            return True
        try:
            if await self._client.owns(event.sender, event.sender_key):
                return True
            self._tell(
                f"A code came from a session that the account of {event.sender} does not vouch for: "
                "please verify that session in your client, and type the code once more."
            )
            return False
        except (Retry, *TROUBLE):
            self._tell("The devices of the sender cannot be looked up now: please type the code once more.")
            return False

    def _said(self, body: object) -> str | None:
        """The code of a claim; the right one counts without the word too, since it can be meant for nothing else."""
        code = self._claim.code.casefold()
        alone = isinstance(body, str) and body.strip().casefold() == code
        return code if alone else said_code(body, self._claim.prefix)

    def _not_the_owner(self, sender: str, said: str | None) -> None:
        """The right code of somebody else mostly means that the owner's id was not typed right."""
        if said == self._claim.code.casefold() and sender not in self._others:
            self._others.add(sender)
            self._tell(
                f"{sender} typed the code, but I wait for {self._claim.owner}. If that is you, go back and correct the owner."
            )

    def _wrong(self, sender: str) -> None:
        self._tries -= 1
        if self._tries <= 0:
            raise UserError(
                f"{self._claim.tries} wrong codes came from the admin room. Answer now for a new code, or later."
            )
        self._tell(f"That was another code, from {sender}; tries left: {self._tries}.")

    async def _thank(self, owner: str) -> None:
        """Says it in the room. The claim counts, whether this arrives or not."""
        client, room_id = self._client, self._claim.room_id
        body = {"msgtype": "m.notice", "body": f"✅ {owner} owns me now.", "m.mentions": {}}
        try:
            await client.ready_to_encrypt(room_id)
            await client.room_send(room_id, "m.room.message", body, ignore_unverified_devices=True)
        except (Retry, KeyError, *CRYPTO_TROUBLE, *TROUBLE) as error:
            log.warning("the owner could not be thanked: %s", type(error).__name__)


def said_code(body: object, prefix: str) -> str | None:
    """The code of a message like `claim K7QX2M`, with or without the bot's prefix, small letters; else None."""
    if not isinstance(body, str):
        return None
    words = body.strip().removeprefix(prefix).split()
    if len(words) != 2 or words[0].casefold() != _WORD:
        return None
    return words[1].casefold()
