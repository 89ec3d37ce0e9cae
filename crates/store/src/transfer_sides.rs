//! Both sides of a copy on SQLite: a view of a file that may be another process's, and a file that
//! is nobody's yet.

use std::fs::File;
use std::path::Path;

use async_trait::async_trait;
use rusqlite::Connection;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::Entropy;

use crate::audit::mint_chain;
use crate::files;
use crate::offline::OfflineStore;
use crate::options::OpenError;
use crate::refusal::Refusal;
use crate::sqlite::connect::{self, Durability};
use crate::sqlite::{audit_anchor, audit_past, head, migrate, transfer};
use crate::transfer::{
    ChainEnd, Destination, Holdings, Moved, Numbers, Row, Source, Standing, StoredSegment, Table,
    TransferError, Value,
};

/// A view of a store's file as it is now; the server may go on beside it. While it is open, the
/// write-ahead log keeps what was written since.
pub struct SqliteSource {
    conn: Connection,
    batch: u64,
    /// Held when no server has the store open: none can open it meanwhile.
    _lock: Option<File>,
    is_served: bool,
    /// Why it cannot be told whether one has.
    unseen: Option<String>,
    path: std::path::PathBuf,
}

/// A store's file that a copy is made into.
pub struct SqliteDestination {
    conn: Connection,
    /// It holds a vault, and is left as it is.
    is_used: bool,
    _lock: File,
}

fn source(error: impl std::fmt::Display) -> TransferError {
    TransferError::Source(error.to_string())
}

fn destination(error: impl std::fmt::Display) -> TransferError {
    TransferError::Destination(error.to_string())
}

impl SqliteSource {
    /// Takes a view.
    ///
    /// # Errors
    /// [`OpenError`], also when the file holds an unfinished copy.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let conn = OfflineStore::open(path)?.into_connection();
        let lock = match files::lock(path) {
            Ok(lock) => Ok(Some(lock)),
            Err(OpenError::Locked(_)) => Ok(None),
            // It lies where nothing can be written: by whoever runs this. A server may well.
            Err(_) => files::lock_to_read(path),
        };
        let unseen = lock.as_ref().err().map(|error| {
            format!(
                "whether a server has {} open cannot be told, for its lock file {} cannot be locked \
                 ({error}): run this where that can be read; if no server will ever open this file \
                 again, copy it to where its lock file can be made, and copy from there",
                path.display(),
                files::beside(path, ".lock").display(),
            )
        });
        let lock = lock.unwrap_or(None);
        let is_served = lock.is_none();
        conn.execute_batch("BEGIN").map_err(OpenError::Engine)?;
        if transfer::number(&conn, transfer::COPYING).map_err(OpenError::Engine)? != 0 {
            return Err(OpenError::Unfinished);
        }
        let batch = batch(&conn).map_err(|error| OpenError::Damaged(error.to_string()))?;
        Ok(Self {
            conn,
            batch,
            is_served,
            unseen,
            _lock: lock,
            path: path.to_owned(),
        })
    }

    /// Takes a view for looking at it alone: a server may go on, or begin.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn look(path: &Path) -> Result<Self, OpenError> {
        let conn = OfflineStore::open(path)?.into_connection();
        conn.execute_batch("BEGIN").map_err(OpenError::Engine)?;
        let batch = batch(&conn).map_err(|error| OpenError::Damaged(error.to_string()))?;
        Ok(Self {
            conn,
            batch,
            is_served: true,
            unseen: None,
            _lock: None,
            path: path.to_owned(),
        })
    }

    /// Whether no server has the store open; none can open it while this is there.
    pub fn is_alone(&self) -> bool {
        !self.is_served
    }
}

fn batch(conn: &Connection) -> Result<u64, scaivault_core::ports::ReadError> {
    Ok(head::read(conn)?.map_or(0, |head| head.batch))
}

/// Whether there is a vault in it, of whichever revision.
fn is_used(conn: &Connection) -> rusqlite::Result<bool> {
    if transfer::number(conn, transfer::COPYING)? != 0 {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM keyring) OR EXISTS (SELECT 1 FROM audit_segment)";
    conn.query_row(sql, [], |row| row.get(0))
}

