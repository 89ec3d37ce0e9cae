//! `scaivault audit tail`: the newest rows, oldest first, and those that follow.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use scaivault_api::audit::{AuditLogs, AuditRow};
use scaivault_client::AuditQuery;

use crate::commands::Session;
use crate::listing;
use crate::table::{or_dash, plain};

/// A row is on the trail when its commit is: at most so long after the time it carries.
const LATE: SignedDuration = SignedDuration::from_secs(30);
/// What every look leaves behind itself.
const OWN_LOOKS: &str = "audit_query";

#[derive(Args)]
pub(crate) struct Tail {
    /// Go on with rows as they come, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Rows to begin with
    #[arg(short = 'n', value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only of this identity, such as sa:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<String>,
    /// Only these actions, such as read,write; looks at the trail itself only if named here
    #[arg(long, value_name = "ACTIONS")]
    action: Option<String>,
    /// Only what was refused or failed
    #[arg(long)]
    failed: bool,
    /// With --follow: seconds between two looks
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Tail {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let wants_looks = self.action.is_some();
        let query = AuditQuery {
            action: self.action,
            identity_id: self.identity,
            path_prefix: self.path,
            success: self.failed.then_some(false),
            ..AuditQuery::default()
        };
        // Own looks are left out of the rows asked for: some more are fetched for them.
        let first = self
            .rows
            .saturating_mul(if wants_looks { 1 } else { 4 })
            .max(1);
        let mut shown = Shown::default();
        let began = server_time(session).await?;
        let rows = rows(session, &query, Some(first)).await?;
        let skip = |row: &AuditRow| !wants_looks && row.action == OWN_LOOKS;
        let mut fresh = shown.fresh(rows, skip);
        fresh.drain(..fresh.len().saturating_sub(self.rows));
        show(session, &fresh)?;
        if !self.follow {
            return Ok(());
        }
        let mut last = began;
        loop {
            tokio::time::sleep(Duration::from_secs(self.every)).await;
            let query = AuditQuery {
                from: Some(last.saturating_sub(LATE)?.to_string()),
                ..query.clone()
            };
            let now = server_time(session).await?;
            let fresh = shown.fresh(rows_of(session, &query).await?, skip);
            show(session, &fresh)?;
            last = now;
        }
    }
}

/// The server's time: rows carry it, and this machine's clock may be wrong.
async fn server_time(session: &Session) -> anyhow::Result<Timestamp> {
    let health = session.client.system().health().json().await?.parse()?;
    let time: Option<Timestamp> = health.timestamp.parse().ok();
    time.context("the server does not tell its time")
}

/// Rows shown, as far back as further looks may find them again.
#[derive(Default)]
struct Shown(HashSet<String>);

impl Shown {
    /// Those not shown yet, oldest first. What a look no longer finds is forgotten.
    fn fresh(&mut self, found: Vec<AuditRow>, skip: impl Fn(&AuditRow) -> bool) -> Vec<AuditRow> {
        let ids = found.iter().map(|row| row.id.clone()).collect();
        let before = std::mem::replace(&mut self.0, ids);
        let mut fresh: Vec<AuditRow> = found
            .into_iter()
            .filter(|row| !before.contains(&row.id) && !skip(row))
            .collect();
        fresh.sort_by(|a, b| (&a.timestamp, &a.id).cmp(&(&b.timestamp, &b.id)));
        fresh
    }
}

async fn rows(
    session: &Session,
    query: &AuditQuery,
    limit: Option<usize>,
) -> anyhow::Result<Vec<AuditRow>> {
    let query = AuditQuery {
        limit: limit.or(Some(1_000)).map(|limit| limit.min(1_000)),
        ..query.clone()
    };
    let pages: Vec<AuditLogs> = listing::collect(session.client.audit().logs(&query), limit)
        .await?
        .pages;
    Ok(pages.into_iter().flat_map(|page| page.logs).collect())
}

async fn rows_of(session: &Session, query: &AuditQuery) -> anyhow::Result<Vec<AuditRow>> {
    rows(session, query, None).await
}

fn show(session: &mut Session, rows: &[AuditRow]) -> anyhow::Result<()> {
    for row in rows {
        let text = match session.output.is_json() {
            true => serde_json::to_string(row)?,
            false => line(row),
        };
        session.output.line(&text)?;
    }
    Ok(())
}

fn line(row: &AuditRow) -> String {
    [
        row.timestamp.as_str(),
        &row.action,
        &row.identity_id,
        or_dash(row.secret_path.as_deref()),
        if row.success { "ok" } else { "refused" },
        or_dash(row.source_ip.as_deref()),
    ]
    .map(|field| plain(field).to_string())
    .join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, time: &str, action: &str) -> AuditRow {
        serde_json::from_value(serde_json::json!({
            "id": id, "timestamp": time, "action": action, "identity_type": "service_account",
            "identity_id": "sa:x", "secret_path": "a/b", "source_ip": null, "user_agent": null,
            "success": false, "duration_ms": 1, "request_id": "req_1", "extra_data": {}
        }))
        .expect("a row")
    }

    #[test]
    fn each_row_is_shown_once_in_the_order_of_time() {
        let mut shown = Shown::default();
        let ids = |rows: Vec<AuditRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        let skip = |row: &AuditRow| row.action == OWN_LOOKS;
        let first = vec![row("2", "t2", "read"), row("1", "t1", "read")];
        assert_eq!(ids(shown.fresh(first, skip)), ["1", "2"]);
        // One that was decided earlier and came later; what was shown; a look of our own.
        let next = vec![
            row("4", "t3", OWN_LOOKS),
            row("2", "t2", "read"),
            row("3", "t1", "write"),
        ];
        assert_eq!(ids(shown.fresh(next, skip)), ["3"]);
        assert_eq!(shown.0.len(), 3, "only what may come again is remembered");
    }

    #[test]
    fn a_line_cannot_be_forged() {
        let mut forged = row("1", "t", "read");
        forged.identity_id = "sa:x\n2026 read sa:y".to_owned();
        assert!(!line(&forged).contains('\n'));
    }
}
