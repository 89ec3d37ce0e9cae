//! Segments: the audit rows of one transaction, as they are stored.

use super::chain::{Hash, LINK_BYTES, link};
use super::line::{AuditLines, write_line};

/// A stored segment, borrowed from its row.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Place of the first row in its chain.
    pub first_seq: u64,
    /// How many rows.
    pub rows: u64,
    /// Time of the earliest row.
    pub first_at: i64,
    /// Time of the latest row.
    pub last_at: i64,
    /// Hash before the first row.
    pub prev: &'a [u8],
    /// Hash after the last row.
    pub head: &'a [u8],
    /// The code over the head.
    pub mac: &'a [u8],
    /// The beginnings of the hashes after each row.
    pub links: &'a [u8],
    /// The rows, a line each.
    pub body: &'a [u8],
}

/// Collects the audit rows of a transaction in one pass. Reused from batch to batch, so that it
/// allocates only while it grows.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    /// Place of the first row in its chain.
    pub first_seq: u64,
    /// How many rows.
    pub rows: u64,
    /// Time of the earliest row.
    pub first_at: i64,
    /// Time of the latest row.
    pub last_at: i64,
    /// Hash before the first row.
    pub prev: Hash,
    /// Hash after the last row.
    pub head: Hash,
    /// The beginnings of the hashes after each row.
    pub links: Vec<u8>,
    /// The rows, a line each.
    pub body: Vec<u8>,
}

impl SegmentBuilder {
    /// Begins the segment behind the row at `last_seq`, whose hash is `prev`.
    pub fn begin(&mut self, last_seq: u64, prev: Hash) {
        self.first_seq = last_seq + 1;
        self.rows = 0;
        self.prev = prev;
        self.head = prev;
        self.links.clear();
        self.body.clear();
    }

    /// Adds a unit's rows.
    pub fn push(&mut self, chain: &str, lines: &AuditLines) {
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
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.rows - 1
    }
}
