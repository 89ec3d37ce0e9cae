//! The head row of a node, moved by each of its transactions. Its `batch` number, and who moved it
//! there, tell after a commit whose answer was lost whether that commit is there; the rest is the
//! end of the node's audit chain.

use scaivault_core::ports::{Entropy, ReadError};
use scaivault_store::audit::{CHAIN_CHARS, Hash, SegmentBuilder, genesis, mint_chain};
use tokio_postgres::Row;

use super::row::{Read, count, get, int};
use crate::conn::Conn;
use crate::refusal::unreadable;
use crate::step::{Expect, Step, step};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Name of the audit chain.
    pub(crate) chain: String,
    /// Number of the last transaction.
    pub(crate) batch: u64,
    /// First and last row of the last segment; 0 before the first.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Hash after the last row, and its code.
    pub(crate) head: Hash,
    pub(crate) mac: Hash,
    /// Who moved it there.
    pub(crate) moved_by: Option<String>,
}

impl Head {
    /// Whether a head that was read where this one is known to have been is of another past.
    pub(crate) fn is_forgotten_by(&self, found: &Self) -> bool {
        found.batch < self.batch
            || found.last_seq < self.last_seq
            || (found.batch == self.batch && found != self)
    }
}

/// The columns [`from_row`] reads.
pub(crate) const COLUMNS: &str = "chain, batch, first_seq, last_seq, head, mac, moved_by";

/// Names drawn for a new chain before it is given up; each is taken with a chance of one in 2^30.
const NAMES_MAX: usize = 8;

pub(crate) fn from_row(row: &Row) -> Read<Head> {
    let chain: String = get(row, 0)?;
    let bad = |column| ReadError::Undecodable {
        table: "store_head",
        column,
        row: chain.clone(),
    };
    if chain.len() != CHAIN_CHARS {
        return Err(bad("chain"));
    }
    let hash = |at, column| {
        let bytes: &[u8] = get(row, at)?;
        Hash::try_from(bytes).map_err(|_| bad(column))
    };
    Ok(Head {
        batch: count(row, 1)?,
        first_seq: count(row, 2)?,
        last_seq: count(row, 3)?,
        head: hash(4, "head")?,
        mac: hash(5, "mac")?,
        moved_by: get(row, 6)?,
        chain,
    })
}

/// The head row of a node.
pub(crate) async fn read(conn: &Conn, node: &str) -> Read<Option<Head>> {
    let sql = format!("SELECT {COLUMNS} FROM store_head WHERE node = $1");
    let rows = conn.query(&sql, &[&node]).await;
    let rows = rows.map_err(|error| unreadable(&error))?;
    rows.first().map(from_row).transpose()
}

/// The head row of a node, made when it has none.
pub(crate) async fn open(conn: &Conn, node: &str, entropy: &dyn Entropy) -> Read<Head> {
    for _ in 0..NAMES_MAX {
        if let Some(head) = read(conn, node).await? {
            return Ok(head);
        }
        let chain = mint_chain(entropy);
        let sql = "INSERT INTO store_head (chain, node, batch, first_seq, last_seq, head, mac)
                   VALUES ($1, $2, 0, 0, 0, $3, $4) ON CONFLICT DO NOTHING";
        let (head, mac) = (genesis(&chain), [0u8; 32]);
        conn.query(sql, &[&chain, &node, &head.as_slice(), &mac.as_slice()])
            .await
            .map_err(|error| unreadable(&error))?;
    }
    Err(ReadError::Unavailable(
        "no free name for the audit chain was found".to_owned(),
    ))
}

/// Moves the number, and locks the row until the transaction ends. Nothing when another process
/// moved it.
pub(crate) const MOVE: &str = "UPDATE store_head SET batch = batch + 1, moved_by = $3
    WHERE chain = $1 AND batch = $2";

/// What a process leaves in a head that it moves to a number. The number is part of it: a program
/// that does not know the column leaves it as it is.
pub(crate) fn moved_by(maker: &str, batch: u64) -> String {
    format!("{maker}:{batch}")
}

/// As [`MOVE`], with all that the transaction leaves in the row.
pub(crate) fn advance(next: &Head) -> Step {
    step!(
        Expect::Must("the node's head row was moved by another"),
        "UPDATE store_head SET batch = $2, moved_by = $3, first_seq = $4, last_seq = $5, head = $6,
                               mac = $7
         WHERE chain = $1 AND batch = $2::bigint - 1",
        next.chain.clone(),
        int(next.batch),
        next.moved_by.clone(),
        int(next.first_seq),
        int(next.last_seq),
        next.head.to_vec(),
        next.mac.to_vec(),
    )
}

/// Something to fail before a commit that nothing else comes before: in a transaction that failed,
/// a commit is answered as if it went well.
pub(crate) fn own(head: &Head) -> Step {
    step!(
        Expect::Must("the node's head row was moved by another"),
        "SELECT 1 FROM store_head WHERE chain = $1 AND batch = $2",
        head.chain.clone(),
        int(head.batch),
    )
}

/// Writes a segment.
pub(crate) fn put_segment(head: &Head, segment: &SegmentBuilder, place: i64) -> Step {
    step!(
        Expect::Must("the audit segment is there already"),
        "INSERT INTO audit_segment (chain, first_seq, place, rows, first_at, last_at, prev, head,
                                    mac, links, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        head.chain.clone(),
        int(segment.first_seq),
        place,
        int(segment.rows),
        segment.first_at,
        segment.last_at,
        segment.prev.to_vec(),
        segment.head.to_vec(),
        head.mac.to_vec(),
        segment.links.clone(),
        segment.body.clone(),
    )
}

/// Writes a segment and the end of the chain.
pub(crate) fn extend(head: &Head, segment: &SegmentBuilder, place: i64) -> [Step; 2] {
    let end = step!(
        Expect::Must("the node's head row is gone"),
        "UPDATE store_head SET first_seq = $2, last_seq = $3, head = $4, mac = $5
         WHERE chain = $1",
        head.chain.clone(),
        int(head.first_seq),
        int(head.last_seq),
        head.head.to_vec(),
        head.mac.to_vec(),
    );
    [put_segment(head, segment, place), end]
}
