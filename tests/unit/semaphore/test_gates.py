"""What this server would really use: every row of the table of dangers that a client can meet (NEWER.md 1 and 2.1)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrixcd_threads.semaphore.gates import GATES, Ignored, Version, differences, openings, work_out
from chatrixcd_threads.semaphore.models import Task, Template
from chatrixcd_threads.semaphore.wanted import Wanted

V210, V212, V216, V217, V219, V220 = (2, 10, 33), (2, 12, 4), (2, 16, 43), (2, 17, 15), (2, 19, 12), (2, 20, 0)
NEW: tuple[Version | None, ...] = (V216, V217, V219, V220, (2, 99, 0), (3, 0, 0), None)
EVERY: tuple[Version | None, ...] = (V210, *NEW)

OPEN = {
    "allow_override_limit": True, "allow_override_tags": True, "allow_override_skip_tags": True,
    "allow_override_inventory": True, "allow_debug": True, "allow_destroy": True, "allow_auto_approve": True,
}  # fmt: skip


def template(app: str = "ansible", *, open_: bool = False, **more: Any) -> Template:
    facts: dict[str, Any] = {"environment_id": 1} | more
    if open_:
        facts |= {"task_params": OPEN, "allow_override_args_in_task": True, "allow_override_branch_in_task": True}
    return Template(id=7, project_id=1, name="Site", app=app, **facts)


def refusal(wanted: Wanted, made: Template, version: Version | None) -> str:
    with pytest.raises(Ignored) as caught:
        work_out(wanted, made, version)
    return caught.value.sentence


# (row of NEWER.md table 1, what is wanted, app, what the refusal must say)
DROPPED = [
    ("4", Wanted(limit=("web1",)), "ansible", "run on ALL hosts of the inventory"),
    ("4", Wanted(tags=("a",)), "ansible", "run everything, whatever its tags"),
    ("4", Wanted(skip_tags=("a",)), "ansible", "skip nothing of that"),
    ("3", Wanted(debug=3), "ansible", "run without the details"),
    ("17", Wanted(inventory=4), "ansible", "use the template's own inventory"),
    ("9", Wanted(branch="fix"), "ansible", "use the template's own branch"),
    ("9", Wanted(branch="fix"), "bash", "use the template's own branch"),
    ("3", Wanted(arguments=("-f", "3")), "bash", "run without them"),
    ("6", Wanted(destroy=True), "terraform", "destroy what the template manages although nobody has allowed that"),
    ("2.1", Wanted(auto_approve=True), "tofu", "stop at the plan and ask"),
]


@pytest.mark.parametrize("version", NEW, ids=str)
@pytest.mark.parametrize(("row", "wanted", "app", "would"), DROPPED, ids=lambda value: str(value)[:40])
def test_what_the_flags_forbid_is_refused_with_what_would_happen(
    row: str, wanted: Wanted, app: str, would: str, version: Version | None
) -> None:
    assert would in refusal(wanted, template(app), version)
    if app != "tofu":
        work_out(wanted, template(app, open_=True), version)


@pytest.mark.parametrize("version", NEW, ids=str)
@pytest.mark.parametrize(("flag", "wanted"), [("hide_dry_run", Wanted(dry_run=True)), ("hide_diff", Wanted(diff=True))])
def test_a_hidden_dry_run_would_be_a_real_run(flag: str, wanted: Wanted, version: Version | None) -> None:
    """Row 1."""
    assert "is not allowed here" in refusal(wanted, template(task_params={flag: True}), version)
    assert work_out(wanted, template(), version).body["params"]


@pytest.mark.parametrize("version", EVERY, ids=str)
@pytest.mark.parametrize(
    ("app", "wanted"),
    [
        ("bash", Wanted(limit=("a",))),
        ("python", Wanted(dry_run=True)),
        ("powershell", Wanted(tags=("a",))),
        ("terraform", Wanted(inventory=3)),
        ("terraform", Wanted(diff=True)),
        ("ansible", Wanted(destroy=True)),
        ("ansible", Wanted(upgrade=True)),
    ],
    ids=str,
)
def test_an_option_that_the_application_does_not_know_is_refused(
    app: str, wanted: Wanted, version: Version | None
) -> None:
    """Row 17 and the table of 2.1: ignored for every app but its own."""
    assert "has nothing like it; Semaphore would ignore it" in refusal(wanted, template(app, open_=True), version)


@pytest.mark.parametrize("wanted", [Wanted(tags=("a",)), Wanted(skip_tags=("a",))], ids=str)
def test_an_old_server_does_not_know_tags(wanted: Wanted) -> None:
    assert "This server (2.10.33) does not know it; 2.13 does." in refusal(wanted, template(open_=True), V210)


def test_an_old_server_obeys_without_flags() -> None:
    wanted = Wanted(limit=("web1",), dry_run=True, diff=True, debug=4, inventory=4, branch="fix")
    body = work_out(wanted, template(), V210).body
    assert (body["limit"], body["dry_run"], body["diff"], body["debug"]) == ("web1", True, True, True)
    assert (body["inventory_id"], body["git_branch"]) == (4, "fix")
    assert "knows only --debug=4" in refusal(Wanted(debug=2), template(), V210)
    assert "does not know it; 2.10.31 does" in refusal(Wanted(branch="fix"), template(), (2, 9, 0))


def test_both_forms_are_sent_so_that_no_server_misses_one() -> None:
    """Row 2: at top level 2.16 ignores dry_run, debug and diff without a word."""
    body = work_out(Wanted(limit=("a", "b"), dry_run=True, diff=True, debug=2), template(open_=True), V216).body
    assert body["params"] == {"limit": ["a", "b"], "dry_run": True, "diff": True, "debug": True, "debug_level": 2}
    assert (body["limit"], body["dry_run"], body["diff"], body["debug"]) == ("a,b", True, True, True)


@pytest.mark.parametrize("version", EVERY, ids=str)
@pytest.mark.parametrize("app", ["ansible", "", "terraform", "bash", "python"])
def test_nothing_wanted_is_nothing_sent(app: str, version: Version | None) -> None:
    """Row 5: an empty list would clear the template's own limit, and the play runs on all hosts."""
    assert work_out(Wanted(), template(app, task_params={"limit": ["web1"]}), version).body == {"template_id": 7}


