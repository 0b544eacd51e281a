"""The door of the Semaphore stand-in: life, faults, stop, restart, what is left behind."""

import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import psutil
import pytest

from chatrixcd_threads.demo.semaphore import PROFILES, Fault, Profile, Standin, StandinError

PATIENCE = 30.0
HELLO, LONG, BROKEN, INFRA = 1, 3, 4, 7


class Client:
    """A small client for one stand-in."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin

    def ask(
        self, method: str, path: str, body: Any = None, who: str = "runner", timeout: float = 5.0
    ) -> tuple[int, Any]:
        """One request; the parsed answer or its text."""
        connection = http.client.HTTPConnection(self.standin.url.removeprefix("http://"), timeout=timeout)
        try:
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, raw, {"Authorization": f"Bearer {self.standin.token(who)}"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def run(self, template: int, **more: Any) -> int:
        """Start a task."""
        status, body = self.ask("POST", "/api/project/1/tasks", {"template_id": template, **more})
        assert status == 201
        return int(body["id"])

    def task(self, number: int) -> dict[str, Any]:
        """The task as the API shows it."""
        status, body = self.ask("GET", f"/api/project/1/tasks/{number}")
        assert status == 200
        found: dict[str, Any] = body
        return found

    def lines(self, number: int) -> list[str]:
        """The output."""
        return [row["output"] for row in self.ask("GET", f"/api/project/1/tasks/{number}/output")[1]]


def until(true: Callable[[], bool]) -> None:
    """Poll a condition."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def over(client: Client, number: int) -> bool:
    """Has the task an end?"""
    return bool(client.task(number).get("end"))


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_hello_and_broken_deploy(profile: str) -> None:
    with Standin(profile, tick=0.02) as standin:
        client = Client(standin)
        good, bad = client.run(HELLO, message="asked by ada"), client.run(BROKEN)
        until(lambda: over(client, good) and over(client, bad))
        assert client.task(good)["status"] == "success"
        assert client.task(good)["message"] == "asked by ada"
        until(lambda: client.lines(good)[-1] == "everybody has been greeted")  # 2.17 writes half a second later
        assert client.task(bad)["status"] == "error"
        last = client.lines(bad)[-2:]
        assert last[0].startswith("ERROR")
        assert last[1].endswith("exit status 3")
        assert [row["id"] for row in standin.tasks()] == [good, bad]


def test_terraform_asks_and_is_confirmed() -> None:
    with Standin(tick=0.02) as standin:
        client = Client(standin)
        number = client.run(INFRA)
        until(lambda: client.task(number)["status"] == "waiting_confirmation")
        assert any("Plan:" in line for line in client.lines(number))
        assert client.ask("POST", f"/api/project/1/tasks/{number}/confirm", {})[0] == 204
        until(lambda: over(client, number))
        assert client.task(number)["status"] == "success"


@pytest.mark.parametrize(("profile", "ends"), [("2.10", "error"), ("2.16", "stopped")])
def test_graceful_stop_of_a_running_job(profile: str, ends: str) -> None:
    with Standin(profile, tick=0.02) as standin:
        client = Client(standin)
        number = client.run(LONG)
        until(lambda: "tick 1 of 60" in client.lines(number))
        assert client.ask("POST", f"/api/project/1/tasks/{number}/stop", {"force": False})[0] == 204
        until(lambda: over(client, number))
        assert client.task(number)["status"] == ends


def test_stop_needs_a_body_and_an_existing_task() -> None:
    with Standin(tick=0.02) as standin:
        client = Client(standin)
        number = client.run(HELLO)
        assert client.ask("POST", f"/api/project/1/tasks/{number}/stop") == (400, "")
        assert client.ask("POST", "/api/project/1/tasks/99/stop", {}) == (400, "")
        assert client.ask("POST", f"/api/project/1/tasks/{number}/stop", {}, who="guest") == (403, "")
        assert client.ask("POST", f"/api/project/1/tasks/{number}/stop", {}, who="outsider") == (404, "")


def test_restart_leaves_rows_as_they_were() -> None:
    with Standin(tick=0.02) as standin:
        client = Client(standin)
        first, second = client.run(LONG), client.run(LONG)
        until(lambda: client.task(first)["status"] == "running")
        standin.restart()
        assert [row["status"] for row in standin.tasks()] == ["running", "waiting"]
        assert client.ask("GET", "/api/tasks", who="admin") == (200, [])
        assert client.ask("POST", f"/api/project/1/tasks/{first}/confirm", {}) == (400, "")
        assert client.ask("POST", f"/api/project/1/tasks/{second}/stop", {"force": False})[0] == 204
        assert client.task(second)["status"] == "stopped"
        assert "end" not in client.task(second)
        third = client.run(HELLO)
        until(lambda: over(client, third))


def test_dropped_limit_is_shown_but_not_used() -> None:
    with Standin(tick=0.02) as standin:
        client = Client(standin)
        site = 6
        status, template = client.ask("GET", f"/api/project/1/templates/{site}", who="manager")
        assert status == 200
        bare = {**template, "task_params": {}}
        asked = {"limit": ["web1"]}
        allowed = client.run(site, params=asked)
        until(lambda: over(client, allowed))
        assert client.ask("PUT", f"/api/project/1/templates/{site}", bare, who="manager")[0] == 204
        dropped = client.run(site, params=asked)
        until(lambda: over(client, dropped))
        assert client.task(dropped)["params"] == asked
        assert not any("web2" in line for line in client.lines(allowed))
        assert any("web2" in line for line in client.lines(dropped))


