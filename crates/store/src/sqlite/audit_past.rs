//! Audit chains that came with a copy, and this store's own chain beside them.
//!
//! A row's place in the trail is stored for the former. Rows of the store's own chain come behind
//! all of them: their place is the one in the chain plus the number [`AUDIT_PAST`] of `meta`, which
//! is 0 in a store that nothing was copied into.

use rusqlite::{Connection, Row};

use super::head::{self, Head};
use super::row::{Read, rows, uint, unreadable};
use super::transfer::{number, set_number};
use crate::audit::row_keys;
use crate::transfer::{ChainEnd, StoredSegment};

/// The place of the last row that came with a copy.
pub(crate) const AUDIT_PAST: &str = "audit_past";

/// Ends of chains that came with a copy, by name.
pub(crate) fn ends(conn: &Connection) -> rusqlite::Result<Vec<ChainEnd>> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac FROM audit_past ORDER BY chain";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([], |row| {
        Ok(ChainEnd {
            chain: row.get(0)?,
            first_seq: row.get(1)?,
            last_seq: row.get(2)?,
            head: row.get(3)?,
            mac: row.get(4)?,
        })
    })?;
    found.collect()
}

/// The same as head rows, for the verifier.
pub(crate) fn heads(conn: &Connection) -> Read<Vec<Head>> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac FROM audit_past ORDER BY chain";
    rows(conn, sql, [], |row: &Row<'_>| {
        let bad = |column| super::row::undecodable("audit_past", column, row, 0);
        Ok(Head {
            chain: row.get(0).map_err(unreadable)?,
            batch: 0,
            first_seq: uint(row.get(1).map_err(unreadable)?),
            last_seq: uint(row.get(2).map_err(unreadable)?),
            head: row.get(3).map_err(|_| bad("head"))?,
            mac: row.get(4).map_err(|_| bad("mac"))?,
        })
    })
}

/// Ends of all chains that have rows, by name.
pub(crate) fn all_ends(conn: &Connection) -> Read<Vec<ChainEnd>> {
    let mut ends = ends(conn).map_err(unreadable)?;
    let int = super::row::int;
    if let Some(own) = head::read(conn)?.filter(|own| own.last_seq > 0) {
        ends.push(ChainEnd {
            chain: own.chain,
            first_seq: int(own.first_seq),
            last_seq: int(own.last_seq),
            head: own.head.to_vec(),
            mac: own.mac.to_vec(),
        });
        ends.sort_unstable_by(|a, b| a.chain.cmp(&b.chain));
    }
    Ok(ends)
}

/// Segments of a chain that begin behind row `after`, with their places.
pub(crate) fn segments(
    conn: &Connection,
    chain: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredSegment>> {
    let past = number(conn, AUDIT_PAST)?;
    let mut statement = conn.prepare_cached(
        "SELECT first_seq, coalesce(place, first_seq + ?3), rows, first_at, last_at, prev, head,
                mac, links, body
         FROM audit_segment WHERE chain = ?1 AND first_seq > ?2 ORDER BY first_seq LIMIT ?4",
    )?;
    let limit = super::row::limit(limit);
    let found = statement.query_map((chain, after, past, limit), |row| {
        Ok(StoredSegment {
            first_seq: row.get(0)?,
            place: row.get(1)?,
            rows: row.get(2)?,
            first_at: row.get(3)?,
            last_at: row.get(4)?,
            prev: row.get(5)?,
            head: row.get(6)?,
            mac: row.get(7)?,
            links: row.get(8)?,
            body: row.get(9)?,
        })
    })?;
    found.collect()
}

/// Appends segments to a chain that came with a copy. To be called inside a transaction.
pub(crate) fn append(
    conn: &Connection,
    chain: &str,
    segments: &[StoredSegment],
) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO audit_segment (chain, first_seq, rows, first_at, last_at, prev, head, mac,
                                    links, body, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let mut index = conn
        .prepare_cached("INSERT OR IGNORE INTO audit_key (key_hash, first_seq) VALUES (?1, ?2)")?;
    let mut past = number(conn, AUDIT_PAST)?;
    for segment in segments {
        insert.execute(rusqlite::params![
            chain,
            segment.first_seq,
            segment.rows,
            segment.first_at,
            segment.last_at,
            segment.prev,
            segment.head,
            segment.mac,
            segment.links,
            segment.body,
            segment.place,
        ])?;
        let lines = segment.body.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            for key in row_keys(line) {
                index.execute((key, segment.place))?;
            }
        }
        past = past.max(segment.place + segment.rows - 1);
    }
    let Some(last) = segments.last() else {
        return Ok(());
    };
    set_number(conn, AUDIT_PAST, past)?;
    conn.execute(
        "INSERT INTO audit_past (chain, first_seq, last_seq, head, mac) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (chain) DO UPDATE SET first_seq = excluded.first_seq,
            last_seq = excluded.last_seq, head = excluded.head, mac = excluded.mac",
        (
            chain,
            last.first_seq,
            last.last_seq(),
            &last.head,
            &last.mac,
        ),
    )?;
    Ok(())
}
