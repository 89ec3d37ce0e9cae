//! The audit chains on their way: appended to, never changed. What the destination has must be the
//! beginning of what the source has.

use sha2::{Digest, Sha256};

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

pub(super) fn number(at: i64) -> u64 {
    u64::try_from(at).unwrap_or(0)
}

/// Stands for a vault that has no chain yet.
const NO_CHAIN: i64 = 1;

/// A number that stands for a chain; chains have random names.
fn mark_of(chain: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(chain.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    (i64::from_be_bytes([a, b, c, d, e, f, g, h]) & i64::MAX).max(NO_CHAIN + 1)
}

/// What a copy that begins says it is of: one of the source's chains, which it never loses.
pub(super) async fn mark(source: &mut dyn Source) -> Moved<i64> {
    let ends = source.chains().await?;
    Ok(ends.first().map_or(NO_CHAIN, |end| mark_of(&end.chain)))
}

/// That a copy with this mark was begun of this source. The chains are moved last: before, this is
/// all there is to tell vaults apart.
pub(super) async fn is_of(source: &mut dyn Source, mark: i64) -> Moved<()> {
    let ends = source.chains().await?;
    let known = ends.iter().any(|end| mark_of(&end.chain) == mark);
    match known || mark == NO_CHAIN {
        true => Ok(()),
        false => {
            let why = "begun of a store that has an audit chain which this one has not";
            Err(TransferError::OtherVault(why.to_owned()))
        }
    }
}

/// That every chain at the destination is the beginning of one at the source.
pub(super) async fn fits(source: &mut dyn Source, to: &mut dyn Destination) -> Moved<()> {
    let theirs = source.chains().await?;
    let anchors = source.anchors().await?;
    for end in to.chains().await? {
        let other = || TransferError::OtherVault(format!("audit chain {}", end.chain));
        let known = theirs.iter().find(|known| known.chain == end.chain);
        if known.is_none_or(|known| known.last_seq < end.last_seq) {
            return Err(other());
        }
        // Its end is no longer there to be compared with: all of it goes.
        let mut anchors = anchors.iter();
        if anchors
            .any(|anchor| anchor.chain == end.chain && number(end.last_seq) <= anchor.last_seq)
        {
            continue;
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
    let there = to.anchors().await?;
    let anchors = source.anchors().await?;
    for anchor in anchors.iter().filter(|anchor| !there.contains(anchor)) {
        to.put_anchor(anchor).await?;
    }
    for end in source.chains().await? {
        let known = ours.iter().find(|known| known.chain == end.chain);
        let known = known.map_or(0, |known| known.last_seq);
        let gone = anchors.iter().find(|anchor| anchor.chain == end.chain);
        let gone = gone.map_or(0, |gone| i64::try_from(gone.last_seq).unwrap_or(i64::MAX));
        let mut upto = known.max(gone);
        told(number(upto - gone));
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
