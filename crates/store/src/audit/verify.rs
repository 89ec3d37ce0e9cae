//! The verifier: walks segments in order, recomputes every hash and code, and names the first row
//! that does not fit.
//!
//! Inside a segment a bad line is found by the links stored beside the lines: what is wrong with
//! it follows from the ids of the lines that are there. Whoever can write the database can also
//! recompute hashes and links; what they cannot make is the code over the head, so such a segment
//! is refused as a whole, by its last row. An unnoticed cut of the tail needs an older head with
//! its code: that is what exported heads are compared for.

use scaivault_core::audit::{AuditReport, AuditRow, BadRow};
use scaivault_core::audit_anchor::{AuditAnchor, RemovedRows};

use super::chain::{Hash, LINK_BYTES, genesis, head_code, link};
use super::line::{line_seq, row_id};
use super::segment::Segment;
use crate::chain_mac::ChainMac;

/// Whether to go on.
pub type Walk = std::ops::ControlFlow<()>;

/// What the verifier knows so far.
pub struct Verifier<'a> {
    chain: String,
    mac: Option<&'a dyn ChainMac>,
    last_seq: u64,
    head: Hash,
    bad: Option<BadRow>,
    removed: Option<RemovedRows>,
}

impl<'a> Verifier<'a> {
    /// Before the first row. Without `mac` the codes are not checked.
    pub fn new(chain: String, mac: Option<&'a dyn ChainMac>) -> Self {
        let head = genesis(&chain);
        Self {
            chain,
            mac,
            last_seq: 0,
            head,
            bad: None,
            removed: None,
        }
    }

    /// Before the first row that is there, where an anchor says that rows before it were removed.
    pub fn behind(&mut self, anchor: &AuditAnchor) -> Walk {
        let message = anchor.message();
        if self.mac.is_some_and(|mac| {
            let over_head = anchor.head_messages();
            !mac.verify(&message, &anchor.code)
                || !over_head
                    .iter()
                    .any(|message| mac.verify(message, &anchor.mac))
        }) {
            return self.refuse(anchor.last_seq, "mac");
        }
        (self.last_seq, self.head) = (anchor.last_seq, anchor.head);
        self.removed = Some(RemovedRows {
            last_id: row_id(&self.chain, anchor.last_seq),
            rows: anchor.last_seq,
            at: anchor.removed_at,
            head: hex(&anchor.head),
        });
        Walk::Continue(())
    }

    /// The next segment in order.
    pub fn segment(&mut self, segment: &Segment<'_>) -> Walk {
        let expect = self.last_seq + 1;
        if segment.first_seq > expect {
            return self.refuse(expect, "missing");
        }
        if segment.first_seq < expect {
            return self.refuse(segment.first_seq, "inserted");
        }
        let fits = segment.links.len() as u64 == segment.rows.saturating_mul(LINK_BYTES as u64);
        if segment.rows == 0 || !fits {
            return self.refuse(expect, "undecodable");
        }
        if segment.prev != self.head {
            return self.refuse(expect, "edited");
        }
        self.lines(segment)?;
        let last = self.last_seq;
        if segment.head != self.head {
            return self.refuse_last(last, "edited");
        }
        if !self.is_coded_by_key(segment.first_seq, last, segment.mac) {
            return self.refuse_last(last, "mac");
        }
        Walk::Continue(())
    }

    /// The end: `last_seq`, `head` and `mac` as the store's own head row has them.
    pub fn end(&mut self, first_seq: u64, last_seq: u64, head: &[u8], mac: &[u8]) -> Walk {
        if self.last_seq < last_seq {
            return self.refuse(self.last_seq + 1, "truncated");
        }
        if head != self.head {
            return self.refuse_last(last_seq, "edited");
        }
        if last_seq > 0 && !self.is_coded_by_key(first_seq, last_seq, mac) {
            return self.refuse_last(last_seq, "mac");
        }
        Walk::Continue(())
    }

