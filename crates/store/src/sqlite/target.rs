//! Targets.

use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::RecordKind;
use scaivault_core::target::Target;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const TABLE: &str = "target";

pub(crate) fn put(conn: &Conn, target: &Target, json: &str) -> Result<(), Refusal> {
    let key = (target.tenant.as_str(), target.id.as_str());
    write(
        conn,
        target.revision,
        "INSERT INTO target (tenant, id, revision, name, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE target SET revision = ?3, name = ?4, doc = ?5
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (key.0, key.1, int(target.revision), &target.name, json),
    )?
    .or_duplicate(
        conn,
        RecordKind::Target,
        "name",
        target.revision,
        "SELECT 1 FROM target WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete(conn: &Conn, target: &Target) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Target,
        "DELETE FROM target WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            target.tenant.as_str(),
            target.id.as_str(),
            int(target.revision),
        ),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &TargetId) -> Read<Option<Target>> {
    let sql = "SELECT tenant, id, doc FROM target WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn named(conn: &Conn, tenant: &TenantId, name: &str) -> Read<Option<Target>> {
    let sql = "SELECT tenant, id, doc FROM target WHERE tenant = ?1 AND name = ?2";
    let found: Option<Target> = doc(conn, TABLE, sql, (tenant.as_str(), name))?;
    let says = |row: Target| conn.rows.says(row, "name", |row| row.name == name);
    found.map(says).transpose()
}

pub(crate) fn managed_by(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
    rows: usize,
) -> Read<Vec<Target>> {
    // The expression of the index.
    let sql = "SELECT tenant, id, doc FROM target
               WHERE tenant = ?1 AND json_extract(doc, '$.manager_path') = ?2
               ORDER BY id LIMIT ?3";
    let key = (tenant.as_str(), path.as_str());
    docs(conn, TABLE, sql, (key.0, key.1, limit(rows)))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Target>> {
    let sql = "SELECT tenant, id, doc FROM target
               WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let after = after.unwrap_or_default();
    docs(conn, TABLE, sql, (tenant.as_str(), after, limit(rows)))
}