def test_the_templates_own_limit_is_told_and_expected() -> None:
    plan = work_out(Wanted(), template(task_params={"limit": ["web1"], "tags": ["a"]}), V216)
    assert "Hosts: web1 (the template's own limit)" in plan.facts
    assert plan.expected.limit == ("web1",)


@pytest.mark.parametrize("version", [V210, V216, V217, V219, None], ids=str)
def test_variables_without_a_group_would_break(version: Version | None) -> None:
    """NEWER.md 2.2: an error 500 and a broken row."""
    wanted = Wanted(variables={"a": "1"})
    assert "Give the template a variable group" in refusal(wanted, template(environment_id=None), version)
    work_out(wanted, template(environment_id=None, environment_ids=(3,)), version)


def test_values_go_as_text() -> None:
    """Row of API.md 6.1: a number or a boolean reaches a shell job as %!s(float64=3)."""
    body = work_out(Wanted(variables={"n": "3", "on": "true"}), template("bash"), V216).body
    assert json.loads(str(body["environment"])) == {"n": "3", "on": "true"}


@pytest.mark.parametrize("version", [V210, V216, None], ids=str)
def test_terraform_gets_no_arguments_before_217(version: Version | None) -> None:
    assert "gives terraform no arguments; 2.17 does" in refusal(
        Wanted(arguments=("-parallelism=2",)), template("terraform", open_=True), version
    )


def test_a_plan_goes_with_neither_approval_nor_destruction() -> None:
    made = template("terraform", open_=True)
    for wanted in (Wanted(dry_run=True, auto_approve=True), Wanted(dry_run=True, destroy=True)):
        assert "does not go together" in refusal(wanted, made, V216)
    assert work_out(Wanted(dry_run=True), made, V216).body["params"] == {"plan": True}
    assert "2.13 does" in refusal(Wanted(dry_run=True), made, V212)


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        ("ansible", ("--limit", "all")), ("ansible", ("-l", "all")), ("ansible", ("-lall",)), ("ansible", ("--lim=all",)),
        ("ansible", ("--check",)), ("ansible", ("-i", "/etc/passwd")), ("ansible", ("-e", "@/etc/passwd")),
        ("ansible", ("-bl", "all")), ("ansible", ("-vvlall",)), ("ansible", ("-bC",)), ("ansible", ("-ve@x",)),
        ("ansible", ("-e@x",)), ("ansible", ("--ask-pass",)), ("ansible", ("--vault-password-file=x",)),
        ("ansible", ("--ssh-common-args=-o ProxyCommand=x",)), ("terraform", ("-chdir=/",)),
        ("terraform", ("--destroy",)), ("terraform", ("-state=x",)), ("terraform", ("-auto-approve",)),
    ],
    ids=str,
)  # fmt: skip
def test_dangerous_arguments_are_not_passed_on(app: str, arguments: tuple[str, ...]) -> None:
    assert "is not passed on" in refusal(Wanted(arguments=arguments), template(app, open_=True), V219)


