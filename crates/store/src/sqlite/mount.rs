//! Mounts, and what tokens keep for themselves.

use rusqlite::Connection;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::mount::Mount;
use scaivault_core::ports::RecordKind;

use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const MOUNT: &str = "mount";
const CUBBY: &str = "cubby";

pub(crate) fn put(conn: &Connection, row: &Mount, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO mount (tenant, path, revision, doc) VALUES (?1, ?2, ?3, ?4)",
        "UPDATE mount SET revision = ?3, doc = ?4
         WHERE tenant = ?1 AND path = ?2 AND revision = ?3 - 1",
        (
            row.tenant.as_str(),
            row.path.as_str(),
            int(row.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Mount)
}

pub(crate) fn delete(conn: &Connection, row: &Mount) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Mount,
        "DELETE FROM mount WHERE tenant = ?1 AND path = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.path.as_str(), int(row.revision)),
    )
}

/// By path.
pub(crate) fn list(conn: &Connection, tenant: &TenantId) -> Read<Vec<Mount>> {
    let sql = "SELECT tenant, path, doc FROM mount WHERE tenant = ?1 ORDER BY path";
    docs(conn, MOUNT, sql, (tenant.as_str(),))
}

pub(crate) fn put_cubby(conn: &Connection, row: &CubbyItem, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO cubby (tenant, token_id, path, revision, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE cubby SET revision = ?4, doc = ?5
         WHERE tenant = ?1 AND token_id = ?2 AND path = ?3 AND revision = ?4 - 1",
        (
            row.tenant.as_str(),
            row.token_id.as_str(),
            row.path.as_str(),
            int(row.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Cubby)
}

pub(crate) fn delete_cubby(conn: &Connection, row: &CubbyItem) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Cubby,
        "DELETE FROM cubby WHERE tenant = ?1 AND token_id = ?2 AND path = ?3 AND revision = ?4",
        (
            row.tenant.as_str(),
            row.token_id.as_str(),
            row.path.as_str(),
            int(row.revision),
        ),
    )
}

pub(crate) fn find_cubby(
    conn: &Connection,
    tenant: &TenantId,
    token: &TokenId,
    path: &str,
) -> Read<Option<CubbyItem>> {
    let sql = "SELECT token_id, path, doc FROM cubby
               WHERE tenant = ?1 AND token_id = ?2 AND path = ?3";
    doc(conn, CUBBY, sql, (tenant.as_str(), token.as_str(), path))
}

/// By path.
pub(crate) fn list_cubby(
    conn: &Connection,
    tenant: &TenantId,
    token: &TokenId,
    rows: usize,
) -> Read<Vec<CubbyItem>> {
    let sql = "SELECT token_id, path, doc FROM cubby
               WHERE tenant = ?1 AND token_id = ?2 ORDER BY path LIMIT ?3";
    docs(
        conn,
        CUBBY,
        sql,
        (tenant.as_str(), token.as_str(), limit(rows)),
    )
}
