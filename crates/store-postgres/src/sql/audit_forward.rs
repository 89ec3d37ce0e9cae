//! How far the trail was handed over to collectors.

use scaivault_core::audit_forward::AuditForward;
use scaivault_core::ports::{CommitError, RecordKind};

use super::plan::{encode, write};
use super::row::{Read, int};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "audit_forward";

pub(crate) fn put(rows: &Rows, row: &AuditForward) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::AuditForward),
        write(
            row.revision,
            "INSERT INTO audit_forward (name, revision, doc) VALUES ($1, $2, $3)",
            "UPDATE audit_forward SET revision = $2, doc = $3
             WHERE name = $1 AND revision = $2::bigint - 1",
        ),
        row.name.clone(),
        int(row.revision),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete(row: &AuditForward) -> Step {
    step!(
        Expect::One(RecordKind::AuditForward),
        "DELETE FROM audit_forward WHERE name = $1 AND revision = $2",
        row.name.clone(),
        int(row.revision),
    )
}

pub(crate) async fn find(store: &PostgresStore, name: &str) -> Read<Option<AuditForward>> {
    let sql = "SELECT 'audit_forward', name, doc FROM audit_forward WHERE name = $1";
    store.doc(TABLE, sql, &[&name]).await
}