def test_harmless_arguments_are() -> None:
    body = work_out(Wanted(arguments=("--forks", "3", "-e", "a=1")), template(open_=True), V219).body
    assert body["arguments"] == '["--forks", "3", "-e", "a=1"]'
    assert work_out(Wanted(arguments=("-bvf3", "-eldap=1", "-uCid")), template(open_=True), V219).body["arguments"]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(limit=("a\x00b",)),
        Wanted(branch="-x"),
        Wanted(limit=("@file",)),
        Wanted(message="x" * 3000),
        Wanted(debug=9),
    ],
    ids=lambda wanted: str(wanted)[:30],
)
def test_odd_values_are_refused(wanted: Wanted) -> None:
    assert "I did not start Site." in refusal(wanted, template(open_=True), V216)


def test_every_reason_is_told_at_once() -> None:
    said = refusal(Wanted(limit=("a",), tags=("b",), branch="c"), template(), V219)
    assert all(f"--{option} is not allowed here" in said for option in ("limit", "tags", "branch"))


def test_openings_are_what_is_not_refused() -> None:
    assert openings(template(), V216) == ["dry-run", "diff", "var"]
    assert set(openings(template(open_=True), V216)) == {gate.option for gate in GATES if "ansible" in gate.families}


# --- the answer, compared


def made(body: dict[str, Any], **instead: Any) -> Task:
    known = {name: value for name, value in body.items() if name in Task.__struct_fields__}
    return Task(id=41, **(known | instead))


def test_the_answer_is_compared_in_either_form() -> None:
    body: dict[str, Any] = dict(
        work_out(Wanted(limit=("a", "b"), dry_run=True, debug=2), template(open_=True), V216).body
    )
    assert differences(body, made(body)) == []
    assert differences(body, made(body, limit="")) == []  # 2.16 moves it into params
    assert differences(body, made(body, params={**body["params"], "limit": ["a"]})) == [
        'limit: asked for ["a", "b"], Semaphore made it ["a"]'
    ]
    assert differences(body, made(body, template_id=8)) == ["template_id: asked for 7, Semaphore made it 8"]
    # 2.16 answers with the older `limit` as it was sent, whatever it made of `params`.
    assert differences(body, made(body, params={"host_limit": ["a", "b"]})) != []
    old = dict(work_out(Wanted(limit=("a",), dry_run=True, debug=4), template(), V210).body)
    assert differences(old, made(old, params=None)) == []
    assert differences(old, made(old, params=None, dry_run=False, debug=True)) != []


wants = st.builds(
    Wanted,
    limit=st.tuples(st.from_regex(r"[a-z]{1,5}", fullmatch=True)) | st.just(()),
    tags=st.tuples(st.from_regex(r"[a-z]{1,5}", fullmatch=True)) | st.just(()),
    branch=st.sampled_from(["", "fix"]),
    dry_run=st.booleans(),
    diff=st.booleans(),
    destroy=st.booleans(),
    debug=st.integers(0, 6),
    variables=st.dictionaries(st.sampled_from("abc"), st.text("xyz 1'\"", max_size=4), max_size=2),
    arguments=st.sampled_from([(), ("-v",)]),
)
flags = st.dictionaries(st.sampled_from([*OPEN, "hide_dry_run", "hide_diff"]), st.booleans())


@given(
    wanted=wants,
    params=st.none() | flags,
    version=st.sampled_from(EVERY),
    app=st.sampled_from(["", "ansible", "terraform", "bash"]),
    args=st.booleans(),
    branch=st.booleans(),
)
def test_a_plan_holds_all_that_was_wanted_or_there_is_none(
    wanted: Wanted, params: dict[str, object] | None, version: Version | None, app: str, args: bool, branch: bool
) -> None:
    """Nothing that was asked for ever gets lost on the way into the body, and no empty list gets into it."""
    one = template(app, task_params=params, allow_override_args_in_task=args, allow_override_branch_in_task=branch)
    try:
        body = work_out(wanted, one, version).body
    except Ignored:
        return
    in_params = dict(body.get("params") or {})  # type: ignore[call-overload]
    for name in ("limit", "tags"):
        assert in_params.get(name, []) == list(getattr(wanted, name))
    for name in ("destroy", "diff"):
        assert bool(in_params.get(name)) == getattr(wanted, name)
    assert bool(in_params.get("dry_run") or in_params.get("plan")) == wanted.dry_run
    assert in_params.get("debug_level", 0) == wanted.debug
    assert body.get("git_branch", "") == wanted.branch
    assert json.loads(str(body.get("environment", "{}"))) == wanted.variables
    assert tuple(json.loads(str(body.get("arguments", "[]")))) == wanted.arguments
    assert [] not in in_params.values()
    assert msgspec.convert(msgspec.to_builtins(wanted), Wanted) == wanted  # as it is journaled
