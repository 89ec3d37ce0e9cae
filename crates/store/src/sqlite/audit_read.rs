//! Audit queries: segments newest first, lines sifted. One call looks at a bounded number of rows
//! and segments; when that is used up, the page says where to go on, however short it is.

use rusqlite::{Connection, Row};
use scaivault_core::audit::{AuditFilter, StoredAuditRow};
use scaivault_core::ports::{AuditPage, AuditSummary};

use super::audit_past::AUDIT_PAST;
use super::row::{Read, int, uint, undecodable, unreadable};
use super::{head, meta};
use crate::audit::{Sieve, filter_key, row_id};

/// Rows one call looks at, at most; a segment passed over by its times counts as one.
const LOOKS_MAX: u64 = 200_000;
/// Segments read at a time by a summary.
const SLICE_LOOKS: u64 = 50_000;

const TABLE: &str = "audit_segment";

/// A segment of the store's own chain; `?3` is the place its chain begins behind.
const OWN: &str = "s.chain, s.first_seq, s.first_seq + ?3, s.first_at, s.last_at, s.body";
/// A segment that came with a copy.
const PAST: &str = "s.chain, s.first_seq, s.place, s.first_at, s.last_at, s.body";

/// A page of rows below `below`.
pub(crate) fn query(
    conn: &Connection,
    filter: &AuditFilter,
    below: Option<u64>,
    limit: usize,
) -> Read<AuditPage> {
    let mut page = AuditPage::default();
    let mut next = None;
    let mut take = |row: StoredAuditRow| {
        let full = page.rows.len() >= limit;
        if full {
            next = page.rows.last().map(|last| last.seq).or(Some(row.seq + 1));
        } else {
            page.rows.push(row);
        }
        !full
    };
    let rest = scan(conn, filter, below, LOOKS_MAX, &mut take)?;
    page.next = next.or(rest);
    Ok(page)
}

/// Counts over all rows, in slices: no snapshot is held for long.
pub(crate) fn summary(conn: &Connection, filter: &AuditFilter) -> Read<AuditSummary> {
    let mut summary = AuditSummary::default();
    let mut count = |stored: StoredAuditRow| {
        let row = stored.row;
        summary.total += 1;
        summary.succeeded += u64::from(row.success);
        match summary.by_action.get_mut(row.action.as_str()) {
            Some(count) => *count += 1,
            None => drop(summary.by_action.insert(row.action.as_str().to_owned(), 1)),
        }
        *summary.by_identity.entry(row.identity_id).or_default() += 1;
        summary.first_at = Some(
            summary
                .first_at
                .map_or(row.timestamp, |at| at.min(row.timestamp)),
        );
        summary.last_at = Some(
            summary
                .last_at
                .map_or(row.timestamp, |at| at.max(row.timestamp)),
        );
        true
    };
    let mut below = None;
    loop {
        below = scan(conn, filter, below, SLICE_LOOKS, &mut count)?;
        if below.is_none() {
            return Ok(summary);
        }
    }
}

