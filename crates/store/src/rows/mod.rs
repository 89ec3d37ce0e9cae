//! Codes over stored documents: whoever can write the database, and has no key, can neither change
//! a document nor put it into another row unnoticed.
//!
//! A document is JSON text; its last field, `"~"`, is the code: HMAC-SHA256 cut to 128 bits, over
//! the table's name, the row's key and all of the text before it. The key is made of the key of
//! the audit chain, which lives as long as the store does: another root key, a copy and a restore
//! leave every code as it is. What a code does not say is that the row is the latest: an older one
//! of the same row has its code, too. [`verify`] compares rows with the audit trail for that.
//!
//! The keys of the keyring have no code: they are read before there is a key, and are bound to
//! what their record says by the root key that wraps them.

mod columns;
mod key;
mod place;
mod trail;
pub mod verify;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use scaivault_core::ports::ReadError;
use scaivault_core::seal::KeyRecord;
use serde::de::DeserializeOwned;

pub use key::{CODE_CHARS, RowKey, has_code};
pub use place::{Claimed, Document, Place, is_coded, place_of};
pub use verify::RowReport;

/// Said until the audit chain is started.
const NOT_STARTED: &str = "the audit chain has not been started";

/// Rows named in the log, each once.
const NAMED_MAX: usize = 1_000;

/// The key of a store's rows, once it is known, and what was refused since.
#[derive(Default)]
pub struct Rows {
    key: RwLock<Option<Arc<RowKey>>>,
    refused: AtomicU64,
    named: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows(refused {})", self.refused())
    }
}

impl Rows {
    /// From now on rows are written and read under this key.
    pub fn start(&self, key: RowKey) {
        *self.key.write() = Some(Arc::new(key));
    }

    /// The key.
    ///
    /// # Errors
    /// Before the audit chain was started.
    pub fn key(&self) -> Result<Arc<RowKey>, &'static str> {
        self.key.read().clone().ok_or(NOT_STARTED)
    }

    /// Rows refused since the store was opened.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A record as its document.
    ///
    /// # Errors
    /// In words: when it has no JSON form, or there is no key yet.
    pub fn encode<T: Document>(&self, record: &T) -> Result<String, String> {
        self.key()?
            .encode(record)
            .map_err(|error| error.to_string())
    }

    /// What a document says, once its code was found to fit the row.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn decode<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        text: &str,
    ) -> Result<T, ReadError> {
        let key = self
            .key()
            .map_err(|text| ReadError::Unavailable(text.to_owned()))?;
        if !key.fits(place, text) {
            return Err(self.refuse(place, "doc"));
        }
        serde_json::from_str(text).map_err(|_| ReadError::Undecodable {
            table: place.table,
            column: "doc",
            row: place.to_string(),
        })
    }

    /// Counts a row that is not what was written, and says so in the log, once.
    pub fn refuse(&self, place: &Place<'_>, column: &'static str) -> ReadError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let error = ReadError::Altered {
            table: place.table,
            column,
            row: place.to_string(),
        };
        let mut named = self.named.lock();
        if named.len() < NAMED_MAX && named.insert(format!("{}\0{place}", place.table)) {
            tracing::error!(%error, "a row was refused");
        }
        error
    }

    /// The row that was found by a column beside its key, if the document says the same.
    ///
    /// # Errors
    /// [`ReadError::Altered`]
    pub fn says<T: Document>(
        &self,
        found: T,
        column: &'static str,
        says: impl FnOnce(&T) -> bool,
    ) -> Result<T, ReadError> {
        match says(&found) {
            true => Ok(found),
            false => Err(self.refuse(&found.place(), column)),
        }
    }
}

/// A key of the keyring as its document, which has no code.
///
/// # Errors
/// None: it has a JSON form.
pub fn encode_key(record: &KeyRecord) -> Result<String, String> {
    serde_json::to_string(record).map_err(|error| error.to_string())
}

/// What such a document says.
///
/// # Errors
/// [`ReadError::Undecodable`]
pub fn decode_key(id: &str, text: &str) -> Result<KeyRecord, ReadError> {
    serde_json::from_str(text).map_err(|_| ReadError::Undecodable {
        table: "keyring",
        column: "doc",
        row: format!("keyring/{id}"),
    })
}
