"""Between the bot and Synapse: an HTTP proxy on loopback that counts, rewrites, delays and breaks on demand."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

T = TypeVar("T")

_numbers = itertools.count(1)
_HOP = {"connection", "content-length", "content-encoding", "transfer-encoding", "host", "keep-alive", "date", "server"}


@dataclass(frozen=True)
class Seen:
    """A request that came, and when (monotonic seconds)."""

    at: float
    method: str
    path: str
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back to the bot."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Cut(Exception):
    """The connection ends without an answer."""


Forward = Callable[[], Awaitable[Reply]]
Action = Callable[[Seen, Forward], Awaitable[Reply]]


def says(status: int, body: Any, content_type: str = "application/json") -> Action:
    """Answers by itself: JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def act(_seen: Seen, _forward: Forward) -> Reply:
        return Reply(status, data, content_type)

    return act


def cuts(*, after: bool = False) -> Action:
    """Ends the connection: before the server gets the request, or after it has done what was asked."""

    async def act(_seen: Seen, forward: Forward) -> Reply:
        if after:
            await forward()
        raise Cut

    return act


def hangs() -> Action:
    """Never answers."""

    async def act(_seen: Seen, _forward: Forward) -> Reply:
        await asyncio.Event().wait()
        raise Cut

    return act


def edits(change: Callable[[Any], Any]) -> Action:
    """Changes the JSON that the server answered."""

    async def act(_seen: Seen, forward: Forward) -> Reply:
        reply = await forward()
        changed = change(json.loads(reply.body))
        return Reply(reply.status, json.dumps(changed).encode(), reply.content_type, reply.headers)

    return act


GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class _Rule:
    def __init__(self, pattern: str, action: Action, times: int | None) -> None:
        self.pattern = re.compile(pattern)
        self.action = action
        self.left = times
        self.used = 0

    def fits(self, line: str) -> bool:
        return self.left != 0 and self.pattern.search(line) is not None


class Proxy:
    """Owns one thread with one loop. Methods may be called from any other thread."""

    def __init__(self, target: str) -> None:
        self._target = target.rstrip("/")
        self._rules: list[_Rule] = []
        self._seen: list[Seen] = []
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{next(_numbers)}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Listens (again, on the same port)."""
        self._run(self._open())

    def shut(self) -> None:
        """Cuts every connection; the next ones are refused."""
        self._run(self._shut())

    def on(self, pattern: str, action: Action, *, times: int | None = None) -> _Rule:
        """For requests whose "METHOD /path?query" matches; the newest rule goes first, `times` uses it up."""
        rule = _Rule(pattern, action, times)
        self._rules.insert(0, rule)
        return rule

    def off(self, rule: _Rule) -> None:
        """That rule is over; the others stay."""
        self._rules.remove(rule)

    def heal(self) -> None:
        """No rules any more; connections that hang are cut, as they are when a server comes back."""
        self._rules = []
        self.shut()
        self.open()

    def seen(self, pattern: str = "", since: float = 0.0) -> list[Seen]:
        """Requests that came, in order."""
        found = re.compile(pattern)
        with self._news:
            return [each for each in self._seen if each.at >= since and found.search(f"{each.method} {each.path}")]

    def wait_seen(self, pattern: str, count: int = 1, *, since: float = 0.0, timeout: float = 60.0) -> list[Seen]:
        """Waits until so many requests have come."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.seen(pattern, since)) >= count, timeout):
                raise TimeoutError(f"{len(self.seen(pattern, since))} of {count} requests {pattern} in {timeout:g} s")
            return self.seen(pattern, since)

    def requests_within(self, seconds: float) -> list[Seen]:
        """Those that come from now on for so long: the one wait here that is for time, since it counts per time."""
        start = time.monotonic()
        with self._news:
            self._news.wait_for(lambda: time.monotonic() - start >= seconds, seconds)
        return self.seen(since=start)

    def _run(self, job: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(15)

    async def _open(self) -> None:
        if self._http is None:
            self._http = aiohttp.ClientSession(auto_decompress=True, timeout=aiohttp.ClientTimeout(total=90))
        app = web.Application(client_max_size=2**27)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _shut(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self._cut(runner)
        await runner.cleanup()

    @staticmethod
    def _cut(runner: web.AppRunner) -> None:
        for connection in list(runner.server.connections) if runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()  # ends its handler too, however long that would hang

    def cut_polls(self) -> None:
        """Ends what hangs in a long poll, so that it does not hide the trouble that begins now."""
        if self._runner is not None:
            self._loop.call_soon_threadsafe(self._cut, self._runner)

    async def _end(self) -> None:
        if self._http is not None:
            await self._http.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(time.monotonic(), request.method, request.raw_path, body)
        with self._news:
            self._seen.append(seen)
            self._news.notify_all()
        rule = next((each for each in self._rules if each.fits(f"{seen.method} {seen.path}")), None)
        try:
            reply = await (self._ruled(rule, seen, request) if rule else self._forward(seen, request))
        except (Cut, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None
        return web.Response(
            status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type, **reply.headers}
        )

    async def _ruled(self, rule: _Rule, seen: Seen, request: web.Request) -> Reply:
        rule.used += 1
        if rule.left is not None:
            rule.left -= 1
        return await rule.action(seen, lambda: self._forward(seen, request))

    async def _forward(self, seen: Seen, request: web.Request) -> Reply:
        assert self._http is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(self._target + seen.path, encoded=True)
        async with self._http.request(seen.method, url, data=seen.body, headers=headers) as answer:
            data = await answer.read()
            kind = answer.headers.get("Content-Type", "application/json")
            back = {k: v for k, v in answer.headers.items() if k.lower() == "retry-after"}
            return Reply(answer.status, data, kind, back)
