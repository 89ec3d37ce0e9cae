//! The keyring's wrapped keys.

use rusqlite::Connection;
use scaivault_core::ports::RecordKind;
use scaivault_core::seal::KeyRecord;

use super::row::{Read, delete_one, docs, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "keyring";

pub(crate) fn put(conn: &Connection, key: &KeyRecord, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        key.revision,
        "INSERT INTO keyring (id, revision, doc) VALUES (?1, ?2, ?3)",
        "UPDATE keyring SET revision = ?2, doc = ?3 WHERE id = ?1 AND revision = ?2 - 1",
        (key.id.as_str(), int(key.revision), json),
    )?
    .or_conflict(RecordKind::Key)
}

pub(crate) fn delete(conn: &Connection, key: &KeyRecord) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Key,
        "DELETE FROM keyring WHERE id = ?1 AND revision = ?2",
        (key.id.as_str(), int(key.revision)),
    )
}

/// By id.
pub(crate) fn list(conn: &Connection) -> Read<Vec<KeyRecord>> {
    docs(
        conn,
        TABLE,
        "SELECT 'keyring', id, doc FROM keyring ORDER BY id",
        [],
    )
}
