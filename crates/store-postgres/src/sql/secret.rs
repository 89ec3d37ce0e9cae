//! Secrets' heads and their tags. Lists walk the paths in order; those by tag or by end walk an
//! index of their own.

use std::collections::BTreeMap;

use async_trait::async_trait;
use scaivault_core::ids::{RotationPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, Ground, RecordKind, SecretFilter, SecretReads, Served};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{SealedVersion, SecretHead, SecretType, Version};
use scaivault_core::time::Timestamp;

use super::assignment;
use super::plan::{encode, write};
use super::row::{PATHS_END, Read, count, decode, get, int, limit, undecodable};
use super::secret_policy::recipe;
use super::version;
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const TABLE: &str = "secret";

pub(crate) fn put(rows: &Rows, head: &SecretHead) -> Result<Vec<Step>, CommitError> {
    let mut steps =
        vec![step!(
        Expect::One(RecordKind::Secret),
        write(
            head.revision,
            "INSERT INTO secret (tenant, path, revision, secret_type, current_version, expires_at,
                                 recoverable_until, secret_policy_id, doc, notice_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            "UPDATE secret SET revision = $3, secret_type = $4, current_version = $5,
                               expires_at = $6, recoverable_until = $7, secret_policy_id = $8,
                               doc = $9, notice_at = $10
             WHERE tenant = $1 AND path = $2 AND revision = $3::bigint - 1",
        ),
        head.tenant.as_str().to_owned(),
        head.path.as_str().to_owned(),
        int(head.revision),
        head.secret_type.as_str(),
        int(head.current_version),
        head.expires_at.map(Timestamp::as_micros),
        head.recoverable_until.map(Timestamp::as_micros),
        recipe(head.secret_policy_id.as_ref()),
        encode(rows, head)?,
        head.notice_at().map(Timestamp::as_micros),
    )
    .or_many(write(
        head.revision,
        "INSERT INTO secret (tenant, path, revision, secret_type, current_version, expires_at,
                             recoverable_until, secret_policy_id, doc, notice_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
                              $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::bigint[])",
        "UPDATE secret s SET revision = r.revision, secret_type = r.secret_type,
                             current_version = r.current_version, expires_at = r.expires_at,
                             recoverable_until = r.recoverable_until,
                             secret_policy_id = r.secret_policy_id, doc = r.doc,
                             notice_at = r.notice_at
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
                     $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::bigint[])
              AS r (tenant, path, revision, secret_type, current_version, expires_at,
                    recoverable_until, secret_policy_id, doc, notice_at)
         WHERE s.tenant = r.tenant AND s.path = r.path AND s.revision = r.revision - 1",
    ))];
    if head.revision > 1 {
        steps.push(delete_tags(head));
    }
    let tags = head.metadata.tags.to_vec();
    if !tags.is_empty() {
        steps.push(step!(
            Expect::Any,
            "INSERT INTO secret_tag (tenant, path, tag)
             SELECT DISTINCT $1, $2, tag FROM unnest($3::text[]) AS tag ON CONFLICT DO NOTHING",
            head.tenant.as_str().to_owned(),
            head.path.as_str().to_owned(),
            tags,
        ));
    }
    Ok(steps)
}

pub(crate) fn delete(head: &SecretHead) -> [Step; 2] {
    let gone = step!(
        Expect::One(RecordKind::Secret),
        "DELETE FROM secret WHERE tenant = $1 AND path = $2 AND revision = $3",
        head.tenant.as_str().to_owned(),
        head.path.as_str().to_owned(),
        int(head.revision),
    );
    [gone, delete_tags(head)]
}

/// With its versions, its ledger and its assignment. Its sequence of events stays: a secret made
/// anew at this path goes on counting.
pub(crate) fn erase(head: &SecretHead) -> Vec<Step> {
    let mut steps = Vec::from(delete(head));
    for sql in [
        "DELETE FROM version WHERE tenant = $1 AND path = $2",
        "DELETE FROM consumer WHERE tenant = $1 AND path = $2",
        "DELETE FROM assignment WHERE tenant = $1 AND path = $2",
    ] {
        steps.push(of_path(head, sql));
    }
    steps
}

