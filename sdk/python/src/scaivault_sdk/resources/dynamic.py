"""Credentials on request: engines, their roles, credentials, and leases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._call import (
    Call,
    Listing,
    Repeat,
    act,
    as_list,
    get,
    given,
    paged,
    query,
    remove,
    segment,
    slow,
)
from .._modes import Group, ModeT, listing, operation
from ..leased import LeasedCredential
from ..models import (
    Content,
    Credential,
    Done,
    Engine,
    EngineHealth,
    EngineRole,
    Lease,
    RevokedLeases,
    Rotation,
    SweptEngine,
    Text,
)

_ENGINES = "/v1/dynamic/engines"
_LEASES = "/v1/dynamic/leases"
#: Where the server itself waits for a target.
_TARGET_SECONDS = 90.0


class Dynamic(Group[ModeT]):
    """Engines, their roles, credentials, and leases. An engine is named by its name or its id."""

    def credentials(
        self,
        engine: str,
        role: str,
        *,
        ttl: str | None = None,
        params: Mapping[str, Any] | None = None,
        on_end: Callable[[LeasedCredential[ModeT]], object] | None = None,
    ) -> LeasedCredential[ModeT]:
        """A credential for as long as a ``with`` block (in an event loop ``async with``) takes.

        Its lease is renewed in the background, at two thirds of each term, and revoked at the
        block's end. ``on_end`` is called, in a thread of its own, once it cannot be renewed any
        further, or was revoked by somebody else.
        """
        call = self._credential(engine, role, ttl, params)
        return LeasedCredential(self._core, call, ttl, _renewal, _revocation, on_end)

    @listing
    def engines(self, *, limit: int | None = None) -> Listing[Engine]:
        """All engines."""
        return paged(_ENGINES, "engines", Engine, limit=limit)

    @operation
    def create_engine(
        self,
        name: str,
        type: str,
        config: Mapping[str, Any],
        *,
        description: str | None = None,
        default_ttl: str | None = None,
        max_ttl: str | None = None,
    ) -> Call[Engine]:
        """A new engine, after a look at its target."""
        body = given(
            name=name,
            type=type,
            config=dict(config),
            description=description,
            default_ttl=default_ttl,
            max_ttl=max_ttl,
        )
        return slow(act("POST", _ENGINES, Engine, Repeat.HARMFUL, body), _TARGET_SECONDS)

    @operation
    def engine(self, engine: str) -> Call[Engine]:
        """One engine."""
        return get(_engine(engine), Engine)

    @operation
    def update_engine(
        self,
        engine: str,
        *,
        config: Mapping[str, Any] | None = None,
        description: str | None = None,
        default_ttl: str | None = None,
        max_ttl: str | None = None,
    ) -> Call[Engine]:
        """Changes what is given. In ``config["settings"]``, ``None`` removes one."""
        body = given(
            config=None if config is None else dict(config),
            description=description,
            default_ttl=default_ttl,
            max_ttl=max_ttl,
        )
        call = act("PATCH", _engine(engine), Engine, Repeat.HARMLESS, body)
        return slow(call, _TARGET_SECONDS)

    @operation
    def delete_engine(self, engine: str) -> Call[Done]:
        """Forgets an engine without leases."""
        return remove(_engine(engine))

    @operation
    def health(self, engine: str) -> Call[EngineHealth]:
        """Logs in at the engine's target and looks."""
        return slow(get(_engine(engine, "/health"), EngineHealth), _TARGET_SECONDS)

    @operation
    def revoke_all(self, engine: str, *, role: str | None = None) -> Call[RevokedLeases]:
        """Ends all leases of an engine, or of one of its roles."""
        route = _engine(engine, "/revoke-all")
        decode = RevokedLeases.from_json
        return Call("POST", route, decode, repeat=Repeat.HARMLESS, query=query(role=role))

    @operation
    def rotate_root(self, engine: str, *, rotation_policy_id: str | None = None) -> Call[Rotation]:
        """Rotates the credential that makes the others. The first time it is attached to a
        rotation policy: the given one, or ``engine-roots``."""
        body = given(rotation_policy_id=rotation_policy_id)
        route = _engine(engine, "/rotate-root")
        return slow(act("POST", route, Rotation, Repeat.HARMFUL, body), _TARGET_SECONDS)

    @operation
    def public_key(self, engine: str) -> Call[Text]:
        """The key that signs certificates, as a line for ``TrustedUserCAKeys`` (``ssh``)."""
        return Call("GET", _engine(engine, "/public-key"), Text, raw=lambda key: Text(key, "utf-8"))

    @operation
    def revocation_list(self, engine: str) -> Call[Content]:
        """Certificates that were revoked, as a file for ``RevokedKeys`` (``ssh``)."""
        return Call("GET", _engine(engine, "/revocation-list"), Content, raw=Content)

    @operation
    def sweep(self, engine: str) -> Call[SweptEngine]:
        """Compares what is at the engine's target with its leases."""
        route = _engine(engine, "/sweep")
        return slow(act("POST", route, SweptEngine, Repeat.HARMLESS), _TARGET_SECONDS)

    @listing
    def roles(self, engine: str, *, limit: int | None = None) -> Listing[EngineRole]:
        """The roles of an engine."""
        return paged(_engine(engine, "/roles"), "roles", EngineRole, limit=limit)

    @operation
    def create_role(
        self,
        engine: str,
        role: str,
        *,
        creation_statements: Sequence[str] | None = None,
        revocation_statements: Sequence[str] | None = None,
        renew_statements: Sequence[str] | None = None,
        rollback_statements: Sequence[str] | None = None,
        owned_objects: str | None = None,
        username_template: str | None = None,
        settings: Mapping[str, Any] | None = None,
        default_ttl: str | None = None,
        max_ttl: str | None = None,
    ) -> Call[EngineRole]:
        """A new role."""
        body = given(
            name=role,
            creation_statements=as_list(creation_statements),
            revocation_statements=as_list(revocation_statements),
            renew_statements=as_list(renew_statements),
            rollback_statements=as_list(rollback_statements),
            owned_objects=owned_objects,
            username_template=username_template,
            settings=None if settings is None else dict(settings),
            default_ttl=default_ttl,
            max_ttl=max_ttl,
        )
        return act("POST", _engine(engine, "/roles"), EngineRole, Repeat.HARMFUL, body)

    @operation
    def role(self, engine: str, role: str) -> Call[EngineRole]:
        """One role."""
        return get(_role(engine, role), EngineRole)

    @operation
    def put_role(self, engine: str, role: str, fields: Mapping[str, Any]) -> Call[EngineRole]:
        """Makes a role, or changes the given fields of one that is there. ``fields`` are named as
        in ``create_role``."""
        return act("PUT", _role(engine, role), EngineRole, Repeat.HARMLESS, dict(fields))

    @operation
    def update_role(self, engine: str, role: str, changes: Mapping[str, Any]) -> Call[EngineRole]:
        """Changes the given fields. Leases keep what removes them."""
        return act("PATCH", _role(engine, role), EngineRole, Repeat.HARMLESS, dict(changes))

    @operation
    def delete_role(self, engine: str, role: str) -> Call[Done]:
        """Forgets a role; its leases end as they would have."""
        return remove(_role(engine, role))

    @operation
    def generate(
        self,
        engine: str,
        role: str,
        *,
        ttl: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Call[Credential]:
        """A credential of a role, which you renew and revoke yourself."""
        return self._credential(engine, role, ttl, params)

    @listing
    def leases(
        self,
        *,
        engine: str | None = None,
        role: str | None = None,
        status: str | Sequence[str] | None = None,
        identity_id: str | None = None,
        failing: bool | None = None,
        limit: int | None = None,
    ) -> Listing[Lease]:
        """Leases, newest first: all with ``dynamic:read``, otherwise one's own."""
        return paged(
            _LEASES,
            "leases",
            Lease,
            engine=engine,
            role=role,
            status=status,
            identity_id=identity_id,
            failing=failing,
            limit=limit,
        )

    @operation
    def lease(self, lease_id: str) -> Call[Lease]:
        """One lease."""
        return get(f"{_LEASES}/{segment(lease_id)}", Lease)

    @operation
    def renew(self, lease_id: str, *, increment: str | None = None) -> Call[Lease]:
        """Moves a lease's end: so long from now, or as long as a new one."""
        return _renewal(lease_id, increment)

    @operation
    def revoke(self, lease_id: str) -> Call[Lease]:
        """Ends a lease. Its account is removed right after the answer."""
        return _revocation(lease_id)

    def _credential(
        self, engine: str, role: str, ttl: str | None, params: Mapping[str, Any] | None
    ) -> Call[Credential]:
        route = _engine(engine, f"/creds/{segment(role, 'role')}")
        body = given(ttl=ttl, params=None if params is None else dict(params))
        return slow(act("POST", route, Credential, Repeat.HARMFUL, body), _TARGET_SECONDS)


def _engine(engine: str, suffix: str = "") -> str:
    return f"{_ENGINES}/{segment(engine, 'engine')}{suffix}"


def _role(engine: str, role: str) -> str:
    return _engine(engine, f"/roles/{segment(role, 'role')}")


def _renewal(lease_id: str, increment: str | None) -> Call[Lease]:
    route = f"{_LEASES}/{segment(lease_id)}/renew"
    call = act("POST", route, Lease, Repeat.HARMLESS, given(increment=increment))
    return slow(call, _TARGET_SECONDS)


def _revocation(lease_id: str) -> Call[Lease]:
    return act("POST", f"{_LEASES}/{segment(lease_id)}/revoke", Lease, Repeat.HARMLESS)
