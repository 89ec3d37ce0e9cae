//! Feeds the verifier: segments in order, some at a time, each slice a read of its own. So a walk
//! over a long chain holds no snapshot open, and the write-ahead log can be cut meanwhile.
//!
//! The walk ends at the row that was the last when it began; what is written after is left for
//! the next one.

use rusqlite::Connection;
use scaivault_core::audit::AuditReport;
use scaivault_core::ports::ReadError;

use super::audit_segment::{COLUMNS, first_after, foreign, segment};
use super::head::{self, Head};
use super::row::{Read, int, unreadable};
use crate::audit::{Verifier, Walk};
use crate::chain_mac::ChainMac;

/// Segments read at a time.
const SLICE: i64 = 64;

/// Verifies the whole chain. Without `mac`, hashes only.
pub(crate) fn verify(conn: &Connection, mac: Option<&dyn ChainMac>) -> Read<AuditReport> {
    let Some(start) = start(conn)? else {
        return Err(ReadError::Undecodable {
            table: "store_head",
            column: "one",
            row: "1".to_owned(),
        });
    };
    let head = &start.head;
    let mut verifier = Verifier::new(head.chain.clone(), mac);
    let mut walk = walk_to(conn, head, &mut verifier)?;
    if walk.is_continue() {
        walk = verifier.end(head.first_seq, head.last_seq, &head.head, &head.mac);
    }
    if walk.is_continue() {
        // Rows the store does not know of: behind its end, or in a chain that is not its own.
        if let Some(seq) = start.beyond {
            walk = verifier.refuse(seq, "inserted");
        } else if let Some((chain, seq)) = start.foreign {
            walk = verifier.refuse_foreign(&chain, seq);
        }
    }
    tracing::debug!(whole = walk.is_continue(), "audit chain verified");
    Ok(verifier.report())
}

struct Start {
    head: Head,
    beyond: Option<u64>,
    foreign: Option<(String, u64)>,
}

fn start(conn: &Connection) -> Read<Option<Start>> {
    let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
    let Some(head) = head::read(&snapshot)? else {
        return Ok(None);
    };
    let beyond = first_after(&snapshot, &head.chain, head.last_seq)?;
    let foreign = foreign(&snapshot, &head.chain)?;
    snapshot.finish().map_err(unreadable)?;
    Ok(Some(Start {
        head,
        beyond,
        foreign,
    }))
}

fn walk_to(conn: &Connection, head: &Head, verifier: &mut Verifier<'_>) -> Read<Walk> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_segment
         WHERE chain = ?1 AND first_seq > ?2 AND first_seq <= ?3 ORDER BY first_seq LIMIT {SLICE}"
    );
    // From the first row of the last segment seen, not from its last row: a segment that begins
    // inside another must be seen, too.
    let mut seen = i64::MIN;
    loop {
        let mut statement = conn.prepare_cached(&sql).map_err(unreadable)?;
        let mut found = statement
            .query((&head.chain, seen, int(head.last_seq)))
            .map_err(unreadable)?;
        let before = seen;
        while let Some(row) = found.next().map_err(unreadable)? {
            seen = row.get(1).map_err(unreadable)?;
            let walk = verifier.segment(&segment(row)?);
            if walk.is_break() {
                return Ok(walk);
            }
        }
        if seen == before {
            return Ok(Walk::Continue(()));
        }
    }
}
