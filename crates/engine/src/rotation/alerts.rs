//! What is told of a rotation at a target beside its ordinary events: it takes long, it was
//! forced, its credential does not work. Names and numbers of ours, nothing a target said.

use scaivault_core::event::EventType;
use scaivault_core::identity::Identity;
use scaivault_core::rotation::{
    Assignment, AtTarget, Finding, Observed, Phase, Rotation, RotationPolicy, Step,
};
use scaivault_core::secret::SecretHead;
use scaivault_core::time::Timestamp;
use serde_json::json;

use super::view::NAMES_MAX;
use crate::events::EventDraft;

/// What a step tells, if it tells anything.
pub(super) fn of_step(
    rotation: &Rotation,
    step: Step,
    seen: &Observed,
    now: Timestamp,
) -> Option<EventDraft> {
    let at = rotation.at_target.as_deref()?;
    let cause = match step {
        Step::Alert => return Some(delayed(rotation, at, seen)),
        Step::Force => "deadline",
        Step::Enter(Phase::Revoking) if at.forced => "containment",
        Step::Enter(Phase::Revoking) if was_too_quick(at, now) => "too_quick",
        _ => return None,
    };
    Some(forced(rotation, at, seen, cause))
}

/// What giving it up by force tells.
pub(super) fn abandoned(rotation: &Rotation, seen: &Observed) -> Option<EventDraft> {
    let at = rotation.at_target.as_deref()?;
    Some(forced(rotation, at, seen, "abandoned"))
}

/// Whether less time than the quiet period has passed since readers got the new version: no
/// drain can have been observed.
fn was_too_quick(at: &AtTarget, now: Timestamp) -> bool {
    let quiet = at.rules.quiet_period.duration();
    at.promoted_at
        .is_some_and(|promoted| promoted.plus(quiet) > now)
}

fn delayed(rotation: &Rotation, at: &AtTarget, seen: &Observed) -> EventDraft {
    let data = json!({
        "rotation_id": rotation.id,
        "rotation_policy_id": rotation.policy_id,
        "rotation_policy_name": rotation.policy_name,
        "old_version": rotation.from_version,
        "new_version": rotation.to_version,
        "target": at.attached.target_name,
        "promoted_at": at.promoted_at.map(Timestamp::to_rfc3339),
        "bound": at.rules.propagation_bound.as_str(),
        "deadline_at": at.deadline_at.map(Timestamp::to_rfc3339),
        "behind": some(&seen.standing.behind),
        "behind_count": seen.standing.behind.len(),
        "unacknowledged": some(&seen.standing.unapplied),
    });
    EventDraft::new(EventType::RotationDelayed, data)
        .on(&rotation.path)
        .of(rotation)
}

fn forced(rotation: &Rotation, at: &AtTarget, seen: &Observed, cause: &str) -> EventDraft {
    let readers_have_old = at.promoted_at.is_none() || at.demoted_at.is_some();
    let revoked = match rotation.is_stepping_back() && readers_have_old {
        true => rotation.to_version,
        false => Some(rotation.from_version),
    };
    let data = json!({
        "rotation_id": rotation.id,
        "rotation_policy_id": rotation.policy_id,
        "rotation_policy_name": rotation.policy_name,
        "revoked_version": revoked,
        "target": at.attached.target_name,
        "cause": cause,
        "promoted_at": at.promoted_at.map(Timestamp::to_rfc3339),
        "behind": some(&seen.standing.behind),
        "behind_count": seen.standing.behind.len(),
        "sessions": at.sessions,
    });
    EventDraft::new(EventType::RotationForced, data)
        .on(&rotation.path)
        .of(rotation)
}

/// `found` is what is known now; `None`: it works again.
pub(super) fn drift(
    head: &SecretHead,
    row: &Assignment,
    policy: &RotationPolicy,
    found: Option<Finding>,
) -> EventDraft {
    let drift = row.probe.drift.as_ref();
    let target = row.attached.as_ref().map(|at| at.target_name.as_str());
    let data = json!({
        "found": found.map_or("works", Finding::as_str),
        "since": drift.map(|drift| drift.since.to_rfc3339()),
        "advice": found.map(Finding::advice),
        "target": target,
        "current_version": head.current_version,
        "rotation_policy_id": policy.id,
        "rotation_policy_name": policy.name,
    });
    EventDraft::new(EventType::RotationDrift, data)
        .about(head)
        .also_to(&policy.webhook_ids)
}

fn some(all: &[Identity]) -> &[Identity] {
    &all[..all.len().min(NAMES_MAX)]
}
