"""The small rules: status setter, versions, Go's JSON, cron texts, options."""

from datetime import UTC, datetime

import pytest

from chatrixcd_threads.demo.semaphore import PROFILES, cron, gojson, http, options
from chatrixcd_threads.demo.semaphore.pool import may_change, next_version


@pytest.mark.parametrize(
    ("old", "new", "may"),
    [
        ("running", "running", False),
        ("running", "waiting", False),
        ("stopping", "running", False),
        ("stopping", "confirmed", True),
        ("confirmed", "waiting_confirmation", False),
        ("rejected", "confirmed", True),
        ("stopped", "running", False),
        ("success", "stopped", True),
    ],
)
def test_status_setter(old: str, new: str, may: bool) -> None:
    assert may_change(old, new) is may


@pytest.mark.parametrize(
    ("start", "last", "expected"),
    [
        ("1.0.0", None, "1.0.0"),
        ("1.0.0", "1.0.0", "1.0.1"),
        ("1.0.0", "1.0.9", "1.0.10"),
        ("v7-rc", "v7-rc", "v8-rc"),
        ("2.0.0", "1.0.5", "2.0.0"),
        ("stable", "stable", "stable"),
    ],
)
def test_versions(start: str, last: str | None, expected: str) -> None:
    assert next_version(start, last) == expected


def test_go_json() -> None:
    fields = {"template_id": "int", "message": "str"}
    assert gojson.decode(b'{"Template_ID":1,"unknown":[]} rest', fields) == {"template_id": 1}
    assert gojson.decode(b"null", fields) == {}
    for bad in (b"", b"[]", b'{"template_id":"1"}', b'{"template_id":1.0}', b'{"template_id":99999999999999999999}'):
        with pytest.raises(gojson.BadJsonError):
            gojson.decode(bad, fields)
    assert gojson.dumps("<&>") == rb'"\u003c\u0026\u003e"'
    assert gojson.percent_s([1, "x", None]) == "[%!s(float64=1) x %!s(<nil>)]"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/user/", ("/api/user", False)),
        ("/api/user//", ("/api/user/", False)),
        ("/api//user", ("/api/user", True)),
        ("/api/project/1/tasks/%2e", ("/api/project/1/tasks", True)),
    ],
)
def test_paths(path: str, expected: tuple[str, bool]) -> None:
    assert http.clean(path) == expected


def test_cron() -> None:
    assert cron.problem("0 3 * * *") is None
    assert cron.problem("@every 90m") is None
    assert cron.problem("") == "empty spec string"
    assert cron.problem("nonsense") == "expected exactly 5 fields, found 1: [nonsense]"
    assert cron.problem("61 * * * *") == "end of range (61) above maximum (59): 61"
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    assert cron.fires("0 3 * * 1", moment)
    assert not cron.fires("1-59/2 3 * * *", moment)


def test_an_empty_list_clears_the_default_with_permission_only() -> None:
    profile = PROFILES["2.16"]
    template = {"app": "ansible", "playbook": "p.yml", "task_params": {"limit": ["web1"], "allow_override_limit": True}}
    assert options.used(profile, {"params": {"limit": []}}, template).limit == ()
    assert options.used(profile, {"params": {"limit": None}}, template).limit == ("web1",)
    template["task_params"] = {"limit": ["web1"]}
    assert options.used(profile, {"params": {"limit": []}}, template).limit == ("web1",)
