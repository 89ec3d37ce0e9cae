//! Secrets' heads and their tags. Lists walk the paths in order; those by tag or by end walk an
//! index of their own, so a filter that finds little reads little.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;
use scaivault_core::ids::{SecretPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{Ground, RecordKind, SecretFilter, Served};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{SealedVersion, SecretHead, SecretType, Version};
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{
    PATHS_END, Read, decode, delete_one, doc, docs, int, limit, readable_docs, rows, uint,
    undecodable, unreadable, write,
};
use super::{assignment, version};
use crate::refusal::Refusal;

const TABLE: &str = "secret";

pub(crate) fn put(conn: &Conn, head: &SecretHead, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        head.revision,
        "INSERT INTO secret (tenant, path, revision, secret_type, current_version, expires_at,
                             recoverable_until, secret_policy_id, doc, notice_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        "UPDATE secret SET revision = ?3, secret_type = ?4, current_version = ?5, expires_at = ?6,
                           recoverable_until = ?7, secret_policy_id = ?8, doc = ?9, notice_at = ?10
         WHERE tenant = ?1 AND path = ?2 AND revision = ?3 - 1",
        (
            head.tenant.as_str(),
            head.path.as_str(),
            int(head.revision),
            head.secret_type.as_str(),
            int(head.current_version),
            head.expires_at.map(Timestamp::as_micros),
            head.recoverable_until.map(Timestamp::as_micros),
            head.secret_policy_id.as_ref().map(SecretPolicyId::as_str),
            json,
            head.notice_at().map(Timestamp::as_micros),
        ),
    )?
    .or_conflict(RecordKind::Secret)?;
    if head.revision > 1 {
        delete_tags(conn, head)?;
    }
    for tag in &head.metadata.tags {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO secret_tag (tenant, path, tag) VALUES (?1, ?2, ?3)",
        )?
        .execute((head.tenant.as_str(), head.path.as_str(), tag))?;
    }
    Ok(())
}

pub(crate) fn delete(conn: &Conn, head: &SecretHead) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Secret,
        "DELETE FROM secret WHERE tenant = ?1 AND path = ?2 AND revision = ?3",
        (head.tenant.as_str(), head.path.as_str(), int(head.revision)),
    )?;
    delete_tags(conn, head)
}

/// With its versions, its ledger and its assignment. Its sequence of events stays: a secret made
/// anew at this path goes on counting.
pub(crate) fn erase(conn: &Conn, head: &SecretHead) -> Result<(), Refusal> {
    delete(conn, head)?;
    for sql in [
        "DELETE FROM version WHERE tenant = ?1 AND path = ?2",
        "DELETE FROM consumer WHERE tenant = ?1 AND path = ?2",
        "DELETE FROM assignment WHERE tenant = ?1 AND path = ?2",
    ] {
        conn.prepare_cached(sql)?
            .execute((head.tenant.as_str(), head.path.as_str()))?;
    }
    Ok(())
}

