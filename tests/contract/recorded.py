"""The recorded traffic, read from tests/contract/recordings (its README gives the form)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
STORES = {"bolt": "2.10-bolt", "postgres": "2.10", "sqlite-2.16": "2.16"}
_TASK_PATH = re.compile(r"^/api/project/\d+/tasks/(\d+)(/|$|\?)")


@dataclass(frozen=True)
class Line:
    """One line of a recording."""

    n: int
    t: float
    kind: str
    who: str
    data: dict[str, Any]

    @property
    def request(self) -> dict[str, Any]:
        """The request of an `http` line."""
        found: dict[str, Any] = self.data["request"]
        return found

    @property
    def response(self) -> dict[str, Any]:
        """The answer of an `http` line."""
        found: dict[str, Any] = self.data["response"]
        return found

    @property
    def frame(self) -> dict[str, Any]:
        """The parsed frame of a `ws` message."""
        found: dict[str, Any] = self.data["data"]
        return found

    @property
    def sent(self) -> float:
        """When the request went out."""
        return float(self.t - self.response.get("ms", 0) / 1000)

    @property
    def event(self) -> str:
        """What happened on the websocket."""
        return str(self.data.get("event", ""))

    def polled_task(self) -> int | None:
        """The id of the task whose status this line shows, when it is a plain GET of a task."""
        found = _TASK_PATH.match(self.request["path"])
        body = self.response.get("body")
        is_task = isinstance(body, dict) and "status" in body and self.request["method"] == "GET"
        return int(found[1]) if found is not None and is_task else None


@dataclass(frozen=True)
class Recording:
    """One scenario on one store."""

    store: str
    name: str
    lines: tuple[Line, ...]

    @property
    def id(self) -> str:
        """The name of the test."""
        return f"{self.store}/{self.name}"

    def posted_tasks(self) -> set[int]:
        """The ids of the tasks this scenario starts."""
        made = set()
        for line in self.lines:
            if line.kind == "http" and line.request["method"] == "POST" and line.request["path"].endswith("/tasks"):
                body = line.response.get("body")
                if isinstance(body, dict) and "id" in body:
                    made.add(int(body["id"]))
        return made

    def watchers(self) -> list[str]:
        """Who had a websocket open."""
        return [line.who for line in self.lines if line.kind == "ws" and line.event == "open"]


def load(store: str, name: str) -> Recording:
    """Read one file."""
    path = RECORDINGS / store / f"{name}.jsonl"
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        data = json.loads(text)
        lines.append(Line(data["n"], data["t"], data["kind"], data.get("as", ""), data))
    return Recording(store, name, tuple(lines))


def names() -> list[tuple[str, str]]:
    """Every recording there is."""
    return [(store, path.stem) for store in STORES for path in sorted((RECORDINGS / store).glob("*.jsonl"))]


def setup() -> dict[str, Any]:
    """The content of the recorded servers."""
    found: dict[str, Any] = json.loads((RECORDINGS / "setup.json").read_text(encoding="utf-8"))
    return found
