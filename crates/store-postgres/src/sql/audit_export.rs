//! Exports of the audit trail.

use scaivault_core::audit_export::AuditExport;
use scaivault_core::ids::{ExportId, TenantId};
use scaivault_core::ports::{CommitError, RecordKind};
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{PATHS_END, Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "audit_export";

pub(crate) fn put(rows: &Rows, row: &AuditExport) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::AuditExport),
        write(
            row.revision,
            "INSERT INTO audit_export (tenant, id, revision, wake_at, doc)
             VALUES ($1, $2, $3, $4, $5)",
            "UPDATE audit_export SET revision = $3, wake_at = $4, doc = $5
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.wake_at.map(Timestamp::as_micros),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete(row: &AuditExport) -> Step {
    step!(
        Expect::One(RecordKind::AuditExport),
        "DELETE FROM audit_export WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

pub(crate) async fn find(
    store: &PostgresStore,
    tenant: &TenantId,
    id: &ExportId,
) -> Read<Option<AuditExport>> {
    let sql = "SELECT tenant, id, doc FROM audit_export WHERE tenant = $1 AND id = $2";
    store
        .doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
        .await
}

pub(crate) async fn list(
    store: &PostgresStore,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<AuditExport>> {
    let sql = "SELECT tenant, id, doc FROM audit_export
               WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let (tenant, after) = (tenant.as_str(), after.unwrap_or(PATHS_END));
    store
        .docs(TABLE, sql, &[&tenant, &after, &limit(rows)])
        .await
}

pub(crate) async fn due(
    store: &PostgresStore,
    now: Timestamp,
    rows: usize,
) -> Read<Vec<AuditExport>> {
    let sql = "SELECT tenant, id, doc FROM audit_export
               WHERE wake_at <= $1
                 AND audit_export.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at LIMIT $2 OFFSET $3";
    store
        .readable_docs(TABLE, sql, &[&now.as_micros()], rows)
        .await
}
