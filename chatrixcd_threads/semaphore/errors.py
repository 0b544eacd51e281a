"""What may go wrong between the bot and Semaphore. Every sentence says what was tried, what came back, what to do."""

from __future__ import annotations

from typing import ClassVar

from chatrixcd_threads.errors import NotFound, UserError


class SemaphoreError(UserError):
    """A call that brought no usable answer.

    `sent` says that the request may have reached Semaphore: after a POST it may have had its effect all the same.
    `status` is the HTTP status, 0 when there was none.
    """

    kind: ClassVar[str] = "semaphore"

    def __init__(self, sentence: str, *, sent: bool = False, status: int = 0) -> None:
        super().__init__(sentence)
        self.sent = sent
        self.status = status

    @property
    def had_no_effect(self) -> bool:
        """It never left, or somebody said no to it, or that it belongs elsewhere: nothing has been done."""
        return not self.sent or 300 <= self.status < 500


class Unreachable(SemaphoreError):
    """No conversation took place: no connection, a broken one, or a proxy that found no Semaphore behind it."""

    kind = "unreachable"


class Untrusted(Unreachable):
    """The server's certificate is signed by nobody whom this machine trusts."""


class TimedOut(SemaphoreError):
    """The time for the whole call was used up."""

    kind = "timeout"


class NotSemaphore(SemaphoreError):
    """Something answered, but not as Semaphore does: a web page, junk, a wrong shape, too many bytes."""

    kind = "not_semaphore"


class BadToken(SemaphoreError):
    """Semaphore does not know the API token (401)."""

    kind = "token"


class Forbidden(SemaphoreError):
    """The bot's user may not do this (403)."""

    kind = "forbidden"


class Missing(SemaphoreError, NotFound):
    """The object does not exist, or the bot's user is no member of its project (404; 400 for a task)."""

    kind = "missing"


class Refused(SemaphoreError):
    """Semaphore said no in another way; its own words, if it had any, are in the sentence."""

    kind = "refused"
