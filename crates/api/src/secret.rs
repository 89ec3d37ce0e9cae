//! Secrets, versions, consumers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::rotation::WarnBefore;

/// Body of `PUT /v1/secrets/{path}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// The value: a JSON object, kept byte for byte. Needed unless `options.generate_from` says how
    /// to make one.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
    /// `kv`, `json` (default), `certificate`, `ssh_key` or `api_key`.
    #[serde(default)]
    pub secret_type: Option<String>,
    /// Replaces all metadata when given; left as it is when absent.
    #[serde(default)]
    pub metadata: Option<SecretMetadata>,
    /// How to write.
    #[serde(default)]
    pub options: Option<PutOptions>,
}

/// `options` of a write.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOptions {
    /// Versions kept, 1 to 1000. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u32>,
    /// The value's end, as a duration from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// How long before its end `secret.expiring` tells of it: `"30d,7d,1d"` or a list, at most 10;
    /// default 30d, 7d and 1d. An empty one: not before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_before: Option<WarnBefore>,
    /// Attaches the secret to a rotation policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy_id: Option<String>,
    /// Write only when this is the current version; 0: only when there is no such secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<u64>,
    /// Write only as the answer to this rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_id: Option<String>,
    /// Instead of `data`: the server makes the value by this secret policy, by id or name, and
    /// answers without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate_from: Option<String>,
}

/// What people say about a secret. Further keys are kept as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct SecretMetadata {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A label such as `team:payments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub custom: Map<String, Value>,
}

/// Body of `PATCH /v1/secrets/{path}/metadata`. Absent fields stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchMetadata {
    /// Replaces all metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SecretMetadata>,
    /// Replaces the tags alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Versions kept from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u32>,
    /// The value's end; `null` takes it away.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Option<String>>,
    /// How long before its end it is told of; `null`: 30d, 7d and 1d.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<WarnBefore>)]
    pub notify_before: Option<Option<WarnBefore>>,
    /// The recipe of values that a rotation makes; `null` takes it away.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub secret_policy_id: Option<Option<String>>,
}

/// A secret without its value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    /// Path: the key inside the tenant.
    #[schema(example = "integrations/salesforce/oauth")]
    pub path: String,
    /// The hint.
    pub secret_type: String,
    /// Current version.
    pub version: u64,
    /// What people say about it.
    pub metadata: SecretMetadata,
    /// Creation of the secret.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
    /// Its end, if any.
    pub expires_at: Option<String>,
    /// How long before its end `secret.expiring` tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "30d,7d,1d")]
    pub notify_before: Option<String>,
    /// Last read of its value by anyone (at most 10 s late); in metadata answers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_accessed_at: Option<String>,
    /// Attached rotation policy.
    pub rotation_policy_id: Option<String>,
    /// Recipe for new values.
    pub secret_policy_id: Option<String>,
    /// Versions kept.
    pub max_versions: u32,
    /// Stored versions; in metadata answers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_count: Option<u64>,
    /// Rotation of this secret; in metadata answers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<SecretRotationStatus>,
    /// Set while soft-deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoverable_until: Option<String>,
    /// In the answer to a write: whether it answered a due rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_rotation: Option<bool>,
    /// In the answer to a write that answered a rotation: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_id: Option<String>,
}

/// Where a secret stands in its schedule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretRotationStatus {
    /// Policy.
    pub rotation_policy_id: String,
    /// Last rotation.
    pub last_rotated_at: Option<String>,
    /// Next one.
    pub next_rotation_at: String,
    /// The rotation that waits for its new value.
    pub open_rotation_id: Option<String>,
}

/// A secret with its value: the answer to a read. (The server writes this answer around the
/// stored bytes; the struct is its description and what clients parse.)
#[derive(Deserialize, ToSchema)]
pub struct SecretValue {
    /// Path.
    pub path: String,
    /// The hint.
    pub secret_type: String,
    /// The version read.
    pub version: u64,
    /// Whether readers without a number get this version.
    pub is_current: bool,
    /// The value.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
    /// What people say about it.
    pub metadata: SecretMetadata,
    /// Creation of the secret.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
    /// Its end.
    pub expires_at: Option<String>,
    /// For a replaced version in its grace period: when it closes.
    #[serde(default)]
    pub readable_until: Option<String>,
    /// Attached rotation policy.
    pub rotation_policy_id: Option<String>,
}

/// `GET /v1/secrets`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// By path, without values.
    pub secrets: Vec<Secret>,
    /// With `delimiter`: the folders below the prefix with something in them, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Vec<String>>,
    /// To go on; null at the end.
    pub cursor: Option<String>,
    /// Whether there is more.
    pub has_more: bool,
}

/// `GET /v1/secrets/{path}/versions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Newest first.
    pub versions: Vec<VersionItem>,
}

/// One version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionItem {
    /// Number.
    pub version: u64,
    /// Whether readers without a number get it.
    pub is_current: bool,
    /// `current`, `previous` (in grace), `superseded`, `closed`, `deleted`, `pending`, `withdrawn`.
    pub state: String,
    /// Creation.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When its grace period closes.
    pub readable_until: Option<String>,
    /// The rotation that wrote it.
    pub rotation_id: Option<String>,
}

/// Answer to a delete.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeletedSecret {
    /// Path.
    pub path: String,
    /// Whether it is gone for good.
    pub permanent: bool,
    /// Otherwise: until when it can be brought back.
    pub recoverable_until: Option<String>,
}

/// `GET /v1/secrets/{path}/consumers`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConsumerList {
    /// Newest version first.
    pub consumers: Vec<ConsumerItem>,
}

/// Who holds which version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConsumerItem {
    /// Who.
    pub identity_id: String,
    /// Which version.
    pub version: u64,
    /// Whether that is the current one.
    pub is_current: bool,
    /// First read of it.
    pub first_read_at: String,
    /// Last read of it, at most 10 s late.
    pub last_read_at: String,
    /// When it said that it uses this version.
    #[serde(default)]
    pub applied_at: Option<String>,
    /// When it said that it fails with it.
    #[serde(default)]
    pub failed_at: Option<String>,
    /// What it said about that; only for who may rotate the secret.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Body of `POST /v1/secrets/{path}/ack`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretAck {
    /// The version it speaks of.
    pub version: u64,
    /// `applied`: the consumer works with it. `failed`: it does not.
    #[schema(example = "applied")]
    pub status: String,
    /// What happened, for people; cut to 256 characters. No value belongs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The answer to it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretAcked {
    /// The secret.
    pub secret_path: String,
    /// Which version.
    pub version: u64,
    /// As given.
    pub status: String,
    /// When it was noted.
    pub at: String,
    /// The version readers get now: another one is to be fetched.
    pub current_version: u64,
}
