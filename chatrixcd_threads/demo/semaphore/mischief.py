"""What a server may do although its answers say otherwise: a declared table, to be switched on for one server at a time.

The faults of `faults.py` spoil single answers; this spoils what is done with a task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Mischief:
    """One way of not doing what was asked. Stored tasks and answers show what was asked unless it says so."""

    drops: tuple[str, ...] = ()  # options that the job never gets
    renames: Mapping[str, str] = field(default_factory=dict)  # keys of `params`, as they are stored and shown
    answers: Mapping[str, Any] = field(default_factory=dict)  # put over the answer to a POST; the task is as asked
    only: bool = False  # ... and the answer is nothing but that
    loses_seconds: float = 0.0  # a job keeps none of its lines of the last so many seconds: short ones keep nothing
    requeues: bool = False  # a task that starts goes back to the queue once (NEWER.md 1.16)
    loses_runner: bool = False  # a running task becomes `error` although its job may go on (NEWER.md 1.16)
    hangs: bool = False  # the queue stands still: rows stay waiting, POSTs are never answered, /ping says pong

    def got(self, task: Row) -> Row:
        """The task as the job sees it."""
        if not self.drops:
            return task
        kept = {key: value for key, value in task.items() if key not in self.drops}
        params = {key: value for key, value in (task.get("params") or {}).items() if key not in self.drops}
        return {**kept, "params": params}

    def stored(self, params: Row) -> Row:
        """The options as they are stored."""
        return {self.renames.get(key, key): value for key, value in params.items()}

    def answered(self, shown: Row) -> Row:
        """The answer to a POST."""
        return dict(self.answers) if self.only else {**shown, **self.answers}


NONE = Mischief()

MISCHIEFS: Mapping[str, Mischief] = {
    "none": NONE,
    "drops-limit": Mischief(drops=("limit",)),
    "drops-dry-run": Mischief(drops=("dry_run",)),
    "drops-plan": Mischief(drops=("plan",)),
    "ignores-tags": Mischief(drops=("tags", "skip_tags")),
    "renames-limit": Mischief(renames={"limit": "host_limit"}),
    "answers-another-template": Mischief(answers={"template_id": 2}),
    "answers-another-limit": Mischief(answers={"params": {"limit": ["db1"]}}),
    "answers-another-body": Mischief(answers={"status": "accepted"}, only=True),
    "loses-short-logs": Mischief(loses_seconds=0.4),
    "loses-runner": Mischief(loses_runner=True),
    "requeues": Mischief(requeues=True),
    "hangs": Mischief(hangs=True),
}
