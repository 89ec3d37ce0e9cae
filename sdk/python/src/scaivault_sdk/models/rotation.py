"""Rotation policies, rotations, targets, campaigns, debts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class RotationPolicy(Model):
    """When secrets rotate, and what a rotation waits for."""

    id: str = ""
    name: str = ""
    description: str | None = None
    interval: str = ""
    interval_seconds: int = 0
    grace_period: str = ""
    warn_before: str | None = None
    auto_generate: bool = False
    secret_policy_id: str | None = None
    webhook_ids: tuple[str, ...] = ()
    rules: Mapping[str, Any] | None = None
    calendar: Mapping[str, Any] | None = None
    drift_check: str | None = None
    is_active: bool = True
    secrets_count: int = 0
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Trouble(Model):
    """Why a target could not do what was asked, and the cure."""

    kind: str = ""
    code: str | None = None
    advice: str = ""
    remedy: tuple[str, ...] = ()
    retry_after_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class RotationTarget(Model):
    """The target a rotation works at."""

    id: str = ""
    name: str = ""
    strategy: str = ""


@dataclass(frozen=True, kw_only=True)
class Rotation(Model):
    """A rotation: where it stands, what it waits for, and what may be done with it now."""

    id: str = ""
    secret_path: str = ""
    rotation_policy_id: str = ""
    rotation_policy_name: str = ""
    status: str = ""
    phase: str = ""
    phase_since: datetime = UNKNOWN_TIME
    strategy: str = ""
    trigger: str = ""
    requested_by: str = ""
    started_at: datetime = UNKNOWN_TIME
    finished_at: datetime | None = None
    old_version: int = 0
    new_version: int | None = None
    grace_period_ends: datetime | None = None
    waiting_for: str | None = None
    waits_for: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    next_attempt_at: datetime | None = None
    reason: str | None = None
    advice: str | None = None
    last_error: str | None = None
    target: RotationTarget | None = None
    trouble: Trouble | None = None
    promoted_at: datetime | None = None
    deadline_at: datetime | None = None
    group: str | None = None
    approved_by: str | None = None
    forced: bool = False
    revision: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self.finished_at is not None


@dataclass(frozen=True, kw_only=True)
class NamedTarget(Model):
    """A target by id and name."""

    id: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Group(Model):
    """A group that rotates one member at a time."""

    name: str = ""
    order: int = 0


@dataclass(frozen=True, kw_only=True)
class Drift(Model):
    """What is wrong with a stored credential at its target."""

    found: str = ""
    advice: str = ""
    since: datetime = UNKNOWN_TIME
    checked_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class Assignment(Model):
    """A secret's attachment to a rotation policy."""

    secret_path: str = ""
    rotation_policy_id: str = ""
    rotation_policy_name: str | None = None
    assigned_at: datetime = UNKNOWN_TIME
    assigned_by: str = ""
    last_rotated_at: datetime | None = None
    next_rotation_at: datetime | None = None
    open_rotation_id: str | None = None
    target: NamedTarget | None = None
    strategy: str | None = None
    account: Mapping[str, Any] | None = None
    is_manager: bool = False
    group: Group | None = None
    warnings: tuple[str, ...] = ()
    drift: Drift | None = None


@dataclass(frozen=True, kw_only=True)
class DueRotation(Model):
    """A secret whose rotation is near, due or overdue."""

    secret_path: str = ""
    rotation_policy_id: str = ""
    rotation_policy_name: str | None = None
    last_rotated_at: datetime | None = None
    next_rotation_at: datetime = UNKNOWN_TIME
    due_now: bool = False
    is_overdue: bool = False
    open_rotation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target(Model):
    """A system whose credentials are rotated."""

    id: str = ""
    name: str = ""
    description: str | None = None
    connector: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    manager_path: str | None = None
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class MissingRight(Model):
    """A right that the manager lacks, and the statement that gives it."""

    what: str = ""
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetCheck(Model):
    """What a look at a target came to."""

    target_id: str = ""
    target_name: str = ""
    connector: str = ""
    checked_at: datetime = UNKNOWN_TIME
    ready: bool = False
    server: str | None = None
    manager: str | None = None
    may: tuple[str, ...] = ()
    missing: tuple[MissingRight, ...] = ()
    overlaps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class Connector(Model):
    """A kind of target."""

    name: str = ""
    about: str = ""
    overlaps: tuple[str, ...] = ()
    needs_manager: bool = False
    rotates_manager: bool = False


@dataclass(frozen=True, kw_only=True)
class RehearsalStep(Model):
    """One step of a rehearsal."""

    name: str = ""
    outcome: str = ""
    seconds: float | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class Rehearsal(Model):
    """What a rehearsal came to."""

    target_id: str = ""
    target_name: str = ""
    strategy: str = ""
    began_at: datetime = UNKNOWN_TIME
    seconds: float = 0.0
    passed: bool = False
    steps: tuple[RehearsalStep, ...] = ()
    debt_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Debt(Model):
    """Something that is still to be removed at a target."""

    id: str = ""
    kind: str = ""
    target_id: str = ""
    target_name: str = ""
    secret_path: str | None = None
    rotation_id: str | None = None
    version: int | None = None
    account: Mapping[str, Any] | None = None
    since: datetime = UNKNOWN_TIME
    age_seconds: int = 0
    attempts: int = 0
    next_attempt_at: datetime | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class CampaignCounts(Model):
    """A campaign's items by state."""

    total: int = 0
    waiting: int = 0
    rotating: int = 0
    rotated: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, kw_only=True)
class CampaignItem(Model):
    """One secret of a campaign."""

    secret_path: str = ""
    state: str = ""
    mode: str = ""
    phase: str | None = None
    versions: tuple[int, ...] = ()
    rotation_id: str | None = None
    waiting_for: str | None = None
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Campaign(Model):
    """Many rotations as one run; ``items`` is ``None`` in lists."""

    id: str | None = None
    state: str = ""
    cause: str = ""
    subject: str | None = None
    note: str | None = None
    dry_run: bool = False
    requested_by: str = ""
    ended_by: str | None = None
    started_at: datetime = UNKNOWN_TIME
    finished_at: datetime | None = None
    next_look_at: datetime | None = None
    seconds: int = 0
    counts: CampaignCounts = field(default_factory=CampaignCounts)
    items: tuple[CampaignItem, ...] | None = None
    not_shown: int = 0
    token_id: str | None = None
    token_revoked: bool = False
    webhook_ids: tuple[str, ...] = ()
