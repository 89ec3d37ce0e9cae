//! Access policies, their bindings, and what is granted through them.

use async_trait::async_trait;
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{BindingId, PolicyId, TenantId};
use scaivault_core::ports::{CommitError, PolicyReads, RecordKind};

use super::plan::{encode, write};
use super::row::{Read, decode, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "policy";
const BINDING: &str = "binding";

pub(crate) fn put_policy(rows: &Rows, policy: &AccessPolicy) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Policy, "name", "policy_name"),
        write(
            policy.revision,
            "INSERT INTO policy (tenant, id, revision, name, is_active, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE policy SET revision = $3, name = $4, is_active = $5, doc = $6
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

pub(crate) fn delete_policy(policy: &AccessPolicy) -> Step {
    step!(
        Expect::One(RecordKind::Policy),
        "DELETE FROM policy WHERE tenant = $1 AND id = $2 AND revision = $3",
        policy.tenant.as_str().to_owned(),
        policy.id.as_str().to_owned(),
        int(policy.revision),
    )
}

pub(crate) fn put_binding(rows: &Rows, binding: &Binding) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Binding),
        write(
            binding.revision,
            "INSERT INTO binding (tenant, id, revision, policy_id, identity, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE binding SET revision = $3, policy_id = $4, identity = $5, doc = $6
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        binding.tenant.as_str().to_owned(),
        binding.id.as_str().to_owned(),
        int(binding.revision),
        binding.policy_id.as_str().to_owned(),
        binding.identity.as_str().to_owned(),
        encode(rows, binding)?,
    ))
}

pub(crate) fn delete_binding(binding: &Binding) -> Step {
    step!(
        Expect::One(RecordKind::Binding),
        "DELETE FROM binding WHERE tenant = $1 AND id = $2 AND revision = $3",
        binding.tenant.as_str().to_owned(),
        binding.id.as_str().to_owned(),
        int(binding.revision),
    )
}

#[async_trait]
impl PolicyReads for PostgresStore {
    async fn policy_find(&self, tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>> {
        let sql = "SELECT tenant, id, doc FROM policy WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn policy_list(
        &self,
        tenant: &TenantId,
        include_inactive: bool,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<AccessPolicy>> {
        let sql = "SELECT tenant, id, doc FROM policy
                   WHERE tenant = $1 AND id > $2 AND ($3::boolean OR is_active)
                   ORDER BY id LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());

        self.docs(
            TABLE,
            sql,
            &[&tenant, &after, &include_inactive, &limit(rows)],
        )
        .await
    }

    async fn binding_list(&self, tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>> {
        let sql = "SELECT tenant, id, doc FROM binding
                   WHERE tenant = $1 AND policy_id = $2 ORDER BY id";
        self.docs(BINDING, sql, &[&tenant.as_str(), &policy.as_str()])
            .await
    }

    async fn binding_find(&self, tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>> {
        let sql = "SELECT tenant, id, doc FROM binding WHERE tenant = $1 AND id = $2";
        self.doc(BINDING, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    /// By policy and binding, each pair once, all of one moment.
    async fn grants(
        &self,
        tenant: &TenantId,
        identities: &[Identity],
    ) -> Read<Vec<(AccessPolicy, Binding)>> {
        let sql = "SELECT p.tenant, p.id, p.doc, b.tenant, b.id, b.doc
                   FROM binding b JOIN policy p ON p.tenant = b.tenant AND p.id = b.policy_id
                   WHERE b.tenant = $1 AND b.identity = ANY($2::text[]) ORDER BY p.id, b.id";
        let names: Vec<&str> = identities.iter().map(Identity::as_str).collect();
        let rows = self.rows(sql, &[&tenant.as_str(), &names]).await?;
        let grant = |row| {
            let keyed = &self.shared.rows;
            let policy: AccessPolicy = decode(keyed, TABLE, row, 0)?;
            let binding: Binding = decode(keyed, BINDING, row, 3)?;
            let binding = keyed.says(binding, "identity", |binding| {
                identities.contains(&binding.identity) && binding.policy_id == policy.id
            })?;
            Ok((policy, binding))
        };
        rows.iter().map(grant).collect()
    }
}
