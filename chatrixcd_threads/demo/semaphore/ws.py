"""The websocket of the server: one hub, a bounded buffer per client, pings (API.md section 12)."""

import asyncio
import time
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from chatrixcd_threads.demo.semaphore import gojson
from chatrixcd_threads.demo.semaphore.profile import Profile
from chatrixcd_threads.demo.semaphore.store import Row

LARGEST_CLIENT_FRAME = 512


@dataclass(eq=False)
class _Client:
    user_id: int
    request: web.Request
    socket: web.WebSocketResponse
    queue: asyncio.Queue[str]
    pong: float = field(default_factory=time.monotonic)
    lost: bool = False

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        self.lost = True
        if self.request.transport is not None:
            self.request.transport.abort()


class Hub:
    """All open websockets of one server."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._clients: set[_Client] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def send(self, audience: frozenset[int], frame: Row) -> None:
        """Queue the frame for every connection of the audience; who does not keep up is thrown out."""
        text = gojson.dumps(dict(sorted(frame.items()))).decode()
        for client in list(self._clients):
            if client.user_id not in audience or client.lost:
                continue
            try:
                client.queue.put_nowait(text)
            except asyncio.QueueFull:
                self._throw_out(client)

    def _throw_out(self, client: _Client) -> None:
        client.lost = True
        self._clients.discard(client)
        if not self.profile.close_frame:
            client.abort()
            return
        task = asyncio.get_running_loop().create_task(_close(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def drop_all(self) -> None:
        """Cut every connection, as a killed server does."""
        for client in list(self._clients):
            client.abort()
        self._clients.clear()

    async def serve(self, request: web.Request, user_id: int) -> web.StreamResponse:
        """Carry one connection to its end."""
        socket = web.WebSocketResponse(autoping=False, max_msg_size=LARGEST_CLIENT_FRAME, compress=False, timeout=0.2)
        await socket.prepare(request)
        client = _Client(user_id, request, socket, asyncio.Queue(self.profile.ws_buffer))
        self._clients.add(client)
        helpers = [asyncio.ensure_future(self._write(client)), asyncio.ensure_future(self._ping(client))]
        try:
            await _read(client)
        finally:
            self._clients.discard(client)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        return socket

    async def _write(self, client: _Client) -> None:
        while True:
            await client.socket.send_str(await client.queue.get())

    async def _ping(self, client: _Client) -> None:
        while True:
            await asyncio.sleep(self.profile.ping_seconds)
            if time.monotonic() - client.pong > self.profile.pong_seconds:
                client.abort()
                return
            await client.socket.ping()


async def _close(client: _Client) -> None:
    await client.socket.close(code=1005)


async def _read(client: _Client) -> None:
    """What the client says is read and ignored, but for pongs."""
    async for message in client.socket:
        if message.type is WSMsgType.PONG:
            client.pong = time.monotonic()
        elif message.type is WSMsgType.PING:
            await client.socket.pong(message.data)
