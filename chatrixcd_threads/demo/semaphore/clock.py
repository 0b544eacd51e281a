"""Times as the server writes them: RFC 3339 with up to nine decimals (API.md section 1)."""

import time
from datetime import UTC, datetime

ZERO = "0001-01-01T00:00:00Z"


def now() -> int:
    """Nanoseconds since the epoch."""
    return time.time_ns()


def _fraction(nanos: int, digits: int) -> str:
    text = f"{nanos:09d}"[:digits].rstrip("0")
    return "." + text if text else ""


def utc(stamp: int, digits: int = 9) -> str:
    """The time with a `Z`."""
    whole, nanos = divmod(stamp, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}{_fraction(nanos, digits)}Z"


def local(stamp: int) -> str:
    """The time with the server's own offset."""
    whole, nanos = divmod(stamp, 10**9)
    moment = datetime.fromtimestamp(whole, UTC).astimezone()
    offset = moment.strftime("%z")
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(nanos, 9)}{zone}"