    fn is_coded_by_key(&self, first_seq: u64, last_seq: u64, code: &[u8]) -> bool {
        let head = (self.chain.as_str(), first_seq, last_seq, &self.head);
        self.mac
            .is_none_or(|mac| head_code(mac, head, code).is_some())
    }

    /// Names a row the walk found outside the chain's order.
    pub fn refuse(&mut self, seq: u64, reason: &str) -> Walk {
        self.bad = Some(BadRow {
            id: row_id(&self.chain, seq),
            reason: reason.to_owned(),
        });
        Walk::Break(())
    }

    /// Names a row of another chain.
    pub fn refuse_foreign(&mut self, chain: &str, seq: u64) -> Walk {
        self.bad = Some(BadRow {
            id: row_id(chain, seq),
            reason: "inserted".to_owned(),
        });
        Walk::Break(())
    }

    /// The row counted as good, but what covers it does not fit.
    fn refuse_last(&mut self, seq: u64, reason: &str) -> Walk {
        self.last_seq = self.last_seq.min(seq.saturating_sub(1));
        self.refuse(seq, reason)
    }

    /// What was found.
    pub fn report(self) -> AuditReport {
        let gone = self.removed.as_ref().map_or(0, |removed| removed.rows);
        AuditReport {
            rows: self.last_seq.saturating_sub(gone),
            head: hex(&self.head),
            first_bad: self.bad,
            removed: self.removed.into_iter().collect(),
        }
    }

    fn lines(&mut self, segment: &Segment<'_>) -> Walk {
        let lines: Vec<&[u8]> = match segment.body.strip_suffix(b"\n") {
            Some(body) => body.split(|byte| *byte == b'\n').collect(),
            None => segment.body.split(|byte| *byte == b'\n').collect(),
        };
        let (mut first_at, mut last_at) = (i64::MAX, i64::MIN);
        for (at, stored) in segment.links.chunks(LINK_BYTES).enumerate() {
            let seq = segment.first_seq + at as u64;
            let Some(line) = lines.get(at) else {
                return self.refuse(seq, "missing");
            };
            let next = link(&self.head, line);
            if next[..LINK_BYTES] != *stored {
                let reason = self.what_is_wrong(segment, &lines, at);
                return self.refuse(seq, reason);
            }
            let Ok(row) = serde_json::from_slice::<AuditRow>(line) else {
                return self.refuse(seq, "undecodable");
            };
            first_at = first_at.min(row.timestamp.as_micros());
            last_at = last_at.max(row.timestamp.as_micros());
            self.head = next;
            self.last_seq = seq;
        }
        if lines.len() as u64 > segment.rows || !segment.body.ends_with(b"\n") {
            return self.refuse(segment.first_seq + segment.rows, "inserted");
        }
        // Queries pass segments by their times: false ones would hide rows.
        if (first_at, last_at) != (segment.first_at, segment.last_at) {
            return self.refuse_last(segment.first_seq, "edited");
        }
        Walk::Continue(())
    }

    /// The line at `at` breaks the chain: why?
    fn what_is_wrong(&self, segment: &Segment<'_>, lines: &[&[u8]], at: usize) -> &'static str {
        let expect = segment.first_seq + at as u64;
        let seq_of = |line: &&[u8]| line_seq(line, &self.chain);
        let fits = |line: &[u8]| {
            let stored = segment.links.chunks(LINK_BYTES).nth(at);
            stored.is_some_and(|stored| link(&self.head, line)[..LINK_BYTES] == *stored)
        };
        let rest = lines.get(at + 1..).unwrap_or_default();
        let there = lines.get(at).and_then(seq_of);
        let more = lines.len() as u64 > segment.rows;
        if more && rest.iter().any(|line| fits(line)) {
            return "inserted";
        }
        match there {
            None => "undecodable",
            Some(seq) if seq == expect => "edited",
            Some(_) if rest.iter().filter_map(seq_of).any(|seq| seq == expect) => "reordered",
            Some(seq) if seq >= segment.first_seq + segment.rows || seq < segment.first_seq => {
                "reordered"
            }
            Some(_) => "missing",
        }
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
