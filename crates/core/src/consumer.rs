//! The consumer ledger: who holds which version. Committed with the audit record of the read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ids::TenantId;
use crate::path::SecretPath;
use crate::time::Timestamp;

/// How far a stored `last_read_at` may lag behind the true last read, for a consumer that reads
/// the same version again and again. The first read of a version is always stored at once. A
/// drain decision must count a consumer as live for this much longer than its window.
pub const LEDGER_RESOLUTION: Duration = Duration::from_secs(10);

/// One read, as it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRead {
    /// Owner of the secret.
    pub tenant: TenantId,
    /// The secret.
    pub path: SecretPath,
    /// The version that was read.
    pub version: u64,
    /// Who read it.
    pub consumer: Identity,
    /// When.
    pub at: Timestamp,
}

/// What a consumer says about a version it holds, as it is committed. Without a read before, the
/// report counts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerReport {
    /// Owner of the secret.
    pub tenant: TenantId,
    /// The secret.
    pub path: SecretPath,
    /// Which version.
    pub version: u64,
    /// Who says it.
    pub consumer: Identity,
    /// When.
    pub at: Timestamp,
    /// Whether it works with it.
    pub applied: bool,
    /// What it says, for people.
    pub detail: Option<String>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Who.
    pub consumer: Identity,
    /// Which version.
    pub version: u64,
    /// First read of that version.
    pub first_read_at: Timestamp,
    /// Last read of it, at most [`LEDGER_RESOLUTION`] late.
    pub last_read_at: Timestamp,
    /// When it said that it uses this version.
    #[serde(default)]
    pub applied_at: Option<Timestamp>,
    /// When it said that it fails with it.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// What it said about that, for people; printable text, cut.
    #[serde(default)]
    pub detail: Option<String>,
}
