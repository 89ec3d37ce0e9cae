//! A rotation as it is stored, and the rows that follow one another.

use serde::{Deserialize, Serialize};

use super::at_target::{AtTarget, Attached};
use super::phase::{Phase, Strategy, Trigger};
use super::policy::RotationPolicy;
use super::reason::{Failure, FailureKind, Reason};
use super::rules::Rules;
use super::turn::Turn;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TargetId, TenantId, WebhookId};
use crate::path::SecretPath;
use crate::target::Trouble;
use crate::time::{Span, Timestamp};

/// A rotation, as stored. Whatever of the policy it needs later is copied in when it opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented where not obvious")]
pub struct Rotation {
    pub id: RotationId,
    pub tenant: TenantId,
    pub path: SecretPath,
    pub policy_id: RotationPolicyId,
    pub policy_name: String,
    pub strategy: Strategy,
    pub trigger: Trigger,
    pub requested_by: Identity,
    pub grace_period: Span,
    /// The policy's webhooks at the time.
    pub webhook_ids: Vec<WebhookId>,
    pub phase: Phase,
    pub phase_since: Timestamp,
    pub opened_at: Timestamp,
    /// The version that is replaced.
    pub from_version: u64,
    /// The candidate, then the new version.
    pub to_version: Option<u64>,
    /// While waiting for the new value: when it is overdue.
    pub overdue_at: Timestamp,
    /// When the replaced version stops being readable.
    pub grace_ends_at: Option<Timestamp>,
    pub withdrawals: u32,
    /// Attempts of the step in hand that failed.
    pub attempts: u32,
    pub last_failure: Option<Failure>,
    pub reason: Option<Reason>,
    pub finished_at: Option<Timestamp>,
    /// When a worker must look again.
    pub wake_at: Option<Timestamp>,
    /// The last trouble at the target.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// The target's part.
    #[serde(default)]
    pub at_target: Option<Box<AtTarget>>,
    /// Its place in a group, if it has one.
    #[serde(default)]
    pub turn: Option<Turn>,
    /// Containment: the replaced version closes as soon as readers have the new one.
    #[serde(default)]
    pub contained: bool,
    /// Held by a worker until then.
    pub claimed_until: Option<Timestamp>,
    /// The number this write makes. A claim counts as a write: it is the fencing token.
    pub revision: u64,
}

impl Rotation {
    /// A rotation opened now.
    pub fn open(
        id: RotationId,
        path: SecretPath,
        policy: &RotationPolicy,
        trigger: Trigger,
        requested_by: Identity,
        from_version: u64,
        now: Timestamp,
    ) -> Self {
        let overdue_at = now.plus(policy.grace_period.duration());
        let strategy = policy.strategy();
        Self {
            id,
            tenant: policy.tenant.clone(),
            path,
            policy_id: policy.id.clone(),
            policy_name: policy.name.clone(),
            strategy,
            trigger,
            requested_by,
            grace_period: policy.grace_period.clone(),
            webhook_ids: policy.webhook_ids.clone(),
            phase: Phase::Generating,
            phase_since: now,
            opened_at: now,
            from_version,
            to_version: None,
            overdue_at,
            grace_ends_at: None,
            withdrawals: 0,
            attempts: 0,
            last_failure: None,
            reason: None,
            finished_at: None,
            wake_at: Some(match strategy {
                Strategy::EventDriven => overdue_at,
                Strategy::GeneratedValue | Strategy::Target => now,
            }),
            trouble: None,
            at_target: None,
            turn: None,
            contained: false,
            claimed_until: None,
            revision: 1,
        }
    }

    /// The rotation of a credential at a target: the server makes it and tells the target.
    #[must_use]
    pub fn at_target(self, attached: Attached, rules: Rules, forced: bool, fence: u64) -> Self {
        Self {
            strategy: Strategy::Target,
            wake_at: Some(self.opened_at),
            at_target: Some(Box::new(AtTarget::new(attached, rules, forced, fence))),
            ..self
        }
    }

    /// The target it is at, if it is at one.
    pub fn target_id(&self) -> Option<&TargetId> {
        self.at_target.as_ref().map(|at| &at.attached.target_id)
    }

    /// Whether a write by someone who may rotate is the answer this rotation waits for.
    pub fn awaits_value(&self) -> bool {
        self.strategy == Strategy::EventDriven
            && (self.phase == Phase::Generating
                || (self.phase == Phase::Parked && self.reason == Some(Reason::Overdue)))
    }

    /// Whether readers do not have its new value yet.
    pub fn is_before_promotion(&self) -> bool {
        match self.phase {
            Phase::Generating | Phase::Applying | Phase::Verifying => true,
            Phase::Parked => self
                .at_target
                .as_ref()
                .is_none_or(|at| at.promoted_at.is_none()),
            Phase::Propagating
            | Phase::Draining
            | Phase::Revoking
            | Phase::Completed
            | Phase::RollingBack
            | Phase::RolledBack => false,
        }
    }

    /// Since when its new value is overdue, or will be; `None` once readers have it.
    pub fn overdue_since(&self) -> Option<Timestamp> {
        let awaited = self.is_before_promotion() && !self.phase.is_final();
        awaited.then_some(self.overdue_at)
    }

    /// Whether its consumers take longer than the bound, and it was told.
    pub fn is_delayed(&self) -> bool {
        let told = self.at_target.as_ref().is_some_and(|at| at.alerted);
        told && self.phase == Phase::Propagating
    }

    /// The number that goes with a change at the target: it grows with every write of this row,
    /// and from each rotation of the secret to the next.
    pub fn epoch(&self) -> u64 {
        let fence = self.at_target.as_ref().map_or(0, |at| at.fence);
        fence.saturating_add(self.revision)
    }

