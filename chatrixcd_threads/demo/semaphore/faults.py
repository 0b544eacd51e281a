"""Faults on demand, put in front of the real handlers (API.md section 21)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fault:
    """What shall go wrong, for which requests, and how often."""

    method: str = ""  # "" = any
    path: str = ""  # regular expression, searched in the path with its query
    status: int | None = None
    body: str | bytes | None = None
    content_type: str = "text/html; charset=utf-8"
    hang: float = 0.0  # seconds before anything is answered
    drip: float = 0.0  # send the body byte by byte, one every so many seconds
    drop: bool = False  # close the connection without an answer
    after: bool = False  # carry the request out first, then spoil the answer
    times: int = 0  # 0 = always


@dataclass
class _Armed:
    fault: Fault
    left: int


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


class Faults:
    """The armed faults of one server. Used on the server's loop only."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm one more fault; earlier ones are asked first."""
        self._armed.append(_Armed(fault, fault.times))

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, counted down."""
        for armed in self._armed:
            fault = armed.fault
            if fault.method not in ("", method) or not re.search(fault.path, path):
                continue
            if fault.times:
                armed.left -= 1
                if armed.left == 0:
                    self._armed.remove(armed)
            return fault
        return None

    async def run(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, spoiled when a fault meets it."""
        fault = self.take(request.method, request.raw_path)
        if fault is None:
            return await handler(request)
        real = await handler(request) if fault.after else None
        if fault.hang:
            await asyncio.sleep(fault.hang)
        if fault.drop:
            return _drop(request)
        if fault.status is None and fault.body is None:
            real = real or await handler(request)
            return await _drip(request, real, fault.drip) if fault.drip else real
        made = _made(fault)
        return await _drip(request, made, fault.drip) if fault.drip else made


def _made(fault: Fault) -> web.Response:
    body = fault.body or b""
    raw = body.encode() if isinstance(body, str) else body
    return web.Response(status=fault.status or 200, body=raw, headers={"Content-Type": fault.content_type})


async def _drip(request: web.Request, answer: web.StreamResponse, pause: float) -> web.StreamResponse:
    body = answer.body if isinstance(answer, web.Response) else None
    if not isinstance(body, bytes):
        return answer
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    stream.content_length = len(body)
    await stream.prepare(request)
    for value in body:
        await stream.write(bytes((value,)))
        await asyncio.sleep(pause)
    await stream.write_eof()
    return stream
