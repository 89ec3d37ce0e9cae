//! How a store is opened, and why it may refuse to.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlitePath {
    /// This file; created, readable by its owner alone, when it does not exist.
    File(PathBuf),
    /// A private place that goes away with the store. Nothing is synced there: for tests and for
    /// trying the server out.
    Temporary,
}

/// Options of [`crate::SqliteStore::open`].
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where.
    pub path: SqlitePath,
    /// The database file's largest size in bytes; past it writes are refused until something is
    /// deleted. `None`: as far as the disk reaches. The write-ahead log beside it is not counted.
    pub max_bytes: Option<u64>,
    /// Units that may wait for the writer; further ones are refused at once.
    pub queue_max: usize,
    /// How long a unit may take, waiting included, before its caller is answered without it.
    pub commit_timeout: Duration,
    /// Threads for quick reads. As many as there are processors serve best.
    pub readers: usize,
    /// Pages (of 4 KiB) the write-ahead log has when it is first brought into the database file.
    /// Past four times as many the log begins anew and is cut back to that, once nobody reads.
    pub checkpoint_pages: u32,
}

impl SqliteOptions {
    /// The defaults, for this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: SqlitePath::File(path.into()),
            max_bytes: None,
            queue_max: 8_192,
            commit_timeout: Duration::from_secs(5),
            readers: std::thread::available_parallelism()
                .map_or(2, |count| count.get().clamp(2, 8)),
            checkpoint_pages: 4_096,
        }
    }

    /// The defaults, in a private temporary place.
    pub fn temporary() -> Self {
        Self {
            path: SqlitePath::Temporary,
            readers: 1,
            ..Self::file("")
        }
    }
}

/// The store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another store of this one) writes to it.
    #[error("another scaivault process has this store open ({0})")]
    Locked(PathBuf),
    /// A file of the store cannot be created, opened or locked.
    #[error("cannot open {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// Made by a newer program.
    #[error(
        "the store has schema revision {found}, this program knows {known}: run the newer program"
    )]
    Newer {
        /// Of the file.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// Another program's database.
    #[error("{0} is a database, but not one of scaivault")]
    Foreign(PathBuf),
    /// It has never been opened for writing, or a migration is due, and it is opened read-only.
    #[error("the store has schema revision {found}, {known} is needed: start the server once")]
    Older {
        /// Of the file.
        found: i64,
        /// The one needed.
        known: i64,
    },
    /// A copy into it was begun and not finished.
    #[error("a copy into this store has not been finished: run 'scaivault store copy' again")]
    Unfinished,
    /// The database engine refused.
    #[error("the database does not open")]
    Engine(#[source] rusqlite::Error),
    /// What it says of itself does not decode.
    #[error("the store's own records do not decode: {0}")]
    Damaged(String),
}

impl OpenError {
    /// The engine refused to open this file.
    pub(crate) fn engine(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::Foreign(path.to_owned()),
            _ => Self::Engine(error),
        }
    }
}

/// The audit chain did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditStartError {
    /// The end of the chain is not authenticated by this key: altered, or another key.
    #[error("the end of the audit chain is not authenticated by this key: altered, or another key")]
    Mac,
    /// The last rows are gone, or there are more than the store knows of.
    #[error("the audit chain does not end where the store says it does: rows were cut or added")]
    End,
    /// Rows have no codes, as an earlier release leaves them, and no operator said that they are to
    /// be given theirs.
    #[error(
        "rows of the store have no codes (the first: {0}). If no release that writes codes has opened \
         it yet, stop its servers and run 'scaivault store sign-rows' once. If one has, somebody took \
         the codes away: do not sign, see 'A store of an earlier release' in docs/security.md"
    )]
    Unsigned(String),
    /// Rows are to be given their codes, and the trail is not what was written.
    #[error(
        "the audit trail is broken at row {0}: rows are given no codes. Find out with 'scaivault audit \
         verify' what was done to the store, or put back a backup"
    )]
    Broken(String),
    /// The store cannot say now.
    #[error("the audit chain cannot be read: {0}")]
    Unavailable(String),
}
