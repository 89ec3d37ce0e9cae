//! A rotation as it is answered.

use scaivault_api::rotation as wire;
use scaivault_core::rotation::{Assignment, AtTarget, Rotation, Strategy, Trigger};
use scaivault_core::time::Timestamp;
use scaivault_engine::{Act, RotationView};

use super::at_target::trouble_view;

/// In lists, and where it was just opened: what its own record tells.
pub(super) fn row_view(rotation: &Rotation, now: Timestamp) -> wire::Rotation {
    show_view(&RotationView::of_row(rotation.clone(), now))
}

/// In full.
pub(super) fn show_view(view: &RotationView) -> wire::Rotation {
    let rotation = &view.rotation;
    let at = rotation.at_target.as_deref();
    wire::Rotation {
        id: rotation.id.as_str().to_owned(),
        secret_path: rotation.path.as_str().to_owned(),
        rotation_policy_id: rotation.policy_id.as_str().to_owned(),
        rotation_policy_name: rotation.policy_name.clone(),
        status: rotation.phase.status().to_owned(),
        phase: rotation.phase.as_str().to_owned(),
        phase_since: rotation.phase_since.to_rfc3339(),
        strategy: match rotation.strategy {
            Strategy::EventDriven => "event_driven",
            Strategy::GeneratedValue => "generated_value",
            Strategy::Target => "target",
        }
        .to_owned(),
        trigger: match rotation.trigger {
            Trigger::Schedule => "schedule",
            Trigger::Manual => "manual",
        }
        .to_owned(),
        requested_by: rotation.requested_by.as_str().to_owned(),
        started_at: rotation.opened_at.to_rfc3339(),
        finished_at: rotation.finished_at.map(Timestamp::to_rfc3339),
        old_version: rotation.from_version,
        new_version: rotation
            .to_version
            .filter(|_| rotation.phase.status() == "success"),
        grace_period_ends: rotation.grace_ends_at.map(Timestamp::to_rfc3339),
        waiting_for: (!view.waits_for.is_empty()).then(|| view.waits_for.join("; ")),
        waits_for: view.waits_for.clone(),
        actions: words(&view.actions),
        next_attempt_at: rotation.wake_at.map(Timestamp::to_rfc3339),
        reason: rotation.reason.map(|reason| reason.as_str().to_owned()),
        advice: rotation.reason.map(|reason| reason.advice().to_owned()),
        last_error: rotation
            .last_failure
            .map(|failure| failure.kind.as_str().to_owned()),
        target: at.map(target_view),
        trouble: rotation.trouble.as_ref().map(trouble_view),
        promoted_at: at.and_then(|at| at.promoted_at).map(Timestamp::to_rfc3339),
        deadline_at: at.and_then(|at| at.deadline_at).map(Timestamp::to_rfc3339),
        group: rotation.turn.as_ref().map(|turn| turn.group.clone()),
        approved_by: at
            .and_then(|at| at.approved_by.as_ref())
            .map(|who| who.as_str().to_owned()),
        forced: at.is_some_and(|at| at.forced),
        revision: rotation.revision,
    }
}

fn words(actions: &[Act]) -> Vec<String> {
    let words = actions.iter().map(|act| act.as_str().to_owned());
    words.collect()
}

fn target_view(at: &AtTarget) -> wire::RotationTarget {
    wire::RotationTarget {
        id: at.attached.target_id.as_str().to_owned(),
        name: at.attached.target_name.clone(),
        strategy: at.attached.overlap.as_str().to_owned(),
    }
}

/// Why a stored credential does not work at its target.
pub(super) fn drift_view(assignment: &Assignment) -> Option<wire::Drift> {
    let drift = assignment.probe.drift.as_ref()?;
    Some(wire::Drift {
        found: drift.found.as_str().to_owned(),
        advice: drift.found.advice().to_owned(),
        since: drift.since.to_rfc3339(),
        checked_at: drift.checked_at.to_rfc3339(),
    })
}
