"""Partners and tenants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class Partner(Model):
    """An owner of tenants. ``status`` is ``ACTIVE`` or ``SUSPENDED``."""

    id: str = ""
    name: str = ""
    slug: str = ""
    region: str | None = None
    status: str = ""
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME
    last_synced_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Tenant(Model):
    """An owner of secrets. ``status`` is ``SUSPENDED`` with its partner, too."""

    id: str = ""
    partner_id: str = ""
    name: str = ""
    slug: str = ""
    region: str | None = None
    status: str = ""
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME
    last_synced_at: datetime | None = None
