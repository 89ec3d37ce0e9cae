//! One rotation of one secret, as a durable state machine.
//!
//! A worker reads the row, calls [`decide`], performs the one step it names and commits the row
//! that follows (the methods of [`Rotation`] make it). It then starts over from the record:
//! nothing is carried in memory from step to step, so stopping anywhere is safe.
//!
//! ```text
//! event-driven     generating ──(value written from outside)──────────────▶ draining ──▶ completed
//!                      └─(nobody wrote within the grace period)─▶ parked ──┘ (a late write still answers)
//! generated value  generating ──▶ propagating ──▶ draining ──▶ completed
//!                      ▲ candidate alone   └─(secret changed by hand: withdrawn)─┐
//!                      └───────────────────────────────────────────────────────┘
//! secret or policy gone before the new value is current ──▶ rolled_back
//! ```
//!
//! `applying`, `verifying` and `revoking` belong to strategies with a target to tell; the two
//! strategies here have none, so those phases have no effect to perform and are not entered.

use serde::{Deserialize, Serialize};

use super::policy::RotationPolicy;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TenantId, WebhookId};
use crate::path::SecretPath;
use crate::secret::VersionState;
use crate::time::{Span, Timestamp};

/// Times a candidate may be withdrawn before the rotation is parked.
pub(super) const WITHDRAWALS_MAX: u32 = 5;

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing changed anywhere.
    Generating,
    /// Intent is durable; the target is being told.
    Applying,
    /// The target may accept both.
    Verifying,
    /// The candidate is good; readers are about to get it.
    Propagating,
    /// Readers get the new version; the old one is still readable by number.
    Draining,
    /// Nobody uses the old one.
    Revoking,
    /// One credential again.
    Completed,
    /// Stepping back.
    RollingBack,
    /// The old version is current, the candidate is gone.
    RolledBack,
    /// Safe, waiting for a person.
    Parked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 10] = [
        Self::Generating,
        Self::Applying,
        Self::Verifying,
        Self::Propagating,
        Self::Draining,
        Self::Revoking,
        Self::Completed,
        Self::RollingBack,
        Self::RolledBack,
        Self::Parked,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generating => "generating",
            Self::Applying => "applying",
            Self::Verifying => "verifying",
            Self::Propagating => "propagating",
            Self::Draining => "draining",
            Self::Revoking => "revoking",
            Self::Completed => "completed",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Parked => "parked",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether nothing follows by itself or by hand.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack)
    }

    /// The word of the rotation history: did readers get a new value?
    pub fn status(self) -> &'static str {
        match self {
            Self::Generating | Self::Applying | Self::Verifying | Self::Propagating => "pending",
            Self::Draining | Self::Revoking | Self::Completed => "success",
            Self::RollingBack | Self::RolledBack | Self::Parked => "failed",
        }
    }
}

/// How the new value comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Someone outside mints it and writes it back.
    EventDriven,
    /// The server makes it.
    GeneratedValue,
}

/// What began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The interval.
    Schedule,
    /// A request.
    Manual,
}

/// Why it was parked or rolled back, in words a person can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody wrote the new value within the grace period.
    Overdue,
    /// The secret was deleted.
    SecretDeleted,
    /// The rotation policy was deleted or the secret detached from it.
    Detached,
    /// The secret kept being changed by hand.
    ChangedByHand,
    /// The new value could not be made or sealed, again and again.
    GenerateFailed,
    /// The value has no field that the server could make anew.
    NothingToGenerate,
    /// The row is in a phase its strategy does not have.
    PhaseWithoutStep,
}

impl Reason {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::SecretDeleted => "secret_deleted",
            Self::Detached => "detached",
            Self::ChangedByHand => "changed_by_hand",
            Self::GenerateFailed => "generate_failed",
            Self::NothingToGenerate => "nothing_to_generate",
            Self::PhaseWithoutStep => "phase_without_step",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Overdue => {
                "no new value was written within the grace period: write one with an identity \
                 that may rotate, or trigger the rotation again"
            }
            Self::SecretDeleted => "the secret was deleted; nothing to do",
            Self::Detached => "the secret no longer has this rotation policy; nothing to do",
            Self::ChangedByHand => {
                "the secret was changed while its new value was made: trigger the rotation again"
            }
            Self::GenerateFailed => {
                "the current value does not open or the new one does not seal: check the key \
                 provider on /v1/health/ready, then trigger the rotation again"
            }
            Self::NothingToGenerate => {
                "the value has no text field with a customary name (value, password, \
                 client_secret, api_key, secret, token, key) to make anew: add one, or use a \
                 policy without auto_generate; then trigger the rotation again"
            }
            Self::PhaseWithoutStep => "this build does not know the phase: upgrade, then resume",
        }
    }
}

/// The last thing that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What.
    pub kind: FailureKind,
    /// When.
    pub at: Timestamp,
}

/// What can go wrong without ending the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The receiver of `rotation.due` could not be reached in any attempt.
    DeliveryFailed,
    /// The value could not be generated or sealed.
    GenerateFailed,
}

impl FailureKind {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryFailed => "delivery_failed",
            Self::GenerateFailed => "generate_failed",
        }
    }
}

/// A rotation, as stored. Whatever of the policy it needs later is copied in when it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Held by a worker until then.
    pub claimed_until: Option<Timestamp>,
    /// The number this write makes. A claim counts as a write: it is the fencing token.
    pub revision: u64,
}

