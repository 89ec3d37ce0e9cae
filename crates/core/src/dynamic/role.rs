//! A role: what the accounts of a lease may do, and how they are removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::engine::Engine;
use crate::ids::{EngineId, TenantId};
use crate::time::{Span, Timestamp};

/// What becomes of things that an account owns when it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owned {
    /// The account stays, shut out, until somebody has looked: nothing is lost by itself.
    #[default]
    Keep,
    /// They go to the manager.
    Reassign,
    /// They are dropped with it.
    Drop,
}

impl Owned {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Reassign, Self::Drop];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Reassign => "reassign",
            Self::Drop => "drop",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|owned| owned.as_str() == text)
    }
}

/// How an account is removed. A lease keeps its own copy: a role that is changed or deleted takes
/// nothing away from what removes accounts that are there already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revocation {
    /// The role's statements; empty: the connector's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// What becomes of what it owns; of the connector's own way alone.
    #[serde(default)]
    pub owned: Owned,
}

/// A role, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Owner.
    pub tenant: TenantId,
    /// The engine.
    pub engine_id: EngineId,
    /// Unique in the engine; a part of URLs and of accounts' names.
    pub name: String,
    /// Run when a lease is made.
    #[serde(default)]
    pub creation_statements: Vec<String>,
    /// Run when making failed half way, where the target does not take it back by itself.
    #[serde(default)]
    pub rollback_statements: Vec<String>,
    /// Run when a lease is renewed; empty: the connector's own.
    #[serde(default)]
    pub renew_statements: Vec<String>,
    /// How accounts are removed.
    #[serde(default)]
    pub revocation: Revocation,
    /// The names of accounts; the connector's own where it is absent.
    #[serde(default)]
    pub username_template: Option<String>,
    /// More, in the connector's own fields.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// How long a lease lives that does not ask; the engine's where it is absent.
    #[serde(default)]
    pub default_ttl: Option<Span>,
    /// How long one may live; the engine's where it is absent or longer.
    #[serde(default)]
    pub max_ttl: Option<Span>,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// How long a lease of a role lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleTerms {
    /// From its beginning, when nobody asks for another.
    pub default_ttl: Duration,
    /// From its beginning, renewals included.
    pub max_ttl: Duration,
}

impl Role {
    /// The shorter of what role and engine say.
    pub fn terms(&self, engine: &Engine) -> RoleTerms {
        let engine_max = engine.max_ttl.duration();
        let own_max = self.max_ttl.as_ref().map_or(engine_max, Span::duration);
        let max_ttl = own_max.min(engine_max);
        let default_ttl = self.default_ttl.as_ref().unwrap_or(&engine.default_ttl);
        RoleTerms {
            default_ttl: default_ttl.duration().min(max_ttl),
            max_ttl,
        }
    }
}
