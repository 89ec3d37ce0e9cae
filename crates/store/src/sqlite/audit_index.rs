//! The audit index: which segments hold rows of a secret or an identity. It is derived and may lag:
//! queries read the segments behind its end themselves.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::audit_past::AUDIT_PAST;
use super::meta;
use super::row::{int, uint};
use super::transfer::number;
use crate::audit::row_keys;
use crate::refusal::Refusal;

/// Indexes further segments, up to about `rows_max` rows; returns the row the index now reaches.
pub(crate) fn extend(conn: &Connection, chain: &str, rows_max: u64) -> Result<u64, Refusal> {
    let mut upto = meta::read(conn, meta::AUDIT_INDEXED)?;
    // By the place in the trail, which begins behind what was copied in.
    let past = number(conn, AUDIT_PAST)?;
    let mut statement = conn.prepare_cached(
        "SELECT first_seq, rows, body FROM audit_segment
         WHERE chain = ?1 AND first_seq > ?2 ORDER BY first_seq",
    )?;
    let mut found = statement.query((chain, int(upto)))?;
    // In the order of the index: neighbours are written to the same page.
    let mut keys = BTreeSet::new();
    let mut rows = 0;
    while rows < rows_max
        && let Some(row) = found.next()?
    {
        let first_seq: i64 = row.get(0)?;
        let count = uint(row.get(1)?);
        let body = row.get_ref(2)?.as_bytes().unwrap_or_default();
        for line in body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            keys.extend(row_keys(line).map(|key| (key, first_seq + past)));
        }
        upto = uint(first_seq) + count.saturating_sub(1);
        rows += count;
    }
    drop(found);
    let mut insert = conn
        .prepare_cached("INSERT OR IGNORE INTO audit_key (key_hash, first_seq) VALUES (?1, ?2)")?;
    for key in keys {
        insert.execute(key)?;
    }
    meta::write(conn, meta::AUDIT_INDEXED, upto)?;
    Ok(upto)
}