fn delete_tags(conn: &Conn, head: &SecretHead) -> Result<(), Refusal> {
    conn.prepare_cached("DELETE FROM secret_tag WHERE tenant = ?1 AND path = ?2")?
        .execute((head.tenant.as_str(), head.path.as_str()))?;
    Ok(())
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>> {
    let sql = "SELECT tenant, path, doc FROM secret WHERE tenant = ?1 AND path = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), path.as_str()))
}

/// The head and one version with its value, in one statement.
pub(crate) fn open(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
    version: Option<u64>,
) -> Read<Option<(SecretHead, Option<SealedVersion>)>> {
    let sql =
        "SELECT s.tenant, s.path, s.doc, v.tenant, v.path || '#' || v.version, v.doc, v.sealed
               FROM secret s LEFT JOIN version v ON v.tenant = s.tenant AND v.path = s.path
                    AND v.version = coalesce(?3, s.current_version)
               WHERE s.tenant = ?1 AND s.path = ?2";
    let asked = version;
    let mut statement = conn.prepare_cached(sql).map_err(unreadable)?;
    statement
        .query_row((tenant.as_str(), path.as_str(), version.map(int)), |row| {
            let opened = || {
                let head: SecretHead = decode(conn, TABLE, row, 0)?;
                if row.get_ref(4).map_err(unreadable)? == rusqlite::types::ValueRef::Null {
                    return Ok((head, None));
                }
                let version: Version = decode(conn, "version", row, 3)?;
                let wanted = asked.unwrap_or(head.current_version);
                let head = conn
                    .rows
                    .says(head, "current_version", |_| version.version == wanted)?;
                let sealed = row
                    .get(6)
                    .map_err(|_| undecodable("version", "sealed", row, 3))?;
                Ok((
                    head,
                    Some(SealedVersion {
                        version,
                        sealed: Sealed(sealed),
                    }),
                ))
            };
            Ok(opened())
        })
        .optional()
        .map_err(unreadable)?
        .transpose()
}

/// As [`open`], with the attached policy.
pub(crate) fn served(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
    version: Option<u64>,
) -> Read<Option<Served>> {
    let Some((head, version)) = open(conn, tenant, path, version)? else {
        return Ok(None);
    };
    Ok(Some(Served {
        head,
        version,
        policy_id: assignment::policy_of(conn, tenant, path)?,
    }))
}

/// What a write starts from.
pub(crate) fn ground(conn: &Conn, tenant: &TenantId, path: &SecretPath) -> Read<Ground> {
    Ok(Ground {
        head: find(conn, tenant, path)?,
        versions: version::list(conn, tenant, path)?,
        assignment: assignment::find(conn, tenant, path)?,
    })
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    filter: &SecretFilter,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<SecretHead>> {
    // The first path behind `after` is `after` with the least character behind it.
    let from = after.map(|after| format!("{after}\0")).unwrap_or_default();
    let from = from.as_str().max(filter.prefix.as_str());
    let until = format!("{}{PATHS_END}", filter.prefix);
    let secret_type = filter.secret_type.map(SecretType::as_str);
    let expires = filter.expires_before.map(Timestamp::as_micros);
    let common = (
        tenant.as_str(),
        from,
        until,
        secret_type,
        expires,
        filter.include_deleted,
    );
    let (tenant, from, until, secret_type, expires, deleted) = &common;
    let count = limit(rows);
    match &filter.tag {
        Some(tag) => docs(
            conn,
            TABLE,
            "SELECT s.tenant, s.path, s.doc FROM secret_tag t INDEXED BY secret_tag_path
             CROSS JOIN secret s ON s.tenant = t.tenant AND s.path = t.path
             WHERE t.tenant = ?1 AND t.tag = ?8 AND t.path >= ?2 AND t.path < ?3
               AND (?4 IS NULL OR s.secret_type = ?4)
               AND (?5 IS NULL OR s.expires_at <= ?5)
               AND (?6 OR s.recoverable_until IS NULL)
             ORDER BY t.path LIMIT ?7",
            (
                tenant,
                from,
                until,
                secret_type,
                expires,
                deleted,
                count,
                tag,
            ),
        ),
        None if expires.is_some() => docs(
            conn,
            TABLE,
            "SELECT tenant, path, doc FROM secret INDEXED BY secret_expires
             WHERE tenant = ?1 AND path >= ?2 AND path < ?3
               AND (?4 IS NULL OR secret_type = ?4)
               AND expires_at <= ?5
               AND (?6 OR recoverable_until IS NULL)
             ORDER BY path LIMIT ?7",
            (tenant, from, until, secret_type, expires, deleted, count),
        ),
        None => docs(
            conn,
            TABLE,
            "SELECT tenant, path, doc FROM secret
             WHERE tenant = ?1 AND path >= ?2 AND path < ?3
               AND (?4 IS NULL OR secret_type = ?4)
               AND (?5 OR recoverable_until IS NULL)
             ORDER BY path LIMIT ?6",
            (tenant, from, until, secret_type, deleted, count),
        ),
    }
}

/// Longest overdue first.
pub(crate) fn purgeable(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<SecretHead>> {
    let sql = "SELECT tenant, path, doc FROM secret INDEXED BY secret_deleted
               WHERE recoverable_until <= ?1
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
                     UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                               WHERE status = 'SUSPENDED')
               ORDER BY recoverable_until";
    readable_docs(conn, TABLE, sql, [now.as_micros()], rows)
}

/// Longest overdue first.
pub(crate) fn notice_due(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<SecretHead>> {
    let sql = "SELECT tenant, path, doc FROM secret INDEXED BY secret_notice
               WHERE notice_at <= ?1
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
                     UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                               WHERE status = 'SUSPENDED')
               ORDER BY notice_at";
    readable_docs(conn, TABLE, sql, [now.as_micros()], rows)
}

/// All of a tenant, less its deleted ones: both counted from an index, without a look at the rows.
pub(crate) fn counts(conn: &Conn) -> Read<BTreeMap<TenantId, u64>> {
    let sql = "SELECT tenant, count(*) FROM secret GROUP BY tenant";
    let deleted = "SELECT tenant, count(*) FROM secret INDEXED BY secret_deleted
                   WHERE recoverable_until IS NOT NULL GROUP BY tenant";
    let mut counts: BTreeMap<TenantId, u64> = count_by_tenant(conn, sql)?.into_iter().collect();
    for (tenant, gone) in count_by_tenant(conn, deleted)? {
        if let Some(count) = counts.get_mut(&tenant) {
            *count = count.saturating_sub(gone);
        }
    }
    counts.retain(|_, count| *count > 0);
    Ok(counts)
}

fn count_by_tenant(conn: &Conn, sql: &str) -> Read<Vec<(TenantId, u64)>> {
    rows(conn, sql, [], |row| {
        let tenant: String = row.get(0).map_err(unreadable)?;
        let tenant = TenantId::parse(&tenant).map_err(|_| undecodable(TABLE, "tenant", row, 0))?;
        Ok((tenant, uint(row.get(1).map_err(unreadable)?)))
    })
}
