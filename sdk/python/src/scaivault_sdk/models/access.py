"""Identities, tokens and access policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class Identity(Model):
    """Who a token speaks for."""

    identity_id: str = ""
    identity_type: str = ""
    display_name: str = ""
    tenant_id: str = ""
    partner_id: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    mfa_verified_at: datetime | None = None
    token_expires_at: datetime | None = None
    #: ``token``, ``machine``, ``issuer`` or ``certificate``.
    auth_method: str = ""
    #: SHA-256 of the client certificate it came with, hex.
    certificate_fingerprint: str | None = None
    #: Who vouched for the identity, when it was somebody outside.
    issuer: str | None = None
    token_id: str | None = None
    #: The token it was made with, and ends with.
    parent_id: str | None = None
    #: Requests it still serves; ``None``: any number.
    uses_left: int | None = None
    #: Address ranges it may be used from; empty: anywhere.
    allowed_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Introspection(Model):
    """What the server knows of a token. All but ``active`` is absent when that is false."""

    active: bool = False
    identity_id: str | None = None
    identity_type: str | None = None
    tenant_id: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    issued_at: datetime | None = None
    issuer: str | None = None
    token_id: str | None = None
    #: The token it was made with, and ends with.
    parent_id: str | None = None
    #: Requests it still serves; ``None``: any number.
    uses_left: int | None = None
    #: Address ranges it may be used from; empty: anywhere.
    allowed_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExchangedToken(Model):
    """A token given for a foreign one. It is in no ``repr``."""

    access_token: str = field(default="", repr=False)
    token_type: str = ""
    issued_token_type: str = ""
    expires_in: int = 0
    scope: str = ""
    token_id: str = ""
    identity_id: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CertificateLogin(Model):
    """A token given for a client certificate. It is in no ``repr``."""

    token: str = field(default="", repr=False)
    token_id: str = ""
    identity_id: str = ""
    scopes: tuple[str, ...] = ()
    expires_in: int = 0
    expires_at: datetime | None = None
    certificate_fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class NewToken(Model):
    """A new token: the only time it is shown. It is in no ``repr``."""

    id: str = ""
    token: str = field(default="", repr=False)
    identity_id: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    #: The token it was made with, and ends with.
    parent_id: str | None = None
    #: Requests it still serves; ``None``: any number.
    uses_left: int | None = None
    #: Address ranges it may be used from; empty: anywhere.
    allowed_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RenewedToken(Model):
    """A token whose lifetime was counted again."""

    id: str = ""
    identity_id: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Token(Model):
    """A token's record, without the token. ``status``: ``active``, ``expired``, ``revoked``,
    ``used_up``."""

    id: str = ""
    identity_id: str = ""
    identity_type: str = ""
    scopes: tuple[str, ...] = ()
    status: str = ""
    is_root: bool = False
    description: str | None = None
    created_at: datetime = UNKNOWN_TIME
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    #: It was revoked because the token it was made with had ended.
    ended_with_parent: bool = False
    #: The role a machine got it by.
    machine_role: str | None = None
    #: The token it was made with, and ends with.
    parent_id: str | None = None
    #: Requests it still serves; ``None``: any number.
    uses_left: int | None = None
    #: Address ranges it may be used from; empty: anywhere.
    allowed_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rule(Model):
    """One rule of a policy."""

    path_pattern: str = ""
    permissions: tuple[str, ...] = ()
    conditions: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Binding(Model):
    """A policy that reaches somebody."""

    id: str = ""
    policy_id: str = ""
    identity_type: str = ""
    identity_id: str = ""
    expires_at: datetime | None = None
    created_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Policy(Model):
    """An access policy. A listed one has the counts, a single one rules and bindings."""

    id: str = ""
    name: str = ""
    description: str | None = None
    rules: tuple[Rule, ...] = ()
    bindings: tuple[Binding, ...] = ()
    rule_count: int | None = None
    binding_count: int | None = None
    scope: str = "tenant"
    is_active: bool = True
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class EvaluatedPolicy(Model):
    """What one policy came to in a test."""

    policy_id: str = ""
    name: str = ""
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class MatchedRule(Model):
    """The rule that allows."""

    policy_id: str = ""
    rule_index: int = 0


@dataclass(frozen=True, kw_only=True)
class PolicyDecision(Model):
    """What the decision would be, and why."""

    allowed: bool = False
    reason: str = ""
    matched: MatchedRule | None = None
    evaluated: tuple[EvaluatedPolicy, ...] = ()
    failed_condition: str | None = None
