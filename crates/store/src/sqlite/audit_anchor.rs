//! Anchors: what remains of audit rows that were removed from the front of a chain.

use rusqlite::{Connection, Row};
use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable, ExportedEnds};
use scaivault_core::ports::{ReadError, RecordKind};
use scaivault_core::time::Timestamp;

use super::audit_past::{self, AUDIT_PAST};
use super::head::{self, Head};
use super::row::{Read, int, rows, uint, undecodable, unreadable};
use super::{audit_segment, meta};
use crate::audit::{Candidate, Front, TakenSegment, exported_upto, prunable, row_id};
use crate::refusal::Refusal;

const TABLE: &str = "audit_anchor";
/// Segments that go in one commit, at most.
const SEGMENTS_MAX: i64 = 256;

/// All anchors, by chain.
pub(crate) fn list(conn: &Connection) -> Read<Vec<AuditAnchor>> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac, removed_at, code FROM audit_anchor
               ORDER BY chain";
    rows(conn, sql, [], anchor)
}

/// The anchor of a chain.
pub(crate) fn of(conn: &Connection, chain: &str) -> Read<Option<AuditAnchor>> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac, removed_at, code FROM audit_anchor
               WHERE chain = ?1";
    Ok(rows(conn, sql, [chain], anchor)?.pop())
}

fn anchor(row: &Row<'_>) -> Read<AuditAnchor> {
    let number = |at| row.get::<_, i64>(at).map_err(unreadable);
    let bytes = |at, column| row.get(at).map_err(|_| undecodable(TABLE, column, row, 0));
    Ok(AuditAnchor {
        chain: row.get(0).map_err(unreadable)?,
        first_seq: uint(number(1)?),
        last_seq: uint(number(2)?),
        head: bytes(3, "head")?,
        mac: bytes(4, "mac")?,
        removed_at: Timestamp::from_micros(number(5)?),
        code: bytes(6, "code")?,
    })
}

/// What may go: see the port.
pub(crate) fn find(
    conn: &Connection,
    before: Timestamp,
    exported: Option<&ExportedEnds>,
) -> Read<Option<AuditPrunable>> {
    // One state of the chains: their fronts may be moved meanwhile.
    let conn = conn.unchecked_transaction().map_err(unreadable)?;
    let (mut chains, mut broken) = (Vec::new(), None);
    for head in heads(&conn)? {
        let front = Front::of(&head.chain, of(&conn, &head.chain)?.as_ref());
        let upto = match exported {
            None => u64::MAX,
            Some(ends) => {
                let end = ends.get(&head.chain);
                let there = end.map(|end| around(&conn, &head.chain, end.last_seq));
                let there = there.transpose()?.flatten();
                let there = there.as_ref().map(|(last, head)| (*last, head.as_slice()));
                match exported_upto(&front, end, there) {
                    Ok(upto) => upto,
                    Err(seq) => {
                        broken = broken.or(Some(("head", row_id(&head.chain, seq))));
                        0
                    }
                }
            }
        };
        // Never the last segment: the end is checked by it.
        let upto = upto.min(head.first_seq.saturating_sub(1));
        let first = audit_segment::first_after(&conn, &head.chain, front.after)?;
        let first = first.filter(|first| *first <= upto);
        if let Some(at) = first
            .map(|first| last_at(&conn, &head.chain, first))
            .transpose()?
        {
            chains.push((at, front, upto));
        }
    }
    // The oldest front first; one that is broken keeps no other from its turn.
    chains.sort_by(|a, b| (a.0, &a.1.chain).cmp(&(b.0, &b.1.chain)));
    for (_, front, upto) in chains {
        match prunable(&front, &candidates(&conn, &front)?, before, upto) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(seq) => broken = broken.or(Some(("body", row_id(&front.chain, seq + 1)))),
        }
    }
    match broken {
        None => Ok(None),
        Some((column, row)) => Err(ReadError::Undecodable {
            table: "audit_segment",
            column,
            row,
        }),
    }
}

/// The last row, and the hash after it, of the segment that a row is in, or of the last one before.
fn around(conn: &Connection, chain: &str, seq: u64) -> Read<Option<(u64, Vec<u8>)>> {
    let sql = "SELECT first_seq + rows - 1, head FROM audit_segment
               WHERE chain = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1";
    let mut found = rows(conn, sql, (chain, int(seq)), |row| {
        let last = uint(row.get(0).map_err(unreadable)?);
        Ok((last, row.get(1).map_err(unreadable)?))
    })?;
    Ok(found.pop())
}

