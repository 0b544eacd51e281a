"""From a confirmed launch to a known task: posted once, and looked for instead of posted again.

The launch's token stands in the task's `message`. After a lost answer, an error of the server or a crash in `sending`,
the newest tasks of the template are searched for the token. Nothing is ever posted twice by itself; when it cannot be
told whether a task was started, the room is told exactly that (API.md 20.4).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.journal import audit, launches, stills
from chatrixcd_threads.journal.audit import Deed
from chatrixcd_threads.journal.db import Journal, Tx
from chatrixcd_threads.journal.launches import Launch
from chatrixcd_threads.journal.stills import Hang
from chatrixcd_threads.semaphore.client import Semaphore
from chatrixcd_threads.semaphore.errors import SemaphoreError, TimedOut
from chatrixcd_threads.semaphore.gates import differences
from chatrixcd_threads.semaphore.models import Task
from chatrixcd_threads.semaphore.stopping import doubt_of, stop_when_started
from chatrixcd_threads.text.vault import Vault

log = logging.getLogger("chatrixcd.launch")

LOOKS = 3
STALE = 120.0  # seconds after which a confirmed launch that was never sent is not what anybody waits for
PAUSE = 1.0  # seconds between two looks for a task whose POST was not answered
NEWEST = 50
OVER = "It was over before I could stop it."
NOT_STARTED = frozenset({400, 401, 403, 404})  # answers after which there is no task


@dataclass(frozen=True, slots=True)
class Started:
    """The task of a launch. `found` is true when it was found by its token after an unclear answer.

    `stuck` is true when its start was never answered and it waits: so does a server whose queue has died (API.md 5.4).
    """

    task_id: int
    found: bool
    stuck: bool = False


class Mismatch(UserError):
    """Semaphore made another task than the one that was asked for; it was asked to stop it at once."""


class InDoubt(UserError):
    """Nobody can say whether the task was started; what was looked at is in the sentence. `doubts` numbers the doubt."""

    def __init__(self, sentence: str, doubts: int) -> None:
        super().__init__(sentence)
        self.doubts = doubts


def carries(task: Task, token: str) -> bool:
    """Whether the launch with this token made the task. It stands last: what is before may be anybody's words."""
    return task.message.rstrip().endswith(f"[{token}]")


def forgotten(name: str, secrets: str) -> UserError:
    """Why a launch is not sent whose secrets are gone."""
    return UserError(
        f"I did not start {name}: I do not have its secrets any more ({secrets}). I was restarted or it took too long, and I "
        "forget secrets on purpose. Please ask again."
    )