/// What a worker found out before deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The secret's current version; `None` when the secret is gone or deleted.
    pub current_version: Option<u64>,
    /// State of the candidate row, if there is one.
    pub candidate: Option<VersionState>,
}

/// The one thing to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make a candidate, seal it, commit it alone.
    Generate,
    /// Make the candidate current.
    Promote,
    /// Withdraw the candidate and begin again from the version that is current now.
    Withdraw,
    /// Tell that the new value is overdue, and park.
    Overdue,
    /// Close the replaced version and complete.
    Close,
    /// End without a new value.
    Abandon(Reason),
    /// Stop and wait for a person.
    Park(Reason),
    /// Nothing until then; nothing at all without a time.
    Wait(Option<Timestamp>),
}

/// Decides the next step. Total: every row and every observation has exactly one answer.
pub fn decide(rotation: &Rotation, observed: Observed, now: Timestamp) -> Step {
    let Some(current) = observed.current_version else {
        return if rotation.phase.is_final() {
            Step::Wait(None)
        } else {
            Step::Abandon(Reason::SecretDeleted)
        };
    };
    match rotation.phase {
        Phase::Generating => match rotation.strategy {
            Strategy::GeneratedValue => Step::Generate,
            Strategy::EventDriven if rotation.overdue_at <= now => Step::Overdue,
            Strategy::EventDriven => Step::Wait(Some(rotation.overdue_at)),
        },
        Phase::Propagating if observed.candidate != Some(VersionState::Pending) => {
            Step::Park(Reason::PhaseWithoutStep)
        }
        Phase::Propagating if current == rotation.from_version => Step::Promote,
        Phase::Propagating if rotation.withdrawals >= WITHDRAWALS_MAX => {
            Step::Abandon(Reason::ChangedByHand)
        }
        Phase::Propagating => Step::Withdraw,
        Phase::Draining => match rotation.grace_ends_at {
            Some(end) if end > now => Step::Wait(Some(end)),
            _ => Step::Close,
        },
        Phase::Applying | Phase::Verifying | Phase::Revoking | Phase::RollingBack => {
            Step::Park(Reason::PhaseWithoutStep)
        }
        Phase::Completed | Phase::RolledBack | Phase::Parked => Step::Wait(None),
    }
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
                Strategy::GeneratedValue => now,
            }),
            claimed_until: None,
            revision: 1,
        }
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
            Phase::Generating
            | Phase::Applying
            | Phase::Verifying
            | Phase::Propagating
            | Phase::Parked => true,
            Phase::Draining
            | Phase::Revoking
            | Phase::Completed
            | Phase::RollingBack
            | Phase::RolledBack => false,
        }
    }

    /// Asked for again while it waits or is parked: it is announced anew, to the webhooks that
    /// `policy` names now. Out of `parked` it begins again with a new deadline; while it waits
    /// the deadline stays, or asking daily would put off `rotation.overdue` for ever. A candidate
    /// that is made already is not made twice: the rotation goes on with it.
    #[must_use]
    pub fn announced_again(&self, policy: &RotationPolicy, now: Timestamp) -> Self {
        if self.phase == Phase::Propagating {
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
            Strategy::GeneratedValue => now,
        });
        next
    }

    /// After [`Step::Generate`]: the candidate is durable.
    #[must_use]
    pub fn generated(&self, candidate: u64, from_version: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Propagating, now);
        next.claimed_until = self.claimed_until; // the same worker goes on at once
        next.to_version = Some(candidate);
        next.from_version = from_version;
        next.wake_at = Some(now);
        next
    }

    /// After [`Step::Promote`], or a write that answered: `version` is current, the replaced one
    /// readable until the grace period closes.
    #[must_use]
    pub fn promoted(&self, version: u64, from_version: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Draining, now);
        next.to_version = Some(version);
        next.from_version = from_version;
        next.reason = None;
        next.grace_ends_at = Some(now.plus(self.grace_period.duration()));
        next.wake_at = next.grace_ends_at;
        next
    }

    /// After [`Step::Withdraw`].
    #[must_use]
    pub fn withdrawn(&self, current: u64, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Generating, now);
        next.to_version = None;
        next.from_version = current;
        next.withdrawals += 1;
        next.wake_at = Some(now);
        next
    }

    /// After [`Step::Overdue`] or [`Step::Park`].
    #[must_use]
    pub fn parked(&self, reason: Reason, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Parked, now);
        next.reason = Some(reason);
        next
    }

    /// After [`Step::Close`].
    #[must_use]
    pub fn completed(&self, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::Completed, now);
        next.finished_at = Some(now);
        next
    }

    /// After [`Step::Abandon`]. A rotation whose value is current already counts as completed.
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

    /// After [`Step::Wait`]: nothing changed but the claim, which is given back.
    #[must_use]
    pub fn waiting(&self, until: Option<Timestamp>) -> Self {
        let mut next = self.next();
        next.wake_at = until;
        next
    }

    fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            claimed_until: None,
            ..self.clone()
        }
    }

    fn enter(&self, phase: Phase, now: Timestamp) -> Self {
        Self {
            phase,
            phase_since: now,
            attempts: 0,
            wake_at: None,
            ..self.next()
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
