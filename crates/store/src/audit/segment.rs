//! Segments: the audit rows of one transaction, as they are stored.

use super::chain::{Hash, LINK_BYTES, link};
use super::line::{AuditLines, write_line};

/// A stored segment, borrowed from its row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) first_seq: u64,
    pub(crate) rows: u64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) prev: &'a [u8],
    pub(crate) head: &'a [u8],
    pub(crate) mac: &'a [u8],
    pub(crate) links: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Collects the audit rows of a transaction in one pass. Reused from batch to batch, so that it
/// allocates only while it grows.
#[derive(Debug, Default)]
pub(crate) struct SegmentBuilder {
    pub(crate) first_seq: u64,
    pub(crate) rows: u64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) prev: Hash,
    pub(crate) head: Hash,
    pub(crate) links: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl SegmentBuilder {
    /// Begins the segment behind the row at `last_seq`, whose hash is `prev`.
    pub(crate) fn begin(&mut self, last_seq: u64, prev: Hash) {
        self.first_seq = last_seq + 1;
        self.rows = 0;
        self.prev = prev;
        self.head = prev;
        self.links.clear();
        self.body.clear();
    }

    /// Adds a unit's rows.
    pub(crate) fn push(&mut self, chain: &str, lines: &AuditLines) {
        if lines.rows() == 0 {
            return;
        }
        let (first_at, last_at) = lines.times();
        self.first_at = if self.rows == 0 {
            first_at
        } else {
            self.first_at.min(first_at)
        };
        self.last_at = if self.rows == 0 {
            last_at
        } else {
            self.last_at.max(last_at)
        };
        for tail in lines.tails() {
            let start = self.body.len();
            write_line(&mut self.body, chain, self.first_seq + self.rows, tail);
            self.head = link(&self.head, &self.body[start..]);
            self.links.extend_from_slice(&self.head[..LINK_BYTES]);
            self.body.push(b'\n');
            self.rows += 1;
        }
    }

    /// Place of the last row.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + self.rows - 1
    }
}
