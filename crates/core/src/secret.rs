//! Secrets and their versions, as stored.
//!
//! A secret is one head row and one row per version. Values live only in version rows, sealed.
//! A write appends; nothing is replaced. The head's `revision` is the compare-and-swap point of
//! everything that changes which version readers get.

use std::collections::BTreeMap;

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

/// Keys of metadata beside its fields.
pub const METADATA_KEYS_MAX: usize = 50;
/// Tags of a secret.
pub const METADATA_TAGS_MAX: usize = 50;
/// All of the metadata of a secret, as JSON.
pub const METADATA_BYTES_MAX: usize = 16 * 1_024;

/// Names that stand for fields of [`Metadata`] where all of it is told as texts.
const DESCRIPTION: &str = "description";
const OWNER: &str = "owner";
const TAGS: &str = "tags";

impl Metadata {
    /// Whether it has more of anything than it may.
    pub fn is_beyond_bounds(&self) -> bool {
        self.custom.len() > METADATA_KEYS_MAX
            || self.tags.len() > METADATA_TAGS_MAX
            || serde_json::to_vec(self).map_or(usize::MAX, |text| text.len()) > METADATA_BYTES_MAX
    }

    /// All of it as texts by name: for those who know no others. Tags stand in one, with commas.
    pub fn custom_texts(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut texts: BTreeMap<String, String> = self
            .custom
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let mut field = |name: &str, text: &Option<String>| {
            if let Some(text) = text {
                texts.insert(name.to_owned(), text.clone());
            }
        };
        field(DESCRIPTION, &self.description);
        field(OWNER, &self.owner);
        if !self.tags.is_empty() {
            texts.insert(TAGS.to_owned(), self.tags.join(","));
        }
        texts
    }

    /// Sets texts by name, and removes those without one. What says the same as before stays as it
    /// is, whatever its type.
    pub fn change_texts(&mut self, changes: &BTreeMap<String, Option<String>>) {
        let before = self.custom_texts();
        for (name, text) in changes {
            if before.get(name) == text.as_ref() {
                continue;
            }
            match name.as_str() {
                DESCRIPTION => self.description.clone_from(text),
                OWNER => self.owner.clone_from(text),
                TAGS => {
                    let words = text.as_deref().unwrap_or_default().split(',');
                    let words = words.map(str::trim).filter(|word| !word.is_empty());
                    self.tags = words.map(str::to_owned).collect();
                }
                _ => match text {
                    Some(text) => {
                        self.custom.insert(name.clone(), text.clone().into());
                    }
                    None => {
                        self.custom.remove(name);
                    }
                },
            }
        }
    }
}

/// A version whose value was removed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// Which.
    pub version: u64,
    /// When it had been written.
    pub created_at: Timestamp,
}

/// How the versions of a secret are kept, beside their number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Versioning {
    /// Writes name the version they replace.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cas_required: bool,
    /// How long a written version can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after_s: Option<u64>,
    /// Versions that were removed for good, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destroyed: Vec<Destroyed>,
}

impl Versioning {
    /// As when nobody said anything.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The version, if it was removed for good.
    pub fn destroyed(&self, version: u64) -> Option<&Destroyed> {
        self.destroyed.iter().find(|gone| gone.version == version)
    }

    /// Notes removed versions; of more than `keep` the oldest are forgotten.
    pub fn destroy(&mut self, gone: impl IntoIterator<Item = Destroyed>, keep: usize) {
        self.destroyed.extend(gone);
        self.destroyed.sort_by_key(|gone| gone.version);
        self.destroyed.dedup_by_key(|gone| gone.version);
        let more = self.destroyed.len().saturating_sub(keep);
        self.destroyed.drain(..more);
    }
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
    /// How its versions are kept, beside their number.
    #[serde(default, skip_serializing_if = "Versioning::is_default")]
    pub versioning: Versioning,
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
    /// From then on it is deleted, though its value is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

impl Version {
    /// Whether it is deleted at `now`.
    pub fn is_deleted(&self, now: Timestamp) -> bool {
        self.deletes_at.is_some_and(|at| at <= now)
    }

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
