"""Cron texts: the server's complaints and when they fire (API.md section 13)."""

import re
from datetime import datetime

_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = re.compile(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?")
_EVERY = re.compile(r"@every (\d+)(s|m|h)")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _without_zone(text: str) -> str:
    return re.sub(r"^(CRON_)?TZ=\S+\s+", "", text)


def problem(text: str) -> str | None:
    """Why the text is no schedule, or None."""
    if not text:
        return "empty spec string"
    text = _without_zone(text)
    if text in _WORDS or _EVERY.fullmatch(text):
        return None
    if text.startswith("@"):
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_LIMITS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, limits in zip(fields, _LIMITS, strict=True):
        for part in field.split(","):
            if complaint := _part_problem(part, limits):
                return complaint
    return None


def _part_problem(part: str, limits: tuple[int, int]) -> str | None:
    found = _PART.fullmatch(part)
    if found is None:
        return f"failed to parse int from {part}: strconv.Atoi: parsing {part!r}: invalid syntax"
    if found[1] == "*":
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    if first < limits[0]:
        return f"beginning of range ({first}) below minimum ({limits[0]}): {part}"
    if last > limits[1]:
        return f"end of range ({last}) above maximum ({limits[1]}): {part}"
    return None


def every(text: str) -> float | None:
    """The seconds of an `@every`, or None."""
    found = _EVERY.fullmatch(_without_zone(text))
    return float(int(found[1]) * _UNITS[found[2]]) if found else None


def fires(text: str, moment: datetime) -> bool:
    """Does the schedule fire in this minute?"""
    text = _without_zone(text)
    fields = _WORDS.get(text, text).split()
    if len(fields) != len(_LIMITS):
        return False
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    return all(_meets(f, v, limit) for f, v, limit in zip(fields, values, _LIMITS, strict=True))


def _meets(field: str, value: int, limits: tuple[int, int]) -> bool:
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            continue
        first = limits[0] if found[1] == "*" else int(found[1])
        last = limits[1] if found[1] == "*" or (found[3] and not found[2]) else int(found[2] or found[1])
        if first <= value <= last and (value - first) % int(found[3] or 1) == 0:
            return True
    return False
