//! The audit trail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One row.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// `log_…`
    pub id: String,
    /// RFC 3339 with microseconds.
    pub timestamp: String,
    /// What.
    pub action: String,
    /// `user`, `service_account` or `system`.
    pub identity_type: String,
    /// Who.
    pub identity_id: String,
    /// On which secret.
    pub secret_path: Option<String>,
    /// From where.
    pub source_ip: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// Whether it was allowed and done.
    pub success: bool,
    /// From the request's arrival to the row.
    pub duration_ms: u64,
    /// The request.
    pub request_id: Option<String>,
    /// More, by action.
    #[schema(value_type = Object)]
    pub extra_data: Value,
}

/// `GET /v1/audit/logs`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditLogs {
    /// Newest first.
    pub logs: Vec<AuditRow>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// `GET /v1/audit/secrets/{path}` and `GET /v1/audit/identities/{identity_id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditTrail {
    /// Newest first.
    pub logs: Vec<AuditRow>,
    /// The last 30 days.
    pub summary: AuditSummary,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Counts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditSummary {
    pub from: Option<String>,
    pub to: Option<String>,
    pub total_events: u64,
    pub successful_events: u64,
    pub failed_events: u64,
    pub by_action: BTreeMap<String, u64>,
    pub by_identity: BTreeMap<String, u64>,
    pub first_event_at: Option<String>,
    pub last_event_at: Option<String>,
}

/// `GET /v1/audit/verify`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditVerify {
    /// Whether every row is where and what it was.
    pub valid: bool,
    /// Rows found whole.
    pub rows: u64,
    /// Hash after the last of them.
    pub head: String,
    /// The first row that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<BadRow>,
    /// Rows that retention removed from the front, for each chain it removed some of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<RemovedRows>,
}

/// Rows that retention removed from the front of a chain. What is left hangs on them by their hash.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RemovedRows {
    /// Id of the last of them.
    pub last_id: String,
    /// How many.
    pub rows: u64,
    /// When the last of them was removed.
    pub removed_at: String,
    /// The chain's hash after them: the anchor.
    pub head: String,
}

/// The first row that does not fit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BadRow {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// `POST /v1/audit/exports`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditExportBody {
    /// From this time on, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Any of these; none or absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// `jsonl` (the default) or `csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// `directory` or `s3`, whichever the operator configured, and the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Rows of all tenants: for an operator with the scope `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_tenants: Option<bool>,
}

/// An export of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditExport {
    /// `exp_…`; also the name of its directory.
    pub id: String,
    /// `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// `jsonl` or `csv`.
    pub format: String,
    /// `directory` or `s3`.
    pub destination: String,
    /// From this time on.
    pub from: Option<String>,
    /// Before this time.
    pub to: Option<String>,
    /// Any of these; none: all.
    pub actions: Vec<String>,
    /// Rows of all tenants.
    pub all_tenants: bool,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// How much of the trail was looked at, in percent.
    pub progress: u64,
    /// What is written, newest rows first.
    pub files: Vec<AuditExportFile>,
    /// The chains as they ended when it was asked for.
    pub chains: Vec<AuditExportHead>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A part of an export.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditExportFile {
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// The end of a chain.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditExportHead {
    pub chain: String,
    pub last_seq: u64,
    pub head: String,
}

/// `GET /v1/audit/exports`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditExportList {
    /// Newest first.
    pub exports: Vec<AuditExport>,
    pub cursor: Option<String>,
    pub has_more: bool,
}
