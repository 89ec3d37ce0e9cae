//! After a restore from a backup.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is known of the targets since the store was restored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reconciliation {
    /// Whether nothing is changed at targets until `POST …/resume`.
    pub reconcile_only: bool,
    /// When the store was restored; `null` when it was not, or was resumed.
    pub restored_at: Option<String>,
    /// When it was resumed last.
    pub resumed_at: Option<String>,
    /// When all attached credentials had been tried; `null` before that.
    pub looked_at: Option<String>,
    /// Every attached credential.
    pub attachments: Vec<Reconciled>,
}

/// One attached credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reconciled {
    /// The secret.
    pub secret_path: String,
    /// The target's id.
    pub target_id: String,
    /// Its name.
    pub target_name: String,
    /// The version readers get.
    pub version: u64,
    /// `works`, `changed_outside`, `locked`, `expired`, `another_account`, `unreachable` or
    /// `unclear`.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// Other stored versions that the target accepts.
    pub accepted_versions: Vec<u64>,
    /// The rotation that was under way when the backup was made.
    pub rotation_id: Option<String>,
}

/// Body of `POST /v1/rotation/reconcile/resume`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeBody {
    /// Do not wait until all targets were looked at.
    #[serde(default)]
    pub without_look: bool,
}
