//! The audit chains on their way: appended to, never changed. What the destination has must be the
//! beginning of what the source has.

use super::{Destination, Moved, Source, TransferError};
use crate::audit::Segment;

/// Segments moved at a time; one may hold a thousand rows.
pub(super) const SEGMENTS: usize = 64;

/// The end of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the tables are named so")]
pub struct ChainEnd {
    pub chain: String,
    /// First row of the last segment.
    pub first_seq: i64,
    pub last_seq: i64,
    pub head: Vec<u8>,
    pub mac: Vec<u8>,
}

/// One segment as it is stored, and its place in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the tables are named so")]
pub struct StoredSegment {
    pub first_seq: i64,
    pub place: i64,
    pub rows: i64,
    pub first_at: i64,
    pub last_at: i64,
    pub prev: Vec<u8>,
    pub head: Vec<u8>,
    pub mac: Vec<u8>,
    pub links: Vec<u8>,
    pub body: Vec<u8>,
}

impl StoredSegment {
    /// Place of its last row in the chain.
    pub fn last_seq(&self) -> i64 {
        self.first_seq + self.rows - 1
    }

    /// As the verifier takes it.
    pub fn borrowed(&self) -> Segment<'_> {
        Segment {
            first_seq: u64::try_from(self.first_seq).unwrap_or(0),
            rows: u64::try_from(self.rows).unwrap_or(0),
            first_at: self.first_at,
            last_at: self.last_at,
            prev: &self.prev,
            head: &self.head,
            mac: &self.mac,
            links: &self.links,
            body: &self.body,
        }
    }
}

/// That every chain at the destination is the beginning of one at the source.
pub(super) async fn fits(source: &mut dyn Source, to: &mut dyn Destination) -> Moved<()> {
    let theirs = source.chains().await?;
    for end in to.chains().await? {
        let other = || TransferError::OtherVault(end.chain.clone());
        let known = theirs.iter().find(|known| known.chain == end.chain);
        if known.is_none_or(|known| known.last_seq < end.last_seq) {
            return Err(other());
        }
        let there = source.segments(&end.chain, end.first_seq - 1, 1).await?;
        let same = there.first().is_some_and(|segment| {
            segment.first_seq == end.first_seq
                && segment.last_seq() == end.last_seq
                && segment.head == end.head
        });
        if !same {
            return Err(other());
        }
    }
    Ok(())
}

/// Appends what the destination does not have yet; tells how many rows were appended each time.
pub(super) async fn append(
    source: &mut dyn Source,
    to: &mut dyn Destination,
    told: &mut (dyn FnMut(u64) + Send),
) -> Moved<()> {
    let ours = to.chains().await?;
    for end in source.chains().await? {
        let known = ours.iter().find(|known| known.chain == end.chain);
        let mut upto = known.map_or(0, |known| known.last_seq);
        told(u64::try_from(upto).unwrap_or(0));
        while upto < end.last_seq {
            let segments = source.segments(&end.chain, upto, SEGMENTS).await?;
            let Some(last) = segments.last().map(StoredSegment::last_seq) else {
                let text = format!("audit chain {} has no row behind {upto}", end.chain);
                return Err(TransferError::Source(text));
            };
            let rows = segments.iter().map(|segment| segment.rows).sum::<i64>();
            to.append(&end.chain, segments).await?;
            told(u64::try_from(rows).unwrap_or(0));
            upto = last;
        }
    }
    Ok(())
}
