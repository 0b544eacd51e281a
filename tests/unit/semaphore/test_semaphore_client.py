"""The client against a real socket on loopback: what comes back, how fast it gives up, what it says."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from chatrixcd_threads.errors import NotFound, UserError
from chatrixcd_threads.semaphore import client as client_module
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import (
    BadToken,
    Forbidden,
    Missing,
    NotSemaphore,
    Refused,
    SemaphoreError,
    TimedOut,
    Unreachable,
    Untrusted,
)
from chatrixcd_threads.settings.model import SemaphoreSettings

TOKEN = "kq1-secret_token-abc="


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which connection it came by, counted from 1."""
    over: threading.Event
    """Set when the test is over: what hangs, waits for it."""

    def json(self) -> object:
        return json.loads(self.body)


Script = Callable[[Asked], bytes | Iterator[bytes] | None]
"""What to answer: bytes and keep the connection, pieces and close it, or None = close at once."""


class Wire:
    """A server of one script. Each connection has a thread; `close` ends them all."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._script = script
        self._tls = tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        self._open.add(connection)
        with suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while (asked := self._read(reader, number)) is not None:
                    self.asked.append(asked)
                    answer = self._script(asked)
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                        continue
                    for piece in answer or ():
                        connection.sendall(piece)
                    return

    def _read(self, reader: object, number: int) -> Asked | None:
        readline, read = reader.readline, reader.read  # type: ignore[attr-defined]
        words = readline().decode("latin-1").split()
        if len(words) < 2:
            return None
        headers: dict[str, str] = {}
        while (line := readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body: bytes = read(int(headers.get("content-length", "0")))
        return Asked(words[0], words[1], headers, body, number, self._over)


def http(status: int, body: bytes | str = b"", media: str = "application/json", **more: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": media, "Content-Length": str(len(data)), **more}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + data


def ok(value: object, status: int = 200) -> bytes:
    return http(status, json.dumps(value))


def always(answer: bytes) -> Script:
    return lambda asked: answer


Talk = Callable[..., tuple[Semaphore, Wire]]


@pytest.fixture(autouse=True)
def no_thread_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def talk() -> Iterator[Talk]:
    wires: list[Wire] = []
    clients: list[Semaphore] = []

    def begin(
        script: Script | bytes, *, tail: str = "", tls: ssl.SSLContext | None = None, **settings: object
    ) -> tuple[Semaphore, Wire]:
        wire = Wire(always(script) if isinstance(script, bytes) else script, tls)
        wires.append(wire)
        made = client_of(wire.url + tail, **settings)
        clients.append(made)
        return made, wire

    yield begin
    for client in clients:
        client.close()
    for wire in wires:
        wire.close()


def client_of(url: str, **settings: object) -> Semaphore:
    return Semaphore(SemaphoreSettings(**{"url": url, "api_token": TOKEN, "timeout": 5.0, **settings}))  # type: ignore[arg-type]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


# --- what is asked and read


def test_every_call_asks_the_right_path_with_the_token(talk: Talk) -> None:
    task = {"id": -7, "template_id": 3, "project_id": 1, "status": "waiting"}
    answers: dict[tuple[str, str], bytes] = {
        ("GET", "/api/user"): ok({"id": 2, "username": "chatops", "admin": False, "pro": True}),
        ("GET", "/api/info"): ok({"version": "v2.16.43-5507a11-1762372271", "web_host": "https://s.example"}),
        ("GET", "/api/projects"): ok([{"id": 1, "name": "Demo", "alert_chat": None}]),
        ("GET", "/api/project/1"): ok({"id": 1, "name": "Demo"}),
        ("GET", "/api/project/1/role"): ok({"role": "manager", "permissions": 5}),
        ("GET", "/api/project/1/templates"): ok([{"id": 3, "name": "Deploy", "survey_vars": None}]),
        ("GET", "/api/project/1/templates/3"): ok({"id": 3, "name": "Deploy", "task_params": {"allow_debug": True}}),
        ("POST", "/api/project/1/tasks"): ok(task, 201),
        ("GET", "/api/project/1/tasks/-7"): ok(task),
        ("GET", "/api/project/1/tasks/last?limit=20"): ok([task]),
        ("GET", "/api/project/1/templates/3/tasks/last?limit=1"): ok([task, task]),
        ("GET", "/api/project/1/tasks/-7/output"): ok([{"id": 0, "time": "2026-01-02T03:04:05.1Z", "output": "hi"}]),
        ("POST", "/api/project/1/tasks/-7/stop"): http(204, media="", **{"Content-Length": ""}),
    }
    client, wire = talk(lambda asked: answers.get((asked.method, asked.path)))
    assert client.whoami().username == "chatops"
    assert client.server_version() == (2, 16, 43)
    assert client.server_version() == (2, 16, 43)
    assert client.info().web_host == "https://s.example"
    assert [project.name for project in client.projects()] == ["Demo"]
    assert client.project(1).id == 1
    assert client.role(1).permissions == 5
    assert client.templates(1)[0].survey_vars == ()
    assert client.template(1, 3).task_params == {"allow_debug": True}
    assert client.start(1, {"template_id": 3}).id == -7
    assert client.task(1, -7).status == "waiting"
    assert len(client.tasks(1)) == 1
    assert len(client.template_tasks(1, 3, limit=0)) == 1
    assert [line.output for line in client.output(1, -7)] == ["hi"]
    client.stop(1, -7, force=True)
    assert {(asked.method, asked.path) for asked in wire.asked} == set(answers)
    assert sum(asked.path == "/api/info" for asked in wire.asked) == 2
    assert all(asked.headers["authorization"] == f"Bearer {TOKEN}" for asked in wire.asked)
    posts = [asked for asked in wire.asked if asked.method == "POST"]
    assert [asked.json() for asked in posts] == [{"template_id": 3}, {"force": True}]
    assert all(asked.headers["content-type"] == "application/json" for asked in posts)


@pytest.mark.parametrize("tail", ["", "/", "/api", "/api/", "//"])
def test_every_form_of_the_address_leads_to_the_api(talk: Talk, tail: str) -> None:
    client, wire = talk(http(200, "pong", "text/plain; charset=utf-8"), tail=tail)
    assert client.ping() >= 0
    assert [asked.path for asked in wire.asked] == ["/api/ping"]
    assert "authorization" not in wire.asked[0].headers


@pytest.mark.parametrize("tail", ["/semaphore", "/semaphore/", "/semaphore/api", "/semaphore/api/?x=1#y"])
def test_a_prefix_of_the_address_stays(talk: Talk, tail: str) -> None:
    client, wire = talk(http(200, "pong", "text/plain"), tail=tail)
    client.ping()
    assert [asked.path for asked in wire.asked] == ["/semaphore/api/ping"]


@pytest.mark.parametrize("url", ["", "semaphore.example", "ftp://x", "http://", "http://[::1", "http://h:port", "/api"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Unreachable, match=r"semaphore\.url") as caught:
        client_of(url).projects()
    assert not caught.value.sent


def test_user_and_password_of_the_address_are_not_shown() -> None:
    client = client_of("http://someone:hush@127.0.0.1:1/")
    assert client.address == "http://127.0.0.1:1/api"
    with pytest.raises(Unreachable) as caught:
        client.projects()
    assert "hush" not in caught.value.sentence


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_cannot_be_is_not_sent(talk: Talk, token: str) -> None:
    client, wire = talk(ok([]), api_token=token)
    with pytest.raises(BadToken) as caught:
        client.projects()
    assert not caught.value.sent
    assert wire.asked == []
    if token.strip():
        assert token not in caught.value.sentence


def test_a_netrc_does_not_replace_the_token(talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr(client_module, "_is_loopback", lambda base: False)
    client, wire = talk(ok([]))
    client.projects()
    assert wire.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_loopback_is_asked_without_the_proxy_of_the_environment(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client, _ = talk(ok([]))
    assert client.projects() == []


def test_a_dead_proxy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://u:hush@127.0.0.1:1")
    with pytest.raises(Unreachable, match="proxy") as caught:
        client_of("http://semaphore.invalid").projects()
    assert "hush" not in caught.value.sentence
    assert not caught.value.sent


def test_a_proxy_of_the_environment_is_used(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, wire = talk(ok([]))
    monkeypatch.setenv("HTTP_PROXY", wire.url)
    assert client_of("http://semaphore.invalid").projects() == []
    assert wire.asked[0].path == "http://semaphore.invalid/api/projects"


@pytest.mark.parametrize("answer", [http(407, "", "text/plain"), None])
def test_a_proxy_that_refuses_the_tunnel_has_sent_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    _, wire = talk(lambda asked: answer)
    monkeypatch.setenv("HTTPS_PROXY", wire.url)
    with pytest.raises(Unreachable) as caught:
        client_of("https://semaphore.invalid").start(1, {})
    assert not caught.value.sent
    assert wire.asked[0].method == "CONNECT"


# --- answers that are errors

STATUSES: list[tuple[str, bytes, type[SemaphoreError], str]] = [
    ("projects", http(401), BadToken, "token"),
    ("projects", http(401, "<html>", "text/html"), BadToken, "proxy"),
    ("task", http(403), Forbidden, "403"),
    ("stop", http(403), Forbidden, "role"),
    ("start", http(403, '{"error":"No active subscription available."}'), Forbidden, "No active subscription"),
    ("project", http(404), Missing, "member"),
    ("project", http(400), Missing, "400"),
    ("task", http(404), Missing, "no such task"),
    ("task", http(400), Missing, "no such task"),
    ("output", http(400), Missing, "no such task"),
    ("stop", http(400), Missing, "no such task"),
    ("projects", http(404, "Not Found\n", "text/plain"), Refused, "too old"),
    ("projects", http(404, "404 page not found\n", "text/plain"), NotSemaphore, "404"),
    ("projects", http(404, "<html>gone</html>", "text/html"), NotSemaphore, "semaphore.url"),
    ("start", http(400), Refused, "No task was made"),
    ("start", http(400, '{"error":"template_id or template_name is required"}'), Refused, "template_name is required"),
    ("start", http(404), Missing, "template"),
    ("start", http(500), Refused, "look at the last tasks"),
    ("start", http(501), Refused, "look at the last tasks"),
    ("start", http(502, "<html>", "text/html"), Unreachable, "look at the last tasks"),
    ("projects", http(500, '{"error":"database is locked"}'), Refused, "database is locked"),
    ("projects", http(500, "<html>oops", "text/html"), Refused, "500"),
    ("projects", http(418, "I am a teapot", "text/plain"), Refused, "teapot"),
    ("projects", http(409, '{"error":3}'), Refused, "409"),
    ("projects", http(500, "{"), Refused, "500"),
    ("projects", http(429), Refused, "too many"),
    ("projects", http(502, "<html>bad gateway", "text/html"), Unreachable, "proxy answered 502"),
    ("projects", http(503), Unreachable, "proxy answered 503"),
    ("projects", http(504), Unreachable, "proxy answered 504"),
    ("projects", http(200, "<!doctype html>", "text/html"), NotSemaphore, "web page"),
    ("stop", http(200, "<!doctype html>", "text/html"), NotSemaphore, "web page"),
    ("start", http(200, "<!doctype html>", "text/html"), NotSemaphore, "web page"),
    ("start", http(200, '{"id":1}'), NotSemaphore, "200"),
    ("start", http(201, "{}"), NotSemaphore, "task"),
    ("projects", http(204), NotSemaphore, "204"),
    ("projects", http(200, "[]", ""), NotSemaphore, "no content type"),
    ("projects", http(200, "null"), NotSemaphore, "list of projects"),
    ("projects", http(200, ""), NotSemaphore, "not the JSON"),
    ("projects", http(200, "[" * 200_000), NotSemaphore, "not the JSON"),
    ("projects", http(200, b'["\xff"]'), NotSemaphore, "not the JSON"),
    ("projects", http(200, "[null]"), NotSemaphore, "list of projects"),
    ("projects", http(200, '{"error":"x"}'), NotSemaphore, "list of projects"),
    ("task", http(200, "null"), NotSemaphore, "not a task"),
    ("ping", http(200, "Pong!", "text/plain"), NotSemaphore, "pong"),
    ("ping", http(200, "<html>", "text/html"), NotSemaphore, "web page"),
    (
        "projects",
        http(302, Location="https://u:hush@login.example/?x=1"),
        NotSemaphore,
        "https://login.example instead",
    ),
    ("projects", http(301, Location="/404"), NotSemaphore, "another path"),
    ("projects", http(307, Location="http://[::1"), NotSemaphore, "another address"),
    ("start", http(302), NotSemaphore, "another path"),
]


def call(client: Semaphore, name: str) -> object:
    arguments: dict[str, tuple[object, ...]] = {
        "project": (1,),
        "task": (1, 5),
        "output": (1, 5),
        "stop": (1, 5),
        "start": (1, {"template_id": 3}),
    }
    return getattr(client, name)(*arguments.get(name, ()))


@pytest.mark.parametrize(("name", "answer", "error", "part"), STATUSES)
def test_each_answer_has_its_error(
    talk: Talk, name: str, answer: bytes, error: type[SemaphoreError], part: str
) -> None:
    client, _ = talk(answer)
    with pytest.raises(SemaphoreError) as caught:
        call(client, name)
    assert type(caught.value) is error
    assert part in caught.value.sentence
    assert caught.value.sent
    assert caught.value.kind
    assert "hush" not in caught.value.sentence
    assert " failed: " in caught.value.sentence
    assert caught.value.sentence.endswith(".")


def test_missing_is_also_not_found() -> None:
    assert issubclass(Missing, NotFound)
    assert issubclass(SemaphoreError, UserError)
    classes = [Unreachable, TimedOut, NotSemaphore, BadToken, Forbidden, Missing, Refused]
    assert len({kind.kind for kind in classes}) == len(classes)


def test_the_words_of_the_server_are_made_fit_for_a_room(talk: Talk) -> None:
    words = f"a\x00\x1b[31m\r\n\u202eb Bearer {TOKEN.upper()} " + "x" * 1000
    client, _ = talk(http(500, json.dumps({"error": words})))
    with pytest.raises(Refused) as caught:
        client.projects()
    sentence = caught.value.sentence
    assert sentence.isprintable()
    assert "Bearer ***" in sentence
    assert TOKEN.lower() not in sentence.lower()
    assert len(sentence) < 450


def test_the_token_is_nowhere(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = talk(lambda asked: None)
    with pytest.raises(Unreachable) as caught:
        client.start(1, {"secret": "hush"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    text = f"{client!r} {vars(caught.value)} {caught.value!r} {caplog.text}"
    assert TOKEN not in text
    assert "hush" not in text


def test_calls_are_logged(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chatrixcd.semaphore")
    client, wire = talk(ok([]))
    client.projects()
    wire.close()
    with pytest.raises(Unreachable):
        client.projects()
    lines = [record.getMessage() for record in caplog.records if record.name == "chatrixcd.semaphore"]
    assert lines[0].startswith("GET /projects: 200, ")
    assert lines[1].startswith("GET /projects: unreachable, ")


# --- no answer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_refused_connection_has_sent_nothing() -> None:
    with within(2), pytest.raises(Unreachable, match="refused") as caught:
        client_of(f"http://127.0.0.1:{free_port()}").start(1, {})
    assert not caught.value.sent


def test_an_unknown_name_has_sent_nothing() -> None:
    with pytest.raises(Unreachable) as caught:
        client_of("http://semaphore.invalid").start(1, {})
    assert not caught.value.sent


def test_localhost_tries_all_its_addresses(talk: Talk) -> None:
    _, wire = talk(ok([]))
    assert client_of(f"http://localhost:{wire.port}").projects() == []


def test_a_full_backlog_does_not_hold_the_call() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with within(1), pytest.raises((Unreachable, TimedOut)) as caught:
            client_of(f"http://127.0.0.1:{address[1]}", timeout=0.3).start(1, {})
        assert caught.value.sent == isinstance(caught.value, TimedOut)
        for filler in fillers:
            filler.close()


def hang(asked: Asked) -> None:
    asked.over.wait(10)


def drip(head: bytes, piece: bytes) -> Script:
    def pieces(asked: Asked) -> Iterator[bytes]:
        yield head
        for _ in itertools.takewhile(lambda _: not asked.over.wait(0.05), itertools.count()):
            yield piece

    return pieces


SLOW: dict[str, Script] = {
    "nothing": hang,
    "headers": drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "many headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n[", b" "),
    "chunks": drip(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
    ),
    "interim": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("how", ["projects", "start"])
def test_slow_answers_end_with_the_deadline(talk: Talk, name: str, how: str) -> None:
    script = SLOW[name]
    client, _ = talk(script, timeout=0.5)
    with within(1), pytest.raises(SemaphoreError) as caught:
        call(client, how)
    if how == "projects" or name in ("nothing", "headers", "many headers", "interim"):
        assert type(caught.value) is TimedOut
        assert "0.5 seconds" in caught.value.sentence
    assert caught.value.sent


def test_a_dripping_error_page_ends_with_the_deadline(talk: Talk) -> None:
    client, _ = talk(
        drip(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: 900\r\n\r\n", b"x"), timeout=0.5
    )
    with within(1), pytest.raises(Refused):
        client.projects()


def test_no_time_at_all(talk: Talk) -> None:
    client, wire = talk(ok([]), timeout=0.0)
    with pytest.raises(TimedOut) as caught:
        client.start(1, {})
    assert not caught.value.sent
    assert wire.asked == []


def test_the_deadline_is_that_of_the_given_clock(talk: Talk) -> None:
    _, wire = talk(ok([]))
    ticks = itertools.count(0.0, 100.0)
    client = Semaphore(SemaphoreSettings(url=wire.url, api_token=TOKEN, timeout=5.0), clock=lambda: next(ticks))
    with pytest.raises(TimedOut):
        client.projects()


JUNK: list[tuple[bytes, type[SemaphoreError]]] = [
    (b"SSH-2.0-OpenSSH_9.2\r\n", NotSemaphore),
    (b"\x15\x03\x01\x00\x02\x02\x16", NotSemaphore),
    (b"HTTP/1.1 abc\r\n\r\n", NotSemaphore),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, NotSemaphore),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", NotSemaphore),
    (b"", Unreachable),
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n[]", Unreachable),
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
        Unreachable,
    ),
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
        Unreachable,
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\nnot gzip", NotSemaphore),
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: x\r\n\r\n[", NotSemaphore),
]


@pytest.mark.parametrize(("data", "error"), JUNK)
def test_junk_and_broken_answers(talk: Talk, data: bytes, error: type[SemaphoreError]) -> None:
    client, _ = talk(lambda asked: iter([data]))
    with within(2), pytest.raises(SemaphoreError) as caught:
        client.projects()
    assert type(caught.value) is error
    assert caught.value.sent


def test_a_lost_answer_to_a_start_says_where_to_look(talk: Talk) -> None:
    client, wire = talk(lambda asked: None)
    with pytest.raises(Unreachable, match="look at the last tasks") as caught:
        client.start(1, {})
    assert caught.value.sent
    assert len(wire.asked) == 1


@pytest.mark.parametrize("length", ["stated", "chunked"])
def test_too_much_is_not_read(talk: Talk, monkeypatch: pytest.MonkeyPatch, length: str) -> None:
    def endless(asked: Asked) -> Iterator[bytes]:
        how = b"Content-Length: 99999999999" if length == "stated" else b"Transfer-Encoding: chunked"
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + how + b"\r\n\r\n"
        piece = b" " * 65536 if length == "stated" else b"10000\r\n" + b" " * 65536 + b"\r\n"
        while not asked.over.is_set():
            yield piece

    client, _ = talk(endless)
    with within(3), pytest.raises(NotSemaphore, match="larger than 8 MB"):
        client.projects()


def test_an_output_may_be_larger_than_other_answers(talk: Talk) -> None:
    lines = [{"output": "x" * 1000, "time": "2026-01-01T00:00:00Z"}] * 9000
    client, _ = talk(ok(lines))
    assert len(client.output(1, 5)) == 9000
    with pytest.raises(NotSemaphore, match="larger than 8 MB"):
        client.tasks(1)


# --- connections


def test_connections_are_kept_for_get_and_new_for_post(talk: Talk) -> None:
    client, wire = talk(lambda asked: ok([]) if asked.method == "GET" else ok({"id": 1}, 201))
    client.projects()
    client.projects()
    assert wire.connections == 1
    client.start(1, {})
    assert wire.connections == 2
    client.close()
    client.close()
    client.projects()
    assert wire.connections == 3


def test_a_kept_connection_that_was_closed_is_replaced_once(talk: Talk) -> None:
    served: list[int] = []

    def script(asked: Asked) -> bytes | None:
        served.append(asked.connection)
        return None if served.count(asked.connection) > 1 else ok([])

    client, wire = talk(script)
    client.projects()
    client.projects()
    assert served == [1, 1, 2]
    assert len(wire.asked) == 3


def test_a_new_connection_that_is_closed_is_not_tried_again(talk: Talk) -> None:
    client, wire = talk(lambda asked: None)
    with pytest.raises(Unreachable, match="closed the connection"):
        client.projects()
    assert len(wire.asked) == 1


def test_many_threads_share_one_client(talk: Talk) -> None:
    def script(asked: Asked) -> bytes:
        return ok({"id": int(asked.path.rsplit("/", 1)[1])})

    client, wire = talk(script)
    with ThreadPoolExecutor(8) as pool:
        assert [task.id for task in pool.map(lambda number: client.task(1, number), range(200))] == list(range(200))
    assert wire.connections <= 8


def test_a_call_inside_the_trouble_of_another_keeps_its_own_cause(talk: Talk) -> None:
    client, _ = talk(lambda asked: None)
    try:
        raise TimeoutError("not of this call")
    except TimeoutError:
        with pytest.raises(Unreachable):
            client.projects()


def test_a_body_that_is_no_json_is_not_sent(talk: Talk) -> None:
    client, wire = talk(ok({"id": 1}, 201))
    with pytest.raises(Refused) as caught:
        client.start(1, {"x": object()})
    assert not caught.value.sent
    assert wire.asked == []


# --- TLS


class Tls(NamedTuple):
    server: ssl.SSLContext
    ca: str
    client: str
    """Certificate and key of a client, in one file."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def make(name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        both = folder / f"{name}.pem"
        both.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return both

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make("server"))
    client = make("client")
    context.load_verify_locations(folder / "client.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return Tls(context, str(folder / "server.crt"), str(client))


def test_a_self_signed_certificate_is_not_trusted(talk: Talk, tls: Tls) -> None:
    client, wire = talk(ok([]), tls=tls.server)
    with pytest.raises(Untrusted, match=r"not trusted .*ssl_ca_cert") as caught:
        client.start(1, {})
    assert not caught.value.sent
    assert wire.asked == []


def test_a_self_signed_certificate_with_its_authority(talk: Talk, tls: Tls) -> None:
    client, _ = talk(ok([]), tls=tls.server, ssl_ca_cert=tls.ca)
    assert client.projects() == []


def test_verification_may_be_off_whatever_the_environment_says(
    talk: Talk, tls: Tls, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    monkeypatch.setattr(client_module, "_is_loopback", lambda base: False)
    client, _ = talk(ok([]), tls=tls.server, ssl_verify=False)
    assert client.projects() == []
    assert not recwarn.list


@pytest.mark.parametrize("same_file", [True, False])
def test_a_client_certificate(talk: Talk, tls: Tls, same_file: bool) -> None:
    key = "" if same_file else tls.client
    client, _ = talk(ok([]), tls=tls.server, ssl_ca_cert=tls.ca, ssl_client_cert=tls.client, ssl_client_key=key)
    assert client.projects() == []


@pytest.mark.parametrize("key", ["ssl_ca_cert", "ssl_client_cert", "ssl_client_key"])
def test_a_missing_file_is_said(talk: Talk, tls: Tls, key: str) -> None:
    client, _ = talk(ok([]), tls=tls.server, **{key: "/nowhere/x.pem"})
    with pytest.raises(Unreachable, match=f"/nowhere/x.pem of semaphore.{key}") as caught:
        client.start(1, {})
    assert not caught.value.sent


@pytest.mark.parametrize("key", ["ssl_ca_cert", "ssl_client_cert"])
def test_a_file_of_junk_is_said(talk: Talk, tls: Tls, key: str, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    client, _ = talk(ok([]), tls=tls.server, **{"ssl_ca_cert": tls.ca, key: str(junk)})
    with pytest.raises(Unreachable) as caught:
        client.start(1, {})
    assert not caught.value.sent


def test_tls_where_there_is_none() -> None:
    def plain() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(http(400, "Client sent an HTTP request in a foreign tongue", "text/plain"))
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=plain)
        thread.start()
        with within(3), pytest.raises(Unreachable, match=r"no TLS with .* http or https") as caught:
            client_of(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=2.0).start(1, {})
        thread.join(10)
    assert not caught.value.sent


def test_a_dripping_tls_answer_ends_with_the_deadline(talk: Talk, tls: Tls) -> None:
    client, _ = talk(SLOW["body"], tls=tls.server, ssl_ca_cert=tls.ca, timeout=0.5)
    with within(1), pytest.raises(TimedOut):
        client.projects()


def test_a_handshake_that_hangs_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, within(1), pytest.raises(TimedOut) as caught:
        client_of(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5).start(1, {})
    assert not caught.value.sent


def test_the_version_is_asked_for_again_after_a_minute_and_after_an_outage(talk: Talk) -> None:
    versions = [b"v2.10.22-x", b"v2.16.43-x", b"v2.17.0-x"]
    now, away = [100.0], [False]

    def script(asked: Asked) -> bytes | None:
        if away[0]:
            return http(502, b"bad gateway", media="text/html")
        return ok({"version": versions.pop(0).decode()}) if asked.path == "/api/info" else ok([])

    _, wire = talk(script)
    client = Semaphore(SemaphoreSettings(url=wire.url, api_token=TOKEN, timeout=5.0), clock=lambda: now[0])
    assert [client.server_version() for _ in range(2)] == [(2, 10, 22)] * 2
    now[0] += client_module.VERSION_SECONDS
    assert [client.server_version() for _ in range(2)] == [(2, 16, 43)] * 2
    away[0] = True
    with pytest.raises(Unreachable):
        client.projects()
    away[0] = False
    assert [client.server_version() for _ in range(2)] == [(2, 17, 0)] * 2
    client.close()
