//! Secrets and their versions, as stored.
//!
//! A secret is one head row and one row per version. Values live only in version rows, sealed.
//! A write appends; nothing is replaced. The head's `revision` is the compare-and-swap point of
//! everything that changes which version readers get.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expiry::Expiry;
use crate::identity::Identity;
use crate::ids::{RotationId, SecretPolicyId, TenantId};
use crate::path::SecretPath;
use crate::seal::Sealed;
use crate::time::Timestamp;

/// Versions kept when the writer does not say.
pub const MAX_VERSIONS_DEFAULT: u32 = 10;
/// The most versions a writer may ask for.
pub const MAX_VERSIONS_LIMIT: u32 = 1_000;
/// How long a soft-deleted secret can be brought back.
pub const RETENTION_S: u64 = 30 * 86_400;

/// A hint about the shape of the value; it changes nothing in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SecretType {
    Kv,
    #[default]
    Json,
    Certificate,
    SshKey,
    ApiKey,
}

impl SecretType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::Kv,
        Self::Json,
        Self::Certificate,
        Self::SshKey,
        Self::ApiKey,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Json => "json",
            Self::Certificate => "certificate",
            Self::SshKey => "ssh_key",
            Self::ApiKey => "api_key",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What people say about a secret. Not secret itself; searchable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Metadata {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels to filter by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A label such as `team:payments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

/// A secret's head: everything but the values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretHead {
    /// Owner.
    pub tenant: TenantId,
    /// Where. Together with the tenant it is the key.
    pub path: SecretPath,
    /// The hint.
    pub secret_type: SecretType,
    /// What people say about it.
    pub metadata: Metadata,
    /// The version readers get. 0 while the first version is still pending.
    pub current_version: u64,
    /// The highest number ever given, pending ones included; the next write makes one more.
    pub latest_version: u64,
    /// Versions kept.
    pub max_versions: u32,
    /// Creation.
    pub created_at: Timestamp,
    /// Last new version or metadata change.
    pub updated_at: Timestamp,
    /// Past this the value is refused.
    pub expires_at: Option<Timestamp>,
    /// The recipe that its values are made by where nothing else says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_policy_id: Option<SecretPolicyId>,
    /// Set while soft-deleted: until when it can be brought back.
    pub recoverable_until: Option<Timestamp>,
    /// When its end is told of.
    #[serde(default, skip_serializing_if = "Expiry::is_default")]
    pub expiry: Expiry,
    /// The number this write makes.
    pub revision: u64,
}

impl SecretHead {
    /// Whether it is soft-deleted.
    pub fn is_deleted(&self) -> bool {
        self.recoverable_until.is_some()
    }

    /// Gives it another end, or none. One that stays the same is told of no second time.
    pub fn set_end(&mut self, end: Option<Timestamp>, now: Timestamp) {
        if self.expires_at != end {
            self.expires_at = end;
            self.expiry.begin(end, now);
        }
    }

    /// When something is to be told of its end. Never while it is deleted.
    pub fn notice_at(&self) -> Option<Timestamp> {
        let end = self.expires_at.filter(|_| !self.is_deleted())?;
        self.expiry.wake_at(end)
    }

    /// Whether its own end has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// The life of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// A rotation's candidate: sealed, unread by anyone.
    Pending,
    /// What readers get.
    Current,
    /// Replaced by a rotation; readable by number until the grace period closes.
    Previous,
    /// Replaced by an ordinary write; readable by number until it ages out.
    Superseded,
    /// Closed by a rotation; never readable again.
    Closed,
    /// A candidate that was given up before anyone could read it.
    Withdrawn,
    /// Given up, but its target may still accept it: kept sealed until the target refuses it, read
    /// by nobody.
    Owed,
}

/// One version without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Owner.
    pub tenant: TenantId,
    /// The secret.
    pub path: SecretPath,
    /// From 1, strictly increasing.
    pub version: u64,
    /// State.
    pub state: VersionState,
    /// For [`VersionState::Previous`]: when the grace period closes.
    pub readable_until: Option<Timestamp>,
    /// The rotation that wrote it, if one did.
    pub rotation_id: Option<RotationId>,
    /// Creation.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Identity,
    /// The number this write makes.
    pub revision: u64,
}

impl Version {
    /// Whether a reader may have it at `now`.
    pub fn readable(&self, now: Timestamp) -> Readable {
        Readable::of(self.state, self.readable_until, now)
    }
}

/// Whether a version can be read by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Yes.
    Yes,
    /// It was readable; a rotation closed it (`secret_expired`).
    Closed,
    /// It never was (`version_not_found`).
    Never,
}

impl Readable {
    /// Of a version in this state at `now`. The grace period ends by the clock here, not when some
    /// worker gets to it.
    pub fn of(state: VersionState, readable_until: Option<Timestamp>, now: Timestamp) -> Self {
        match state {
            VersionState::Current | VersionState::Superseded => Self::Yes,
            VersionState::Previous => match readable_until {
                Some(end) if end <= now => Self::Closed,
                _ => Self::Yes,
            },
            VersionState::Closed | VersionState::Owed => Self::Closed,
            VersionState::Pending | VersionState::Withdrawn => Self::Never,
        }
    }
}

/// A version with its sealed value.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedVersion {
    /// The row.
    pub version: Version,
    /// The value.
    pub sealed: Sealed,
}
