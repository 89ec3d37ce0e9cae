"""Secret policies: recipes for values that the server makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._call import Call, Listing, Repeat, act, get, given, paged, remove, segment
from .._modes import Group, ModeT, listing, operation
from ..models import Done, SecretPolicy, SecretPolicyPreview

#: One field: ``name``, ``generator`` and, if need be, ``config``.
RecipeField = Mapping[str, Any]

_ROUTE = "/v1/secret-policies"


class SecretPolicies(Group[ModeT]):
    """Recipes for values, by id or by name."""

    @listing
    def list(self, *, limit: int | None = None) -> Listing[SecretPolicy]:
        """All recipes."""
        return paged(_ROUTE, "secret_policies", SecretPolicy, limit=limit)

    @operation
    def create(
        self,
        name: str,
        fields: Sequence[RecipeField],
        *,
        policy_type: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
    ) -> Call[SecretPolicy]:
        """A new recipe."""
        body = _body(name, fields, policy_type, description, is_active)
        return act("POST", _ROUTE, SecretPolicy, Repeat.HARMFUL, body)

    @operation
    def read(self, policy: str) -> Call[SecretPolicy]:
        """One recipe."""
        return get(_policy(policy), SecretPolicy)

    @operation
    def replace(
        self,
        policy: str,
        name: str,
        fields: Sequence[RecipeField],
        *,
        policy_type: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
    ) -> Call[SecretPolicy]:
        """Replaces all of it."""
        body = _body(name, fields, policy_type, description, is_active)
        return act("PUT", _policy(policy), SecretPolicy, Repeat.HARMLESS, body)

    @operation
    def update(
        self,
        policy: str,
        *,
        name: str | None = None,
        fields: Sequence[RecipeField] | None = None,
        policy_type: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
    ) -> Call[SecretPolicy]:
        """Changes what is given."""
        body = _body(name, fields, policy_type, description, is_active)
        return act("PATCH", _policy(policy), SecretPolicy, Repeat.HARMLESS, body)

    @operation
    def delete(self, policy: str, *, force: bool | None = None) -> Call[Done]:
        """Deletes it; with ``force`` also while something refers to it."""
        return remove(_policy(policy), force=force)

    @operation
    def preview(self, policy: str) -> Call[SecretPolicyPreview]:
        """A sample of what it makes. Not for use: it is kept nowhere, and was shown."""
        return act("POST", _policy(policy, "/preview"), SecretPolicyPreview, Repeat.HARMLESS)

    @operation
    def preview_of(self, fields: Sequence[RecipeField]) -> Call[SecretPolicyPreview]:
        """The same for a recipe that is not stored."""
        body = {"fields": [dict(one) for one in fields]}
        return act("POST", f"{_ROUTE}/preview", SecretPolicyPreview, Repeat.HARMLESS, body)


def _body(
    name: str | None,
    fields: Sequence[RecipeField] | None,
    policy_type: str | None,
    description: str | None,
    is_active: bool | None,
) -> dict[str, Any]:
    return given(
        name=name,
        fields=None if fields is None else [dict(one) for one in fields],
        policy_type=policy_type,
        description=description,
        is_active=is_active,
    )


def _policy(policy: str, rest: str = "") -> str:
    return f"{_ROUTE}/{segment(policy)}{rest}"