fn delete_tags(head: &SecretHead) -> Step {
    let sql = "DELETE FROM secret_tag WHERE tenant = $1 AND path = $2";
    of_path(head, sql).or_many(
        "DELETE FROM secret_tag t USING unnest($1::text[], $2::text[]) AS r (tenant, path)
         WHERE t.tenant = r.tenant AND t.path = r.path",
    )
}

fn of_path(head: &SecretHead, sql: &'static str) -> Step {
    let (tenant, path) = (head.tenant.as_str(), head.path.as_str());
    step!(Expect::Any, sql, tenant.to_owned(), path.to_owned())
}

/// The head, a version and the attached policy, in one statement.
pub(crate) async fn served(
    store: &PostgresStore,
    tenant: &TenantId,
    path: &SecretPath,
    version: Option<u64>,
) -> Read<Option<Served>> {
    let sql = "SELECT s.tenant, s.path, s.doc, v.tenant, v.path || '#' || v.version, v.doc,
                      v.sealed, a.policy_id
               FROM secret s
               LEFT JOIN version v ON v.tenant = s.tenant AND v.path = s.path
                    AND v.version = coalesce($3::bigint, s.current_version)
               LEFT JOIN assignment a ON a.tenant = s.tenant AND a.path = s.path
               WHERE s.tenant = $1 AND s.path = $2";
    let (rows_of, asked) = (&store.shared.rows, version);
    let (tenant, path, version) = (tenant.as_str(), path.as_str(), version.map(int));
    let rows = store.rows(sql, &[&tenant, &path, &version]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let policy: Option<&str> = get(row, 7)?;
    let policy_id = policy.map(|id| {
        RotationPolicyId::parse(id).map_err(|_| undecodable("assignment", "policy_id", row, 0))
    });
    let version = match get::<Option<&str>>(row, 4)? {
        None => None,
        Some(_) => Some(SealedVersion {
            version: decode(rows_of, "version", row, 3)?,
            sealed: row
                .try_get(6)
                .map(Sealed)
                .map_err(|_| undecodable("version", "sealed", row, 3))?,
        }),
    };
    let head: SecretHead = decode(rows_of, TABLE, row, 0)?;
    let wanted = asked.unwrap_or(head.current_version);
    let is_wanted = |found: &SealedVersion| found.version.version == wanted;
    let says = |_: &SecretHead| version.as_ref().is_none_or(is_wanted);
    Ok(Some(Served {
        head: rows_of.says(head, "current_version", says)?,
        version,
        policy_id: policy_id.transpose()?,
    }))
}

/// What a write starts from, in one statement: a row for each version, the rest in every one.
pub(crate) async fn ground(
    store: &PostgresStore,
    tenant: &TenantId,
    path: &SecretPath,
) -> Read<Ground> {
    let sql = "SELECT s.tenant, s.path, s.doc, v.tenant, v.path || '#' || v.version, v.doc,
                      a.tenant, a.path, a.doc, a.revision, a.claimed_until, a.wake_at
               FROM (SELECT $1::text AS tenant, $2::text AS path) q
               LEFT JOIN secret s ON s.tenant = q.tenant AND s.path = q.path
               LEFT JOIN assignment a ON a.tenant = q.tenant AND a.path = q.path
               LEFT JOIN version v ON v.tenant = q.tenant AND v.path = q.path
               ORDER BY v.version DESC";
    let rows = store.rows(sql, &[&tenant.as_str(), &path.as_str()]).await?;
    let rows_of = &store.shared.rows;
    let mut ground = Ground::default();
    let Some(row) = rows.first() else {
        return Ok(ground);
    };
    if get::<Option<&str>>(row, 0)?.is_some() {
        ground.head = Some(decode(rows_of, TABLE, row, 0)?);
    }
    if get::<Option<&str>>(row, 6)?.is_some() {
        ground.assignment = Some(decode(rows_of, assignment::TABLE, row, 6)?);
    }
    for row in &rows {
        if get::<Option<&str>>(row, 4)?.is_some() {
            ground.versions.push(decode(rows_of, "version", row, 3)?);
        }
    }
    Ok(ground)
}

#[async_trait]
impl SecretReads for PostgresStore {
    async fn secret_find(&self, tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>> {
        let sql = "SELECT tenant, path, doc FROM secret WHERE tenant = $1 AND path = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &path.as_str()])
            .await
    }

    /// In one statement: the head and the value are of one moment.
    async fn secret_open(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<(SecretHead, Option<SealedVersion>)>> {
        let served = served(self, tenant, path, version).await?;
        Ok(served.map(|served| (served.head, served.version)))
    }

    async fn secret_list(
        &self,
        tenant: &TenantId,
        filter: &SecretFilter,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<SecretHead>> {
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        let from = filter.prefix.as_str();
        let until = format!("{from}{PATHS_END}");
        let secret_type = filter.secret_type.map(SecretType::as_str);
        let deleted = filter.include_deleted;
        let expires = filter.expires_before.map(Timestamp::as_micros);
        let count = limit(rows);
        if let Some(tag) = &filter.tag {
            let sql = "SELECT s.tenant, s.path, s.doc FROM secret_tag t
                       JOIN secret s ON s.tenant = t.tenant AND s.path = t.path
                       WHERE t.tenant = $1 AND t.tag = $9 AND t.path >= $2 AND t.path < $3
                         AND t.path > $4
                         AND ($5::text IS NULL OR s.secret_type = $5)
                         AND ($6::bigint IS NULL OR s.expires_at <= $6)
                         AND ($7::boolean OR s.recoverable_until IS NULL)
                       ORDER BY t.path LIMIT $8";
            return self
                .docs(
                    TABLE,
                    sql,
                    &[
                        &tenant,
                        &from,
                        &until,
                        &after,
                        &secret_type,
                        &expires,
                        &deleted,
                        &count,
                        tag,
                    ],
                )
                .await;
        }
        if expires.is_some() {
            let sql = "SELECT tenant, path, doc FROM secret
                       WHERE tenant = $1 AND path >= $2 AND path < $3 AND path > $4
                         AND ($5::text IS NULL OR secret_type = $5)
                         AND expires_at <= $6
                         AND ($7::boolean OR recoverable_until IS NULL)
                       ORDER BY path LIMIT $8";
            return self
                .docs(
                    TABLE,
                    sql,
                    &[
                        &tenant,
                        &from,
                        &until,
                        &after,
                        &secret_type,
                        &expires,
                        &deleted,
                        &count,
                    ],
                )
                .await;
        }
        let sql = "SELECT tenant, path, doc FROM secret
                   WHERE tenant = $1 AND path >= $2 AND path < $3 AND path > $4
                     AND ($5::text IS NULL OR secret_type = $5)
                     AND ($6::boolean OR recoverable_until IS NULL)
                   ORDER BY path LIMIT $7";
        self.docs(
            TABLE,
            sql,
            &[
                &tenant,
                &from,
                &until,
                &after,
                &secret_type,
                &deleted,
                &count,
            ],
        )
        .await
    }

    async fn version_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>> {
        let (tenant, path) = (tenant.as_str(), path.as_str());
        self.docs("version", version::LIST, &[&tenant, &path]).await
    }

    /// Longest overdue first.
    async fn secret_purgeable(&self, now: Timestamp, rows: usize) -> Read<Vec<SecretHead>> {
        let sql = "SELECT tenant, path, doc FROM secret
                   WHERE recoverable_until <= $1
                     AND secret.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
                         UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                                   WHERE status = 'SUSPENDED')
                   ORDER BY recoverable_until LIMIT $2 OFFSET $3";
        self.readable_docs(TABLE, sql, &[&now.as_micros()], rows)
            .await
    }

    /// Longest overdue first.
    async fn secret_notice_due(&self, now: Timestamp, rows: usize) -> Read<Vec<SecretHead>> {
        let sql = "SELECT tenant, path, doc FROM secret
                   WHERE notice_at <= $1
                     AND secret.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
                         UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                                   WHERE status = 'SUSPENDED')
                   ORDER BY notice_at LIMIT $2 OFFSET $3";
        self.readable_docs(TABLE, sql, &[&now.as_micros()], rows)
            .await
    }

    async fn secret_counts(&self) -> Read<BTreeMap<TenantId, u64>> {
        let sql = "SELECT tenant, count(*) FROM secret
                   WHERE recoverable_until IS NULL GROUP BY tenant";
        let mut counts = BTreeMap::new();
        for row in self.rows(sql, &[]).await? {
            let tenant: &str = get(&row, 0)?;
            let tenant =
                TenantId::parse(tenant).map_err(|_| undecodable(TABLE, "tenant", &row, 0))?;
            counts.insert(tenant, count(&row, 1)?);
        }
        Ok(counts)
    }
}
