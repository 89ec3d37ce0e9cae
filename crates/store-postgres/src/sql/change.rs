//! What each transaction changed, for the other nodes. A row carries the number its transaction
//! gives the node's head row: a node's transactions follow one another, so whoever has seen a
//! number has seen all below it, which no sequence shared by the nodes could promise.

use std::collections::HashMap;

use scaivault_core::ports::{Changes, ReadError};
use tokio_postgres::Row;

use super::head::Head;
use super::row::{Read, get, int};
use crate::step::{Expect, Step, step};

/// Rows a node keeps for the others. Who comes later than that forgets everything.
const KEPT: u64 = 20_000;
/// After so many transactions the next one that tells something removes what is too old.
const PRUNE_EVERY: u64 = 1_024;

/// Where a change is told, to whom it may concern.
pub(crate) const NEWS: &str = "NOTIFY scaivault_changes";
pub(crate) const LISTEN: &str = "LISTEN scaivault_changes";

/// Everything after these numbers, by chain. One statement, so one look.
pub(crate) const LOOK: &str = "SELECT h.chain, h.batch, h.pruned, c.maker, c.changes,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM store_head h
    LEFT JOIN unnest($1::text[], $2::bigint[]) AS seen (chain, batch) ON seen.chain = h.chain
    LEFT JOIN store_change c ON c.chain = h.chain AND c.batch > seen.batch";

/// The database's time, as in the last column of [`LOOK`], in µs.
pub(crate) const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Where that column is.
const LOOK_TIME: usize = 5;

/// The database's time in the answer to a look.
pub(crate) fn time_of(rows: &[Row]) -> Read<Option<i64>> {
    rows.first().map(|row| get(row, LOOK_TIME)).transpose()
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
    if next.batch >= *pruned + PRUNE_EVERY {
        *pruned = next.batch;
        steps.extend(prune(next));
    }
    Ok(steps)
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
        "UPDATE store_head SET pruned = $2 WHERE chain = $1",
        next.chain.clone(),
        upto,
    );
    [remove, mark]
}

/// The last number seen of each chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen(HashMap<String, i64>);

impl Seen {
    /// As parameters of [`LOOK`].
    pub(crate) fn columns(&self) -> (Vec<&str>, Vec<i64>) {
        self.0
            .iter()
            .map(|(chain, batch)| (chain.as_str(), *batch))
            .unzip()
    }

    /// What the rows of a look tell whoever saw this much, and what has been seen by then. Those
    /// that `maker` made in the chain `own` are passed over.
    pub(crate) fn take_in(&self, rows: &[Row], own: &str, maker: &str) -> Read<(Self, Changes)> {
        let (mut seen, mut all) = (HashMap::new(), Changes::default());
        for row in rows {
            let (chain, batch, pruned): (String, i64, i64) =
                (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            let before = self.0.get(&chain).copied();
            seen.insert(chain.clone(), batch);
            // A chain that was not known; rows that are gone; or a store that went back in time,
            // as a standby does that did not have all of it.
            if before.is_none_or(|before| before < pruned || before > batch) {
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
        Ok((Self(seen), all))
    }
}
