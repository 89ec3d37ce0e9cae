//! Targets.

use async_trait::async_trait;
use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, RecordKind, TargetReads};
use scaivault_core::target::Target;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "target";

pub(crate) fn put(rows: &Rows, target: &Target) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Target, "name", "target_name"),
        write(
            target.revision,
            "INSERT INTO target (tenant, id, revision, name, manager_path, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE target SET revision = $3, name = $4, manager_path = $5, doc = $6
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        target.tenant.as_str().to_owned(),
        target.id.as_str().to_owned(),
        int(target.revision),
        target.name.clone(),
        target
            .manager_path
            .as_ref()
            .map(|path| path.as_str().to_owned()),
        encode(rows, target)?,
    ))
}

pub(crate) fn delete(target: &Target) -> Step {
    step!(
        Expect::One(RecordKind::Target),
        "DELETE FROM target WHERE tenant = $1 AND id = $2 AND revision = $3",
        target.tenant.as_str().to_owned(),
        target.id.as_str().to_owned(),
        int(target.revision),
    )
}

#[async_trait]
impl TargetReads for PostgresStore {
    async fn target_find(&self, tenant: &TenantId, id: &TargetId) -> Read<Option<Target>> {
        let sql = "SELECT tenant, id, doc FROM target WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn target_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Target>> {
        let sql = "SELECT tenant, id, doc FROM target WHERE tenant = $1 AND name = $2";
        let found: Option<Target> = self.doc(TABLE, sql, &[&tenant.as_str(), &name]).await?;
        let says = |row: Target| self.shared.rows.says(row, "name", |row| row.name == name);
        found.map(says).transpose()
    }

    async fn target_managed_by(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        rows: usize,
    ) -> Read<Vec<Target>> {
        let sql = "SELECT tenant, id, doc FROM target
                   WHERE tenant = $1 AND manager_path = $2 ORDER BY id LIMIT $3";
        let (tenant, path) = (tenant.as_str(), path.as_str());
        self.docs(TABLE, sql, &[&tenant, &path, &limit(rows)]).await
    }

    async fn target_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Target>> {
        let sql = "SELECT tenant, id, doc FROM target
                   WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &after, &limit(rows)])
            .await
    }
}
