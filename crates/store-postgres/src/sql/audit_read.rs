//! Audit queries over the chains of all nodes: segments newest first, lines sifted. One call looks
//! at a bounded number of rows and segments; when that is used up, the page says where to go on,
//! however short it is.

use scaivault_core::audit::{AuditFilter, StoredAuditRow};
use scaivault_core::ports::{AuditPage, AuditSummary};
use scaivault_core::time::Timestamp;
use scaivault_store::audit::{Sieve, filter_key, row_id};
use tokio_postgres::Row;

use super::row::{Read, count, get, int, limit, undecodable};
use crate::store::PostgresStore;

/// Rows one call looks at, at most; a segment counts as one more.
const LOOKS_MAX: u64 = 200_000;
/// Segments read at a time: few at first, as most questions are for the newest rows.
const SLICES: [usize; 3] = [4, 16, 64];

const TABLE: &str = "audit_segment";

/// Segments whose times can fit, below a place, newest first.
const SEGMENTS: &str = "SELECT chain, first_seq, place, body FROM audit_segment
    WHERE place < $1 AND last_at >= $2 AND first_at < $3 ORDER BY place DESC LIMIT $4";

/// As above, of those only that may hold a row of one key: from the index, and what is not in it
/// yet. Those whose times cannot fit come without their rows.
const INDEXED: &str = "SELECT s.chain, s.first_seq, s.place,
        CASE WHEN s.last_at >= $2 AND s.first_at < $3 THEN s.body END
    FROM (
        (SELECT k.place FROM audit_key k WHERE k.key_hash = $5 AND k.place < $1
         ORDER BY k.place DESC LIMIT $4)
        UNION
        (SELECT t.place FROM store_head h LEFT JOIN audit_indexed i ON i.chain = h.chain
         CROSS JOIN LATERAL (
             SELECT a.place FROM audit_segment a
             WHERE a.chain = h.chain AND a.first_seq > coalesce(i.upto, 0)) t
         WHERE t.place < $1 ORDER BY t.place DESC LIMIT $4)) p
    JOIN audit_segment s ON s.place = p.place ORDER BY s.place DESC LIMIT $4";

/// A page of rows below `below`.
pub(crate) async fn query(
    store: &PostgresStore,
    filter: &AuditFilter,
    below: Option<u64>,
    rows: usize,
) -> Read<AuditPage> {
    let mut page = AuditPage::default();
    let mut next = None;
    let mut take = |row: StoredAuditRow| {
        let full = page.rows.len() >= rows;
        if full {
            next = page.rows.last().map(|last| last.seq).or(Some(row.seq + 1));
        } else {
            page.rows.push(row);
        }
        !full
    };
    let rest = scan(store, filter, below, LOOKS_MAX, &mut take).await?;
    page.next = next.or(rest);
    Ok(page)
}

/// Counts over all rows.
pub(crate) async fn summary(store: &PostgresStore, filter: &AuditFilter) -> Read<AuditSummary> {
    let mut summary = AuditSummary::default();
    let mut count = |stored: StoredAuditRow| {
        let row = stored.row;
        let at = row.timestamp;
        summary.total += 1;
        summary.succeeded += u64::from(row.success);
        match summary.by_action.get_mut(row.action.as_str()) {
            Some(count) => *count += 1,
            None => drop(summary.by_action.insert(row.action.as_str().to_owned(), 1)),
        }
        *summary.by_identity.entry(row.identity_id).or_default() += 1;
        summary.first_at = Some(summary.first_at.map_or(at, |first| first.min(at)));
        summary.last_at = Some(summary.last_at.map_or(at, |last| last.max(at)));
        true
    };
    let mut below = None;
    loop {
        below = scan(store, filter, below, LOOKS_MAX, &mut count).await?;
        if below.is_none() {
            return Ok(summary);
        }
    }
}

/// Hands rows over, newest first, until `take` declines one or the looks are used up. Returns
/// where to go on below, when there may be more.
async fn scan(
    store: &PostgresStore,
    filter: &AuditFilter,
    below: Option<u64>,
    looks: u64,
    take: &mut (dyn FnMut(StoredAuditRow) -> bool + Send),
) -> Read<Option<u64>> {
    let from = filter.from.map_or(i64::MIN, Timestamp::as_micros);
    let to = filter.to.map_or(i64::MAX, Timestamp::as_micros);
    let mut scan = Scan {
        sieve: Sieve::new(filter),
        from: below.unwrap_or(u64::MAX),
        looks,
        take,
    };
    // Below the first place of the last segment seen.
    let mut at = int(below.unwrap_or(u64::MAX));
    let key = filter_key(filter);
    let sizes = SLICES.iter().chain(std::iter::repeat(&SLICES[2]));
    for size in sizes {
        let count = limit(*size);
        let rows = match &key {
            None => store.rows(SEGMENTS, &[&at, &from, &to, &count]).await?,
            Some(key) => store.rows(INDEXED, &[&at, &from, &to, &count, key]).await?,
        };
        for row in &rows {
            if scan.looks == 0 {
                return Ok(u64::try_from(at).ok());
            }
            if !scan.segment(row)? {
                return Ok(None);
            }
            at = get(row, 2)?;
        }
        if rows.len() < *size {
            break;
        }
    }
    Ok(None)
}

struct Scan<'a> {
    sieve: Sieve<'a>,
    /// Rows from here on are not asked for.
    from: u64,
    looks: u64,
    take: &'a mut (dyn FnMut(StoredAuditRow) -> bool + Send),
}

impl Scan<'_> {
    /// Looks at one segment's rows; `false` when one was declined.
    fn segment(&mut self, row: &Row) -> Read<bool> {
        let bad = || undecodable(TABLE, "body", row, 0);
        let (chain, body): (&str, Option<&[u8]>) = (get(row, 0)?, get(row, 3)?);
        let (first_seq, place) = (count(row, 1)?, count(row, 2)?);
        self.looks = self.looks.saturating_sub(1);
        let Some(body) = body else {
            return Ok(true);
        };
        let lines: Vec<&[u8]> = body
            .strip_suffix(b"\n")
            .unwrap_or(body)
            .split(|byte| *byte == b'\n')
            .collect();
        self.looks = self.looks.saturating_sub(lines.len() as u64);
        for (at, line) in lines.into_iter().enumerate().rev() {
            let seq = place + at as u64;
            if seq >= self.from {
                continue;
            }
            let Some(row) = self.sieve.row(line).map_err(|_| bad())? else {
                continue;
            };
            let stored = StoredAuditRow {
                id: row_id(chain, first_seq + at as u64),
                seq,
                row,
            };
            if !(self.take)(stored) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
