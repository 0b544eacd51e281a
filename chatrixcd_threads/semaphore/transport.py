"""Requests with one deadline for the whole call.

The read timeout of requests counts from byte to byte: a server that drips never reaches it. Here every single read of
the socket, headers and body, over TLS too, gets only the time that is left of the call, and connecting shares one
budget among all addresses of a name. What stays unbounded is the system's name resolution (see resolv.conf).
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 5.0


class Call:
    """The state of one call. Lives in the thread that makes it."""

    __slots__ = ("_clock", "_end", "begun", "dialled", "heard", "sent")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begun = clock()
        self._end = self.begun + seconds
        self.sent = False
        self.renew()

    def renew(self) -> None:
        """Before each attempt: nothing dialled, nothing heard. `sent` and the deadline stay."""
        self.dialled = False
        self.heard = False

    def left(self) -> float:
        """Seconds that are left; TimeoutError when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError("the time for the whole call is used up")
        return left

    def elapsed(self) -> float:
        return self._clock() - self.begun


CALL: ContextVar[Call] = ContextVar("semaphore_call")


class _Bounded(io.RawIOBase):
    """The reading side of a socket, each read limited to what is left of the call."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        call = CALL.get()
        self._sock.settimeout(call.left())
        count = self._raw.readinto(buffer)
        call.heard = call.heard or bool(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Bounded(sock))


class _Connection(HTTPConnection):
    response_class = _Response

    def connect(self) -> None:
        call = CALL.get()
        call.dialled = True
        try:
            super().connect()
        finally:
            call.sent = False  # what a proxy was told to open a tunnel is not the request

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        call = CALL.get()
        self.sock.settimeout(call.left())
        call.sent = True
        super().send(data)

    def _new_conn(self) -> socket.socket:
        call = CALL.get()
        budget = min(CONNECT_SECONDS, call.left())
        try:
            addresses = socket.getaddrinfo(self.host, self.port or self.default_port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        last: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(min(budget / len(addresses), call.left()))
                sock.connect(address)
                sock.settimeout(call.left())  # for a TLS handshake
            except OSError as error:
                sock.close()
                last = error
            else:
                return sock
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(self, "no connection in time") from last
        raise NewConnectionError(self, str(last)) from last


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class Session(requests.Session):
    """A requests session for use inside a `CALL`. Redirects are seen, not followed and not read."""

    def __init__(self) -> None:
        super().__init__()
        adapter = _Adapter(pool_connections=1, pool_maxsize=1)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None
