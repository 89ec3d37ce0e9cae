//! Access policies, and what is granted through their bindings.

use std::collections::BTreeSet;

use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{PolicyId, TenantId};
use scaivault_core::ports::RecordKind;

use super::conn::Conn;
use super::row::{Read, decode, delete_one, doc, docs, int, limit, rows, write};
use crate::refusal::Refusal;

const TABLE: &str = "policy";

pub(crate) fn put(conn: &Conn, policy: &AccessPolicy, json: &str) -> Result<(), Refusal> {
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
        "INSERT INTO policy (tenant, id, revision, name, is_active, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "UPDATE policy SET revision = ?3, name = ?4, is_active = ?5, doc = ?6
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        params,
    )?
    .or_duplicate(
        conn,
        RecordKind::Policy,
        "name",
        policy.revision,
        "SELECT 1 FROM policy WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete(conn: &Conn, policy: &AccessPolicy) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Policy,
        "DELETE FROM policy WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            policy.tenant.as_str(),
            policy.id.as_str(),
            int(policy.revision),
        ),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>> {
    let sql = "SELECT tenant, id, doc FROM policy WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    include_inactive: bool,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<AccessPolicy>> {
    let sql = "SELECT tenant, id, doc FROM policy
               WHERE tenant = ?1 AND id > ?2 AND (?3 OR is_active) ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), after, include_inactive, limit(rows)),
    )
}

/// By policy and binding, each pair once. To be called inside one read transaction: it asks once
/// per identity.
pub(crate) fn grants(
    conn: &Conn,
    tenant: &TenantId,
    identities: &[Identity],
) -> Read<Vec<(AccessPolicy, Binding)>> {
    let sql = "SELECT p.tenant, p.id, p.doc, b.tenant, b.id, b.doc
               FROM binding b JOIN policy p ON p.tenant = b.tenant AND p.id = b.policy_id
               WHERE b.tenant = ?1 AND b.identity = ?2";
    let mut found = Vec::new();
    for identity in identities.iter().collect::<BTreeSet<_>>() {
        found.extend(rows(
            conn,
            sql,
            (tenant.as_str(), identity.as_str()),
            |row| {
                let policy: AccessPolicy = decode(conn, TABLE, row, 0)?;
                let binding: Binding = decode(conn, "binding", row, 3)?;
                let binding = conn.rows.says(binding, "identity", |binding| {
                    binding.identity == *identity && binding.policy_id == policy.id
                })?;
                Ok((policy, binding))
            },
        )?);
    }
    found.sort_by(|(p1, b1), (p2, b2)| (&p1.id, &b1.id).cmp(&(&p2.id, &b2.id)));
    Ok(found)
}
