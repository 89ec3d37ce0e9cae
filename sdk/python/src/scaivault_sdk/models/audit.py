"""The audit trail and the server itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class AuditRow(Model):
    """One action, done or refused."""

    id: str = ""
    timestamp: datetime = UNKNOWN_TIME
    action: str = ""
    identity_type: str = ""
    identity_id: str = ""
    secret_path: str | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    success: bool = False
    duration_ms: int = 0
    request_id: str | None = None
    extra_data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AuditSummary(Model):
    """Counts of audit rows."""

    total_events: int = 0
    successful_events: int = 0
    failed_events: int = 0
    by_action: Mapping[str, int] = field(default_factory=dict)
    by_identity: Mapping[str, int] = field(default_factory=dict)
    first_event_at: datetime | None = None
    last_event_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class BadRow(Model):
    """The first row that does not hold."""

    id: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RemovedRows(Model):
    """Rows that retention removed from the front of a chain; what is left hangs on ``head``."""

    last_id: str = ""
    rows: int = 0
    removed_at: datetime = UNKNOWN_TIME
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditVerification(Model):
    """Whether the chain of rows holds."""

    valid: bool = False
    rows: int = 0
    head: str = ""
    first_bad: BadRow | None = None
    removed: tuple[RemovedRows, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AuditExportFile(Model):
    """A part of an export."""

    name: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class ChainHead(Model):
    """The end of a chain."""

    chain: str = ""
    last_seq: int = 0
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditExport(Model):
    """An export of the trail and how far it is; ``progress`` is in percent. What the rows begin
    from is ``extra["from"]``."""

    id: str = ""
    status: str = ""
    format: str = ""
    destination: str = ""
    to: datetime | None = None
    actions: tuple[str, ...] = ()
    all_tenants: bool = False
    requested_by: str = ""
    created_at: datetime = UNKNOWN_TIME
    ended_at: datetime | None = None
    rows: int = 0
    bytes: int = 0
    progress: int = 0
    files: tuple[AuditExportFile, ...] = ()
    chains: tuple[ChainHead, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Health(Model):
    """The process answers."""

    status: str = ""
    timestamp: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Readiness(Model):
    """Whether the server can work; ``errors`` says what it cannot."""

    status: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether it can."""
        return self.status == "ready"


@dataclass(frozen=True, kw_only=True)
class ServerVersion(Model):
    """The server's version and the API's."""

    version: str = ""
    api_version: str = ""
