//! Secret policies: recipes for values.

use async_trait::async_trait;
use scaivault_core::ids::{SecretPolicyId, TenantId};
use scaivault_core::ports::{CommitError, RecordKind, SecretPolicyReads};
use scaivault_core::recipe::SecretPolicy;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "secret_policy";

/// The column of whoever refers to one.
pub(crate) fn recipe(id: Option<&SecretPolicyId>) -> Option<String> {
    id.map(|id| id.as_str().to_owned())
}

pub(crate) fn put(rows: &Rows, policy: &SecretPolicy) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::SecretPolicy, "name", "secret_policy_name"),
        write(
            policy.revision,
            "INSERT INTO secret_policy (tenant, id, revision, name, is_active, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE secret_policy SET revision = $3, name = $4, is_active = $5, doc = $6
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        policy.tenant.as_str().to_owned(),
        policy.id.as_str().to_owned(),
        int(policy.revision),
        policy.name.clone(),
        policy.is_active,
        encode(rows, policy)?,
    ))
}

pub(crate) fn delete(policy: &SecretPolicy) -> Step {
    step!(
        Expect::One(RecordKind::SecretPolicy),
        "DELETE FROM secret_policy WHERE tenant = $1 AND id = $2 AND revision = $3",
        policy.tenant.as_str().to_owned(),
        policy.id.as_str().to_owned(),
        int(policy.revision),
    )
}

#[async_trait]
impl SecretPolicyReads for PostgresStore {
    async fn secret_policy_find(
        &self,
        tenant: &TenantId,
        id: &SecretPolicyId,
    ) -> Read<Option<SecretPolicy>> {
        let sql = "SELECT tenant, id, doc FROM secret_policy WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn secret_policy_named(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Read<Option<SecretPolicy>> {
        let sql = "SELECT tenant, id, doc FROM secret_policy WHERE tenant = $1 AND name = $2";
        let found: Option<SecretPolicy> = self.doc(TABLE, sql, &[&tenant.as_str(), &name]).await?;
        let says = |row: SecretPolicy| self.shared.rows.says(row, "name", |row| row.name == name);
        found.map(says).transpose()
    }

    async fn secret_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<SecretPolicy>> {
        let sql = "SELECT tenant, id, doc FROM secret_policy
                   WHERE tenant = $1 AND id > $2 AND (is_active OR NOT $3::boolean)
                   ORDER BY id LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &after, &active_only, &limit(rows)])
            .await
    }

    async fn secret_policy_in_use(&self, tenant: &TenantId, id: &SecretPolicyId) -> Read<bool> {
        let sql = "SELECT 1 FROM rotation_policy WHERE tenant = $1 AND secret_policy_id = $2
                   UNION ALL
                   SELECT 1 FROM secret WHERE tenant = $1 AND secret_policy_id = $2
                   LIMIT 1";
        let found = self.rows(sql, &[&tenant.as_str(), &id.as_str()]).await?;
        Ok(!found.is_empty())
    }
}
