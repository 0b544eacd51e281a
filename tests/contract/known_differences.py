"""Every difference between the stand-in and the recordings that is known and accepted, each with its reason.

A test fails when a difference is not listed here, and when an entry of this table is no longer needed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """Accepted differences: stores and scenarios by name, the rest by regular expressions."""

    stores: str
    scenario: str
    what: str
    text: str
    reason: str
    sometimes: bool = False  # depends on the moment: no failure when it does not occur


@dataclass(frozen=True)
class NotReplayed:
    """A recording that cannot be replayed."""

    stores: str
    scenario: str
    reason: str


NOT_REPLAYED: tuple[NotReplayed, ...] = ()
KNOWN: tuple[Known, ...] = ()
