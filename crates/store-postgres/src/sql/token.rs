//! Tokens' records. No two have one hash.

use async_trait::async_trait;
use scaivault_core::identity::{Token, TokenHash};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::{CommitError, RecordKind, TokenReads};
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "token";

pub(crate) fn put(rows: &Rows, token: &Token) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Token, "hash", "token_hash"),
        write(
            token.revision,
            "INSERT INTO token (tenant, id, revision, hash, doc, parent, wake_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            "UPDATE token SET revision = $3, hash = $4, doc = $5, parent = $6, wake_at = $7
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        token.tenant.as_str().to_owned(),
        token.id.as_str().to_owned(),
        int(token.revision),
        token.hash.0.to_vec(),
        encode(rows, token)?,
        token
            .living_parent()
            .map(|parent| parent.as_str().to_owned()),
        token.wake_at.map(Timestamp::as_micros),
    )
    .or_many(write(
        token.revision,
        "INSERT INTO token (tenant, id, revision, hash, doc, parent, wake_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[],
                              $6::text[], $7::bigint[])",
        "UPDATE token t SET revision = r.revision, hash = r.hash, doc = r.doc, parent = r.parent,
             wake_at = r.wake_at
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[],
                     $7::bigint[])
              AS r (tenant, id, revision, hash, doc, parent, wake_at)
         WHERE t.tenant = r.tenant AND t.id = r.id AND t.revision = r.revision - 1",
    )))
}

pub(crate) fn delete(token: &Token) -> Step {
    step!(
        Expect::One(RecordKind::Token),
        "DELETE FROM token WHERE tenant = $1 AND id = $2 AND revision = $3",
        token.tenant.as_str().to_owned(),
        token.id.as_str().to_owned(),
        int(token.revision),
    )
}

#[async_trait]
impl TokenReads for PostgresStore {
    async fn token_by_hash(&self, hash: &TokenHash) -> Read<Option<Token>> {
        let sql = "SELECT tenant, id, doc FROM token WHERE hash = $1";
        let found: Option<Token> = self.doc(TABLE, sql, &[&hash.0.as_slice()]).await?;
        let says = |row: Token| self.shared.rows.says(row, "hash", |row| row.hash == *hash);
        found.map(says).transpose()
    }

    async fn token_find(&self, tenant: &TenantId, id: &TokenId) -> Read<Option<Token>> {
        let sql = "SELECT tenant, id, doc FROM token WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn token_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Token>> {
        let sql = "SELECT tenant, id, doc FROM token WHERE tenant = $1 AND id > $2
                   ORDER BY id LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &after, &limit(rows)])
            .await
    }

    async fn token_children(
        &self,
        tenant: &TenantId,
        parent: &TokenId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Token>> {
        let sql = "SELECT tenant, id, doc FROM token
                   WHERE tenant = $1 AND parent = $2 AND id > $3 ORDER BY id LIMIT $4";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(
            TABLE,
            sql,
            &[&tenant, &parent.as_str(), &after, &limit(rows)],
        )
        .await
    }

    async fn token_due(&self, now: Timestamp, rows: usize) -> Read<Vec<Token>> {
        let sql = "SELECT tenant, id, doc FROM token WHERE wake_at <= $1
                   ORDER BY wake_at LIMIT $2 OFFSET $3";
        self.readable_docs(TABLE, sql, &[&now.as_micros()], rows)
            .await
    }
}
