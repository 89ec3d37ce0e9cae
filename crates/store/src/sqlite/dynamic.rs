//! Engines that make credentials on request, and their roles.

use scaivault_core::dynamic::{Engine, Role};
use scaivault_core::ids::{EngineId, TenantId};
use scaivault_core::ports::RecordKind;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const ENGINE: &str = "engine";
const ROLE: &str = "engine_role";

pub(crate) fn put_engine(conn: &Conn, row: &Engine, json: &str) -> Result<(), Refusal> {
    let key = (row.tenant.as_str(), row.id.as_str());
    write(
        conn,
        row.revision,
        "INSERT INTO engine (tenant, id, revision, name, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE engine SET revision = ?3, name = ?4, doc = ?5
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (key.0, key.1, int(row.revision), &row.name, json),
    )?
    .or_duplicate(
        conn,
        RecordKind::Engine,
        "name",
        row.revision,
        "SELECT 1 FROM engine WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete_engine(conn: &Conn, row: &Engine) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Engine,
        "DELETE FROM engine WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn find_engine(conn: &Conn, tenant: &TenantId, id: &EngineId) -> Read<Option<Engine>> {
    let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = ?1 AND id = ?2";
    doc(conn, ENGINE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn engine_named(conn: &Conn, tenant: &TenantId, name: &str) -> Read<Option<Engine>> {
    let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = ?1 AND name = ?2";
    let found: Option<Engine> = doc(conn, ENGINE, sql, (tenant.as_str(), name))?;
    let says = |row: Engine| conn.rows.says(row, "name", |row| row.name == name);
    found.map(says).transpose()
}

pub(crate) fn list_engines(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Engine>> {
    let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = ?1 AND id > ?2
               ORDER BY id LIMIT ?3";
    let after = after.unwrap_or_default();
    docs(conn, ENGINE, sql, (tenant.as_str(), after, limit(rows)))
}

pub(crate) fn put_role(conn: &Conn, row: &Role, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO engine_role (tenant, engine_id, name, revision, doc)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE engine_role SET revision = ?4, doc = ?5
         WHERE tenant = ?1 AND engine_id = ?2 AND name = ?3 AND revision = ?4 - 1",
        (
            row.tenant.as_str(),
            row.engine_id.as_str(),
            &row.name,
            int(row.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Role)
}

pub(crate) fn delete_role(conn: &Conn, row: &Role) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Role,
        "DELETE FROM engine_role
         WHERE tenant = ?1 AND engine_id = ?2 AND name = ?3 AND revision = ?4",
        (
            row.tenant.as_str(),
            row.engine_id.as_str(),
            &row.name,
            int(row.revision),
        ),
    )
}

pub(crate) fn find_role(
    conn: &Conn,
    tenant: &TenantId,
    engine: &EngineId,
    name: &str,
) -> Read<Option<Role>> {
    let sql = "SELECT tenant, engine_id || '/' || name, doc FROM engine_role
               WHERE tenant = ?1 AND engine_id = ?2 AND name = ?3";
    doc(conn, ROLE, sql, (tenant.as_str(), engine.as_str(), name))
}

pub(crate) fn list_roles(
    conn: &Conn,
    tenant: &TenantId,
    engine: &EngineId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Role>> {
    let sql = "SELECT tenant, engine_id || '/' || name, doc FROM engine_role
               WHERE tenant = ?1 AND engine_id = ?2 AND name > ?3 ORDER BY name LIMIT ?4";
    let params = (
        tenant.as_str(),
        engine.as_str(),
        after.unwrap_or_default(),
        limit(rows),
    );
    docs(conn, ROLE, sql, params)
}
