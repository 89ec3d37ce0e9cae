//! Exports of the audit trail that a caller asked for: durable jobs. Everything a worker needs to go
//! on is in the row: which rows are asked for, the parts that are written, and where to go on.

use serde::{Deserialize, Serialize};

use crate::audit::{Action, AuditFilter};
use crate::ids::{ExportId, TenantId};
use crate::time::Timestamp;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated, with a line of names.
    Csv,
}

impl ExportFormat {
    /// The wire word, which is also the ending of a part's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "jsonl" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// Parts are written, or it waits for its turn.
    Running,
    /// All parts and the manifest are there.
    Completed,
    /// Given up; `error` says why.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl ExportState {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One part that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ExportPart {
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

/// The end of a chain, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ExportHead {
    pub chain: String,
    pub last_seq: u64,
    pub head: String,
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditExport {
    /// Its id.
    pub id: ExportId,
    /// Of the tenant in which it was asked for.
    pub tenant: TenantId,
    /// Rows of all tenants, for an operator.
    pub all_tenants: bool,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Any of these; none: all.
    pub actions: Vec<Action>,
    /// How rows are written.
    pub format: ExportFormat,
    /// Who asked.
    pub requested_by: String,
    /// How far it is.
    pub state: ExportState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended, or, of one that is running, when its closing began.
    pub ended_at: Option<Timestamp>,
    /// The chains as they ended when it was asked for: later rows are not in it.
    pub heads: Vec<ExportHead>,
    /// Rows below this place are still to be looked at; none are left when it is 0.
    pub below: u64,
    /// What is written.
    pub parts: Vec<ExportPart>,
    /// Attempts that failed one after another.
    pub attempts: u32,
    /// What the last one of them failed for.
    pub error: Option<String>,
    /// When a worker may take it; `None` when it ended.
    pub wake_at: Option<Timestamp>,
    /// See the unit of work.
    pub revision: u64,
}

impl AuditExport {
    /// The rows asked for.
    pub fn filter(&self) -> AuditFilter {
        AuditFilter {
            tenant: (!self.all_tenants).then(|| self.tenant.clone()),
            from: self.from,
            to: self.to,
            actions: self.actions.clone(),
            ..AuditFilter::default()
        }
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}
