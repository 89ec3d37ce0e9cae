"""Rotation policies, rotations, targets, campaigns, debts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
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
    secret_path,
    segment,
    slow,
)
from .._modes import Group, ModeT, listing, operation
from .._time import format_duration
from ..models import (
    Assignment,
    Campaign,
    Connector,
    Debt,
    Done,
    DueRotation,
    Items,
    Rehearsal,
    Rotation,
    RotationPolicy,
    Target,
    TargetCheck,
)

#: A rehearsal is answered when it is over.
_REHEARSAL_SECONDS = 300.0
#: Seconds an answer may take beyond what it was asked to wait.
WAIT_SLACK = 15.0

Account = Mapping[str, Any]


class RotationPolicies(Group[ModeT]):
    """Rotation policies and the secrets attached to them."""

    @listing
    def list(
        self, *, active_only: bool | None = None, limit: int | None = None
    ) -> Listing[RotationPolicy]:
        """All rotation policies."""
        return paged(
            "/v1/rotation/policies", "data", RotationPolicy, active_only=active_only, limit=limit
        )

    @operation
    def create(
        self,
        name: str,
        interval: timedelta | str | None = None,
        *,
        grace_period: timedelta | str | None = None,
        warn_before: str | Sequence[str] | None = None,
        auto_generate: bool | None = None,
        secret_policy_id: str | None = None,
        webhook_ids: Sequence[str] | None = None,
        rules: Mapping[str, Any] | None = None,
        calendar: Mapping[str, Any] | None = None,
        drift_check: str | None = None,
        description: str | None = None,
    ) -> Call[RotationPolicy]:
        """A new rotation policy; ``interval`` may be left out where ``calendar`` has ``cron``."""
        body = {
            "name": name,
            **_policy_body(
                interval=interval,
                grace_period=grace_period,
                warn_before=warn_before,
                auto_generate=auto_generate,
                secret_policy_id=secret_policy_id,
                webhook_ids=webhook_ids,
                rules=rules,
                calendar=calendar,
                drift_check=drift_check,
                description=description,
            ),
        }
        return act("POST", "/v1/rotation/policies", RotationPolicy, Repeat.HARMFUL, body)

    @operation
    def read(self, policy_id: str) -> Call[RotationPolicy]:
        """One rotation policy."""
        return get(_policy(policy_id), RotationPolicy)

    @operation
    def update(
        self,
        policy_id: str,
        *,
        name: str | None = None,
        interval: timedelta | str | None = None,
        grace_period: timedelta | str | None = None,
        warn_before: str | Sequence[str] | None = None,
        auto_generate: bool | None = None,
        secret_policy_id: str | None = None,
        webhook_ids: Sequence[str] | None = None,
        rules: Mapping[str, Any] | None = None,
        calendar: Mapping[str, Any] | None = None,
        drift_check: str | None = None,
        description: str | None = None,
    ) -> Call[RotationPolicy]:
        """Changes what is given; schedules are counted again."""
        body = _policy_body(
            name=name,
            interval=interval,
            grace_period=grace_period,
            warn_before=warn_before,
            auto_generate=auto_generate,
            secret_policy_id=secret_policy_id,
            webhook_ids=webhook_ids,
            rules=rules,
            calendar=calendar,
            drift_check=drift_check,
            description=description,
        )
        return act("PATCH", _policy(policy_id), RotationPolicy, Repeat.HARMLESS, body)

    @operation
    def delete(self, policy_id: str) -> Call[Done]:
        """Deletes it and detaches its secrets."""
        return remove(_policy(policy_id))

    @operation
    def enable(self, policy_id: str) -> Call[RotationPolicy]:
        """Its schedule goes on."""
        return act("POST", _policy(policy_id, "/enable"), RotationPolicy, Repeat.HARMLESS)

    @operation
    def disable(self, policy_id: str) -> Call[RotationPolicy]:
        """Its schedule rests; the secrets stay attached."""
        return act("POST", _policy(policy_id, "/disable"), RotationPolicy, Repeat.HARMLESS)

    @operation
    def assign(
        self,
        policy_id: str,
        secret_path: str,
        *,
        target: str | None = None,
        strategy: str | None = None,
        account: Account | None = None,
        group: Mapping[str, Any] | None = None,
        manager: bool | None = None,
        create: bool | None = None,
        unverified: bool | None = None,
    ) -> Call[Assignment]:
        """Attaches a secret; with ``target`` the credential is changed there."""
        body = given(
            secret_path=secret_path,
            target=target,
            strategy=strategy,
            account=account,
            group=group,
            manager=manager,
            create=create,
            unverified=unverified,
        )
        # With create the first one begins a rotation, and a second one would find it.
        repeat = Repeat.HARMFUL if create else Repeat.HARMLESS
        return act("POST", _policy(policy_id, "/secrets"), Assignment, repeat, body)

    @operation
    def unassign(self, policy_id: str, secret_path: str) -> Call[Done]:
        """Detaches a secret."""
        return remove(_policy(policy_id, f"/secrets/{_one_segment(secret_path)}"))

    @operation
    def rotate(
        self, policy_id: str, secret_paths: Sequence[str] | None = None
    ) -> Call[Items[Rotation]]:
        """Rotates these secrets, or all that are attached."""
        body = given(secret_paths=as_list(secret_paths))
        return Call(
            "POST",
            _policy(policy_id, "/rotate"),
            lambda answer: Items(
                Rotation.from_json(item) for item in (answer if isinstance(answer, list_) else ())
            ),
            repeat=Repeat.HARMFUL,
            body=body,
        )

    @listing
    def history(
        self, policy_id: str, *, status: str | None = None, limit: int | None = None
    ) -> Listing[Rotation]:
        """Its rotations, newest first; ``status``: ``success``, ``failed``, ``pending``."""
        return paged(_policy(policy_id, "/history"), "data", Rotation, status=status, limit=limit)

    @operation
    def rehearse(
        self, policy_id: str, secret_path: str, *, timeout: float = _REHEARSAL_SECONDS
    ) -> Call[Rehearsal]:
        """A whole rotation of the secret's target with a throw-away credential."""
        route = _policy(policy_id, f"/secrets/{_one_segment(secret_path)}/rehearse")
        return slow(act("POST", route, Rehearsal, Repeat.HARMFUL), timeout)