    /// Whether it gives readers the old version again, or is parked in doing so.
    pub fn is_stepping_back(&self) -> bool {
        let parked_in = self.at_target.as_ref().and_then(|at| at.resume_phase);
        self.phase == Phase::RollingBack
            || (self.phase == Phase::Parked && parked_in == Some(Phase::RollingBack))
    }

    /// Whether stepping back is legal: at a target, before the old credential is touched.
    pub fn may_roll_back(&self) -> bool {
        let Some(at) = &self.at_target else {
            return false;
        };
        if self.from_version == 0 && at.promoted_at.is_some() {
            return false; // readers would be left with nothing
        }
        let phase = match self.phase {
            Phase::Parked => at.resume_phase.unwrap_or(Phase::Generating),
            phase => phase,
        };
        match phase {
            Phase::Generating
            | Phase::Applying
            | Phase::Verifying
            | Phase::Propagating
            | Phase::Draining => true,
            Phase::Revoking
            | Phase::Completed
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Parked => false,
        }
    }

    /// Whether it was told to close the replaced version without waiting for consumers.
    pub fn is_contained(&self) -> bool {
        self.contained
    }

    /// From now on the replaced version is not waited for: closed at once where readers have the
    /// new one, else as soon as they do. A rotation at a target that waits for a person goes on.
    #[must_use]
    pub fn contained(&self, now: Timestamp) -> Self {
        let mut next = match (&self.at_target, self.phase) {
            (Some(_), Phase::Parked) => self.resumed(true, now),
            _ => self.next(),
        };
        next.contained = true;
        if let Some(at) = &mut next.at_target {
            at.forced = true;
        } else if self.phase == Phase::Draining {
            next.grace_ends_at = self.grace_ends_at.map(|end| end.min(now));
        }
        if matches!(next.phase, Phase::Propagating | Phase::Draining) {
            next.wake_at = Some(now);
        }
        next
    }

    /// Asked for again while it waits or is parked: it is announced anew, to the webhooks that
    /// `policy` names now. Out of `parked` it begins again with a new deadline; while it waits
    /// the deadline stays, or asking daily would put off `rotation.overdue` for ever. A candidate
    /// that is made already is not made twice: the rotation goes on with it.
    #[must_use]
    pub fn announced_again(&self, policy: &RotationPolicy, now: Timestamp) -> Self {
        if self.phase == Phase::Verifying {
            return self.waiting(Some(now));
        }
        let mut next = self.enter(Phase::Generating, now);
        next.claimed_until = self.claimed_until; // the same worker goes on at once
        next.to_version = None;
        next.reason = None;
        next.webhook_ids.clone_from(&policy.webhook_ids);
        if self.phase == Phase::Parked {
            next.overdue_at = now.plus(self.grace_period.duration());
        }
        next.wake_at = Some(match self.strategy {
            Strategy::EventDriven => next.overdue_at,
            Strategy::GeneratedValue | Strategy::Target => now,
        });
        next
    }

    /// After [`super::Step::Generate`]: the candidate is durable.
    #[must_use]
    pub fn generated(&self, candidate: u64, from_version: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Verifying, now);
        next.claimed_until = self.claimed_until; // the same worker goes on at once
        next.to_version = Some(candidate);
        next.from_version = from_version;
        next.wake_at = Some(now);
        next
    }

    /// After [`super::Step::Promote`], or a write that answered: `version` is current, the replaced one
    /// readable until the grace period closes.
    #[must_use]
    pub fn promoted(&self, version: u64, from_version: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Draining, now);
        next.to_version = Some(version);
        next.from_version = from_version;
        next.reason = None;
        next.grace_ends_at = Some(match self.contained {
            true => now,
            false => now.plus(self.grace_period.duration()),
        });
        next.wake_at = next.grace_ends_at;
        next
    }

    /// After [`super::Step::Withdraw`].
    #[must_use]
    pub fn withdrawn(&self, current: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Generating, now);
        next.to_version = None;
        next.from_version = current;
        next.withdrawals += 1;
        next.wake_at = Some(now);
        next
    }

    /// After [`super::Step::Overdue`] or [`super::Step::Park`].
    #[must_use]
    pub fn parked(&self, reason: Reason, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Parked, now);
        next.reason = Some(reason);
        next
    }

    /// After [`super::Step::Close`].
    #[must_use]
    pub fn completed(&self, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Completed, now);
        next.finished_at = Some(now);
        next
    }

    /// After [`super::Step::Abandon`]. A rotation whose value is current already counts as completed.
    #[must_use]
    pub fn abandoned(&self, reason: Reason, now: Timestamp) -> Self {
        let phase = if self.is_before_promotion() {
            Phase::RolledBack
        } else {
            Phase::Completed
        };
        let mut next = self.enter(phase, now);
        next.reason = Some(reason);
        next.finished_at = Some(now);
        next
    }

    /// Something went wrong that does not end it.
    #[must_use]
    pub fn failed(&self, kind: FailureKind, retry_at: Option<Timestamp>, now: Timestamp) -> Self {
        let mut next = self.next();
        next.last_failure = Some(Failure { kind, at: now });
        if retry_at.is_some() {
            next.attempts += 1;
            next.wake_at = retry_at;
        }
        next
    }

    /// After [`super::Step::Wait`]: nothing changed but the claim, which is given back.
    #[must_use]
    pub fn waiting(&self, until: Option<Timestamp>) -> Self {
        let mut next = self.next();
        next.wake_at = until;
        next
    }

    pub(super) fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            claimed_until: None,
            ..self.clone()
        }
    }

    pub(super) fn enter(&self, phase: Phase, now: Timestamp) -> Self {
        Self {
            phase,
            phase_since: now,
            attempts: 0,
            wake_at: None,
            ..self.next()
        }
    }
}
