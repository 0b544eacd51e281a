"""Answers, paths and the context of one request (API.md sections 1 and 1.2)."""

import posixpath
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from chatrixcd_threads.demo.semaphore import gojson
from chatrixcd_threads.demo.semaphore.store import Row

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_ID = re.compile(r"[+-]?[0-9]+")
_LARGEST_ID = 2**63 - 1


class RefusedError(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


def moment(text: str) -> int:
    """A time sent by a client. Raises RefusedError."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 10**9)
    except ValueError as error:
        raise RefusedError(empty(400)) from error


def empty(status: int) -> web.Response:
    """An answer without a body, marked as JSON all the same."""
    return web.Response(status=status, headers=JSON)


def reply(value: Any, status: int = 200) -> web.Response:
    """A JSON answer with the newline at its end."""
    return web.Response(status=status, body=gojson.dumps(value) + b"\n", headers=JSON)


def sentence(text: str, status: int = 400, **more: Any) -> web.Response:
    """One of the few errors that say why."""
    return reply({"error": text, **more}, status)


def plain(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A text answer."""
    return web.Response(status=status, body=text.encode(), headers={**TEXT, **(headers or {})})


def no_route() -> web.Response:
    """No such route, or another method: always this 404."""
    return plain("Not Found\n", 404, {"X-Content-Type-Options": "nosniff"})


def moved(place: str) -> web.Response:
    """301 to the cleaned path."""
    return web.Response(status=301, headers={"Location": place})


def page() -> web.Response:
    """The web UI's page, which answers everything outside /api."""
    return web.Response(body=b"<html></html>\n", headers={"Content-Type": "text/html; charset=utf-8"})


def clean(raw_path: str) -> tuple[str, bool]:
    """The path the router looks at, and whether the client is sent there by a 301."""
    path = raw_path.partition("?")[0]
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    path = unquote(path)
    wanted = posixpath.normpath(path)
    if path.endswith("/") and wanted != "/":
        wanted += "/"
    wanted = wanted.replace("//", "/", 1) if wanted.startswith("//") else wanted
    return wanted, wanted != path


def number(text: str) -> int | None:
    """An id of a path, as Go reads integers."""
    if not _ID.fullmatch(text):
        return None
    value = int(text)
    return value if -_LARGEST_ID <= value <= _LARGEST_ID else None


@dataclass
class Context:
    """One request on its way through the handlers."""

    request: web.Request
    raw: bytes
    path: dict[str, str]
    user: Row = field(default_factory=dict)
    project: Row = field(default_factory=dict)
    bits: int = 0  # the user's rights in the project

    @property
    def pid(self) -> int:
        """The id of the project of the path."""
        return int(self.project["id"])

    def bad_id(self, body: web.Response) -> web.Response:
        """The answer to an id that is no number; browsers are sent to a page."""
        if "text/html" not in self.request.headers.get("Accept", ""):
            return body
        return web.Response(status=302, body=body.body, headers={**JSON, "Location": "/404"})

    def id(self, name: str) -> int:
        """An id of the path. Raises RefusedError."""
        value = number(self.path[name])
        if value is None:
            raise RefusedError(self.bad_id(empty(400)))
        return value

    def need(self, bit: int) -> None:
        """A right in the project. Raises RefusedError."""
        if not self.user["admin"] and not self.bits & bit:
            raise RefusedError(empty(403))

    def body(self, fields: dict[str, str]) -> Row:
        """The decoded body. Raises RefusedError."""
        try:
            return gojson.decode(self.raw, fields)
        except gojson.BadJsonError as error:
            raise RefusedError(empty(400)) from error


Handler = Callable[[Context], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One call: its method, its path, what it needs."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    auth: bool = True
    admin: bool = False
    bit: int = 0


def route(method: str, path: str, handler: Handler, *, auth: bool = True, admin: bool = False, bit: int = 0) -> Route:
    """A route from a path with `{name}` parts."""
    pattern = re.compile("/api" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
    return Route(method, pattern, handler, auth, admin, bit)
