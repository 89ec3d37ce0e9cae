//! A look into a store's file without being its server: for verifying the audit chain by hand. It
//! takes no lock and writes nothing; the server may run meanwhile.

use std::path::Path;

use rusqlite::Connection;
use scaivault_core::audit::AuditReport;
use scaivault_core::ports::ReadError;
use scaivault_core::seal::KeyRecord;

use crate::chain_mac::ChainMac;
use crate::files::beside;
use crate::options::OpenError;
use crate::sqlite::{audit_verify, connect, keyring, migrate};

/// A store opened read-only. Its calls block.
pub struct OfflineStore(Connection);

impl OfflineStore {
    /// Opens a store's file, also one on a read-only medium.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] when it needs a migration first.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::metadata(path).map_err(|error| OpenError::File(path.to_owned(), error))?;
        let looked = connect::reader(path).and_then(|conn| {
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(conn)
        });
        let known = migrate::known();
        let conn = match looked {
            // Power was lost while the file was made, and nothing is in it yet.
            Err(error) if connect::needs_rollback(&error) => {
                return Err(OpenError::Older { found: 0, known });
            }
            // No log, and no way to make its index: nobody has the store open, read it as it is.
            Err(error) if cannot_open(&error) && !beside(path, "-wal").exists() => {
                connect::immutable(path)
            }
            looked => looked,
        };
        let conn = conn.map_err(|error| OpenError::engine(path, error))?;
        let found = migrate::check(&conn, path)?;
        if found < known {
            return Err(OpenError::Older { found, known });
        }
        Ok(Self(conn))
    }

    /// The keyring's wrapped keys, by id.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn keys(&self) -> Result<Vec<KeyRecord>, ReadError> {
        keyring::list(&self.0)
    }

    /// Walks the whole audit chain. Without `mac` hashes are checked, codes are not: then someone
    /// who rewrote the whole chain goes unnoticed.
    ///
    /// # Errors
    /// [`ReadError`]; a chain that does not hold is a report, not an error.
    pub fn audit_verify(&self, mac: Option<&dyn ChainMac>) -> Result<AuditReport, ReadError> {
        audit_verify::verify(&self.0, mac)
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}
