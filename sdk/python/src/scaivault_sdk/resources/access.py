"""Identities, tokens and access policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from .._call import (
    Call,
    Listing,
    Repeat,
    act,
    as_list,
    get,
    get_list,
    given,
    paged,
    remove,
    segment,
)
from .._modes import Group, ModeT, listing, operation
from .._time import format_duration, format_time
from ..models import (
    Binding,
    CertificateLogin,
    Done,
    ExchangedToken,
    Identity,
    Introspection,
    Items,
    NewToken,
    Policy,
    PolicyDecision,
    RenewedToken,
    Token,
)


class Auth(Group[ModeT]):
    """Who a token speaks for."""

    @operation
    def whoami(self) -> Call[Identity]:
        """The identity, tenant and scopes of the client's own token."""
        return get("/v1/auth/whoami", Identity)

    @operation
    def introspect(self, token: str) -> Call[Introspection]:
        """What another token is; one that is not valid is ``active=False``."""
        return act("POST", "/v1/auth/introspect", Introspection, Repeat.READ, {"token": token})

    @operation
    def exchange(
        self, subject_token: str, *, scopes: Sequence[str] | None = None, rule: str | None = None
    ) -> Call[ExchangedToken]:
        """A token for a foreign workload's own, by the operator's rules (RFC 8693)."""
        body = given(
            subject_token=subject_token,
            scope=" ".join(as_list(scopes) or []) or None,
            rule=rule,
        )
        return act("POST", "/v1/auth/exchange", ExchangedToken, Repeat.HARMFUL, body)

    @operation
    def certificate_login(self) -> Call[CertificateLogin]:
        """A token for the client certificate that this client shows."""
        call = act("POST", "/v1/auth/certificate/login", CertificateLogin, Repeat.HARMFUL)
        return replace(call, anonymous=True)


class Tokens(Group[ModeT]):
    """The server's own tokens."""

    @operation
    def create(
        self,
        identity_type: str,
        identity_id: str,
        scopes: Sequence[str],
        *,
        ttl: timedelta | str | None = None,
        description: str | None = None,
        roles: Sequence[str] | None = None,
        uses: int | None = None,
        allowed_addresses: Sequence[str] | None = None,
        no_parent: bool | None = None,
    ) -> Call[NewToken]:
        """A new token: the only time it is shown. ``roles``: ``tenant_admin``,
        ``partner_admin``, ``super_admin``. It serves ``uses`` requests, from
        ``allowed_addresses``, and ends with the client's own token unless ``no_parent``."""
        body = given(
            identity_type=identity_type,
            identity_id=identity_id,
            scopes=as_list(scopes),
            roles=as_list(roles),
            ttl=None if ttl is None else format_duration(ttl),
            description=description,
            uses=uses,
            allowed_addresses=as_list(allowed_addresses),
            no_parent=no_parent,
        )
        return act("POST", "/v1/auth/tokens", NewToken, Repeat.HARMFUL, body)

    @listing
    def list(self, *, limit: int | None = None) -> Listing[Token]:
        """All tokens' records, ended and revoked ones included."""
        return paged("/v1/auth/tokens", "tokens", Token, limit=limit)

    @operation
    def revoke(self, token_id: str) -> Call[Done]:
        """Ends a token at once."""
        return remove(f"/v1/auth/tokens/{segment(token_id)}")

    @operation
    def renew_self(self) -> Call[RenewedToken]:
        """Counts the lifetime of the client's own token again from now."""
        return act("POST", "/v1/auth/tokens/self/renew", RenewedToken, Repeat.HARMLESS)


class Policies(Group[ModeT]):
    """Access policies and their bindings."""

    @listing
    def list(
        self,
        *,
        include_inactive: bool | None = None,
        scope: str | None = None,
        limit: int | None = None,
    ) -> Listing[Policy]:
        """Policies, with counts instead of rules and bindings."""
        return paged(
            "/v1/policies",
            "policies",
            Policy,
            include_inactive=include_inactive,
            scope=scope,
            limit=limit,
        )

    @operation
    def create(
        self,
        name: str,
        rules: Sequence[Mapping[str, Any]],
        *,
        description: str | None = None,
        is_active: bool | None = None,
        scope: str | None = None,
    ) -> Call[Policy]:
        """A new policy. A rule is ``{"path_pattern": …, "permissions": […], "conditions": …}``."""
        body = given(
            name=name,
            rules=as_list(rules),
            description=description,
            is_active=is_active,
            scope=scope,
        )
        return act("POST", "/v1/policies", Policy, Repeat.HARMFUL, body)

    @operation
    def read(self, policy_id: str) -> Call[Policy]:
        """One policy with its rules and bindings."""
        return get(_policy(policy_id), Policy)

    @operation
    def replace(
        self,
        policy_id: str,
        name: str,
        rules: Sequence[Mapping[str, Any]],
        *,
        description: str | None = None,
        is_active: bool | None = None,
    ) -> Call[Policy]:
        """Replaces name, description and rules; the bindings stay."""
        body = given(name=name, rules=as_list(rules), description=description, is_active=is_active)
        return act("PUT", _policy(policy_id), Policy, Repeat.HARMLESS, body)

    @operation
    def update(
        self,
        policy_id: str,
        *,
        name: str | None = None,
        rules: Sequence[Mapping[str, Any]] | None = None,
        description: str | None = None,
        is_active: bool | None = None,
    ) -> Call[Policy]:
        """Changes what is given."""
        body = given(
            name=name,
            rules=as_list(rules),
            description=description,
            is_active=is_active,
        )
        return act("PATCH", _policy(policy_id), Policy, Repeat.HARMLESS, body)

    @operation
    def delete(self, policy_id: str, *, force: bool = False) -> Call[Done]:
        """Deletes a policy; one with bindings only by ``force``, which drops them."""
        return remove(_policy(policy_id), force=True if force else None)

    @operation
    def bindings(self, policy_id: str) -> Call[Items[Binding]]:
        """Whom it reaches."""
        return get_list(_policy(policy_id, "/bindings"), "bindings", Binding)

    @operation
    def bind(
        self,
        policy_id: str,
        identity_type: str,
        identity_id: str,
        *,
        expires_at: datetime | str | None = None,
    ) -> Call[Binding]:
        """Binds it to an identity, until ``expires_at``."""
        body = given(
            identity_type=identity_type,
            identity_id=identity_id,
            expires_at=None if expires_at is None else format_time(expires_at),
        )
        return act("POST", _policy(policy_id, "/bindings"), Binding, Repeat.HARMFUL, body)

    @operation
    def unbind(self, policy_id: str, binding_id: str) -> Call[Done]:
        """Takes a binding away."""
        return remove(_policy(policy_id, f"/bindings/{segment(binding_id)}"))

    @operation
    def test(
        self,
        identity_id: str,
        path: str,
        permission: str,
        *,
        context: Mapping[str, Any] | None = None,
    ) -> Call[PolicyDecision]:
        """What the decision would be; leaves no audit row. ``context`` may have ``source_ip``,
        ``mfa_verified``, ``timestamp`` and ``groups``."""
        body = given(identity_id=identity_id, path=path, permission=permission, context=context)
        return act("POST", "/v1/policies/test", PolicyDecision, Repeat.READ, body)


def _policy(policy_id: str, suffix: str = "") -> str:
    return f"/v1/policies/{segment(policy_id)}{suffix}"
