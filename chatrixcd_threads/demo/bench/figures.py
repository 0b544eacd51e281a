"""Figures, their limits, and how they are shown: the pure part of the bench."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal

HEAD = ("name", "ours", "baseline", "ratio", "limit", "verdict")


_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {"<=": operator.le, "==": operator.eq, ">=": operator.ge}


class Verdict(StrEnum):
    """What became of a figure. `REPORTED` has no limit."""

    HOLDS = "holds"
    FAILS = "FAILS"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on the figure itself or on its ratio to the baseline."""

    of: Literal["ours", "ratio"]
    sign: Literal["<=", "==", ">="]
    value: float

    def holds(self, measured: float | None) -> bool:
        """Nothing measured holds nothing."""
        if measured is None:
            return False
        return _SIGNS[self.sign](measured, self.value)

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Without `ours` the measurement failed, and the note says why."""

    name: str
    unit: str
    ours: float | None
    baseline: float | None = None
    limit: Limit | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours in units of the baseline."""
        return self.ours / self.baseline if self.ours is not None and self.baseline else None

    @property
    def verdict(self) -> Verdict:
        """A failed measurement fails, limit or not."""
        if self.ours is None:
            return Verdict.FAILS
        if self.limit is None:
            return Verdict.REPORTED
        measured = self.ours if self.limit.of == "ours" else self.ratio
        return Verdict.HOLDS if self.limit.holds(measured) else Verdict.FAILS


def at_most(value: float, of: Literal["ours", "ratio"] = "ours") -> Limit:
    """Not more than that."""
    return Limit(of, "<=", value)


def at_least(value: float) -> Limit:
    """Not less than that."""
    return Limit("ours", ">=", value)


def exactly(value: float) -> Limit:
    """That and nothing else."""
    return Limit("ours", "==", value)


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which that share of the values lies, between neighbours in proportion. `share` is 0 to 1."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values were measured")
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return min(ordered[high], ordered[low] + (ordered[high] - ordered[low]) * (place - low))


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return percentile(values, 0.5)


def all_hold(figures: Iterable[Figure]) -> bool:
    """Whether no figure is beyond its limit."""
    return all(figure.verdict is not Verdict.FAILS for figure in figures)


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text; notes stand below the line that they belong to."""
    rows = [HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [_line(HEAD, widths), _line(["-" * width for width in widths], widths)]
    for figure, row in zip(figures, rows[1:], strict=True):
        lines.append(_line(row, widths))
        if figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def as_json(figures: Sequence[Figure], facts: dict[str, Any]) -> str:
    """Everything as one JSON object."""
    rows = [{**asdict(figure), "ratio": figure.ratio, "verdict": figure.verdict} for figure in figures]
    for row, figure in zip(rows, figures, strict=True):
        row["limit"] = str(figure.limit) if figure.limit else None
    return json.dumps({**facts, "all_hold": all_hold(figures), "figures": rows}, indent=2, ensure_ascii=False) + "\n"


def shown(value: float | None, unit: str = "") -> str:
    """Three digits that mean something, and the unit."""
    if value is None:
        return "-"
    whole = value == int(value) and abs(value) < 1e6
    number = f"{value:.0f}" if whole or abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def _row(figure: Figure) -> tuple[str, ...]:
    ours, baseline = shown(figure.ours, figure.unit), shown(figure.baseline, figure.unit)
    limit = str(figure.limit) if figure.limit else "-"
    return figure.name, ours, baseline, shown(figure.ratio), limit, str(figure.verdict)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
