//! What is still to be removed at targets.

use rusqlite::Connection;
use scaivault_core::debt::Debt;
use scaivault_core::ids::{DebtId, TenantId};
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const TABLE: &str = "debt";

pub(crate) fn put(conn: &Connection, row: &Debt, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO debt (tenant, id, revision, wake_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE debt SET revision = ?3, wake_at = ?4, doc = ?5
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            row.tenant.as_str(),
            row.id.as_str(),
            int(row.revision),
            row.wake_at.map(Timestamp::as_micros),
            json,
        ),
    )?
    .or_conflict(RecordKind::Debt)
}

pub(crate) fn delete(conn: &Connection, row: &Debt) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Debt,
        "DELETE FROM debt WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn find(conn: &Connection, tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Connection,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt
               WHERE tenant = ?1 AND id > ?2 ORDER BY id  LIMIT ?3";
    let after = after.unwrap_or_default();
    docs(conn, TABLE, sql, (tenant.as_str(), after, limit(rows)))
}

/// Longest overdue first.
pub(crate) fn due(conn: &Connection, now: Timestamp, rows: usize) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt INDEXED BY debt_wake
               WHERE wake_at <= ?1 ORDER BY wake_at LIMIT ?2";
    docs(conn, TABLE, sql, (now.as_micros(), limit(rows)))
}
