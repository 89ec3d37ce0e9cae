//! What each transaction changed, for the other nodes. A row carries the number its transaction
//! gives the node's head row: a node's transactions follow one another, so whoever has seen a
//! number has seen all below it, which no sequence shared by the nodes could promise.

use std::collections::HashMap;

use scaivault_core::ports::{Changes, ReadError};
use tokio_postgres::Row;

use super::head::Head;
use super::row::{Read, get, int};
use crate::conn::Conn;
use crate::refusal::unreadable;
use crate::step::{Expect, Step, step};

/// Rows a node keeps for the others. Who comes later than that forgets everything.
const KEPT: u64 = 20_000;
/// After so many transactions the next one that tells something removes what is too old.
const PRUNE_EVERY: u64 = 1_024;

/// Where a change is told, to whom it may concern.
/// Nobody waits for a disk because of it.
pub(crate) const NEWS: &str = "BEGIN; SET LOCAL synchronous_commit = off;
    NOTIFY scaivault_changes; COMMIT";
pub(crate) const LISTEN: &str = "LISTEN scaivault_changes";

/// Everything after these numbers, by chain; of a chain without one, everything it ever told,
/// unless `$3`: then only the numbers. Chains that did not move have no row, so dead ones cost
/// nothing; the first columns of the base row, which is there always, are empty then. A chain that
/// is gone has a row without a number. One statement, so one look.
pub(crate) const LOOK: &str =
    "SELECT n.chain, n.batch, n.pruned, c.maker, c.changes, b.time, b.needs
    FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS time,
                 (SELECT max(needs) FROM schema_revision) AS needs) b
    LEFT JOIN (
        SELECT coalesce(h.chain, seen.chain) AS chain, h.batch, h.pruned,
               coalesce(seen.batch, 0) AS seen
        FROM store_head h
        FULL JOIN unnest($1::text[], $2::bigint[]) AS seen (chain, batch) ON seen.chain = h.chain
        WHERE h.batch IS DISTINCT FROM seen.batch) n ON true
    LEFT JOIN LATERAL (
        SELECT t.maker, t.changes FROM store_change t
        WHERE NOT $3::boolean AND t.chain = n.chain AND t.batch > n.seen ORDER BY t.batch) c
        ON true";

/// Whether any chain is behind these numbers, or gone.
const BEHIND: &str = "SELECT EXISTS (
        SELECT 1 FROM unnest($1::text[], $2::bigint[]) AS seen (chain, batch)
        LEFT JOIN store_head h ON h.chain = seen.chain
        WHERE h.batch IS NULL OR h.batch < seen.batch)";

/// Forgets what a chain told that stands still at a number. Whoever has seen less of it forgets
/// everything; in a new session everybody does, so nobody needs these rows.
pub(crate) const FORGET: &str = "WITH still AS (
        SELECT chain, batch FROM store_head WHERE chain = $1 AND batch = $2
        FOR UPDATE SKIP LOCKED),
    gone AS (
        DELETE FROM store_change c USING still
        WHERE c.chain = still.chain AND c.batch <= still.batch)
    UPDATE store_head h SET pruned = still.batch FROM still WHERE h.chain = still.chain";

/// The database's time, as in a column of [`LOOK`], in µs.
pub(crate) const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Where that column is, and the one with the revision that a program must know to work with the
/// store.
const LOOK_TIME: usize = 5;
const LOOK_NEEDS: usize = 6;

/// The database's time in the answer to a look.
pub(crate) fn time_of(rows: &[Row]) -> Read<Option<i64>> {
    rows.first().map(|row| get(row, LOOK_TIME)).transpose()
}

/// The revision that is needed, in the answer to a look.
pub(crate) fn needs_of(rows: &[Row]) -> Read<Option<i64>> {
    rows.first().map_or(Ok(None), |row| get(row, LOOK_NEEDS))
}

