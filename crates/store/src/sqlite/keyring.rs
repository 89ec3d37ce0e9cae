//! The keyring's wrapped keys.

use rusqlite::Connection;
use scaivault_core::ports::RecordKind;
use scaivault_core::seal::KeyRecord;

use super::row::{Read, delete_one, int, rows, write};
use crate::refusal::Refusal;
use crate::rows::decode_key;

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
    rows(conn, "SELECT id, doc FROM keyring ORDER BY id", [], |row| {
        let text = |at| row.get_ref(at).ok().and_then(|value| value.as_str().ok());
        decode_key(text(0).unwrap_or("?"), text(1).unwrap_or_default())
    })
}
