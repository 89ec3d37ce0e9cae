"""Secrets, their versions and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model


class SecretData(dict[str, Any]):
    """A secret's value: a dict whose ``repr`` and ``str`` show only how many fields there are."""

    def __repr__(self) -> str:
        return f"<{len(self)} secret field{'' if len(self) == 1 else 's'}>"

    __str__ = __repr__


class Metadata(dict[str, Any]):
    """A secret's metadata: not secret. Keys of your own stand beside the three known ones."""

    @property
    def description(self) -> str | None:
        """For people."""
        value = self.get("description")
        return value if isinstance(value, str) else None

    @property
    def owner(self) -> str | None:
        """Who looks after it."""
        value = self.get("owner")
        return value if isinstance(value, str) else None

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags, to list by."""
        value = self.get("tags")
        return tuple(str(tag) for tag in value) if isinstance(value, list) else ()


@dataclass(frozen=True, kw_only=True)
class Secret(Model):
    """A secret with its value. The value is in no ``repr``."""

    path: str = ""
    version: int = 0
    data: SecretData = field(default_factory=SecretData, repr=False)
    secret_type: str = "json"
    metadata: Metadata = field(default_factory=Metadata)
    is_current: bool = True
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME
    expires_at: datetime | None = None
    readable_until: datetime | None = None
    rotation_policy_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RotationStatus(Model):
    """Where a secret stands in its rotation policy."""

    rotation_policy_id: str = ""
    last_rotated_at: datetime | None = None
    next_rotation_at: datetime | None = None
    open_rotation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class SecretInfo(Model):
    """A secret without its value."""

    path: str = ""
    version: int = 0
    secret_type: str = "json"
    metadata: Metadata = field(default_factory=Metadata)
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME
    expires_at: datetime | None = None
    recoverable_until: datetime | None = None
    last_accessed_at: datetime | None = None
    version_count: int | None = None
    max_versions: int = 0
    notify_before: str | None = None
    rotation_policy_id: str | None = None
    secret_policy_id: str | None = None
    rotation: RotationStatus | None = None
    is_rotation: bool | None = None
    rotation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeletedSecret(Model):
    """What became of a deleted secret; ``recoverable_until`` is ``None`` when it is gone."""

    path: str = ""
    permanent: bool = False
    recoverable_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Version(Model):
    """One version, without its value. ``state`` says whether it can be read."""

    version: int = 0
    is_current: bool = False
    state: str = ""
    created_at: datetime = UNKNOWN_TIME
    created_by: str = ""
    readable_until: datetime | None = None
    rotation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Consumer(Model):
    """Who read which version, and what they said of it."""

    identity_id: str = ""
    version: int = 0
    is_current: bool = False
    first_read_at: datetime = UNKNOWN_TIME
    last_read_at: datetime = UNKNOWN_TIME
    applied_at: datetime | None = None
    failed_at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Acknowledgement(Model):
    """The server's note of an acknowledgement. Fetch ``current_version`` when it is another."""

    secret_path: str = ""
    version: int = 0
    status: str = ""
    at: datetime = UNKNOWN_TIME
    current_version: int = 0


@dataclass(frozen=True, kw_only=True)
class BatchError(Model):
    """Why one path of a batch was not answered."""

    code: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class BatchSecrets(Model):
    """The answer to a batch read; both are keyed by path."""

    secrets: Mapping[str, Secret] = field(default_factory=dict)
    errors: Mapping[str, BatchError] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BatchMetadata(Model):
    """The answer to a batch of metadata; both are keyed by path."""

    secrets: Mapping[str, SecretInfo] = field(default_factory=dict)
    errors: Mapping[str, BatchError] = field(default_factory=dict)
