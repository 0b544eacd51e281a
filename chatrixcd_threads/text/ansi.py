"""Output of programs, made readable in a room."""

from __future__ import annotations

import re
from typing import Final

_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[@-Z\\^_])"
)
_OTHER: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain_line(line: str) -> str:
    """One record without colours and control characters; of a progress line only what stood there last."""
    without = _ESCAPES.sub("", line).rstrip("\r\n")
    return _OTHER.sub("", without.rpartition("\r")[2])
