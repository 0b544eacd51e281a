"""Replays a recording against the stand-in and collects what differs."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from chatrixcd_threads.demo.semaphore import Standin

from .compare import differences
from .recorded import Line, Recording

PASSWORD = "PASSWORD"
WAIT = 30.0
SOFT_WAIT = 1.5
ENDED_WAIT = 0.3
HUNG = 0.4
STEP = 0.01
ROLES = ("admin", "runner", "guest", "manager", "outsider")
_NUMBERS = re.compile(r"\d+")
_TEMPLATE_ID = re.compile(r"(/templates/)(\d+)(?=/|$|\?)")
_MOVING = re.compile(r"/tasks(/last|/\d+/output|/\d+/raw_output)?(\?.*)?$|/events")
HELLO: dict[str, Any] = {"template_id": 1}
PREPARED: dict[str, list[dict[str, Any]]] = {
    "permissions": [HELLO],
    "errors": [{**HELLO, "message": "made before"}],
    "resources": [{"template_id": 2}],
    "lists": [HELLO, {"template_id": 2}, {"template_id": 16}, {"template_id": 7, "environment": '{"who":"ada"}'}],
}
_PLAY = "PLAY ["
_EFFECTS = {"stop": ("stopping", "stopped"), "confirm": ("confirmed",), "reject": ("rejected",)}
_TASK_ID = re.compile(r"(/tasks/)(\d+)(?=/|$|\?)")


@dataclass(frozen=True)
class Found:
    """One difference: the line of the recording, what was asked, what differs."""

    n: int
    what: str
    text: str

    def __str__(self) -> str:
        return f"line {self.n}, {self.what}: {self.text}"


@dataclass
class History:
    """The frames one client got, by task."""

    updates: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    logs: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    closed: bool = False

    def take(self, frame: dict[str, Any]) -> None:
        """Note a frame."""
        if frame["type"] == "update":
            self.updates[frame["task_id"]].append(frame)
        else:
            self.logs[frame["task_id"]].add(masked(frame["output"]))


def masked(text: str) -> str:
    """A line of a log with its numbers taken out: ids, process ids and times differ, Terraform's options change place."""
    if text.startswith("+ terraform "):
        text = " ".join(sorted(text.split()))
    return _NUMBERS.sub("N", text)


def state(frame: Mapping[str, Any]) -> tuple[str, bool]:
    """What an `update` says about a task."""
    return str(frame["status"]), frame["end"] is not None


