//! Rehearsals, debts and sweeps of targets.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::trouble::Trouble;

/// Body of `POST /v1/rotation/targets/{id}/rehearse`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RehearseBody {
    /// `two_users`, `two_passwords`, `n_keys` or `none`; without it the safest one that the
    /// connector can rehearse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Fields that real attachments to the target have and a throw-away account needs too, such
    /// as `hosts` or `fields`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub account: Map<String, Value>,
}

/// What a rehearsal came to. It is answered with status 200 whether or not it passed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rehearsal {
    /// The target's id.
    pub target_id: String,
    /// Its name.
    pub target_name: String,
    /// The plan that was tried.
    pub strategy: String,
    /// Whether every step did what a rotation needs.
    pub passed: bool,
    /// When it began.
    pub began_at: String,
    /// How long it took.
    pub seconds: f64,
    /// Every step, in order.
    pub steps: Vec<RehearsalStep>,
    /// The debt that removes what could not be removed at once.
    pub debt_id: Option<String>,
}

/// One step of a rehearsal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RehearsalStep {
    /// `create`, `verify`, `switch`, `drain`, `revoke` or `remove`.
    pub name: String,
    /// `ok`, `failed` or `skipped`.
    pub outcome: String,
    /// How long it took; `null` when it was not reached.
    pub seconds: Option<f64>,
    /// What went wrong.
    pub trouble: Option<Trouble>,
}

/// Something that is still to be removed at a target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Debt {
    /// `dbt_…`; of `stuck_rotation` the rotation's id.
    pub id: String,
    /// `credential`, `residue`, `rehearsal_account`, or `stuck_rotation`: a rotation that has been
    /// revoking or stepping back for over an hour and is still on it itself.
    pub kind: String,
    /// Where.
    pub target_id: String,
    /// The target's name at the time.
    pub target_name: String,
    /// The secret.
    pub secret_path: Option<String>,
    /// The version that the target may still accept.
    pub version: Option<u64>,
    /// The rotation that left it.
    pub rotation_id: Option<String>,
    /// Names at the target, of a rehearsal.
    #[schema(value_type = Option<Object>)]
    pub account: Option<Map<String, Value>>,
    /// Since when.
    pub since: String,
    /// Its age.
    pub age_seconds: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt_at: Option<String>,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
}

/// `GET /v1/rotation/debts`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DebtList {
    pub data: Vec<Debt>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `DELETE /v1/rotation/debts/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOffBody {
    /// Why nothing is tried any more; it goes on the audit trail.
    #[schema(example = "the server was scrapped")]
    pub reason: String,
}

/// What a sweep found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sweep {
    /// Debts that came of it.
    pub debts: Vec<Debt>,
}
