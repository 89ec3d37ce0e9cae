//! The head row, written by every transaction. Its `batch` number tells, after a commit whose
//! outcome is in doubt, whether that commit is there; the rest is the end of the audit chain.

use rusqlite::Connection;

use super::row::{Read, int, rows, uint, unreadable};
use crate::audit::{CHAIN_CHARS, Hash, genesis};
use scaivault_core::ports::ReadError;

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
}

/// The head row; `None` in a store that was never opened for writing.
pub(crate) fn read(conn: &Connection) -> Read<Option<Head>> {
    let sql = "SELECT chain, batch, first_seq, last_seq, head, mac FROM store_head WHERE one = 1";
    let mut found = rows(conn, sql, [], |row| {
        let chain: String = row.get(0).map_err(unreadable)?;
        let number = |at| row.get(at).map(uint).map_err(unreadable);
        let bad = |column| ReadError::Undecodable {
            table: "store_head",
            column,
            row: "1".into(),
        };
        if chain.len() != CHAIN_CHARS {
            return Err(bad("chain"));
        }
        Ok(Head {
            chain,
            batch: number(1)?,
            first_seq: number(2)?,
            last_seq: number(3)?,
            head: row.get(4).map_err(|_| bad("head"))?,
            mac: row.get(5).map_err(|_| bad("mac"))?,
        })
    })?;
    Ok(found.pop())
}

/// The first head row of a new store.
pub(crate) fn create(conn: &Connection, chain: &str) -> rusqlite::Result<Head> {
    let head = Head {
        chain: chain.to_owned(),
        batch: 0,
        first_seq: 0,
        last_seq: 0,
        head: genesis(chain),
        mac: [0; 32],
    };
    conn.execute(
        "INSERT INTO store_head (one, chain, batch, first_seq, last_seq, head, mac)
         VALUES (1, ?1, 0, 0, 0, ?2, ?3)",
        (chain, &head.head[..], &head.mac[..]),
    )?;
    Ok(head)
}

/// Replaces the head row.
pub(crate) fn write(conn: &Connection, head: &Head) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE store_head SET batch = ?1, first_seq = ?2, last_seq = ?3, head = ?4, mac = ?5
         WHERE one = 1",
    )?
    .execute((
        int(head.batch),
        int(head.first_seq),
        int(head.last_seq),
        &head.head[..],
        &head.mac[..],
    ))?;
    Ok(())
}
