"""A confirmed launch: posted at most once, whatever fails and wherever it is interrupted; and an honest outcome."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import launches
from chatrixcd_threads.journal.db import Journal
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import (
    BadToken,
    Forbidden,
    Missing,
    NotSemaphore,
    Refused,
    SemaphoreError,
    TimedOut,
    Unreachable,
)
from chatrixcd_threads.semaphore.launch import LOOKS, InDoubt, Launcher, Started
from chatrixcd_threads.semaphore.models import Task

TOKEN = "cafe0123"
UNSENT = [Unreachable("no connection"), TimedOut("no connection in time"), BadToken("the token is empty")]
ENDED = [
    Refused("did not accept the request (400). No task was made.", sent=True, status=400),
    BadToken("does not accept the API token (401)", sent=True, status=401),
    Forbidden("forbids it (403)", sent=True, status=403),
    Missing("not found (404)", sent=True, status=404),
]
UNCLEAR = [
    TimedOut("no answer within 15 s.", sent=True),
    Unreachable("the connection broke.", sent=True),
    Unreachable("a proxy answered 502.", sent=True, status=502),
    Refused("answered 500.", sent=True, status=500),
    NotSemaphore("a web page.", sent=True, status=200),
]


class Server:
    """Semaphore as far as a launch needs it. `made` says whether a POST that fails made the task all the same."""

    def __init__(self) -> None:
        self.posts: list[dict[str, object]] = []
        self.tasks: list[Task] = [Task(id=1, message="something else", template_id=2)]
        self.start_error: BaseException | None = None
        self.look_errors: list[BaseException | None] = []
        self.made = True
        self.shown_after = 0
        self.looks = 0
        self.before: Callable[[str], None] = lambda call: None

    def start(self, project_id: int, body: Mapping[str, object]) -> Task:
        self.before("start")
        self.posts.append(dict(body))
        task = Task(id=40 + len(self.posts), message=str(body["message"]), template_id=2)
        if self.start_error is None or self.made:
            self.tasks.insert(0, task)
        if self.start_error is not None:
            raise self.start_error
        self.before("started")
        return task

    def template_tasks(self, project_id: int, template_id: int, limit: int = 20) -> list[Task]:
        self.before("look")
        self.looks += 1
        assert (project_id, template_id) == (1, 2)
        error = self.look_errors.pop(0) if self.look_errors else None
        if error is not None:
            raise error
        return self.tasks if self.looks > self.shown_after else self.tasks[-1:]


class Stand:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite3"
        self.server = Server()
        self.pauses: list[float] = []
        self.told = 0
        self.journal = Journal(self.path)
        with self.journal.write() as tx:
            launches.confirm(
                tx,
                token=TOKEN,
                slot="answer:$1",
                room_id="!r",
                thread=None,
                sender="@a",
                project_id=1,
                template_id=2,
                template_name="Deploy",
                body={"template_id": 2, "message": f"!cd run, asked by @a [{TOKEN}]"},
                now=1.0,
            )

    def started(self) -> None:
        self.told += 1

    def launch(self, token: str = TOKEN, *, allowed: int = 0) -> Started:
        semaphore = cast(Semaphore, self.server)
        launcher = Launcher(self.journal, semaphore, lambda: 2.0, self.started, self.pauses.append)
        return launcher.launch(token, allowed=allowed)

    @property
    def state(self) -> str:
        return self.record.state

    @property
    def record(self) -> Launch:
        found = launches.by_token(self.journal.read(), TOKEN)
        assert found is not None
        return found

    @property
    def followed(self) -> list[int]:
        return [each.task_id for each in launches.followed(self.journal.read())]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.journal.close()


def test_a_launch_is_posted_as_confirmed_and_followed(stand: Stand) -> None:
    assert stand.launch() == Started(41, found=False)
    assert stand.server.posts == [{"template_id": 2, "message": f"!cd run, asked by @a [{TOKEN}]"}]
    assert (stand.state, stand.record.task_id, stand.followed, stand.told) == ("started", 41, [41], 1)
    assert stand.server.looks == 0


def test_it_is_in_sending_before_anything_is_sent(stand: Stand) -> None:
    seen: list[str] = []
    stand.server.before = lambda call: seen.append(f"{call} {stand.state}")
    stand.launch()
    assert seen[0] == "start sending"


def test_launching_again_is_the_same_task(stand: Stand) -> None:
    assert stand.launch() == stand.launch() == Started(41, found=False)
    assert len(stand.server.posts) == 1


@pytest.mark.parametrize("error", UNSENT, ids=repr)
def test_what_was_never_sent_has_failed_at_once(stand: Stand, error: SemaphoreError) -> None:
    stand.server.start_error, stand.server.made = error, False
    with pytest.raises(type(error), match=error.sentence):
        stand.launch()
    assert (stand.state, stand.server.looks, stand.followed) == ("failed", 0, [])


@pytest.mark.parametrize("looks", ["works", "fails the same way"])
@pytest.mark.parametrize("error", ENDED, ids=lambda error: str(error.status))
def test_a_clear_no_is_told_with_its_own_reason(stand: Stand, error: SemaphoreError, looks: str) -> None:
    stand.server.start_error, stand.server.made = error, False
    if looks != "works":
        stand.server.look_errors = [error] * LOOKS
    with pytest.raises(type(error)) as caught:
        stand.launch()
    assert caught.value is error
    assert (stand.state, stand.followed, stand.pauses) == ("failed", [], [])


@pytest.mark.parametrize("error", [*ENDED, *UNCLEAR], ids=repr)
def test_a_task_that_is_there_all_the_same_is_found_by_its_token(stand: Stand, error: SemaphoreError) -> None:
    stand.server.start_error = error
    assert stand.launch() == Started(41, found=True)
    assert (stand.state, stand.followed, stand.told, stand.pauses) == ("started", [41], 1, [])


@pytest.mark.parametrize("error", UNCLEAR, ids=repr)
def test_a_task_that_shows_up_late_is_found(stand: Stand, error: SemaphoreError) -> None:
    stand.server.start_error, stand.server.shown_after = error, LOOKS - 1
    assert stand.launch() == Started(41, found=True)
    assert len(stand.pauses) == LOOKS - 1


@pytest.mark.parametrize("error", UNCLEAR, ids=repr)
def test_what_cannot_be_told_is_said_to_be_in_doubt(stand: Stand, error: SemaphoreError) -> None:
    stand.server.start_error, stand.server.made = error, False
    with pytest.raises(InDoubt) as caught:
        stand.launch()
    said = caught.value.sentence
    assert "I do not know whether Deploy was started." in said
    assert error.sentence in said
    assert f"I looked {LOOKS} times among its newest tasks and did not find it." in said
    assert TOKEN in said
    assert stand.state == "doubt"


def test_doubt_when_nothing_can_be_read_either(stand: Stand) -> None:
    stand.server.start_error, stand.server.made = UNCLEAR[0], False
    stand.server.look_errors = [Unreachable("gone")] * LOOKS
    with pytest.raises(InDoubt, match=r"no answer within 15 s. I cannot read its tasks either. Look in Semaphore"):
        stand.launch()


def test_a_token_that_somebody_wrote_into_another_message_is_not_taken(stand: Stand) -> None:
    """The doubt was told in the room; --message of another launch may hold its token."""
    stand.server.start_error, stand.server.made = UNCLEAR[0], False
    stand.server.tasks.insert(0, Task(id=77, message=f"as [{TOKEN}] · !cd run, asked by @b:x [other]", template_id=2))
    with pytest.raises(InDoubt):
        stand.launch()
    assert stand.state == "doubt"


def test_one_look_that_works_is_enough(stand: Stand) -> None:
    stand.server.start_error = UNCLEAR[0]
    stand.server.look_errors = [Unreachable("gone")] * (LOOKS - 1)
    assert stand.launch() == Started(41, found=True)


def test_a_launch_that_has_ended_is_not_taken_up_again(stand: Stand) -> None:
    with stand.journal.write() as tx:
        launches.move(tx, stand.record.id, "failed", 1.5)
    with pytest.raises(UserError, match="already ended as “failed”"):
        stand.launch()
    assert (stand.server.posts, stand.server.looks) == ([], 0)


def test_a_doubt_is_only_looked_at_again_until_a_person_allows_more(stand: Stand) -> None:
    stand.server.start_error, stand.server.made = UNCLEAR[0], False
    with pytest.raises(InDoubt) as first:
        stand.launch()
    for _ in range(2):  # a crash before the question was asked handles the same yes again
        with pytest.raises(InDoubt) as again:
            stand.launch()
        assert again.value.doubts == first.value.doubts == 1
    assert len(stand.server.posts) == 1
    with pytest.raises(InDoubt) as second:
        stand.launch(allowed=1)
    assert (len(stand.server.posts), second.value.doubts) == (2, 2)
    with pytest.raises(InDoubt):
        stand.launch(allowed=1)  # one yes, one try
    assert len(stand.server.posts) == 2
    stand.server.start_error = None
    assert stand.launch(allowed=2) == Started(43, found=False)
    assert stand.launch(allowed=2) == Started(43, found=False)
    assert len(stand.server.posts) == 3


def test_a_doubt_that_shows_up_by_itself_is_taken_without_a_second_start(stand: Stand) -> None:
    stand.server.start_error, stand.server.shown_after = UNCLEAR[0], LOOKS
    with pytest.raises(InDoubt):
        stand.launch()
    assert stand.launch(allowed=1) == Started(41, found=True)
    assert len(stand.server.posts) == 1


def test_a_launch_without_a_record_does_nothing(stand: Stand) -> None:
    with pytest.raises(UserError, match="lost the record"):
        stand.launch("unknown")
    assert stand.server.posts == []


@pytest.mark.parametrize("made", [True, False])
def test_an_interrupted_sending_is_looked_for_and_never_sent_again(stand: Stand, made: bool) -> None:
    with stand.journal.write() as tx:
        launches.move(tx, stand.record.id, "sending", 1.5)
    if made:
        stand.server.tasks.insert(0, Task(id=77, message=f"x [{TOKEN}]", template_id=2))
        assert stand.launch() == Started(77, found=True)
    else:
        with pytest.raises(InDoubt, match=r"I was interrupted while I sent the launch to Semaphore. I looked"):
            stand.launch()
    assert stand.server.posts == []


class Killed(BaseException):
    """The process ends here."""


crash_points = st.lists(st.integers(0, 14), min_size=1, max_size=6)
outcomes = st.one_of(st.none(), st.sampled_from([*UNSENT, *ENDED, *UNCLEAR]))


@effort(max_examples=120, deadline=None)
@given(points=crash_points, error=outcomes, made=st.booleans(), shown_after=st.integers(0, 4))
def test_never_posted_twice_wherever_it_is_killed(
    points: list[int], error: SemaphoreError | None, made: bool, shown_after: int
) -> None:
    """Each life is killed at the n-th call of journal or Semaphore (before or after it took effect), then one is not."""
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(Path(folder))
        server = stand.server
        server.start_error, server.made, server.shown_after = error, made and error in UNCLEAR, shown_after
        left = [0]

        def tick(call: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(call)

        class Mortal:
            """The journal of a process that can be killed before and after each transaction."""

            def read(self) -> Any:
                tick("read")
                return stand.journal.read()

            @contextmanager
            def write(self) -> Iterator[Any]:
                tick("before the transaction")
                with stand.journal.write() as tx:
                    yield tx
                    tick("before the commit")
                tick("after the commit")

        server.before = tick
        outcome: Started | UserError | None = None
        for point in [*points, 0]:
            left[0] = point
            launcher = Launcher(
                cast(Journal, Mortal()), cast(Semaphore, server), lambda: 2.0, stand.started, stand.pauses.append
            )
            try:
                outcome = launcher.launch(TOKEN)
                break
            except Killed:
                continue
            except UserError as said:
                outcome = said
                break
        there = [task for task in server.tasks if TOKEN in task.message]
        state, followed = stand.state, stand.followed
        stand.journal.close()
        assert len(server.posts) <= 1
        assert len(there) <= 1
        if isinstance(outcome, Started):
            assert [task.id for task in there] == [outcome.task_id] == followed
            assert state == "started"
        else:
            assert outcome is not None
            assert followed == []
            if isinstance(outcome, InDoubt):
                assert state == "doubt"
            else:  # a plain no: with the server's own reason, or as the end of a launch that had one
                assert outcome is error or "already ended as “failed”" in outcome.sentence
                assert not there
                assert state == "failed"
