//! Rotation policies, assignments, rotations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::trouble::Trouble;

use crate::rotation_rules::{
    RotationCalendar, RotationCalendarBody, RotationRules, RotationRulesBody,
};

/// A comma-separated string (`"7d,1d"`) or a list (`["7d","1d"]`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum WarnBefore {
    /// `"7d,1d"`
    Text(String),
    /// `["7d","1d"]`
    List(Vec<String>),
}

/// Body of `POST /v1/rotation/policies`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationPolicyBody {
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// From one rotation to the next, per secret. Needed unless `calendar.cron` is given, which
    /// takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "90d")]
    pub interval: Option<String>,
    /// How long the replaced version stays readable. Default `48h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<String>,
    /// Warnings before the rotation is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<WarnBefore>,
    /// True: the server writes the new value. False (default): someone answers `rotation.due`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_generate: Option<bool>,
    /// Recipe for `auto_generate`: the id of a secret policy. Without it the secret's own, or a
    /// random string in its secret field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_policy_id: Option<String>,
    /// Webhooks to notify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_ids: Option<Vec<String>>,
    /// For secrets attached to a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RotationRulesBody>,
    /// When rotations by schedule begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<RotationCalendarBody>,
    /// How often credentials at targets are tried by a harmless login, 1m to 30d, or `off`.
    /// Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_check: Option<String>,
}

/// Body of `PATCH /v1/rotation/policies/{id}`: only given fields change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in RotationPolicyBody")]
pub struct RotationPolicyPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<WarnBefore>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_generate: Option<bool>,
    /// `null` takes it away.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub secret_policy_id: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RotationRulesBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<RotationCalendarBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_check: Option<String>,
}

/// A rotation policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in RotationPolicyBody")]
pub struct RotationPolicy {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub interval: String,
    pub interval_seconds: u64,
    pub grace_period: String,
    pub warn_before: Option<String>,
    pub auto_generate: bool,
    pub secret_policy_id: Option<String>,
    pub webhook_ids: Vec<String>,
    pub is_active: bool,
    pub secrets_count: u64,
    pub created_at: String,
    pub updated_at: String,
    #[serde(default)]
    pub rules: Option<RotationRules>,
    #[serde(default)]
    pub calendar: Option<RotationCalendar>,
    #[serde(default)]
    pub drift_check: Option<String>,
}

/// `GET /v1/rotation/policies`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RotationPolicyList {
    pub data: Vec<RotationPolicy>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/rotation/policies/{id}/secrets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    /// The secret.
    pub secret_path: String,
    /// Id or name of the target; absent: the one it has, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `two_users`, `two_passwords`, `n_keys` or `none`; absent: the safest that the target
    /// supports for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Which account or accounts, in the connector's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub account: Option<serde_json::Map<String, serde_json::Value>>,
    /// The secret is the target's manager's own credential. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<bool>,
    /// Its place in a group; absent: the one it has, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Make a new credential: the first value comes from a rotation that begins at once. Default
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// Attach without trying the current value at the target first. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<bool>,
}

impl AssignBody {
    /// Attaches this secret, nothing else.
    pub fn new(secret_path: impl Into<String>) -> Self {
        Self {
            secret_path: secret_path.into(),
            ..Self::default()
        }
    }
}

/// A place in a group: its members are rotated one at a time, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Lower ones go first; equal ones by path.
    #[serde(default)]
    pub order: u32,
}

/// The target of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssignedTarget {
    /// `tgt_…`
    pub id: String,
    /// Its name when the secret was attached.
    pub name: String,
}

/// A secret's attachment to a policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Assignment {
    pub secret_path: String,
    pub rotation_policy_id: String,
    pub rotation_policy_name: Option<String>,
    pub assigned_at: String,
    pub assigned_by: String,
    pub last_rotated_at: Option<String>,
    pub next_rotation_at: String,
    /// The rotation that waits for its new value.
    pub open_rotation_id: Option<String>,
    #[serde(default)]
    pub target: Option<AssignedTarget>,
    /// How old and new overlap at the target.
    #[serde(default)]
    pub strategy: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub account: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub is_manager: bool,
    #[serde(default)]
    pub group: Option<Group>,
    /// What works but should be known, such as rights the manager lacks.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why the stored credential does not work at its target; null while it does.
    #[serde(default)]
    pub drift: Option<Drift>,
}

