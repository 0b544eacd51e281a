"""Two JSON values compared by their shape: key sets and the type of each value, not the values."""

from collections.abc import Iterator
from typing import Any

SUMMARIES = ("number of tasks", "ids and statuses", "trimmed")


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"


def _summary(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in SUMMARIES)


def differences(theirs: Any, ours: Any, place: str = "body") -> Iterator[str]:
    """What differs in shape. What the recorder has summed up or cut is not compared."""
    if _summary(theirs):
        return
    if kind_of(theirs) != kind_of(ours):
        yield f"{place}: {kind_of(theirs)} was recorded, we give {kind_of(ours)}"
    elif isinstance(theirs, dict):
        yield from _objects(theirs, ours, place)
    elif isinstance(theirs, list):
        yield from _lists(theirs, ours, place)


def _objects(theirs: dict[str, Any], ours: dict[str, Any], place: str) -> Iterator[str]:
    for key in sorted(set(theirs) - set(ours)):
        yield f"{place}.{key}: missing"
    for key in sorted(set(ours) - set(theirs)):
        yield f"{place}.{key}: not in the recording"
    for key in sorted(set(theirs) & set(ours)):
        yield from differences(theirs[key], ours[key], f"{place}.{key}")


def _lists(theirs: list[Any], ours: list[Any], place: str) -> Iterator[str]:
    rows = [row for row in theirs if not _summary(row)]
    if rows and isinstance(rows[0], list) and ours and isinstance(ours[0], dict):
        return  # summed up by the recorder as [id, name]
    if bool(rows) != bool(ours):
        yield f"{place}: {len(rows)} elements were recorded, we give {len(ours)}"
        return
    if rows and isinstance(rows[0], dict):
        yield from _tables([r for r in rows if isinstance(r, dict)], [r for r in ours if isinstance(r, dict)], place)


def _tables(theirs: list[dict[str, Any]], ours: list[dict[str, Any]], place: str) -> Iterator[str]:
    """Lists of objects hold different rows: each of our keys and types must occur in some recorded row."""
    if len(theirs) < len(ours):  # cut by the recorder
        wanted = {row.get("id") for row in theirs}
        ours = [row for row in ours if row.get("id") in wanted] or ours[: len(theirs)]
    always = set.intersection(*(set(row) for row in theirs))
    known: dict[str, set[str]] = {}
    for row in theirs:
        for key, value in row.items():
            known.setdefault(key, set()).add(kind_of(value))
    said = set()
    for row in ours:
        for key in always - set(row):
            said.add(f"{place}[].{key}: missing")
        for key, value in row.items():
            if key not in known:
                said.add(f"{place}[].{key}: not in the recording")
            elif kind_of(value) not in known[key]:
                said.add(f"{place}[].{key}: {'/'.join(sorted(known[key]))} was recorded, we give {kind_of(value)}")
    yield from sorted(said)