fn heads(conn: &Connection) -> Read<Vec<Head>> {
    let mut heads = audit_past::heads(conn)?;
    heads.extend(head::read(conn)?);
    Ok(heads)
}

fn last_at(conn: &Connection, chain: &str, first_seq: u64) -> Read<i64> {
    let sql = "SELECT last_at FROM audit_segment WHERE chain = ?1 AND first_seq = ?2";
    Ok(super::row::number(conn, sql, (chain, int(first_seq)))?.unwrap_or(i64::MAX))
}

fn candidates(conn: &Connection, front: &Front) -> Read<Vec<Candidate>> {
    let past = int(meta::read(conn, AUDIT_PAST)?);
    let sql = "SELECT chain, first_seq, rows, first_at, last_at, prev, head, mac, links, body,
                      coalesce(place, first_seq + ?3)
               FROM audit_segment WHERE chain = ?1 AND first_seq > ?2
               ORDER BY first_seq LIMIT ?4";
    let params = (&front.chain, int(front.after), past, SEGMENTS_MAX);
    rows(conn, sql, params, |row| {
        let segment = audit_segment::segment(row)?;
        Ok(Candidate {
            place: row.get(10).map_err(unreadable)?,
            segment: TakenSegment {
                first_seq: segment.first_seq,
                rows: segment.rows,
                first_at: segment.first_at,
                last_at: segment.last_at,
                prev: segment.prev.to_vec(),
                head: segment.head.to_vec(),
                mac: segment.mac.to_vec(),
                body: segment.body.to_vec(),
            },
        })
    })
}

/// Removes rows up to the new anchor.
pub(crate) fn prune(
    conn: &Connection,
    anchor: &AuditAnchor,
    after: u64,
    index: &[(i64, i64)],
) -> Result<(), Refusal> {
    let moved = match after {
        0 => insert(conn, anchor)?,
        _ => conn
            .prepare_cached(
                "UPDATE audit_anchor SET first_seq = ?2, last_seq = ?3, head = ?4, mac = ?5,
                        removed_at = ?6, code = ?7
                 WHERE chain = ?1 AND last_seq = ?8",
            )?
            .execute((
                &anchor.chain,
                int(anchor.first_seq),
                int(anchor.last_seq),
                &anchor.head[..],
                &anchor.mac[..],
                anchor.removed_at.as_micros(),
                &anchor.code[..],
                int(after),
            ))?,
    };
    if moved != 1 {
        return Err(Refusal::Conflict(RecordKind::AuditAnchor));
    }
    cut(conn, anchor)?;
    let mut remove =
        conn.prepare_cached("DELETE FROM audit_key WHERE key_hash = ?1 AND first_seq = ?2")?;
    for entry in index {
        remove.execute(*entry)?;
    }
    Ok(())
}

fn insert(conn: &Connection, anchor: &AuditAnchor) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO audit_anchor (chain, first_seq, last_seq, head, mac, removed_at, code)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?
    .execute((
        &anchor.chain,
        int(anchor.first_seq),
        int(anchor.last_seq),
        &anchor.head[..],
        &anchor.mac[..],
        anchor.removed_at.as_micros(),
        &anchor.code[..],
    ))
}

fn cut(conn: &Connection, anchor: &AuditAnchor) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM audit_segment WHERE chain = ?1 AND first_seq <= ?2")?
        .execute((&anchor.chain, int(anchor.last_seq)))?;
    Ok(())
}

/// Puts an anchor that came with a copy, in the place of the rows before it. To be called inside a
/// transaction.
pub(crate) fn take(conn: &Connection, anchor: &AuditAnchor) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM audit_anchor WHERE chain = ?1", [&anchor.chain])?;
    conn.execute(
        "DELETE FROM audit_key WHERE first_seq IN (
             SELECT place FROM audit_segment
             WHERE chain = ?1 AND first_seq <= ?2 AND place IS NOT NULL)",
        (&anchor.chain, int(anchor.last_seq)),
    )?;
    insert(conn, anchor)?;
    cut(conn, anchor)
}
