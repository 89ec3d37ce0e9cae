//! Why a rotation stopped, in words a person can act on.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

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
    /// The recipe for new values is gone or inactive, or does not fit the current value.
    RecipeUnusable,
    /// The row is in a phase its strategy does not have.
    PhaseWithoutStep,
    /// The target could not do what was asked.
    TargetTrouble,
    /// The target's record is gone, or its connector is not built in.
    TargetGone,
    /// The target refused the new credential.
    VerifyFailed,
    /// A consumer reported that it fails with the new credential.
    ConsumerFailed,
    /// Consumers or sessions still used the old credential at the deadline.
    DrainDeadline,
    /// The target has no overlap and the policy does not accept the gap.
    GapNotAccepted,
    /// A person asked for it.
    ByHand,
    /// A person gave it up; what it may have left at the target is a debt.
    Abandoned,
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
            Self::RecipeUnusable => "recipe_unusable",
            Self::PhaseWithoutStep => "phase_without_step",
            Self::TargetTrouble => "target_trouble",
            Self::TargetGone => "target_gone",
            Self::VerifyFailed => "verify_failed",
            Self::ConsumerFailed => "consumer_failed",
            Self::DrainDeadline => "drain_deadline",
            Self::GapNotAccepted => "gap_not_accepted",
            Self::ByHand => "by_hand",
            Self::Abandoned => "abandoned",
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
            Self::RecipeUnusable => {
                "the recipe (secret_policy_id) of the rotation policy, or of the secret, was deleted \
                 or is inactive: activate it or name another one, then trigger the rotation again"
            }
            Self::PhaseWithoutStep => "this build does not know the phase: upgrade, then resume",
            Self::TargetTrouble => {
                "the target could not do what was asked: `trouble` says what and how to cure it; \
                 it is tried again by itself, at once after `resume`"
            }
            Self::TargetGone => {
                "the target is not known to this server any more: where its connector is missing, \
                 install a build that has it and resume; else abandon the rotation"
            }
            Self::VerifyFailed => {
                "the target kept refusing the new credential, so the old one stays: look at the \
                 target's log, then rotate again"
            }
            Self::ConsumerFailed => {
                "a consumer reported that it fails with the new version: cure it and resume, or \
                 roll back"
            }
            Self::DrainDeadline => {
                "the old credential was still in use at the deadline: move the consumers named in \
                 `waits_for` and resume, or roll back"
            }
            Self::GapNotAccepted => {
                "this attachment has no overlap (`strategy` none), so consumers would be cut off \
                 for a while: roll this rotation back, then set `rules.accept_gap` in the policy \
                 or attach the secret with another strategy, and rotate again"
            }
            Self::ByHand => "ended by request; nothing to do",
            Self::Abandoned => {
                "given up by request: what the target may still accept is listed under \
                 /v1/rotation/debts and removed from there"
            }
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
