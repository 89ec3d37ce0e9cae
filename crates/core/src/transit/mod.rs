//! Keys that stay here while others use them: what they are, and which of their versions may do what.
//!
//! A key is one row. Its versions are sealed one by one; what is allowed of them is decided here, over
//! numbers alone.

mod kind;
mod refusal;
mod text;

pub use kind::{Curve, TransitHash, TransitKind};
pub use refusal::TransitRefusal;
pub use text::{read_versioned, versioned};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::TenantId;
use crate::seal::Sealed;
use crate::time::Timestamp;

/// The longest name of a key.
pub const TRANSIT_NAME_MAX: usize = 128;
/// The most versions that are kept of a key: older ones are trimmed first.
pub const TRANSIT_VERSIONS_MAX: usize = 1_000;
/// The shortest time after which a key rotates by itself.
pub const TRANSIT_ROTATE_MIN_S: u64 = 3_600;
/// The longest one: a hundred years.
pub const TRANSIT_ROTATE_MAX_S: u64 = 100 * 365 * 86_400;

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitVersion {
    /// From 1 on.
    pub number: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its secret part.
    pub material: Sealed,
    /// What others verify or encrypt with, for keys that have two halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitKey {
    /// Owner.
    pub tenant: TenantId,
    /// The mount it is below, without its slash.
    pub mount: String,
    /// Together with tenant and mount it is the key of the row.
    pub name: String,
    /// What it is.
    pub kind: TransitKind,
    /// Each use has a context, and a key of its own made from that.
    #[serde(default)]
    pub derived: bool,
    /// The same plaintext and context are the same ciphertext.
    #[serde(default)]
    pub convergent: bool,
    /// Its secret part may be read by who has the right. Never taken back.
    #[serde(default)]
    pub exportable: bool,
    /// It may be backed up in the clear. Never taken back.
    #[serde(default)]
    pub plaintext_backup: bool,
    /// It may be deleted.
    #[serde(default)]
    pub deletion_allowed: bool,
    /// Bytes of the key of an HMAC, where they were chosen; else 0.
    #[serde(default)]
    pub key_bytes: u32,
    /// Seconds after which it rotates by itself; 0: it does not.
    #[serde(default)]
    pub auto_rotate_s: u64,
    /// The newest version.
    pub latest: u32,
    /// Older ones were removed; 0: none was.
    #[serde(default)]
    pub min_available: u32,
    /// Older ones open nothing.
    pub min_decryption: u32,
    /// Older ones seal nothing; 0: the newest alone is meant where none is named.
    #[serde(default)]
    pub min_encryption: u32,
    /// What there is, oldest first.
    pub versions: Vec<TransitVersion>,
    /// When it rotates by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// What is to be changed of a key's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the key say it")]
pub struct TransitConfig {
    pub min_decryption: Option<u32>,
    pub min_encryption: Option<u32>,
    pub deletion_allowed: Option<bool>,
    pub exportable: Option<bool>,
    pub plaintext_backup: Option<bool>,
    pub auto_rotate_s: Option<u64>,
}

impl TransitKey {
    /// The version of this number.
    pub fn version(&self, number: u32) -> Option<&TransitVersion> {
        let found = self
            .versions
            .binary_search_by_key(&number, |version| version.number);
        self.versions.get(found.ok()?)
    }

    /// The versions that may still open something.
    pub fn usable(&self) -> impl Iterator<Item = &TransitVersion> {
        let least = self.min_decryption;
        self.versions
            .iter()
            .filter(move |version| version.number >= least)
    }

    /// The version that seals or signs: the newest, or the one that is named.
    ///
    /// # Errors
    /// [`TransitRefusal`] where that one may not.
    pub fn to_seal(&self, asked: u32) -> Result<&TransitVersion, TransitRefusal> {
        let number = match asked {
            0 => self.latest,
            asked if asked > self.latest => return Err(TransitRefusal::VersionTooHigh),
            // What nobody could open is not sealed.
            asked if asked < self.min_encryption.max(self.min_decryption) => {
                return Err(TransitRefusal::VersionTooLow);
            }
            asked => asked,
        };
        self.version(number).ok_or(TransitRefusal::VersionGone)
    }

    /// The version that opens what it sealed, or verifies.
    ///
    /// # Errors
    /// [`TransitRefusal`] where it may not any more, or never was.
    pub fn to_open(&self, number: u32) -> Result<&TransitVersion, TransitRefusal> {
        match number {
            number if number > self.latest => Err(TransitRefusal::TooNew),
            number if number < self.min_decryption.max(1) => Err(TransitRefusal::TooOld),
            number => self.version(number).ok_or(TransitRefusal::VersionGone),
        }
    }

    /// Takes in a version made by a rotation.
    ///
    /// # Errors
    /// When it has too many.
    pub fn push(&mut self, version: TransitVersion) -> Result<(), TransitRefusal> {
        if self.versions.len() >= TRANSIT_VERSIONS_MAX {
            return Err(TransitRefusal::TooMany);
        }
        self.latest = version.number;
        self.versions.push(version);
        self.schedule();
        Ok(())
    }

    /// Changes its settings, whole or not at all.
    ///
    /// # Errors
    /// Why they cannot be so.
    pub fn configure(&mut self, config: &TransitConfig) -> Result<(), TransitRefusal> {
        let mut key = self.clone();
        if let Some(number) = config.min_decryption {
            key.min_decryption = number.max(1);
        }
        key.min_encryption = config.min_encryption.unwrap_or(key.min_encryption);
        if key.min_decryption > key.latest || key.min_encryption > key.latest {
            return Err(TransitRefusal::BeyondLatest(key.latest));
        }
        if key.min_encryption > 0 && key.min_encryption < key.min_decryption {
            return Err(TransitRefusal::SealsWhatNobodyOpens);
        }
        if key.min_decryption < key.min_available {
            return Err(TransitRefusal::Trimmed(key.min_available));
        }
        key.deletion_allowed = config.deletion_allowed.unwrap_or(key.deletion_allowed);
        key.exportable |= config.exportable == Some(true);
        key.plaintext_backup |= config.plaintext_backup == Some(true);
        if let Some(seconds) = config.auto_rotate_s {
            check_period(seconds)?;
            key.auto_rotate_s = seconds;
            key.schedule();
        }
        *self = key;
        Ok(())
    }

    /// Removes what is older than this for good.
    ///
    /// # Errors
    /// While it may still be needed.
    pub fn trim(&mut self, least: u32) -> Result<(), TransitRefusal> {
        if self.min_encryption == 0 {
            return Err(TransitRefusal::TrimWithoutBound);
        }
        if least < self.min_available || least == 0 {
            return Err(TransitRefusal::Trimmed(self.min_available));
        }
        if least > self.min_encryption || least > self.min_decryption || least > self.latest {
            return Err(TransitRefusal::TrimBeyond);
        }
        self.min_available = least;
        self.versions.retain(|version| version.number >= least);
        Ok(())
    }

    /// When it rotates next by itself: a period after its newest version was made.
    pub fn schedule(&mut self) {
        let newest = self.versions.last().map(|version| version.created_at);
        let period = (self.auto_rotate_s > 0).then(|| Duration::from_secs(self.auto_rotate_s));
        self.wake_at = newest
            .zip(period)
            .map(|(newest, period)| newest.plus(period));
    }
}

/// Whether a key may rotate by itself so often.
///
/// # Errors
/// When not.
pub fn check_period(seconds: u64) -> Result<(), TransitRefusal> {
    match seconds {
        0 | TRANSIT_ROTATE_MIN_S..=TRANSIT_ROTATE_MAX_S => Ok(()),
        _ => Err(TransitRefusal::Period),
    }
}

/// Whether a key can be called so: letters, digits, `_`, `-` and `.`, a letter, digit or `_` at both
/// ends.
pub fn is_transit_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let inner = |byte: u8| word(byte) || matches!(byte, b'-' | b'.');
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    name.len() <= TRANSIT_NAME_MAX
        && word(*first)
        && word(*last)
        && bytes.iter().all(|byte| inner(*byte))
}

#[cfg(test)]
mod tests;
