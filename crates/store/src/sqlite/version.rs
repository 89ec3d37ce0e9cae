//! Versions. The value is written once, with the row, and never changed; state changes write the
//! rest of the row.

use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::RecordKind;
use scaivault_core::secret::{SealedVersion, Version};

use super::conn::Conn;
use super::row::{Read, Written, delete_one, docs, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "version";

/// A state change. Only [`insert`] makes a row: one put with revision 1 would have no value.
pub(crate) fn put(conn: &Conn, version: &Version, json: &str) -> Result<(), Refusal> {
    let update = "UPDATE version SET revision = ?4, doc = ?5
                  WHERE tenant = ?1 AND path = ?2 AND version = ?3 AND revision = ?4 - 1";
    if version.revision <= 1 {
        return Err(Refusal::Conflict(RecordKind::Version));
    }
    write(
        conn,
        version.revision,
        update,
        update,
        (
            version.tenant.as_str(),
            version.path.as_str(),
            int(version.version),
            int(version.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Version)
}

pub(crate) fn insert(conn: &Conn, sealed: &SealedVersion, json: &str) -> Result<(), Refusal> {
    let version = &sealed.version;
    let insert = "INSERT INTO version (tenant, path, version, revision, doc, sealed)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let written = match version.revision {
        1 => write(
            conn,
            1,
            insert,
            insert,
            (
                version.tenant.as_str(),
                version.path.as_str(),
                int(version.version),
                1,
                json,
                &sealed.sealed.0,
            ),
        )?,
        _ => Written::Stale,
    };
    written.or_conflict(RecordKind::Version)
}

pub(crate) fn delete(conn: &Conn, version: &Version) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Version,
        "DELETE FROM version
         WHERE tenant = ?1 AND path = ?2 AND version = ?3 AND revision = ?4",
        (
            version.tenant.as_str(),
            version.path.as_str(),
            int(version.version),
            int(version.revision),
        ),
    )
}

/// Removing what is not there succeeds.
pub(crate) fn remove(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
    version: u64,
) -> Result<(), Refusal> {
    conn.prepare_cached("DELETE FROM version WHERE tenant = ?1 AND path = ?2 AND version = ?3")?
        .execute((tenant.as_str(), path.as_str(), int(version)))?;
    Ok(())
}

/// Newest first.
pub(crate) fn list(conn: &Conn, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>> {
    let sql = "SELECT tenant, path || '#' || version, doc FROM version
               WHERE tenant = ?1 AND path = ?2 ORDER BY version DESC";
    docs(conn, TABLE, sql, (tenant.as_str(), path.as_str()))
}
