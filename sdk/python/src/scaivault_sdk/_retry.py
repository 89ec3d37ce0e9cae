"""When to try again, and after how long.

The classes are the API's: ``rate_limited`` after ``Retry-After``, ``service_unavailable`` with
growing pauses, ``internal_error`` once, nothing else. A refused request (``rate_limited``) did
nothing and may always be repeated. After anything else the outcome is unknown, and only requests
that may take effect twice without harm are repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from ._call import Repeat
from .errors import InternalServerError, RateLimitError, ScaiVaultError, TransportError
from .errors import ServiceUnavailableError as Unavailable


@dataclass(frozen=True)
class Retry:
    """How often and how long to try."""

    attempts: int = 4
    """Sends of one request, the first included; 1 never repeats."""
    backoff_min: float = 0.25
    """Seconds before the second attempt; doubles with each one."""
    backoff_max: float = 5.0
    """The longest pause by backoff."""
    deadline: float = 60.0
    """Seconds for a call with all its attempts and pauses: no pause runs past it."""

    def pause(
        self, error: ScaiVaultError, repeat: Repeat, attempt: int, *, left: float, random: float
    ) -> float | None:
        """Seconds before the next attempt, or ``None`` to give up. ``attempt`` counts from 1."""
        if attempt >= self.attempts or not _may_repeat(error, repeat, attempt):
            return None
        if error.retry_after is None:
            full = min(self.backoff_min * 2 ** min(attempt - 1, 16), self.backoff_max)
            pause = full / 2 + full / 2 * random
        else:
            # Never early, and a little late so that clients do not return all at once.
            pause = error.retry_after + self.backoff_min * random
        return pause if pause < left else None


def _may_repeat(error: ScaiVaultError, repeat: Repeat, attempt: int) -> bool:
    if isinstance(error, RateLimitError) or is_unsent(error):
        return True
    if repeat is Repeat.HARMFUL:
        return False
    if isinstance(error, InternalServerError):
        # Once: a fault that repeats is not cured by asking a third time.
        return attempt == 1
    return isinstance(error, (Unavailable, TransportError))


def is_unsent(error: ScaiVaultError) -> bool:
    """Whether the request never reached the server."""
    return error.code == "connection_failed"


def is_uncertain(error: ScaiVaultError) -> bool:
    """Whether the request may have taken effect although it failed."""
    uncertain = isinstance(error, (TransportError, Unavailable, InternalServerError))
    return uncertain and not is_unsent(error)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After``: seconds, or a date. ``now`` is Unix time."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.fromtimestamp(now, timezone.utc)).total_seconds())
