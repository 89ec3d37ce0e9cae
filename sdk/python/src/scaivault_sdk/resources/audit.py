"""The audit trail and the server itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .._call import (
    Call,
    Listing,
    Repeat,
    act,
    as_list,
    get,
    given,
    paged,
    secret_path,
    segment,
)
from .._modes import Group, ModeT, listing, operation
from .._time import format_time
from ..models import (
    AuditExport,
    AuditRow,
    AuditSummary,
    AuditVerification,
    Health,
    Readiness,
    ServerVersion,
)

Time = datetime | str | None


class Audit(Group[ModeT]):
    """Who did what. All filters that are given must hold; ``from_`` is inclusive, ``to`` is not."""

    @listing
    def logs(
        self,
        *,
        from_: Time = None,
        to: Time = None,
        action: str | Sequence[str] | None = None,
        identity_id: str | None = None,
        identity_type: str | None = None,
        path_prefix: str | None = None,
        success: bool | None = None,
        source_ip: str | None = None,
        request_id: str | None = None,
        limit: int | None = None,
    ) -> Listing[AuditRow]:
        """Rows, newest first."""
        return paged(
            "/v1/audit/logs",
            "logs",
            AuditRow,
            from_=from_,
            to=to,
            action=action,
            identity_id=identity_id,
            identity_type=identity_type,
            path_prefix=path_prefix,
            success=success,
            source_ip=source_ip,
            request_id=request_id,
            limit=limit,
        )

    @listing
    def of_secret(
        self,
        path: str,
        *,
        from_: Time = None,
        to: Time = None,
        action: str | Sequence[str] | None = None,
        identity_id: str | None = None,
        success: bool | None = None,
        source_ip: str | None = None,
        limit: int | None = None,
    ) -> Listing[AuditRow]:
        """The trail of one secret, newest first."""
        return paged(
            f"/v1/audit/secrets/{secret_path(path)}",
            "logs",
            AuditRow,
            from_=from_,
            to=to,
            action=action,
            identity_id=identity_id,
            success=success,
            source_ip=source_ip,
            limit=limit,
        )

    @listing
    def of_identity(
        self,
        identity_id: str,
        *,
        from_: Time = None,
        to: Time = None,
        action: str | Sequence[str] | None = None,
        path_prefix: str | None = None,
        success: bool | None = None,
        source_ip: str | None = None,
        limit: int | None = None,
    ) -> Listing[AuditRow]:
        """The trail of one identity, newest first."""
        return paged(
            f"/v1/audit/identities/{segment(identity_id)}",
            "logs",
            AuditRow,
            from_=from_,
            to=to,
            action=action,
            path_prefix=path_prefix,
            success=success,
            source_ip=source_ip,
            limit=limit,
        )

    @operation
    def summary(
        self,
        *,
        from_: Time = None,
        to: Time = None,
        action: str | Sequence[str] | None = None,
        identity_id: str | None = None,
        identity_type: str | None = None,
        path_prefix: str | None = None,
        success: bool | None = None,
        source_ip: str | None = None,
        request_id: str | None = None,
    ) -> Call[AuditSummary]:
        """Counts."""
        return get(
            "/v1/audit/summary",
            AuditSummary,
            from_=from_,
            to=to,
            action=action,
            identity_id=identity_id,
            identity_type=identity_type,
            path_prefix=path_prefix,
            success=success,
            source_ip=source_ip,
            request_id=request_id,
        )

    @operation
    def verify(self) -> Call[AuditVerification]:
        """Walks the whole chain of rows."""
        return get("/v1/audit/verify", AuditVerification)

    @operation
    def create_export(
        self,
        *,
        from_: Time = None,
        to: Time = None,
        actions: Sequence[str] | None = None,
        format: str | None = None,
        all_tenants: bool | None = None,
    ) -> Call[AuditExport]:
        """Begins to write the rows there are now to the place that the operator configured."""
        body = given(
            to=None if to is None else format_time(to),
            actions=as_list(actions),
            format=format,
            all_tenants=all_tenants,
        )
        if from_ is not None:
            body["from"] = format_time(from_)
        return act("POST", "/v1/audit/exports", AuditExport, Repeat.HARMFUL, body)

    @listing
    def exports(self, *, limit: int | None = None) -> Listing[AuditExport]:
        """Exports, newest first."""
        return paged("/v1/audit/exports", "exports", AuditExport, limit=limit)

    @operation
    def read_export(self, export_id: str) -> Call[AuditExport]:
        """One export and how far it is."""
        return get(f"/v1/audit/exports/{segment(export_id)}", AuditExport)

    @operation
    def cancel_export(self, export_id: str) -> Call[AuditExport]:
        """Ends an export that runs, and removes what it wrote."""
        route = f"/v1/audit/exports/{segment(export_id)}"
        return act("DELETE", route, AuditExport, Repeat.HARMLESS)


class System(Group[ModeT]):
    """The server itself. These calls send no token."""

    @operation
    def health(self) -> Call[Health]:
        """The process answers."""
        return replace(get("/v1/health", Health), anonymous=True)

    @operation
    def ready(self) -> Call[Readiness]:
        """Whether the server can work: also one that cannot is an answer, not an error."""
        return replace(get("/v1/health/ready", Readiness), anonymous=True, accepts=(503,))

    @operation
    def version(self) -> Call[ServerVersion]:
        """The server's version."""
        return replace(get("/v1/version", ServerVersion), anonymous=True)