/// Hands rows over, newest first, until `take` declines one or the looks are used up. Returns
/// where to go on below, when there may be more.
fn scan(
    conn: &Connection,
    filter: &AuditFilter,
    below: Option<u64>,
    looks: u64,
    take: &mut dyn FnMut(StoredAuditRow) -> bool,
) -> Read<Option<u64>> {
    let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
    let Some(head) = head::read(&snapshot)? else {
        return Ok(None);
    };
    let key = filter_key(filter);
    let indexed = meta::read(&snapshot, meta::AUDIT_INDEXED)?;
    let past = meta::read(&snapshot, AUDIT_PAST)?;
    let below = below.unwrap_or(u64::MAX);
    let mut scan = Scan {
        sieve: Sieve::new(filter),
        below,
        looks,
        take,
    };
    // Places of the own chain are those in the chain, behind all that was copied in.
    let (below, past) = (int(below), int(past));
    let tail_from = if key.is_some() { int(indexed) } else { 0 };
    let tail = format!(
        "SELECT {OWN} FROM audit_segment s
         WHERE s.chain = ?1 AND s.first_seq < ?2 - ?3 AND s.first_seq > ?4
         ORDER BY s.first_seq DESC"
    );
    let mut rest = scan.walk(&snapshot, &tail, (&head.chain, below, past, tail_from))?;
    match key {
        Some(key) => {
            let found = format!(
                "SELECT {OWN} FROM audit_key k
                 CROSS JOIN audit_segment s ON s.chain = ?1 AND s.first_seq = k.first_seq - ?3
                 WHERE k.key_hash = ?5 AND k.first_seq < ?2 AND k.first_seq > ?3
                   AND k.first_seq <= ?3 + ?4
                 ORDER BY k.first_seq DESC"
            );
            if rest == Rest::None {
                let params = (&head.chain, below, past, int(indexed), key);
                rest = scan.walk(&snapshot, &found, params)?;
            }
            let found = format!(
                "SELECT {PAST} FROM audit_key k
                 CROSS JOIN audit_segment s ON s.place = k.first_seq
                 WHERE k.key_hash = ?3 AND k.first_seq < ?1 AND k.first_seq <= ?2
                 ORDER BY k.first_seq DESC"
            );
            if rest == Rest::None && past > 0 {
                rest = scan.walk(&snapshot, &found, (below, past, key))?;
            }
        }
        None if rest == Rest::None && past > 0 => {
            let found = format!(
                "SELECT {PAST} FROM audit_segment s
                 WHERE s.place IS NOT NULL AND s.place < ?1 ORDER BY s.place DESC"
            );
            rest = scan.walk(&snapshot, &found, [below])?;
        }
        None => {}
    }
    snapshot.finish().map_err(unreadable)?;
    Ok(match rest {
        Rest::None | Rest::Declined => None,
        Rest::Below(seq) => Some(seq),
    })
}

struct Scan<'a> {
    sieve: Sieve<'a>,
    below: u64,
    looks: u64,
    take: &'a mut dyn FnMut(StoredAuditRow) -> bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// All of them were looked at.
    None,
    /// Enough rows were found.
    Declined,
    /// The looks are used up; everything from here on was looked at.
    Below(u64),
}

impl Scan<'_> {
    fn walk(&mut self, conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Read<Rest> {
        let mut statement = conn.prepare_cached(sql).map_err(unreadable)?;
        let mut found = statement.query(params).map_err(unreadable)?;
        while let Some(row) = found.next().map_err(unreadable)? {
            let first_seq = uint(row.get(1).map_err(unreadable)?);
            let place = uint(row.get(2).map_err(unreadable)?);
            if self.looks == 0 {
                return Ok(Rest::Below(self.below));
            }
            if !self.segment(row, first_seq, place)? {
                return Ok(Rest::Declined);
            }
            self.below = place;
        }
        Ok(Rest::None)
    }

    /// Looks at one segment's rows; `false` when one was declined.
    fn segment(&mut self, row: &Row<'_>, first_seq: u64, place: u64) -> Read<bool> {
        let time = |at| row.get::<_, i64>(at).map_err(unreadable);
        self.looks -= 1;
        if !self.sieve.times(time(3)?, time(4)?) {
            return Ok(true);
        }
        let bad = || undecodable(TABLE, "body", row, 0);
        let chain: String = row.get(0).map_err(unreadable)?;
        let body = row
            .get_ref(5)
            .map_err(unreadable)?
            .as_bytes()
            .map_err(|_| bad())?;
        let lines: Vec<&[u8]> = body
            .strip_suffix(b"\n")
            .unwrap_or(body)
            .split(|byte| *byte == b'\n')
            .collect();
        self.looks = self.looks.saturating_sub(lines.len() as u64);
        for (at, line) in lines.into_iter().enumerate().rev() {
            let seq = place + at as u64;
            if seq >= self.below {
                continue;
            }
            let Some(row) = self.sieve.row(line).map_err(|_| bad())? else {
                continue;
            };
            let stored = StoredAuditRow {
                id: row_id(&chain, first_seq + at as u64),
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

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
