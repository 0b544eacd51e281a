"""The output as witness: what it proves, what it contradicts, and where it says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.semaphore.evidence import Expected, changed_hosts, failed_hosts, hosts_of, judge, may_turn

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
INVENTORY = (
    "[web]\nweb1\nweb2 ansible_port=1\n\n[db]\ndb[01:03]  # three\n\n[all:vars]\nx=1\n\n[site:children]\nweb\ndb\n"
)
LIMITED = Expected(family="ansible", limit=("web1",), hosts=("web1",))


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        (("web1",), ("web1",)),
        (("web",), ("web1", "web2")),
        (("db01", "web"), ("db01", "web1", "web2")),
        (("site",), ("db01", "db02", "db03", "web1", "web2")),
        (("db*",), ("db01", "db02", "db03")),
        (("nowhere",), ("nowhere",)),
        (("web:!web1",), None),
        (("~we.*",), None),
        (("all",), ("db01", "db02", "db03", "web1", "web2")),
        (("web[0]",), None),  # to ansible the first of the group
        (("db[0:1]",), None),
        (("web1, db01", " db02 "), ("db01", "db02", "web1")),  # as a template may hold them
    ],
)
def test_a_limit_as_hosts(limit: tuple[str, ...], hosts: tuple[str, ...] | None) -> None:
    assert hosts_of(limit, INVENTORY) == hosts


@pytest.mark.parametrize(
    ("inventory", "hosts"),
    [
        ("[web]\nweb1:2222 x=1\nweb[2:3]:22\n", ("web1", "web2", "web3")),
        ("[web.org]\na\n[other]\nweb.org\n[web:children]\nweb.org\n", ("a",)),
        ("[web]\nweb[01:10:2]\n", None),  # what is not understood is not guessed
        ("[web]\nweb[A:C]\n", None),
        ("[web]\nweb[1:20000]\n", None),
        ("[web]\nweb[3:1]\n", None),
        ("[web]\nn[0:9999][0:9999]\n", None),
        ("[web]\n[2001:db8::1]:22\nb\n", None),
        ("[web]\n2001:db8::1\n", None),
    ],
)
def test_hosts_of_a_group_are_named_as_ansible_names_them(inventory: str, hosts: tuple[str, ...] | None) -> None:
    assert hosts_of(("web",), inventory) == hosts


def test_a_host_that_is_called_like_a_group_belongs_to_a_limit_of_that_name() -> None:
    assert hosts_of(("web.org",), "[web.org]\na\n[other]\nweb.org\n") == ("a", "web.org")


@pytest.mark.parametrize("text", ["", "inventories/prod", "all:\n  hosts:\n    web1:\n", "---\nall: {}\n"])
def test_other_inventories_tell_nothing(text: str) -> None:
    assert hosts_of(("web1",), text) in (None, ("web1",))
    assert text == "inventories/prod" or hosts_of(("web",), text) is None


@pytest.mark.parametrize(
    "line",
    [
        "ok: [db1]", "changed: [db1] => {", "\x1b[0;36mskipping: [db1]\x1b[0m", 'fatal: [db1]: UNREACHABLE! => {"msg": "x"}',
        "changed: [db1 -> web1]", "db1                        : ok=2    changed=0    unreachable=0    failed=0    skipped=0",
        "TASK [x] ***\nok: [web1]\nok: [db1]",
    ],
)  # fmt: skip
def test_any_line_of_a_stranger_contradicts(line: str) -> None:
    assert "db1, which is not in the limit (web1)" in judge(LIMITED, ["PLAY [x] ****", line]).against


@pytest.mark.parametrize(
    "lines",
    [
        ["ok: [web1]"],  # the step may go on to others
        ["msg: ok: [db1]"],
        ["PLAY [x] *****", "TASK [y] *****"],
        [],
        ["nothing of this kind"],
        [
            "  stdout: |-",
            "    ok: [db1]",
            "    db1 : ok=2    changed=0    unreachable=0    failed=0",
        ],  # ansible in ansible
    ],
)
def test_silence_is_no_proof(lines: list[str]) -> None:
    verdict = judge(LIMITED, lines)
    assert (verdict.against, verdict.shown, verdict.silent) == ("", (), ("limit web1",))
    assert may_turn(LIMITED, verdict)


def test_a_finished_step_shows_the_limit() -> None:
    assert judge(LIMITED, ["TASK [a] ***", "ok: [web1]", "TASK [b] ***"]).shown == ("limit web1",)


def test_a_further_play_can_still_leave_the_limit() -> None:
    lines = ["PLAY [a] ***", "TASK [a] ***", "ok: [web1]", "PLAY [b] ***"]
    assert may_turn(LIMITED, judge(LIMITED, lines))
    later = judge(LIMITED, [*lines, "TASK [b] ***", "ok: [db1]"])
    assert "db1" in later.against
    assert not may_turn(LIMITED, later)


def test_what_can_never_be_contradicted_is_not_read_on() -> None:
    """Tags and branches leave nothing in the log that could be held against them."""
    wishes = (
        Expected(family="ansible", tags=("a",)),
        Expected(family="ansible", limit=("web:!web1",)),
        Expected(family="script", branch="fix"),
    )
    assert not any(may_turn(each, judge(each, [])) for each in wishes)
    assert judge(wishes[0], ["TASK [x] ***", "ok: [web1]"]).silent == ("tags a",)


def test_a_plan_that_is_shown_can_still_be_applied() -> None:
    plan = Expected(family="terraform", check=True)
    assert may_turn(plan, judge(plan, ["Plan: 1 to add, 0 to change"]))
    marked = Expected(family="ansible", check=True)
    assert not may_turn(marked, judge(marked, ["PLAY [x] [CHECK MODE] ***"]))


def test_a_limit_that_cannot_be_resolved_is_never_confirmed() -> None:
    verdict = judge(Expected(family="ansible", limit=("web:!web1",)), ["ok: [web1]", "PLAY RECAP ***"])
    assert (verdict.against, verdict.silent) == ("", ("limit web:!web1",))


DRY = Expected(family="ansible", check=True)


def test_a_dry_run_is_shown_by_its_marks_alone() -> None:
    assert judge(DRY, ["PLAY [x] [CHECK MODE] ***", "changed: [a]"]).shown == ("dry run",)
    assert judge(DRY, ["PLAY [x] ***", "changed: [a]"]).silent == ("dry run",)
    marked = Expected(family="ansible", check=True, marked=True)
    assert "not marked as a dry run" in judge(marked, ["PLAY [x] ***"]).against
    assert judge(marked, ["PLAY [x] [CHECK MODE] ***"]).shown == ("dry run",)


def test_a_command_that_really_ran_contradicts_a_dry_run() -> None:
    line = 'changed: [a] => {"changed": true, "cmd": ["id"], "delta": "0:00:00.004"}'
    assert "a command was really run" in judge(DRY, [line]).against
    assert judge(Expected(family="ansible"), [line]).against == ""


@pytest.mark.parametrize("line", ["Apply complete! Resources: 1 added.", "x_y.z: Creating...", "x_y.z: Destroying..."])
def test_a_plan_that_applies_is_stopped(line: str) -> None:
    assert (
        "it applies, although only a plan was asked for"
        in judge(Expected(family="terraform", check=True), [line]).against
    )


def test_a_plan_is_shown_by_its_sum() -> None:
    assert judge(Expected(family="terraform", check=True), ["Plan: 1 to add, 0 to change"]).shown == ("dry run",)


def test_a_branch_is_never_proven_by_the_log() -> None:
    assert judge(Expected(family="script", branch="fix"), ["whatever"]).silent == ("branch fix",)


def test_hosts_that_failed_and_that_were_changed() -> None:
    lines = [
        "changed: [a]",
        "changed: [b]\nok: [c]",
        "a : ok=1 changed=1 unreachable=0 failed=1",
        "b : ok=1 changed=1 unreachable=0 failed=0",
    ]
    assert failed_hosts(lines) == ("a",)
    assert changed_hosts(lines) == ("a", "b")


def recorded(name: str) -> list[tuple[dict[str, object], list[str]]]:
    """Every task of a recording of 2.16 with its last output: (the body that was posted, the lines)."""
    posts: dict[int, dict[str, object]] = {}
    outputs: dict[int, list[str]] = {}
    for text in (RECORDINGS / "sqlite-2.16" / f"{name}.jsonl").read_text("utf-8").splitlines():
        line = json.loads(text)
        if line["kind"] != "http" or not isinstance(line["response"].get("body"), dict | list):
            continue
        path, body = line["request"]["path"], line["response"]["body"]
        if line["request"]["method"] == "POST" and path.endswith("/tasks") and isinstance(body, dict):
            posts[body["id"]] = line["request"]["body"]
        elif path.endswith("/output") and isinstance(body, list):
            outputs[int(path.split("/")[-2])] = [each["output"] for each in body if "output" in each]  # some are cut
    return [(posts[number], lines) for number, lines in outputs.items() if number in posts]


def test_real_runs_give_the_verdicts_that_their_limits_deserve() -> None:
    """Recorded on 2.16.43: template Site has no flags, so its limit was dropped and all three hosts were touched."""
    seen = set()
    for posted, lines in recorded("run-ansible-limit"):
        params: Any = posted.get("params")
        asked: Any = posted.get("limit") or (params.get("limit") if isinstance(params, dict) else None) or ()
        limit = (asked,) if isinstance(asked, str) else tuple(asked)
        if not limit:
            continue
        hosts = hosts_of(limit, "[web]\nweb1\nweb2\n[db]\ndb1\n")
        verdict = judge(Expected(family="ansible", limit=limit, hosts=hosts), lines)
        seen.add((limit, bool(verdict.against), bool(verdict.shown)))
    assert any(against for _, against, _ in seen), seen
    assert any(shown and not against for _, against, shown in seen), seen
