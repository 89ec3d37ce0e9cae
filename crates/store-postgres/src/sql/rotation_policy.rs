//! Rotation policies.

use async_trait::async_trait;
use scaivault_core::ids::{RotationPolicyId, TenantId};
use scaivault_core::ports::{CommitError, RecordKind, RotationPolicyReads};
use scaivault_core::rotation::RotationPolicy;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use super::secret_policy::recipe;
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "rotation_policy";

pub(crate) fn put(rows: &Rows, policy: &RotationPolicy) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::RotationPolicy, "name", "rotation_policy_name"),
        write(
            policy.revision,
            "INSERT INTO rotation_policy (tenant, id, revision, name, is_active,
                                          secret_policy_id, doc)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            "UPDATE rotation_policy SET revision = $3, name = $4, is_active = $5,
                                        secret_policy_id = $6, doc = $7
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        policy.tenant.as_str().to_owned(),
        policy.id.as_str().to_owned(),
        int(policy.revision),
        policy.name.clone(),
        policy.is_active,
        recipe(policy.secret_policy_id.as_ref()),
        encode(rows, policy)?,
    ))
}

pub(crate) fn delete(policy: &RotationPolicy) -> Step {
    step!(
        Expect::One(RecordKind::RotationPolicy),
        "DELETE FROM rotation_policy WHERE tenant = $1 AND id = $2 AND revision = $3",
        policy.tenant.as_str().to_owned(),
        policy.id.as_str().to_owned(),
        int(policy.revision),
    )
}

#[async_trait]
impl RotationPolicyReads for PostgresStore {
    async fn rotation_policy_find(
        &self,
        tenant: &TenantId,
        id: &RotationPolicyId,
    ) -> Read<Option<RotationPolicy>> {
        let sql = "SELECT tenant, id, doc FROM rotation_policy WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn rotation_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<RotationPolicy>> {
        let sql = "SELECT tenant, id, doc FROM rotation_policy
                   WHERE tenant = $1 AND id > $2 AND (is_active OR NOT $3::boolean)
                   ORDER BY id LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &after, &active_only, &limit(rows)])
            .await
    }
}
