"""The sync thread: a private asyncio loop that runs one session after the other.

Everything that comes from other threads comes through `wake_sender`, `ask`, `verify` and `wake`; everything that goes to them
goes through the journal, the inbox queue, the published lists of rooms and devices, and the pulse.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.events import Devices, InboxItem, RoomInfo, RoomOutcome, RoomRequest, VerifyWish
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.matrix.lag import LoopLag
from chatrixcd_threads.matrix.login import LoggedOut, forget, log_in, renew
from chatrixcd_threads.matrix.patience import Backoff, Retry
from chatrixcd_threads.matrix.pulse import Pulse
from chatrixcd_threads.matrix.session import Session
from chatrixcd_threads.matrix.sync import TROUBLE
from chatrixcd_threads.settings.model import MatrixSettings, Settings
from chatrixcd_threads.threads.service import Service

log = logging.getLogger("chatrixcd.matrix")

ROOM_ANSWER_SECONDS: Final = 60.0
LOGIN_SECONDS: Final = 60.0
BEAT_SECONDS: Final = 5.0


class MatrixService(Service):
    """Owner: the sync thread. `rooms` is one published reference; requests wait in a queue until a session takes them."""

    name = "sync"
    patience = 90.0

    def __init__(
        self,
        settings: Callable[[], Settings],
        journal: Journal,
        inbox: queue.Queue[InboxItem],
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[str, str], None] = lambda event_id, words: None,
    ) -> None:
        self._settings, self._journal, self._inbox, self._clock = settings, journal, inbox, clock
        self._keep = keep  # takes the words of a secret, which the journal must not hold
        self._requests: queue.SimpleQueue[RoomRequest] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Session | None = None
        self._stopping: asyncio.Event | None = None
        self._rooms: tuple[RoomInfo, ...] = ()
        self._devices = Devices()
        self._link = ("connecting", "", time.time())
        self._lag = LoopLag()
        self.pulse = Pulse()
        self.changed: Callable[[], None] = lambda: None  # link or rooms are others now; set before the start
        self._login = settings().matrix  # the settings that log in; newer ones only after they have worked

    # --- for other threads --------------------------------------------------------------------------------------

    @property
    def rooms(self) -> tuple[RoomInfo, ...]:
        """The rooms the bot is in, as of the last sync."""
        return self._rooms

    @property
    def link(self) -> tuple[str, str, float]:
        """How the connection is: (connecting, ok, down or refused), what is wrong, since when (seconds since the epoch)."""
        return self._link

    @property
    def lag(self) -> tuple[float, float, int]:
        """How late the loop is: median and 99th of 100, in seconds, and how many measurements this is made of."""
        return self._lag.figures()

    @property
    def devices(self) -> Devices:
        """The bot's own device, those of people in its rooms, and verifications, as of the last change."""
        return self._devices

    def verify(self, wish: VerifyWish) -> None:
        """Hands over what a person wants of a verification; what came of it is seen in `devices`."""
        self._on_loop(lambda: self._session.verifier.wish(wish) if self._session else None)

    def wake_sender(self) -> None:
        """There is something in the outbox."""
        self._on_loop(self._wake_sender)

    def ask(self, verb: str, room: str) -> RoomOutcome:
        """Joins or parts a room, refuses an invitation or opens a direct chat for a worker, which waits here for at most a minute."""
        answer: queue.SimpleQueue[RoomOutcome] = queue.SimpleQueue()
        request = RoomRequest(verb, room, answer)
        self._requests.put(request)
        self._on_loop(self._take_requests)
        try:
            return answer.get(timeout=ROOM_ANSWER_SECONDS)
        except queue.Empty:
            request.given_up.set()  # it is not begun later, when the person has been told that it failed
            return RoomOutcome(room, "the homeserver did not answer within a minute")

    def change_login(self, settings: MatrixSettings) -> str:
        """Logs in with other settings and goes over to them. Returns why it did not work; then all stays as it is."""
        kept = msgspec.structs.replace(settings, store_path=self._login.store_path)
        if kept == self._login:
            return ""
        loop = self._loop
        if loop is None:
            self._login = kept  # there is no connection that could be lost
            return ""
        try:
            changing = asyncio.run_coroutine_threadsafe(self._change_login(kept), loop)
            return changing.result(LOGIN_SECONDS)
        except TimeoutError:
            changing.cancel()  # it must not come true later
            return "the homeserver did not answer"

    def wake(self) -> None:
        self._on_loop(lambda: self._stopping.set() if self._stopping else None)

    def _on_loop(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return  # a session that begins looks at journal and requests by itself
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:
            log.debug("the loop has just been closed")

    # --- on the loop --------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        with asyncio.Runner() as runner:
            self._stopping = asyncio.Event()
            self._loop = runner.get_loop()
            try:
                if not stop.is_set():  # a stop that came earlier found no loop to wake
                    runner.run(self._live(self._stopping, beat))
            finally:
                self._loop = self._stopping = None

    async def _live(self, stopping: asyncio.Event, beat: Callable[[], None]) -> None:
        """Sessions until the stop: a lost login ends one and begins another."""
        beating = asyncio.create_task(self._keep_beating(beat))
        self._lag.start(asyncio.get_running_loop())
        backoff = Backoff()
        try:
            while not stopping.is_set():
                await self._one_session(stopping, backoff)
        finally:
            self._lag.stop()
            beating.cancel()

    async def _one_session(self, stopping: asyncio.Event, backoff: Backoff) -> None:
        settings = self._login
        try:
            try:
                client = await log_in(settings)
            except TROUBLE as error:
                raise Retry(f"login: {type(error).__name__}") from error
            self._session = Session(
                client,
                self._settings,
                self._journal,
                self._inbox,
                self._publish,
                self._state,
                self._clock,
                self._show_devices,
                self.pulse,
                self._keep,
            )
            self._take_requests()
            await self._session.run(stopping, backoff)
        except Retry as trouble:
            self._state("down", str(trouble))
            wait = backoff.pause(trouble.after)
            log.warning("no connection to the homeserver (%s); the next try is in %.1f s", trouble, wait)
            await _rest(stopping, wait)
        except Fatal:
            if not self._go_over(settings):
                raise
        except LoggedOut:
            self._state("refused", "logged out by the homeserver; logging in again")
            log.warning("the homeserver has logged the bot out; a new login follows")
            try:
                forget(settings)
            except Fatal:
                if not self._go_over(settings):
                    raise
            await _rest(stopping, backoff.pause())
        finally:
            self._session = None

    async def _change_login(self, settings: MatrixSettings) -> str:
        try:
            await renew(settings)
        except (Fatal, Retry, *TROUBLE) as error:
            return str(error) or type(error).__name__
        self._login = settings
        if self._session is not None:
            self._session.supersede()
        return ""

    def _go_over(self, refused: MatrixSettings) -> bool:
        """What logged in until now is refused for good: the next session tries the settings in force. False: it is them."""
        newer = msgspec.structs.replace(self._settings().matrix, store_path=refused.store_path)
        if newer == refused:
            return False
        log.warning("the login in use is refused for good; the one in the settings, which was refused before, is tried")
        self._login = newer
        return True

    def _wake_sender(self) -> None:
        if self._session is not None:
            self._session.sender.wake()

    def _take_requests(self) -> None:
        while self._session is not None and not self._requests.empty():
            request = self._requests.get()
            if not request.given_up.is_set():
                self._session.carry_out(request)

    def _state(self, state: str, note: str = "") -> None:
        """One reference, replaced whole; only a change of the state itself begins a new `since`."""
        old, _, since = self._link
        self._link = (state, note, since if old == state else time.time())
        self.changed()

    def _publish(self, rooms: tuple[RoomInfo, ...]) -> None:
        self._rooms = rooms
        self.changed()

    def _show_devices(self, devices: Devices) -> None:
        if devices != self._devices:
            self._devices = devices
            self.changed()

    async def _keep_beating(self, beat: Callable[[], None]) -> None:
        while True:
            beat()
            await asyncio.sleep(BEAT_SECONDS)


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