class Launcher:
    """Any worker thread; all state is in the journal, but for secrets: those are in the vault alone."""

    def __init__(
        self,
        journal: Journal,
        semaphore: Semaphore,
        now: Callable[[], float],
        started: Callable[[], None],
        pause: Callable[[float], None] = time.sleep,
        vault: Vault | None = None,
    ) -> None:
        self._vault = vault or Vault()
        self._journal, self._semaphore, self._now = journal, semaphore, now
        self._started, self._pause = started, pause

    def launch(self, token: str, *, allowed: int = 0) -> Started:
        """Carries a confirmed launch on from wherever it stands. Raises UserError when there is no task to follow.

        `allowed` is the number of the doubt after which a person wants it sent once more: each yes counts once.
        """
        launch = launches.by_token(self._journal.read(), token)
        if launch is None:
            raise UserError("I lost the record of this launch, so I did nothing. Please ask again.")
        match launch.state:
            case "started" if launch.task_id is not None:
                return Started(launch.task_id, found=False)
            case "mismatch" if launch.task_id is not None:
                raise self._stopped(launch, launch.task_id)
            case "confirmed" if self._now() - launch.changed_at > STALE:
                why = "I was interrupted before I sent it."
                self._move(launch, "failed", Deed.FAILED, why)
                raise UserError(
                    f"I did not start {launch.template_name}: {why} That is long ago. Nothing was started. Please ask again."
                )
            case "confirmed":
                return self._post(launch)
            case "sending":
                return self._look(launch, "I was interrupted while I sent the launch to Semaphore.")
            case "doubt":
                return self._again(launch, allowed == launch.doubts)
            case _:
                raise UserError(
                    f"This launch of {launch.template_name} has already ended as “{launch.state}”. Please ask again."
                )

    def _post(self, launch: Launch) -> Started:
        body = self._body(launch)
        self._move(launch, "sending", was=launch.state)
        try:
            task = self._semaphore.start(launch.project_id, body)
        except SemaphoreError as error:
            log.warning("launch %s: %s", launch.token, error.kind)
            if not error.sent:
                self._vault.forget(launch.token)
                self._move(launch, "failed", Deed.FAILED, error.sentence)
                raise
            return self._look(launch, error.sentence, refused=error)
        return self._note(launch, task, found=False)

    def _body(self, launch: Launch) -> Mapping[str, object]:
        """What is posted: the body of the journal, and the secrets, which are nowhere else."""
        names = json.loads(launch.payload or "{}").get("wanted", {}).get("secrets", [])
        if not names:
            return launch.body
        values = self._vault.of(launch.token)
        if not values.keys() >= set(names):
            error = forgotten(launch.template_name, ", ".join(names))
            self._move(launch, "failed", Deed.FAILED, error.sentence)
            raise error
        return {**launch.body, "secret": json.dumps({name: values[name] for name in names}, ensure_ascii=False)}

    def _again(self, launch: Launch, allowed: bool) -> Started:
        """One more look; then it is sent once more, if a person has looked as well and wants that."""
        try:
            found = self._found(launch)
        except SemaphoreError as error:
            raise InDoubt(
                f"I still do not know whether {launch.template_name} was started, and cannot look now: {error.sentence}",
                launch.doubts,
            ) from None
        if found is not None:
            return self._note(launch, found, found=True)
        if allowed:
            return self._post(launch)
        raise InDoubt(
            f"I still do not know whether {launch.template_name} was started: its newest tasks do not show it. "
            f"Look in Semaphore for a task whose message contains {launch.token} before you say yes.",
            launch.doubts,
        )

    def _found(self, launch: Launch) -> Task | None:
        """The task with the launch's token among the newest of its template."""
        tasks = self._semaphore.template_tasks(launch.project_id, launch.template_id, NEWEST)
        return next((task for task in tasks if carries(task, launch.token)), None)

    def _look(self, launch: Launch, why: str, refused: SemaphoreError | None = None) -> Started:
        looked = 0
        ended = refused is not None and refused.status in NOT_STARTED
        for turn in range(1 if ended else LOOKS):
            if turn:
                self._pause(PAUSE)
            try:
                found = self._found(launch)
            except SemaphoreError:
                continue
            looked += 1
            if found is not None:
                stuck = isinstance(refused, TimedOut) and found.status == "waiting"
                return self._note(launch, found, found=True, stuck=stuck)
        if refused is not None and ended:
            self._vault.forget(launch.token)
            self._move(launch, "failed", Deed.FAILED, refused.sentence)
            raise refused
        saw = (
            f"I looked {looked} times among its newest tasks and did not find it."
            if looked
            else "I cannot read its tasks either."
        )
        self._move(launch, "doubt", Deed.DOUBT, f"{why} {saw}", was="sending")
        raise InDoubt(
            f"I do not know whether {launch.template_name} was started. {why} {saw} "
            f"Look in Semaphore for a task whose message contains {launch.token} before you say yes.",
            launch.doubts + 1,
        )

    def _note(self, launch: Launch, task: Task, *, found: bool, stuck: bool = False) -> Started:
        other = differences(launch.body, task)
        over = f" {OVER}" if task.finished else ""
        with self._journal.write() as tx:
            launches.move(tx, launch.id, "mismatch" if other else "started", self._now(), task.id)
            launches.follow(tx, launch, task.id, f"⛔ {'; '.join(other)}.{over}" if other else "")
            if stuck and stills.hang(tx, launch.project_id) is None:
                stills.keep_hang(tx, Hang(launch.project_id, self._now(), stills.UNSEEN, unanswered=True))
            found_it = ", found by its token after the answer was lost" if found else ""
            self._tell(tx, launch, Deed.STARTED, f"#{task.id}, token {launch.token}{found_it}")
            if other:
                self._tell(tx, launch, Deed.MISMATCH, f"#{task.id}, token {launch.token}: {'; '.join(other)}")
        self._vault.forget(launch.token)
        self._started()
        if other:
            raise self._stopped(launch, task.id, task)
        return Started(task.id, found, stuck)

    def _stopped(self, launch: Launch, task_id: int, made: Task | None = None) -> Mismatch:
        """Stops a task that is not the one asked for. Once: a finished one is left as it ended."""
        other, done = "", OVER
        try:
            task = made or self._semaphore.task(launch.project_id, task_id)
            other = "; ".join(differences(launch.body, task))
            if not task.finished:
                task = stop_when_started(self._semaphore, launch.project_id, task, pause=self._pause)
                asked = "I asked Semaphore to stop it at once, and say here when it has stopped."
                done = OVER if task.finished else " ".join(filter(None, (asked, doubt_of(task))))
        except SemaphoreError as error:
            with self._journal.write() as tx:
                launches.unstopped(tx, launch.project_id, task_id)
            done = f"I could not stop it: {error.sentence} I go on trying. Stop it in Semaphore if you can."
        other = other or "another one than was asked for"
        log.error("launch %s: task %d is not what was asked for: %s", launch.token, task_id, other)
        return Mismatch(
            f"⛔ Task #{task_id} ({launch.template_name}) is not what was asked for. {other}. {done} "
            "What it has started on its hosts may go on."
        )

    def _move(
        self, launch: Launch, state: str, deed: Deed | None = None, why: str = "", was: str | None = None
    ) -> None:
        with self._journal.write() as tx:
            if not launches.move(tx, launch.id, state, self._now(), looked=why, was=was):
                raise UserError(f"I send nothing more: somebody has settled the launch {launch.token} just now.")
            if deed is not None:
                self._tell(tx, launch, deed, f"token {launch.token}: {why}")

    def _tell(self, tx: Tx, launch: Launch, deed: Deed, detail: str) -> None:
        audit.note(
            tx,
            deed,
            who=launch.sender,
            room_id=launch.room_id,
            subject=launch.template_name,
            detail=detail,
            now=self._now(),
        )
