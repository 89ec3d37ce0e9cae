//! Bindings of access policies.

use scaivault_core::access::Binding;
use scaivault_core::ids::{BindingId, PolicyId, TenantId};
use scaivault_core::ports::RecordKind;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "binding";

pub(crate) fn put(conn: &Conn, binding: &Binding, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        binding.revision,
        "INSERT INTO binding (tenant, id, revision, policy_id, identity, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "UPDATE binding SET revision = ?3, policy_id = ?4, identity = ?5, doc = ?6
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            binding.tenant.as_str(),
            binding.id.as_str(),
            int(binding.revision),
            binding.policy_id.as_str(),
            binding.identity.as_str(),
            json,
        ),
    )?
    .or_conflict(RecordKind::Binding)
}

pub(crate) fn delete(conn: &Conn, binding: &Binding) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Binding,
        "DELETE FROM binding WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            binding.tenant.as_str(),
            binding.id.as_str(),
            int(binding.revision),
        ),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>> {
    let sql = "SELECT tenant, id, doc FROM binding WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(conn: &Conn, tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>> {
    let sql = "SELECT tenant, id, doc FROM binding
               WHERE tenant = ?1 AND policy_id = ?2 ORDER BY id";
    docs(conn, TABLE, sql, (tenant.as_str(), policy.as_str()))
}