class Rotations(Group[ModeT]):
    """Rotations under way and past."""

    @listing
    def list(
        self,
        *,
        path: str | None = None,
        phase: str | Sequence[str] | None = None,
        policy_id: str | None = None,
        limit: int | None = None,
    ) -> Listing[Rotation]:
        """Rotations, newest first."""
        return paged(
            "/v1/rotations",
            "data",
            Rotation,
            path=path,
            phase=phase,
            policy_id=policy_id,
            limit=limit,
        )

    @operation
    def read(
        self, rotation_id: str, *, after: int | None = None, timeout: int | None = None
    ) -> Call[Rotation]:
        """One rotation. With ``after``, a ``revision``, the server answers when it has changed
        since, or after ``timeout`` seconds (30, at most 60)."""
        call = get(_rotation(rotation_id), Rotation, after=after, timeout=timeout)
        return call if after is None else slow(call, (timeout or 30) + WAIT_SLACK)

    @operation
    def resume(self, rotation_id: str) -> Call[Rotation]:
        """Lets a parked rotation go on, or tries its target at once."""
        return act("POST", _rotation(rotation_id, "/resume"), Rotation, Repeat.HARMFUL)

    @operation
    def rollback(self, rotation_id: str) -> Call[Rotation]:
        """Gives readers the old version again."""
        return act("POST", _rotation(rotation_id, "/rollback"), Rotation, Repeat.HARMFUL)

    @operation
    def approve(self, rotation_id: str) -> Call[Rotation]:
        """Lets the old credential be revoked."""
        return act("POST", _rotation(rotation_id, "/approve"), Rotation, Repeat.HARMFUL)

    @operation
    def abandon(self, rotation_id: str, *, force: bool = False) -> Call[Rotation]:
        """Ends it where it stands."""
        body = {"force": True} if force else {}
        return act("POST", _rotation(rotation_id, "/abandon"), Rotation, Repeat.HARMFUL, body)

    @operation
    def due(
        self,
        *,
        within_hours: int | None = None,
        include_overdue: bool | None = None,
        policy_id: str | None = None,
    ) -> Call[Items[DueRotation]]:
        """What is due within so many hours (24), soonest first."""
        return get_list(
            "/v1/rotation/due",
            "data",
            DueRotation,
            within_hours=within_hours,
            include_overdue=include_overdue,
            policy_id=policy_id,
        )


