//! Roles that machines log in by, and their secret ids. No two roles have one role id, no two
//! secret ids one hash.

use scaivault_core::identity::TokenHash;
use scaivault_core::ids::{SecretIdAccessor, TenantId};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, readable_docs, write};
use crate::refusal::Refusal;

const ROLE: &str = "machine_role";
const SECRET_ID: &str = "secret_id";

pub(crate) fn put_role(conn: &Conn, role: &MachineRole, json: &str) -> Result<(), Refusal> {
    let key = (role.tenant.as_str(), role.name.as_str());
    write(
        conn,
        role.revision,
        "INSERT INTO machine_role (tenant, name, revision, role_id, doc)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE machine_role SET revision = ?3, role_id = ?4, doc = ?5
         WHERE tenant = ?1 AND name = ?2 AND revision = ?3 - 1",
        (key.0, key.1, int(role.revision), &role.role_id, json),
    )?
    .or_duplicate(
        conn,
        RecordKind::MachineRole,
        "role_id",
        role.revision,
        "SELECT 1 FROM machine_role WHERE tenant = ?1 AND name = ?2",
        key,
    )
}

pub(crate) fn delete_role(conn: &Conn, role: &MachineRole) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::MachineRole,
        "DELETE FROM machine_role WHERE tenant = ?1 AND name = ?2 AND revision = ?3",
        (role.tenant.as_str(), role.name.as_str(), int(role.revision)),
    )?;
    conn.prepare_cached("DELETE FROM secret_id WHERE tenant = ?1 AND role = ?2")?
        .execute((role.tenant.as_str(), role.name.as_str()))?;
    Ok(())
}

pub(crate) fn put_secret_id(conn: &Conn, row: &SecretId, json: &str) -> Result<(), Refusal> {
    let key = (row.tenant.as_str(), row.id.as_str());
    write(
        conn,
        row.revision,
        "INSERT INTO secret_id (tenant, id, revision, hash, role, expires_at, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "UPDATE secret_id SET revision = ?3, hash = ?4, role = ?5, expires_at = ?6, doc = ?7
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            key.0,
            key.1,
            int(row.revision),
            &row.hash.0[..],
            &row.role,
            row.expires_at.map(Timestamp::as_micros),
            json,
        ),
    )?
    .or_duplicate(
        conn,
        RecordKind::SecretId,
        "hash",
        row.revision,
        "SELECT 1 FROM secret_id WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete_secret_id(conn: &Conn, row: &SecretId) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::SecretId,
        "DELETE FROM secret_id WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn role_named(conn: &Conn, tenant: &TenantId, name: &str) -> Read<Option<MachineRole>> {
    let sql = "SELECT tenant, name, doc FROM machine_role WHERE tenant = ?1 AND name = ?2";
    doc(conn, ROLE, sql, (tenant.as_str(), name))
}

pub(crate) fn role_by_role_id(conn: &Conn, role_id: &str) -> Read<Option<MachineRole>> {
    let sql = "SELECT tenant, name, doc FROM machine_role WHERE role_id = ?1";
    let found: Option<MachineRole> = doc(conn, ROLE, sql, [role_id])?;
    let says = |row: MachineRole| conn.rows.says(row, "role_id", |row| row.role_id == role_id);
    found.map(says).transpose()
}

pub(crate) fn role_list(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<MachineRole>> {
    let sql = "SELECT tenant, name, doc FROM machine_role WHERE tenant = ?1 AND name > ?2
               ORDER BY name LIMIT ?3";
    let after = after.unwrap_or_default();
    docs(conn, ROLE, sql, (tenant.as_str(), after, limit(rows)))
}

pub(crate) fn secret_id_by_hash(conn: &Conn, hash: &TokenHash) -> Read<Option<SecretId>> {
    let sql = "SELECT tenant, id, doc FROM secret_id WHERE hash = ?1";
    let found: Option<SecretId> = doc(conn, SECRET_ID, sql, [&hash.0[..]])?;
    let says = |row: SecretId| conn.rows.says(row, "hash", |row| row.hash == *hash);
    found.map(says).transpose()
}

pub(crate) fn secret_id_find(
    conn: &Conn,
    tenant: &TenantId,
    id: &SecretIdAccessor,
) -> Read<Option<SecretId>> {
    let sql = "SELECT tenant, id, doc FROM secret_id WHERE tenant = ?1 AND id = ?2";
    doc(conn, SECRET_ID, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn secret_id_list(
    conn: &Conn,
    tenant: &TenantId,
    role: &str,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<SecretId>> {
    let sql = "SELECT tenant, id, doc FROM secret_id
               WHERE tenant = ?1 AND role = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        SECRET_ID,
        sql,
        (tenant.as_str(), role, after, limit(rows)),
    )
}

pub(crate) fn secret_id_ended(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<SecretId>> {
    let sql = "SELECT tenant, id, doc FROM secret_id WHERE expires_at <= ?1
               ORDER BY expires_at";
    readable_docs(conn, SECRET_ID, sql, [now.as_micros()], rows)
}
