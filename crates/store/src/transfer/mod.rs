//! Moving everything a store holds to another store, whichever engine each of them is.
//!
//! What is moved is what is stored: rows with their revisions and ids, sealed values, audit
//! segments with their hashes and codes. No key is needed. Both engines keep the same tables;
//! [`tables::TABLES`] names those that are moved and their columns, once for both, and each
//! engine translates it into its SQL.
//!
//! A copy makes the destination equal to one consistent view of the source, table by table, in
//! pages: rows that are equal are left alone, others are replaced, and what the source no longer
//! has is removed; audit segments are appended. So the first copy, going on after a kill and
//! catching up with what changed since are one and the same thing, and any of them may be repeated.
//! Until [`Destination::finish`] the destination carries a mark, and no server opens it.

mod check;
mod run;
mod tables;
mod trail;

use async_trait::async_trait;
use scaivault_core::audit_anchor::AuditAnchor;

pub use check::{Checked, check};
pub use run::{Copied, Progress, copy};
pub use tables::{Kind, TABLES, Table};
pub use trail::{ChainEnd, StoredSegment};

/// One stored value. Flags are 0 and 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Rows are of no interest to a log, and sealed values even less.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{} characters", text.len()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Value {
    /// Its text; empty for what is none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// Its number; 0 for what is none.
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            _ => 0,
        }
    }
}

/// One row: the values of a table's columns, in their order.
pub type Row = Vec<Value>;

/// Numbers of a store that belong to no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The mark in the outbox.
    pub fan_out: i64,
    /// The last outbox position given out.
    pub event_position: i64,
    /// When the store was restored from a backup and not resumed since, in microseconds; 0 if not.
    pub restored_at: i64,
    /// When it was resumed last, in microseconds; 0 if never.
    pub resumed_at: i64,
}

/// A transfer did not go on.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The text is for operators, free of values.
    #[error("the source cannot be read: {0}")]
    Source(String),
    /// The text is for operators, free of values.
    #[error("the destination cannot be used: {0}")]
    Destination(String),
    /// There is a vault in it.
    #[error("the destination already holds a vault: name a new file or an empty database")]
    NotEmpty,
    /// It holds the beginning of a copy of something else.
    #[error(
        "the destination holds an unfinished copy of another vault, or of another state of this \
         one ({0}): name a new file or an empty database"
    )]
    OtherVault(String),
    /// Rows of the source have no codes, as an earlier release leaves them.
    #[error(
        "rows of the source have no codes (the first is in {0}), and the destination takes none without: see 'A store \
         of an earlier release' in docs/security.md for when 'scaivault store sign-rows' gives them theirs"
    )]
    Unsigned(String),
    /// What was copied is not what is at the source.
    #[error("the copy differs from its source: {0}")]
    Differs(String),
}

/// Result of a transfer's parts.
pub type Moved<T> = Result<T, TransferError>;

/// How far a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is in it.
    Empty,
    /// A copy was begun, of the vault with this mark.
    Copying(i64),
    /// A vault is in it.
    Used,
}

/// What both sides can be asked.
#[async_trait]
pub trait Holdings: Send {
    /// Rows with keys behind `after` and up to `until`, in the order of keys, at most `limit`.
    async fn page(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        until: Option<&[Value]>,
        limit: usize,
    ) -> Moved<Vec<Row>>;
    /// The row of a key.
    async fn find(&mut self, table: &'static Table, key: &[Value]) -> Moved<Option<Row>>;
    /// How many rows.
    async fn count(&mut self, table: &'static Table) -> Moved<u64>;
    /// The store's numbers.
    async fn numbers(&mut self) -> Moved<Numbers>;
    /// The ends of all audit chains that have rows, by name.
    async fn chains(&mut self) -> Moved<Vec<ChainEnd>>;
    /// What remains of audit rows that were removed from the fronts of chains.
    async fn anchors(&mut self) -> Moved<Vec<AuditAnchor>>;
    /// Segments of a chain that begin behind row `after`, in order, at most `limit`.
    async fn segments(
        &mut self,
        chain: &str,
        after: i64,
        limit: usize,
    ) -> Moved<Vec<StoredSegment>>;
}

/// One consistent view of a store, which may go on serving.
#[async_trait]
pub trait Source: Holdings {
    /// Whether nothing was committed there since the view was taken, and nobody is seen who could.
    async fn stood_still(&mut self) -> Moved<bool>;
    /// Why it cannot be told whether anybody could, and what to do: then it never stands still.
    fn unseen(&self) -> Option<&str> {
        None
    }
}

/// A store that nobody else uses.
#[async_trait]
pub trait Destination: Holdings {
    /// How far it is.
    async fn standing(&mut self) -> Moved<Standing>;
    /// Sets the mark that keeps servers out, and says of what this is a copy. It is not 0.
    async fn begin(&mut self, of: i64) -> Moved<()>;
    /// In one commit: removes the rows with these keys, if they are there, and puts these rows in
    /// the place of all that have their keys or unique fields.
    async fn replace(&mut self, table: &'static Table, gone: Vec<Row>, rows: Vec<Row>)
    -> Moved<()>;
    /// In one commit: puts an anchor in the place of the rows before it.
    async fn put_anchor(&mut self, anchor: &AuditAnchor) -> Moved<()>;
    /// In one commit: appends segments to a chain and moves its end behind the last one.
    async fn append(&mut self, chain: &str, segments: Vec<StoredSegment>) -> Moved<()>;
    /// Sets the store's numbers.
    async fn set_numbers(&mut self, numbers: &Numbers) -> Moved<()>;
    /// Takes the mark away: servers may open it.
    async fn finish(&mut self) -> Moved<()>;
}
