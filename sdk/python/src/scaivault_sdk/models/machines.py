"""Machines that log in by a role id and a secret id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class Role(Model):
    """What a machine becomes that logs in by it, and what it has to show."""

    name: str = ""
    role_id: str = ""
    description: str | None = None
    identity_id: str = ""
    identity_type: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    bind_secret_id: bool = True
    secret_id_ttl: str | None = None
    secret_id_num_uses: int | None = None
    secret_id_bound_cidrs: tuple[str, ...] = ()
    token_ttl: str = ""
    token_max_ttl: str | None = None
    token_period: str | None = None
    token_num_uses: int | None = None
    token_bound_cidrs: tuple[str, ...] = ()
    is_active: bool = True
    created_at: datetime = UNKNOWN_TIME
    created_by: str = ""
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class NewSecretId(Model):
    """A new secret id: the only time it is shown. It is in no ``repr``."""

    secret_id: str = field(default="", repr=False)
    accessor: str = ""
    role: str = ""
    role_id: str = ""
    num_uses: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SecretIdRecord(Model):
    """A secret id's record, without the secret id."""

    accessor: str = ""
    role: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    num_uses: int | None = None
    uses_left: int | None = None
    bound_cidrs: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()
    created_at: datetime = UNKNOWN_TIME
    created_by: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Login(Model):
    """The token of a machine that logged in. It is in no ``repr``."""

    token: str = field(default="", repr=False)
    token_id: str = ""
    role: str = ""
    identity_id: str = ""
    scopes: tuple[str, ...] = ()
    expires_in: int = 0
    expires_at: datetime | None = None
    #: Requests it serves; ``None``: any number.
    uses_left: int | None = None
    #: Address ranges it may be used from; empty: anywhere.
    allowed_addresses: tuple[str, ...] = ()