impl SqliteDestination {
    /// Opens a file, and makes it when it is not there. One that holds a vault is not touched.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        let lock = files::lock(path)?;
        if files::bytes(path) > 0 {
            let conn = connect::reader(path).map_err(|error| OpenError::engine(path, error))?;
            let found = migrate::check(&conn, path)?;
            // Before anything is done to it: it may have been named by mistake.
            if found > 0 && is_used(&conn).map_err(OpenError::Engine)? {
                return Ok(Self {
                    conn,
                    is_used: true,
                    _lock: lock,
                });
            }
        }
        files::make_private(path)?;
        let opened = connect::writer(path, Durability::Full, None);
        let (conn, _) = opened.map_err(|error| OpenError::engine(path, error))?;
        migrate::migrate(&conn, path)?;
        let damaged =
            |error: scaivault_core::ports::ReadError| OpenError::Damaged(error.to_string());
        if head::read(&conn).map_err(damaged)?.is_none() {
            head::create(&conn, &mint_chain(entropy)).map_err(OpenError::Engine)?;
        }
        Ok(Self {
            conn,
            is_used: false,
            _lock: lock,
        })
    }

    fn commit(&mut self, work: impl FnOnce(&Connection) -> Result<(), Refusal>) -> Moved<()> {
        let changes = self.conn.transaction().map_err(destination)?;
        work(&changes).map_err(|refusal| destination(refusal.into_commit_error()))?;
        changes.commit().map_err(destination)?;
        // The log is brought in as it grows: nobody else does here.
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        self.conn
            .query_row(sql, [], |_| Ok(()))
            .map_err(destination)
    }
}

macro_rules! holdings {
    ($side:ident, $failed:ident) => {
        #[async_trait]
        impl Holdings for $side {
            async fn page(
                &mut self,
                table: &'static Table,
                after: Option<&[Value]>,
                until: Option<&[Value]>,
                limit: usize,
            ) -> Moved<Vec<Row>> {
                transfer::page(&self.conn, table, after, until, limit).map_err($failed)
            }

            async fn find(&mut self, table: &'static Table, key: &[Value]) -> Moved<Option<Row>> {
                transfer::find(&self.conn, table, key).map_err($failed)
            }

            async fn count(&mut self, table: &'static Table) -> Moved<u64> {
                let count = transfer::count(&self.conn, table).map_err($failed)?;
                Ok(u64::try_from(count).unwrap_or(0))
            }

            async fn numbers(&mut self) -> Moved<Numbers> {
                transfer::numbers(&self.conn).map_err($failed)
            }

            async fn chains(&mut self) -> Moved<Vec<ChainEnd>> {
                audit_past::all_ends(&self.conn).map_err($failed)
            }

            async fn anchors(&mut self) -> Moved<Vec<AuditAnchor>> {
                audit_anchor::list(&self.conn).map_err($failed)
            }

            async fn segments(
                &mut self,
                chain: &str,
                after: i64,
                limit: usize,
            ) -> Moved<Vec<StoredSegment>> {
                audit_past::segments(&self.conn, chain, after, limit).map_err($failed)
            }
        }
    };
}

holdings!(SqliteSource, source);
holdings!(SqliteDestination, destination);

#[async_trait]
impl Source for SqliteSource {
    async fn stood_still(&mut self) -> Moved<bool> {
        // A server that has done nothing yet may at any time.
        if self.is_served {
            return Ok(false);
        }
        let now = connect::reader(&self.path).map_err(source)?;
        Ok(batch(&now).map_err(source)? == self.batch)
    }

    fn unseen(&self) -> Option<&str> {
        self.unseen.as_deref()
    }
}

#[async_trait]
impl Destination for SqliteDestination {
    async fn standing(&mut self) -> Moved<Standing> {
        if self.is_used {
            return Ok(Standing::Used);
        }
        let copying = transfer::number(&self.conn, transfer::COPYING).map_err(destination)?;
        if copying != 0 {
            return Ok(Standing::Copying(copying));
        }
        let keys = transfer::count(&self.conn, Table::named("keyring")).map_err(destination)?;
        let chains = audit_past::all_ends(&self.conn).map_err(destination)?;
        Ok(match keys == 0 && chains.is_empty() {
            true => Standing::Empty,
            false => Standing::Used,
        })
    }

    async fn begin(&mut self, of: i64) -> Moved<()> {
        self.commit(|conn| Ok(transfer::set_number(conn, transfer::COPYING, of)?))
    }

    async fn replace(
        &mut self,
        table: &'static Table,
        gone: Vec<Row>,
        rows: Vec<Row>,
    ) -> Moved<()> {
        self.commit(|conn| transfer::replace(conn, table, &gone, &rows))
    }

    async fn put_anchor(&mut self, anchor: &AuditAnchor) -> Moved<()> {
        self.commit(|conn| Ok(audit_anchor::take(conn, anchor)?))
    }

    async fn append(&mut self, chain: &str, segments: Vec<StoredSegment>) -> Moved<()> {
        self.commit(|conn| Ok(audit_past::append(conn, chain, &segments)?))
    }

    async fn set_numbers(&mut self, numbers: &Numbers) -> Moved<()> {
        self.commit(|conn| Ok(transfer::set_numbers(conn, numbers)?))
    }

    async fn finish(&mut self) -> Moved<()> {
        self.commit(|conn| {
            conn.execute("DELETE FROM meta WHERE name = ?1", [transfer::COPYING])?;
            Ok(())
        })
    }
}
