//! Many secrets in one call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::secret::{Secret, SecretMetadata};

/// Body of `POST /v1/secrets/batch`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRead {
    /// 1 to 100 paths; one given twice counts once.
    pub paths: Vec<String>,
    /// How to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BatchReadOptions>,
}

/// `options` of a batch read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchReadOptions {
    /// Metadata beside each value. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_metadata: Option<bool>,
    /// The first error is the answer to the whole call. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<bool>,
    /// This version of each secret instead of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// Answer to a batch read. (The server writes it around the stored bytes; the struct is its
/// description and what clients parse.)
#[derive(Deserialize, ToSchema)]
pub struct BatchSecrets {
    /// By path: what may be read.
    pub secrets: BTreeMap<String, BatchSecret>,
    /// By path: why the others are missing.
    pub errors: BTreeMap<String, BatchError>,
}

/// A value of a batch.
#[derive(Deserialize, ToSchema)]
pub struct BatchSecret {
    /// The version read.
    pub version: u64,
    /// The hint.
    pub secret_type: String,
    /// The value.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
    /// Whether readers without a number get this version; this and the rest with
    /// `include_metadata` only.
    #[serde(default)]
    pub is_current: Option<bool>,
    /// What people say about it.
    #[serde(default)]
    pub metadata: Option<SecretMetadata>,
    /// Creation of the secret.
    #[serde(default)]
    pub created_at: Option<String>,
    /// Last change.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// Its end.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// For a replaced version in its grace period: when it closes.
    #[serde(default)]
    pub readable_until: Option<String>,
    /// Attached rotation policy.
    #[serde(default)]
    pub rotation_policy_id: Option<String>,
}

/// Why a path of a batch has no answer: what a call for it alone would have been refused with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BatchError {
    /// Stable code.
    #[schema(example = "secret_not_found")]
    pub code: String,
    /// For people.
    pub message: String,
    /// As in any error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<serde_json::Value>,
}

/// Body of `POST /v1/secrets/batch/metadata`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchMetadata {
    /// 1 to 100 paths, or patterns with `expand_wildcards`.
    pub paths: Vec<String>,
    /// How to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BatchMetadataOptions>,
}

/// `options` of batch metadata.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchMetadataOptions {
    /// Entries with `*` or `?` are patterns: what they match and the caller may list is answered.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand_wildcards: Option<bool>,
    /// The first error is the answer to the whole call. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<bool>,
    /// Secrets of a page found by patterns, 1 to 100 (100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page before ended; with the same paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer to batch metadata.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BatchSecretsMetadata {
    /// By path.
    pub secrets: BTreeMap<String, Secret>,
    /// By path or pattern.
    pub errors: BTreeMap<String, BatchError>,
    /// To go on with what patterns match; null at the end.
    pub cursor: Option<String>,
    /// Whether there is more.
    pub has_more: bool,
}
