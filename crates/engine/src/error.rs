//! What an operation can fail with. Each failure has the API's code; the server adds the status.

use scaivault_core::access::{Condition, DenialReason};
use scaivault_core::glob::GlobError;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DebtId, RotationId};
use scaivault_core::path::PathError;
use scaivault_core::ports::{CommitError, ReadError};
use scaivault_core::rotation::Phase;
use scaivault_core::seal::SealError;
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitRefusal;

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Missing {
    Secret,
    Version,
    Policy,
    Binding,
    Token,
    MachineRole,
    SecretId,
    Webhook,
    Delivery,
    Subscription,
    RotationPolicy,
    SecretPolicy,
    Rotation,
    Assignment,
    Target,
    Campaign,
    Export,
    Debt,
    Engine,
    EngineRole,
    Lease,
    TransitKey,
    Partner,
    Tenant,
}

/// What is still known of a version that nobody reads any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneVersion {
    /// Which.
    pub version: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was deleted; `None`: it was removed for good.
    pub deleted_at: Option<Timestamp>,
    /// What people say about the secret.
    pub custom: std::collections::BTreeMap<String, String>,
}

/// A failed operation. Texts are for the caller and repeat no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VaultError {
    /// No policy rule allows it.
    #[error("no policy rule allows this")]
    Denied(DenialReason),
    /// The token's scope does not allow it.
    #[error("the token lacks the scope {}", .0.as_str())]
    Scope(Scope),
    /// Refused for another reason.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Not there (or not visible).
    #[error("not found")]
    NotFound(Missing),
    /// A path breaks a rule.
    #[error("{0}")]
    InvalidPath(#[from] PathError),
    /// A pattern breaks a rule.
    #[error("{0}")]
    InvalidGlob(#[from] GlobError),
    /// A policy makes no sense.
    #[error("{0}")]
    InvalidPolicy(String),
    /// Fields are wrong, each with its reason.
    #[error("some fields are not valid")]
    Validation(Vec<(String, String)>),
    /// Soft-deleted and still in retention.
    #[error("the path holds a deleted secret: undelete it, or delete it permanently first")]
    SecretExists(Option<Timestamp>),
    /// Another object has the name.
    #[error("the name is taken")]
    NameExists,
    /// Somebody else wrote first, or the expected version is not current.
    #[error("the secret is at version {current}, not at the expected one")]
    VersionConflict {
        /// The current version.
        current: u64,
    },
    /// The rotation named is not the one that waits for a value.
    #[error("that rotation does not wait for a value")]
    RotationConflict,
    /// The campaign is over.
    #[error("the campaign has ended: start another one")]
    CampaignOver,
    /// A rotation at a target stands in the way.
    #[error(
        "the rotation {0} of this secret is under way at its target: let it end (resume it if it \
         is parked), roll it back or abandon it, and try again"
    )]
    RotationUnfinished(RotationId),
    /// What is stored is still needed to revoke a credential at a target.
    #[error(
        "a credential of this secret is still to be revoked at its target: delete the secret for \
         good when the debt {0} is settled or written off; softly it can be deleted now"
    )]
    CredentialOwed(DebtId),
    /// The credential to adopt did not get in at the target.
    #[error("{advice}")]
    NotAdopted {
        /// What went wrong: the kind of a trouble, or of a refusal.
        trouble: &'static str,
        /// What to do about it.
        advice: String,
    },
    /// The act is not legal in the rotation's phase.
    #[error("this rotation is {}: {}", .phase.as_str(), legal_text(.actions))]
    IllegalAct {
        /// Where it stands.
        phase: Phase,
        /// What is legal now.
        actions: Vec<&'static str>,
    },
    /// A step of the rotation is under way at its target.
    #[error("a step of this rotation is under way at its target: try again in a moment")]
    StepUnderWay,
    /// The store was restored from a backup.
    #[error(
        "this store was restored from a backup: nothing is changed at targets until an operator has \
         seen 'scaivault store reconcile' and run 'scaivault store resume'"
    )]
    Restored,
    /// The targets have not been looked at.
    #[error(
        "not every target has been looked at since the restore: try again in a moment, or resume \
         without a look"
    )]
    NotLooked,
    /// The policy still has bindings.
    #[error("the policy has bindings: remove them, or delete with force=true")]
    PolicyInUse,
    /// Something refers to the recipe.
    #[error(
        "rotation policies or secrets refer to this secret policy: give them another one, or \
         delete with force=true, after which rotations that need it stop until they have another"
    )]
    SecretPolicyInUse,
    /// Secrets are still attached to the target, or something is owed there.
    #[error(
        "secrets are attached to the target, or a rotation or a debt there is not settled: detach \
         them, let those end or write the debts off, and try again"
    )]
    TargetInUse,
    /// The secret is the credential of this target's manager.
    #[error(
        "this secret is the credential of the manager of the target {0}, which would be lost: name \
         another one there (manager_path) or delete the target first"
    )]
    ManagerInUse(String),
    /// This version was deleted, or removed for good.
    #[error("this version was deleted")]
    VersionGone(Box<GoneVersion>),
    /// The value's end has passed, or a rotation closed this version.
    #[error("this value has ended")]
    SecretExpired,
    /// The value does not fit into the answer of its batch.
    #[error(
        "the values of one batch have at most {0} bytes together: read this one in another call"
    )]
    BatchFull(usize),
    /// The engine's target did not do what was asked.
    #[error("{advice}")]
    EngineFailed {
        /// The kind of trouble.
        trouble: &'static str,
        /// What to do about it.
        advice: String,
    },
    /// The engine cannot be used as it is configured.
    #[error("{advice}")]
    EngineConfig {
        /// The kind of trouble.
        trouble: &'static str,
        /// What to do about it.
        advice: String,
    },
    /// Leases of the engine have not ended.
    #[error("leases of this engine have not ended: revoke them all first, then delete it")]
    EngineInUse,
    /// The engine is being deleted or its target moved.
    #[error(
        "this engine is being deleted, or its target moved: try again; if that was broken off, \
         change or delete the engine once more"
    )]
    EngineClosed,
    /// Accounts made where the target was may be there.
    #[error(
        "leases of credentials made at this place have not ended: revoke them and wait until they \
         have, or say same_accounts: true if this is the same server under another address"
    )]
    AccountsThere,
    /// Too many wait for the target already.
    #[error("too many credentials are being made at this target at once: try again in a moment")]
    TargetBusy,
    /// The lease cannot be renewed any more.
    #[error("this lease has ended, or is ending: ask for a new credential")]
    LeaseEnded,
    /// A key that others use does not do that.
    #[error("{0}")]
    Transit(TransitRefusal),
    /// The store cannot serve now.
    #[error("the store cannot serve this now: {0}")]
    Unavailable(String),
    /// A defect or a damaged row.
    #[error("internal error: {0}")]
    Internal(String),
}

