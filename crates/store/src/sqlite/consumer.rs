//! The consumer ledger's rows. What need not be written is known to [`crate::writer::Ledger`].

use rusqlite::{Connection, OptionalExtension};
use scaivault_core::consumer::{Consumer, ConsumerRead};
use scaivault_core::identity::Identity;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;

use super::row::{Read, int, rows, uint, undecodable, unreadable};

const TABLE: &str = "consumer";

/// When this consumer last read this version, as stored.
pub(crate) fn last_read(conn: &Connection, read: &ConsumerRead) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT last_read_at FROM consumer
         WHERE tenant = ?1 AND path = ?2 AND version = ?3 AND consumer = ?4",
    )?
    .query_row(
        (
            read.tenant.as_str(),
            read.path.as_str(),
            int(read.version),
            read.consumer.as_str(),
        ),
        |row| row.get(0),
    )
    .optional()
}

/// Writes a read: the first, or a later one. Times never go back.
pub(crate) fn put(conn: &Connection, read: &ConsumerRead) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO consumer (tenant, path, version, consumer, first_read_at, last_read_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (tenant, path, version, consumer)
         DO UPDATE SET last_read_at = max(last_read_at, excluded.last_read_at)",
    )?
    .execute((
        read.tenant.as_str(),
        read.path.as_str(),
        int(read.version),
        read.consumer.as_str(),
        read.at.as_micros(),
    ))?;
    Ok(())
}

/// By version, newest first, and consumer.
pub(crate) fn list(conn: &Connection, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>> {
    let sql = "SELECT path, consumer, version, first_read_at, last_read_at FROM consumer
               WHERE tenant = ?1 AND path = ?2 ORDER BY version DESC, consumer";
    rows(conn, sql, (tenant.as_str(), path.as_str()), |row| {
        let name: String = row.get(1).map_err(unreadable)?;
        let time = |at| row.get(at).map(Timestamp::from_micros).map_err(unreadable);
        Ok(Consumer {
            consumer: Identity::parse(&name).map_err(|_| undecodable(TABLE, "consumer", row, 0))?,
            version: uint(row.get(2).map_err(unreadable)?),
            first_read_at: time(3)?,
            last_read_at: time(4)?,
        })
    })
}
