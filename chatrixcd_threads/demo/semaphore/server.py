"""The door: a server in one thread of its own, with routing, permissions, faults and restart (API.md section 21)."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from chatrixcd_threads.demo.semaphore import clock, http
from chatrixcd_threads.demo.semaphore import content as contents
from chatrixcd_threads.demo.semaphore.account import Account
from chatrixcd_threads.demo.semaphore.faults import Fault, Faults
from chatrixcd_threads.demo.semaphore.http import Context, RefusedError, Route, empty
from chatrixcd_threads.demo.semaphore.jobs import Workspace
from chatrixcd_threads.demo.semaphore.mischief import MISCHIEFS, Mischief
from chatrixcd_threads.demo.semaphore.objects_api import Objects
from chatrixcd_threads.demo.semaphore.pool import Pool
from chatrixcd_threads.demo.semaphore.profile import Profile, for_name
from chatrixcd_threads.demo.semaphore.scheduler import Scheduler
from chatrixcd_threads.demo.semaphore.shape import Shaper
from chatrixcd_threads.demo.semaphore.store import ROLES, Row, Store
from chatrixcd_threads.demo.semaphore.tasks_api import Tasks
from chatrixcd_threads.demo.semaphore.templates_api import Templates
from chatrixcd_threads.demo.semaphore.ws import Hub

START_SECONDS = 10.0
STOP_SECONDS = 10.0
LARGEST_BODY = 64 * 1024 * 1024

T = TypeVar("T")
Request = tuple[str, str, Any]


@dataclass(frozen=True)
class Seen:
    """One request: when it had arrived (seconds since 1970), and what was asked."""

    at: float
    method: str
    path: str
    body: Any


class StandinError(RuntimeError):
    """The server could not be started or did not end."""


class _Core:
    """Everything of one server that lives on its loop."""

    def __init__(self, profile: Profile, content: Mapping[str, Any], folder: Path) -> None:
        self.profile = profile
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.store = Store(profile)
        self.tokens = contents.Loader(self.store, content).load()
        shaper = Shaper(self.store)
        workspace = Workspace(folder, content.get("folders", {}), content.get("path", ()))
        self.hub = Hub(profile)
        self.pool = Pool(self.store, self.hub, shaper, workspace)
        self.scheduler = Scheduler(self.store, self.pool)
        self.account = Account(self.store, shaper, self.pool, self.hub)
        self.objects = Objects(self.store, shaper, self.pool)
        parts = (self.account, Templates(self.store, shaper), Tasks(self.store, shaper, self.pool), self.objects)
        self.routes = [route for part in parts for route in part.routes()]

    # --- one request

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Faults first, then the routes."""
        await self._remember(request)
        return await self.faults.run(request, self.handle)

    async def _remember(self, request: web.Request) -> None:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        self.seen.append(Seen(clock.now() / 10**9, request.method, request.raw_path, body))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The real answer."""
        if not request.raw_path.startswith("/api"):
            return http.page()
        path, elsewhere = http.clean(request.raw_path)
        if elsewhere:
            return http.moved(path)
        method = "GET" if request.method == "HEAD" else request.method
        for route in self.routes:
            found = route.pattern.fullmatch(path)
            if found is not None and route.method == method:
                return await self._routed(route, request, found.groupdict())
        return http.no_route()

    async def _routed(self, route: Route, request: web.Request, path: dict[str, str]) -> web.StreamResponse:
        context = Context(request, await request.read(), path)
        try:
            if route.auth:
                self._admit(route, context)
            return await route.handler(context)
        except RefusedError as refused:
            return refused.answer

    def _admit(self, route: Route, context: Context) -> None:
        """Who is it, and may he? Raises RefusedError."""
        user = self.account.caller(context.request)
        if user is None:
            raise RefusedError(empty(401))
        context.user = user
        if route.admin and not user["admin"]:
            raise RefusedError(empty(403))
        if "p" in context.path:
            self._admit_to_project(route, context)

    def _admit_to_project(self, route: Route, context: Context) -> None:
        number = http.number(context.path["p"])
        if number is None:
            raise RefusedError(context.bad_id(http.sentence("Invalid project ID")))
        project = self.store.project(number)
        admin = context.user["admin"]
        if project is None:
            raise RefusedError(empty(self._unknown_project(admin)))
        role = self.store.members.get((number, context.user["id"]))
        if role is None and not admin:
            raise RefusedError(empty(404))
        context.bits = ROLES["owner"] if admin else ROLES.get(role or "", 0)
        if route.bit:
            context.need(route.bit)
        context.project = project

    def _unknown_project(self, admin: bool) -> int:
        return self.profile.admin_unknown_project if admin else 404

    def play(self, mischief: Mischief) -> None:
        """Another mischief; a queue that stood still goes on."""
        self.store.mischief = mischief
        self.pool.wake()

    def restart(self) -> None:
        """Memory gone, connections cut, rows stay."""
        self.pool.forget()
        self.hub.drop_all()


class Standin:
    """A Semaphore UI that is none. Use it as a context manager.

    `profile`: a name of `profile.PROFILES` or a Profile; `content`: as the recordings' setup.json, with the extra
    keys `folders` (git_url -> real folder) and `path` (folders put in front of PATH); `tick`: seconds of the queue's
    tick and of the pause of the Terraform runner.
    """

    def __init__(
        self,
        profile: str | Profile = "2.16",
        content: Mapping[str, Any] | None = None,
        port: int = 0,
        tick: float | None = None,
    ) -> None:
        self.profile = for_name(profile, tick)
        self.url = ""
        self._content: Mapping[str, Any] = content if content is not None else contents.demo()
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._core: _Core | None = None
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="standin", daemon=True)

    # --- life

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise StandinError("the stand-in did not start in time")
        if self._error is not None:
            raise StandinError(f"the stand-in could not start: {self._error}") from self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._ending is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise StandinError("the stand-in did not end in time")

    def _main(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="standin-"))
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(folder))
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for the start
            self._error = error
        finally:
            self._ready.set()
            shutil.rmtree(folder, ignore_errors=True)

    async def _serve(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        core = self._core = _Core(self.profile, self._content, folder)
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", core.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            core.pool.start()
            core.scheduler.start()
            self._ready.set()
            await self._ending.wait()
        finally:
            core.scheduler.stop()
            await core.pool.stop()
            core.hub.drop_all()
            await runner.cleanup()

    def _call(self, work: Callable[[_Core], T]) -> T:
        """Do something on the server's loop."""
        if self._loop is None or self._core is None:
            raise StandinError("the stand-in is not running")
        core = self._core

        async def on_loop() -> T:
            return work(core)

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(START_SECONDS)

    # --- the door

    def token(self, who: str) -> str:
        """The API token of a user, by `as` name or login."""
        if self._core is None:
            raise StandinError("the stand-in is not running")
        return self._core.tokens[who]

    def fault(self, fault: Fault) -> None:
        """Arm a fault."""
        self._call(lambda core: core.faults.add(fault))

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._call(lambda core: core.faults.clear())

    def requests(self) -> list[Request]:
        """What was asked so far: method, path with query, parsed body."""
        return [(seen.method, seen.path, seen.body) for seen in self.seen()]

    def seen(self) -> list[Seen]:
        """The same with the times."""
        return self._call(lambda core: list(core.seen))

    def lines(self, task_id: int) -> list[tuple[float, str]]:
        """What a task has put out, stored so far: when (seconds since 1970), and the line."""
        return self._call(lambda core: [(each.time / 10**9, each.text) for each in core.store.output[task_id]])

    def mischief(self, which: str | Mischief) -> None:
        """From now on this is done with tasks: a name of `MISCHIEFS` or a Mischief. `none` ends it."""
        chosen = MISCHIEFS[which] if isinstance(which, str) else which
        self._call(lambda core: core.play(chosen))

    def tasks(self) -> list[Row]:
        """All task rows, oldest first, as the single GET shows them."""
        return self._call(lambda core: [core.account.shaper.task(row) for row in core.store.tasks])

    def restart(self) -> None:
        """Forget queue and running jobs and cut all websockets, as a killed and restarted server does."""
        self._call(lambda core: core.restart())
