//! What may go from the front of a chain, for every engine.

use std::collections::BTreeSet;

use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable, ExportedEnd};
use scaivault_core::time::Timestamp;

use super::chain::{Hash, genesis};
use super::keys::row_keys;
use super::line::row_id;
use super::taken::TakenSegment;

/// Rows that go in one commit, about.
const ROWS_MAX: u64 = 10_000;
/// Bytes of them, about.
const BYTES_MAX: usize = 4 << 20;

/// Where the rows of a chain begin that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// The chain's name.
    pub chain: String,
    /// The last row that is gone; 0 for none.
    pub after: u64,
    /// The hash after it.
    pub prev: Hash,
    /// The anchor that says both, unproved.
    pub anchor: Option<AuditAnchor>,
}

impl Front {
    /// Of a chain with or without an anchor.
    pub fn of(chain: &str, anchor: Option<&AuditAnchor>) -> Self {
        Self {
            chain: chain.to_owned(),
            after: anchor.map_or(0, |anchor| anchor.last_seq),
            prev: anchor.map_or_else(|| genesis(chain), |anchor| anchor.head),
            anchor: anchor.cloned(),
        }
    }
}

/// A segment, with its place in the trail of all chains.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its place.
    pub place: i64,
    /// The segment.
    pub segment: TakenSegment,
}

/// Up to which row an export has a chain. `there` is the last row, and the hash after it, of the segment
/// in which the export ends.
///
/// # Errors
/// The row the export ends at, where the chain does not go through it with the same hash: the store was
/// put back and numbers other rows alike, or the export is of another past.
pub fn exported_upto(
    front: &Front,
    end: Option<&ExportedEnd>,
    there: Option<(u64, &[u8])>,
) -> Result<u64, u64> {
    let Some(end) = end else { return Ok(0) };
    let Some(head) = end.head.filter(|_| end.last_seq >= front.after) else {
        // Nothing is asked for, or all of it has gone already.
        return Ok(end.last_seq);
    };
    let fits = match end.last_seq == front.after {
        true => front.prev == head,
        false => there == Some((end.last_seq, &head)),
    };
    match fits || end.last_seq == 0 {
        true => Ok(end.last_seq),
        false => {
            let (chain, row) = (&front.chain, end.last_seq);
            tracing::error!(
                chain,
                row,
                "the audit chain is not the one that was exported"
            );
            Err(end.last_seq)
        }
    }
}

/// Of segments from the front on, in their order, those that go in one commit: older than `before`,
/// up to the row `upto`, and each whole behind the one before. `Err` is the row behind which the
/// chain is not: what does not fit stays, for the verifier to be found. How old rows are is what they
/// say themselves, under the chain's hash; the times beside them must be the same.
///
/// # Errors
/// The last row that fits.
pub fn prunable(
    front: &Front,
    segments: &[Candidate],
    before: Timestamp,
    upto: u64,
) -> Result<Option<AuditPrunable>, u64> {
    let (mut seq, mut hash) = (front.after, front.prev);
    let (mut rows, mut bytes) = (0, 0);
    let (mut last, mut index) = (None, BTreeSet::new());
    for candidate in segments {
        let segment = &candidate.segment;
        if segment.last_seq() > upto || rows >= ROWS_MAX || bytes >= BYTES_MAX {
            break;
        }
        let times = segment.times();
        let times = times.filter(|times| *times == (segment.first_at, segment.last_at));
        let (_, last_at) = times.ok_or(seq)?;
        if last_at >= before.as_micros() {
            break;
        }
        hash = segment.follows(seq, &hash).ok_or(seq)?;
        seq = segment.last_seq();
        rows += segment.rows;
        bytes += segment.body.len();
        for line in segment.body.split(|byte| *byte == b'\n') {
            index.extend(row_keys(line).map(|key| (key, candidate.place)));
        }
        last = Some(segment);
    }
    let Some(last) = last else {
        return Ok(None);
    };
    let mac = last.mac.as_slice().try_into().map_err(|_| seq)?;
    Ok(Some(AuditPrunable {
        anchor: AuditAnchor {
            chain: front.chain.clone(),
            first_seq: last.first_seq,
            last_seq: seq,
            head: hash,
            mac,
            removed_at: Timestamp::from_micros(0),
            code: [0; 32],
        },
        front: front.anchor.clone(),
        after: front.after,
        rows,
        first_id: row_id(&front.chain, front.after + 1),
        last_id: row_id(&front.chain, seq),
        index: index.into_iter().collect(),
    }))
}
