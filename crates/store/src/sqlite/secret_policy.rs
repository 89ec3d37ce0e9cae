//! Secret policies: recipes for values.

use scaivault_core::ids::{SecretPolicyId, TenantId};
use scaivault_core::ports::RecordKind;
use scaivault_core::recipe::SecretPolicy;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, unreadable, write};
use crate::refusal::Refusal;

const TABLE: &str = "secret_policy";

pub(crate) fn put(conn: &Conn, policy: &SecretPolicy, json: &str) -> Result<(), Refusal> {
    let key = (policy.tenant.as_str(), policy.id.as_str());
    let params = (
        key.0,
        key.1,
        int(policy.revision),
        &policy.name,
        policy.is_active,
        json,
    );
    write(
        conn,
        policy.revision,
        "INSERT INTO secret_policy (tenant, id, revision, name, is_active, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "UPDATE secret_policy SET revision = ?3, name = ?4, is_active = ?5, doc = ?6
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        params,
    )?
    .or_duplicate(
        conn,
        RecordKind::SecretPolicy,
        "name",
        policy.revision,
        "SELECT 1 FROM secret_policy WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete(conn: &Conn, policy: &SecretPolicy) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::SecretPolicy,
        "DELETE FROM secret_policy WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
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
    id: &SecretPolicyId,
) -> Read<Option<SecretPolicy>> {
    let sql = "SELECT tenant, id, doc FROM secret_policy WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn named(conn: &Conn, tenant: &TenantId, name: &str) -> Read<Option<SecretPolicy>> {
    let sql = "SELECT tenant, id, doc FROM secret_policy WHERE tenant = ?1 AND name = ?2";
    let found: Option<SecretPolicy> = doc(conn, TABLE, sql, (tenant.as_str(), name))?;
    let says = |row: SecretPolicy| conn.rows.says(row, "name", |row| row.name == name);
    found.map(says).transpose()
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    active_only: bool,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<SecretPolicy>> {
    let sql = "SELECT tenant, id, doc FROM secret_policy
               WHERE tenant = ?1 AND id > ?2 AND (is_active OR NOT ?3) ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), after, active_only, limit(rows)),
    )
}

pub(crate) fn in_use(conn: &Conn, tenant: &TenantId, id: &SecretPolicyId) -> Read<bool> {
    let sql = "SELECT 1 FROM rotation_policy WHERE tenant = ?1 AND secret_policy_id = ?2
               UNION ALL
               SELECT 1 FROM secret WHERE tenant = ?1 AND secret_policy_id = ?2
               LIMIT 1";
    conn.prepare_cached(sql)
        .and_then(|mut found| found.exists((tenant.as_str(), id.as_str())))
        .map_err(unreadable)
}