# --- faults


def test_fault_status_and_count() -> None:
    with Standin() as standin:
        client = Client(standin)
        standin.fault(Fault(method="GET", path="^/api/projects", status=502, body="bad gateway", times=2))
        assert [client.ask("GET", "/api/projects")[0] for _ in range(3)] == [502, 502, 200]


def test_fault_after_the_request_was_carried_out() -> None:
    with Standin(tick=0.02) as standin:
        client = Client(standin)
        standin.fault(Fault(method="POST", path="/tasks$", drop=True, after=True, times=1))
        with pytest.raises((http.client.HTTPException, OSError)):
            client.run(HELLO)
        assert len(standin.tasks()) == 1
        standin.fault(Fault(method="POST", path="/tasks$", drop=True, times=1))
        with pytest.raises((http.client.HTTPException, OSError)):
            client.run(HELLO)
        assert len(standin.tasks()) == 1


def test_fault_hang_drip_and_clear() -> None:
    with Standin() as standin:
        client = Client(standin)
        standin.fault(Fault(path="/ping", hang=30.0))
        with pytest.raises(TimeoutError):
            client.ask("GET", "/api/ping", timeout=0.1)
        standin.clear_faults()
        standin.fault(Fault(path="/ping", drip=0.02))
        before = time.monotonic()
        assert client.ask("GET", "/api/ping") == (200, "pong")
        assert time.monotonic() - before >= 0.05
        standin.clear_faults()
        assert client.ask("GET", "/api/ping") == (200, "pong")


def test_requests_are_remembered() -> None:
    with Standin() as standin:
        client = Client(standin)
        client.ask("GET", "/api/projects?sort=name")
        client.ask("POST", "/api/project/1/tasks", {"template_id": 999})
        assert standin.requests() == [
            ("GET", "/api/projects?sort=name", None),
            ("POST", "/api/project/1/tasks", {"template_id": 999}),
        ]


def test_lost_last_lines() -> None:
    profile = replace(PROFILES["2.16"], lose_last_lines=1.0, lose_seconds=0.1, rng=lambda: Random(1), tick=0.02)
    with Standin(replace(profile, lose_seconds=0.5)) as standin:
        client = Client(standin)
        number = client.run(BROKEN)
        until(lambda: over(client, number))
        lines = client.lines(number)
        assert not any(line.startswith("ERROR") for line in lines)
        assert lines[-1].endswith("exit status 3")


def test_full_log_buffer_hangs_the_queue() -> None:
    slow = replace(PROFILES["2.10"], log_buffer=1, flush_rate=1.0, tick=0.02)
    with Standin(slow) as standin:
        client = Client(standin)
        first = client.run(HELLO)
        until(lambda: client.task(first)["status"] == "running")
        client.run(HELLO)
        with pytest.raises(TimeoutError):
            client.ask("POST", "/api/project/1/tasks", {"template_id": HELLO}, timeout=0.3)
        assert [(row["status"], row["end"]) for row in standin.tasks()] == [
            ("running", None),  # it waits for the buffer to print and to end
            ("waiting", None),
            ("waiting", None),
        ]
        assert client.ask("GET", "/api/ping") == (200, "pong")


# --- what is left behind


def _traces() -> tuple[int, int, int]:
    me = psutil.Process()
    return threading.active_count(), me.num_fds(), len(me.children(recursive=True))


def test_fifty_of_them_leave_nothing() -> None:
    with Standin():
        pass
    before = _traces()
    for _ in range(50):
        with Standin(tick=0.02) as standin:
            Client(standin).ask("GET", "/api/ping")
    assert _traces() == before


def test_exit_ends_jobs_and_their_children() -> None:
    others = set(psutil.Process().children(recursive=True))  # a homeserver of other tests in this worker

    def own() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if child not in others]

    with Standin(tick=0.02) as standin:
        client = Client(standin)
        number = client.run(LONG)
        until(lambda: "tick 1 of 60" in client.lines(number))
        until(lambda: len(own()) >= 2)
        jobs = own()
    gone, alive = psutil.wait_procs(jobs, timeout=PATIENCE)
    assert len(gone) == len(jobs)
    assert not alive


def test_port_is_free_again_and_taken_port_is_an_error() -> None:
    with Standin() as one:
        port = int(one.url.rpartition(":")[2])
        with pytest.raises(StandinError):
            Standin(port=port).__enter__()
    with Standin(port=port) as other:
        assert Client(other).ask("GET", "/api/ping") == (200, "pong")


def test_own_profile_and_content() -> None:
    mine: Profile = replace(PROFILES["2.16"], version="v9.9.9-abc-1")
    content = {
        "users": [{"as": "admin", "login": "root", "name": "Root", "email": "r@example.org", "admin": True}],
        "projects": [{"name": "Only"}],
        "repositories": [{"name": "r", "git_url": "here", "git_branch": "main", "ssh_key_id": "@key:None"}],
        "templates": [{"name": "T", "app": "bash", "playbook": "t.sh", "repository_id": "@repository:r"}],
        "folders": {"here": os.curdir},
    }
    with Standin(mine, content) as standin:
        client = Client(standin)
        assert client.ask("GET", "/api/info", who="root")[1]["version"] == "v9.9.9-abc-1"
        assert [t["name"] for t in client.ask("GET", "/api/project/1/templates", who="admin")[1]] == ["T"]