class Targets(Group[ModeT]):
    """Systems whose credentials are rotated. ``target`` is an id or a name."""

    @listing
    def list(self, *, limit: int | None = None) -> Listing[Target]:
        """All targets."""
        return paged("/v1/rotation/targets", "data", Target, limit=limit)

    @operation
    def create(
        self,
        name: str,
        connector: str,
        *,
        settings: Mapping[str, Any] | None = None,
        manager_path: str | None = None,
        description: str | None = None,
    ) -> Call[Target]:
        """Describes a new one; ``settings`` never hold a credential."""
        body = given(
            name=name,
            connector=connector,
            settings=settings,
            manager_path=manager_path,
            description=description,
        )
        return act("POST", "/v1/rotation/targets", Target, Repeat.HARMFUL, body)

    @operation
    def read(self, target: str) -> Call[Target]:
        """One target."""
        return get(_target(target), Target)

    @operation
    def update(
        self,
        target: str,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        manager_path: str | None = None,
        description: str | None = None,
    ) -> Call[Target]:
        """Changes the fields and settings that are given; a setting of ``None`` is removed."""
        body = given(
            name=name, settings=settings, manager_path=manager_path, description=description
        )
        return act("PATCH", _target(target), Target, Repeat.HARMLESS, body)

    @operation
    def delete(self, target: str) -> Call[Done]:
        """Forgets it; nothing is changed there."""
        return remove(_target(target))

    @operation
    def check(
        self, target: str, *, account: Account | None = None, overlap: str | None = None
    ) -> Call[TargetCheck]:
        """Logs in and tells what the manager may do, and what is missing."""
        body = given(account=account, overlap=overlap)
        return act("POST", _target(target, "/check"), TargetCheck, Repeat.HARMLESS, body)

    @operation
    def rehearse(
        self,
        target: str,
        account: Account,
        *,
        strategy: str | None = None,
        timeout: float = _REHEARSAL_SECONDS,
    ) -> Call[Rehearsal]:
        """A whole rotation with a throw-away credential."""
        body = given(account=account, strategy=strategy)
        route = _target(target, "/rehearse")
        return slow(act("POST", route, Rehearsal, Repeat.HARMFUL, body), timeout)

    @operation
    def sweep(self, target: str) -> Call[Items[Debt]]:
        """Looks for what was left there; answers the debts that came of it."""
        call = get_list(_target(target, "/sweep"), "debts", Debt)
        return Call("POST", call.route, call.decode, repeat=Repeat.HARMFUL)

    @operation
    def connectors(self) -> Call[Items[Connector]]:
        """The kinds of target that this server knows."""
        return get_list("/v1/rotation/connectors", "connectors", Connector)


