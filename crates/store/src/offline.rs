//! A look into a store's file without being its server: for verifying the audit chain by hand. It
//! takes no lock and writes nothing; the server may run meanwhile.

use std::path::Path;

use rusqlite::Connection;
use scaivault_core::audit::AuditReport;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;
use scaivault_core::seal::KeyRecord;

use crate::audit::{ChainHead, TakenSegment};
use crate::chain_mac::ChainMac;
use crate::files::beside;
use crate::options::OpenError;
use crate::sqlite::{audit_anchor, audit_verify, connect, keyring, migrate};

/// A store opened read-only. Its calls block.
pub struct OfflineStore(Connection);

impl OfflineStore {
    /// Opens a store's file, also one on a read-only medium.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] when it needs a migration first.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (conn, found) = look(path)?;
        let known = migrate::known();
        if found < known {
            return Err(OpenError::Older { found, known });
        }
        Ok(Self(conn))
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.0
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

    /// The ends of its chains, by name.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn audit_heads(&self) -> Result<Vec<ChainHead>, ReadError> {
        audit_verify::heads(&self.0)
    }

    /// The name of a chain that has rows and no end, if there is one.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn audit_stray(&self) -> Result<Option<String>, ReadError> {
        audit_verify::stray(&self.0)
    }

    /// What remains of rows that retention removed, by chain.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn audit_anchors(&self) -> Result<Vec<AuditAnchor>, ReadError> {
        audit_anchor::list(&self.0)
    }

    /// The next segments of a chain behind the row at `after`; none at its end.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn audit_segments(&self, chain: &str, after: u64) -> Result<Vec<TakenSegment>, ReadError> {
        audit_verify::taken(&self.0, chain, after)
    }
}

/// Every column of a store's tables, as `table.column`: for the test that all of them are moved by
/// a copy.
///
/// # Errors
/// [`OpenError`]
#[doc(hidden)]
pub fn schema_columns(path: &Path) -> Result<Vec<String>, OpenError> {
    let conn = OfflineStore::open(path)?.into_connection();
    let sql = "SELECT t.name || '.' || c.name FROM sqlite_schema t
               JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
    let mut statement = conn.prepare(sql).map_err(OpenError::Engine)?;
    let columns = statement.query_map([], |row| row.get(0));
    columns
        .and_then(Iterator::collect)
        .map_err(OpenError::Engine)
}

/// Opens a store's file for looking at it, with its schema's revision, which may be an older one.
pub(crate) fn look(path: &Path) -> Result<(Connection, i64), OpenError> {
    std::fs::metadata(path).map_err(|error| OpenError::File(path.to_owned(), error))?;
    let looked = connect::reader(path).and_then(|conn| {
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(conn)
    });
    let conn = match looked {
        // Power was lost while the file was made, and nothing is in it yet.
        Err(error) if connect::needs_rollback(&error) => {
            let known = migrate::known();
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
    Ok((conn, found))
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}