class Replay:
    """One replay of one recording."""

    def __init__(
        self, recording: Recording, standin: Standin, replaced: Mapping[str, str], expected: Callable[[Found], bool]
    ) -> None:
        self.expected = expected
        self.recording = recording
        self.standin = standin
        self.found: list[Found] = []
        self.replaced = dict(replaced)
        self.ids: dict[int, int] = {}
        self.templates: dict[int, int] = {}
        self.made_templates: dict[int, int] = {}
        self.cookie = ""
        self.second_token = ""
        self.watch = History()
        self.sockets: dict[str, History] = {}
        self.recorded: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._session: aiohttp.ClientSession | None = None
        self._stack = AsyncExitStack()
        self._frames: list[Line] = []
        names = recording.watchers()
        self._watcher = next((name for name in names if names.count(name) == 1), "")
        self.burst = recording.name == "output-big"

    # --- the whole

    async def run(self) -> list[Found]:
        """Replay all lines."""
        async with self._stack:
            jar = aiohttp.DummyCookieJar()
            session = aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False)
            self._session = await self._stack.enter_async_context(session)
            if not self.burst:
                await self._open("admin", self.watch)
            await self._prepare()
            for line in self.recording.lines:
                await self._line(line)
            await self._final_states()
        return self.found

    def _begun(self, line: Line) -> tuple[float, float]:
        """When the recorded server came to this request, and the number of the frame that shows its effect.

        An order that waited behind another change came after that one, not when it was sent.
        """
        task, effects = _TASK_ID.search(line.request["path"]), _EFFECTS.get(line.request["path"].rpartition("/")[2])
        if task is None or effects is None:
            return line.sent, line.n
        updates = [one for one in self._frames if one.who == self._watcher and one.frame["task_id"] == int(task[2])]
        updates = [one for one in updates if one.frame["type"] == "update"]
        effect = next((n for n, one in enumerate(updates) if one.t > line.sent and one.frame["status"] in effects), 0)
        return (max(line.sent, updates[effect - 1].t), updates[effect].n) if effect else (line.sent, line.n)

    def note(self, line: Line, what: str, text: str) -> None:
        """Note a difference."""
        self.found.append(Found(line.n, what, text))

    async def _line(self, line: Line) -> None:
        if line.kind == "note":
            if "server killed" in line.data["text"]:
                self.standin.restart()
                await self._open("admin", self.watch)
            elif "for the schedule" in line.data["text"]:
                await self._scheduled()
        elif line.kind == "http":
            await self._sync(*self._begun(line))
            await self._http(line)
        elif line.event in ("open", "refused"):
            await self._handshake(line)
        elif line.event == "message":
            self._frames.append(line)
        elif line.event == "close":
            await self._closed(line)

    async def _prepare(self) -> None:
        """Tasks the scenario finds on the server: one of "Hello", as number 1."""
        asked = {
            int(found[2])
            for line in self.recording.lines
            if line.kind == "http" and line.response.get("status", 400) < 400
            for found in [_TASK_ID.search(line.request["path"])]
            if found
        }
        old = sorted(asked - self.recording.posted_tasks())
        bodies = PREPARED.get(self.recording.name, [HELLO] if old and self.recording.name != "schedule-params" else [])
        headers = {"Authorization": f"Bearer {self._token('runner')}"}
        made = []
        for body in bodies:
            _, raw, _ = await self._send("POST", "/api/project/1/tasks", headers, json.dumps(body).encode())
            made.append(json.loads(raw)["id"])
        if made:
            self.ids.update(dict.fromkeys(old, made[0]))
        await self._until(lambda: all(self._over(task) for task in made), WAIT)

    def _over(self, task: int) -> bool:
        return any(frame["end"] for frame in self.watch.updates[task])

    async def _scheduled(self) -> None:
        """Wait for a task that the clock starts."""
        before = len(self.standin.tasks())
        await self._until(lambda: len(self.standin.tasks()) > before, WAIT)

    def _token(self, who: str) -> str:
        try:
            return self.standin.token(who)
        except KeyError:  # the scenario "setup" begins with the admin alone
            return self.standin.token("admin")

    # --- requests

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        assert self._session is not None
        url = URL(self.standin.url + path.replace("/./", "/"), encoded=True)
        skip = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        kept = [name for name in skip if name not in headers]
        async with self._session.request(
            method, url, headers=headers, data=body, allow_redirects=False, skip_auto_headers=kept
        ) as answer:
            return answer.status, await answer.read(), answer.headers

    def _headers(self, line: Line) -> dict[str, str]:
        made = {}
        for name, value in line.request.get("headers", {}).items():
            made[name] = self._filled(line, value)
        return made

    def _filled(self, line: Line, text: str) -> str:
        """Put our own secrets in the place of the masked ones."""
        who = line.who if line.who in ROLES else "runner"
        token = self._token(who)
        pairs = [
            ("TOKEN_IN_UPPER_CASE", self._token("runner").upper()),
            ("TOKEN2_8", self.second_token[:8]),
            ("TOKEN2", self.second_token),
            ("TOKEN", token),
            ("COOKIE", self.cookie),
        ]
        for mask, value in [*self.replaced.items(), *pairs]:
            text = text.replace(mask, value)
        return text

    def _path(self, line: Line) -> str:
        text = self._filled(line, line.request["path"])
        text = _TEMPLATE_ID.sub(lambda m: m[1] + str(self.made_templates.get(int(m[2]), int(m[2]))), text)
        return _TASK_ID.sub(lambda m: m[1] + str(self.ids.get(int(m[2]), int(m[2]))), text)

    def _body(self, line: Line) -> bytes | None:
        if "raw" in line.request:
            return str(line.request["raw"]).encode()
        body = line.request.get("body")
        if body is None:
            return b"" if line.request["method"] in ("POST", "PUT") else None
        text = self._filled(line, json.dumps(body))
        value = json.loads(text)
        if isinstance(value, dict):
            for key, known in (("build_task_id", self.ids), ("template_id", self.made_templates)):
                if value.get(key) in known:
                    value[key] = known[value[key]]
        return json.dumps(value).encode()

    async def _http(self, line: Line) -> None:
        what = f"{line.who or 'header'} {line.request['method']} {line.request['path']}"
        polled = line.polled_task()
        if self.recording.name == "schedule-params":
            await self._follow_schedule(line, polled)
        if polled is not None:
            await self._poll(line, what, polled)
            return
        hangs = line.response.get("error") == "ReadTimeout"
        sending = self._send(line.request["method"], self._path(line), self._headers(line), self._body(line))
        try:
            status, raw, headers = await asyncio.wait_for(sending, HUNG if hangs else WAIT)
        except (aiohttp.ClientError, TimeoutError) as error:
            if line.response.get("error") not in ("ConnectionError", "ReadTimeout"):
                self.note(line, what, f"no answer: {error!r}")
            return
        if "error" in line.response:
            self.note(line, what, f"{line.response['error']} was recorded, we answer {status}")
            return
        self._learn(line, status, raw, headers)
        end = asyncio.get_running_loop().time() + SOFT_WAIT
        while True:
            before = len(self.found)
            self._compare(line, what, status, raw, headers)
            late = asyncio.get_running_loop().time() > end
            settled = all(self.expected(one) for one in self.found[before:])
            if settled or late or not self._may_change(line):
                return
            del self.found[before:]
            await asyncio.sleep(STEP)
            status, raw, headers = await self._send("GET", self._path(line), self._headers(line), None)

    def _may_change(self, line: Line) -> bool:
        """Is this an answer that follows the running jobs?"""
        return line.request["method"] == "GET" and _MOVING.search(line.request["path"]) is not None

    async def _follow_schedule(self, line: Line, polled: int | None) -> None:
        """A task the clock has started is known to us by being the newest one."""
        path = line.request["path"]
        if "/schedules/2" in path and (line.request["method"] == "DELETE" or path.endswith("/active")):
            await self._scheduled()
        if polled is not None and polled not in self.ids:
            self.ids[polled] = self.standin.tasks()[-1]["id"]

    def _compare(self, line: Line, what: str, status: int, raw: bytes, headers: Mapping[str, str]) -> None:
        theirs = line.response
        if status != theirs["status"]:
            self.note(line, what, f"status {theirs['status']} was recorded, we answer {status}")
            return
        for name in ("Content-Type", "Location", "X-Content-Type-Options", "Sec-Websocket-Version"):
            if (theirs.get("headers") or {}).get(name) != headers.get(name):
                text = f"header {name}: {(theirs.get('headers') or {}).get(name)!r}, we answer {headers.get(name)!r}"
                self.note(line, what, text)
        if theirs.get("same_as_before"):
            return
        recorded, ours = theirs.get("body"), _parsed(raw)
        if isinstance(recorded, str) and not _cut(recorded):
            if len(recorded) < 200 and recorded != ours and "/raw_output" not in what:
                self.note(line, what, f"body {recorded!r} was recorded, we answer {str(ours)[:120]!r}")
            return
        for text in differences(recorded, ours):
            self.note(line, what, text)
        if line.request["path"].endswith("/output") and isinstance(recorded, list):
            self._output(line, what, recorded, ours)

    def _output(self, line: Line, what: str, recorded: list[Any], ours: Any) -> None:
        """Each recorded line of a shell job must be among ours, its numbers taken out."""
        found = _TASK_ID.search(line.request["path"])
        if found is None or not self._is_shell(int(found[2])):
            return
        mine = {masked(row["output"]) for row in ours}
        for row in recorded:
            if "output" in row and not _cut(row["output"]) and masked(row["output"]) not in mine:
                self.note(line, what, f"output without {row['output']!r}")

    def _is_shell(self, recorded_id: int) -> bool:
        return self.templates.get(recorded_id) not in (None, 6, 7, 8, 9, 10, 20, 23, 24, 27)

    def _learn(self, line: Line, status: int, raw: bytes, headers: Mapping[str, str]) -> None:
        """Ids and secrets our server has made."""
        if line.request["method"] != "POST" or status >= 300:
            return
        theirs, ours, path = line.response.get("body"), _parsed(raw), line.request["path"]
        if path == "/api/auth/login":
            self.cookie = headers.get("Set-Cookie", "").partition(";")[0].removeprefix("semaphore=")
        if not isinstance(theirs, dict) or not isinstance(ours, dict):
            return
        if path.endswith("/tasks") and "id" in theirs:
            self.ids[theirs["id"]] = ours["id"]
            self.templates[theirs["id"]] = ours["template_id"]
        elif path.endswith("/templates"):
            self.made_templates[theirs["id"]] = ours["id"]
        elif path.endswith("/aliases"):
            mask, value = theirs["url"].rpartition("/")[2], ours["url"].rpartition("/")[2]
            self.replaced = {mask: value, **self.replaced}
            self.replaced = dict(sorted(self.replaced.items(), key=lambda pair: -len(pair[0])))
        elif path.endswith("/user/tokens"):
            self.second_token = ours["id"]

    async def _poll(self, line: Line, what: str, recorded_id: int) -> None:
        """Repeat the GET until our state is the recorded one, or has gone past it."""
        body = line.response["body"]
        wanted = (body["status"], body.get("end") is not None)
        task = self.ids.get(recorded_id, recorded_id)
        begun = asyncio.get_running_loop().time()
        ended = float("inf")
        while True:
            status, raw, headers = await self._send("GET", self._path(line), self._headers(line), None)
            ours = _parsed(raw)
            if status != line.response["status"] or not isinstance(ours, dict):
                self._compare(line, what, status, raw, headers)
                return
            now = (ours["status"], ours.get("end") is not None)
            if now == wanted:
                self._compare(line, what, status, raw, headers)
                return
            if wanted in [state(frame) for frame in self.watch.updates[task][:-1]] or (self.burst and now[1]):
                return
            moment = asyncio.get_running_loop().time()
            ended = min(ended, moment) if now[1] else float("inf")
            other = Found(line.n, what, f"state {wanted} was recorded, ours stays {now}")
            known = self.expected(other)
            late = moment > begun + (SOFT_WAIT if known else WAIT)
            if late or moment > ended + SOFT_WAIT or (now[1] and known):
                self.found.append(other)
                return
            await asyncio.sleep(STEP)

    # --- websockets

    def _ws_headers(self, who: str) -> dict[str, str]:
        if "cookie" in who:
            more = {"Origin": "http://elsewhere.example"} if "origin" in who else {}
            return {"Cookie": f"semaphore={self.cookie}", **more}
        if who == "nobody":
            return {}
        role = next((role for role in ROLES if role in who), "runner")
        return {"Authorization": f"Bearer {self._token(role)}"}

    async def _open(self, who: str, history: History) -> None:
        assert self._session is not None
        if "cookie" in who and not self.cookie:
            body = json.dumps({"auth": "chatops", "password": PASSWORD}).encode()
            _, _, headers = await self._send("POST", "/api/auth/login", {}, body)
            self.cookie = headers.get("Set-Cookie", "").partition(";")[0].removeprefix("semaphore=")
        socket = await self._session.ws_connect(
            self.standin.url + "/api/ws", headers=self._ws_headers(who), max_msg_size=0, autoping=who != "mute"
        )
        reader = asyncio.ensure_future(_read(socket, history))
        self._stack.push_async_callback(_end, socket, reader)
        if who == "loud":
            await socket.send_str("x" * 600)

    async def _handshake(self, line: Line) -> None:
        history = self.sockets[line.who] = History()
        try:
            await self._open(line.who, history)
        except aiohttp.WSServerHandshakeError as error:
            if line.event == "open" or error.status != line.data["data"]["status"]:
                self.note(line, "websocket", f"{line.data['data']} was recorded, we answer {error.status}")
            return
        if line.event == "refused":
            self.note(line, "websocket", "a refusal was recorded, ours was opened")

    async def _closed(self, line: Line) -> None:
        history = self.sockets.get(line.who)
        open_still = Found(line.n, "websocket", f"{line.who}: an end was recorded, ours stays open")
        patience = SOFT_WAIT if self.expected(open_still) else WAIT
        if history is not None and not await self._until(lambda: history.closed, patience):
            self.found.append(open_still)

    async def _sync(self, moment: float, before: float = float("inf")) -> None:
        """Wait until our server has come as far as the recorded one had when this request went out."""
        due, self._frames = (
            [line for line in self._frames if line.t <= moment and line.n < before],
            [line for line in self._frames if line.t > moment or line.n >= before],
        )
        if self.burst:
            return
        for line in due:
            frame = line.frame
            if line.who != self._watcher or frame["task_id"] not in self.ids:
                if line.who == self._watcher and frame["type"] == "update":
                    self.recorded[frame["task_id"]].append(frame)
                continue
            task = self.ids[frame["task_id"]]
            if frame["type"] == "update":
                self.recorded[frame["task_id"]].append(frame)
                count = len(self.recorded[frame["task_id"]])
                await self._updates(task, count)
        logs_due = [line.frame for line in due if line.frame["type"] == "log"]
        last = {frame["task_id"]: self._printed_by_ours(frame) for frame in logs_due if self._printed_by_ours(frame)}
        for recorded_id, text in last.items():
            if recorded_id in self.ids:
                await self._logged(self.ids[recorded_id], text)

    def _printed_by_ours(self, frame: Mapping[str, Any]) -> str:
        """How a line begins that our server prints as well, so that its process is known to live; empty: it does not."""
        text = str(frame["output"])
        if self._is_shell(frame["task_id"]):
            return "" if "slack" in text else masked(text)
        return _PLAY if text.startswith(_PLAY) else ""

    async def _updates(self, task: int, count: int) -> None:
        """Wait until the task has had so many updates; one that has ended gets no more but by an order."""
        updates = self.watch.updates[task]
        await self._until(lambda: len(updates) >= count or self._over(task), SOFT_WAIT)
        await self._until(lambda: len(updates) >= count, ENDED_WAIT)

    async def _logged(self, task: int, text: str) -> None:
        """Wait until the task has printed a line that begins like that."""
        await self._until(lambda: any(line.startswith(text) for line in self.watch.logs[task]), SOFT_WAIT)

    async def _until(self, true: Callable[[], bool], seconds: float) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        while not true():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(STEP)
        return True

    async def _final_states(self) -> None:
        """The order of the states of every task must be the recorded one."""
        if self.burst:
            return
        await self._sync(float("inf"))
        for recorded_id, frames in self.recorded.items():
            if recorded_id not in self.ids:
                continue
            task = self.ids[recorded_id]
            theirs = [state(frame) for frame in frames]
            await self._updates(task, len(theirs))
            ours = [state(frame) for frame in self.watch.updates[task]][: len(theirs)]
            if theirs != ours:
                self.found.append(Found(0, f"states of task {recorded_id}", f"{_short(theirs)}, ours {_short(ours)}"))
            for one, other in zip(frames, self.watch.updates[task], strict=False):
                for text in differences(one, other, "frame") if state(one) == state(other) else ():
                    self.found.append(Found(0, f"frame of task {recorded_id}", text))


def _short(states: list[tuple[str, bool]]) -> str:
    return " ".join(status + ("+end" if end else "") for status, end in states)


def _parsed(raw: bytes) -> Any:
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text) if text else ""
    except ValueError:
        return text


def _cut(text: str) -> bool:
    return "characters in all, cut]" in text


async def _read(socket: aiohttp.ClientWebSocketResponse, history: History) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            history.take(json.loads(message.data))
    history.closed = True


async def _end(socket: aiohttp.ClientWebSocketResponse, reader: "asyncio.Future[None]") -> None:
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await socket.close()
