//! Keys that others use.

use async_trait::async_trait;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{CommitError, RecordKind, TransitReads};
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitKey;
use scaivault_store::rows::Rows;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

const TABLE: &str = "transit_key";

pub(crate) fn put(rows: &Rows, row: &TransitKey) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Transit),
        write(
            row.revision,
            "INSERT INTO transit_key (tenant, mount, name, revision, wake_at, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE transit_key SET revision = $4, wake_at = $5, doc = $6
             WHERE tenant = $1 AND mount = $2 AND name = $3 AND revision = $4::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.mount.clone(),
        row.name.clone(),
        int(row.revision),
        row.wake_at.map(Timestamp::as_micros),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete(row: &TransitKey) -> Step {
    step!(
        Expect::One(RecordKind::Transit),
        "DELETE FROM transit_key WHERE tenant = $1 AND mount = $2 AND name = $3 AND revision = $4",
        row.tenant.as_str().to_owned(),
        row.mount.clone(),
        row.name.clone(),
        int(row.revision),
    )
}

#[async_trait]
impl TransitReads for PostgresStore {
    async fn transit_find(
        &self,
        tenant: &TenantId,
        mount: &str,
        name: &str,
    ) -> Read<Option<TransitKey>> {
        let sql = "SELECT tenant, mount || '/' || name, doc FROM transit_key
                   WHERE tenant = $1 AND mount = $2 AND name = $3";
        self.doc(TABLE, sql, &[&tenant.as_str(), &mount, &name])
            .await
    }

    async fn transit_list(
        &self,
        tenant: &TenantId,
        mount: &str,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<TransitKey>> {
        let sql = "SELECT tenant, mount || '/' || name, doc FROM transit_key
                   WHERE tenant = $1 AND mount = $2 AND name > $3 ORDER BY name LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &mount, &after, &limit(rows)])
            .await
    }

    async fn transit_due(&self, now: Timestamp, rows: usize) -> Read<Vec<TransitKey>> {
        let sql = "SELECT tenant, mount || '/' || name, doc FROM transit_key
                   WHERE wake_at <= $1
                     AND transit_key.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                   ORDER BY wake_at LIMIT $2";
        self.docs(TABLE, sql, &[&now.as_micros(), &limit(rows)])
            .await
    }
}
