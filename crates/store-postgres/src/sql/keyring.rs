//! The keyring's wrapped keys.

use std::sync::Arc;

use async_trait::async_trait;
use scaivault_core::ports::{CommitError, KeyReads, RecordKind};
use scaivault_core::seal::KeyRecord;
use scaivault_store::rows::{decode_key, encode_key};

use super::plan::write;
use super::row::{Read, get, int};
use crate::pool::Pool;
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

pub(crate) fn put(key: &KeyRecord) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Key),
        write(
            key.revision,
            "INSERT INTO keyring (id, revision, doc) VALUES ($1, $2, $3)",
            "UPDATE keyring SET revision = $2, doc = $3 WHERE id = $1 AND revision = $2::bigint - 1",
        ),
        key.id.as_str().to_owned(),
        int(key.revision),
        encode_key(key).map_err(CommitError::Unavailable)?,
    ))
}

pub(crate) fn delete(key: &KeyRecord) -> Step {
    step!(
        Expect::One(RecordKind::Key),
        "DELETE FROM keyring WHERE id = $1 AND revision = $2",
        key.id.as_str().to_owned(),
        int(key.revision),
    )
}

#[async_trait]
impl KeyReads for PostgresStore {
    /// By id.
    async fn key_list(&self) -> Read<Vec<KeyRecord>> {
        list(&self.pool).await
    }
}

pub(crate) async fn list(pool: &Arc<Pool>) -> Read<Vec<KeyRecord>> {
    let sql = "SELECT id, doc FROM keyring ORDER BY id";
    let rows = pool.query(sql, &[]).await?;
    let key = |row| decode_key(get(row, 0)?, get(row, 1)?);
    rows.iter().map(key).collect()
}