/// Tells what the transaction that moves the head to `next` changed. `pruned` is the number at
/// which what is too old was removed last.
pub(crate) fn tell(
    next: &Head,
    maker: &str,
    changes: &Changes,
    pruned: &mut u64,
) -> Result<Vec<Step>, ReadError> {
    let document = serde_json::to_string(changes)
        .map_err(|error| ReadError::Unavailable(error.to_string()))?;
    let mut steps = vec![step!(
        Expect::Must("what the transaction changed is told already"),
        "INSERT INTO store_change (chain, batch, maker, changes) VALUES ($1, $2, $3, $4)",
        next.chain.clone(),
        int(next.batch),
        maker.to_owned(),
        document,
    )];
    if is_pruned_at(next.batch, *pruned) {
        *pruned = next.batch;
        steps.extend(prune(next));
    }
    Ok(steps)
}

/// Whether [`tell`] removes what is too old, in further steps.
pub(crate) fn is_pruned_at(batch: u64, pruned: u64) -> bool {
    batch >= pruned + PRUNE_EVERY
}

fn prune(next: &Head) -> [Step; 2] {
    let upto = int(next.batch.saturating_sub(KEPT));
    let remove = step!(
        Expect::Any,
        "DELETE FROM store_change WHERE chain = $1 AND batch <= $2",
        next.chain.clone(),
        upto,
    );
    let mark = step!(
        Expect::Must("the node's head row is gone"),
        "UPDATE store_head SET pruned = greatest(pruned, $2) WHERE chain = $1",
        next.chain.clone(),
        upto,
    );
    [remove, mark]
}

/// The last number seen of each chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    batches: HashMap<String, i64>,
    /// The session in which they were seen; 0 for none.
    session: u64,
}

/// What a look tells.
#[derive(Debug)]
pub(crate) struct News {
    /// What has been seen by then.
    pub(crate) seen: Seen,
    pub(crate) changes: Changes,
    /// The store is of the past: something that was seen is gone.
    pub(crate) went_back: bool,
}

impl Seen {
    /// As parameters of [`LOOK`].
    pub(crate) fn columns(&self) -> (Vec<&str>, Vec<i64>) {
        self.batches
            .iter()
            .map(|(chain, batch)| (chain.as_str(), *batch))
            .unzip()
    }

    /// Whether they were seen in another session than this. What was read meanwhile may be of
    /// transactions that are gone, and whose numbers were given again.
    pub(crate) fn is_of_another(&self, session: u64) -> bool {
        self.session != session
    }

    /// Whether the store is behind what was seen.
    pub(crate) async fn is_ahead_of(&self, conn: &Conn) -> Read<bool> {
        let (chains, batches) = self.columns();
        let rows = conn.query(BEHIND, &[&chains, &batches]).await;
        let rows = rows.map_err(|error| unreadable(&error))?;
        rows.first().map_or(Ok(false), |row| get(row, 0))
    }

    /// What the rows of a look in this session tell whoever saw this much. Those that `maker` made
    /// in the chain `own` are passed over.
    pub(crate) fn take_in(&self, rows: &[Row], session: u64, own: &str, maker: &str) -> Read<News> {
        let mut news = News {
            seen: Self {
                batches: self.batches.clone(),
                session,
            },
            changes: Changes {
                everything: self.is_of_another(session),
                ..Changes::default()
            },
            went_back: false,
        };
        let all = &mut news.changes;
        for row in rows {
            let Some(chain): Option<String> = get(row, 0)? else {
                continue;
            };
            let before = self.batches.get(&chain).copied();
            let (Some(batch), Some(pruned)): (Option<i64>, Option<i64>) =
                (get(row, 1)?, get(row, 2)?)
            else {
                news.seen.batches.remove(&chain);
                news.went_back = true;
                all.everything = true;
                continue;
            };
            news.seen.batches.insert(chain.clone(), batch);
            news.went_back |= before.is_some_and(|before| before > batch);
            // Numbers that were given twice, or rows that are gone. A chain that was not known has
            // told all it did since its first number.
            if news.went_back || before.unwrap_or(0) < pruned {
                all.everything = true;
                continue;
            }
            let (by, changes): (Option<&str>, Option<&str>) = (get(row, 3)?, get(row, 4)?);
            if chain == own && by == Some(maker) {
                continue;
            }
            if let Some(changes) = changes {
                match serde_json::from_str(changes) {
                    Ok(changes) => all.merge(changes),
                    Err(_) => all.everything = true,
                }
            }
        }
        Ok(news)
    }
}
