"""Secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._call import (
    UNSET,
    Call,
    Listing,
    Repeat,
    Unset,
    act,
    as_list,
    get,
    get_list,
    given,
    paged,
    query,
    secret_route,
)
from .._modes import Group, ModeT, listing, operation
from .._time import format_duration, format_time
from ..models import (
    Acknowledgement,
    BatchMetadata,
    BatchSecrets,
    Consumer,
    DeletedSecret,
    Items,
    Rotation,
    Secret,
    SecretInfo,
    Version,
)


class Stored(Group[ModeT]):
    """What secrets have, whoever they belong to."""

    #: Where they are.
    _root = "/v1/secrets"

    def _route(self, path: str, suffix: str = "") -> str:
        return secret_route(path, suffix, self._root)

    @operation
    def read(self, path: str, *, version: int | None = None) -> Call[Secret]:
        """The current value, or that of one version."""
        return get(self._route(path), Secret, version=version)

    @operation
    def read_metadata(self, path: str) -> Call[SecretInfo]:
        """All but the value; the test whether a secret is there."""
        return get(self._route(path, "/metadata"), SecretInfo)

    @operation
    def update_metadata(
        self,
        path: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        tags: Sequence[str] | None = None,
        max_versions: int | None = None,
        expires_at: datetime | str | None | Unset = UNSET,
    ) -> Call[SecretInfo]:
        """Changes what is given, without a new version. ``metadata`` replaces all of it, ``tags``
        the tags alone; ``expires_at=None`` takes the end away."""
        body = given(
            metadata=metadata,
            tags=as_list(tags),
            max_versions=max_versions,
        )
        if not isinstance(expires_at, Unset):
            body["expires_at"] = None if expires_at is None else format_time(expires_at)
        return act("PATCH", self._route(path, "/metadata"), SecretInfo, Repeat.HARMLESS, body)

    @operation
    def delete(self, path: str, *, permanent: bool = False) -> Call[DeletedSecret]:
        """Deletes: for 30 days it can be brought back, unless ``permanent``."""
        return Call(
            "DELETE",
            self._route(path),
            DeletedSecret.from_json,
            repeat=Repeat.HARMLESS,
            query=query(permanent=True if permanent else None),
            gone=lambda: DeletedSecret(path=path, permanent=permanent),
        )

    @operation
    def undelete(self, path: str) -> Call[SecretInfo]:
        """Brings a deleted secret back with all its versions."""
        return act("POST", self._route(path, "/undelete"), SecretInfo, Repeat.HARMFUL)

    @operation
    def versions(self, path: str) -> Call[Items[Version]]:
        """Its versions, newest first."""
        return get_list(self._route(path, "/versions"), "versions", Version)


class Secrets(Stored[ModeT]):
    """Operations on secrets."""

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
        rotation_policy_id: str | None = None,
        cas: int | None = None,
        rotation_id: str | None = None,
    ) -> Call[SecretInfo]:
        """Appends a version; the first write makes the secret.

        ``cas`` writes only when this is the current version (0: only when there is none). A
        write whose outcome is unknown is repeated only with ``cas`` or ``rotation_id``: without
        them a second version could be appended.
        """
        options = given(
            max_versions=max_versions,
            expires_in=None if expires_in is None else format_duration(expires_in),
            rotation_policy_id=rotation_policy_id,
            cas=cas,
            rotation_id=rotation_id,
        )
        body = given(secret_type=secret_type, metadata=metadata, options=options or None)
        guarded = cas is not None or rotation_id is not None
        return act(
            "PUT",
            secret_route(path),
            SecretInfo,
            Repeat.HARMLESS if guarded else Repeat.HARMFUL,
            {"data": data, **body},
        )

    @listing
    def list(
        self,
        prefix: str | None = None,
        *,
        tag: str | None = None,
        secret_type: str | None = None,
        recursive: bool | None = None,
        limit: int | None = None,
    ) -> Listing[SecretInfo]:
        """Secrets by path, without values: those that the caller may list. ``limit`` is the
        size of a page; all pages are walked."""
        return paged(
            "/v1/secrets",
            "secrets",
            SecretInfo,
            prefix=prefix,
            tag=tag,
            secret_type=secret_type,
            recursive=recursive,
            limit=limit,
        )

    @listing
    def expiring(
        self, days: int | None = None, *, prefix: str | None = None, limit: int | None = None
    ) -> Listing[SecretInfo]:
        """Secrets that end within so many days (30), those that have ended included."""
        return paged(
            "/v1/secrets/expiring", "secrets", SecretInfo, days=days, prefix=prefix, limit=limit
        )

    @operation
    def rotate(self, path: str) -> Call[Rotation]:
        """Begins a rotation by its rotation policy, now."""
        return act("POST", secret_route(path, "/rotate"), Rotation, Repeat.HARMFUL)

    @operation
    def ack(
        self, path: str, version: int, *, status: str = "applied", detail: str | None = None
    ) -> Call[Acknowledgement]:
        """Says that the caller works with this version (``applied``), or does not (``failed``).
        No value belongs in ``detail``."""
        body = given(version=version, status=status, detail=detail)
        return act("POST", secret_route(path, "/ack"), Acknowledgement, Repeat.HARMLESS, body)

    @operation
    def consumers(self, path: str) -> Call[Items[Consumer]]:
        """Who read which version, newest version first."""
        return get_list(secret_route(path, "/consumers"), "consumers", Consumer)

    @operation
    def batch_read(
        self,
        paths: Sequence[str],
        *,
        include_metadata: bool | None = None,
        fail_fast: bool | None = None,
        version: int | None = None,
    ) -> Call[BatchSecrets]:
        """Many values at once, at most 100. What is missing or denied is in ``errors``."""
        options = given(include_metadata=include_metadata, fail_fast=fail_fast, version=version)
        body = {"paths": as_list(paths), **given(options=options or None)}
        return Call("POST", "/v1/secrets/batch", _batch_secrets, body=body)

    @operation
    def batch_metadata(
        self, paths: Sequence[str], *, expand_wildcards: bool | None = None
    ) -> Call[BatchMetadata]:
        """Many secrets without values; ``expand_wildcards`` takes patterns for paths."""
        options = given(expand_wildcards=expand_wildcards)
        body = {"paths": as_list(paths), **given(options=options or None)}
        return Call("POST", "/v1/secrets/batch/metadata", _batch_metadata, body=body)


def _batch_secrets(body: Any) -> BatchSecrets:
    return BatchSecrets.from_json(_with_paths(body))


def _batch_metadata(body: Any) -> BatchMetadata:
    return BatchMetadata.from_json(_with_paths(body))


def _with_paths(body: Any) -> Any:
    """Entries of a batch are keyed by path; the objects here name theirs."""
    if not isinstance(body, Mapping) or not isinstance(body.get("secrets"), Mapping):
        return body
    entries = {
        path: {"path": path, **entry} if isinstance(entry, Mapping) else entry
        for path, entry in body["secrets"].items()
    }
    return {**body, "secrets": entries}
