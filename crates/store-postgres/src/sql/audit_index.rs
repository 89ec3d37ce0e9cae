//! The audit index: which segments hold rows of a secret or an identity. It is derived and lags:
//! queries read the segments behind its end themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use scaivault_store::audit::row_keys;

use super::row::{Read, get};
use crate::pool::Pool;
use crate::writer::Shared;

/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);

const BEHIND: &str = "SELECT s.place, s.first_seq + s.rows - 1, s.body FROM audit_segment s
    WHERE s.chain = $1
      AND s.first_seq > coalesce((SELECT upto FROM audit_indexed WHERE chain = $1), 0)
    ORDER BY s.first_seq LIMIT 32";

pub(crate) const EXTEND: &str = "WITH keys AS (
        INSERT INTO audit_key (key_hash, place)
        SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING)
    INSERT INTO audit_indexed (chain, upto) VALUES ($3, $4)
    ON CONFLICT (chain) DO UPDATE SET upto = greatest(audit_indexed.upto, excluded.upto)";

/// Extends the index whenever the chain has grown by enough, until it is told to stop.
pub(crate) async fn run(pool: Arc<Pool>, shared: Arc<Shared>, chain: String) {
    loop {
        let last = shared.unindexed().await;
        loop {
            match extend(&pool, &chain).await {
                Ok(Some(upto)) if upto < last => {}
                Ok(upto) => {
                    shared.indexed(upto.unwrap_or(last));
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "the audit index cannot be extended");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Indexes some segments in one statement; returns the row the index now reaches, or nothing when
/// it reaches to the end.
async fn extend(pool: &Arc<Pool>, chain: &str) -> Read<Option<u64>> {
    let rows = pool.query(BEHIND, &[&chain]).await?;
    // In the order of the index: neighbours are written to the same page.
    let (mut keys, mut upto) = (BTreeSet::new(), None);
    for row in &rows {
        let place: i64 = get(row, 0)?;
        let body: &[u8] = get(row, 2)?;
        let lines = body.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            keys.extend(row_keys(line).map(|key| (key, place)));
        }
        upto = Some(get::<i64>(row, 1)?);
    }
    let Some(upto) = upto else {
        return Ok(None);
    };
    let (keys, places): (Vec<i64>, Vec<i64>) = keys.into_iter().unzip();
    pool.query(EXTEND, &[&keys, &places, &chain, &upto]).await?;
    Ok(u64::try_from(upto).ok())
}
