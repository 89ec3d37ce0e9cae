//! What every aggregate does alike: numbers, documents, and the revision check of a write.

use rusqlite::{Connection, ErrorCode, Params, Row};
use scaivault_core::ports::{ReadError, RecordKind};
use scaivault_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::conn::Conn;
use crate::refusal::Refusal;
use crate::rows::{Claimed, Document, Place};

pub(crate) type Read<T> = Result<T, ReadError>;

/// Above every character of a path: the end of a range of paths.
pub(crate) const PATHS_END: &str = "~";

/// As SQLite stores it. Numbers here count things and never come near the limit.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As it was stored.
pub(crate) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A limit of a query.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The engine failed on a read. Its texts name tables and columns, never what is in them.
pub(crate) fn unreadable(error: rusqlite::Error) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

/// Decodes the document of a row selected as `tenant, key, doc, …` from column `first` on, once its
/// code was found to fit. Of a record that is claimed the columns `revision, claimed_until, due`
/// follow, and are put over the document.
pub(crate) fn decode<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    row: &Row<'_>,
    first: usize,
) -> Read<T> {
    let bad = || undecodable(table, "doc", row, first);
    let text = |at| row.get_ref(at).ok().and_then(|value| value.as_str().ok());
    let (Some(space), Some(key)) = (text(first), text(first + 1)) else {
        return Err(bad());
    };
    let text = text(first + 2).ok_or_else(bad)?;
    let mut made: T = conn.rows.decode(&Place::new(table, space, key), text)?;
    if T::CLAIMED {
        let number = |at| row.get::<_, Option<i64>>(first + at).map_err(unreadable);
        made.claimed(Claimed {
            revision: uint(number(3)?.unwrap_or(0)),
            until: number(4)?.map(Timestamp::from_micros),
            wake_at: number(5)?.map(Timestamp::from_micros),
        });
    }
    Ok(made)
}

/// A record as its document.
pub(crate) fn encode<T: Document>(conn: &Conn, record: &T) -> Result<String, Refusal> {
    conn.rows.encode(record).map_err(Refusal::Failed)
}

/// What is no document, as JSON: an argument of a query.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::Failed(error.to_string()))
}

/// Names the row whose key is in the columns from `first` on.
pub(crate) fn undecodable(
    table: &'static str,
    column: &'static str,
    row: &Row<'_>,
    first: usize,
) -> ReadError {
    let key = |at| match row.get_ref(at) {
        Ok(rusqlite::types::ValueRef::Integer(number)) => number.to_string(),
        Ok(value) => value.as_str().unwrap_or("?").to_owned(),
        Err(_) => "?".to_owned(),
    };
    ReadError::Undecodable {
        table,
        column,
        row: format!("{}/{}", key(first), key(first + 1)),
    }
}

/// Every row of a query, each made by `make`.
pub(crate) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut make: impl FnMut(&Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(unreadable)?;
    let mut found = statement.query(params).map_err(unreadable)?;
    let mut out = Vec::new();
    while let Some(row) = found.next().map_err(unreadable)? {
        out.push(make(row)?);
    }
    Ok(out)
}

/// Every document of a query that selects `tenant, key, doc`.
pub(crate) fn docs<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    sql: &str,
    params: impl Params,
) -> Read<Vec<T>> {
    rows(conn, sql, params, |row| decode(conn, table, row, 0))
}

/// The first documents of a queue: of a query without a limit that selects `tenant, key, doc` in the
/// order of an index, as many as are asked for. One whose row is refused is passed over, and takes
/// nobody's place: it must not stand before the work of all others.
pub(crate) fn readable_docs<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    sql: &str,
    params: impl Params,
    most: usize,
) -> Read<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(unreadable)?;
    let mut found = statement.query(params).map_err(unreadable)?;
    let mut out = Vec::new();
    while out.len() < most {
        let Some(row) = found.next().map_err(unreadable)? else {
            break;
        };
        match decode(conn, table, row, 0) {
            Ok(made) => out.push(made),
            // What was changed is in the log once, by its key.
            Err(ReadError::Altered { .. }) => {}
            Err(error @ ReadError::Undecodable { .. }) => {
                tracing::error!(%error, "due work passed over");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// The one document of a query that selects `tenant, key, doc`, if there is one.
pub(crate) fn doc<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    sql: &str,
    params: impl Params,
) -> Read<Option<T>> {
    Ok(docs(conn, table, sql, params)?.pop())
}

/// One number.
pub(crate) fn number(conn: &Connection, sql: &str, params: impl Params) -> Read<Option<i64>> {
    Ok(
        rows(conn, sql, params, |row| row.get(0).map_err(unreadable))?
            .pop()
            .flatten(),
    )
}

/// What writing one row came to.
pub(crate) enum Written {
    Yes,
    /// The revision did not fit.
    Stale,
    /// A unique index refused.
    Taken,
}

/// Writes a row: `insert` for revision 1, `update` (which checks the stored revision in its
/// `WHERE`) for all others.
pub(crate) fn write(
    conn: &Connection,
    revision: u64,
    insert: &str,
    update: &str,
    params: impl Params,
) -> Result<Written, Refusal> {
    let sql = if revision == 1 { insert } else { update };
    match conn.prepare_cached(sql)?.execute(params) {
        Ok(1) => Ok(Written::Yes),
        Ok(_) => Ok(Written::Stale),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(Written::Taken)
        }
        Err(error) => Err(error.into()),
    }
}

impl Written {
    /// For tables whose key alone is unique.
    pub(crate) fn or_conflict(self, kind: RecordKind) -> Result<(), Refusal> {
        match self {
            Self::Yes => Ok(()),
            Self::Stale | Self::Taken => Err(Refusal::Conflict(kind)),
        }
    }

    /// For tables with another unique field: a new row whose key is there already is a conflict,
    /// any other clash is one of that field. `exists` selects the row by key.
    pub(crate) fn or_duplicate(
        self,
        conn: &Connection,
        kind: RecordKind,
        field: &'static str,
        revision: u64,
        exists: &str,
        key: impl Params,
    ) -> Result<(), Refusal> {
        match self {
            Self::Yes => Ok(()),
            Self::Taken if revision != 1 || !conn.prepare_cached(exists)?.exists(key)? => {
                Err(Refusal::Duplicate(kind, field))
            }
            Self::Stale | Self::Taken => Err(Refusal::Conflict(kind)),
        }
    }
}

/// Deletes the one row that `sql` (with the revision in its `WHERE`) names.
pub(crate) fn delete_one(
    conn: &Connection,
    kind: RecordKind,
    sql: &str,
    params: impl Params,
) -> Result<(), Refusal> {
    match conn.prepare_cached(sql)?.execute(params)? {
        1 => Ok(()),
        _ => Err(Refusal::Conflict(kind)),
    }
}
