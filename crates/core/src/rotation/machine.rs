//! One rotation of one secret, as a durable state machine.
//!
//! A worker reads the row, calls [`decide`], performs the one step it names and commits the row
//! that follows (the methods of [`Rotation`] make it). It then starts over from the record:
//! nothing is carried in memory from step to step, so stopping anywhere is safe.
//!
//! ```text
//! event-driven     generating ──(value written from outside)──────────────▶ draining ──▶ completed
//!                      └─(nobody wrote within the grace period)─▶ parked ──┘ (a late write still answers)
//! generated value  generating ──▶ verifying ──▶ draining ──▶ completed
//!                      ▲ candidate alone   └─(secret changed by hand: withdrawn)─┐
//!                      └───────────────────────────────────────────────────────┘
//! secret or policy gone before the new value is current ──▶ rolled_back
//! ```
//!
//! Credentials of a target go through all phases: see [`super::at_target`].

use super::at_target;
use super::drain::Standing;
use super::phase::{Phase, Strategy};
use super::reason::Reason;
use super::record::Rotation;
use crate::secret::VersionState;
use crate::time::Timestamp;

/// Times a candidate may be withdrawn before the rotation is parked.
pub(super) const WITHDRAWALS_MAX: u32 = 5;

/// What a worker found out before deciding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The secret's current version; `None` when the secret is gone or deleted.
    pub current_version: Option<u64>,
    /// State of the candidate row, if there is one.
    pub candidate: Option<VersionState>,
    /// Where the consumers stand.
    pub standing: Standing,
    /// Another rotation of its group goes first.
    pub waits_for_turn: bool,
}

/// A change at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The candidate is accepted beside the current credential.
    Apply,
    /// What a lost mint left is revoked.
    Clear,
    /// The credential that is given up is refused: the old one, or the candidate when stepping
    /// back.
    Retire,
    /// The credential that is kept and was found refused is accepted again.
    Heal,
    /// Without overlap, stepping back: the old credential is accepted again instead of the
    /// candidate.
    Restore,
}

/// A look at the target that changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// Is the candidate accepted?
    Candidate,
    /// Did a lost mint leave something?
    Residue,
    /// Who still uses what is to be retired?
    Sessions,
    /// Is what was retired refused, and what is kept accepted?
    Retired,
}

/// The one thing to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make a candidate, seal it, commit it alone.
    Generate,
    /// Commit the mark, change the target, commit the outcome.
    Send(Effect),
    /// Look at the target, commit what was seen.
    Look(Look),
    /// Log in with the candidate; when that worked, make it current.
    Verify,
    /// Make the candidate current.
    Promote,
    /// Withdraw the candidate and begin again from the version that is current now.
    Withdraw,
    /// Go on to this phase.
    Enter(Phase),
    /// Stop waiting for consumers: revoke now.
    Force,
    /// Tell that consumers take long.
    Alert,
    /// Begin to step back.
    StepBack(Reason),
    /// Make the old version current again.
    Demote,
    /// The candidate is gone from the target: end as rolled back.
    Finish,
    /// Go on where it was parked.
    Resume,
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

macro_rules! step_kinds {
    ($($name:ident)*) => {
        /// What a step is, without its particulars: the registry of transitions that crash tests
        /// run over.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "named after the steps")]
        pub enum StepKind { $($name,)* }

        impl StepKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

step_kinds! {
    Generate Apply Clear Retire Heal Restore LookCandidate LookResidue LookSessions LookRetired
    Verify Promote Withdraw Enter Force Alert StepBack Demote Finish Resume Overdue Close Abandon
    Park Wait
}

impl Step {
    /// Its kind. There is no wildcard: a new step has to be named here, and crash tests then ask
    /// for a way to reach it.
    pub fn kind(self) -> StepKind {
        match self {
            Self::Generate => StepKind::Generate,
            Self::Send(Effect::Apply) => StepKind::Apply,
            Self::Send(Effect::Clear) => StepKind::Clear,
            Self::Send(Effect::Retire) => StepKind::Retire,
            Self::Send(Effect::Heal) => StepKind::Heal,
            Self::Send(Effect::Restore) => StepKind::Restore,
            Self::Look(Look::Candidate) => StepKind::LookCandidate,
            Self::Look(Look::Residue) => StepKind::LookResidue,
            Self::Look(Look::Sessions) => StepKind::LookSessions,
            Self::Look(Look::Retired) => StepKind::LookRetired,
            Self::Verify => StepKind::Verify,
            Self::Promote => StepKind::Promote,
            Self::Withdraw => StepKind::Withdraw,
            Self::Enter(_) => StepKind::Enter,
            Self::Force => StepKind::Force,
            Self::Alert => StepKind::Alert,
            Self::StepBack(_) => StepKind::StepBack,
            Self::Demote => StepKind::Demote,
            Self::Finish => StepKind::Finish,
            Self::Resume => StepKind::Resume,
            Self::Overdue => StepKind::Overdue,
            Self::Close => StepKind::Close,
            Self::Abandon(_) => StepKind::Abandon,
            Self::Park(_) => StepKind::Park,
            Self::Wait(_) => StepKind::Wait,
        }
    }
}

/// Decides the next step. Total: every row and every observation has exactly one answer.
pub fn decide(rotation: &Rotation, seen: &Observed, now: Timestamp) -> Step {
    let Some(current) = seen.current_version else {
        let at = rotation.at_target.as_ref();
        let may_be_live = at.is_some_and(|at| at.maybe_live);
        return match rotation.phase {
            phase if phase.is_final() => Step::Wait(None),
            // Ending here would leave a credential at the target that nobody looks after.
            Phase::Parked if may_be_live => Step::Wait(None),
            _ if may_be_live => Step::Park(Reason::SecretDeleted),
            _ => Step::Abandon(Reason::SecretDeleted),
        };
    };
    if let Some(at) = &rotation.at_target {
        return at_target::decide(rotation, at, seen, current, now);
    }
    match rotation.phase {
        Phase::Generating => match rotation.strategy {
            Strategy::GeneratedValue if seen.waits_for_turn => {
                Step::Wait(Some(now.plus(at_target::TURN_POLL)))
            }
            Strategy::GeneratedValue => Step::Generate,
            Strategy::EventDriven if rotation.overdue_at <= now => Step::Overdue,
            Strategy::EventDriven => Step::Wait(Some(rotation.overdue_at)),
            Strategy::Target => Step::Park(Reason::PhaseWithoutStep),
        },
        Phase::Verifying if seen.candidate != Some(VersionState::Pending) => {
            Step::Park(Reason::PhaseWithoutStep)
        }
        Phase::Verifying if current == rotation.from_version => Step::Promote,
        Phase::Verifying if rotation.withdrawals >= WITHDRAWALS_MAX => {
            Step::Abandon(Reason::ChangedByHand)
        }
        Phase::Verifying => Step::Withdraw,
        Phase::Draining => match rotation.grace_ends_at {
            Some(end) if end > now => Step::Wait(Some(end)),
            _ => Step::Close,
        },
        Phase::Applying | Phase::Propagating | Phase::Revoking | Phase::RollingBack => {
            Step::Park(Reason::PhaseWithoutStep)
        }
        Phase::Completed | Phase::RolledBack | Phase::Parked => Step::Wait(None),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
