//! That the copy is what the source is: counted, the chains' ends compared and the chains walked,
//! and a sample of versions compared byte for byte.

use super::{Copied, Destination, Moved, Row, Source, TABLES, Table, TransferError, trail};
use crate::audit::Verifier;
use crate::chain_mac::ChainMac;

/// What was found equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Audit chains walked from beginning to end.
    pub chains: u64,
    /// The versions of the sample, as the destination has them.
    pub versions: Vec<Row>,
}

/// Checks a copy. With `mac` the codes over the chains' heads are verified, too.
///
/// # Errors
/// [`TransferError::Differs`] names what differs.
pub async fn check(
    source: &mut dyn Source,
    to: &mut dyn Destination,
    copied: &Copied,
    mac: Option<&dyn ChainMac>,
) -> Moved<Checked> {
    for table in TABLES {
        let (theirs, ours) = (source.count(table).await?, to.count(table).await?);
        if theirs != ours {
            let text = format!("{} has {ours} rows instead of {theirs}", table.name);
            return Err(TransferError::Differs(text));
        }
    }
    if source.numbers().await? != to.numbers().await? {
        let text = "the numbers of the outbox are not the same".to_owned();
        return Err(TransferError::Differs(text));
    }
    let ends = source.chains().await?;
    if source.anchors().await? != to.anchors().await? {
        let text = "what remains of removed audit rows is not the same".to_owned();
        return Err(TransferError::Differs(text));
    }
    if ends != to.chains().await? {
        let text = "the audit chains end elsewhere".to_owned();
        return Err(TransferError::Differs(text));
    }
    for end in &ends {
        walk(to, end, mac).await?;
    }
    let table = Table::named("version");
    let mut checked = Checked {
        chains: ends.len() as u64,
        versions: Vec::with_capacity(copied.sample.len()),
    };
    for key in &copied.sample {
        let (theirs, ours) = (source.find(table, key).await?, to.find(table, key).await?);
        match (theirs, ours) {
            (Some(theirs), Some(ours)) if theirs == ours => checked.versions.push(ours),
            _ => {
                let (path, version) = (key[1].text(), key[2].int());
                let text = format!("version {version} of {path} is not the same");
                return Err(TransferError::Differs(text));
            }
        }
    }
    Ok(checked)
}

async fn walk(
    to: &mut dyn Destination,
    end: &trail::ChainEnd,
    mac: Option<&dyn ChainMac>,
) -> Moved<()> {
    let number = trail::number;
    let mut verifier = Verifier::new(end.chain.clone(), mac);
    let anchors = to.anchors().await?;
    let anchor = anchors.iter().find(|anchor| anchor.chain == end.chain);
    let mut upto = 0;
    let mut whole = anchor.is_none_or(|anchor| verifier.behind(anchor).is_continue());
    while whole && upto < end.last_seq {
        let segments = to.segments(&end.chain, upto, trail::SEGMENTS).await?;
        let Some(last) = segments.last() else {
            break;
        };
        upto = last.first_seq;
        whole = segments
            .iter()
            .all(|segment| verifier.segment(&segment.borrowed()).is_continue());
    }
    if whole {
        let last = number(end.last_seq);
        let _ = verifier.end(number(end.first_seq), last, &end.head, &end.mac);
    }
    match verifier.report().first_bad {
        None => Ok(()),
        Some(bad) => {
            let text = format!(
                "the audit chain is broken at row {}: {}",
                bad.id, bad.reason
            );
            Err(TransferError::Differs(text))
        }
    }
}
