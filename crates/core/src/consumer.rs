//! The consumer ledger: who holds which version. Committed with the audit record of the read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ids::TenantId;
use crate::path::SecretPath;
use crate::time::Timestamp;

/// How far a stored `last_read_at` may lag behind the true last read, for a consumer that reads
/// the same version again and again. The first read of a version is always stored at once.
pub const LEDGER_RESOLUTION: Duration = Duration::from_secs(10);

/// The same for a settled version: the current one of a secret at which nothing has changed for as
/// long as this. Nobody waits for its readers, and they are nearly all there are. A drain decision
/// counts a consumer as live for this much longer than its window.
pub const SETTLED_RESOLUTION: Duration = Duration::from_secs(300);

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
    /// Whether the version is settled ([`SETTLED_RESOLUTION`]).
    pub settled: bool,
}

impl ConsumerRead {
    /// How old what is stored may be when this read need not be.
    pub fn resolution(&self) -> Duration {
        match self.settled {
            true => SETTLED_RESOLUTION,
            false => LEDGER_RESOLUTION,
        }
    }
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
    /// Last read of it, at most [`SETTLED_RESOLUTION`] late, and at most [`LEDGER_RESOLUTION`] when
    /// the version was not settled at that read.
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
