//! A system whose credentials are rotated, as stored: what it is, where it is, and under which
//! secret its manager's credential lies. No credential is ever in the row.

mod trouble;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{TargetId, TenantId};
use crate::path::SecretPath;
use crate::time::Timestamp;

pub use trouble::{Trouble, TroubleKind};

/// How a target can accept an old and a new credential side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Two accounts with the same rights; each rotation moves to the idle one.
    TwoUsers,
    /// One account that accepts two passwords.
    TwoPasswords,
    /// Several keys that the target mints, each with an id of its own.
    NKeys,
    /// None: the old credential dies when the new one is born.
    None,
}

impl Overlap {
    /// Every kind, safest first.
    pub const ALL: [Self; 4] = [Self::TwoUsers, Self::TwoPasswords, Self::NKeys, Self::None];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoUsers => "two_users",
            Self::TwoPasswords => "two_passwords",
            Self::NKeys => "n_keys",
            Self::None => "none",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|overlap| overlap.as_str() == text)
    }
}

/// A target, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Id.
    pub id: TargetId,
    /// Owner.
    pub tenant: TenantId,
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Which connector speaks to it.
    pub connector: String,
    /// Where and how, in the connector's own fields.
    pub settings: Map<String, Value>,
    /// The secret with the credential that changes the others. Some targets need none.
    pub manager_path: Option<SecretPath>,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When somebody last began to sweep it.
    #[serde(default)]
    pub swept_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}
