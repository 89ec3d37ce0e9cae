//! A transaction whose commit was sent and not answered, and how it is found.

use scaivault_core::ports::ReadError;

use super::head::{Head, moved_by};
use super::row::{Read, count, get, int};
use crate::conn::Conn;
use crate::refusal::unreadable;

/// Waits for a transaction of this node that may still be under way.
const SETTLED: &str = "SELECT 1 FROM store_head WHERE chain = $1 FOR UPDATE";

/// What is there of a transaction, in a statement of its own: one that waits for a lock looks at
/// other tables as they were before.
const LEFT: &str = "SELECT h.batch, h.moved_by = $2, h.pruned,
        EXISTS (SELECT 1 FROM audit_segment s
                WHERE s.chain = h.chain AND s.first_seq = $3 AND s.place = $4 AND s.head = $5),
        EXISTS (SELECT 1 FROM store_change c
                WHERE c.chain = h.chain AND c.batch = $6 AND c.maker = $7)
    FROM store_head h WHERE h.chain = $1";

/// A transaction whose commit was sent and not answered.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The head it moved to.
    pub(crate) next: Head,
    /// Its segment's place in the trail, where it wrote one.
    pub(crate) place: Option<i64>,
    /// Whether it told what it changed.
    pub(crate) told: bool,
}

/// What is there of a lost transaction.
#[derive(Debug)]
pub(crate) struct Left {
    /// Where the head is.
    batch: u64,
    /// The transaction itself moved it there.
    ours: bool,
    /// Up to where it was forgotten what transactions changed.
    pruned: u64,
    /// Its segment is there.
    segment: bool,
    /// What it told is there.
    change: bool,
}

impl Lost {
    /// Waits until it has ended, and looks for it.
    pub(crate) async fn find(&self, conn: &Conn, maker: &str) -> Read<Left> {
        let settled = conn.query(SETTLED, &[&self.next.chain]).await;
        settled.map_err(|error| unreadable(&error))?;
        let rows = conn
            .query(
                LEFT,
                &[
                    &self.next.chain,
                    &moved_by(maker, self.next.batch),
                    &int(self.next.first_seq),
                    &self.place.unwrap_or(0),
                    &self.next.head.as_slice(),
                    &int(self.next.batch),
                    &maker,
                ],
            )
            .await
            .map_err(|error| unreadable(&error))?;
        let Some(row) = rows.first() else {
            return Err(ReadError::Unavailable("the node's head row is gone".into()));
        };
        Ok(Left {
            batch: count(row, 0)?,
            ours: get::<Option<bool>>(row, 1)?.unwrap_or(false),
            pruned: count(row, 2)?,
            segment: get(row, 3)?,
            change: get(row, 4)?,
        })
    }

    /// Whether it is there; `None` when what is left does not tell. A number is given once, so
    /// where another process has it, this one has not; what came after it may have come after
    /// either.
    pub(crate) fn is_there(&self, left: &Left) -> Option<bool> {
        let batch = self.next.batch;
        if left.batch == batch {
            return Some(left.ours);
        }
        if left.batch + 1 == batch {
            return Some(false);
        }
        if left.batch < batch {
            return None;
        }
        match (self.place.is_some(), self.told) {
            (true, _) => Some(left.segment),
            (_, true) if left.change => Some(true),
            (_, true) if left.pruned < batch => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_says_nothing() {
        let next = Head {
            chain: "c".to_owned(),
            batch: 7,
            first_seq: 1,
            last_seq: 2,
            head: [0; 32],
            mac: [0; 32],
            moved_by: None,
        };
        let lost = |place, told| Lost {
            next: next.clone(),
            place,
            told,
        };
        let left = |batch, ours, pruned, segment, change| Left {
            batch,
            ours,
            pruned,
            segment,
            change,
        };
        for (lost, left, there) in [
            (
                lost(None, false),
                left(7, true, 0, false, false),
                Some(true),
            ),
            (
                lost(Some(1), true),
                left(7, false, 0, false, false),
                Some(false),
            ),
            (
                lost(Some(1), true),
                left(6, false, 0, false, false),
                Some(false),
            ),
            // A store that went back in time.
            (lost(Some(1), true), left(5, false, 0, false, false), None),
            (
                lost(Some(1), true),
                left(8, false, 0, true, true),
                Some(true),
            ),
            (
                lost(Some(1), false),
                left(8, false, 0, false, false),
                Some(false),
            ),
            (lost(None, true), left(9, false, 0, false, true), Some(true)),
            (
                lost(None, true),
                left(9, false, 6, false, false),
                Some(false),
            ),
            (lost(None, true), left(9, false, 7, false, false), None),
            (lost(None, false), left(8, false, 0, false, false), None),
        ] {
            assert_eq!(lost.is_there(&left), there, "{lost:?} {left:?}");
        }
    }
}
