"""What would the bot have done on the recorded servers? Templates, bodies and answers of real servers, fed in as data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chatrixcd_threads.commands.call import Call
from chatrixcd_threads.commands.deciding import decide
from chatrixcd_threads.commands.launching import planned
from chatrixcd_threads.commands.tasks import Found
from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.semaphore.gates import differences
from chatrixcd_threads.semaphore.models import Project, Task, Template, decode_one
from chatrixcd_threads.semaphore.wanted import Wanted
from chatrixcd_threads.settings.model import SemaphoreSettings
from chatrixcd_threads.text.vault import Vault

RECORDINGS = Path(__file__).parents[1] / "contract" / "recordings"
NEW, OLD = "sqlite-2.16", "postgres"
VERSIONS = {NEW: (2, 16, 43), OLD: (2, 10, 33)}

GO = ""  # the bot would have posted it
VALUES = "it needs values for"
NUMBER = "is no whole number"
BARRED = "is not passed on"

# Store and scenario -> for every well-formed body that became a task, in their order: what the refusal says, or GO.
EXPECTED: dict[tuple[str, str], tuple[str, ...]] = {
    (NEW, "build-deploy"): (GO, GO, "Name one with --build", GO, GO, GO, GO),
    (OLD, "build-deploy"): (GO, GO, "Name one with --build", GO, GO, GO),
    (NEW, "survey"): (
        GO, GO, VALUES, VALUES, NUMBER, GO, "who: a value is needed", GO, "password is a secret", VALUES, VALUES,
        NUMBER, GO,
    ),
    (OLD, "survey"): (
        GO, VALUES, VALUES, NUMBER, GO, "who: a value is needed", GO, "password is a secret", GO,
    ),
    (NEW, "ignored-fields"): (
        "--limit is not allowed here: Semaphore would run on ALL hosts", BARRED, "--limit: bash has nothing like it",
        "--args is not allowed here", GO, "gives terraform no arguments", GO, "--branch is not allowed here",
        "--branch is not allowed here", GO, GO, GO, "--inventory is not allowed here",
        "--limit: terraform has nothing like it", "--dry-run: bash has nothing like it",
    ),
    (OLD, "ignored-fields"): (
        GO, BARRED, "--args is not allowed here", GO, "gives terraform no arguments", GO, GO, GO, GO, GO,
    ),
    (NEW, "run-ansible-limit"): (
        "--debug is not allowed here", "--tags is not allowed here", GO, GO, GO, GO, GO, GO, GO, BARRED, GO, GO, GO, GO,
        "--skip-tags is not allowed here", GO, "Semaphore would run on db1 (the template's own limit)", GO, GO,
    ),
    (OLD, "run-ansible-limit"): (GO, GO, GO, GO, BARRED, GO),
    (NEW, "terraform-confirm"): (GO, GO),
    (OLD, "terraform-confirm"): (GO, GO),
}  # fmt: skip

WAITS, SENT, NOT = "waiting_confirmation", True, False

# Store and scenario -> every recorded answer to a plan: (task, answer, what the task was then, would the bot have sent it).
ANSWERS: dict[tuple[str, str], tuple[tuple[int, str, str, bool], ...]] = {
    (NEW, "terraform-confirm"): (
        (50, "confirm", WAITS, SENT), (50, "confirm", "confirmed", NOT), (50, "confirm", "success", NOT),
        (50, "reject", "success", NOT),
    ),
    (OLD, "terraform-confirm"): (
        (34, "confirm", WAITS, SENT), (34, "confirm", "confirmed", NOT), (34, "confirm", "success", NOT),
        (34, "reject", "success", NOT),
    ),
    (NEW, "terraform-confirm-early"): (
        (84, "confirm", "running", NOT),  # the plan was still being made: it was applied unseen
        (85, "confirm", "stopping", NOT),  # after a stop: it was applied all the same
        (87, "confirm", WAITS, SENT),
    ),
    (OLD, "terraform-confirm-early"): (
        (133, "confirm", "running", NOT), (134, "confirm", "stopping", NOT), (136, "confirm", WAITS, SENT),
    ),
    (NEW, "terraform-stop-in-confirmation"): ((83, "confirm", "stopped", NOT),),
    (OLD, "terraform-stop-in-confirmation"): ((39, "confirm", "stopped", NOT),),
    (NEW, "terraform-reject"): (
        (68, "reject", WAITS, SENT), (68, "reject", "rejected", NOT), (68, "reject", "error", NOT),
        (69, "reject", WAITS, SENT), (69, "confirm", "rejected", NOT),  # it was applied although it had been rejected
        (70, "confirm", WAITS, SENT), (70, "reject", "confirmed", NOT), (71, "reject", "starting", NOT),
        (72, "reject", "starting", NOT),  # a shell job, which stays `rejected` for ever
    ),
}  # fmt: skip


def lines(store: str, scenario: str) -> Iterator[dict[str, Any]]:
    for text in (RECORDINGS / store / f"{scenario}.jsonl").read_text("utf-8").splitlines():
        yield json.loads(text)


def templates(store: str, scenario: str) -> dict[int, Template]:
    """The single templates as this server showed them, and as the scenario changed them."""
    found: dict[int, Template] = {}
    for name in ("setup", "lists", scenario):
        for line in lines(store, name):
            body = line["response"].get("body") if line["kind"] == "http" else None
            if isinstance(body, dict) and {"playbook", "repository_id", "name"} <= set(body):
                found[body["id"]] = decode_one(json.dumps(body), Template)
    return found


def posts(store: str, scenario: str) -> list[tuple[dict[str, Any], Task]]:
    """The well-formed bodies that became a task, with the answer to each."""
    found = []
    for line in lines(store, scenario):
        if line["kind"] != "http" or line["response"].get("status") != 201:
            continue
        body = line["request"].get("body")
        if (
            line["request"]["method"] == "POST"
            and line["request"]["path"].endswith("/tasks")
            and isinstance(body, dict)
        ):
            found.append((body, decode_one(json.dumps(line["response"]["body"]), Task)))
    return found


def wished(body: dict[str, Any]) -> Wanted:
    """What somebody wanted who sent this, in the options of the bot. Values of variables are text, as it sends them."""
    params = body.get("params") or {}

    def texts(name: str) -> tuple[str, ...]:
        return tuple(each for each in params.get(name) or () if each)

    def either(name: str) -> bool:
        return bool(params.get(name) or body.get(name))

    old = tuple(each.strip() for each in (body.get("limit") or "").split(",") if each.strip())
    return Wanted(
        limit=texts("limit") or old,
        tags=texts("tags"),
        skip_tags=texts("skip_tags"),
        branch=body.get("git_branch") or "",
        inventory=body.get("inventory_id"),
        variables={name: str(value) for name, value in json.loads(body.get("environment") or "{}").items()},
        debug=(params.get("debug_level") or 4) if either("debug") else 0,
        dry_run=either("dry_run"),
        diff=either("diff"),
        arguments=tuple(json.loads(body.get("arguments") or "[]")),
        build=body.get("build_task_id"),
    )


def decision(
    store: str, template: Template, wanted: Wanted, secrets: Mapping[str, str] | None = None
) -> tuple[str, dict[str, Any]]:
    """The refusal, or nothing and the body that the bot would have sent, but for the secrets that somebody told it."""
    vault = Vault()
    for name, value in (secrets or {}).items():
        vault.keep("token", name, value, 60.0)
    build = template.build_template_id or 0  # the builds of the recordings were good ones
    semaphore = SimpleNamespace(
        server_version=lambda: VERSIONS[store],
        inventories=lambda project: [],
        task=lambda project, number: Task(id=number, template_id=build, status="success"),
    )
    settings = SimpleNamespace(semaphore=SemaphoreSettings())
    tools = SimpleNamespace(semaphore=semaphore, settings=settings, vault=vault)
    call = cast(Call, SimpleNamespace(tools=tools, prefix="!cd"))
    try:
        plan, _ = planned(call, Project(1), template, wanted, "token")
    except UserError as error:
        return error.sentence, {}
    return "", dict(plan.body)


def told(body: dict[str, Any]) -> dict[str, str]:
    """The secrets that were sent with it. One recorded body holds text that is no JSON: nobody can tell the bot that."""
    secret = body.get("secret") or "{}"
    return json.loads(secret) if secret.startswith("{") else {}


@pytest.mark.parametrize(("store", "scenario"), EXPECTED, ids=lambda part: str(part))
def test_what_was_recorded_is_decided_as_it_should_have_been(store: str, scenario: str) -> None:
    known = templates(store, scenario)
    recorded = posts(store, scenario)
    assert len(recorded) == len(EXPECTED[store, scenario])
    for number, ((body, answer), says) in enumerate(zip(recorded, EXPECTED[store, scenario], strict=True)):
        refusal, sent = decision(store, known[body["template_id"]], wished(body), told(body))
        assert bool(refusal) == bool(says), (number, body, refusal)
        assert says in refusal, (number, body, refusal)
        assert sent.get("params") != {}, "an empty list would clear the template's own"
        if not refusal and wished(body) == Wanted():
            assert differences(sent, answer) == [], (number, body)


@dataclass
class Played:
    """One recorded scenario of plans, as the bot would have met it."""

    states: list[tuple[float, int, str]] = field(default_factory=list)
    orders: list[tuple[float, int, str]] = field(default_factory=list)


def played(store: str, scenario: str) -> Played:
    found = Played()
    for line in lines(store, scenario):
        if line["kind"] == "ws" and line.get("event") == "message" and line["data"]["type"] == "update":
            found.states.append((line["t"], line["data"]["task_id"], line["data"]["status"]))
        elif line["kind"] == "http":
            verb = line["request"]["path"].rpartition("/")[2]
            sent, body = line["t"] - line["response"].get("ms", 0) / 1000, line["response"].get("body")
            if line["request"]["method"] == "POST" and verb in ("confirm", "reject", "stop") and line["as"] != "guest":
                found.orders.append((sent, int(line["request"]["path"].split("/")[-2]), verb))
            elif line["request"]["method"] == "GET" and isinstance(body, dict) and "status" in body:
                found.states.append((line["t"], body["id"], body["status"]))
    found.states.sort()
    return found


@pytest.mark.parametrize(("store", "scenario"), ANSWERS, ids=lambda part: str(part))
def test_a_recorded_answer_to_a_plan_is_sent_only_where_it_can_do_no_harm(
    store: str, scenario: str, tmp_path: Path
) -> None:
    one = played(store, scenario)
    found = []
    for at, task, verb in one.orders:
        if verb == "stop":
            continue
        before = [status for moment, number, status in one.states if number == task and moment < at]
        if before:  # the bot finds no task otherwise
            found.append((task, verb, before[-1], sends(store, task, verb, before[-1], tmp_path)))
    assert tuple(found) == ANSWERS[store, scenario]


@pytest.mark.parametrize("store", [NEW, OLD])
def test_a_plan_that_waits_still_but_was_asked_to_stop_here_is_not_confirmed(store: str, tmp_path: Path) -> None:
    """The stop's effect may come later than the confirmation."""
    with_stop = tmp_path / "stop"
    with_stop.mkdir()
    assert not sends(store, 1, "confirm", WAITS, with_stop, stopper="@bo:x")


def sends(store: str, task: int, verb: str, status: str, folder: Path, stopper: str = "") -> bool:
    """Whether anything is sent to Semaphore for this answer to a task in this status."""
    sent: list[str] = []
    semaphore = SimpleNamespace(
        server_version=lambda: VERSIONS[store],
        confirm=lambda project, number: sent.append("confirm"),
        reject=lambda project, number: sent.append("reject"),
        stop=lambda project, number, force: sent.append("stop"),
    )
    journal = Journal(folder / f"{task}-{verb}-{status}.sqlite3")
    try:
        if stopper:
            with journal.write() as tx:
                launches.follow_stop(
                    tx, project_id=1, task_id=task, template_name="x", room_id="!r", thread=None, person=stopper,
                    slot="answer:$1",
                )  # fmt: skip
        tools = SimpleNamespace(semaphore=semaphore, journal=journal, follow_now=lambda: None, now=lambda: 0.0)
        call = cast(Call, SimpleNamespace(tools=tools, sender="@ann:x", event_id="$e", seq=1, late=0.0, prefix="!cd"))
        decide(call, Found(1, Task(id=task, status=status)), apply=verb == "confirm")
    except UserError:
        assert sent == []
    finally:
        journal.close()
    return bool(sent)
