//! The consumer ledger's rows. What need not be written is known to [`crate::writer::Ledger`].

use rusqlite::{Connection, OptionalExtension, Row};
use scaivault_core::consumer::{Consumer, ConsumerRead, ConsumerReport};
use scaivault_core::identity::Identity;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;

use super::row::{Read, int, limit, rows, uint, undecodable, unreadable};

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

/// Writes what a consumer says. Times never go back.
pub(crate) fn report(conn: &Connection, report: &ConsumerReport) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO consumer (tenant, path, version, consumer, first_read_at, last_read_at,
                               applied_at, failed_at, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, iif(?6, ?5, NULL), iif(?6, NULL, ?5), ?7)
         ON CONFLICT (tenant, path, version, consumer)
         DO UPDATE SET applied_at = coalesce(excluded.applied_at, applied_at),
                       failed_at = coalesce(excluded.failed_at, failed_at),
                       detail = excluded.detail",
    )?
    .execute((
        report.tenant.as_str(),
        report.path.as_str(),
        int(report.version),
        report.consumer.as_str(),
        report.at.as_micros(),
        report.applied,
        report.detail.as_deref(),
    ))?;
    Ok(())
}

const LINE: &str = "consumer, version, first_read_at, last_read_at, applied_at, failed_at, detail";

/// A line selected as `path, ` and [`LINE`].
fn line(row: &Row<'_>) -> Read<Consumer> {
    let name: String = row.get(1).map_err(unreadable)?;
    let time = |at| row.get(at).map(Timestamp::from_micros).map_err(unreadable);
    let maybe = |at| {
        let found: rusqlite::Result<Option<i64>> = row.get(at);
        found
            .map(|micros| micros.map(Timestamp::from_micros))
            .map_err(unreadable)
    };
    Ok(Consumer {
        consumer: Identity::parse_in_ledger(&name)
            .map_err(|_| undecodable(TABLE, "consumer", row, 0))?,
        version: uint(row.get(2).map_err(unreadable)?),
        first_read_at: time(3)?,
        last_read_at: time(4)?,
        applied_at: maybe(5)?,
        failed_at: maybe(6)?,
        detail: row.get(7).map_err(unreadable)?,
    })
}

/// By version, newest first, and consumer.
pub(crate) fn list(conn: &Connection, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>> {
    let sql = format!(
        "SELECT path, {LINE} FROM consumer
         WHERE tenant = ?1 AND path = ?2 ORDER BY version DESC, consumer"
    );
    rows(conn, &sql, (tenant.as_str(), path.as_str()), line)
}

/// What one identity read, by path and version, newest first.
pub(crate) fn reads(
    conn: &Connection,
    tenant: &TenantId,
    consumer: &Identity,
    after: Option<&str>,
    paths: usize,
) -> Read<Vec<(SecretPath, Consumer)>> {
    let sql = format!(
        "SELECT path, {LINE} FROM consumer INDEXED BY consumer_reader
         WHERE tenant = ?1 AND consumer = ?2 AND path IN (
             SELECT DISTINCT path FROM consumer INDEXED BY consumer_reader
             WHERE tenant = ?1 AND consumer = ?2 AND path > ?3 ORDER BY path LIMIT ?4)
         ORDER BY path, version DESC"
    );
    let params = (
        tenant.as_str(),
        consumer.as_str(),
        after.unwrap_or_default(),
        limit(paths),
    );
    rows(conn, &sql, params, |row| {
        let path: String = row.get(0).map_err(unreadable)?;
        let path = SecretPath::parse(&path).map_err(|_| undecodable(TABLE, "path", row, 0))?;
        Ok((path, line(row)?))
    })
}
