//! Debts: what is still to be removed at a target. Kept with its age, tried again for ever at a
//! low rate, listed and told of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{DebtId, RotationId, TargetId, TenantId};
use crate::path::SecretPath;
use crate::rotation::Attached;
use crate::target::{Overlap, Trouble};
use crate::time::Timestamp;

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    /// A credential that the target may still accept; its value stays stored as this version.
    Credential {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: u64,
        /// The rotation that gave it up.
        rotation_id: RotationId,
        /// Which account.
        attached: Attached,
    },
    /// What a mint of this rotation may have left.
    Residue {
        /// The secret.
        path: SecretPath,
        /// The rotation whose tag it carries.
        rotation_id: RotationId,
        /// Which account.
        attached: Attached,
    },
    /// The throw-away account of a rehearsal.
    Account {
        /// In the connector's fields.
        account: Map<String, Value>,
        /// The plan it was made for.
        overlap: Overlap,
        /// What its names carry.
        tag: String,
    },
}

/// A debt, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Id.
    pub id: DebtId,
    /// Owner.
    pub tenant: TenantId,
    /// Where.
    pub target_id: TargetId,
    /// Its name at the time, for people.
    pub target_name: String,
    /// What.
    pub owed: Owed,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
    /// Its age was told of.
    pub alerted: bool,
    /// When it is tried next.
    pub wake_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}
