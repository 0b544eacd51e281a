"""The nearest known word to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rapidfuzz import fuzz, process

LIKELY: Final = 60.0  # of 100: below that, naming a word would only puzzle
LONGEST: Final = 100  # characters that are compared


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, in any case; None when none is near."""
    typed = word[:LONGEST].casefold()
    found = process.extractOne(typed, list(known), scorer=fuzz.ratio, processor=str.casefold, score_cutoff=LIKELY)
    return found[0] if found else None