class Campaigns(Group[ModeT]):
    """Many rotations as one run."""

    @operation
    def start(
        self,
        *,
        identity: str | None = None,
        token_id: str | None = None,
        policy_id: str | None = None,
        group: str | None = None,
        paths: Sequence[str] | None = None,
        keep_token: bool | None = None,
        mode: str | None = None,
        modes: Mapping[str, str] | None = None,
        exclude: Sequence[str] | None = None,
        dry_run: bool | None = None,
        note: str | None = None,
        webhook_ids: Sequence[str] | None = None,
    ) -> Call[Campaign]:
        """Begins one; exactly one of the first five says what is rotated. ``dry_run`` answers
        the plan alone."""
        body = given(
            identity=identity,
            token_id=token_id,
            policy_id=policy_id,
            group=group,
            paths=as_list(paths),
            keep_token=keep_token,
            mode=mode,
            modes=modes,
            exclude=as_list(exclude),
            dry_run=dry_run,
            note=note,
            webhook_ids=as_list(webhook_ids),
        )
        repeat = Repeat.READ if dry_run else Repeat.HARMFUL
        return act("POST", "/v1/rotation/campaigns", Campaign, repeat, body)

    @listing
    def list(self, *, limit: int | None = None) -> Listing[Campaign]:
        """Campaigns, newest first."""
        return paged("/v1/rotation/campaigns", "data", Campaign, limit=limit)

    @operation
    def read(self, campaign_id: str) -> Call[Campaign]:
        """Progress, and the report at the end."""
        return get(_campaign(campaign_id), Campaign)

    @operation
    def pause(self, campaign_id: str) -> Call[Campaign]:
        """Begins nothing more."""
        return act("POST", _campaign(campaign_id, "/pause"), Campaign, Repeat.HARMLESS)

    @operation
    def resume(self, campaign_id: str) -> Call[Campaign]:
        """Goes on."""
        return act("POST", _campaign(campaign_id, "/resume"), Campaign, Repeat.HARMLESS)

    @operation
    def end(self, campaign_id: str) -> Call[Campaign]:
        """Finishes it now."""
        return act("POST", _campaign(campaign_id, "/end"), Campaign, Repeat.HARMFUL)


class Debts(Group[ModeT]):
    """What is still to be removed at targets."""

    @listing
    def list(self, *, limit: int | None = None) -> Listing[Debt]:
        """Debts, oldest first."""
        return paged("/v1/rotation/debts", "data", Debt, limit=limit)

    @operation
    def retry(self, debt_id: str) -> Call[Debt]:
        """Tries it at once."""
        return act("POST", _debt(debt_id, "/retry"), Debt, Repeat.HARMLESS)

    @operation
    def write_off(self, debt_id: str, reason: str) -> Call[Done]:
        """Nothing is tried any more; the reason is on the audit trail."""
        return remove(_debt(debt_id), {"reason": reason})


# The methods called `list` above hide the type where they stand.
list_ = list


def _policy_body(
    *,
    interval: timedelta | str | None,
    grace_period: timedelta | str | None,
    warn_before: str | Sequence[str] | None,
    webhook_ids: Sequence[str] | None,
    **others: Any,
) -> dict[str, Any]:
    warn = warn_before if isinstance(warn_before, str) else as_list(warn_before)
    return given(
        interval=None if interval is None else format_duration(interval),
        grace_period=None if grace_period is None else format_duration(grace_period),
        warn_before=warn,
        webhook_ids=as_list(webhook_ids),
        **others,
    )


def _one_segment(path: str) -> str:
    secret_path(path)
    return segment(path, "path")


def _policy(policy_id: str, suffix: str = "") -> str:
    return f"/v1/rotation/policies/{segment(policy_id)}{suffix}"


def _rotation(rotation_id: str, suffix: str = "") -> str:
    return f"/v1/rotations/{segment(rotation_id)}{suffix}"


def _target(target: str, suffix: str = "") -> str:
    return f"/v1/rotation/targets/{segment(target)}{suffix}"


def _campaign(campaign_id: str, suffix: str = "") -> str:
    return f"/v1/rotation/campaigns/{segment(campaign_id)}{suffix}"


def _debt(debt_id: str, suffix: str = "") -> str:
    return f"/v1/rotation/debts/{segment(debt_id)}{suffix}"
