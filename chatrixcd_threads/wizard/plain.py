"""The wizard as plain questions and answers, line by line: for screen readers and dumb terminals."""

from __future__ import annotations

from typing import Final, Protocol

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.wizard.doors import Doors
from chatrixcd_threads.wizard.draft import Draft
from chatrixcd_threads.wizard.engine import Walk
from chatrixcd_threads.wizard.steps import Found, Step

HELP: Final = "?"
BACK: Final = "<"
EMPTY: Final = "-"
INTRODUCTION: Final = (
    "First start of chatrixcd-threads. Each answer is tried at once; nothing is written before the end.",
    f"Enter takes what stands in [brackets]. {HELP} explains a question, {BACK} goes back, {EMPTY} empties an answer, "
    "Ctrl-C ends it all.",
)


class Talk(Protocol):
    """Where lines go and answers come from. EOFError and KeyboardInterrupt pass through the wizard."""

    def say(self, line: str) -> None:
        """A line for the person."""

    def complain(self, line: str) -> None:
        """A line about a problem, for whoever started it."""

    def ask(self, prompt: str) -> str:
        """What the person types, shown as it is typed."""

    def ask_secret(self, prompt: str) -> str:
        """What the person types, not shown."""


def ask_all(walk: Walk, doors: Doors, talk: Talk) -> Draft:
    """Asks until there is no question left."""
    for line in INTRODUCTION:
        talk.say(line)
    while (step := walk.step) is not None:
        number, total = walk.place
        talk.say("")
        talk.say(f"[{number}/{total}] {step.title}")
        talk.say(step.question(walk.draft))
        _answer(walk, step, doors, talk)
    return walk.draft


def tell(found: Found, talk: Talk) -> None:
    """What a check found out."""
    for line in found.lines:
        talk.say(f"ok: {line}")
    for line in found.warnings:
        talk.say(f"Note: {line}")


def _answer(walk: Walk, step: Step, doors: Doors, talk: Talk) -> None:
    typed = (talk.ask_secret if step.secret else talk.ask)(_prompt(step, walk.proposed()))
    if typed.strip() == HELP:
        talk.say(step.help)
        return
    if typed.strip() == BACK:
        if not walk.back():
            talk.say("This is the first question.")
        return
    try:
        attempt = walk.attempt("" if typed.strip() == EMPTY else typed or walk.proposed())
        found = attempt.run(doors, lambda line: talk.say(f"  {line}"))
    except UserError as error:
        walk.failed(error.sentence)
        talk.say(f"Problem: {error.sentence}")
        return
    walk.passed(attempt, found)
    tell(found, talk)


def _prompt(step: Step, proposed: str) -> str:
    choices = f" ({'/'.join(step.choices)})" if step.choices else ""
    shown = "kept" if step.secret and proposed else proposed
    return f"{choices}{f' [{shown}]' if shown else ''}> ".lstrip()
