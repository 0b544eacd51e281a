"""What may go wrong in a way that a person can be told: each error carries the sentence for the room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class UserError(Exception):
    """A failure that is answered with its own sentence: what was tried, what came back, what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class UsageError(UserError):
    """The command was not understood: an unknown word, flag or value. Nothing was done."""


class SecretTyped(UserError):
    """A secret was typed where others can read it. Nothing was done, and the message is to be taken away."""


class NotAllowed(UserError):
    """The person may not do this, by the bot's own rules. Answered with a brush_off message and the reason."""


class WrongRoom(NotAllowed):
    """Nobody may do anything in this room. It says nothing about the person, so no brush_off stands in front."""


class NotFound(UserError):
    """The thing named in the command does not exist, or may not be seen."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that a name may have meant; with its project, when it belongs to one (ids are only unique in theirs)."""

    id: int
    name: str
    project_id: int = 0
    project: str = ""

    @property
    def label(self) -> str:
        """As it is shown to be picked."""
        return clean(f"{self.project} / {self.name}" if self.project else self.name)


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
MOST_CANDIDATES: Final = 9  # as many as there are reactions with a number


class Choice(UserError):
    """A name fits several things, or only nearly one: nothing is taken before the person has picked one.

    `what` they are: project, template, inventory or task. `more` is how many are left out of `candidates`.
    """

    def __init__(self, head: str, what: str, candidates: Sequence[Candidate]) -> None:
        self.head, self.what = head, what
        self.candidates = tuple(candidates[:MOST_CANDIDATES])
        self.more = len(candidates) - len(self.candidates)
        super().__init__(f"{head} It may be {labels(self.candidates, self.more)}. Name one by its number.")


def labels(candidates: Sequence[Candidate], more: int = 0) -> str:
    """Candidates in a sentence, with their numbers."""
    named = ", ".join(f"“{each.label}” ({each.id})" for each in candidates)
    return f"{named} and {more} more" if more else named


def clean(text: str) -> str:
    """As names are shown in a sentence: without control characters, never a novel."""
    return _CONTROL.sub(" ", text)[:100]


class ConfigError(UserError):
    """A settings file that cannot be used. The sentence names file, line, key and the nearest known key."""


class Fatal(Exception):
    """A service cannot work and starting it again does not help (wrong password, unusable settings)."""
