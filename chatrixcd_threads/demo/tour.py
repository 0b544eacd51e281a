"""The tour: a person does the main job, step by step, and every step must be answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chatrixcd_threads.demo.person import Heard
from chatrixcd_threads.demo.stage import Stage

STEP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Step:
    """What the person does, and the words that must stand in what the bot says to it.

    `say` may hold `{task}`, the number of the task that was started last. `react` goes to the bot's last message.
    """

    title: str
    say: str = ""
    react: str = ""
    save: Callable[[Stage], str] | None = None  # edits a settings file and says in a line what it did
    expect: str = ""


STEPS: Final = (
    Step("What can I type?", say="!cd help", expect=r"!cd run"),
    Step("Which projects does Semaphore show?", say="!cd projects", expect=r"Demo"),
    Step("What can be run in one of them?", say="!cd templates Demo", expect=r"Hello"),
    Step("Start a task: the bot asks first.", say="!cd run Demo Hello", expect=r"Shall I start Hello"),
    Step("A reaction on the question confirms it.", react="👍", expect=r"Task #\d+ \(Hello\)"),
    Step("The room hears how it ended.", expect=r"Hello: ✅ success"),
    Step("Read its output.", say="!cd logs {task}", expect=r"Output of task #{task}"),
    Step("A task that fails.", say="!cd run Demo Broken deploy", expect=r"Shall I start Broken deploy"),
    Step("A word answers as well.", say="yes", expect=r"Task #\d+ \(Broken deploy\)"),
    Step("A failure comes with its last lines.", expect=r"Broken deploy: ❌ failed"),
    Step("A task that takes long.", say="!cd run Demo Long job", expect=r"Shall I start Long job"),
    Step("Confirmed again.", react="👍", expect=r"Task #\d+ \(Long job\)"),
    Step("How is it?", say="!cd status", expect=r"Long job.*(running|waiting|starting)"),
    Step("Enough: stop it.", say="!cd stop {task}", expect=r"asked Semaphore to stop"),
    Step("The bot says when it has really stopped.", expect=r"Long job: ⏹ stopped"),
    Step("A typing mistake changes nothing.", say="!cd stattus", expect=r"Did you mean “!cd status”"),
)


class Tour:
    """Plays the steps and writes the transcript. Owner: the main thread."""

    def __init__(self, stage: Stage, write: Callable[[str], None], steps: Sequence[Step] = STEPS) -> None:
        self._stage, self._write, self._steps = stage, write, steps
        self._seen = 0  # versions of messages that were looked at
        self._last_said = ""
        self._task = ""

    def play(self) -> bool:
        """True when every step was answered as it must be."""
        return all(self._play(step) for step in self._steps)

    def _play(self, step: Step) -> bool:
        self._write(f"\n# {step.title}")
        self._act(step)
        wanted = re.compile(step.expect.replace("{task}", self._task), re.DOTALL)
        try:
            heard = self._stage.person.wait_for(lambda: self._next(wanted), timeout=STEP_SECONDS, what=step.expect)
        except TimeoutError as error:
            self._write(f"!! not answered as it should be: {error}")
            return False
        self._write(spoken("chatrixcd", heard.body))
        started = re.search(r"Task #(\d+) \(", heard.body)
        self._task = started[1] if started else self._task
        return True

    def _act(self, step: Step) -> None:
        stage = self._stage
        if step.say:
            line = step.say.replace("{task}", self._task)
            self._write(spoken("ada", line))
            stage.person.send(stage.room_id, line)
        elif step.save is not None:
            self._write(spoken("file", step.save(stage)))
        elif step.react:
            self._write(spoken("ada", f"{step.react}  (a reaction on the bot's question)"))
            stage.person.react(stage.room_id, self._last_said, step.react)

    def _next(self, wanted: re.Pattern[str]) -> Heard | None:
        """The next message or edit of the bot that fits; everything before it counts as looked at."""
        versions = self._stage.person.versions(self._stage.room_id)
        while self._seen < len(versions):
            version = versions[self._seen]
            self._seen += 1
            if version.sender == self._stage.bot_id:
                self._last_said = version.event_id
                if wanted.search(version.body):
                    return version
        return None


def spoken(who: str, body: str) -> str:
    """One message in a transcript."""
    first, *rest = body.removeprefix("* ").split("\n")
    return "\n".join([f"{who:>9} │ {first}", *(f"{'':>9} │ {line}" for line in rest)]).rstrip()
