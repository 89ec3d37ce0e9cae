//! Roles that machines log in by, and their secret ids. No two roles have one role id, no two
//! secret ids one hash.

use async_trait::async_trait;
use scaivault_core::identity::TokenHash;
use scaivault_core::ids::{SecretIdAccessor, TenantId};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::ports::{CommitError, MachineReads, RecordKind};
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const ROLE: &str = "machine_role";
const SECRET_ID: &str = "secret_id";

pub(crate) fn put_role(rows: &Rows, role: &MachineRole) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::MachineRole, "role_id", "machine_role_role_id"),
        write(
            role.revision,
            "INSERT INTO machine_role (tenant, name, revision, role_id, doc)
             VALUES ($1, $2, $3, $4, $5)",
            "UPDATE machine_role SET revision = $3, role_id = $4, doc = $5
             WHERE tenant = $1 AND name = $2 AND revision = $3::bigint - 1",
        ),
        role.tenant.as_str().to_owned(),
        role.name.clone(),
        int(role.revision),
        role.role_id.clone(),
        encode(rows, role)?,
    ))
}

pub(crate) fn delete_role(role: &MachineRole) -> [Step; 2] {
    let gone = step!(
        Expect::One(RecordKind::MachineRole),
        "DELETE FROM machine_role WHERE tenant = $1 AND name = $2 AND revision = $3",
        role.tenant.as_str().to_owned(),
        role.name.clone(),
        int(role.revision),
    );
    let secret_ids = step!(
        Expect::Any,
        "DELETE FROM secret_id WHERE tenant = $1 AND role = $2",
        role.tenant.as_str().to_owned(),
        role.name.clone(),
    );
    [gone, secret_ids]
}

pub(crate) fn put_secret_id(rows: &Rows, row: &SecretId) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::SecretId, "hash", "secret_id_hash"),
        write(
            row.revision,
            "INSERT INTO secret_id (tenant, id, revision, hash, role, expires_at, doc)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            "UPDATE secret_id SET revision = $3, hash = $4, role = $5, expires_at = $6, doc = $7
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.hash.0.to_vec(),
        row.role.clone(),
        row.expires_at.map(Timestamp::as_micros),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_secret_id(row: &SecretId) -> Step {
    step!(
        Expect::One(RecordKind::SecretId),
        "DELETE FROM secret_id WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

#[async_trait]
impl MachineReads for PostgresStore {
    async fn machine_role_named(&self, tenant: &TenantId, name: &str) -> Read<Option<MachineRole>> {
        let sql = "SELECT tenant, name, doc FROM machine_role WHERE tenant = $1 AND name = $2";
        self.doc(ROLE, sql, &[&tenant.as_str(), &name]).await
    }

    async fn machine_role_by_role_id(&self, role_id: &str) -> Read<Option<MachineRole>> {
        let sql = "SELECT tenant, name, doc FROM machine_role WHERE role_id = $1";
        let found: Option<MachineRole> = self.doc(ROLE, sql, &[&role_id]).await?;
        let says = |row: MachineRole| {
            self.shared
                .rows
                .says(row, "role_id", |row| row.role_id == role_id)
        };
        found.map(says).transpose()
    }

    async fn machine_role_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<MachineRole>> {
        let sql = "SELECT tenant, name, doc FROM machine_role WHERE tenant = $1 AND name > $2
                   ORDER BY name LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(ROLE, sql, &[&tenant, &after, &limit(rows)]).await
    }

    async fn secret_id_by_hash(&self, hash: &TokenHash) -> Read<Option<SecretId>> {
        let sql = "SELECT tenant, id, doc FROM secret_id WHERE hash = $1";
        let found: Option<SecretId> = self.doc(SECRET_ID, sql, &[&hash.0.as_slice()]).await?;
        let says = |row: SecretId| self.shared.rows.says(row, "hash", |row| row.hash == *hash);
        found.map(says).transpose()
    }

    async fn secret_id_find(
        &self,
        tenant: &TenantId,
        id: &SecretIdAccessor,
    ) -> Read<Option<SecretId>> {
        let sql = "SELECT tenant, id, doc FROM secret_id WHERE tenant = $1 AND id = $2";
        self.doc(SECRET_ID, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn secret_id_list(
        &self,
        tenant: &TenantId,
        role: &str,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<SecretId>> {
        let sql = "SELECT tenant, id, doc FROM secret_id
                   WHERE tenant = $1 AND role = $2 AND id > $3 ORDER BY id LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(SECRET_ID, sql, &[&tenant, &role, &after, &limit(rows)])
            .await
    }

    async fn secret_id_ended(&self, now: Timestamp, rows: usize) -> Read<Vec<SecretId>> {
        let sql = "SELECT tenant, id, doc FROM secret_id WHERE expires_at <= $1
                   ORDER BY expires_at LIMIT $2 OFFSET $3";
        self.readable_docs(SECRET_ID, sql, &[&now.as_micros()], rows)
            .await
    }
}
