//! All rows of a store, looked at one by one: that each document has its code and stands in its row,
//! that the columns say what it says, and that it is what the audit trail says last. The first that
//! is not is named.

use std::collections::HashMap;

use scaivault_core::audit::{AuditRow, BadRow};

use super::columns;
use super::key::{RowKey, has_code};
use super::place::{is_coded, place_of};
use super::trail::Trail;
use crate::audit::{Hash, HeadCode, head_code};
use crate::chain_mac::ChainMac;
use crate::transfer::{Holdings, Moved, Row, TABLES, Table};

/// Segments of the trail read at a time.
const SEGMENTS: usize = 64;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowReport {
    /// Rows looked at and found right.
    pub rows: u64,
    /// The first that is not.
    pub first_bad: Option<BadRow>,
}

/// Looks at all rows of one view of a store, under the key of its audit chain. The chains are taken
/// as they are: verify them first.
///
/// # Errors
/// When the store cannot be read; a row that is not right is a report.
pub async fn verify(store: &mut dyn Holdings, mac: &dyn ChainMac) -> Moved<RowReport> {
    let key = RowKey::of(mac);
    let all_coded = says_coded(store, mac).await?;
    let mut trail = trail(store).await?;
    let mut report = RowReport::default();
    for table in TABLES.iter().filter(|table| is_coded(table)) {
        let mut after: Option<Row> = None;
        loop {
            let page = store
                .page(table, after.as_deref(), None, table.page)
                .await?;
            for row in &page {
                if let Some(bad) = wrong(&key, all_coded, table, row, &mut trail) {
                    report.first_bad = Some(bad);
                    return Ok(report);
                }
                report.rows += 1;
            }
            match page.last().filter(|_| page.len() == table.page) {
                Some(last) => after = Some(table.key_of(last).to_vec()),
                None => break,
            }
        }
    }
    report.first_bad = trail.missing().map(|id| BadRow {
        id,
        reason: "missing".to_owned(),
    });
    Ok(report)
}

fn wrong(
    key: &RowKey,
    all_coded: bool,
    table: &'static Table,
    row: &Row,
    trail: &mut Trail,
) -> Option<BadRow> {
    let place = place_of(table, row)?;
    let text = row[table.at("doc")].text();
    let reason = if !has_code(text) && all_coded {
        "no code".to_owned()
    } else if has_code(text) && !key.fits(&place, text) {
        "edited, or another row's".to_owned()
    } else if let Some(column) = columns::differs(table, row) {
        format!("column {column} edited")
    } else {
        trail
            .about(table.name, &place.space, &place.key, text)?
            .to_owned()
    };
    Some(BadRow {
        id: format!("{} {place}", table.name),
        reason,
    })
}

async fn says_coded(store: &mut dyn Holdings, mac: &dyn ChainMac) -> Moved<bool> {
    let ends = store.chains().await?;
    let coded = ends.iter().any(|end| {
        let number = |at: i64| u64::try_from(at).unwrap_or(0);
        let Ok(head) = Hash::try_from(end.head.as_slice()) else {
            return false;
        };
        let over = (
            end.chain.as_str(),
            number(end.first_seq),
            number(end.last_seq),
            &head,
        );
        head_code(mac, over, &end.mac) == Some(HeadCode::Coded)
    });
    Ok(coded)
}

async fn trail(store: &mut dyn Holdings) -> Moved<Trail> {
    let mut trail = Trail::default();
    let anchors = store.anchors().await?;
    let gone: HashMap<_, _> = anchors
        .iter()
        .map(|anchor| (anchor.chain.as_str(), anchor.last_seq))
        .collect();
    for end in store.chains().await? {
        trail.next_chain();
        let gone = gone.get(end.chain.as_str()).copied().unwrap_or(0);
        let mut upto = i64::try_from(gone).unwrap_or(i64::MAX);
        while upto < end.last_seq {
            let segments = store.segments(&end.chain, upto, SEGMENTS).await?;
            let Some(last) = segments.last() else { break };
            upto = last.last_seq().max(upto + 1);
            for segment in &segments {
                for line in segment.body.split(|byte| *byte == b'\n') {
                    // A line that does not decode is the chain's verifier's to name.
                    if let Ok(row) = serde_json::from_slice::<AuditRow>(line) {
                        trail.take(&row);
                    }
                }
            }
        }
    }
    Ok(trail)
}
