"""Partners, tenants, and what belongs to a partner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from .._call import (
    UNSET,
    Call,
    Listing,
    Repeat,
    Unset,
    act,
    get,
    get_list,
    given,
    paged,
    segment,
)
from .._modes import Group, ModeT, listing, operation
from .._time import format_duration
from ..models import Items, Partner, SecretInfo, Tenant
from .secrets import Stored


class Partners(Group[ModeT]):
    """Owners of tenants."""

    @operation
    def list(
        self, *, status: str | None = None, page: int | None = None, page_size: int | None = None
    ) -> Call[Items[Partner]]:
        """One page of them, those that the caller may see."""
        return get_list(
            "/v1/identity/partners",
            "partners",
            Partner,
            status=status,
            page=page,
            page_size=page_size,
        )

    @operation
    def create(
        self,
        name: str,
        *,
        partner_id: str | None = None,
        slug: str | None = None,
        region: str | None = None,
    ) -> Call[Partner]:
        """A new one; for operators of the server."""
        body = given(name=name, id=partner_id, slug=slug, region=region)
        return act("POST", "/v1/identity/partners", Partner, Repeat.HARMFUL, body)

    @operation
    def read(self, partner_id: str) -> Call[Partner]:
        """One of them."""
        return get(_partner(partner_id), Partner)

    @operation
    def update(
        self,
        partner_id: str,
        *,
        name: str | None = None,
        region: str | None | Unset = UNSET,
        status: str | None = None,
    ) -> Call[Partner]:
        """Changes what is given. ``status="SUSPENDED"``: none of its tenants is served;
        ``region=None`` takes it away."""
        body = _changes(name, region, status)
        return act("PATCH", _partner(partner_id), Partner, Repeat.HARMLESS, body)


class Tenants(Group[ModeT]):
    """Owners of secrets."""

    @operation
    def list(
        self,
        *,
        partner_id: str | None = None,
        status: str | None = None,
        page: int | None = None,
        page_size: int | None = None,
    ) -> Call[Items[Tenant]]:
        """One page of them, those that the caller may see."""
        return get_list(
            "/v1/identity/tenants",
            "tenants",
            Tenant,
            partner_id=partner_id,
            status=status,
            page=page,
            page_size=page_size,
        )

    @operation
    def create(
        self,
        name: str,
        *,
        partner_id: str | None = None,
        tenant_id: str | None = None,
        slug: str | None = None,
        region: str | None = None,
    ) -> Call[Tenant]:
        """A new one, of the caller's own partner unless told."""
        body = given(name=name, partner_id=partner_id, id=tenant_id, slug=slug, region=region)
        return act("POST", "/v1/identity/tenants", Tenant, Repeat.HARMFUL, body)

    @operation
    def read(self, tenant_id: str) -> Call[Tenant]:
        """One of them."""
        return get(_tenant(tenant_id), Tenant)

    @operation
    def update(
        self,
        tenant_id: str,
        *,
        name: str | None = None,
        region: str | None | Unset = UNSET,
        status: str | None = None,
    ) -> Call[Tenant]:
        """Changes what is given. ``status="SUSPENDED"``: nobody is served in it; ``region=None``
        takes it away."""
        body = _changes(name, region, status)
        return act("PATCH", _tenant(tenant_id), Tenant, Repeat.HARMLESS, body)


class PartnerSecrets(Stored[ModeT]):
    """Secrets of the partner: read by its tenants, written by its admins, not rotated."""

    _root = "/v1/partner/secrets"

    @operation
    def write(
        self,
        path: str,
        data: Mapping[str, Any],
        secret_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_versions: int | None = None,
        *,
        expires_in: timedelta | str | None = None,
        cas: int | None = None,
    ) -> Call[SecretInfo]:
        """Appends a version; the first write makes the secret. ``cas`` as for other secrets."""
        options = given(
            max_versions=max_versions,
            expires_in=None if expires_in is None else format_duration(expires_in),
            cas=cas,
        )
        body = given(secret_type=secret_type, metadata=metadata, options=options or None)
        repeat = Repeat.HARMFUL if cas is None else Repeat.HARMLESS
        return act("PUT", self._route(path), SecretInfo, repeat, {"data": data, **body})

    @listing
    def list(
        self, prefix: str | None = None, *, tag: str | None = None, limit: int | None = None
    ) -> Listing[SecretInfo]:
        """Those that the caller may list, by path, without values."""
        return paged(self._root, "secrets", SecretInfo, prefix=prefix, tag=tag, limit=limit)


def _changes(name: str | None, region: str | None | Unset, status: str | None) -> dict[str, Any]:
    body = given(name=name, status=status)
    return body if isinstance(region, Unset) else {**body, "region": region}


def _partner(partner_id: str) -> str:
    return f"/v1/identity/partners/{segment(partner_id)}"


def _tenant(tenant_id: str) -> str:
    return f"/v1/identity/tenants/{segment(tenant_id)}"
