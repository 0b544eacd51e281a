"""What the newer profiles do otherwise than 2.16, each with its place in NEWER.md; and what no profile claims."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from chatrixcd_threads.demo.semaphore import MISCHIEFS, PROFILES, Standin, options
from tests.unit.demo.semaphore.test_standin import BROKEN, HELLO, INFRA, LONG, Client, over, until

SITE = 6
NEWER = ("2.16", "2.17", "2.19", "2.20")


def used(profile: str, task: dict[str, Any], **template: Any) -> options.Used:
    return options.used(PROFILES[profile], task, {"app": "ansible", "playbook": "x.yml", **template})


@pytest.mark.parametrize("profile", NEWER)
def test_row_1_hidden_options_are_dropped_at_head_only(profile: str) -> None:
    asked = {"params": {"dry_run": True, "diff": True}}
    hidden = used(profile, asked, task_params={"hide_dry_run": True, "hide_diff": True})
    assert (hidden.dry_run, hidden.diff) == ((False, False) if profile == "2.20" else (True, True))
    shown = used(profile, asked)
    assert (shown.dry_run, shown.diff) == (True, True)


@pytest.mark.parametrize("profile", NEWER)
def test_rows_2_to_6_are_the_same_in_every_newer_version(profile: str) -> None:
    assert not used(profile, {"dry_run": True, "diff": True, "debug": True}).dry_run
    assert used(profile, {"params": {"limit": ["a"]}}).limit == ()
    open_ = {"limit": ["web1"], "allow_override_limit": True}
    assert used(profile, {"params": {"limit": []}}, task_params=open_).limit == ()
    assert used(profile, {"params": {"limit": None}}, task_params=open_).limit == ("web1",)
    assert used(profile, {"params": {"destroy": True}}, app="terraform").destroy


@pytest.mark.parametrize("profile", NEWER)
def test_row_9_the_branch_needs_its_flag_at_head(profile: str) -> None:
    asked = {"git_branch": "fix", "commit_hash": "abc"}
    obeyed = options.source(PROFILES[profile], asked, {})
    assert bool(obeyed["git_branch"]) == bool(obeyed["commit_hash"]) == (profile != "2.20")
    assert options.source(PROFILES[profile], asked, {"allow_override_branch_in_task": True}) == asked


def test_section_2_values_and_arguments_reach_terraform_and_shell() -> None:
    flags = {"app": "terraform", "allow_override_args_in_task": True}
    task = {"arguments": '["-parallelism=2"]'}
    assert used("2.16", task, **flags).arguments == ()
    assert used("2.17", task, **flags).arguments == ("-parallelism=2",)
    assert options.as_argument(PROFILES["2.19"], "on", True) == "on=%!s(bool=true)"
    assert options.as_argument(PROFILES["2.20"], "on", True) == "on=true"
    assert options.as_argument(PROFILES["2.20"], "text", "1") == "text=1"


@pytest.mark.parametrize("profile", ["2.16", "2.20"])
def test_section_2_3_answers_to_a_post(profile: str) -> None:
    with Standin(profile, tick=0.02) as standin:
        client = Client(standin)
        head = profile == "2.20"
        nothing = client.ask("POST", "/api/project/1/tasks", {})
        assert nothing == ((400, {"error": "template_id or template_name is required"}) if head else (404, ""))
        status, made = client.ask("POST", "/api/project/1/tasks", {"template_name": "Hello"})
        assert status == (201 if head else 404)
        status, made = client.ask("POST", "/api/project/1/tasks", {"template_id": HELLO})
        assert ("secret" in made) is not head
        assert client.ask("POST", "/api/project/1/tasks", "no object", who="guest")[0] == (400 if head else 403)
        assert client.ask("POST", "/api/project/1/tasks", {"template_id": HELLO}, who="guest")[0] == 403
        assert client.ask("POST", "/api/project/1/tasks", {"template_name": "Nobody"})[0] == 404


def test_section_3_pages_permissions_and_groups() -> None:
    with Standin(replace(PROFILES["2.19"], slow_flush=0.0), tick=0.02) as standin:
        client = Client(standin)
        made = [client.run(HELLO) for _ in range(3)]
        status, rows = client.ask("GET", f"/api/project/1/tasks/last?count=1&limit=9&before={made[-1]}")
        assert (status, [row["id"] for row in rows]) == (200, [made[1]])
        template = client.ask("GET", f"/api/project/1/templates/{SITE}")[1]
        assert template["permissions"] == 1
        assert template["environment_ids"] == [template["environment_id"]]
        whole = client.ask("GET", f"/api/project/1/templates/{SITE}", who="admin")[1]
        for sent, kept in (({"environment_ids": []}, 0), ({"environment_id": 2}, 2)):
            body = {key: value for key, value in whole.items() if not key.startswith("environment")}
            assert client.ask("PUT", f"/api/project/1/templates/{SITE}", {**body, **sent}, who="admin")[0] == 204
            assert client.ask("GET", f"/api/project/1/templates/{SITE}")[1]["environment_id"] == kept
        until(lambda: all(over(client, number) for number in made))
        lines = client.ask("GET", f"/api/project/1/tasks/{made[0]}/output")[1]
        assert {(row["id"], row["stage_id"]) for row in lines} == {(0, None)}


def test_section_4_stop_all_works_and_is_silent_for_what_waits() -> None:
    with Standin("2.19", tick=0.02) as standin:
        client = Client(standin)
        first, second = client.run(LONG), client.run(LONG)
        until(lambda: client.task(first)["status"] == "running")
        path = f"/api/project/1/templates/{LONG}/stop_all_tasks"
        assert client.ask("POST", path, who="manager") == (400, {"error": "Not allowed"})
        assert client.ask("POST", path, {"force": False}, who="manager")[0] == 204
        assert client.task(second)["status"] == "stopped"
        until(lambda: over(client, first))
        assert client.task(first)["status"] == "stopped"


@pytest.mark.parametrize("profile", ["2.16", "2.19"])
def test_row_12_a_graceful_stop_at_the_confirmation(profile: str) -> None:
    with Standin(profile, tick=0.02) as standin:
        client = Client(standin)
        number = client.run(INFRA)
        until(lambda: client.task(number)["status"] == "waiting_confirmation")
        client.ask("POST", f"/api/project/1/tasks/{number}/stop", {"force": False})
        if profile == "2.16":
            client.ask("POST", f"/api/project/1/tasks/{number}/stop", {"force": True})
        until(lambda: over(client, number))
        assert client.task(number)["status"] == "stopped"


def test_section_4_a_stubborn_job_is_killed_some_seconds_after_the_stop(tmp_path: Path) -> None:
    (tmp_path / "deaf.sh").write_text("trap '' TERM\necho deaf\nwhile :; do sleep 0.05; done\n", encoding="utf-8")
    content: dict[str, Any] = {
        "users": [{"as": "runner", "login": "r", "name": "r", "email": "r@x", "admin": True, "role": None}],
        "projects": [{"name": "P"}],
        "repositories": [{"name": "d", "git_url": "d", "git_branch": "main", "ssh_key_id": "@key:None"}],
        "templates": [{"name": "Deaf", "app": "bash", "playbook": "deaf.sh", "repository_id": "@repository:d"}],
        "folders": {"d": str(tmp_path)},
    }
    with Standin(replace(PROFILES["2.20"], term_seconds=0.4, slow_flush=0.0), content, tick=0.02) as standin:
        client = Client(standin)
        number = client.run(1)
        until(lambda: "deaf" in client.lines(number))
        client.ask("POST", f"/api/project/1/tasks/{number}/stop", {"force": False})
        assert client.task(number)["status"] == "stopping"
        until(lambda: over(client, number))
        assert client.task(number)["status"] == "stopped"


def test_section_7_tokens_have_names_and_ends() -> None:
    with Standin("2.19") as standin:
        client = Client(standin)
        body = {"name": "bot", "expires_at": "2100-01-01T00:00:00Z"}
        status, made = client.ask("POST", "/api/user/tokens", body)
        assert (status, made["name"], made["expires_at"]) == (201, "bot", body["expires_at"])
        assert client.ask("POST", "/api/user/tokens", {"expires_at": "2020-01-01T00:00:00Z"})[0] == 400
        assert client.ask("POST", "/api/user/tokens")[0] == 201


def test_what_is_not_known_of_a_newer_version_stays_as_in_216() -> None:
    """Names that NEWER.md gives no newer behaviour for are not touched by any newer profile."""
    told = {
        "name", "version", "stop_all_works", "terraform_arguments", "body_before_role", "template_permissions",
        "stage_ids", "slow_flush", "task_pages", "group_lists", "stop_all_silent", "stop_ends_asking", "token_names",
        "hide_flags", "branch_flag", "plain_values", "free_variables", "post_secret", "template_names",
        "starting_seconds", "term_seconds",
    }  # fmt: skip
    base = PROFILES["2.16"]
    for name in ("2.17", "2.19", "2.20"):
        changed = {each.name for each in fields(base) if getattr(PROFILES[name], each.name) != getattr(base, each.name)}
        assert changed <= told, name


def test_every_mischief_shows_what_was_asked_or_says_so() -> None:
    shown = {"id": 1, "template_id": 1, "params": {"limit": ["a"]}}
    for name, mischief in MISCHIEFS.items():
        lies = bool(mischief.answers)
        assert (mischief.answered(shown) != shown) is lies, name
        assert (mischief.stored({"limit": ["a"]}) != {"limit": ["a"]}) is bool(mischief.renames), name
    assert MISCHIEFS["drops-limit"].got({"limit": "a", "params": {"limit": ["a"], "diff": True}}) == {
        "params": {"diff": True}
    }


def test_short_jobs_lose_everything_and_long_ones_their_end() -> None:
    with Standin(tick=0.02) as standin:
        standin.mischief("loses-short-logs")
        client = Client(standin)
        number = client.run(BROKEN)
        until(lambda: over(client, number))
        assert not any(line.startswith("ERROR") for line in client.lines(number))
