//! What remains of audit rows that retention removed: an anchor that the rest of the chain hangs on.
//!
//! Rows go from the front of a chain, whole segments at a time. The anchor names the last of them, by
//! its place, its hash and the code that was stored over it; a code of its own says that it was the
//! holder of the chain's key who removed them. A front that was cut otherwise has no such anchor.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// What every message over a head begins with.
const HEAD: &[u8] = b"scaivault audit head 1\0";
/// … where every document has a code.
const CODED_HEAD: &[u8] = b"scaivault audit head 2\0";
/// What every message over an anchor begins with.
const ANCHOR: &[u8] = b"scaivault audit anchor 1\0";

/// How far one chain was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedEnd {
    /// The last row.
    pub last_seq: u64,
    /// The chain's hash after it, as the export has it: a number alone says nothing of a store that was
    /// put back and has written other rows since. None where no export is asked for.
    pub head: Option<[u8; 32]>,
}

/// By the chain's name.
pub type ExportedEnds = BTreeMap<String, ExportedEnd>;

/// The end of what was removed of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditAnchor {
    /// The chain's name.
    pub chain: String,
    /// First row of the last segment that was removed.
    pub first_seq: u64,
    /// Last row that was removed.
    pub last_seq: u64,
    /// The chain's hash after it.
    pub head: [u8; 32],
    /// The code that was stored over that hash.
    pub mac: [u8; 32],
    /// When it was removed.
    pub removed_at: Timestamp,
    /// The code over this anchor.
    pub code: [u8; 32],
}

impl AuditAnchor {
    /// What its code is made over. Every part has a fixed length, but for the name, which comes last.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(128);
        message.extend_from_slice(ANCHOR);
        message.extend_from_slice(&self.first_seq.to_be_bytes());
        message.extend_from_slice(&self.last_seq.to_be_bytes());
        message.extend_from_slice(&self.removed_at.as_micros().to_be_bytes());
        message.extend_from_slice(&self.head);
        message.extend_from_slice(&self.mac);
        message.extend_from_slice(self.chain.as_bytes());
        message
    }

    /// Whether both codes are those that `code` makes: that of the segment's writer, and that of who
    /// removed it.
    pub fn fits(&self, code: impl Fn(&[u8]) -> [u8; 32]) -> bool {
        code(&self.message()) == self.code && self.head_fits(code)
    }

    /// Whether the code of the segment's writer is one that `code` makes.
    pub fn head_fits(&self, code: impl Fn(&[u8]) -> [u8; 32]) -> bool {
        let messages = self.head_messages();
        messages.iter().any(|message| code(message) == self.mac)
    }

    /// What the code over its last segment was made over: one of these.
    pub fn head_messages(&self) -> [Vec<u8>; 2] {
        let (first, last) = (self.first_seq, self.last_seq);
        [
            coded_head_message(&self.chain, first, last, &self.head),
            head_message(&self.chain, first, last, &self.head),
        ]
    }
}

/// What the code of a segment is made over. Every part has a fixed length, but for the name,
/// which comes last: no two segments share a message.
pub fn head_message(chain: &str, first_seq: u64, last_seq: u64, head: &[u8; 32]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(HEAD);
    message.extend_from_slice(&first_seq.to_be_bytes());
    message.extend_from_slice(&last_seq.to_be_bytes());
    message.extend_from_slice(head);
    message.extend_from_slice(chain.as_bytes());
    message
}

/// As [`head_message`], in a store in which every document has a code. A store that ever said so does
/// not take a document without one again.
pub fn coded_head_message(chain: &str, first_seq: u64, last_seq: u64, head: &[u8; 32]) -> Vec<u8> {
    let mut message = head_message(chain, first_seq, last_seq, head);
    message.splice(..HEAD.len(), CODED_HEAD.iter().copied());
    message
}

/// Rows at the front of a chain that may go, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPrunable {
    /// What remains of them; its `removed_at` and `code` are not made yet.
    pub anchor: AuditAnchor,
    /// The anchor that they hang on, as it is stored; none where the chain begins with them.
    pub front: Option<AuditAnchor>,
    /// The last row that is gone already; 0 for none.
    pub after: u64,
    /// How many.
    pub rows: u64,
    /// Id of the first of them.
    pub first_id: String,
    /// Id of the last of them.
    pub last_id: String,
    /// Entries of the store's index that go along, as the store knows them.
    pub index: Vec<(i64, i64)>,
}

/// What a verifier says of rows that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedRows {
    /// Id of the last of them.
    pub last_id: String,
    /// How many.
    pub rows: u64,
    /// When the last of them went.
    pub at: Timestamp,
    /// The chain's hash after them, hex.
    pub head: String,
}
