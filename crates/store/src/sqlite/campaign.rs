//! Runs of many rotations.

use scaivault_core::campaign::Campaign;
use scaivault_core::ids::{CampaignId, TenantId};
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{PATHS_END, Read, delete_one, doc, docs, int, limit, readable_docs, write};
use crate::refusal::Refusal;

const TABLE: &str = "campaign";

pub(crate) fn put(conn: &Conn, row: &Campaign, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO campaign (tenant, id, revision, wake_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE campaign SET revision = ?3, wake_at = ?4, doc = ?5
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            row.tenant.as_str(),
            row.id.as_str(),
            int(row.revision),
            row.wake_at.map(Timestamp::as_micros),
            json,
        ),
    )?
    .or_conflict(RecordKind::Campaign)
}

pub(crate) fn delete(conn: &Conn, row: &Campaign) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Campaign,
        "DELETE FROM campaign WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &CampaignId) -> Read<Option<Campaign>> {
    let sql = "SELECT tenant, id, doc FROM campaign WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Campaign>> {
    let sql = "SELECT tenant, id, doc FROM campaign
               WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    let after = after.unwrap_or(PATHS_END);
    docs(conn, TABLE, sql, (tenant.as_str(), after, limit(rows)))
}

/// Longest overdue first.
pub(crate) fn due(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<Campaign>> {
    let sql = "SELECT tenant, id, doc FROM campaign INDEXED BY campaign_wake
               WHERE wake_at <= ?1
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at";
    readable_docs(conn, TABLE, sql, [now.as_micros()], rows)
}
