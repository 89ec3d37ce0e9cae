//! What sealing promises, as a port: a value opens only as the place it was sealed for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, TenantId};
use crate::plaintext::Plaintext;
use crate::time::Timestamp;

/// Sealed bytes: version, key id, wrapped data key and ciphertext in one envelope. Safe to
/// store, useless without the key chain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Where a sealed value lives. Every part is bound into the ciphertext, so a row moved to
/// another tenant, kind, path, version or field does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Owner.
    pub tenant: &'a TenantId,
    /// What kind of row: `secret`, `webhook`, `subscription`, …
    pub kind: &'static str,
    /// The row: a secret's path, a webhook's id.
    pub path: &'a str,
    /// The version, 0 where there is none.
    pub version: u64,
    /// The field: `data`, `signing_secret`, …
    pub field: &'static str,
}

/// Why sealing or opening failed. Never says anything of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not an envelope, or of a format this build does not know.
    #[error("not a sealed value of a known format")]
    Malformed,
    /// The key it names is not in the keyring.
    #[error("sealed under key {0}, which is not in the keyring")]
    UnknownKey(String),
    /// Altered, moved from another place, or sealed under another key.
    #[error("the sealed value does not open here: altered, moved, or under another key")]
    Refused,
    /// The key provider or the random source failed.
    #[error("key operation failed: {0}")]
    Provider(&'static str),
}

/// Seals and opens values under the tenant's key. Implementations hold unwrapped keys in
/// memory; a call does no I/O.
pub trait Sealer: Send + Sync {
    /// Seals under a fresh data key.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] when the tenant has no active key.
    fn seal(&self, place: Place<'_>, value: &Plaintext) -> Result<Sealed, SealError>;

    /// Opens what [`Sealer::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError`]; a wrong place and an altered byte are the same [`SealError::Refused`].
    fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Plaintext, SealError>;
}

/// What a key of the keyring is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPurpose {
    /// Wraps the data keys of one tenant.
    Tenant,
    /// Hashes tokens.
    TokenHash,
    /// Authenticates the heads of the audit chain.
    AuditChain,
    /// Not a key: how the root key follows from a passphrase (public parameters, in the clear in
    /// `wrapped`). It lives in the keyring so that no copy of a store is ever without it.
    RootDerivation,
}

/// The life of a key. `Active` keys seal and open, `Retired` keys only open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Seals and opens.
    Active,
    /// Opens.
    Retired,
}

/// A key as stored: wrapped by its parent, never in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Id; every envelope under this key names it.
    pub id: KeyId,
    /// What for.
    pub purpose: KeyPurpose,
    /// Whose, for tenant keys.
    pub tenant: Option<TenantId>,
    /// Which key wraps it: another key's id, or the root key's fingerprint.
    pub parent: String,
    /// The wrapped bytes.
    pub wrapped: Sealed,
    /// State.
    pub state: KeyState,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}
