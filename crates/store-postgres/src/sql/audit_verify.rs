//! Feeds the verifier: the chains of all nodes one after another, each with its segments in order,
//! some at a time. A chain's walk ends at the row that was its last when the walk began; what is
//! written after is left for the next one.

use std::sync::Arc;

use scaivault_core::audit::AuditReport;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;
use scaivault_store::ChainMac;
use scaivault_store::audit::{
    ChainHead, Hash, Segment, TakenSegment, Verifier, Walk, genesis, link,
};
use tokio_postgres::Row;

use super::audit_anchor;
use super::head::{COLUMNS, Head, from_row};
use super::row::{Read, count, get, int};
use crate::pool::Pool;

/// Segments read at a time.
const SLICE: usize = 64;

const SEGMENTS: &str = "SELECT first_seq, rows, first_at, last_at, prev, head, mac, links, body
    FROM audit_segment WHERE chain = $1 AND first_seq > $2 AND first_seq <= $3
    ORDER BY first_seq LIMIT 64";

/// Verifies all chains. Without `mac`, hashes only. Of several chains, the head told is a hash
/// over their heads in the order of their names.
pub(crate) async fn verify(pool: &Arc<Pool>, mac: Option<&dyn ChainMac>) -> Read<AuditReport> {
    let heads = heads(pool).await?;
    let single = heads.len() == 1;
    let mut all: Hash = genesis("all chains");
    let mut whole = AuditReport {
        rows: 0,
        head: String::new(),
        first_bad: None,
        removed: Vec::new(),
    };
    for head in &heads {
        let report = chain(pool, head, mac).await?;
        whole.rows += report.rows;
        whole.removed.extend(report.removed);
        all = link(&all, report.head.as_bytes());
        whole.head = match single {
            true => report.head,
            false => all.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        whole.first_bad = whole.first_bad.or(report.first_bad);
    }
    if whole.first_bad.is_none() {
        whole.first_bad = foreign(pool).await?;
    }
    tracing::debug!(whole = whole.first_bad.is_none(), "audit chains verified");
    Ok(whole)
}

async fn heads(pool: &Arc<Pool>) -> Read<Vec<Head>> {
    let sql = format!("SELECT {COLUMNS} FROM store_head ORDER BY chain");
    let rows = pool.query(&sql, &[]).await?;
    if rows.is_empty() {
        return Err(ReadError::Undecodable {
            table: "store_head",
            column: "chain",
            row: "all".to_owned(),
        });
    }
    rows.iter().map(from_row).collect()
}

async fn chain(pool: &Arc<Pool>, head: &Head, mac: Option<&dyn ChainMac>) -> Read<AuditReport> {
    loop {
        let anchor = audit_anchor::of(pool, &head.chain).await?;
        let report = behind(pool, head, anchor.as_ref(), mac).await?;
        // Rows may have been removed by retention while the walk was on its way to them.
        if report.first_bad.is_none() || audit_anchor::of(pool, &head.chain).await? == anchor {
            return Ok(report);
        }
    }
}

async fn behind(
    pool: &Arc<Pool>,
    head: &Head,
    anchor: Option<&AuditAnchor>,
    mac: Option<&dyn ChainMac>,
) -> Read<AuditReport> {
    let mut verifier = Verifier::new(head.chain.clone(), mac);
    let mut walk = anchor.map_or(Walk::Continue(()), |anchor| verifier.behind(anchor));
    if walk.is_continue() {
        walk = walk_to(pool, head, &mut verifier).await?;
    }
    if walk.is_continue() {
        walk = verifier.end(head.first_seq, head.last_seq, &head.head, &head.mac);
    }
    if walk.is_continue()
        && let Some(seq) = beyond(pool, head).await?
    {
        let _ = verifier.refuse(seq, "inserted");
    }
    Ok(verifier.report())
}

/// A row the store does not know of: behind the end of its chain as it is now. The end is read in
/// the same statement, so that what was written meanwhile is not taken for it.
async fn beyond(pool: &Arc<Pool>, head: &Head) -> Read<Option<u64>> {
    let sql = "SELECT min(s.first_seq) FROM audit_segment s
               JOIN store_head h ON h.chain = s.chain
               WHERE s.chain = $1 AND s.first_seq > h.last_seq";
    let rows = pool.query(sql, &[&head.chain]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(get::<Option<i64>>(row, 0)?.and_then(|seq| u64::try_from(seq).ok()))
}

/// A segment of a chain that is no node's.
async fn foreign(pool: &Arc<Pool>) -> Read<Option<scaivault_core::audit::BadRow>> {
    let Some((chain, seq)) = without_end(pool).await? else {
        return Ok(None);
    };
    let mut verifier = Verifier::new(chain.clone(), None);
    let _ = verifier.refuse_foreign(&chain, seq);
    Ok(verifier.report().first_bad)
}

/// A chain that has rows and no end.
pub(crate) async fn stray(pool: &Arc<Pool>) -> Read<Option<String>> {
    Ok(without_end(pool).await?.map(|(chain, _)| chain))
}

async fn without_end(pool: &Arc<Pool>) -> Read<Option<(String, u64)>> {
    let sql = "SELECT s.chain, s.first_seq FROM audit_segment s
               WHERE NOT EXISTS (SELECT 1 FROM store_head h WHERE h.chain = s.chain)
               ORDER BY s.chain, s.first_seq LIMIT 1";
    let rows = pool.query(sql, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some((get(row, 0)?, count(row, 1)?)))
}

async fn walk_to(pool: &Arc<Pool>, head: &Head, verifier: &mut Verifier<'_>) -> Read<Walk> {
    // From the first row of the last segment seen, not from its last row: a segment that begins
    // inside another must be seen, too.
    let mut seen = i64::MIN;
    loop {
        let rows = pool
            .query(SEGMENTS, &[&head.chain, &seen, &int(head.last_seq)])
            .await?;
        for row in &rows {
            seen = get(row, 0)?;
            let walk = verifier.segment(&segment(row)?);
            if walk.is_break() {
                return Ok(walk);
            }
        }
        if rows.len() < SLICE {
            return Ok(Walk::Continue(()));
        }
    }
}

fn segment(row: &Row) -> Read<Segment<'_>> {
    Ok(Segment {
        first_seq: count(row, 0)?,
        rows: count(row, 1)?,
        first_at: get(row, 2)?,
        last_at: get(row, 3)?,
        prev: get(row, 4)?,
        head: get(row, 5)?,
        mac: get(row, 6)?,
        links: get(row, 7)?,
        body: get(row, 8)?,
    })
}

/// The ends of all chains, by name.
pub(crate) async fn ends(pool: &Arc<Pool>) -> Read<Vec<ChainHead>> {
    let taken = heads(pool).await?.into_iter().map(|head| ChainHead {
        chain: head.chain,
        last_seq: head.last_seq,
        head: head.head,
    });
    Ok(taken.collect())
}

/// Segments of a chain that begin behind the row at `after`, some at a time.
pub(crate) async fn taken(pool: &Arc<Pool>, chain: &str, after: u64) -> Read<Vec<TakenSegment>> {
    let rows = pool
        .query(SEGMENTS, &[&chain, &int(after), &i64::MAX])
        .await?;
    let taken = rows.iter().map(|row| {
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
    });
    taken.collect()
}
