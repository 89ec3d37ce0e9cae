//! Feeds the verifier: segments in order, some at a time, each slice a read of its own. So a walk
//! over a long chain holds no snapshot open, and the write-ahead log can be cut meanwhile.
//!
//! The walk ends at the row that was the last when it began; what is written after is left for
//! the next one.

use rusqlite::Connection;
use scaivault_core::audit::AuditReport;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;

use super::audit_segment::{COLUMNS, first_after, foreign, segment};
use super::head::{self, Head};
use super::row::{Read, int, rows, unreadable};
use super::{audit_anchor, audit_past};
use crate::audit::{ChainHead, Hash, TakenSegment, Verifier, Walk, genesis, link};
use crate::chain_mac::ChainMac;

/// Segments read at a time.
const SLICE: i64 = 64;

/// Verifies the store's own chain and those that came with a copy. Without `mac`, hashes only. Of
/// several chains, the head told is a hash over their heads in the order of their names.
pub(crate) fn verify(conn: &Connection, mac: Option<&dyn ChainMac>) -> Read<AuditReport> {
    let Some(start) = start(conn)? else {
        return Err(ReadError::Undecodable {
            table: "store_head",
            column: "one",
            row: "1".to_owned(),
        });
    };
    let single = start.heads.len() == 1;
    let mut all: Hash = genesis("all chains");
    let mut whole = AuditReport {
        rows: 0,
        head: String::new(),
        first_bad: None,
        removed: Vec::new(),
    };
    for (head, beyond) in &start.heads {
        let report = chain(conn, head, *beyond, mac)?;
        whole.rows += report.rows;
        whole.removed.extend(report.removed);
        all = link(&all, report.head.as_bytes());
        whole.head = match single {
            true => report.head,
            false => all.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        whole.first_bad = whole.first_bad.or(report.first_bad);
    }
    if let Some((chain, seq)) = start.foreign.filter(|_| whole.first_bad.is_none()) {
        let mut verifier = Verifier::new(chain.clone(), None);
        let _ = verifier.refuse_foreign(&chain, seq);
        whole.first_bad = verifier.report().first_bad;
    }
    tracing::debug!(whole = whole.first_bad.is_none(), "audit chains verified");
    Ok(whole)
}

fn chain(
    conn: &Connection,
    head: &Head,
    beyond: Option<u64>,
    mac: Option<&dyn ChainMac>,
) -> Read<AuditReport> {
    loop {
        let anchor = audit_anchor::of(conn, &head.chain)?;
        let report = behind(conn, head, anchor.as_ref(), beyond, mac)?;
        // Rows may have been removed by retention while the walk was on its way to them.
        if report.first_bad.is_none() || audit_anchor::of(conn, &head.chain)? == anchor {
            return Ok(report);
        }
    }
}

fn behind(
    conn: &Connection,
    head: &Head,
    anchor: Option<&AuditAnchor>,
    beyond: Option<u64>,
    mac: Option<&dyn ChainMac>,
) -> Read<AuditReport> {
    let mut verifier = Verifier::new(head.chain.clone(), mac);
    let mut walk = anchor.map_or(Walk::Continue(()), |anchor| verifier.behind(anchor));
    if walk.is_continue() {
        walk = walk_to(conn, head, &mut verifier)?;
    }
    if walk.is_continue() {
        walk = verifier.end(head.first_seq, head.last_seq, &head.head, &head.mac);
    }
    // Rows the store does not know of, behind the chain's end.
    if walk.is_continue()
        && let Some(seq) = beyond
    {
        let _ = verifier.refuse(seq, "inserted");
    }
    Ok(verifier.report())
}

struct Start {
    /// By name, with what begins behind the end.
    heads: Vec<(Head, Option<u64>)>,
    /// A segment of a chain that is none of these.
    foreign: Option<(String, u64)>,
}

fn start(conn: &Connection) -> Read<Option<Start>> {
    let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
    let Some(own) = head::read(&snapshot)? else {
        return Ok(None);
    };
    let foreign = foreign(&snapshot, &own.chain)?;
    let mut all = audit_past::heads(&snapshot)?;
    all.push(own);
    all.sort_unstable_by(|a, b| a.chain.cmp(&b.chain));
    let mut heads = Vec::with_capacity(all.len());
    for head in all {
        let beyond = first_after(&snapshot, &head.chain, head.last_seq)?;
        heads.push((head, beyond));
    }
    snapshot.finish().map_err(unreadable)?;
    Ok(Some(Start { heads, foreign }))
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

/// The ends of all chains, by name.
pub(crate) fn heads(conn: &Connection) -> Read<Vec<ChainHead>> {
    let Some(start) = start(conn)? else {
        return Ok(Vec::new());
    };
    let taken = start.heads.into_iter().map(|(head, _)| ChainHead {
        chain: head.chain,
        last_seq: head.last_seq,
        head: head.head,
    });
    Ok(taken.collect())
}

/// A chain that has rows and no end.
pub(crate) fn stray(conn: &Connection) -> Read<Option<String>> {
    let start = start(conn)?;
    Ok(start
        .and_then(|start| start.foreign)
        .map(|(chain, _)| chain))
}

/// Segments of a chain that begin behind the row at `after`, some at a time.
pub(crate) fn taken(conn: &Connection, chain: &str, after: u64) -> Read<Vec<TakenSegment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_segment WHERE chain = ?1 AND first_seq > ?2
         ORDER BY first_seq LIMIT {SLICE}"
    );
    rows(conn, &sql, (chain, int(after)), |row| {
        let segment = segment(row)?;
        Ok(TakenSegment {
            first_seq: segment.first_seq,
            rows: segment.rows,
            first_at: segment.first_at,
            last_at: segment.last_at,
            prev: segment.prev.to_vec(),
            head: segment.head.to_vec(),
            mac: segment.mac.to_vec(),
            body: segment.body.to_vec(),
        })
    })
}
