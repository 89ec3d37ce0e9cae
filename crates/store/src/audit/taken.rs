//! What is taken out of a store to be kept elsewhere: the ends of its chains, and their segments.

use scaivault_core::audit::AuditRow;
use scaivault_core::audit_export::ExportHead;

use super::chain::{Hash, coded_message, link, mac_message};

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// The chain's name.
    pub chain: String,
    /// Place of its last row; 0 before the first.
    pub last_seq: u64,
    /// Hash after that.
    pub head: Hash,
}

impl ChainHead {
    /// As an export says it.
    pub fn for_export(&self) -> ExportHead {
        ExportHead {
            chain: self.chain.clone(),
            last_seq: self.last_seq,
            head: self.head.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// A stored segment, out of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Segment")]
pub struct TakenSegment {
    pub first_seq: u64,
    pub rows: u64,
    pub first_at: i64,
    pub last_at: i64,
    pub prev: Vec<u8>,
    pub head: Vec<u8>,
    pub mac: Vec<u8>,
    pub body: Vec<u8>,
}

impl TakenSegment {
    /// The hash after its rows, if it is whole and follows the row at `seq`, whose hash is `prev`.
    pub fn follows(&self, seq: u64, prev: &Hash) -> Option<Hash> {
        let mut head = *prev;
        let mut rows = 0;
        for line in self.body.split_inclusive(|byte| *byte == b'\n') {
            head = link(&head, line.strip_suffix(b"\n")?);
            rows += 1;
        }
        let fits = self.first_seq == seq + 1
            && self.prev == prev
            && self.rows == rows
            && rows > 0
            && self.head == head;
        fits.then_some(head)
    }

    /// Times of the earliest and the latest of its rows, as the rows have them.
    pub fn times(&self) -> Option<(i64, i64)> {
        let mut times = None;
        for line in self.body.split_inclusive(|byte| *byte == b'\n') {
            let row = serde_json::from_slice::<AuditRow>(line).ok()?;
            let at = row.timestamp.as_micros();
            let (first, last) = times.unwrap_or((at, at));
            times = Some((at.min(first), at.max(last)));
        }
        times
    }

    /// Whether its code is one that `code` makes.
    pub fn code_fits(&self, chain: &str, head: &Hash, code: impl Fn(&[u8]) -> [u8; 32]) -> bool {
        let (first, last) = (self.first_seq, self.last_seq());
        code(&coded_message(chain, first, last, head))[..] == self.mac[..]
            || code(&mac_message(chain, first, last, head))[..] == self.mac[..]
    }

    /// Place of the last row.
    pub fn last_seq(&self) -> u64 {
        (self.first_seq + self.rows).saturating_sub(1)
    }
}
