//! Anchors: what remains of audit rows that were removed from the front of a chain. Any node removes
//! from any chain; the anchor before tells those apart that race.

use std::sync::Arc;

use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable, ExportedEnd, ExportedEnds};
use scaivault_core::ports::{ReadError, RecordKind};
use scaivault_core::time::Timestamp;
use scaivault_store::audit::{Candidate, Front, TakenSegment, exported_upto, prunable, row_id};
use tokio_postgres::Row;

use super::row::{Read, count, get, int, undecodable};
use crate::pool::Pool;
use crate::step::{Expect, Step, step};

const TABLE: &str = "audit_anchor";

const ALL: &str = "SELECT chain, first_seq, last_seq, head, mac, removed_at, code
    FROM audit_anchor WHERE $1::text IS NULL OR chain = $1 ORDER BY chain";

/// Chains that have more than their last segment, with the end of the first one that is there.
const FRONTS: &str = "SELECT h.chain, h.first_seq, f.last_at FROM store_head h
    CROSS JOIN LATERAL (
        SELECT s.first_seq, s.last_at FROM audit_segment s
        WHERE s.chain = h.chain ORDER BY s.first_seq LIMIT 1) f
    WHERE f.first_seq < h.first_seq AND f.last_at < $1 ORDER BY f.last_at, h.chain";

/// Segments that go in one commit, at most.
const CANDIDATES: &str = "SELECT place, first_seq, rows, first_at, last_at, prev, head, mac, body
    FROM audit_segment WHERE chain = $1 AND first_seq > $2 ORDER BY first_seq LIMIT 256";

/// All anchors, by chain; or that of one.
pub(crate) async fn list(pool: &Arc<Pool>, chain: Option<&str>) -> Read<Vec<AuditAnchor>> {
    let rows = pool.query(ALL, &[&chain]).await?;
    rows.iter().map(anchor).collect()
}

/// The anchor of a chain.
pub(crate) async fn of(pool: &Arc<Pool>, chain: &str) -> Read<Option<AuditAnchor>> {
    Ok(list(pool, Some(chain)).await?.pop())
}

fn anchor(row: &Row) -> Read<AuditAnchor> {
    let bytes = |at, column| {
        let bytes: &[u8] = get(row, at)?;
        let fixed = bytes.try_into();
        fixed.map_err(|_| undecodable(TABLE, column, row, 0))
    };
    Ok(AuditAnchor {
        chain: get(row, 0)?,
        first_seq: count(row, 1)?,
        last_seq: count(row, 2)?,
        head: bytes(3, "head")?,
        mac: bytes(4, "mac")?,
        removed_at: Timestamp::from_micros(get(row, 5)?),
        code: bytes(6, "code")?,
    })
}

/// What may go: see the port.
pub(crate) async fn find(
    pool: &Arc<Pool>,
    before: Timestamp,
    exported: Option<&ExportedEnds>,
) -> Read<Option<AuditPrunable>> {
    // The oldest front first; one that is broken keeps no other from its turn.
    let mut broken = None;
    for row in &pool.query(FRONTS, &[&before.as_micros()]).await? {
        let (chain, last): (&str, u64) = (get(row, 0)?, count(row, 1)?);
        let anchor = of(pool, chain).await?;
        let front = Front::of(chain, anchor.as_ref());
        let upto = match exported {
            None => u64::MAX,
            Some(ends) => match exported_there(pool, &front, ends.get(chain)).await? {
                Ok(upto) => upto,
                // Another node was quicker.
                Err(_) if of(pool, chain).await? != anchor => 0,
                Err(seq) => {
                    broken = broken.or(Some(("head", row_id(chain, seq))));
                    0
                }
            },
        };
        // Never the last segment: the end is checked by it.
        let upto = upto.min(last.saturating_sub(1));
        let segments = candidates(pool, &front).await?;
        match prunable(&front, &segments, before, upto) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            // Another node was quicker.
            Err(_) if of(pool, chain).await? != anchor => {}
            Err(seq) => broken = broken.or(Some(("body", row_id(chain, seq + 1)))),
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

/// Up to which row an export has a chain, by the segment in which the export ends.
async fn exported_there(
    pool: &Arc<Pool>,
    front: &Front,
    end: Option<&ExportedEnd>,
) -> Read<Result<u64, u64>> {
    let sql = "SELECT first_seq + rows - 1, head FROM audit_segment
               WHERE chain = $1 AND first_seq <= $2 ORDER BY first_seq DESC LIMIT 1";
    let seq = int(end.map_or(0, |end| end.last_seq));
    let found = pool.query(sql, &[&front.chain, &seq]).await?;
    let there = match found.first() {
        Some(row) => Some((count(row, 0)?, get::<&[u8]>(row, 1)?)),
        None => None,
    };
    Ok(exported_upto(front, end, there))
}

async fn candidates(pool: &Arc<Pool>, front: &Front) -> Read<Vec<Candidate>> {
    let rows = pool
        .query(CANDIDATES, &[&front.chain, &int(front.after)])
        .await?;
    let candidates = rows.iter().map(|row| {
        Ok(Candidate {
            place: get(row, 0)?,
            segment: TakenSegment {
                first_seq: count(row, 1)?,
                rows: count(row, 2)?,
                first_at: get(row, 3)?,
                last_at: get(row, 4)?,
                prev: get(row, 5)?,
                head: get(row, 6)?,
                mac: get(row, 7)?,
                body: get(row, 8)?,
            },
        })
    });
    candidates.collect()
}

/// Removes rows up to the new anchor.
pub(crate) fn prune(anchor: &AuditAnchor, after: u64, index: &[(i64, i64)]) -> Vec<Step> {
    let sql = match after {
        0 => {
            "INSERT INTO audit_anchor (chain, first_seq, last_seq, head, mac, removed_at, code)
             SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $8::bigint = 0 ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE audit_anchor SET first_seq = $2, last_seq = $3, head = $4, mac = $5,
                    removed_at = $6, code = $7
             WHERE chain = $1 AND last_seq = $8"
        }
    };
    let (keys, places): (Vec<i64>, Vec<i64>) = index.iter().copied().unzip();
    vec![
        step!(
            Expect::One(RecordKind::AuditAnchor),
            sql,
            anchor.chain.clone(),
            int(anchor.first_seq),
            int(anchor.last_seq),
            anchor.head.to_vec(),
            anchor.mac.to_vec(),
            anchor.removed_at.as_micros(),
            anchor.code.to_vec(),
            int(after),
        ),
        step!(
            Expect::Any,
            "DELETE FROM audit_segment WHERE chain = $1 AND first_seq <= $2",
            anchor.chain.clone(),
            int(anchor.last_seq),
        ),
        step!(
            Expect::Any,
            "DELETE FROM audit_key k USING unnest($1::bigint[], $2::bigint[]) AS r (key_hash, place)
             WHERE k.key_hash = r.key_hash AND k.place = r.place",
            keys,
            places,
        ),
    ]
}
