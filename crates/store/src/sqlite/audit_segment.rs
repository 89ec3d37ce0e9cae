//! The segments of the audit chain, written one per transaction.

use rusqlite::{Connection, Row};

use super::row::{Read, int, rows, uint, undecodable, unreadable};
use crate::audit::{Hash, Segment, SegmentBuilder};

const TABLE: &str = "audit_segment";

/// The columns [`segment`] reads, in its order.
pub(crate) const COLUMNS: &str =
    "chain, first_seq, rows, first_at, last_at, prev, head, mac, links, body";

pub(crate) fn insert(
    conn: &Connection,
    chain: &str,
    segment: &SegmentBuilder,
    mac: &Hash,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO audit_segment (chain, first_seq, rows, first_at, last_at, prev, head, mac,
                                    links, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        chain,
        int(segment.first_seq),
        int(segment.rows),
        segment.first_at,
        segment.last_at,
        &segment.prev[..],
        &segment.head[..],
        &mac[..],
        &segment.links,
        &segment.body,
    ))?;
    Ok(())
}

/// A row selected as [`COLUMNS`], borrowed.
pub(crate) fn segment<'a>(row: &'a Row<'_>) -> Read<Segment<'a>> {
    let number = |at| row.get::<_, i64>(at).map_err(unreadable);
    let blob = |at, column| {
        let value = row.get_ref(at).map_err(unreadable)?;
        value
            .as_bytes()
            .map_err(|_| undecodable(TABLE, column, row, 0))
    };
    Ok(Segment {
        first_seq: uint(number(1)?),
        rows: uint(number(2)?),
        first_at: number(3)?,
        last_at: number(4)?,
        prev: blob(5, "prev")?,
        head: blob(6, "head")?,
        mac: blob(7, "mac")?,
        links: blob(8, "links")?,
        body: blob(9, "body")?,
    })
}

/// The hash the segment that begins at `first_seq` ends with, and the place of its last row.
pub(crate) fn end(conn: &Connection, chain: &str, first_seq: u64) -> Read<Option<(Vec<u8>, u64)>> {
    let sql = "SELECT head, first_seq + rows - 1 FROM audit_segment
               WHERE chain = ?1 AND first_seq = ?2";
    let mut found = rows(conn, sql, (chain, int(first_seq)), |row| {
        let last = row.get(1).map_err(unreadable)?;
        Ok((row.get(0).map_err(unreadable)?, uint(last)))
    })?;
    Ok(found.pop())
}

/// Where the first segment behind row `seq` begins.
pub(crate) fn first_after(conn: &Connection, chain: &str, seq: u64) -> Read<Option<u64>> {
    let sql = "SELECT min(first_seq) FROM audit_segment WHERE chain = ?1 AND first_seq > ?2";
    Ok(super::row::number(conn, sql, (chain, int(seq)))?.map(uint))
}

/// A segment of a chain that is neither this nor one that came with a copy, if there is one: its
/// chain's name and first row. The chains that are there are stepped through, not their segments.
pub(crate) fn foreign(conn: &Connection, chain: &str) -> Read<Option<(String, u64)>> {
    let make = |row: &Row<'_>| {
        let first = row.get(1).map_err(unreadable)?;
        Ok((row.get(0).map_err(unreadable)?, uint(first)))
    };
    let known: Vec<String> = super::audit_past::heads(conn)?
        .into_iter()
        .map(|head| head.chain)
        .collect();
    let mut side = "chain >= ?1";
    let mut after = String::new();
    loop {
        let sql = format!(
            "SELECT chain, first_seq FROM audit_segment WHERE {side}
             ORDER BY chain, first_seq LIMIT 1"
        );
        let Some(found) = rows(conn, &sql, [&after], make)?.pop() else {
            return Ok(None);
        };
        if found.0 != chain && !known.contains(&found.0) {
            return Ok(Some(found));
        }
        (side, after) = ("chain > ?1", found.0);
    }
}
