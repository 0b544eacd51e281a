"""The pure parts of the bench: figures, limits, table, JSON, counting."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from chatrixcd_threads.demo.bench import __main__ as bench
from chatrixcd_threads.demo.bench import console
from chatrixcd_threads.demo.bench.console import Seen, waits
from chatrixcd_threads.demo.bench.figures import (
    Figure,
    Verdict,
    all_hold,
    as_json,
    at_least,
    at_most,
    exactly,
    median,
    percentile,
    shown,
    table,
)
from chatrixcd_threads.demo.bench.flood import Flood, total, verdict
from chatrixcd_threads.demo.bench.ground import Ground
from chatrixcd_threads.demo.bench.rest import TASKS_PATH, Arrivals
from chatrixcd_threads.demo.homeserver import HomeserverError
from chatrixcd_threads.demo.person import Heard
from chatrixcd_threads.demo.semaphore import Standin

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


def answer(to: str | None) -> Heard:
    relates = {} if to is None else {"m.in_reply_to": {"event_id": to}}
    return Heard("$e", "@bot:x", "b", None, "m.notice", relates, False, None, None, 0, {})


@given(NUMBERS)
def test_percentiles_lie_between_the_extremes_and_rise(values: list[float]) -> None:
    low, middle, high = percentile(values, 0.0), median(values), percentile(values, 1.0)
    assert (low, high) == (min(values), max(values))
    assert low <= middle <= percentile(values, 0.95) <= high


def test_percentile_interpolates() -> None:
    assert percentile([10, 20], 0.25) == 12.5
    assert percentile(range(101), 0.95) == 95


def test_a_percentile_of_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (Figure("f", "ms", 15, 10, at_most(1.5, "ratio")), Verdict.HOLDS),
        (Figure("f", "ms", 15.1, 10, at_most(1.5, "ratio")), Verdict.FAILS),
        (Figure("f", "ms", 15, None, at_most(1.5, "ratio")), Verdict.FAILS),  # no baseline: nothing was shown
        (Figure("f", "ms", 15, 0, at_most(1.5, "ratio")), Verdict.FAILS),
        (Figure("f", "s", 12, None, at_most(12)), Verdict.HOLDS),
        (Figure("f", "s", 12.01, None, at_most(12)), Verdict.FAILS),
        (Figure("f", "", 500, 480, exactly(500)), Verdict.HOLDS),
        (Figure("f", "", 499, 480, exactly(500)), Verdict.FAILS),
        (Figure("f", "", 501, 480, exactly(500)), Verdict.FAILS),
        (Figure("f", "/s", 500, None, at_least(500)), Verdict.HOLDS),
        (Figure("f", "/s", 499, None, at_least(500)), Verdict.FAILS),
        (Figure("f", "ms", 900, 1), Verdict.REPORTED),
        (Figure("f", "ms", None, 1), Verdict.FAILS),  # a failed measurement never passes
    ],
)
def test_verdicts(figure: Figure, expected: Verdict) -> None:
    assert figure.verdict is expected
    assert all_hold([figure]) is (expected is not Verdict.FAILS)


def test_the_table_has_a_line_for_each_figure_and_its_note() -> None:
    lines = table([Figure("a: p95", "ms", 15, 10, at_most(1.5, "ratio"), "a note"), Figure("b", "", None)]).splitlines()
    assert lines[0].split() == ["name", "ours", "baseline", "ratio", "limit", "verdict"]
    assert lines[2].split() == ["a:", "p95", "15", "ms", "10", "ms", "1.5", "ratio", "<=", "1.5", "holds"]
    assert lines[3].strip() == "a note"
    assert lines[4].split() == ["b", "-", "-", "-", "-", "FAILS"]
    assert lines[0].index("verdict") == lines[2].index("holds") == lines[4].index("FAILS")


def test_the_json_holds_everything() -> None:
    figures = [Figure("a", "s", 3, 2, at_most(1.0, "ratio"), "why"), Figure("b", "", 1)]
    data = json.loads(as_json(figures, {"cores": 2}))
    assert data["cores"] == 2
    assert data["all_hold"] is False
    assert data["figures"][0] == {
        "name": "a",
        "unit": "s",
        "ours": 3,
        "baseline": 2,
        "ratio": 1.5,
        "limit": "ratio <= 1",
        "verdict": "FAILS",
        "note": "why",
    }
    assert data["figures"][1]["limit"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0, "0"), (500, "500"), (0.4321, "0.432"), (12.345, "12.3"), (1234.5, "1234"), (1.0, "1")],
)
def test_numbers_are_short(value: float | None, expected: str) -> None:
    assert shown(value) == expected


def test_each_command_answered_once_in_order() -> None:
    flood = verdict(["$1", "$2", "$3"], [answer("$1"), answer("$2"), answer("$3")], 2.0)
    assert flood == Flood(3, 3, 0, True, 2.0)
    assert flood.rate == 1.5


def test_a_second_answer_is_seen_and_is_no_wrong_order() -> None:
    flood = verdict(["$1", "$2"], [answer("$1"), answer("$2"), answer("$1")], 1.0)
    assert (flood.answered, flood.twice, flood.in_order) == (2, 1, True)


def test_missing_and_swapped_answers_are_seen() -> None:
    flood = verdict(["$1", "$2", "$3"], [answer("$3"), answer("$1")], 1.0)
    assert (flood.asked, flood.answered, flood.twice, flood.in_order) == (3, 2, 0, False)


def test_other_messages_of_the_bot_do_not_count() -> None:
    assert verdict(["$1"], [answer(None), answer("$other"), answer("$1")], 1.0) == Flood(1, 1, 0, True, 1.0)


def test_rooms_add_up() -> None:
    assert total([Flood(3, 3, 0, True, 2.0), Flood(2, 1, 1, False, 2.5)]) == Flood(5, 4, 1, False, 2.5)


def test_only_posts_of_tasks_are_stamped() -> None:
    arrivals = Arrivals()
    with Standin("2.16") as semaphore:
        semaphore._call(lambda core: setattr(core, "seen", arrivals))
        for method in ("GET", "POST"):
            requests.request(method, semaphore.url + TASKS_PATH, json={}, timeout=30)
    assert len(arrivals) == 2
    assert arrivals.wait(1, timeout=0) == arrivals.at[0]
    with pytest.raises(TimeoutError):
        arrivals.wait(2, timeout=0)


def test_the_age_of_the_newest_line_is_taken_just_before_the_next_one_comes() -> None:
    seen = Seen()
    seen.take(b"09:00 INFO @100.000 task\r\n@100.500 task", 100.6)
    seen.take(b"nothing new", 100.7)
    seen.take(b"\x1b[2;1H@100.6", 100.8)  # a frame comes in pieces
    assert (seen.newest, seen.ages) == (100.5, [])
    seen.take(b"50 task, and an old one: @99.000 task", 100.9)
    assert seen.newest == 100.65
    assert seen.ages == pytest.approx([0.4])


def test_a_change_is_drawn_when_it_or_a_later_one_is() -> None:
    seen = Seen()
    seen.take(b"change 0.", 1.1)
    seen.take(b"chan", 1.2)
    seen.take(b"ge 2.  change 2.", 1.3)
    assert seen.drawn == {0: 1.1, 2: 1.3}
    assert waits([1.0, 1.1, 1.25, 1.4], seen.drawn) == pytest.approx(
        [0.05, 0.2, 0.1]
    )  # the newest first; 3 was never drawn


def test_the_smallest_program_is_one() -> None:
    compile(console._BARE, "bare", "exec")


def test_a_homeserver_is_started_only_for_those_who_need_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(folder: object) -> object:
        raise HomeserverError("none to be had")

    monkeypatch.setattr("chatrixcd_threads.demo.bench.ground.Homeserver", none)
    with Ground(lambda what: None) as ground:
        assert bench.measure("alone", lambda visit: [Figure("a", "", 1)], ground) == [Figure("a", "", 1)]
        (failed,) = bench.measure("broken", lambda visit: [][0], ground)
        assert "IndexError" in failed.note
        with pytest.raises(HomeserverError):
            bench.measure("with it", lambda visit: [Figure(str(visit.person()), "", 1)], ground)


def test_names_are_chosen_in_the_order_of_the_table() -> None:
    assert bench.chosen([]) == list(bench.MEASURES)
    assert bench.chosen(["stuck", "reply"]) == ["reply", "stuck"]
    with pytest.raises(ValueError, match="there is no speed"):
        bench.chosen(["speed"])


def test_an_unknown_name_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["speed"]) == 2
    assert "reply, fairness" in capsys.readouterr().err
