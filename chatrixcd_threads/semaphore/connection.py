"""The connection to Semaphore that is in force, and how it is exchanged while the bot runs."""

from __future__ import annotations

from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError
from chatrixcd_threads.settings.model import SemaphoreSettings


class Connection:
    """Any thread reads `now`, one reference; one job at a time calls `change`. Running jobs keep the client they took."""

    def __init__(self, settings: SemaphoreSettings) -> None:
        self._now = (settings, Semaphore(settings))

    @property
    def now(self) -> Semaphore:
        """The client to take for a new job."""
        return self._now[1]

    def change(self, settings: SemaphoreSettings) -> str:
        """Goes over to other settings if Semaphore answers there and knows the token. Returns why not; then nothing changed."""
        old, client = self._now
        if settings == old:
            return ""
        fresh = Semaphore(settings)
        where = ("url", "api_token", "ssl_verify", "ssl_ca_cert", "ssl_client_cert", "ssl_client_key")
        if any(getattr(old, name) != getattr(settings, name) for name in where):
            try:
                fresh.whoami()
            except SemaphoreError as error:
                fresh.close()
                return error.sentence
        self._now = (settings, fresh)
        client.close()
        return ""

    def close(self) -> None:
        """Closes idle connections, at the stop."""
        self.now.close()
