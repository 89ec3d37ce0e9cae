//! The consumer ledger.

use std::collections::BTreeMap;

use async_trait::async_trait;
use scaivault_core::consumer::{Consumer, ConsumerRead, ConsumerReport};
use scaivault_core::identity::Identity;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::ConsumerReads;
use scaivault_core::time::Timestamp;
use tokio_postgres::Row;

use super::row::{Read, count, get, int, limit, time, undecodable};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

const TABLE: &str = "consumer";

/// Reads of one transaction, one line for each consumer and version, in the order of the ledger's
/// key: transactions of two nodes never wait for each other crosswise.
#[derive(Debug, Default)]
pub(crate) struct ReadLines(BTreeMap<(String, String, i64, String), Line>);

/// First and last read in the transaction, and how old what is stored may be, in microseconds.
#[derive(Debug)]
struct Line {
    first: i64,
    last: i64,
    resolution: i64,
}

impl ReadLines {
    pub(crate) fn add(&mut self, read: &ConsumerRead) {
        let at = read.at.as_micros();
        let key = (
            read.tenant.as_str().to_owned(),
            read.path.as_str().to_owned(),
            int(read.version),
            read.consumer.as_str().to_owned(),
        );
        let resolution = i64::try_from(read.resolution().as_micros()).unwrap_or(i64::MAX);
        let line = self.0.entry(key).or_insert(Line {
            first: at,
            last: at,
            resolution,
        });
        line.last = line.last.max(at);
        line.resolution = line.resolution.min(resolution);
    }

    /// Writes them: the first read of a version at once, a later one when what is stored is older
    /// than the resolution. Times never go back. `None` when there are none.
    pub(crate) fn take(&mut self) -> Option<Step> {
        if self.0.is_empty() {
            return None;
        }
        let (mut tenants, mut paths, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut names, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
        let mut resolutions = Vec::new();
        for ((tenant, path, version, name), line) in std::mem::take(&mut self.0) {
            tenants.push(tenant);
            paths.push(path);
            versions.push(version);
            names.push(name);
            firsts.push(line.first);
            lasts.push(line.last);
            resolutions.push(line.resolution);
        }
        Some(step!(
            Expect::Any,
            "INSERT INTO consumer (tenant, path, version, consumer, first_read_at, last_read_at)
             SELECT r.tenant, r.path, r.version, r.consumer, r.first_at, r.last_at
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
                         $6::bigint[], $7::bigint[])
                  AS r (tenant, path, version, consumer, first_at, last_at, resolution)
             WHERE coalesce((
                 SELECT c.last_read_at <= r.last_at - r.resolution FROM consumer c
                 WHERE c.tenant = r.tenant AND c.path = r.path AND c.version = r.version
                   AND c.consumer = r.consumer), true)
             ON CONFLICT (tenant, path, version, consumer) DO UPDATE
             SET last_read_at = greatest(consumer.last_read_at, excluded.last_read_at)",
            tenants,
            paths,
            versions,
            names,
            firsts,
            lasts,
            resolutions,
        ))
    }
}

/// Writes what a consumer says. Times never go back.
pub(crate) fn report(report: &ConsumerReport) -> Step {
    let at = report.at.as_micros();
    step!(
        Expect::Any,
        "INSERT INTO consumer (tenant, path, version, consumer, first_read_at, last_read_at,
                               applied_at, failed_at, detail)
         VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)
         ON CONFLICT (tenant, path, version, consumer)
         DO UPDATE SET applied_at = coalesce(excluded.applied_at, consumer.applied_at),
                       failed_at = coalesce(excluded.failed_at, consumer.failed_at),
                       detail = excluded.detail",
        report.tenant.as_str().to_owned(),
        report.path.as_str().to_owned(),
        int(report.version),
        report.consumer.as_str().to_owned(),
        at,
        report.applied.then_some(at),
        (!report.applied).then_some(at),
        report.detail.clone(),
    )
}

/// A line selected as `path, consumer, version, first_read_at, last_read_at, applied_at,
/// failed_at, detail`.
fn line(row: &Row) -> Read<Consumer> {
    let name: &str = get(row, 1)?;
    let at = |column| get(row, column).map(Timestamp::from_micros);
    Ok(Consumer {
        consumer: Identity::parse_in_ledger(name)
            .map_err(|_| undecodable(TABLE, "consumer", row, 0))?,
        version: count(row, 2)?,
        first_read_at: at(3)?,
        last_read_at: at(4)?,
        applied_at: time(row, 5)?,
        failed_at: time(row, 6)?,
        detail: get(row, 7)?,
    })
}

#[async_trait]
impl ConsumerReads for PostgresStore {
    /// By version, newest first, and consumer.
    async fn consumer_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>> {
        let sql = "SELECT path, consumer, version, first_read_at, last_read_at, applied_at,
                          failed_at, detail
                   FROM consumer
                   WHERE tenant = $1 AND path = $2 ORDER BY version DESC, consumer";
        let rows = self.rows(sql, &[&tenant.as_str(), &path.as_str()]).await?;
        rows.iter().map(line).collect()
    }

    async fn consumer_reads(
        &self,
        tenant: &TenantId,
        who: &Identity,
        after: Option<&str>,
        paths: usize,
    ) -> Read<Vec<(SecretPath, Consumer)>> {
        let sql = "SELECT path, consumer, version, first_read_at, last_read_at, applied_at,
                          failed_at, detail
                   FROM consumer
                   WHERE tenant = $1 AND consumer = $2 AND path IN (
                       SELECT DISTINCT path FROM consumer
                       WHERE tenant = $1 AND consumer = $2 AND path > $3
                       ORDER BY path LIMIT $4)
                   ORDER BY path, version DESC";
        let key = (tenant.as_str(), who.as_str(), after.unwrap_or_default());
        let rows = self
            .rows(sql, &[&key.0, &key.1, &key.2, &limit(paths)])
            .await?;
        let lines = rows.iter().map(|row| {
            let path: &str = get(row, 0)?;
            let path = SecretPath::parse(path).map_err(|_| undecodable(TABLE, "path", row, 0))?;
            Ok((path, line(row)?))
        });
        lines.collect()
    }
}
