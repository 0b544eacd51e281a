"""Semaphore's HTTP API, as far as the bot needs it. One method per call, no retries, every failure a SemaphoreError.

Proxies, `no_proxy` and REQUESTS_CA_BUNDLE of the environment count, except for a Semaphore on this machine (localhost,
127.0.0.0/8, ::1), which is always asked directly. A .netrc is never used.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import re
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    IncompleteRead,
    InsecureRequestWarning,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
)

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
from chatrixcd_threads.semaphore.models import (
    Inventory,
    Line,
    Model,
    Project,
    Role,
    ServerInfo,
    Task,
    Template,
    User,
    decode_list,
    decode_one,
)
from chatrixcd_threads.semaphore.pulse import Pulse
from chatrixcd_threads.semaphore.transport import CALL, CONNECT_SECONDS, Call, Session
from chatrixcd_threads.settings.model import SemaphoreSettings

log = logging.getLogger("chatrixcd.semaphore")

ANSWER_BYTES: Final = 8 * 2**20
OUTPUT_BYTES: Final = 64 * 2**20
ERROR_BYTES: Final = 64 * 2**10
ERROR_CHARACTERS: Final = 300
MOST_TASKS: Final = 200
VERSION_SECONDS: Final = 60.0  # so long the version counts without being asked for again
_CHUNK: Final = 64 * 2**10
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)


class Rule(NamedTuple):
    """What a status means: the class to raise, what came back, what to do."""

    error: type[SemaphoreError]
    came: str
    do: str


_PROXY: Final = "Is Semaphore running? A proxy in front answered for it."
_GONE: Final = "It does not exist, or the bot's user is no member of its project."
_NO_TASK: Final = "There is no such task (any more), or it belongs to another project."
_LOOK: Final = "The task may have been made all the same: look at the last tasks of the template before trying again."

# Keyed by (topic, status); topic "" = any call. API.md 1.2: nearly all of Semaphore's error answers are empty.
RULES: Final[Mapping[tuple[str, int], Rule]] = {
    ("", 400): Rule(Refused, "Semaphore did not accept the request (400)", "Check the values."),
    ("", 401): Rule(
        BadToken, "Semaphore does not accept the API token (401)", "Put a valid token into semaphore.api_token."
    ),
    ("", 403): Rule(
        Forbidden,
        "Semaphore forbids it (403)",
        "Give the bot's user a role in this project that may do it (task_runner to start and stop).",
    ),
    ("", 404): Rule(Missing, "not found (404)", _GONE),
    ("", 429): Rule(Refused, "too many requests (429)", "Wait a while; something in front of Semaphore counts them."),
    ("", 502): Rule(Unreachable, "a proxy answered 502 (bad gateway)", _PROXY),
    ("", 503): Rule(Unreachable, "a proxy answered 503 (unavailable)", _PROXY),
    ("", 504): Rule(Unreachable, "a proxy answered 504 (gateway timeout)", _PROXY),
    ("project", 400): Rule(Missing, "not found (400)", _GONE),
    ("task", 400): Rule(Missing, "not found (400)", _NO_TASK),
    ("task", 404): Rule(Missing, "not found (404)", _NO_TASK),
    ("decide", 400): Rule(
        Missing, "Semaphore does not know it as running (400)", "Its server was restarted, or it is over."
    ),
    ("decide", 404): Rule(Missing, "not found (404)", _NO_TASK),
    ("start", 400): Rule(Refused, "Semaphore did not accept the request (400)", "No task was made. Check the values."),
    ("start", 404): Rule(Missing, "not found (404)", "The template does not exist in a project of the bot's user."),
    ("start", 500): Rule(
        Refused,
        "Semaphore answered 500",
        "Perhaps the template does not exist, has no variable group for the given variables, or a value is wrong. "
        + _LOOK,
    ),
    ("start", 502): Rule(Unreachable, "a proxy answered 502 (bad gateway)", _LOOK),
    ("start", 503): Rule(Unreachable, "a proxy answered 503 (unavailable)", _LOOK),
    ("start", 504): Rule(Unreachable, "a proxy answered 504 (gateway timeout)", _LOOK),
}


# How a call ends that may have met a server on its way down: what comes up again may be another version.
AWAY: Final = frozenset({Unreachable.kind, TimedOut.kind, NotSemaphore.kind, 502, 503, 504})


class Answer(NamedTuple):
    status: int
    media: str
    location: str
    body: bytes


class Request(NamedTuple):
    """One call as data. `doing` begins every sentence about its failure."""

    doing: str
    path: str
    topic: str = ""
    method: str = "GET"
    body: bytes | None = None
    expect: int = 200
    media: str = "application/json"
    limit: int = ANSWER_BYTES
    token: bool = True


class Semaphore:
    """One Semaphore server, usable from any thread: each thread has a session of its own."""

    def __init__(self, settings: SemaphoreSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._token = settings.api_token.strip()
        self._base = _base(settings.url)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._info: ServerInfo | None = None
        self._info_at = 0.0  # of the client's clock; not asked since a failure: 0
        self.pulse = Pulse()
        if not settings.ssl_verify:
            urllib3.disable_warnings(InsecureRequestWarning)  # once per call would fill the log
            log.warning("semaphore.ssl_verify is off: nobody checks who answers as Semaphore")

    @property
    def address(self) -> str:
        """The base address as it may be shown: without user, password and query."""
        return self._base

    @property
    def known_version(self) -> str:
        """The version as the server wrote it, if it was asked before; else empty."""
        info = self._info
        return info.raw if info is not None else ""

    def close(self) -> None:
        """Closes idle connections of all threads. A job that still holds this client may finish its calls."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    # --- the server

    def ping(self) -> float:
        """Seconds until Semaphore said `pong`. Needs no valid token."""
        begun = self._clock()
        answer = self._ask(Request("Asking Semaphore for a sign of life", "/ping", media="text/plain", token=False))
        if answer.strip() != b"pong":
            raise NotSemaphore(
                f"Asking Semaphore for a sign of life failed: {self._base} did not answer `pong`. Check semaphore.url.",
                sent=True,
                status=200,
            )
        return self._clock() - begun

    def info(self) -> ServerInfo:
        """Version and public address. The server runs `ansible --version` for it (up to a second): do not poll."""
        self._info = self._one(ServerInfo, "Reading the version of Semaphore", "/info")
        self._info_at = self._clock()
        return self._info

    def server_version(self) -> tuple[int, int, int] | None:
        """The version, asked for at most once a minute, and anew after Semaphore was away: it may have come back as another.

        None = not to be told. What a server reads of a launch hangs on it.
        """
        info, at = self._info, self._info_at
        is_old = not at or self._clock() - at >= VERSION_SECONDS
        return (self.info() if info is None or is_old else info).version

    def whoami(self) -> User:
        return self._one(User, "Reading the bot's own user", "/user")

    # --- projects and templates

    def projects(self) -> list[Project]:
        """The projects of the bot's user, in the server's order; at most 200 on SQL stores."""
        return self._list(Project, "Reading the projects", "/projects")

    def project(self, project_id: int) -> Project:
        return self._one(Project, f"Reading project {project_id}", f"/project/{project_id:d}", "project")

    def role(self, project_id: int) -> Role:
        doing = f"Reading the bot's role in project {project_id}"
        return self._one(Role, doing, f"/project/{project_id:d}/role", "project")

    def templates(self, project_id: int) -> list[Template]:
        doing = f"Reading the templates of project {project_id}"
        return self._list(Template, doing, f"/project/{project_id:d}/templates", "project")

    def template(self, project_id: int, template_id: int) -> Template:
        doing = f"Reading template {template_id} of project {project_id}"
        return self._one(Template, doing, f"/project/{project_id:d}/templates/{template_id:d}", "project")

    def inventories(self, project_id: int) -> list[Inventory]:
        return self._list(
            Inventory,
            f"Reading the inventories of project {project_id}",
            f"/project/{project_id:d}/inventory",
            "project",
        )

    # --- tasks

    def start(self, project_id: int, body: Mapping[str, object]) -> Task:
        """Starts a task. After an error with `sent`, look for the task before trying again: it may exist."""
        doing = f"Starting a task in project {project_id}"
        try:
            data = msgspec.json.encode(body)
        except (TypeError, ValueError, RecursionError):
            raise Refused(f"{doing} failed: the request is no JSON. Nothing was sent. Check the values.") from None
        request = Request(doing, f"/project/{project_id:d}/tasks", "start", "POST", data, 201)
        return decode_one(self._ask(request), Task, self._at(doing))

    def task(self, project_id: int, task_id: int) -> Task:
        """The task without template name and user name: only lists have those."""
        doing = f"Reading task {task_id} of project {project_id}"
        return self._one(Task, doing, f"/project/{project_id:d}/tasks/{task_id:d}", "task")

    def tasks(self, project_id: int, limit: int = 20) -> list[Task]:
        """The latest tasks, newest first. Never order by id: on Bolt ids count downwards."""
        count = _between(limit)
        doing = f"Reading the last tasks of project {project_id}"
        path = f"/project/{project_id:d}/tasks/last?limit={count}"
        return self._list(Task, doing, path, "project")[:count]

    def template_tasks(self, project_id: int, template_id: int, limit: int = 20) -> list[Task]:
        """The latest tasks of one template, newest first."""
        count = _between(limit)
        doing = f"Reading the last tasks of template {template_id} of project {project_id}"
        path = f"/project/{project_id:d}/templates/{template_id:d}/tasks/last?limit={count}"
        return self._list(Task, doing, path, "project")[:count]

    def output(self, project_id: int, task_id: int) -> list[Line]:
        """The whole output so far, in the server's order. It may still grow, and the last lines may be lost."""
        doing = f"Reading the output of task {task_id} of project {project_id}"
        request = Request(doing, f"/project/{project_id:d}/tasks/{task_id:d}/output", "task", limit=OUTPUT_BYTES)
        return decode_list(self._ask(request), Line, self._at(doing))

    def stop(self, project_id: int, task_id: int, *, force: bool = False) -> None:
        """Asks for a stop. Look first: a finished task would become `stopped`, a forced waiting one run later."""
        doing = f"Stopping task {task_id} of project {project_id}"
        path = f"/project/{project_id:d}/tasks/{task_id:d}/stop"
        data = msgspec.json.encode({"force": force})
        self._ask(Request(doing, path, "task", "POST", data, 204, media=""))

    def confirm(self, project_id: int, task_id: int) -> None:
        """Lets a plan be applied. Look first: it is obeyed in every state, also after a stop (API.md 5.6)."""
        self._decide(project_id, task_id, "confirm")

    def reject(self, project_id: int, task_id: int) -> None:
        """Refuses a plan; from 2.13 on. Look first, as with `confirm`: the last call within 3 s wins."""
        self._decide(project_id, task_id, "reject")

    def _decide(self, project_id: int, task_id: int, verb: str) -> None:
        doing = f"{verb.capitalize()}ing task {task_id} of project {project_id}"
        path = f"/project/{project_id:d}/tasks/{task_id:d}/{verb}"
        self._ask(Request(doing, path, "decide", "POST", b"{}", 204, media=""))

    # --- how a call is made

    def _one(self, kind: type[Model], doing: str, path: str, topic: str = "") -> Model:
        return decode_one(self._ask(Request(doing, path, topic)), kind, self._at(doing))

    def _list(self, kind: type[Model], doing: str, path: str, topic: str = "") -> list[Model]:
        return decode_list(self._ask(Request(doing, path, topic)), kind, self._at(doing))

    def _at(self, doing: str) -> str:
        return f"{doing} at {self._base}"

    def _ask(self, request: Request) -> bytes:
        """The body of the expected answer; anything else is raised."""
        self._check(request)
        call = Call(self._settings.timeout, self._clock)
        mark = CALL.set(call)
        outcome: object = "no answer"
        try:
            answer = self._exchange(request, call)
            outcome = answer.status
        except (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            failure = self._explain(request, call, error)
            outcome = failure.kind
        except SemaphoreError as error:
            outcome = error.kind
            raise
        else:
            if not _as_expected(request, answer.status, answer.media):
                raise self._judge(request, answer)
            self.pulse.answered()
            return answer.body
        finally:
            CALL.reset(mark)
            if outcome == TimedOut.kind:
                self.pulse.timed_out()
            if outcome in AWAY:
                self._info_at = 0.0
            log.debug("%s %s: %s, %d ms", request.method, request.path, outcome, call.elapsed() * 1000)
        raise failure  # out here, so that nothing of the request is chained to it

    def _check(self, request: Request) -> None:
        """What would fail before anything is sent."""
        settings = self._settings
        if not self._base:
            raise Unreachable(
                f"{request.doing} failed: semaphore.url is not an address. "
                "Write one like https://semaphore.example.org or http://10.0.0.5:3000."
            )
        if request.token and not _TOKEN.fullmatch(self._token):
            raise BadToken(
                f"{request.doing} failed: semaphore.api_token is empty or has characters that no token has. "
                "Make a token in Semaphore (user menu, API tokens) and put it there."
            )
        for key in ("ssl_ca_cert", "ssl_client_cert", "ssl_client_key"):
            name: str = getattr(settings, key)
            if name and not Path(name).exists():
                raise Unreachable(
                    f"{request.doing} failed: the file {name} of semaphore.{key} is not there or may not be seen. "
                    "Correct the path."
                )

    def _exchange(self, request: Request, call: Call) -> Answer:
        try:
            return self._once(request, call)
        except (requests.RequestException, OSError) as error:
            stale = request.method == "GET" and call.sent and not call.dialled and not call.heard
            if not stale or not any(isinstance(cause, ConnectionError) for cause in _causes(error)):
                raise
        self._info_at = 0.0  # it may have been restarted as another version
        call.renew()  # the server had closed the kept connection; nothing but a GET is repeated
        return self._once(request, call)

    def _once(self, request: Request, call: Call) -> Answer:
        session = self._session()
        if request.method != "GET":
            session.close()  # a new connection, so that a lost answer is not a connection that was dead before
        settings = self._settings
        certificate = settings.ssl_client_cert
        left = call.left()
        with session.request(
            request.method,
            self._base + request.path,
            data=request.body,
            headers={"Content-Type": "application/json"} if request.body is not None else None,
            auth=self._sign if request.token else _unsigned,
            timeout=(min(CONNECT_SECONDS, left), left),
            verify=(settings.ssl_ca_cert or True) if settings.ssl_verify else False,
            cert=(certificate, settings.ssl_client_key or certificate) if certificate else None,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
            media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            location = response.headers.get("Location", "")
            wanted = _as_expected(request, status, media)
            body = self._whole(request, response) if wanted else _beginning(response)
            return Answer(status, media, location, body)

    def _whole(self, request: Request, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            if size > request.limit:
                raise NotSemaphore(
                    f"{request.doing} failed: the answer is larger than {request.limit / 2**20:g} MB. "
                    "Look at it in Semaphore's own pages.",
                    sent=True,
                    status=response.status_code,
                )
            parts.append(part)
        return b"".join(parts)

    def _session(self) -> Session:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = Session()
            session.trust_env = not _is_loopback(self._base)
            session.headers.update(
                {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatrixcd-threads"}
            )
            self._local.session = session
            with self._lock:
                self._sessions.add(session)
        return session

    def _sign(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """As `auth`, not as a header: a header would give way to a .netrc."""
        prepared.headers["Authorization"] = f"Bearer {self._token}"
        return prepared

    # --- what went wrong

    def _explain(self, request: Request, call: Call, error: BaseException) -> SemaphoreError:
        """No answer: the first row of FAILURES that fits one of the causes."""
        causes = list(_causes(error))
        for failure in FAILURES:
            cause = next((cause for cause in causes if isinstance(cause, failure.causes)), None)
            if cause is not None:
                break
        came = failure.came.format(at=self._base, seconds=self._settings.timeout, why=_reason(causes))
        do = _LOOK if request.topic == "start" and call.sent else failure.do
        return failure.error(f"{request.doing} failed: {came}. {do}", sent=call.sent)

    def _judge(self, request: Request, answer: Answer) -> SemaphoreError:
        """An answer that is not the expected one."""
        status = answer.status
        error, came, do = self._verdict(request, answer)
        words = self._words(answer) if error is not NotSemaphore else ""
        said = f", saying “{words}”" if words else ""
        return error(f"{request.doing} failed: {came}{said}. {do}", sent=True, status=status)

    def _verdict(self, request: Request, answer: Answer) -> Rule:
        status, page = answer.status, "html" in answer.media
        wrong = "Check semaphore.url: it is the address of Semaphore's own pages."
        if status < 300:
            what = "a web page" if page else f"not what Semaphore says here ({answer.media or 'no content type'})"
            return Rule(NotSemaphore, f"{self._base} answered {status} with {what}", wrong)
        if status < 400:
            return Rule(NotSemaphore, f"{self._base} points to {_target(answer.location)} instead ({status})", wrong)
        plain = answer.body.strip()
        if status == 404 and plain == b"Not Found":
            return Rule(
                Refused,
                f"{self._base} does not know this call (404)",
                "This server is too old for it, or semaphore.url is wrong.",
            )
        if status == 404 and plain and not _is_json(answer.media):
            return Rule(NotSemaphore, f"{self._base} answered 404, but not as Semaphore does", wrong)
        rule = RULES.get((request.topic, status)) or RULES.get(("", status))
        if rule is None:
            do = _LOOK if request.topic == "start" and status >= 500 else "Semaphore's own log may tell why."
            rule = Rule(Refused, f"Semaphore answered {status}", do)
        if page and status in (401, 403):
            return rule._replace(came=f"{rule.came}, with a web page: perhaps a proxy in front of Semaphore answered")
        return rule

    def _words(self, answer: Answer) -> str:
        """What the server says about an error, fit for a room: one line, short, without the token."""
        text = ""
        if _is_json(answer.media):
            try:
                said = msgspec.json.decode(answer.body)
            except (ValueError, RecursionError):
                said = None
            if isinstance(said, dict) and isinstance(said.get("error"), str):
                text = said["error"]
        elif answer.media == "text/plain":
            text = answer.body.decode("utf-8", "replace")
        if self._token:
            text = re.sub(re.escape(self._token), "***", text, flags=re.IGNORECASE)
        text = _CONTROL.sub(" ", text).strip()
        return text if len(text) <= ERROR_CHARACTERS else text[: ERROR_CHARACTERS - 1] + "…"


class Failure(NamedTuple):
    """A conversation that brought no answer. `came` may name {at}, {seconds}, {why}."""

    causes: tuple[type[BaseException], ...]
    error: type[SemaphoreError]
    came: str
    do: str


_RUNNING: Final = "Is Semaphore running there, and is semaphore.url right?"
_AGAIN: Final = "Try again; if it goes on, look at Semaphore's own log."
_PORT: Final = "Check semaphore.url, the port, and http or https."
_CERTIFICATE: Final = "Put the authority's certificate into semaphore.ssl_ca_cert, or renew the server's certificate."

# The first row that fits counts.
FAILURES: Final = (
    Failure(
        (requests.exceptions.ProxyError, ProxyError),
        Unreachable,
        "the proxy of the environment (HTTP_PROXY, HTTPS_PROXY) let nothing through to {at}",
        "Check the proxy, or name the host in NO_PROXY.",
    ),
    Failure((NameResolutionError,), Unreachable, "the name in {at} has no address (DNS)", "Check semaphore.url."),
    Failure((NewConnectionError,), Unreachable, "no connection to {at}{why}", _RUNNING),
    Failure((ConnectTimeoutError,), Unreachable, "{at} did not take the connection in time", _RUNNING),
    Failure(
        (TimeoutError, urllib3.exceptions.TimeoutError),
        TimedOut,
        "{at} gave no complete answer within {seconds:g} seconds",
        "Try again; if it goes on, look at the load of the server or raise semaphore.timeout.",
    ),
    Failure(
        (ssl.SSLCertVerificationError,),
        Untrusted,
        "the certificate of {at} is not trusted{why}",
        _CERTIFICATE,
    ),
    Failure(
        (ssl.SSLError, urllib3.exceptions.SSLError),
        Unreachable,
        "no TLS with {at}{why}",
        "Check http or https in semaphore.url, and semaphore.ssl_client_cert and ssl_client_key.",
    ),
    Failure(
        (ConnectionError,),
        Unreachable,
        "{at} closed the connection without an answer",
        _AGAIN,
    ),
    Failure(
        (IncompleteRead, http.client.IncompleteRead),
        Unreachable,
        "the answer of {at} broke off in the middle",
        _AGAIN,
    ),
    Failure((http.client.HTTPException, DecodeError), NotSemaphore, "{at} does not speak HTTP as it should", _PORT),
    Failure((ProtocolError,), Unreachable, "the answer of {at} broke off in the middle", _AGAIN),
    Failure((HTTPError,), NotSemaphore, "{at} does not speak HTTP as it should", _PORT),
    Failure((BaseException,), Unreachable, "no conversation with {at}{why}", _RUNNING),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it is made of. Not `__context__`: that may be a trouble of the caller."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        item = todo.pop(0)
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [*item.args, getattr(item, "reason", None), item.__cause__]


def _reason(causes: list[BaseException]) -> str:
    """In brackets what the system said. Only known texts: others may hold addresses with passwords."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f" ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) and isinstance(cause.reason, str):
            return f" ({cause.reason.replace('_', ' ').lower()})"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return f" ({cause.strerror.lower()})"
    return ""


def _as_expected(request: Request, status: int, media: str) -> bool:
    if status != request.expect:
        return False
    return not request.media or media == request.media or (_is_json(media) and _is_json(request.media))


def _is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")


def _beginning(response: requests.Response) -> bytes:
    """As much of an unexpected answer as is needed to explain it. Its own trouble does not matter any more."""
    body = b""
    try:
        for part in response.iter_content(4096):
            body += part
            if len(body) >= ERROR_BYTES:
                break
    except (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        log.debug("the text of a %d answer broke off (%s)", response.status_code, type(error).__name__)
    return body


def _unsigned(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def _between(limit: int) -> int:
    return min(max(limit, 1), MOST_TASKS)  # anything else counts as 200


def _base(url: str) -> str:
    """The address of the API: with or without /api, a prefix or a slash at the end. Empty when it is no address."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not _SCHEME.match(url) or not host:
        return ""
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    path = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
    return f"{parts.scheme.lower()}://{place}{path}/api"


def _is_loopback(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _target(location: str) -> str:
    """Where a redirect points, host only."""
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return "another address"
    if not host:
        return "another path"
    return f"{parts.scheme}://{host}" if parts.scheme else host
