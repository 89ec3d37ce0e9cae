//! Tokens' records. No two have one hash.

use scaivault_core::identity::{Token, TokenHash};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, number, readable_docs, write};
use crate::refusal::Refusal;

const TABLE: &str = "token";

pub(crate) fn put(conn: &Conn, token: &Token, json: &str) -> Result<(), Refusal> {
    let key = (token.tenant.as_str(), token.id.as_str());
    write(
        conn,
        token.revision,
        "INSERT INTO token (tenant, id, revision, hash, doc, parent, wake_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "UPDATE token SET revision = ?3, hash = ?4, doc = ?5, parent = ?6, wake_at = ?7
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            key.0,
            key.1,
            int(token.revision),
            &token.hash.0[..],
            json,
            token.living_parent().map(TokenId::as_str),
            token.wake_at.map(Timestamp::as_micros),
        ),
    )?
    .or_duplicate(
        conn,
        RecordKind::Token,
        "hash",
        token.revision,
        "SELECT 1 FROM token WHERE tenant = ?1 AND id = ?2",
        key,
    )
}

pub(crate) fn delete(conn: &Conn, token: &Token) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Token,
        "DELETE FROM token WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            token.tenant.as_str(),
            token.id.as_str(),
            int(token.revision),
        ),
    )
}

pub(crate) fn by_hash(conn: &Conn, hash: &TokenHash) -> Read<Option<Token>> {
    let sql = "SELECT tenant, id, doc FROM token WHERE hash = ?1";
    let found: Option<Token> = doc(conn, TABLE, sql, [&hash.0[..]])?;
    let says = |token: Token| conn.rows.says(token, "hash", |token| token.hash == *hash);
    found.map(says).transpose()
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &TokenId) -> Read<Option<Token>> {
    let sql = "SELECT tenant, id, doc FROM token WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Token>> {
    let sql = "SELECT tenant, id, doc FROM token WHERE tenant = ?1 AND id > ?2
               ORDER BY id LIMIT ?3";
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), after.unwrap_or_default(), limit(rows)),
    )
}

pub(crate) fn children(
    conn: &Conn,
    tenant: &TenantId,
    parent: &TokenId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Token>> {
    let sql = "SELECT tenant, id, doc FROM token INDEXED BY token_of_parent
               WHERE tenant = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), parent.as_str(), after, limit(rows)),
    )
}

pub(crate) fn due(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<Token>> {
    let sql = "SELECT tenant, id, doc FROM token INDEXED BY token_wake
               WHERE wake_at <= ?1 ORDER BY wake_at";
    readable_docs(conn, TABLE, sql, [now.as_micros()], rows)
}

/// Whether there is one at all.
pub(crate) fn any(conn: &Conn) -> Read<bool> {
    Ok(number(
        conn,
        "SELECT count(*) FROM (SELECT 1 FROM token LIMIT 1)",
        [],
    )? == Some(1))
}
