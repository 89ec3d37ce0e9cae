//! An engine, as stored. It is a target with terms: where it is and who its manager is are the
//! target's, so that the manager's own credential rotates like any other.

use serde::{Deserialize, Serialize};

use super::connection::Connection;
use crate::ids::{EngineId, TargetId, TenantId};
use crate::time::{Span, Timestamp};

/// What an engine makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Accounts of a database.
    Database,
    /// Signed keys for SSH.
    Ssh,
    /// Keys of a service with an HTTP interface.
    Custom,
}

impl EngineKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Database, Self::Ssh, Self::Custom];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Ssh => "ssh",
            Self::Custom => "custom",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An engine, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// Id.
    pub id: EngineId,
    /// Owner.
    pub tenant: TenantId,
    /// Unique in the tenant; a part of URLs.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What it makes.
    pub kind: EngineKind,
    /// Which connector speaks to it: `postgresql`, `mysql`, `redis`, `ssh`, `http_key`.
    pub plugin: String,
    /// Where its accounts are made, and by whom. `None` where nothing is connected to (`ssh`).
    pub target_id: Option<TargetId>,
    /// How long a lease lives that does not ask.
    pub default_ttl: Span,
    /// How long one may live, renewals included.
    pub max_ttl: Span,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When somebody last compared what is at the target with the leases.
    #[serde(default)]
    pub swept_at: Option<Timestamp>,
    /// While somebody does, and after it went wrong: when it is tried again.
    #[serde(default)]
    pub sweep_held_until: Option<Timestamp>,
    /// Its target was described with it, and is forgotten with it.
    #[serde(default)]
    pub owns_target: bool,
    /// It is about to be deleted, or its target to be moved: nothing is made at it any more.
    #[serde(default)]
    pub closed: bool,
    /// How it is described as a connection, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The number this write makes.
    pub revision: u64,
}
