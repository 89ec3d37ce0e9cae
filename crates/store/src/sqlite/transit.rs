//! Keys that others use.

use scaivault_core::ids::TenantId;
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitKey;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const TABLE: &str = "transit_key";

pub(crate) fn put(conn: &Conn, row: &TransitKey, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO transit_key (tenant, mount, name, revision, wake_at, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "UPDATE transit_key SET revision = ?4, wake_at = ?5, doc = ?6
         WHERE tenant = ?1 AND mount = ?2 AND name = ?3 AND revision = ?4 - 1",
        (
            row.tenant.as_str(),
            row.mount.as_str(),
            row.name.as_str(),
            int(row.revision),
            row.wake_at.map(Timestamp::as_micros),
            json,
        ),
    )?
    .or_conflict(RecordKind::Transit)
}

pub(crate) fn delete(conn: &Conn, row: &TransitKey) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Transit,
        "DELETE FROM transit_key WHERE tenant = ?1 AND mount = ?2 AND name = ?3 AND revision = ?4",
        (
            row.tenant.as_str(),
            row.mount.as_str(),
            row.name.as_str(),
            int(row.revision),
        ),
    )
}

pub(crate) fn find(
    conn: &Conn,
    tenant: &TenantId,
    mount: &str,
    name: &str,
) -> Read<Option<TransitKey>> {
    let sql = "SELECT tenant, mount || '/' || name, doc FROM transit_key
               WHERE tenant = ?1 AND mount = ?2 AND name = ?3";
    doc(conn, TABLE, sql, (tenant.as_str(), mount, name))
}

/// By name.
pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    mount: &str,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<TransitKey>> {
    let sql = "SELECT tenant, mount || '/' || name, doc FROM transit_key
               WHERE tenant = ?1 AND mount = ?2 AND name > ?3 ORDER BY name LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), mount, after, limit(rows)),
    )
}

/// Longest overdue first.
pub(crate) fn due(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<TransitKey>> {
    let sql =
        "SELECT tenant, mount || '/' || name, doc FROM transit_key INDEXED BY transit_key_wake
               WHERE wake_at <= ?1
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at LIMIT ?2";
    docs(conn, TABLE, sql, (now.as_micros(), limit(rows)))
}
