"""Finding a homeserver: .well-known, versions, ways to log in; each wrong answer has its sentence."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.matrix import discovery

VERSIONS, LOGIN = "/_matrix/client/versions", "/_matrix/client/v3/login"
WELL_KNOWN = "https://example.org/.well-known/matrix/client"


@pytest.fixture
def site() -> Iterator[SimpleNamespace]:
    """A web server: `pages` are (status, body) by path."""
    pages: dict[str, tuple[int, Any]] = {
        VERSIONS: (200, {"versions": ["r0.6.1", "v1.11"]}),
        LOGIN: (200, {"flows": [{"type": "m.login.password"}, {"type": "m.login.sso"}, "junk"]}),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages.get(self.path, (404, "<html>no</html>"))
            self.send_response(status)
            if status == 301:
                self.send_header("Location", body)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ExitStack() as closing:
        server = closing.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        closing.callback(thread.join)
        closing.callback(server.shutdown)
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", pages=pages)


def test_a_homeserver(site: SimpleNamespace) -> None:
    found = asyncio.run(discovery.look(site.url + "/"))
    assert found.address == site.url
    assert found.newest == "v1.11"
    assert found.flows == ("m.login.password", "m.login.sso")


def test_the_address_is_the_one_that_a_redirect_leads_to(site: SimpleNamespace) -> None:
    """What is sent with a login is not redirected, and a password would go to the wrong place first."""
    site.pages["/old" + VERSIONS] = (301, site.url + VERSIONS)
    assert asyncio.run(discovery.look(site.url + "/old")).address == site.url
    site.pages["/page" + VERSIONS] = (301, site.url + "/welcome")
    site.pages["/welcome"] = site.pages[VERSIONS]
    site.pages["/page" + LOGIN] = site.pages[LOGIN]
    assert asyncio.run(discovery.look(site.url + "/page")).address == site.url + "/page"


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        (VERSIONS, (200, "<html>Welcome</html>"), "status 200 and no answer of a homeserver"),
        (VERSIONS, (502, "bad gateway"), "status 502"),
        (VERSIONS, (200, {"versions": []}), "no answer of a homeserver"),
        (VERSIONS, (200, "[" * 100_000), "no answer of a homeserver"),
        (LOGIN, (500, {}), "how one logs in brought status 500"),
    ],
)
def test_what_is_no_homeserver(site: SimpleNamespace, path: str, answer: tuple[int, Any], sentence: str) -> None:
    site.pages[path] = answer
    with pytest.raises(UserError, match=sentence):
        asyncio.run(discovery.look(site.url))


def test_nobody_there() -> None:
    with pytest.raises(UserError, match=r"failed: no connection .* with http or https"):
        asyncio.run(discovery.look("http://127.0.0.1:9"))


def test_http_where_tls_was_asked_for(site: SimpleNamespace) -> None:
    with pytest.raises(UserError, match=r"failed: no (TLS|conversation)"):
        asyncio.run(discovery.look(site.url.replace("http:", "https:")))


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        ((200, {"m.homeserver": {"base_url": "https://matrix.example.org/"}}), "https://matrix.example.org"),
        ((404, {}), "https://example.org"),
    ],
)
def test_the_well_known_file(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any], address: str) -> None:
    asked = []

    async def get(url: str, doing: str, do: str) -> tuple[int, Any]:
        asked.append(url)
        return answer

    monkeypatch.setattr(discovery, "_get", get)
    assert asyncio.run(discovery.find("example.org")) == address
    assert asked == [WELL_KNOWN]


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}),
        (200, {"m.homeserver": "https://matrix.example.org"}),
        (200, {"m.homeserver": {"base_url": "matrix.example.org"}}),
        (500, {"m.homeserver": {"base_url": "https://matrix.example.org"}}),
    ],
)
def test_a_well_known_file_that_says_nothing(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any]) -> None:
    async def get(url: str, doing: str, do: str) -> tuple[int, Any]:
        return answer

    monkeypatch.setattr(discovery, "_get", get)
    with pytest.raises(UserError, match="no homeserver's address"):
        asyncio.run(discovery.find("example.org"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within 15 seconds"),
        (ssl.SSLError(), "no conversation"),
        (aiohttp.ServerDisconnectedError(), "no conversation"),
        (ValueError(), "no conversation"),
    ],
)
def test_troubles_in_words(error: Exception, words: str) -> None:
    assert discovery.why(error).startswith(words)