/// A stored credential was found not to work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// `changed_outside`, `locked`, `expired`, `another_account`, `unreachable` or `unclear`.
    pub found: String,
    /// What to do about it.
    pub advice: String,
    /// When it was found first.
    pub since: String,
    /// When it was found last.
    pub checked_at: String,
}

/// Body of `POST /v1/rotation/policies/{id}/rotate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// Only these; without it all attached secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_paths: Option<Vec<String>>,
}

/// What abandoning a rotation may be told.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AbandonBody {
    /// Also where consumers may still use the old credential: it is revoked without waiting for
    /// them.
    pub force: bool,
}

/// A rotation; also the item of a rotation history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rotation {
    /// `rtn_…`
    pub id: String,
    /// The secret.
    pub secret_path: String,
    /// Its policy.
    pub rotation_policy_id: String,
    /// The policy's name when the rotation opened.
    pub rotation_policy_name: String,
    /// `success` (readers have the new value), `failed` or `pending`.
    pub status: String,
    /// `generating`, `verifying`, `draining`, `completed`, `rolled_back`, `parked`, …
    pub phase: String,
    /// Since when.
    pub phase_since: String,
    /// `event_driven`, `generated_value` or `target`.
    pub strategy: String,
    /// `schedule` or `manual`.
    pub trigger: String,
    /// Who asked.
    pub requested_by: String,
    /// When it opened.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The replaced version.
    pub old_version: u64,
    /// The new version.
    pub new_version: Option<u64>,
    /// When the replaced version closes.
    pub grace_period_ends: Option<String>,
    /// What it waits for, in words: `waits_for` in one line.
    pub waiting_for: Option<String>,
    /// What it waits for, by name, one sentence each. In lists only what the rotation's own
    /// record tells.
    #[serde(default)]
    pub waits_for: Vec<String>,
    /// What may be done now: `resume`, `rollback`, `approve`.
    #[serde(default)]
    pub actions: Vec<String>,
    /// When it is looked at next.
    pub next_attempt_at: Option<String>,
    /// Why it was parked or rolled back.
    pub reason: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// The target, for credentials of one.
    #[serde(default)]
    pub target: Option<RotationTarget>,
    /// The last trouble at the target.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// When readers got the new version.
    #[serde(default)]
    pub promoted_at: Option<String>,
    /// When waiting for consumers ends.
    #[serde(default)]
    pub deadline_at: Option<String>,
    /// Its group, whose rotations run one at a time.
    #[serde(default)]
    pub group: Option<String>,
    /// Who approved the revocation.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// Whether the old credential is revoked without waiting for consumers.
    #[serde(default)]
    pub forced: bool,
    /// Grows with every change: `after` of a request that waits for the next one.
    #[serde(default)]
    pub revision: u64,
}

/// The target a rotation is at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RotationTarget {
    /// `tgt_…`
    pub id: String,
    /// Its name when the rotation opened.
    pub name: String,
    /// `two_users`, `two_passwords`, `n_keys` or `none`.
    pub strategy: String,
}

/// `GET /v1/rotations` and `GET /v1/rotation/policies/{id}/history`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RotationList {
    pub data: Vec<Rotation>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// `GET /v1/rotation/due`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DueList {
    /// Soonest first.
    pub data: Vec<DueItem>,
}

/// A secret whose rotation is due soon, now, or overdue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DueItem {
    pub secret_path: String,
    pub rotation_policy_id: String,
    pub rotation_policy_name: Option<String>,
    pub next_rotation_at: String,
    pub last_rotated_at: Option<String>,
    pub due_now: bool,
    pub is_overdue: bool,
    pub open_rotation_id: Option<String>,
}
