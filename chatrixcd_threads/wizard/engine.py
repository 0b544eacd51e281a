"""Walks through the steps: forward when an answer holds, back when asked to, and never forgets what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.steps import STEPS, Asked, Found, Step


@dataclass(frozen=True, slots=True)
class Attempt:
    """An answer on its way to be tried, in whichever thread."""

    step: Step
    value: str
    draft: Draft

    def run(self, doors: Doors, tell: Callable[[str], None]) -> Found:
        """Tries it; takes as long as the other side takes. Raises UserError."""
        return self.step.check(Asked(self.value, self.draft, doors, tell))


class Walk:
    """Owner: the face's thread. Where the person is, all answers given, and what the last check found."""

    def __init__(self, draft: Draft, steps: Sequence[Step] = STEPS, answers: Mapping[str, str] | None = None) -> None:
        self._steps, self._first = steps, draft
        self._passed: list[tuple[Step, Found]] = []
        self.answers: dict[str, str] = dict(answers or {})
        self.problem = ""

    @property
    def draft(self) -> Draft:
        """What is known after the last step that was passed."""
        return self._passed[-1][1].draft if self._passed else self._first

    @property
    def found(self) -> Found | None:
        """What the step before this one found out."""
        return self._passed[-1][1] if self._passed else None

    @property
    def step(self) -> Step | None:
        """The step to answer now; None at the end."""
        rest = self._steps[self._steps.index(self._passed[-1][0]) + 1 :] if self._passed else self._steps
        return next((step for step in rest if step.when(self.draft)), None)

    @property
    def place(self) -> tuple[int, int]:
        """The number of this step, and how many there are as far as can be told now."""
        here = len(self._passed) + 1
        at = self._steps.index(self.step) if self.step is not None else len(self._steps)
        return here, here + sum(step.likely or step.when(self.draft) for step in self._steps[at + 1 :])

    def proposed(self) -> str:
        """What was answered here before, else the default."""
        step = self.step
        return "" if step is None else self.answers.get(step.key, step.default(self.draft))

    def attempt(self, typed: str) -> Attempt:
        """The answer to this step, ready to be tried; an empty one means the default. Raises UserError."""
        step = self.step
        if step is None:
            raise UserError("All questions are answered.")
        value = (typed if step.secret else typed.strip()) or step.default(self.draft)
        if step.choices:
            value = _chosen(value, step.choices)
        self.answers[step.key] = value
        return Attempt(step, value, self.draft)

    def passed(self, attempt: Attempt, found: Found) -> None:
        """The answer holds: on to the next step."""
        self.problem = ""
        self._passed.append((attempt.step, found))

    def failed(self, sentence: str) -> None:
        """It does not: the same step again, with the reason."""
        self.problem = sentence

    def back(self) -> bool:
        """To the step before; its answer is proposed. False at the first one."""
        if not self._passed:
            return False
        self.problem = ""
        self._passed.pop()
        return True


def _chosen(value: str, choices: tuple[str, ...]) -> str:
    fits = [choice for choice in choices if value and choice.startswith(value.lower())]
    if len(fits) != 1:
        raise UserError(f"Please answer with {' or '.join(choices)}.")
    return fits[0]