impl VaultError {
    /// The API's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(DenialReason::NoRule) => "access_denied",
            Self::Denied(DenialReason::Failed(Condition::IpRanges)) => "ip_not_allowed",
            Self::Denied(DenialReason::Failed(Condition::RequireMfa)) => "mfa_required",
            Self::Denied(DenialReason::Failed(Condition::TimeWindow)) => "time_window_violation",
            Self::Scope(_) => "insufficient_scope",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(missing) => missing.code(),
            Self::InvalidPath(_) => "invalid_path",
            Self::InvalidGlob(_) => "invalid_glob",
            Self::InvalidPolicy(_) => "invalid_policy",
            Self::Validation(_) => "validation_error",
            Self::SecretExists(_) => "secret_exists",
            Self::NameExists => "name_exists",
            Self::VersionConflict { .. } | Self::RotationConflict | Self::CampaignOver => {
                "version_conflict"
            }
            Self::RotationUnfinished(_) | Self::CredentialOwed(_) => "rotation_in_progress",
            Self::NotAdopted { .. } => "credential_not_verified",
            Self::IllegalAct { .. } => "rotation_conflict",
            Self::PolicyInUse | Self::SecretPolicyInUse => "policy_in_use",
            Self::TargetInUse | Self::ManagerInUse(_) => "target_in_use",
            Self::SecretExpired => "secret_expired",
            Self::VersionGone(_) => "version_not_found",
            Self::BatchFull(_) => "payload_too_large",
            Self::EngineFailed { .. } => "engine_failed",
            Self::EngineConfig { .. } => "invalid_config",
            Self::EngineInUse | Self::AccountsThere => "engine_in_use",
            Self::LeaseEnded => "lease_ended",
            Self::Transit(_) => "invalid_request",
            Self::Restored | Self::NotLooked => "store_restored",
            Self::Unavailable(_) | Self::StepUnderWay | Self::EngineClosed | Self::TargetBusy => {
                "service_unavailable"
            }
            Self::Internal(_) => "internal_error",
        }
    }
}

fn legal_text(actions: &[&str]) -> String {
    match actions {
        [] => "nothing can be done with it by hand".to_owned(),
        [one] => format!("only {one} is legal now"),
        more => format!("legal now are {}", more.join(", ")),
    }
}

impl Missing {
    fn code(self) -> &'static str {
        match self {
            Self::Secret => "secret_not_found",
            Self::Version => "version_not_found",
            Self::Policy => "policy_not_found",
            Self::Binding => "binding_not_found",
            Self::Token => "token_not_found",
            Self::MachineRole => "role_not_found",
            Self::SecretId => "secret_id_not_found",
            Self::Webhook => "webhook_not_found",
            Self::Delivery => "delivery_not_found",
            Self::Subscription => "subscription_not_found",
            Self::RotationPolicy => "rotation_policy_not_found",
            Self::SecretPolicy => "secret_policy_not_found",
            Self::Rotation => "rotation_not_found",
            Self::Assignment => "assignment_not_found",
            Self::Target => "target_not_found",
            Self::Campaign => "campaign_not_found",
            Self::Export => "export_not_found",
            Self::Debt => "debt_not_found",
            Self::Engine => "engine_not_found",
            Self::EngineRole => "role_not_found",
            Self::Lease => "lease_not_found",
            // Served by the other API alone, which tells a 404 without words.
            Self::TransitKey => "not_found",
            Self::Partner => "partner_not_found",
            Self::Tenant => "tenant_not_found",
        }
    }
}

impl From<ReadError> for VaultError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(why) => Self::Unavailable(why),
            ReadError::Undecodable { .. } | ReadError::Altered { .. } => {
                Self::Internal(error.to_string())
            }
        }
    }
}

/// For commits whose caller does not retry: a lost race is told as a conflict.
impl From<CommitError> for VaultError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => {
                Self::Unavailable("changed by someone else at the same time: try again".into())
            }
            CommitError::Duplicate(_, _) => Self::NameExists,
            CommitError::Unavailable(why) => Self::Unavailable(why),
            CommitError::Unknown => Self::Unavailable(
                "the outcome of the write is not known: read before trying again".into(),
            ),
        }
    }
}

impl From<TransitRefusal> for VaultError {
    fn from(refusal: TransitRefusal) -> Self {
        match refusal {
            TransitRefusal::Failed => Self::Internal(refusal.to_string()),
            refusal => Self::Transit(refusal),
        }
    }
}

impl From<SealError> for VaultError {
    fn from(error: SealError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Times an operation starts over when it loses a race.
pub(crate) const RACES_MAX: u32 = 16;
