"""What the wizard knows so far, as one frozen value: each step's check makes the next one from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from chatrixcd_threads.settings.model import BotSettings, MatrixSettings, SemaphoreSettings

UNCHECKED: Final = "unchecked"  # in the place of a certificate file: any certificate will do
TRY_SECONDS: Final = 10.0  # how long Semaphore may take for one answer while a person waits


@dataclass(frozen=True, slots=True)
class Draft:
    """The settings to be, and what was learnt on the way. Secrets are left out of its representation."""

    user_id: str = ""
    homeserver: str = ""
    flows: tuple[str, ...] = ()  # the ways to log in that the homeserver offers
    auth_type: str = "password"
    password: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    semaphore_url: str = field(default="", repr=False)
    ca: str = ""
    untrusted: bool = False  # Semaphore's certificate is none that this machine trusts
    semaphore_token: str = field(default="", repr=False)
    prefix: str = BotSettings().command_prefix
    owner: str = ""
    room_id: str = ""
    device_id: str = MatrixSettings().device_id  # a token has a device of its own
    claimed: bool = False
    exists: bool = False  # there is a settings file already
    may_start: bool = True
    written: bool = False
    start: bool = False

    def matrix(self) -> MatrixSettings:
        """How the bot would log in; with a password always as the same device, since the bot's keys belong to it."""
        by_token = self.auth_type == "token"
        return MatrixSettings(
            homeserver=self.homeserver,
            user_id=self.user_id,
            auth_type="token" if by_token else "password",
            password="" if by_token else self.password,
            access_token=self.access_token if by_token else "",
        )

    def semaphore(self) -> SemaphoreSettings:
        """How the bot would reach Semaphore, with less patience than it has later."""
        return SemaphoreSettings(
            url=self.semaphore_url,
            api_token=self.semaphore_token,
            ssl_verify=self.ca != UNCHECKED,
            ssl_ca_cert="" if self.ca == UNCHECKED else self.ca,
            timeout=TRY_SECONDS,
        )
