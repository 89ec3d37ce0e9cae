"""The audit trail and the server itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .._call import Call, Listing, get, paged, secret_path, segment
from .._modes import Group, ModeT, listing, operation
from ..models import (
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
