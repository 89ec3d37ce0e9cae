"""Credentials on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model
from .rotation import MissingRight, Trouble
from .secrets import SecretData


@dataclass(frozen=True, kw_only=True)
class Engine(Model):
    """What makes credentials at one target."""

    id: str = ""
    name: str = ""
    type: str = ""
    description: str | None = None
    plugin: str = ""
    target_id: str | None = None
    default_ttl: str = ""
    max_ttl: str = ""
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME
    swept_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class EngineHealth(Model):
    """How an engine's target answers."""

    engine: str = ""
    healthy: bool = False
    checked_at: datetime = UNKNOWN_TIME
    trouble: Trouble | None = None
    server: str | None = None
    manager: str | None = None
    missing: tuple[MissingRight, ...] = ()
    #: Leases that have not ended.
    leases: int = 0


@dataclass(frozen=True, kw_only=True)
class EngineRole(Model):
    """What the credentials of an engine may do, and how they are made and removed."""

    engine: str = ""
    name: str = ""
    creation_statements: tuple[str, ...] = ()
    rollback_statements: tuple[str, ...] = ()
    renew_statements: tuple[str, ...] = ()
    revocation_statements: tuple[str, ...] = ()
    owned_objects: str = ""
    username_template: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    default_ttl: str | None = None
    max_ttl: str | None = None
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Credential(Model):
    """A new credential: the only time it is shown. It is in no ``repr``."""

    lease_id: str = ""
    engine: str = ""
    role: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: Everything that was made, name and password included.
    data: SecretData = field(default_factory=SecretData, repr=False)
    renewable: bool = False
    #: Seconds until it ends.
    ttl: int = 0
    expires_at: datetime = UNKNOWN_TIME
    #: How far it can be renewed.
    max_expires_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Lease(Model):
    """A credential for as long as it lives. The credential itself is stored nowhere."""

    id: str = ""
    engine_id: str = ""
    role: str = ""
    #: The account's name at the target.
    account: str = ""
    identity_id: str = ""
    token_id: str | None = None
    #: ``creating``, ``active``, ``revoking`` or ``revoked``.
    status: str = ""
    #: Why it ends: ``expired``, ``asked``, ``token``, ``unconfirmed``, ``not_made`` or ``found``.
    cause: str | None = None
    issued_at: datetime = UNKNOWN_TIME
    expires_at: datetime = UNKNOWN_TIME
    max_expires_at: datetime = UNKNOWN_TIME
    renewed_at: datetime | None = None
    revoked_at: datetime | None = None
    attempts: int = 0
    failing_since: datetime | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class RevokedLeases(Model):
    """How many leases were put to their end. Their accounts are removed one after the other."""

    revoked: int = 0


@dataclass(frozen=True, kw_only=True)
class SweptEngine(Model):
    """Leases for accounts that had none."""

    found: tuple[Lease, ...] = ()
