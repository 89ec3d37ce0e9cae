//! Rotation policies.

use scaivault_core::ids::{RotationPolicyId, SecretPolicyId, TenantId};
use scaivault_core::ports::RecordKind;
use scaivault_core::rotation::RotationPolicy;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const TABLE: &str = "rotation_policy";

pub(crate) fn put(conn: &Conn, policy: &RotationPolicy, json: &str) -> Result<(), Refusal> {
    let key = (policy.tenant.as_str(), policy.id.as_str());
    let params = (
        key.0,
        key.1,
        int(policy.revision),
        &policy.name,
        policy.is_active,
        policy.secret_policy_id.as_ref().map(SecretPolicyId::as_str),
        json,
    );
    write(
        conn,
        policy.revision,
        "INSERT INTO rotation_policy (tenant, id, revision, name, is_active, secret_policy_id, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "UPDATE rotation_policy SET revision = ?3, name = ?4, is_active = ?5,
                                    secret_policy_id = ?6, doc = ?7
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        params,
    )?
    .or_duplicate(
        conn,
        RecordKind::RotationPolicy,
        "name",
        policy.revision,
        "SELECT 1 FROM rotation_policy WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete(conn: &Conn, policy: &RotationPolicy) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::RotationPolicy,
        "DELETE FROM rotation_policy WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            policy.tenant.as_str(),
            policy.id.as_str(),
            int(policy.revision),
        ),
    )
}

pub(crate) fn find(
    conn: &Conn,
    tenant: &TenantId,
    id: &RotationPolicyId,
) -> Read<Option<RotationPolicy>> {
    let sql = "SELECT tenant, id, doc FROM rotation_policy WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    active_only: bool,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<RotationPolicy>> {
    let sql = "SELECT tenant, id, doc FROM rotation_policy
               WHERE tenant = ?1 AND id > ?2 AND (is_active OR NOT ?3) ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), after, active_only, limit(rows)),
    )
}
