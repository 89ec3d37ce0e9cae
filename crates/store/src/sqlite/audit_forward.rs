//! How far the trail was handed over to collectors.

use scaivault_core::audit_forward::AuditForward;
use scaivault_core::ports::RecordKind;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "audit_forward";

pub(crate) fn put(conn: &Conn, row: &AuditForward, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO audit_forward (name, revision, doc) VALUES (?1, ?2, ?3)",
        "UPDATE audit_forward SET revision = ?2, doc = ?3 WHERE name = ?1 AND revision = ?2 - 1",
        (row.name.as_str(), int(row.revision), json),
    )?
    .or_conflict(RecordKind::AuditForward)
}

pub(crate) fn delete(conn: &Conn, row: &AuditForward) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::AuditForward,
        "DELETE FROM audit_forward WHERE name = ?1 AND revision = ?2",
        (row.name.as_str(), int(row.revision)),
    )
}

pub(crate) fn find(conn: &Conn, name: &str) -> Read<Option<AuditForward>> {
    let sql = "SELECT 'audit_forward', name, doc FROM audit_forward WHERE name = ?1";
    doc(conn, TABLE, sql, [name])
}
