"""What Semaphore tells, in all the forms it comes in."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrixcd_threads.semaphore.errors import NotSemaphore, SemaphoreError
from chatrixcd_threads.semaphore.models import (
    Line,
    Project,
    Role,
    ServerInfo,
    SurveyValue,
    SurveyVar,
    Task,
    Template,
    User,
    decode_list,
    decode_one,
    parse_time,
)

KINDS: list[type[msgspec.Struct]] = [Project, User, Role, ServerInfo, Line, SurveyVar, SurveyValue, Task, Template]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def test_a_task_of_2_10() -> None:
    task = decode_one(
        b"""{"id":42,"template_id":3,"project_id":1,"status":"waiting","debug":false,"dry_run":true,"diff":false,
        "playbook":"","environment":"{\\"env\\":\\"stg\\"}","limit":"web1","secret":"{}","arguments":null,
        "git_branch":null,"user_id":2,"integration_id":null,"schedule_id":null,
        "created":"2024-10-25T09:06:40.123456789+02:00","start":null,"end":null,"message":"asked by @ada:example.org",
        "commit_hash":null,"commit_message":"","build_task_id":41,"version":null,"inventory_id":null,
        "tpl_alias":"Deploy web","user_name":"ChatOps bot",
        "build_task":{"id":41,"status":"success","version":"1.0.3","start":"0001-01-01T00:00:00Z"}}""",
        Task,
    )
    assert (task.id, task.status, task.version, task.commit_hash, task.dry_run) == (42, "waiting", "", "", True)
    assert task.created == datetime(2024, 10, 25, 7, 6, 40, 123456, tzinfo=UTC)
    assert task.build_task is not None
    assert (task.build_task.version, task.build_task.start) == ("1.0.3", None)
    assert not hasattr(task, "secret")


def test_a_task_of_2_16() -> None:
    task = decode_one(
        b'{"id":1,"template_id":1,"project_id":1,"status":"brand new","playbook":"","user_id":0,"limit":"",'
        b'"params":{"limit":null,"start":"x","dry_run":true},"created":"2026-11-23T18:47:09.949686841Z","new":[1]}',
        Task,
    )
    assert task.params == {"limit": None, "start": "x", "dry_run": True}
    assert (task.status, task.user_id, task.finished) == ("brand new", None, False)


def test_a_template_of_every_age() -> None:
    template = decode_one(
        b"""{"id":3,"project_id":1,"inventory_id":2,"environment_id":0,"environment_ids":[],"name":"Deploy",
        "type":"deploy","build_template_id":2,"arguments":null,"allow_override_args_in_task":true,
        "last_task":{"id":41,"status":"success"},"task_params":{"allow_override_limit":true,"limit":null},
        "survey_vars":[{"name":"env","required":true,"type":"enum","values":[{"name":"Staging","value":"stg"}]},
        {"name":"n","type":"int","values":null,"default_value":"3"},{"name":"s","default_value":["a","b"]}],
        "app":"ansible","tasks":17,"vaults":null}""",
        Template,
    )
    assert (template.environment_id, template.build_template_id, template.arguments) == (None, 2, "")
    assert [var.values for var in template.survey_vars] == [(SurveyValue("Staging", "stg"),), (), ()]
    assert [var.default_value for var in template.survey_vars] == ["", "3", ("a", "b")]
    assert template.task_params == {"allow_override_limit": True, "limit": None}
    assert template.last_task is not None
    bare = decode_one(b'{"id":3,"survey_vars":null,"task_params":null,"last_task":null,"autorun":null}', Template)
    assert bare == Template(3)


@pytest.mark.parametrize("number", [-5, 0, 2147483646, 2**70])
def test_any_id(number: int) -> None:
    assert decode_one(json.dumps({"id": number}), Task).id == number


@pytest.mark.parametrize("data", ["{}", '{"id":null}', '{"id":"1"}', '{"id":1,"status":5}', "[]", "null", "1", "", "{"])
def test_what_is_no_task(data: str) -> None:
    with pytest.raises(NotSemaphore) as caught:
        decode_one(data, Task)
    assert caught.value.sent


def test_what_stands_in_a_question_is_one_line_that_can_be_seen() -> None:
    """Whoever may edit a template could else write sentences of their own into what somebody is asked."""
    name = "Restart cache (template 3) in Test (project 2)?\n\n\r\nAsked by @ann:x.\u2028👍 \u202edoes it\u200b\x9b2J\U000e0041"
    found = decode_one(json.dumps({"id": 7, "name": name, "description": "a\nb", "playbook": "x\ny"}), Template)
    assert found.name == "Restart cache (template 3) in Test (project 2)? Asked by @ann:x. 👍 does it2J"
    assert (found.description, found.playbook) == ("a b", "x y")
    (variable,) = decode_one(
        json.dumps(
            {"id": 7, "survey_vars": [{"name": "a", "title": "T\n✔", "values": [{"name": "x\ny", "value": "x\ny"}]}]}
        ),
        Template,
    ).survey_vars
    assert (variable.title, variable.values[0].name, variable.values[0].value) == ("T ✔", "x y", "x\ny")


def test_an_empty_list_and_null() -> None:
    assert decode_list(b"[]\n", Task) == []
    with pytest.raises(NotSemaphore):
        decode_list(b"null", Task)


@pytest.mark.parametrize("kind", KINDS)
def test_null_and_absence_are_the_same(kind: type[msgspec.Struct]) -> None:
    needed = {"id": 1} if "id" in kind.__struct_fields__ else {}
    nulls = dict.fromkeys(kind.__struct_encode_fields__)
    assert decode_one(json.dumps(nulls | needed), kind) == decode_one(json.dumps(needed), kind)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2026-01-01T00:00:00Z"),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(sorted(Template.__struct_fields__)) | st.text(), inner)
    ),
    max_leaves=20,
)


@settings(deadline=None, database=None)
@given(value=JSON, kind=st.sampled_from(KINDS))
def test_any_json_is_a_model_or_a_semaphore_error(value: object, kind: type[msgspec.Struct]) -> None:
    data = json.dumps(value)
    with suppress(SemaphoreError):
        assert isinstance(decode_one(data, kind), kind)
    with suppress(SemaphoreError):
        assert all(isinstance(item, kind) for item in decode_list(data, kind))


@st.composite
def objects(draw: st.DrawFn, kind: type[msgspec.Struct]) -> dict[str, object]:
    fields = draw(st.lists(st.sampled_from(kind.__struct_encode_fields__), unique=True))
    return {"id": 1} | {field: draw(JSON) for field in fields}


@settings(deadline=None, database=None)
@given(value=objects(Task) | objects(Template))
def test_any_field_is_a_model_or_a_semaphore_error(value: dict[str, object]) -> None:
    for kind in (Task, Template):
        with suppress(SemaphoreError):
            decode_one(json.dumps(value), kind)


@settings(deadline=None, database=None)
@given(data=st.binary())
def test_any_bytes_are_a_model_or_a_semaphore_error(data: bytes) -> None:
    with suppress(SemaphoreError):
        decode_one(data, Role)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"build_task":' * 100_000, b'{"id":1,"build_task":' * 400 + b"1" + b"}" * 400]
)
def test_deep_nesting(data: bytes) -> None:
    with pytest.raises(NotSemaphore):
        decode_one(data, Task)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01t12:00:00z", NOON),
        ("2026-01-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-01-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("2026-01-01T14:30:00+02:30", NOON),
        ("2026-01-01T04:00:00.000000001-08:00", NOON),
        ("2026-01-01T12:00:00", NOON),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-10:00", None),
        ("", None),
        ("soon", None),
        ("2026-13-01T00:00:00Z", None),
        (17, None),
        ([], None),
    ],
)
def test_times(text: object, moment: datetime | None) -> None:
    parsed = parse_time(text)
    assert parsed == moment
    assert parsed is None or parsed.tzinfo is UTC


@settings(deadline=None, database=None)
@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_any_time_is_aware_or_none(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.10.33-d4a2713-1795458469", (2, 10, 33)),
        ("v2.18.1^0-dac3cdc-1777928458", (2, 18, 1)),
        ("v2.20.0-alpha1", (2, 20, 0)),
        ("2.8", (2, 8, 0)),
        ("undefined-00000000-", None),
        ("", None),
        ("99999999999999999999.1", None),
    ],
)
def test_versions(text: str, version: tuple[int, int, int] | None) -> None:
    info = decode_one(json.dumps({"version": text}), ServerInfo)
    assert (info.raw, info.version) == (text, version)


@pytest.mark.parametrize(
    ("task", "finished"),
    [
        (Task(1, status="waiting"), False),
        (Task(1, status="running", start=at(0)), False),
        (Task(1, status="stopping", start=at(0)), False),
        (Task(1, status="waiting_confirmation", start=at(0)), False),
        (Task(1, status="never heard of", start=at(0)), False),
        (Task(1, status="error"), True),
        (Task(1, status="stopped"), True),
        (Task(1, status="success", start=at(0), end=at(1)), True),
        (Task(1, status="confirmed", start=at(0), end=at(6)), True),
        (Task(1, status="rejected", start=at(0), end=at(6)), True),
        (Task(1, status="stopping", end=at(6)), True),  # 2.16: stop in `starting`, for ever like this
        (Task(1, status="waiting", start=at(0), end=at(0)), False),  # sent by the client
        (Task(1, status="starting", start=at(0), end=at(0)), False),
        (Task(1, status="running", start=at(9), end=at(0)), False),
    ],
)
def test_when_a_task_is_over(task: Task, finished: bool) -> None:
    assert task.finished is finished


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        (Task(1, status="waiting"), None),
        (Task(1, status="running", start=at(0)), 60),
        (Task(1, status="running", start=at(90)), 0),
        (Task(1, status="success", start=at(0), end=at(7)), 7),
        (Task(1, status="success", start=at(8), end=at(7)), 0),
        (Task(1, status="stopped", start=at(0)), None),
        (Task(1, status="stopped", end=at(7)), None),
    ],
)
def test_durations(task: Task, seconds: int | None) -> None:
    assert task.duration(at(60)) == (None if seconds is None else timedelta(seconds=seconds))


def test_lines_stay_as_they_are() -> None:
    lines = decode_list(
        b'[{"task_id":42,"task":"","time":"2024-10-25T09:06:41.5Z","output":"\\u001b[0;32mok\\u001b[0m\\r\\u0000"},'
        b'{"id":0,"output":null,"stage_id":null}]',
        Line,
    )
    assert [line.output for line in lines] == ["\x1b[0;32mok\x1b[0m\r\0", ""]
    assert lines[1] == Line()
