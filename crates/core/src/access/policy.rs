//! Access policies, their rules and their bindings, as stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::condition::Conditions;
use crate::glob::PathPattern;
use crate::identity::{Identity, ScopeSet};
use crate::ids::{BindingId, PolicyId, TenantId};
use crate::time::Timestamp;

/// What a rule allows at matching paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Permission {
    /// Read values.
    Read,
    /// Create and update.
    Write,
    /// Delete.
    Delete,
    /// Enumerate and read metadata, without values.
    List,
    /// Trigger and answer rotations.
    Rotate,
    /// All of these.
    Admin,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::List,
        Self::Rotate,
        Self::Admin,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Rotate => "rotate",
            Self::Admin => "admin",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.as_str() == text)
    }
}

/// A set of permissions; `admin` holds all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionSet(u8);

impl PermissionSet {
    /// Whether `permission` is allowed, directly or through `admin`.
    pub fn allows(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0 || self.0 & (1 << Permission::Admin as u8) != 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions as given (`admin` is not spelled out).
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .into_iter()
            .filter(move |p| self.0 & (1 << *p as u8) != 0)
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |set, p| set | (1 << p as u8)),
        )
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Permission::as_str))
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        words
            .iter()
            .map(|word| {
                Permission::parse(word)
                    .ok_or_else(|| serde::de::Error::custom("unknown permission"))
            })
            .collect()
    }
}

/// One rule: where, what, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which paths.
    pub path_pattern: PathPattern,
    /// What is allowed there.
    pub permissions: PermissionSet,
    /// All must hold, or the rule does not apply.
    #[serde(default)]
    pub conditions: Conditions,
}

/// Whether a policy serves one tenant or every tenant of its partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PolicyScope {
    /// One tenant.
    #[default]
    Tenant,
    /// Every tenant of the partner.
    Partner,
}

/// An access policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// Id.
    pub id: PolicyId,
    /// Owner.
    pub tenant: TenantId,
    /// Name, for people; unique in the tenant.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The rules; the union of all allows.
    pub rules: Vec<Rule>,
    /// What a token may ask for that holds this policy by its name (`group:acl/…`); absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeSet>,
    /// Reach.
    pub scope: PolicyScope,
    /// An inactive policy allows nothing.
    pub is_active: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// Ties a policy to a user, service account or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Id.
    pub id: BindingId,
    /// Owner.
    pub tenant: TenantId,
    /// The policy.
    pub policy_id: PolicyId,
    /// Whom it serves; never `system:`.
    pub identity: Identity,
    /// The binding ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}
