"""JSON as Go's encoding/json reads and writes it (API.md section 1)."""

import json
from typing import Any

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TABLE = str.maketrans(_ESCAPES)
_INT_LIMIT = 2**63


class BadJsonError(ValueError):
    """The body cannot be decoded into the wanted fields: 400 without a body."""


class _Float(float):
    """A number that was written with a point or an exponent."""


def dumps(value: Any) -> bytes:
    """One line of JSON, HTML characters escaped, bad surrogates replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_TABLE)
    return text.encode("utf-8", "replace")


def first_value(raw: bytes) -> Any:
    """The first JSON value of the body; what follows it is ignored."""
    try:
        text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _ = json.JSONDecoder(parse_float=_Float).raw_decode(text)
    except ValueError as error:
        raise BadJsonError(str(error)) from error
    return value


def _fits(value: Any, kind: str) -> bool:
    if kind == "int":
        is_int = isinstance(value, int) and not isinstance(value, bool)
        return is_int and -_INT_LIMIT <= value < _INT_LIMIT
    kinds: dict[str, type] = {"str": str, "bool": bool, "obj": dict, "list": list}
    return kind == "any" or isinstance(value, kinds[kind])


def decode(raw: bytes, fields: dict[str, str]) -> dict[str, Any]:
    """The known fields of the body. Names match in any case, null leaves a field out, a wrong type fails."""
    value = first_value(raw)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadJsonError("not an object")
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = key if key in fields else key.lower()
        if name not in fields or item is None:
            continue
        if not _fits(item, fields[name]):
            raise BadJsonError(f"wrong type for {name}")
        found[name] = item
    return found


def is_json(text: str) -> bool:
    """Is the text one JSON value?"""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def percent_s(value: Any) -> str:
    """A value as Go's `%s` prints it: numbers and booleans come out odd (API.md section 6.1)."""
    if isinstance(value, str):
        return value
    if value is None:
        return "%!s(<nil>)"
    if isinstance(value, bool):
        return f"%!s(bool={str(value).lower()})"
    if isinstance(value, int | float):
        return f"%!s(float64={value:g})"
    if isinstance(value, list):
        return "[" + " ".join(percent_s(item) for item in value) + "]"
    return "map[" + " ".join(f"{k}:{percent_s(v)}" for k, v in sorted(value.items())) + "]"
