"""Machines that log in by a role id and a secret id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._call import Call, Listing, Repeat, act, as_list, get, given, paged, remove, segment
from .._modes import Group, ModeT, listing, operation
from ..models import Done, Login, NewSecretId, Role, SecretIdRecord


class Machines(Group[ModeT]):
    """Roles, their secret ids, and the login."""

    @operation
    def login(self, role_id: str, *, secret_id: str | None = None) -> Call[Login]:
        """A token for a role id and a secret id."""
        body = given(role_id=role_id, secret_id=secret_id)
        call = act("POST", "/v1/auth/login", Login, Repeat.HARMFUL, body)
        return replace(call, anonymous=True)

    @listing
    def list(self, *, limit: int | None = None) -> Listing[Role]:
        """All roles, by name."""
        return paged("/v1/auth/roles", "roles", Role, limit=limit)

    @operation
    def create(
        self,
        name: str,
        identity_type: str,
        identity_id: str,
        scopes: Sequence[str],
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> Call[Role]:
        """A new role. ``settings`` are its other fields, as the API names them, such as
        ``token_ttl``."""
        body = given(
            name=name,
            identity_type=identity_type,
            identity_id=identity_id,
            scopes=as_list(scopes),
        )
        body.update(settings or {})
        return act("POST", "/v1/auth/roles", Role, Repeat.HARMFUL, body)

    @operation
    def get(self, name: str) -> Call[Role]:
        """One role."""
        return get(f"/v1/auth/roles/{segment(name)}", Role)

    @operation
    def update(self, name: str, changes: Mapping[str, Any]) -> Call[Role]:
        """Changes the given fields. ``None`` takes a limit away."""
        route = f"/v1/auth/roles/{segment(name)}"
        return act("PATCH", route, Role, Repeat.HARMLESS, dict(changes))

    @operation
    def delete(self, name: str) -> Call[Done]:
        """Removes a role and its secret ids. Tokens that it gave live on."""
        return remove(f"/v1/auth/roles/{segment(name)}")

    @operation
    def create_secret_id(
        self,
        role: str,
        *,
        metadata: Mapping[str, str] | None = None,
        ttl: str | None = None,
        num_uses: int | None = None,
        bound_cidrs: Sequence[str] | None = None,
        token_bound_cidrs: Sequence[str] | None = None,
    ) -> Call[NewSecretId]:
        """A new secret id: the only time it is shown."""
        body = given(
            metadata=None if metadata is None else dict(metadata),
            ttl=ttl,
            num_uses=num_uses,
            bound_cidrs=as_list(bound_cidrs),
            token_bound_cidrs=as_list(token_bound_cidrs),
        )
        return act("POST", _secret_ids(role), NewSecretId, Repeat.HARMFUL, body)

    @listing
    def secret_ids(self, role: str, *, limit: int | None = None) -> Listing[SecretIdRecord]:
        """The records of a role's secret ids."""
        return paged(_secret_ids(role), "secret_ids", SecretIdRecord, limit=limit)

    @operation
    def secret_id(self, role: str, accessor: str) -> Call[SecretIdRecord]:
        """The record of one secret id."""
        return get(f"{_secret_ids(role)}/{segment(accessor)}", SecretIdRecord)

    @operation
    def look_up_secret_id(self, role: str, secret_id: str) -> Call[SecretIdRecord]:
        """The record of a secret id that somebody has."""
        route = f"{_secret_ids(role)}/lookup"
        return act("POST", route, SecretIdRecord, Repeat.READ, {"secret_id": secret_id})

    @operation
    def revoke_secret_id(self, role: str, accessor: str) -> Call[Done]:
        """Ends a secret id at once."""
        return remove(f"{_secret_ids(role)}/{segment(accessor)}")


def _secret_ids(role: str) -> str:
    return f"/v1/auth/roles/{segment(role)}/secret-ids"
