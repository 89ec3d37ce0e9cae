//! The schedule of one secret under its rotation policy.

use serde::{Deserialize, Serialize};

use super::at_target::Attached;
use super::drift::Probe;
use super::policy::RotationPolicy;
use super::turn::Turn;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TenantId};
use crate::path::SecretPath;
use crate::time::{Span, Timestamp};

/// A secret's attachment to a rotation policy. One per secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Owner.
    pub tenant: TenantId,
    /// The secret.
    pub path: SecretPath,
    /// The policy.
    pub policy_id: RotationPolicyId,
    /// The target that is told, if there is one.
    #[serde(default)]
    pub attached: Option<Attached>,
    /// Its place in a group, if it has one.
    #[serde(default)]
    pub turn: Option<Turn>,
    /// When it was attached; the first interval counts from here.
    pub assigned_at: Timestamp,
    /// By whom.
    pub assigned_by: Identity,
    /// Last rotation under this attachment.
    pub last_rotated_at: Option<Timestamp>,
    /// When the next one is due.
    pub next_rotation_at: Timestamp,
    /// The smallest threshold, in seconds, already warned of in this interval.
    pub warned_s: Option<u64>,
    /// The rotation that waits for its new value, if one does.
    pub open_rotation: Option<RotationId>,
    /// Looks whether the stored credential works.
    #[serde(default)]
    pub probe: Probe,
    /// When a worker must look again; `None` while there is nothing to wait for.
    pub wake_at: Option<Timestamp>,
    /// Held by a worker until then.
    pub claimed_until: Option<Timestamp>,
    /// The number this write makes. A claim counts as a write.
    pub revision: u64,
}

/// What the schedule asks for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Tell that the rotation comes: once per threshold.
    Warn(Span),
    /// Open a rotation.
    Rotate,
    /// Nothing until then; nothing at all without a time.
    Nothing(Option<Timestamp>),
}

/// Decides what is due for `assignment`. Thresholds that passed unseen (the server was down)
/// are told once, by the tightest of them.
pub fn schedule(assignment: &Assignment, policy: &RotationPolicy, now: Timestamp) -> Due {
    if !policy.is_active || assignment.open_rotation.is_some() {
        return Due::Nothing(None);
    }
    if assignment.next_rotation_at <= now {
        // The window may have closed while nobody looked.
        return match policy.calendar.opens(now) {
            Some(opens) if opens > now => Due::Nothing(Some(opens)),
            _ => Due::Rotate,
        };
    }
    let begins = |span: &Span| assignment.next_rotation_at.minus(span.duration());
    let passed = policy
        .warn_before
        .iter()
        .filter(|span| begins(span) <= now)
        .min_by_key(|span| span.as_secs());
    if let Some(span) = passed
        && assignment
            .warned_s
            .is_none_or(|warned| span.as_secs() < warned)
    {
        return Due::Warn(span.clone());
    }
    let next_warning = policy
        .warn_before
        .iter()
        .map(begins)
        .filter(|at| *at > now)
        .min();
    let next = next_warning.map_or(assignment.next_rotation_at, |at| {
        at.min(assignment.next_rotation_at)
    });
    Due::Nothing(Some(next))
}

impl Assignment {
    /// A fresh attachment.
    pub fn new(
        tenant: TenantId,
        path: SecretPath,
        policy: &RotationPolicy,
        by: Identity,
        now: Timestamp,
    ) -> Self {
        let mut assignment = Self {
            tenant,
            path,
            policy_id: policy.id.clone(),
            attached: None,
            turn: None,
            assigned_at: now,
            assigned_by: by,
            last_rotated_at: None,
            next_rotation_at: policy.due_after(now),
            warned_s: None,
            open_rotation: None,
            probe: Probe::default(),
            wake_at: None,
            claimed_until: None,
            revision: 1,
        };
        assignment.wake_at = assignment.wake_from(policy, now);
        assignment
    }

    /// The row after a warning.
    #[must_use]
    pub fn warned(&self, threshold: &Span, policy: &RotationPolicy, now: Timestamp) -> Self {
        let mut next = self.next();
        next.warned_s = Some(threshold.as_secs());
        next.wake_at = next.wake_from(policy, now);
        next
    }

    /// The row with a rotation opened.
    #[must_use]
    pub fn opened(&self, rotation: RotationId) -> Self {
        let mut next = self.next();
        next.open_rotation = Some(rotation);
        next.wake_at = None;
        next
    }

    /// The row after a rotation brought its new value: the next interval counts from `now`.
    #[must_use]
    pub fn rotated(&self, policy: Option<&RotationPolicy>, now: Timestamp) -> Self {
        let mut next = self.next();
        next.open_rotation = None;
        next.last_rotated_at = Some(now);
        next.warned_s = None;
        next.wake_at = Some(now); // without its policy: a worker takes it away
        if let Some(policy) = policy {
            next.next_rotation_at = policy.due_after(now);
            next.wake_at = next.wake_from(policy, now);
        }
        next
    }

    /// The row after a rotation at a target made its new value current: the next interval counts
    /// from `now`, and begins when the rotation has ended.
    #[must_use]
    pub fn promoted(&self, policy: Option<&RotationPolicy>, now: Timestamp) -> Self {
        let open_rotation = self.open_rotation.clone();
        Self {
            open_rotation,
            probe: Probe::default(),
            wake_at: None,
            ..self.rotated(policy, now)
        }
    }

    /// Nothing but looked at again later.
    #[must_use]
    pub fn postponed(&self, until: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(until);
        next
    }

    /// The row after a rotation at a target has ended.
    #[must_use]
    pub fn released(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.open_rotation = None;
        next.wake_at = Some(now);
        next
    }

    /// The row moved to another policy: the interval goes on counting from the last rotation, and
    /// a rotation that waits keeps waiting (it carries what it needs of its own policy).
    #[must_use]
    pub fn moved(&self, policy: &RotationPolicy, by: Identity, now: Timestamp) -> Self {
        let mut next = self.next();
        next.policy_id = policy.id.clone();
        next.assigned_at = now;
        next.assigned_by = by;
        next.warned_s = None;
        next.next_rotation_at = next.counted_again(policy, now);
        next.wake_at = next.wake_from(policy, now);
        next
    }

    /// The row looked at again under a policy that may have changed.
    #[must_use]
    pub fn rescheduled(&self, policy: &RotationPolicy, now: Timestamp) -> Self {
        let mut next = self.next();
        next.next_rotation_at = self.counted_again(policy, now);
        next.wake_at = next.wake_from(policy, now);
        next
    }

    /// When the next rotation is due under the policy as it is now, counted from the last
    /// rotation, or from the attachment. One that missed its window is due when the next opens.
    pub fn counted_again(&self, policy: &RotationPolicy, now: Timestamp) -> Timestamp {
        let due = policy.due_after(self.last_rotated_at.unwrap_or(self.assigned_at));
        match policy.calendar.opens(now) {
            Some(opens) if due <= now && opens > now => opens,
            _ => due,
        }
    }

    /// The next row of this attachment, not claimed.
    pub(super) fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            claimed_until: None,
            ..self.clone()
        }
    }

    fn wake_from(&self, policy: &RotationPolicy, now: Timestamp) -> Option<Timestamp> {
        match schedule(self, policy, now) {
            Due::Warn(_) | Due::Rotate => Some(now),
            Due::Nothing(at) => at,
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
