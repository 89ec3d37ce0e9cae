"""Times and durations as the API writes them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)\Z"
)

#: Stands where the server should have sent a time and did not.
UNKNOWN_TIME = datetime.min.replace(tzinfo=timezone.utc)


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 text as an aware datetime, to the microsecond; ``None`` for anything else."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    micros = (fraction or "").ljust(6, "0")[:6]
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micros}{zone}")
    except ValueError:
        return None


def format_time(value: datetime | str) -> str:
    """A time for a request. A naive datetime is refused: nobody could say when it is."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError("a time needs a time zone, e.g. datetime.now(timezone.utc)")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def format_duration(value: timedelta | str) -> str:
    """A duration for a request: whole seconds, rounded up."""
    if isinstance(value, str):
        return value
    return f"{-(-value // timedelta(seconds=1))}s"
